{{ config(materialized='table', tags=['close']) }}

with accrual_accounts as (
    select distinct accrued_account as account from {{ source('rules', 'accrual_policy') }}
),

entries as (
    select
        'tms:' || (movement.attributes ->> 'shipment_id') as shipment_id,
        movement.attributes ->> 'charge_code' as charge_code,
        movement.attributes ->> 'scac' as scac,
        accrual_accounts.account,
        movement.currency,
        movement.functional_currency,
        case when movement.credit_account = accrual_accounts.account then 1 else -1 end * movement.amount as owed_amount,
        case when movement.credit_account = accrual_accounts.account then 1 else -1 end
        * movement.functional_amount as owed_functional,
        case when movement.relation = 'movement__accruals' then movement.posted_on end as accrued_on,
        case when movement.relation = 'movement__accruals' then movement.correlation_id end as correlation_id
    from {{ source('effects', 'movement') }} as movement
    inner join accrual_accounts on accrual_accounts.account in (movement.debit_account, movement.credit_account)
    where movement.attributes ->> 'shipment_id' is not null and movement.attributes ->> 'charge_code' is not null
),

still_open as (
    select
        shipment_id,
        charge_code,
        account,
        currency,
        functional_currency,
        min(scac) as scac,
        sum(owed_amount)::numeric(18, 2) as open_amount,
        sum(owed_functional)::numeric(18, 2) as functional_amount,
        min(accrued_on) as accrued_on,
        min(correlation_id) as correlation_id
    from entries
    group by shipment_id, charge_code, account, currency, functional_currency
    having sum(owed_amount) <> 0 and min(accrued_on) is not null
),

-- once for each carrier and charge, however many accruals there are
policies as (
    select keys.scac, keys.charge_code, policy.*
    from (select distinct scac, charge_code from still_open) as keys
    cross join lateral {{ rule_in_force(
        'accrual_release', ['newest.after_days', 'newest.release_account'],
        "newest.scac in (keys.scac, '*') and newest.charge_code in (keys.charge_code, '*')",
        "newest.scac <> '*' desc, newest.charge_code <> '*' desc",
        "('" ~ var('as_of') ~ "'::timestamptz at time zone 'UTC')::date", "'" ~ var('as_of') ~ "'::timestamptz"
    ) }} as policy
),

proposed as (
    select distinct on (proposal.shipment_id, proposal.charge_code, proposal.account, proposal.currency)
        proposal.shipment_id,
        proposal.charge_code,
        proposal.account,
        proposal.currency,
        proposal.proposal_id,
        proposal.open_amount,
        approval.verdict
    from {{ source('effects', 'accrual_release_proposal') }} as proposal
    left join {{ source('effects', 'decision_approval') }} as approval
        on approval.subject = 'accrual_release' and approval.subject_id = proposal.proposal_id
    order by
        proposal.shipment_id, proposal.charge_code, proposal.account, proposal.currency, proposal.proposal_id desc
)

select
    still_open.shipment_id,
    still_open.charge_code,
    still_open.scac,
    still_open.account,
    policies.release_account,
    still_open.currency,
    still_open.open_amount,
    still_open.functional_currency,
    still_open.functional_amount,
    still_open.accrued_on,
    ('{{ var("as_of") }}'::timestamptz at time zone 'UTC')::date - still_open.accrued_on as age_days,
    case
        -- another amount is open since: it is asked anew
        when (proposed.open_amount is distinct from still_open.open_amount) then 'due'
        when proposed.verdict = 'approved' then 'approved'
        when proposed.verdict = 'refused' then 'refused'
        else 'proposed'
    end as state,
    proposed.proposal_id,
    policies.rule_id,
    policies.rule_version::text as rule_version,
    still_open.scac || ' has not billed ' || still_open.open_amount || ' ' || still_open.currency || ' of '
    || still_open.charge_code || ' on ' || substr(still_open.shipment_id, 5) || ' within ' || policies.after_days
    || ' days of ' || to_char(still_open.accrued_on, 'YYYY-MM-DD') as reason,
    still_open.correlation_id
from still_open
inner join policies on policies.scac = still_open.scac and policies.charge_code = still_open.charge_code
left join proposed
    on
        proposed.shipment_id = still_open.shipment_id and proposed.charge_code = still_open.charge_code
        and proposed.account = still_open.account and proposed.currency = still_open.currency
where
    ('{{ var("as_of") }}'::timestamptz at time zone 'UTC')::date - still_open.accrued_on >= policies.after_days
