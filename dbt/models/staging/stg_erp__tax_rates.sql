with admitted as ({{ admitted('tax_rate', 'erp.tax_rate') }}),

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
