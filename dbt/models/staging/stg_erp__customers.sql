with admitted as ({{ admitted('customer', 'erp.customer') }}),

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
