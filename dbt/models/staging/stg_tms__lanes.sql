with admitted as ({{ admitted('lane', 'tms.lane') }}),

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
