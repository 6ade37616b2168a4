-- What was spent to reach a customer is no part of what goods cost to have.
select accrual.shipment_id, accrual.charge_code
from {{ ref('accrual') }} as accrual
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = accrual.shipment_id
where accrual.treatment = 'landed_cost' and shipment.direction <> 'inbound'
