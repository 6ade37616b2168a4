-- What order lines bear of a charge is all of it, to the cent, in both currencies.
select
    share.shipment_id,
    share.charge_code,
    sum(share.planned_share) as planned,
    sum(share.accrued_share) as accrued,
    sum(share.functional_share) as functional
from {{ ref('freight_allocation') }} as share
inner join {{ ref('planned_charge') }} as charge
    on charge.shipment_id = share.shipment_id and charge.charge_code = share.charge_code
left join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = share.shipment_id and accrual.charge_code = share.charge_code
group by
    share.shipment_id, share.charge_code, charge.planned_amount, accrual.accrued_amount, accrual.functional_amount
having
    sum(share.planned_share) <> charge.planned_amount
    or sum(share.accrued_share) <> coalesce(accrual.accrued_amount, 0)
    or sum(share.functional_share) <> coalesce(accrual.functional_amount, 0)
