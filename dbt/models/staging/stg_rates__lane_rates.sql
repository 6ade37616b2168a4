with admitted as ({{ admitted_rates('rate_lane', 'rates.lane_rate') }}),

renamed as (
    select
        record_id,
        correlation_id,
        rate_id,
        version,
        contract_id,
        origin_kind,
        case origin_kind
            when 'any' then 'any'
            when 'zone' then 'zone:' || origin
            when 'country' then 'country:' || origin_country
            else origin_kind || ':' || origin_country || ':' || origin
        end as origin_key,
        case origin_kind when 'postal' then length(origin) else 0 end as origin_length,
        destination_kind,
        case destination_kind
            when 'any' then 'any'
            when 'zone' then 'zone:' || destination
            when 'country' then 'country:' || destination_country
            else destination_kind || ':' || destination_country || ':' || destination
        end as destination_key,
        case destination_kind when 'postal' then length(destination) else 0 end as destination_length,
        coalesce(nullif(equipment, ''), '*') as equipment,
        freight_class,
        basis,
        minimum_charge,
        discount_percent,
        valid_from,
        valid_to,
        recorded_at,
        parts.break_from,
        parts.break_rate
    from admitted
    cross join lateral (
        select
            array_agg(line.from_quantity order by line.from_quantity) as break_from,
            array_agg(line.rate order by line.from_quantity) as break_rate
        from {{ source('landing', 'rate_lane_line') }} as line
        where line.record_id = admitted.record_id
    ) as parts
)

select * from renamed
