with admitted as ({{ admitted('tender_response') }}),

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
