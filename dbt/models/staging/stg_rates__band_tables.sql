with admitted as ({{ admitted_rates('rate_band_table', 'rates.band_table') }}),

renamed as (
    select
        record_id,
        correlation_id,
        table_id,
        version,
        kind,
        valid_from,
        valid_to,
        recorded_at,
        parts.band_from,
        parts.band_value
    from admitted
    cross join lateral (
        select
            array_agg(line.from_value order by line.from_value) as band_from,
            array_agg(line.value order by line.from_value) as band_value
        from {{ source('landing', 'rate_band_table_line') }} as line
        where line.record_id = admitted.record_id
    ) as parts
)

select * from renamed
