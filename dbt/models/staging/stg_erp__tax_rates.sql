with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'tax_rate') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.tax_rate' and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        rate_id,
        version,
        country,
        region,
        postal_code,
        jurisdiction,
        rate_class,
        rate_percent,
        valid_from as valid_from_on,
        valid_to as valid_to_on,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
