{{ config(materialized='view', tags=['static', 'pod']) }}

-- The only place where customer billing is computed. Hangs off one delivery by index: the hot path filters by invoice.
select
    delivery.shipment_id,
    delivery.order_id,
    delivery.customer_invoice_id,
    delivery.freight_share,
    orders.order_number,
    orders.customer_id,
    orders.currency,
    -- the form that the invoice's id has: the order's own terms may be newer than the delivery
    case delivery.customer_invoice_id when delivery.order_id then 'order' else 'shipment' end as invoice_per,
    orders.markup_percent,
    part.kind,
    part.order_line,
    part.description,
    part.amount
from {{ ref('delivery') }} as delivery
inner join {{ ref('sales_order') }} as orders on orders.order_id = delivery.order_id
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id
cross join lateral (
    select
        'goods'::text as kind,
        line.line as order_line,
        line.quantity || ' × ' || ordered.item_id as description,
        round(line.quantity * ordered.unit_price, 2)::numeric(18, 2) as amount
    from {{ ref('shipment_line') }} as line
    inner join {{ ref('sales_order_line') }} as ordered
        on ordered.order_id = line.order_id and ordered.line = line.line
    where line.shipment_id = delivery.shipment_id and line.order_id = delivery.order_id
    union all
    select
        'freight'::text as kind,
        null::int as order_line,
        'Freight' as description,
        round(delivery.freight_share * (1 + orders.markup_percent / 100), 2)::numeric(18, 2) as amount
    where orders.freight_billing = 'pass_through'
) as part
where
    delivery.is_current and orders.has_customer
    -- freight planned in another currency is no amount of this order: all of it waits, see billing_hold
    and (
        shipment.currency = orders.currency or orders.freight_billing <> 'pass_through' or delivery.freight_share = 0
    )
