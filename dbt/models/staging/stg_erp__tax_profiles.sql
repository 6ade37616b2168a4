with admitted as ({{ admitted('tax_profile', 'erp.tax_profile') }}),

renamed as (
    select
        record_id,
        correlation_id,
        profile_id,
        version,
        country,
        region,
        postal_code,
        city,
        street,
        legal_name,
        status,
        tax_id,
        tax_class,
        coalesce(certificates, '[]'::jsonb) as certificates,
        coalesce(attributes, '{}'::jsonb) as attributes,
        endpoint,
        endpoint_scheme,
        buyer_reference,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
