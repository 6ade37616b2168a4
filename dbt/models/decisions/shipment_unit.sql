{{ config(
    materialized='incremental',
    unique_key=['shipment_id'],
    tags=['accruals'],
    meta={
        'consumer': 'post_accruals',
        'scope': {'relation': 'decisions.scope_post_accruals', 'aggregate_type': 'shipment', 'column': 'shipment_id'}
    },
) }}

with moving as (
    select
        shipment_id,
        coalesce((dispatched_at at time zone 'UTC')::date, ship_on) as dispatched_on,
        dispatch_known_at
    from {{ ref('shipment') }}
    where
        milestone_rank >= 40 and not is_cancelled
        and {{ in_scope('shipment_id', ref('scope_post_accruals'), 'shipment') }}
),

-- whose goods are bought
bought as (
    select order_id, min(coalesce(business_unit, '')) as business_unit
    from {{ ref('purchase_order_line') }}
    group by order_id
),

parts as (
    select
        moving.shipment_id,
        coalesce(orders.business_unit, bought.business_unit) as business_unit,
        sum(part.weight_lb) as weight_lb,
        count(*) as orders
    from moving
    inner join {{ ref('delivery') }} as part on part.shipment_id = moving.shipment_id and part.is_current
    left join {{ ref('sales_order') }} as orders on orders.order_id = part.order_id
    left join bought on bought.order_id = part.order_id
    where orders.order_id is not null or bought.order_id is not null
    group by moving.shipment_id, coalesce(orders.business_unit, bought.business_unit)
),

-- the most weight, then the most orders, then the lowest name
leading_units as (
    select distinct on (shipment_id)
        shipment_id,
        business_unit,
        count(*) over (partition by shipment_id)::int as unit_count
    from parts
    order by shipment_id, weight_lb desc, orders desc, business_unit
),

units as (
    select
        moving.shipment_id,
        coalesce(leading_units.business_unit, '') as business_unit,
        coalesce(leading_units.unit_count, 0) as unit_count,
        moving.dispatched_on,
        moving.dispatch_known_at,
        {{ rule_day('currency_policy', 'moving.dispatched_on') }} as day_epoch,
        {{ rule_known('currency_policy', 'moving.dispatch_known_at') }} as known_epoch
    from moving
    left join leading_units on leading_units.shipment_id = moving.shipment_id
),

rule_keys as (
    select
        business_unit,
        day_epoch,
        known_epoch,
        min(dispatched_on) as dispatched_on,
        min(dispatch_known_at) as known_at
    from units
    group by business_unit, day_epoch, known_epoch
),

policies as (
    select rule_keys.business_unit, rule_keys.day_epoch, rule_keys.known_epoch, policy.*
    from rule_keys
    cross join lateral {{ rule_in_force(
        'currency_policy', [
            'newest.functional_currency', 'newest.rate_source', 'newest.rate_max_age_days', 'newest.gain_account',
            'newest.loss_account'
        ],
        "newest.business_unit in (rule_keys.business_unit, '*')", "newest.business_unit <> '*' desc",
        'rule_keys.dispatched_on', 'rule_keys.known_at'
    ) }} as policy
)

select
    units.shipment_id,
    units.business_unit,
    units.unit_count,
    policies.functional_currency,
    policies.rate_source,
    policies.rate_max_age_days,
    policies.gain_account,
    policies.loss_account,
    policies.rule_id,
    policies.rule_version::text as rule_version,
    case
        when units.unit_count = 0 then 'no order is known yet'
        when units.business_unit = '' then 'the customer names no billing entity'
        when units.unit_count = 1 then 'billing entity of its customer'
        else 'most of its weight, of ' || units.unit_count || ' billing entities'
    end as reason,
    '{{ run_id() }}'::text as changed_in_run
from units
inner join policies
    on policies.business_unit = units.business_unit
    and policies.day_epoch = units.day_epoch
    and policies.known_epoch = units.known_epoch
