select shipment.shipment_id, shipment.planned_freight, coalesce(sum(charge.planned_amount), 0) as charged
from {{ ref('shipment') }} as shipment
left join {{ ref('planned_charge') }} as charge on charge.shipment_id = shipment.shipment_id
group by shipment.shipment_id, shipment.planned_freight
having coalesce(sum(charge.planned_amount), 0) <> shipment.planned_freight
