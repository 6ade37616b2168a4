{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'leg'],
    tags=['shipments'],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with newest_plan as (
    select distinct on (shipment_id) shipment_id, legs, stops
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    order by shipment_id, plan_version desc, occurred_at desc nulls last, record_id desc
),

planned as (
    select newest_plan.shipment_id, planned_leg.leg, planned_leg.from_stop, planned_leg.to_stop
    from newest_plan
    cross join lateral jsonb_to_recordset(newest_plan.legs) as planned_leg (leg int, from_stop int, to_stop int)
    union all
    -- a plan without legs is one leg from its first stop to its last
    select newest_plan.shipment_id, 1, min(stop.sequence), max(stop.sequence)
    from newest_plan
    left join lateral jsonb_to_recordset(newest_plan.stops) as stop (sequence int) on true
    where coalesce(jsonb_array_length(newest_plan.legs), 0) = 0
    group by newest_plan.shipment_id
),

legs as (
    select
        *,
        row_number() over (partition by shipment_id order by leg) = 1 as is_first,
        row_number() over (partition by shipment_id order by leg desc) = 1 as is_last,
        max(to_stop) over (partition by shipment_id) as final_stop
    from planned
),

events as (
    select *
    from {{ ref('status_event') }}
    where counts and {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
),

-- where each leg began to move: what an en-route report without a stop can be about
departures as (
    select legs.shipment_id, legs.leg, min(events.occurred_at) as departed_at
    from legs
    inner join events
        on events.shipment_id = legs.shipment_id and events.stop_kind = 'pickup'
        and (events.stop_sequence = legs.from_stop or (events.stop_sequence is null and legs.is_first))
    group by legs.shipment_id, legs.leg
),

touching as (
    select legs.shipment_id, legs.leg, events.milestone_rank, events.occurred_at, events.admitted_at
    from legs
    inner join events on events.shipment_id = legs.shipment_id
    left join departures on departures.shipment_id = legs.shipment_id and departures.leg = legs.leg
    where
        case
            -- the proof at the last stop proves every leg before it
            when events.milestone = 'pod_received'
                then coalesce(events.stop_sequence, legs.final_stop) >= legs.final_stop
                    or events.stop_sequence = legs.to_stop
            when events.stop_kind = 'any' then true
            when events.stop_kind = 'pickup'
                then events.stop_sequence = legs.from_stop or (events.stop_sequence is null and legs.is_first)
            when events.stop_kind = 'delivery'
                then events.stop_sequence = legs.to_stop or (events.stop_sequence is null and legs.is_last)
            when events.stop_sequence is not null
                then events.stop_sequence = legs.from_stop
                    or (events.stop_sequence = legs.to_stop and legs.is_last)
            else legs.is_first or departures.departed_at <= events.occurred_at
        end
),

reached as (
    select
        shipment_id,
        leg,
        max(milestone_rank) as milestone_rank,
        min(occurred_at) filter (where milestone_rank >= 40) as dispatched_at,
        min(admitted_at) filter (where milestone_rank >= 40) as dispatch_known_at,
        min(occurred_at) filter (where milestone_rank >= 50) as picked_up_at,
        min(admitted_at) filter (where milestone_rank >= 50) as pickup_known_at,
        min(occurred_at) filter (where milestone_rank >= 70) as delivered_at,
        min(admitted_at) filter (where milestone_rank >= 70) as delivery_known_at,
        min(occurred_at) filter (where milestone_rank >= 80) as proven_at,
        min(admitted_at) filter (where milestone_rank >= 80) as proof_known_at
    from touching
    group by shipment_id, leg
)

select
    legs.shipment_id,
    legs.leg,
    legs.from_stop,
    legs.to_stop,
    milestones.milestone,
    milestones.milestone_rank,
    reached.dispatched_at,
    reached.dispatch_known_at,
    reached.picked_up_at,
    reached.pickup_known_at,
    reached.delivered_at,
    reached.delivery_known_at,
    reached.proven_at,
    reached.proof_known_at,
    '{{ run_id() }}'::text as changed_in_run
from legs
left join reached on reached.shipment_id = legs.shipment_id and reached.leg = legs.leg
inner join {{ ref('milestones') }} as milestones
    on milestones.milestone_rank = greatest(coalesce(reached.milestone_rank, 10), 10)
