{{ config(materialized='view', tags=['static']) }}

-- A carrier's bill is paid as far as payments name it, and owed as far as it was approved: a part, where the rest is
-- disputed or rejected; with its tax, where that is booked here. Tax that the ERP books is no debt in our log, but is
-- paid with the bill: it makes a bill neither short nor overpaid.
-- A payment that the ERP and the bank both tell of counts once: the bank's is left out where an ERP payment has its
-- end-to-end id and amount.
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
        verdict.scac,
        verdict.invoice_number,
        verdict.currency,
        min(verdict.invoice_on) as invoice_on,
        sum(verdict.net_amount + coalesce(booked.billed_tax_amount, 0)) as billed_amount,
        coalesce(
            sum(verdict.paid_amount + coalesce(booked.owed_tax_amount, 0)) filter (where verdict.is_posted), 0
        ) as approved_amount,
        coalesce(
            sum(round(invoice.tax_amount * verdict.paid_amount / nullif(verdict.net_amount, 0), 2))
            filter (where verdict.is_posted and booked.carrier_invoice_id is null),
            0
        ) as erp_tax_amount,
        bool_or(verdict.is_posted) as is_posted
    from {{ ref('invoice_verdict') }} as verdict
    left join {{ ref('invoice_tax') }} as booked on booked.carrier_invoice_id = verdict.carrier_invoice_id
    left join {{ ref('stg_carriers__invoices') }} as invoice
        on invoice.record_id = case
            when verdict.carrier_invoice_id not like 'SELF:%' then split_part(verdict.carrier_invoice_id, ':', 2)::bigint
        end
    where verdict.duplicate_of is null
    group by verdict.scac, verdict.invoice_number, verdict.currency
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
),

settled as (
    select
        bills.*,
        coalesce(paid.paid_amount, 0) as paid_amount,
        paid.paid_on,
        paid.payments,
        paid.reasons_given,
        -- what is to be paid at least and at most
        least(bills.approved_amount, bills.approved_amount + bills.erp_tax_amount) as least_amount,
        greatest(bills.approved_amount, bills.approved_amount + bills.erp_tax_amount) as most_amount
    from bills
    left join paid
        on paid.scac = bills.scac and paid.invoice_number = bills.invoice_number and paid.currency = bills.currency
)

select
    scac,
    invoice_number,
    currency,
    invoice_on,
    billed_amount::numeric(18, 2) as billed_amount,
    approved_amount::numeric(18, 2) as approved_amount,
    paid_amount::numeric(18, 2) as paid_amount,
    (least(greatest(paid_amount, least_amount), most_amount) - paid_amount)::numeric(18, 2) as open_amount,
    paid_on,
    payments,
    case
        when paid_amount = 0
            then case
                when not is_posted then 'not_approved'
                when approved_amount = 0 then 'nothing_owed'
                else 'approved'
            end
        when not is_posted then 'paid_unapproved'
        when paid_amount > most_amount then 'overpaid'
        when paid_amount >= least_amount then 'paid'
        else 'part_paid'
    end as status,
    case
        when paid_amount = 0 and not is_posted then 'not approved, not paid'
        when paid_amount = 0 and approved_amount = 0 then 'nothing of it is owed'
        when paid_amount = 0 then 'approved, no payment is known'
        when not is_posted then 'paid although it was not approved: ask finance'
        when paid_amount > most_amount
            then (paid_amount - most_amount) || ' more than was approved: ask ' || scac || ' for a credit'
        when paid_amount >= least_amount
            then 'paid in full'
                || case
                    when paid_amount > approved_amount
                        then ', with ' || (paid_amount - approved_amount) || ' of tax that the ERP books'
                    else ''
                end
        else (least_amount - paid_amount) || ' still owed' || coalesce(', ' || reasons_given, '')
    end
    || case
        when is_posted and approved_amount <> billed_amount
            then '; ' || (billed_amount - approved_amount) || ' of what was billed is not approved'
        else ''
    end as reason
from settled
