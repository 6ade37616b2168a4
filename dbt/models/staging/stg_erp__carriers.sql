with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'carrier') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.carrier' and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        carrier_id,
        version,
        scac,
        name as carrier_name,
        channel,
        carrier_currency,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
