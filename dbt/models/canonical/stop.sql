{{ config(materialized='view', tags=['static']) }}

select
    shipment.shipment_id,
    part.sequence as stop_sequence,
    part.kind,
    part.location_id,
    part.city,
    part.state,
    part.postal_code,
    part.country,
    part.time_zone,
    part.appointment_from as appointment_from_at,
    part.appointment_to as appointment_to_at
from {{ ref('shipment') }} as shipment
inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.record_id = shipment.plan_record_id
cross join lateral jsonb_to_recordset(plan.stops) as part (
    sequence int, kind text, location_id text, city text, state text, postal_code text, country text, time_zone text,
    appointment_from timestamptz, appointment_to timestamptz
)
