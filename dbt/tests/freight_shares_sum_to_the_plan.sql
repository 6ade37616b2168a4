-- What orders are charged of a shipment's freight is all of it, to the cent.
select shipment.shipment_id, shipment.planned_freight, sum(delivery.freight_share) as shared
from {{ ref('shipment') }} as shipment
inner join {{ ref('delivery') }} as delivery
    on delivery.shipment_id = shipment.shipment_id and delivery.is_current
group by shipment.shipment_id, shipment.planned_freight
having sum(delivery.freight_share) <> shipment.planned_freight
