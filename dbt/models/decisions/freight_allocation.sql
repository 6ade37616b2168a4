{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'charge_code', 'order_id', 'order_line'],
    tags=['accruals'],
    meta={
        'consumer': 'post_accruals',
        'scope': {'relation': 'decisions.scope_post_accruals', 'aggregate_type': 'shipment', 'column': 'shipment_id'}
    },
) }}

with lines as (
    select
        *,
        -- a measure counts where every line has it, none below zero, and one above
        min(coalesce(weight, -1)) over shipments >= 0 and max(weight) over shipments > 0 as by_weight,
        min(coalesce(volume, -1)) over shipments >= 0 and max(volume) over shipments > 0 as by_volume,
        min(coalesce(pieces, -1)) over shipments >= 0 and max(pieces) over shipments > 0 as by_pieces,
        -- values in several currencies can't be compared
        min(coalesce(value, -1)) over shipments >= 0 and max(value) over shipments > 0
        and min(value_currency) over shipments = max(value_currency) over shipments as by_value
    from {{ ref('shipment_line_measure') }}
    where {{ in_scope('shipment_id', ref('scope_post_accruals'), 'shipment') }}
    window shipments as (partition by shipment_id)
),

charges as (
    select
        charge.shipment_id,
        charge.charge_code,
        charge.currency,
        charge.planned_amount,
        coalesce(accrual.accrued_amount, 0) as accrued_amount,
        unit.functional_currency,
        coalesce(accrual.functional_amount, 0) as functional_amount,
        coalesce(shipment.scac, '') as scac,
        unit.business_unit as bearing_unit,
        coalesce((shipment.dispatched_at at time zone 'UTC')::date, shipment.ship_on) as dispatched_on,
        shipment.dispatch_known_at
    from {{ ref('shipment') }} as shipment
    inner join {{ ref('shipment_unit') }} as unit on unit.shipment_id = shipment.shipment_id
    inner join {{ ref('planned_charge') }} as charge on charge.shipment_id = shipment.shipment_id
    left join {{ ref('accrual') }} as accrual
        on accrual.shipment_id = charge.shipment_id and accrual.charge_code = charge.charge_code
    where
        shipment.milestone_rank >= 40 and not shipment.is_cancelled
        and {{ in_scope('shipment.shipment_id', ref('scope_post_accruals'), 'shipment') }}
),

numbered as (
    select
        *,
        {{ rule_day('allocation_policy', 'dispatched_on') }} as day_epoch,
        {{ rule_known('allocation_policy', 'dispatch_known_at') }} as known_epoch
    from charges
),

rule_keys as (
    select
        scac,
        charge_code,
        bearing_unit,
        day_epoch,
        known_epoch,
        min(dispatched_on) as dispatched_on,
        min(dispatch_known_at) as known_at
    from numbered
    group by scac, charge_code, bearing_unit, day_epoch, known_epoch
),

policies as (
    select
        rule_keys.scac,
        rule_keys.charge_code,
        rule_keys.bearing_unit,
        rule_keys.day_epoch,
        rule_keys.known_epoch,
        policy.*
    from rule_keys
    cross join lateral {{ rule_in_force(
        'allocation_policy', ['newest.measures'],
        "newest.scac in (rule_keys.scac, '*') and newest.charge_code in (rule_keys.charge_code, '*')"
        ~ " and newest.business_unit in (rule_keys.bearing_unit, '*')",
        "newest.charge_code <> '*' desc, newest.scac <> '*' desc, newest.business_unit <> '*' desc",
        'rule_keys.dispatched_on', 'rule_keys.known_at'
    ) }} as policy
),

chosen as (
    select
        numbered.*,
        lines.order_id,
        lines.order_line,
        lines.business_unit,
        lines.weight,
        lines.volume,
        lines.pieces,
        lines.value,
        policies.measures,
        coalesce(policies.rule_id, 'allocation.equal') as rule_id,
        coalesce(policies.rule_version::text, '1') as rule_version,
        {%- for position in range(1, 5) %}
        {{ 'coalesce(' if loop.first }}case
            when policies.measures[{{ position }}] = 'weight' and lines.by_weight then 'weight'
            when policies.measures[{{ position }}] = 'volume' and lines.by_volume then 'volume'
            when policies.measures[{{ position }}] = 'pieces' and lines.by_pieces then 'pieces'
            when policies.measures[{{ position }}] = 'value' and lines.by_value then 'value'
        end{{ ', ' if not loop.last else ", 'equal') as measure" }}
        {%- endfor %}
    from numbered
    inner join lines on lines.shipment_id = numbered.shipment_id
    left join policies
        on policies.scac = numbered.scac
        and policies.charge_code = numbered.charge_code
        and policies.bearing_unit = numbered.bearing_unit
        and policies.day_epoch = numbered.day_epoch
        and policies.known_epoch = numbered.known_epoch
),

measured as (
    select
        *,
        case measure
            when 'weight' then weight
            when 'volume' then volume
            when 'pieces' then pieces
            when 'value' then value
            else 1
        end as part
    from chosen
)

select
    shipment_id,
    charge_code,
    order_id,
    order_line,
    business_unit,
    measure,
    part,
    whole_counted as whole,
    currency,
    planned_share,
    accrued_share,
    functional_currency,
    functional_share,
    rule_id,
    rule_version,
    case
        when measure = 'equal' then 'each line alike: no measure of the policy is known of all of them'
        else 'by ' || measure || ': ' || trim_scale(part) || ' of ' || trim_scale(whole_counted)
    end as reason,
    '{{ run_id() }}'::text as changed_in_run
from {{ allocated(
    'measured', ['shipment_id', 'charge_code'], ['order_id', 'order_line'], 'part',
    {'planned_amount': 'planned_share', 'accrued_amount': 'accrued_share', 'functional_amount': 'functional_share'}
) }} as shares
