-- what customers owe and dispute; of the days that sales are outstanding, the newest month's inputs
with as_of as (
    select '{{ var("as_of") }}'::timestamptz as at
),

sales as (
    select
        customer_id,
        currency,
        sum(billed_amount)::numeric(18, 2) as billed_amount,
        sum(credited_amount)::numeric(18, 2) as credited_amount,
        sum(collected_amount)::numeric(18, 2) as collected_amount,
        sum(billed_amount - credited_amount - collected_amount - written_off_amount)::numeric(18, 2) as open_amount
    from {{ ref('fct_days_sales_outstanding') }}
    group by customer_id, currency
),

newest as (
    select distinct on (customer_id, currency)
        customer_id,
        currency,
        month_on,
        (billed_amount - credited_amount)::numeric(18, 2) as month_sales_amount,
        open_amount as month_open_amount,
        days_in_month
    from {{ ref('fct_days_sales_outstanding') }}
    order by customer_id, currency, month_on desc
),

invoices as (
    select customer_id, currency, count(*)::int as invoices
    from {{ ref('customer_invoice') }}
    group by customer_id, currency
),

disputes as (
    select
        dispute.customer_id,
        coalesce(dispute.currency, '') as currency,
        count(*)::int as disputes,
        count(*) filter (where dispute.resolved_on is null)::int as open_disputes,
        coalesce(
            sum((as_of.at at time zone 'UTC')::date - dispute.opened_on) filter (where dispute.resolved_on is null), 0
        )::int as open_dispute_days,
        coalesce(sum(dispute.disputed_amount) filter (where dispute.resolved_on is null), 0)::numeric(18, 2)
        as disputed_amount
    from {{ ref('customer_dispute') }} as dispute
    cross join as_of
    where dispute.customer_id is not null
    group by dispute.customer_id, coalesce(dispute.currency, '')
),

named as (
    select customer_id, currency from sales
    union
    select customer_id, currency from disputes
)

select
    named.customer_id,
    named.currency,
    coalesce(invoices.invoices, 0) as invoices,
    coalesce(sales.billed_amount, 0)::numeric(18, 2) as billed_amount,
    coalesce(sales.credited_amount, 0)::numeric(18, 2) as credited_amount,
    coalesce(sales.collected_amount, 0)::numeric(18, 2) as collected_amount,
    coalesce(sales.open_amount, 0)::numeric(18, 2) as open_amount,
    newest.month_on,
    coalesce(newest.month_sales_amount, 0)::numeric(18, 2) as month_sales_amount,
    coalesce(newest.month_open_amount, 0)::numeric(18, 2) as month_open_amount,
    coalesce(newest.days_in_month, 0) as days_in_month,
    coalesce(disputes.disputes, 0) as disputes,
    coalesce(disputes.open_disputes, 0) as open_disputes,
    coalesce(disputes.open_dispute_days, 0) as open_dispute_days,
    coalesce(disputes.disputed_amount, 0)::numeric(18, 2) as disputed_amount
from named
left join sales on sales.customer_id = named.customer_id and sales.currency = named.currency
left join newest on newest.customer_id = named.customer_id and newest.currency = named.currency
left join invoices on invoices.customer_id = named.customer_id and invoices.currency = named.currency
left join disputes on disputes.customer_id = named.customer_id and disputes.currency = named.currency
