with accrual_accounts as (
    select distinct accrued_account as account from {{ source('rules', 'accrual_policy') }}
),

-- seen from the accrued account: credits are owed
entries as (
    select
        movement.attributes ->> 'shipment_id' as shipment_id,
        movement.attributes ->> 'charge_code' as charge_code,
        movement.attributes ->> 'scac' as scac,
        accrual_accounts.account,
        movement.currency,
        case when movement.credit_account = accrual_accounts.account then movement.amount else -movement.amount end
        as owed_amount,
        case
            when movement.relation <> 'movement__accruals' then 'reversed'
            when row_number() over (
                partition by movement.effect_key, movement.cause order by movement.movement_id
            ) = 1 then 'accrued'
            else 'adjusted'
        end as part,
        movement.cause
    from {{ source('effects', 'movement') }} as movement
    inner join accrual_accounts on accrual_accounts.account in (movement.debit_account, movement.credit_account)
),

summed as (
    select
        shipment_id,
        charge_code,
        scac,
        account,
        currency,
        coalesce(sum(owed_amount) filter (where part = 'accrued'), 0)::numeric(18, 2) as accrued,
        coalesce(-sum(owed_amount) filter (where part = 'reversed'), 0)::numeric(18, 2) as reversed,
        coalesce(sum(owed_amount) filter (where part = 'adjusted'), 0)::numeric(18, 2) as adjusted,
        sum(owed_amount)::numeric(18, 2) as open_amount
    from entries
    group by shipment_id, charge_code, scac, account, currency
)

select
    summed.shipment_id,
    summed.charge_code,
    summed.scac,
    summed.account,
    summed.currency,
    summed.accrued,
    summed.reversed,
    summed.adjusted,
    summed.open_amount,
    shipment.delivered_at,
    (
        select string_agg(orders.order_number, ', ' order by orders.order_number)
        from jsonb_array_elements_text(shipment.order_numbers) as orders (order_number)
    ) as order_numbers,
    accrual.rule_id,
    accrual.rule_version,
    accrual.reason
from summed
left join {{ ref('shipment') }} as shipment on shipment.shipment_id = 'tms:' || summed.shipment_id
left join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = 'tms:' || summed.shipment_id and accrual.charge_code = summed.charge_code
