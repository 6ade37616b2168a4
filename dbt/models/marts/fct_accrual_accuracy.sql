with accrual_accounts as (
    select distinct accrued_account as account from {{ source('rules', 'accrual_policy') }}
),

payable_accounts as (
    select distinct payable_account as account from {{ source('rules', 'settlement_policy') }}
),

-- seen from what is owed: credits count
entries as (
    select
        'accrued' as part,
        movement.attributes ->> 'shipment_id' as shipment_number,
        movement.attributes ->> 'charge_code' as charge_code,
        movement.attributes ->> 'scac' as scac,
        movement.currency,
        movement.functional_currency,
        movement.posted_on,
        case when movement.credit_account = owed.account then 1 else -1 end * movement.amount as amount,
        case when movement.credit_account = owed.account then 1 else -1 end * movement.functional_amount
        as functional_amount
    from {{ source('effects', 'movement') }} as movement
    inner join accrual_accounts as owed on owed.account in (movement.debit_account, movement.credit_account)
    where movement.relation = 'movement__accruals'
    union all
    select
        'invoiced',
        movement.attributes ->> 'shipment_id',
        movement.attributes ->> 'charge_code',
        movement.attributes ->> 'scac',
        movement.currency,
        movement.functional_currency,
        movement.posted_on,
        case when movement.credit_account = owed.account then 1 else -1 end * movement.amount,
        case when movement.credit_account = owed.account then 1 else -1 end * movement.functional_amount
    from {{ source('effects', 'movement') }} as movement
    inner join payable_accounts as owed on owed.account in (movement.debit_account, movement.credit_account)
    where movement.relation = 'movement__settlement'
),

items as (
    select
        shipment_number,
        charge_code,
        max(scac) as scac,
        currency,
        functional_currency,
        min(posted_on) as first_posted_on,
        bool_or(part = 'invoiced') as is_billed,
        coalesce(sum(amount) filter (where part = 'accrued'), 0) as accrued_amount,
        coalesce(sum(amount) filter (where part = 'invoiced'), 0) as invoiced_amount,
        coalesce(sum(functional_amount) filter (where part = 'accrued'), 0) as accrued_functional,
        coalesce(sum(functional_amount) filter (where part = 'invoiced'), 0) as invoiced_functional
    from entries
    group by shipment_number, charge_code, currency, functional_currency
),

placed as (
    select
        items.*,
        to_char(coalesce(accrual.accrued_on, items.first_posted_on), 'YYYY-MM') as month,
        coalesce(shipment.origin_postal, '') as origin_postal,
        coalesce(shipment.destination_postal, '') as destination_postal
    from items
    left join {{ ref('shipment') }} as shipment on shipment.shipment_id = 'tms:' || items.shipment_number
    left join {{ ref('accrual') }} as accrual
        on accrual.shipment_id = 'tms:' || items.shipment_number and accrual.charge_code = items.charge_code
    -- what was accrued and taken back again without a bill is neither right nor wrong
    where items.is_billed or items.accrued_amount <> 0
),

summed as (
    select
        month,
        coalesce(scac, '') as scac,
        origin_postal,
        destination_postal,
        coalesce(charge_code, '') as charge_code,
        currency,
        functional_currency,
        count(*)::int as charges,
        count(*) filter (where is_billed)::int as billed_charges,
        count(*) filter (where is_billed and accrued_amount = 0)::int as unaccrued_charges,
        sum(accrued_amount)::numeric(18, 2) as accrued_amount,
        coalesce(sum(accrued_amount) filter (where not is_billed), 0)::numeric(18, 2) as unbilled_amount,
        coalesce(sum(accrued_amount) filter (where is_billed), 0)::numeric(18, 2) as billed_accrued_amount,
        sum(invoiced_amount)::numeric(18, 2) as invoiced_amount,
        -- misses don't cancel: one too high and one too low are two
        coalesce(sum(abs(invoiced_amount - accrued_amount)) filter (where is_billed), 0)::numeric(18, 2)
        as missed_amount,
        sum(accrued_functional)::numeric(18, 2) as accrued_functional,
        coalesce(sum(accrued_functional) filter (where is_billed), 0)::numeric(18, 2) as billed_accrued_functional,
        sum(invoiced_functional)::numeric(18, 2) as invoiced_functional
    from placed
    group by month, scac, origin_postal, destination_postal, charge_code, currency, functional_currency
)

select
    month,
    scac,
    origin_postal,
    destination_postal,
    charge_code,
    currency,
    functional_currency,
    charges,
    billed_charges,
    unaccrued_charges,
    accrued_amount,
    unbilled_amount,
    billed_accrued_amount,
    invoiced_amount,
    (invoiced_amount - billed_accrued_amount)::numeric(18, 2) as variance_amount,
    missed_amount,
    round(100 - 100 * missed_amount / nullif(abs(invoiced_amount), 0), 2)::numeric(18, 2) as accuracy_percent,
    accrued_functional,
    billed_accrued_functional,
    invoiced_functional,
    (invoiced_functional - billed_accrued_functional)::numeric(18, 2) as variance_functional
from summed
