{{ config(
    materialized='incremental',
    unique_key=['feed', 'record_id'],
    tags=['shipments'],
    indexes=[{'columns': ['shipment_id']}],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with plans as (
    select *
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
),

newest_plan as (
    select distinct on (shipment_id) shipment_id, scac, stops
    from plans
    order by shipment_id, plan_version desc, occurred_at desc nulls last, record_id desc
),

reference_keys as (
    select distinct shipment_id, 'shipment_id' as reference_kind, shipment_number as reference, null::text as scac
    from plans
    union
    select shipment_id, 'pro', pro_number, scac from plans
    where pro_number is not null
    union
    select shipment_id, 'bol', bol_number, scac from plans
    where bol_number is not null
),

named as (
    select distinct on (keys.shipment_id, event.feed, event.record_id)
        keys.shipment_id,
        event.*
    from reference_keys as keys
    inner join {{ ref('stg_tracking__status_events') }} as event
        on event.reference = keys.reference and event.reference_kind = keys.reference_kind
    where
        keys.reference_kind = 'shipment_id'
        or (
            (event.scac is null or keys.scac is null or event.scac = keys.scac)
            -- a number that fits several shipments names none
            and (
                keys.reference_kind <> 'pro'
                or not exists (
                    select 1
                    from {{ ref('stg_tms__shipment_plans') }} as other
                    where
                        other.pro_number = event.reference
                        and other.shipment_id <> keys.shipment_id
                        and (event.scac is null or other.scac is null or event.scac = other.scac)
                )
            )
            and (
                keys.reference_kind <> 'bol'
                or not exists (
                    select 1
                    from {{ ref('stg_tms__shipment_plans') }} as other
                    where
                        other.bol_number = event.reference
                        and other.shipment_id <> keys.shipment_id
                        and (event.scac is null or other.scac is null or event.scac = other.scac)
                )
            )
        )
),

events as (
    select
        shipment_id,
        feed,
        record_id,
        source_event_id,
        code_set,
        status_code,
        reason_code,
        is_appointment,
        stop_sequence,
        scac,
        (details ->> 'round')::int as stated_round,
        occurred_at,
        occurred_local_at,
        admitted_at,
        correlation_id
    from named
    union all
    select
        pod.shipment_id,
        'driver.pod',
        pod.record_id,
        pod.source_event_id,
        'driver',
        'pod_captured',
        null,
        false,
        pod.stop_sequence,
        null,
        null,
        pod.captured_at,
        null,
        pod.admitted_at,
        pod.correlation_id
    from {{ ref('stg_driver__proofs_of_delivery') }} as pod
    inner join newest_plan on newest_plan.shipment_id = pod.shipment_id
),

mapped as (
    select
        events.*,
        case when events.is_appointment then 'informational' else coalesce(map.signal, 'informational') end as signal,
        case when events.is_appointment is not true then map.milestone end as milestone,
        case when events.is_appointment is not true then map.milestone_rank end as milestone_rank,
        coalesce(map.stop_kind, 'any') as stop_kind,
        newest_plan.scac as planned_scac,
        -- a time without zone is local to the stop that it is about
        coalesce(events.occurred_at, events.occurred_local_at at time zone zone.time_zone) as happened_at
    from events
    inner join newest_plan on newest_plan.shipment_id = events.shipment_id
    left join {{ ref('status_code_map') }} as map
        on map.code_set = events.code_set and map.status_code = events.status_code
    left join lateral (
        select stop.value ->> 'time_zone' as time_zone
        from jsonb_array_elements(newest_plan.stops) as stop
        order by
            (stop.value ->> 'sequence')::int is not distinct from events.stop_sequence desc,
            case when map.stop_kind = 'pickup' then (stop.value ->> 'sequence')::int end,
            (stop.value ->> 'sequence')::int desc
        limit 1
    ) as zone on true
),

declines as (
    select
        shipment_id,
        happened_at,
        coalesce(
            stated_round,
            row_number() over (partition by shipment_id order by happened_at nulls last, record_id)
        ) as declined_round
    from mapped
    where signal = 'declined'
),

rounds_then as (
    select mapped.feed, mapped.record_id, count(*)::int + 1 as tender_round
    from mapped
    inner join declines
        on declines.shipment_id = mapped.shipment_id and declines.happened_at < mapped.happened_at
    group by mapped.feed, mapped.record_id
),

in_rounds as (
    select
        mapped.*,
        coalesce(round_now.tender_round, 1) as current_round,
        coalesce(
            mapped.stated_round,
            -- a carrier that is not the planned one any more speaks of a round that is over
            case
                when mapped.scac <> mapped.planned_scac then coalesce(round_now.tender_round, 1) - 1
                when mapped.code_set = 'tms' then coalesce(rounds_then.tender_round, 1)
            end,
            coalesce(round_now.tender_round, 1)
        ) as tender_round
    from mapped
    left join (
        select shipment_id, max(declined_round)::int + 1 as tender_round from declines
        group by shipment_id
    ) as round_now on round_now.shipment_id = mapped.shipment_id
    left join rounds_then on rounds_then.feed = mapped.feed and rounds_then.record_id = mapped.record_id
),

judged as (
    select
        *,
        -- tendering counts in the round that is open; what was physically done stands whatever the tenders say
        signal = 'milestone' and (milestone_rank >= 40 or tender_round >= current_round) as counts
    from in_rounds
),

-- its stop, or one further on, had been reported as far or further when it came
overtaken as (
    select distinct event.feed, event.record_id
    from judged as event
    inner join judged as before on before.shipment_id = event.shipment_id
    where
        event.counts
        and before.counts
        and (before.admitted_at, before.feed, before.record_id) < (event.admitted_at, event.feed, event.record_id)
        and before.milestone_rank >= event.milestone_rank
        and (
            before.stop_kind = 'any' or event.stop_kind = 'any'
            or (before.stop_kind, before.stop_sequence) is not distinct from (event.stop_kind, event.stop_sequence)
            or before.stop_sequence is null or event.stop_sequence is null
            or before.stop_sequence >= event.stop_sequence
        )
)

select
    event.feed,
    event.record_id,
    event.shipment_id,
    event.source_event_id,
    event.code_set,
    event.status_code,
    event.reason_code,
    event.signal,
    event.milestone,
    event.milestone_rank,
    event.stop_kind,
    event.stop_sequence,
    event.tender_round,
    event.counts,
    case
        when event.signal = 'milestone' and not event.counts then 'superseded'
        when event.signal in ('declined', 'cancelled') then 'correction'
        when event.signal in ('exception', 'delayed') then 'exception'
        when event.signal = 'informational' then 'informational'
        when overtaken.record_id is not null then 'late'
        else 'advanced'
    end as effect,
    event.happened_at as occurred_at,
    event.admitted_at,
    event.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged as event
left join overtaken on overtaken.feed = event.feed and overtaken.record_id = event.record_id
