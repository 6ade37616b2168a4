with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'ship_to') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.ship_to' and admission.record_id = landed.record_id
),

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
