{{ config(materialized='view', tags=['static', 'pod']) }}

select
    pod.record_id,
    pod.shipment_id,
    pod.captured_at,
    pod.admitted_at,
    pod.correlation_id,
    pod.signed_by,
    pod.pieces_delivered,
    plan.pieces as planned_pieces,
    pod.signed_by is null as is_unsigned,
    not coalesce(pod.pieces_delivered = plan.pieces, false) as has_other_pieces,
    jsonb_array_length(pod.osd) > 0 as has_osd,
    pod.signed_by is not null
    and coalesce(pod.pieces_delivered = plan.pieces, false)
    and jsonb_array_length(pod.osd) = 0 as is_good
from {{ ref('stg_driver__proofs_of_delivery') }} as pod
-- the plan in force when it was captured, or the first; a later plan may put its count right, and never makes a good
-- proof bad
cross join lateral (
    select version.pieces
    from {{ ref('stg_tms__shipment_plans') }} as version
    where version.shipment_id = pod.shipment_id
    order by
        (version.occurred_at > pod.captured_at and version.pieces = pod.pieces_delivered) is true desc,
        (version.occurred_at <= pod.captured_at) is true desc,
        case when version.occurred_at <= pod.captured_at then version.plan_version end desc nulls last,
        version.plan_version
    limit 1
) as plan
