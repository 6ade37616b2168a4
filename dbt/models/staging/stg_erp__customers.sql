with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'customer') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.customer' and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        customer_id,
        version,
        name as customer_name,
        billing_entity,
        payment_terms,
        billing_currency,
        freight_billing,
        invoice_per,
        coalesce(markup_percent, 0)::numeric(6, 2) as markup_percent,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
