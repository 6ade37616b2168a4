-- Inputs of the ratio, month by month: what was billed and credited, what came in, and what was open at the month's end.
with entries as (
    select
        customer_id,
        currency,
        date_trunc('month', invoice_on)::date as month_on,
        invoiced_amount as billed_amount,
        0 as credited_amount,
        0 as collected_amount,
        0 as written_off_amount
    from {{ ref('customer_invoice') }}
    union all
    select
        invoice.customer_id,
        credit.currency,
        date_trunc('month', coalesce(credit.resolved_on, credit.opened_on))::date,
        0,
        credit.credit_amount,
        0,
        0
    from {{ ref('customer_credit') }} as credit
    inner join {{ ref('customer_invoice') }} as invoice
        on invoice.customer_invoice_id = credit.customer_invoice_id and invoice.currency = credit.currency
    union all
    select
        customer_id,
        currency,
        date_trunc('month', paid_on)::date,
        0,
        0,
        applied_amount,
        written_off_amount
    from {{ ref('payment_application') }}
),

summed as (
    select
        customer_id,
        currency,
        month_on,
        sum(billed_amount) as billed_amount,
        sum(credited_amount) as credited_amount,
        sum(collected_amount) as collected_amount,
        sum(written_off_amount) as written_off_amount
    from entries
    group by customer_id, currency, month_on
),

opened as (
    select
        *,
        sum(billed_amount - credited_amount - collected_amount - written_off_amount) over (
            partition by customer_id, currency order by month_on
        ) as open_amount
    from summed
)

select
    customer_id,
    currency,
    month_on,
    billed_amount::numeric(18, 2) as billed_amount,
    credited_amount::numeric(18, 2) as credited_amount,
    collected_amount::numeric(18, 2) as collected_amount,
    written_off_amount::numeric(18, 2) as written_off_amount,
    open_amount::numeric(18, 2) as open_amount,
    extract(day from month_on + interval '1 month' - interval '1 day')::int as days_in_month,
    case when billed_amount - credited_amount > 0 then round(
        open_amount / (billed_amount - credited_amount)
        * extract(day from month_on + interval '1 month' - interval '1 day'), 1
    ) end::numeric(9, 1) as days_sales_outstanding
from opened
