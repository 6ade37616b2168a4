{{ config(materialized='view', tags=['static']) }}

with made as (
    select * from {{ ref('customer_invoice') }}
),

expected as (
    select
        delivery.customer_invoice_id,
        min(orders.order_number) as order_number,
        min(orders.customer_id) as customer_id,
        min(orders.currency) as currency,
        bool_and(proof.shipment_id is not null) as is_proven,
        array_agg(distinct held.reason) filter (where held.reason is not null) as holds
    from {{ ref('delivery') }} as delivery
    inner join {{ ref('shipment') }} as shipment
        on shipment.shipment_id = delivery.shipment_id and not shipment.is_cancelled
    inner join {{ ref('sales_order') }} as orders on orders.order_id = delivery.order_id
    left join (
        select distinct shipment_id from {{ ref('proof_judged') }}
        where is_good
    ) as proof on proof.shipment_id = delivery.shipment_id
    left join (
        select hold.shipment_id, reasons.reason
        from {{ ref('billing_hold') }} as hold
        cross join lateral unnest(hold.reasons) as reasons (reason)
    ) as held on held.shipment_id = delivery.shipment_id
    where delivery.is_current and delivery.customer_invoice_id is not null
    group by delivery.customer_invoice_id
),

credits as (
    select
        customer_invoice_id,
        currency,
        sum(credit_amount) as credited_amount,
        bool_or(verdict = 'opened') as is_disputed,
        bool_or(verdict in ('credited', 'credited_by_erp')) as is_credited,
        bool_or(verdict = 'upheld') as is_upheld,
        string_agg(reason, '; ' order by opened_on, dispute_id) as reasons
    from {{ ref('customer_credit') }}
    where customer_invoice_id is not null
    group by customer_invoice_id, currency
),

paid as (
    select
        customer_invoice_id,
        currency,
        sum(applied_amount) as applied_amount,
        sum(written_off_amount) as written_off_amount,
        max(paid_on) filter (where not is_return) as paid_on,
        (array_agg(reason order by paid_on desc, is_return desc, payment_id desc))[1] as reason
    from {{ ref('payment_application') }}
    group by customer_invoice_id, currency
),

joined as (
    select
        coalesce(made.customer_invoice_id, expected.customer_invoice_id) as customer_invoice_id,
        coalesce(made.order_number, expected.order_number) as order_number,
        coalesce(made.customer_id, expected.customer_id) as customer_id,
        coalesce(made.currency, expected.currency) as currency,
        made.invoice_on,
        made.receivable_account,
        coalesce(made.invoiced_amount, 0) as invoiced_amount,
        coalesce(credits.credited_amount, 0) as credited_amount,
        coalesce(paid.applied_amount, 0) as applied_amount,
        coalesce(paid.written_off_amount, 0) as written_off_amount,
        paid.paid_on,
        paid.reason as paid_reason,
        coalesce(credits.is_disputed, false) as is_disputed,
        coalesce(credits.is_credited, false) as is_credited,
        coalesce(credits.is_upheld, false) as is_upheld,
        credits.reasons as credit_reasons,
        coalesce(expected.is_proven, false) as is_proven,
        expected.holds
    from made
    full outer join expected on expected.customer_invoice_id = made.customer_invoice_id
    left join credits
        on credits.customer_invoice_id = made.customer_invoice_id and credits.currency = made.currency
    left join paid on paid.customer_invoice_id = made.customer_invoice_id and paid.currency = made.currency
),

opened as (
    select
        *,
        (invoiced_amount - credited_amount - applied_amount - written_off_amount)::numeric(18, 2) as open_amount
    from joined
)

select
    opened.customer_invoice_id,
    opened.order_number,
    opened.customer_id,
    opened.currency,
    case
        when opened.invoiced_amount = 0
            then case
                when opened.invoice_on is not null then 'credited'
                when opened.holds is not null then 'on_hold'
                when opened.is_proven then 'billable'
                else 'not_ready'
            end
        when opened.is_disputed then 'disputed'
        when opened.open_amount <= 0 and opened.applied_amount + opened.written_off_amount > 0 then 'paid'
        when opened.is_credited then 'credited'
        when opened.is_upheld then 'upheld'
        else 'invoiced'
    end as status,
    case
        when opened.invoiced_amount = 0
            then case
                when opened.invoice_on is not null then 'all that was billed was taken back'
                when opened.holds is not null then array_to_string(opened.holds, ', ')
                when opened.is_proven then 'proven; the invoice is being made'
                else 'no proof of delivery yet'
            end
        else coalesce(opened.credit_reasons, opened.paid_reason, 'not paid yet')
    end as reason,
    opened.invoiced_amount::numeric(18, 2) as invoiced_amount,
    opened.credited_amount::numeric(18, 2) as credited_amount,
    opened.applied_amount::numeric(18, 2) as applied_amount,
    opened.written_off_amount::numeric(18, 2) as written_off_amount,
    opened.open_amount,
    opened.receivable_account,
    opened.invoice_on,
    opened.paid_on,
    opened.paid_on - opened.invoice_on as days_to_pay
from opened
