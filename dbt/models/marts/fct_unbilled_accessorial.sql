-- What carriers' freight cost for a charge, beyond what was planned: the plan's own freight is billed already. What was
-- billed and not paid, or paid and is claimed back, is nobody's cost.
with paid as (
    select
        line.shipment_id,
        line.charge_code,
        line.currency,
        sum(line.paid_amount - line.claimed_amount + line.recovered_amount) as paid_amount,
        max(line.invoice_on) as invoice_on,
        string_agg(distinct line.scac || ' ' || line.invoice_number, ', ') as carrier_invoices
    from {{ ref('invoice_line_verdict') }} as line
    where line.is_posted and line.paid_amount <> 0
    group by line.shipment_id, line.charge_code, line.currency
),

extra as (
    select
        paid.*,
        coalesce(planned.planned_amount, 0) as planned_amount,
        ((paid.paid_amount - coalesce(planned.planned_amount, 0)) * 100)::bigint as cents
    from paid
    left join {{ ref('planned_charge') }} as planned
        on planned.shipment_id = paid.shipment_id and planned.charge_code = paid.charge_code
        and planned.currency = paid.currency
    where paid.paid_amount > coalesce(planned.planned_amount, 0)
),

-- by weight, as freight is; the cents left over go to the largest share, then to the lowest order
weighed as (
    select
        extra.*,
        delivery.order_id,
        delivery.customer_invoice_id,
        case
            when sum(delivery.weight_lb) over in_charge > 0 then delivery.weight_lb / sum(delivery.weight_lb) over in_charge
            else 1.0 / count(*) over in_charge
        end as part
    from extra
    inner join {{ ref('delivery') }} as delivery on delivery.shipment_id = extra.shipment_id and delivery.is_current
    window in_charge as (partition by extra.shipment_id, extra.charge_code, extra.currency)
),

floored as (
    select
        *,
        floor(cents * part)::bigint as share
    from weighed
),

shared as (
    select
        *,
        share + case
            when row_number() over (
                partition by shipment_id, charge_code, currency order by share desc, order_id
            ) = 1
                then cents - sum(share) over (partition by shipment_id, charge_code, currency)
            else 0
        end as share_cents
    from floored
)

select
    substr(shared.shipment_id, 5) as shipment_id,
    shared.charge_code,
    substr(shared.order_id, 5) as order_number,
    orders.customer_id,
    customer.customer_name,
    shared.currency,
    shared.carrier_invoices,
    shared.invoice_on as carrier_invoice_on,
    shared.paid_amount::numeric(18, 2) as paid_amount,
    shared.planned_amount::numeric(18, 2) as planned_amount,
    (shared.share_cents / 100.0)::numeric(18, 2) as share_amount,
    orders.markup_percent,
    round(shared.share_cents / 100.0 * (1 + orders.markup_percent / 100), 2)::numeric(18, 2) as unbilled_amount,
    substr(replace(shared.customer_invoice_id, '/tms:', '/'), 5) as customer_invoice,
    policy.rule_id,
    policy.rule_version::text as rule_version,
    'paid to the carrier beyond the plan, and ' || orders.customer_id || ' pays ' || shared.charge_code || ' by '
    || policy.rule_id || ': not on any invoice' as reason
from shared
inner join {{ ref('sales_order') }} as orders
    on orders.order_id = shared.order_id and orders.freight_billing = 'pass_through' and orders.has_customer
left join {{ ref('customer') }} as customer on customer.customer_id = orders.customer_id and customer.is_current
inner join lateral {{ rule_in_force(
    'pass_on_policy', ['newest.passes_on'],
    "newest.customer_id in (orders.customer_id, '*') and newest.charge_code in (shared.charge_code, '*')",
    "newest.customer_id <> '*' and newest.charge_code <> '*' desc, newest.customer_id <> '*' desc, "
    ~ "newest.charge_code <> '*' desc",
    'shared.invoice_on', "'infinity'::timestamptz"
) }} as policy on policy.passes_on
where shared.share_cents > 0
