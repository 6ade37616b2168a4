with invoices as (
    select *
    from {{ ref('customer_invoice_status') }}
    where invoice_on is not null
),

terms as (
    select
        invoices.customer_invoice_id,
        invoices.currency,
        customer.payment_terms,
        customer.customer_name
    from invoices
    left join lateral (
        select known.payment_terms, known.customer_name
        from {{ ref('customer') }} as known
        where known.customer_id = invoices.customer_id
        order by
            known.valid_from < invoices.invoice_on + 1 desc,
            case when known.valid_from < invoices.invoice_on + 1 then known.version end desc nulls last,
            known.version
        limit 1
    ) as customer on true
),

-- terms are few: what each means is looked up once a day of invoices
meanings as (
    select
        days.payment_terms,
        days.invoice_on,
        rule.net_days,
        rule.rule_id,
        rule.rule_version
    from (
        select distinct terms.payment_terms, invoices.invoice_on
        from invoices
        inner join terms
            on terms.customer_invoice_id = invoices.customer_invoice_id and terms.currency = invoices.currency
    ) as days
    left join lateral {{ rule_in_force(
        'payment_terms', ['newest.net_days'], "newest.terms = coalesce(days.payment_terms, '*')", 'newest.terms',
        'days.invoice_on', "'infinity'::timestamptz"
    ) }} as rule on true
),

-- what the receivable account says about the invoice: documents about it, and cash that was applied to it
entries as (
    select
        coalesce(movement.attributes ->> 'customer_invoice_id', movement.aggregate_id) as customer_invoice_id,
        movement.currency,
        movement.debit_account,
        movement.credit_account,
        movement.amount
    from {{ source('effects', 'movement') }} as movement
    where
        movement.relation in ('movement__customer_invoices', 'movement__customer_credits', 'movement__payments')
),

ledger as (
    select
        invoices.customer_invoice_id,
        invoices.currency,
        sum(
            case when entries.debit_account = invoices.receivable_account then entries.amount else -entries.amount end
        ) as posted_amount
    from invoices
    inner join entries
        on entries.customer_invoice_id = invoices.customer_invoice_id and entries.currency = invoices.currency
        and invoices.receivable_account in (entries.debit_account, entries.credit_account)
    group by invoices.customer_invoice_id, invoices.currency
),

aged as (
    select
        invoices.*,
        terms.customer_name,
        terms.payment_terms,
        invoices.invoice_on + meanings.net_days as due_on,
        meanings.rule_id,
        meanings.rule_version,
        coalesce(ledger.posted_amount, 0) as posted_amount,
        ('{{ var("as_of") }}'::timestamptz at time zone 'UTC')::date as as_of_on
    from invoices
    inner join terms
        on terms.customer_invoice_id = invoices.customer_invoice_id and terms.currency = invoices.currency
    left join meanings
        on meanings.payment_terms is not distinct from terms.payment_terms
        and meanings.invoice_on = invoices.invoice_on
    left join ledger
        on ledger.customer_invoice_id = invoices.customer_invoice_id and ledger.currency = invoices.currency
)

select
    substr(replace(customer_invoice_id, '/tms:', '/'), 5) as customer_invoice,
    order_number,
    customer_id,
    customer_name,
    currency,
    status,
    reason,
    invoiced_amount,
    credited_amount,
    applied_amount,
    written_off_amount,
    open_amount,
    posted_amount::numeric(18, 2) as posted_amount,
    invoice_on,
    payment_terms,
    due_on,
    paid_on,
    days_to_pay,
    greatest(as_of_on - invoice_on, 0) as days_since_invoice,
    case when open_amount > 0 then greatest(as_of_on - due_on, 0) end as days_overdue,
    case
        when open_amount <= 0 then 'closed'
        when due_on is null then 'terms unknown'
        when as_of_on <= due_on then 'not due'
        when as_of_on - due_on <= 30 then '1-30'
        when as_of_on - due_on <= 60 then '31-60'
        when as_of_on - due_on <= 90 then '61-90'
        else 'over 90'
    end as age_bucket,
    coalesce(rule_id, 'payment_terms.unknown') as rule_id,
    coalesce(rule_version::text, '1') as rule_version
from aged
