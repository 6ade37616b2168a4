{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'charge_code'],
    tags=['accruals'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'post_accruals',
        'scope': {'relation': 'decisions.scope_post_accruals', 'aggregate_type': 'shipment', 'column': 'shipment_id'}
    },
) }}

with delivered as (
    select *
    from {{ ref('shipment') }}
    where
        milestone_rank >= 70 and not is_cancelled
        and {{ in_scope('shipment_id', ref('scope_post_accruals'), 'shipment') }}
)

select
    delivered.shipment_id,
    charge.charge_code,
    delivered.scac,
    delivered.delivered_at,
    charge.currency,
    charge.planned_amount as accrued_amount,
    account.ledger_account as expense_account,
    policy.accrued_account,
    policy.rule_id,
    policy.rule_version::text as rule_version,
    'delivered: planned ' || charge.charge_code || ' of plan version ' || delivered.plan_version
    || ' is owed until the carrier bills it' as reason,
    delivered.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from delivered
inner join {{ ref('planned_charge') }} as charge on charge.shipment_id = delivered.shipment_id
cross join lateral {{ rule_in_force(
    'accrual_policy', ['newest.accrued_account'],
    "newest.scac in (delivered.scac, '*') and newest.from_milestone = 'delivered'",
    "newest.scac <> '*' desc",
    'coalesce(delivered.delivered_at::date, delivered.ship_on)', 'delivered.delivery_known_at'
) }} as policy
cross join lateral {{ expense_account('charge.charge_code', 'delivered.scac', 'delivered.delivered_at') }} as account
