with admitted as ({{ admitted('proof_of_delivery', 'driver.pod') }}),

renamed as (
    select
        record_id,
        correlation_id,
        source_event_id,
        'tms:' || shipment_id as shipment_id,
        shipment_id as shipment_number,
        stop_sequence,
        nullif(btrim(signed_by), '') as signed_by,
        pieces_delivered,
        coalesce(osd, '[]'::jsonb) as osd,
        document_name,
        document_sha256,
        captured_at,
        admitted_at
    from admitted
)

select * from renamed
