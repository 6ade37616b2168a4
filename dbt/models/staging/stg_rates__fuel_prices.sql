with admitted as ({{ admitted_rates('fuel_price', 'rates.fuel_price') }}),

renamed as (
    select
        record_id,
        correlation_id,
        fuel_index,
        region,
        week_on,
        price,
        published_at,
        recorded_at
    from admitted
)

select * from renamed
