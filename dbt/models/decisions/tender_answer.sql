{{ config(materialized='view', tags=['static']) }}

-- A carrier's 990 is about the newest tender of the load that went to it by then; what the TMS says of the same round
-- stands beside it, for the TMS owns the tender.
with tenders as (
    select
        event.reference as shipment_number,
        event.scac,
        coalesce((event.details ->> 'round')::int, 1) as tender_round,
        min(event.occurred_at) filter (where event.status_code = 'tender_sent') as tendered_at,
        (
            array_agg(event.status_code order by event.occurred_at desc, event.record_id desc)
            filter (where event.status_code in ('tender_accepted', 'tender_declined'))
        )[1] as tms_status
    from {{ ref('stg_tracking__status_events') }} as event
    where
        event.code_set = 'tms' and event.reference_kind = 'shipment_id'
        and event.status_code in ('tender_sent', 'tender_accepted', 'tender_declined')
        and event.reference in (
            select response.shipment_number
            from {{ ref('stg_carriers__tender_responses') }} as response
        )
    group by event.reference, event.scac, coalesce((event.details ->> 'round')::int, 1)
)

select
    response.record_id,
    response.shipment_id,
    response.scac,
    response.decision,
    response.action_code,
    response.responded_on,
    response.note,
    tender.tender_round,
    tender.tendered_at,
    tender.tms_status,
    case
        when tender.tender_round is null then 'no_tender'
        when tender.tms_status is null then 'tms_waits'
        when (response.decision in ('accepted', 'conditional')) = (tender.tms_status = 'tender_accepted') then 'agrees'
        else 'tms_differs'
    end as state,
    case
        when tender.tender_round is null
            then response.scac || ' ' || response.decision || ' a load that nobody tendered to it: ask the TMS'
        when tender.tms_status is null
            then response.scac || ' ' || response.decision || '; the TMS has not said so yet'
        when (response.decision in ('accepted', 'conditional')) = (tender.tms_status = 'tender_accepted')
            then response.scac || ' ' || response.decision || ', as the TMS says'
        else response.scac || ' ' || response.decision || ', but the TMS says ' || replace(tender.tms_status, '_', ' ')
    end as reason,
    response.correlation_id
from {{ ref('stg_carriers__tender_responses') }} as response
left join lateral (
    select *
    from tenders
    where
        tenders.shipment_number = response.shipment_number and tenders.scac = response.scac
        and tenders.tendered_at is not null
        -- the day of the answer is the carrier's, the tender's moment is UTC
        and (response.responded_on is null or tenders.tendered_at < response.responded_on + 2)
    order by tenders.tender_round desc
    limit 1
) as tender on true
