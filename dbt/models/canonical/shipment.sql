{{ config(
    materialized='incremental',
    unique_key=['shipment_id'],
    tags=['shipments'],
    indexes=[
        {'columns': ['changed_in_run']},
        {'columns': ['scac', 'bol_number']},
        {'columns': ['scac', 'pro_number']},
        {'columns': ['scac', 'origin_postal', 'destination_postal', 'ship_on']},
    ],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with newest_plan as (
    select distinct on (shipment_id) *
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    order by shipment_id, plan_version desc, occurred_at desc nulls last, record_id desc
),

legs as (
    select
        shipment_id,
        count(*)::int as leg_count,
        min(milestone_rank) as least_rank,
        max(milestone_rank) as most_rank,
        case when min(milestone_rank) >= 40 then max(dispatched_at) end as dispatched_at,
        case when min(milestone_rank) >= 40 then max(dispatch_known_at) end as dispatch_known_at,
        case when min(milestone_rank) >= 50 then max(picked_up_at) end as picked_up_at,
        case when min(milestone_rank) >= 50 then max(pickup_known_at) end as pickup_known_at,
        case when min(milestone_rank) >= 70 then max(delivered_at) end as delivered_at,
        case when min(milestone_rank) >= 70 then max(delivery_known_at) end as delivery_known_at,
        case when min(milestone_rank) >= 80 then max(proven_at) end as proven_at,
        case when min(milestone_rank) >= 80 then max(proof_known_at) end as proof_known_at
    from {{ ref('leg') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    group by shipment_id
),

events as (
    select
        shipment_id,
        max(tender_round) filter (where signal = 'declined') as declined_rounds,
        bool_or(signal = 'cancelled') as has_cancellation,
        bool_or(signal = 'delayed') as is_delayed,
        bool_or(feed = 'driver.pod') as has_pod,
        jsonb_agg(distinct status_code) filter (where signal = 'exception') as exceptions
    from {{ ref('status_event') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    group by shipment_id
),

plan_parts as (
    select
        newest_plan.shipment_id,
        (
            select coalesce(jsonb_agg(distinct line.value ->> 'order_number'), '[]')
            from jsonb_array_elements(newest_plan.order_lines) as line
        ) as order_numbers,
        (
            select stop.value ->> 'postal_code' from jsonb_array_elements(newest_plan.stops) as stop
            order by (stop.value ->> 'sequence')::int
            limit 1
        ) as origin_postal,
        (
            select stop.value ->> 'postal_code' from jsonb_array_elements(newest_plan.stops) as stop
            order by (stop.value ->> 'sequence')::int desc
            limit 1
        ) as destination_postal
    from newest_plan
),

freight as (
    select
        shipment_id,
        sum(planned_amount) as planned_freight,
        min(currency) as currency,
        bool_or(basis = 'rated') as is_rated
    from {{ ref('planned_charge') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    group by shipment_id
),

states as (
    select
        newest_plan.shipment_id,
        -- called off only while nothing was picked up; after that a cancellation is only words
        coalesce(events.has_cancellation, false) and legs.most_rank < 50 as is_cancelled
    from newest_plan
    inner join legs on legs.shipment_id = newest_plan.shipment_id
    left join events on events.shipment_id = newest_plan.shipment_id
)

select
    newest_plan.shipment_id,
    newest_plan.shipment_number,
    newest_plan.plan_version,
    newest_plan.scac,
    newest_plan.pro_number,
    newest_plan.bol_number,
    newest_plan.booking_reference,
    newest_plan.equipment,
    newest_plan.direction,
    newest_plan.ship_on,
    newest_plan.weight_lb,
    newest_plan.pieces,
    plan_parts.origin_postal,
    plan_parts.destination_postal,
    plan_parts.order_numbers,
    coalesce(freight.currency, newest_plan.currency) as currency,
    coalesce(freight.planned_freight, 0)::numeric(18, 2) as planned_freight,
    coalesce(freight.is_rated, false) as is_rated,
    milestones.milestone,
    milestones.milestone_rank,
    states.is_cancelled,
    coalesce(events.is_delayed, false) as is_delayed,
    coalesce(events.exceptions, '[]'::jsonb) as exceptions,
    coalesce(events.declined_rounds, 0) + 1 as tender_round,
    legs.leg_count,
    coalesce(events.has_pod, false) as has_pod,
    case when not states.is_cancelled then legs.dispatched_at end as dispatched_at,
    case when not states.is_cancelled then legs.dispatch_known_at end as dispatch_known_at,
    case when not states.is_cancelled then legs.picked_up_at end as picked_up_at,
    case when not states.is_cancelled then legs.pickup_known_at end as pickup_known_at,
    case when not states.is_cancelled then legs.delivered_at end as delivered_at,
    case when not states.is_cancelled then legs.delivery_known_at end as delivery_known_at,
    case when not states.is_cancelled then legs.proven_at end as proven_at,
    case when not states.is_cancelled then legs.proof_known_at end as proof_known_at,
    newest_plan.record_id as plan_record_id,
    newest_plan.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from newest_plan
inner join plan_parts on plan_parts.shipment_id = newest_plan.shipment_id
inner join states on states.shipment_id = newest_plan.shipment_id
inner join legs on legs.shipment_id = newest_plan.shipment_id
left join events on events.shipment_id = newest_plan.shipment_id
left join freight on freight.shipment_id = newest_plan.shipment_id
-- as far as its least advanced leg
inner join {{ ref('milestones') }} as milestones
    on milestones.milestone_rank = case when states.is_cancelled then 0 else legs.least_rank end
