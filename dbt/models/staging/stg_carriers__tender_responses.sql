with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'tender_response') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = landed.source and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        scac,
        'tms:' || shipment_id as shipment_id,
        shipment_id as shipment_number,
        action_code,
        decision,
        pro_number,
        note,
        responded_on,
        admitted_at
    from admitted
)

select * from renamed
