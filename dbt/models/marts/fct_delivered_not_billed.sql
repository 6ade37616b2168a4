with billed as (
    select
        split_part(effect_key, '|', 2) as order_id,
        split_part(effect_key, '|', 3) as shipment_id
    from {{ source('effects', 'movement_by_key') }}
    where aggregate_type = 'customer_invoice'
    group by split_part(effect_key, '|', 2), split_part(effect_key, '|', 3)
    having sum(amount) <> 0
),

amounts as (
    select shipment_id, order_id, sum(amount)::numeric(18, 2) as amount
    from {{ ref('billing_line') }}
    group by shipment_id, order_id
),

proofs as (
    select shipment_id, min(captured_at) as captured_at
    from {{ ref('proof_judged') }}
    group by shipment_id
)

select
    shipment.shipment_number as shipment_id,
    substr(delivery.order_id, 5) as order_number,
    orders.customer_id,
    customer.customer_name,
    shipment.scac,
    shipment.milestone,
    shipment.delivered_at,
    proofs.captured_at as pod_at,
    case
        when proofs.shipment_id is null then 'pod_missing'
        when hold.shipment_id is null then 'invoice_on_its_way'
        else array_to_string(hold.reasons, ', ')
    end as reasons,
    amounts.amount,
    orders.currency,
    'billing.good_proof'::text as rule_id,
    '1'::text as rule_version,
    case
        when proofs.shipment_id is null then 'delivered, but no proof of delivery came'
        when hold.shipment_id is null then 'proven; the invoice is being made'
        else 'held until what is missing comes'
    end as reason
from {{ ref('shipment') }} as shipment
inner join {{ ref('delivery') }} as delivery
    on delivery.shipment_id = shipment.shipment_id and delivery.is_current
left join {{ ref('sales_order') }} as orders on orders.order_id = delivery.order_id
left join {{ ref('customer') }} as customer on customer.customer_id = orders.customer_id and customer.is_current
left join proofs on proofs.shipment_id = shipment.shipment_id
left join {{ ref('billing_hold') }} as hold on hold.shipment_id = shipment.shipment_id
left join amounts on amounts.shipment_id = delivery.shipment_id and amounts.order_id = delivery.order_id
left join billed on billed.shipment_id = delivery.shipment_id and billed.order_id = delivery.order_id
where shipment.milestone_rank >= 70 and shipment.direction <> 'inbound' and billed.order_id is null
