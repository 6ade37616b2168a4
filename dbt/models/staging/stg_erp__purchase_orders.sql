with admitted as ({{ admitted('purchase_order', 'erp.purchase_order') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'erp:po:' || order_number as order_id,
        order_number,
        version,
        status,
        supplier_id,
        billing_entity as business_unit,
        currency,
        lines,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
