{{ config(materialized='view', tags=['static']) }}

-- What a period's books hold open in foreign currency at its end. Read from the log: in which period an entry stands is
-- decided when it is made. Revaluations themselves are on an account of their own, and no item is open because of them.
with periods as (
    select distinct on (period)
        period,
        (to_date(period, 'YYYY-MM') + interval '1 month' - interval '1 day')::date as revalued_on,
        requested_at,
        revaluation_id
    from {{ source('effects', 'revaluation') }}
    order by period, revaluation_id desc
),

accounts as (
    select accrued_account as account, 'accrual' as item_kind from {{ source('rules', 'accrual_policy') }}
    union
    select payable_account, 'payable' from {{ source('rules', 'settlement_policy') }}
    union
    select receivable_account, 'receivable' from {{ source('rules', 'billing_policy') }}
    union
    select unapplied_account, 'customer_money' from {{ source('rules', 'payment_policy') }}
    union
    select claim_account, 'claim' from {{ source('rules', 'settlement_policy') }}
),

entries as (
    select
        accounts.item_kind,
        accounts.account,
        movement.period as posted_in,
        movement.currency,
        movement.functional_currency,
        case
            -- of a claim: what bills claimed, and credits and money gave back
            when accounts.item_kind in ('accrual', 'claim')
                then (movement.attributes ->> 'shipment_id') || '|' || (movement.attributes ->> 'charge_code')
            when accounts.item_kind = 'payable'
                then (movement.attributes ->> 'scac') || '|' || (movement.attributes ->> 'invoice_number')
            -- what was billed, credited and paid of it
            when accounts.item_kind = 'receivable'
                then coalesce(movement.attributes ->> 'customer_invoice_id', movement.aggregate_id)
            when accounts.item_kind = 'customer_money' then movement.aggregate_id
        end as item_key,
        movement.attributes ->> 'business_unit' as business_unit,
        movement.attributes ->> 'scac' as scac,
        case when movement.credit_account = accounts.account then movement.amount else -movement.amount end as amount,
        case
            when movement.credit_account = accounts.account then movement.functional_amount
            else -movement.functional_amount
        end as functional_amount
    from {{ source('effects', 'movement') }} as movement
    inner join accounts on accounts.account in (movement.debit_account, movement.credit_account)
    where movement.currency <> movement.functional_currency and movement.relation <> 'movement__revaluation'
)

select
    periods.period,
    periods.revalued_on,
    periods.requested_at,
    entries.item_kind,
    coalesce(entries.item_key, '(none)') as item_key,
    entries.account,
    max(entries.scac) as scac,
    coalesce(max(entries.business_unit), '') as business_unit,
    entries.currency,
    entries.functional_currency,
    sum(entries.amount)::numeric(18, 2) as open_amount,
    sum(entries.functional_amount)::numeric(18, 2) as book_amount
from periods
inner join entries on entries.posted_in <= periods.period
group by
    periods.period, periods.revalued_on, periods.requested_at, entries.item_kind, entries.item_key, entries.account,
    entries.currency, entries.functional_currency
having sum(entries.amount) <> 0
