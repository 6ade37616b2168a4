{{ config(materialized='view', tags=['static', 'pod']) }}

select
    pod.record_id,
    pod.shipment_id,
    pod.captured_at,
    pod.admitted_at,
    pod.correlation_id,
    pod.signed_by,
    pod.pieces_delivered,
    shipment.pieces as planned_pieces,
    pod.signed_by is null as is_unsigned,
    not coalesce(pod.pieces_delivered = shipment.pieces, false) as has_other_pieces,
    jsonb_array_length(pod.osd) > 0 as has_osd,
    pod.signed_by is not null
    and coalesce(pod.pieces_delivered = shipment.pieces, false)
    and jsonb_array_length(pod.osd) = 0 as is_good
from {{ ref('stg_driver__proofs_of_delivery') }} as pod
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = pod.shipment_id
