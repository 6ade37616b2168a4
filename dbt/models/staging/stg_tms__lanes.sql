with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'lane') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'tms.lane' and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        lane_id,
        version,
        origin_postal,
        destination_postal,
        scac,
        equipment,
        transit_days,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
