{{ config(
    materialized='incremental',
    unique_key=['shipment_id'],
    tags=['accruals'],
    meta={
        'consumer': 'post_accruals',
        'scope': {'relation': 'decisions.scope_post_accruals', 'aggregate_type': 'shipment', 'column': 'shipment_id'}
    },
) }}

-- A row stays where a shipment is not self-billed (any more): what was made of it has to be looked at again. Where no
-- contract ever said so there are none.
with moving as (
    select
        shipment.shipment_id,
        shipment.shipment_number,
        coalesce(shipment.scac, '') as scac,
        coalesce(unit.business_unit, '') as business_unit,
        shipment.milestone_rank,
        shipment.is_cancelled,
        shipment.ship_on,
        shipment.delivered_at,
        shipment.delivery_known_at,
        shipment.proven_at,
        shipment.proof_known_at,
        coalesce((shipment.dispatched_at at time zone 'UTC')::date, shipment.ship_on) as dispatched_on,
        coalesce(shipment.dispatch_known_at, 'infinity'::timestamptz) as dispatch_known_at,
        shipment.correlation_id,
        {{ rule_day(
            'self_billing_policy', "coalesce((shipment.dispatched_at at time zone 'UTC')::date, shipment.ship_on)"
        ) }} as day_epoch,
        {{ rule_known(
            'self_billing_policy', "coalesce(shipment.dispatch_known_at, 'infinity'::timestamptz)"
        ) }} as known_epoch
    from {{ ref('shipment') }} as shipment
    left join {{ ref('shipment_unit') }} as unit on unit.shipment_id = shipment.shipment_id
    where
        exists (
            select 1
            from {{ source('rules', 'self_billing_policy') }} as rule
            where rule.is_self_billed
        )
        and {{ in_scope('shipment.shipment_id', ref('scope_post_accruals'), 'shipment') }}
),

-- the contract with which it set off
policies as (
    select asked.scac, asked.business_unit, asked.day_epoch, asked.known_epoch, policy.*
    from (
        select
            scac, business_unit, day_epoch, known_epoch,
            min(dispatched_on) as valid_on,
            min(dispatch_known_at) as known_at
        from moving
        group by scac, business_unit, day_epoch, known_epoch
    ) as asked
    cross join lateral {{ rule_in_force(
        'self_billing_policy', ['newest.is_self_billed', 'newest.from_milestone'],
        "newest.scac in (asked.scac, '*') and newest.business_unit in (asked.business_unit, '*')",
        "newest.scac <> '*' desc, newest.business_unit <> '*' desc", 'asked.valid_on', 'asked.known_at'
    ) }} as policy
),

ruled as (
    select
        moving.*,
        coalesce(policies.is_self_billed, false) as is_self_billed,
        policies.from_milestone,
        policies.rule_id,
        policies.rule_version,
        case policies.from_milestone when 'pod_received' then moving.proven_at else moving.delivered_at end as reached_at,
        case policies.from_milestone when 'pod_received' then moving.proof_known_at else moving.delivery_known_at end
        as reach_known_at,
        coalesce(policies.is_self_billed, false) and not moving.is_cancelled
        and moving.milestone_rank >= case policies.from_milestone when 'pod_received' then 80 else 70 end as is_due
    from moving
    left join policies
        on policies.scac = moving.scac
        and policies.business_unit = moving.business_unit
        and policies.day_epoch = moving.day_epoch
        and policies.known_epoch = moving.known_epoch
)

select
    shipment_id,
    nullif(scac, '') as scac,
    'SB-' || shipment_number as bill_number,
    'SELF:SB-' || shipment_number as carrier_invoice_id,
    is_self_billed,
    from_milestone,
    case
        when is_due
            then coalesce((reached_at at time zone 'UTC')::date, ship_on, (reach_known_at at time zone 'UTC')::date)
    end as billed_on,
    case when is_due then reach_known_at end as known_at,
    rule_id,
    rule_version::text as rule_version,
    case
        when rule_id is null then 'no self-billing policy was known when it set off'
        when not is_self_billed then 'the carrier bills for itself'
        when is_due then 'the contract lets us bill ourselves, from ' || replace(from_milestone, '_', ' ') || ' on'
        else 'the contract lets us bill ourselves: waits until it is ' || replace(from_milestone, '_', ' ')
    end as reason,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from ruled
