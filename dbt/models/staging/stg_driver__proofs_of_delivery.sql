with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'proof_of_delivery') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'driver.pod' and admission.record_id = landed.record_id
),

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
