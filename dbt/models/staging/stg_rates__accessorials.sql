with admitted as ({{ admitted_rates('rate_accessorial', 'rates.accessorial') }}),

renamed as (
    select
        record_id,
        correlation_id,
        accessorial_id,
        version,
        contract_id,
        charge_code,
        basis,
        rate,
        minimum_charge,
        maximum_charge,
        coalesce(free_units, 0)::numeric(10, 2) as free_units,
        coalesce(automatic, false) as is_automatic,
        valid_from,
        valid_to,
        recorded_at
    from admitted
)

select * from renamed
