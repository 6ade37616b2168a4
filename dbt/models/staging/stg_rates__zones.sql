with admitted as ({{ admitted_rates('rate_zone', 'rates.zone') }}),

renamed as (
    select
        record_id,
        correlation_id,
        zone_id,
        version,
        contract_id,
        zone,
        country,
        postal_prefix,
        valid_from,
        valid_to,
        recorded_at
    from admitted
)

select * from renamed
