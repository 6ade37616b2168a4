with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'tax_profile') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.tax_profile' and admission.record_id = landed.record_id
),

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
