{{ config(materialized='view', tags=['static']) }}

-- A carrier's bill is paid as far as payments name it, and owed as far as it was approved: a part, where the rest is
-- disputed or rejected. A payment that the ERP and the bank both tell of counts once: the
-- bank's is left out where an ERP payment has its end-to-end id and amount.
with payments as (
    select payment.*
    from {{ ref('carrier_payment') }} as payment
    where
        payment.channel = 'erp'
        or not exists (
            select 1
            from {{ ref('stg_erp__payments') }} as known
            where
                known.party_kind = 'supplier' and known.bank_reference = payment.end_to_end_id
                and known.currency = payment.currency and abs(payment.amount) = known.amount
        )
),

named as (
    select
        payments.payment_id,
        payments.scac,
        payments.currency,
        payments.paid_on,
        payments.reason_given,
        document.value ->> 'number' as number,
        case
            when payments.amount = 0 then 0
            when {{ document_amount('document.value') }} is not null
                then {{ document_amount('document.value') }} * sign(payments.amount)
            when jsonb_array_length(payments.documents) = 1 then payments.amount
        end as paid_amount
    from payments
    cross join lateral jsonb_array_elements(payments.documents) as document
),

bills as (
    select
        scac,
        invoice_number,
        currency,
        min(invoice_on) as invoice_on,
        sum(net_amount) as billed_amount,
        coalesce(sum(paid_amount) filter (where is_posted), 0) as approved_amount,
        bool_or(is_posted) as is_posted
    from {{ ref('invoice_verdict') }}
    where duplicate_of is null
    group by scac, invoice_number, currency
),

paid as (
    select
        bills.scac,
        bills.invoice_number,
        bills.currency,
        sum(named.paid_amount) as paid_amount,
        max(named.paid_on) as paid_on,
        string_agg(named.payment_id, ', ' order by named.paid_on, named.payment_id) as payments,
        string_agg(distinct named.reason_given, '; ') as reasons_given
    from bills
    inner join named
        on {{ normalized('named.number') }} = {{ normalized('bills.invoice_number') }}
        and named.currency = bills.currency and (named.scac is null or named.scac = bills.scac)
    group by bills.scac, bills.invoice_number, bills.currency
)

select
    bills.scac,
    bills.invoice_number,
    bills.currency,
    bills.invoice_on,
    bills.billed_amount::numeric(18, 2) as billed_amount,
    bills.approved_amount::numeric(18, 2) as approved_amount,
    coalesce(paid.paid_amount, 0)::numeric(18, 2) as paid_amount,
    (bills.approved_amount - coalesce(paid.paid_amount, 0))::numeric(18, 2) as open_amount,
    paid.paid_on,
    paid.payments,
    case
        when coalesce(paid.paid_amount, 0) = 0
            then case
                when not bills.is_posted then 'not_approved'
                when bills.approved_amount = 0 then 'nothing_owed'
                else 'approved'
            end
        when not bills.is_posted then 'paid_unapproved'
        when paid.paid_amount > bills.approved_amount then 'overpaid'
        when paid.paid_amount = bills.approved_amount then 'paid'
        else 'part_paid'
    end as status,
    case
        when coalesce(paid.paid_amount, 0) = 0 and not bills.is_posted then 'not approved, not paid'
        when coalesce(paid.paid_amount, 0) = 0 and bills.approved_amount = 0
            then 'nothing of it is owed'
        when coalesce(paid.paid_amount, 0) = 0 then 'approved, no payment is known'
        when not bills.is_posted then 'paid although it was not approved: ask finance'
        when paid.paid_amount > bills.approved_amount
            then (paid.paid_amount - bills.approved_amount) || ' more than was approved: ask ' || bills.scac
                || ' for a credit'
        when paid.paid_amount = bills.approved_amount then 'paid in full'
        else (bills.approved_amount - paid.paid_amount) || ' still owed'
            || coalesce(', ' || paid.reasons_given, '')
    end
    || case
        when bills.is_posted and bills.approved_amount <> bills.billed_amount
            then '; ' || (bills.billed_amount - bills.approved_amount) || ' of what was billed is not approved'
        else ''
    end as reason
from bills
left join paid
    on paid.scac = bills.scac and paid.invoice_number = bills.invoice_number and paid.currency = bills.currency
