with accrual_accounts as (
    select distinct accrued_account as account from {{ source('rules', 'accrual_policy') }}
),

entries as (
    select
        accrual_accounts.account,
        movement.attributes ->> 'charge_code' as charge_code,
        movement.attributes ->> 'scac' as scac,
        movement.currency,
        case when movement.credit_account = accrual_accounts.account then movement.amount else -movement.amount end
        as owed_amount,
        case
            when movement.posted_on < ('{{ var("as_of") }}'::timestamptz at time zone 'UTC')::date then 'opening'
            when movement.relation <> 'movement__accruals' then 'reversed'
            when row_number() over (
                partition by movement.effect_key, movement.cause order by movement.movement_id
            ) = 1 then 'accrued'
            else 'adjusted'
        end as part
    from {{ source('effects', 'movement') }} as movement
    inner join accrual_accounts on accrual_accounts.account in (movement.debit_account, movement.credit_account)
)

select
    account,
    charge_code,
    scac,
    currency,
    coalesce(sum(owed_amount) filter (where part = 'opening'), 0)::numeric(18, 2) as opening,
    coalesce(sum(owed_amount) filter (where part = 'accrued'), 0)::numeric(18, 2) as accrued,
    coalesce(-sum(owed_amount) filter (where part = 'reversed'), 0)::numeric(18, 2) as reversed,
    coalesce(sum(owed_amount) filter (where part = 'adjusted'), 0)::numeric(18, 2) as adjusted,
    sum(owed_amount)::numeric(18, 2) as closing
from entries
group by account, charge_code, scac, currency
