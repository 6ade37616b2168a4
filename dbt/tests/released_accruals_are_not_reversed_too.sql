-- What was released is no longer owed: bills that come later take back only what is open beyond it.
with owed as (
    select
        'tms:' || (movement.attributes ->> 'shipment_id') as shipment_id,
        movement.attributes ->> 'charge_code' as charge_code,
        released.account,
        movement.currency,
        released.released_amount,
        sum(case when movement.credit_account = released.account then movement.amount else -movement.amount end) as owed
    from {{ ref('released_accrual') }} as released
    inner join {{ source('effects', 'movement') }} as movement
        on
            movement.attributes ->> 'shipment_id' = substr(released.shipment_id, 5)
            and movement.attributes ->> 'charge_code' = released.charge_code
            and movement.currency = released.currency
            and released.account in (movement.debit_account, movement.credit_account)
    where exists (
        select 1 from {{ source('effects', 'movement') }} as posted
        where posted.relation = 'movement__accrual_releases' and posted.aggregate_id = released.shipment_id
    )
    group by 1, 2, 3, 4, 5
)

select *
from owed
where sign(owed) = -sign(released_amount)
