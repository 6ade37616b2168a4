with admitted as ({{ admitted('ship_to', 'erp.ship_to') }}),

renamed as (
    select
        record_id,
        correlation_id,
        ship_to_id,
        version,
        customer_id,
        name as ship_to_name,
        city,
        state,
        postal_code,
        country,
        time_zone,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
