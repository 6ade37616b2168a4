with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'purchase_order') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.purchase_order' and admission.record_id = landed.record_id
),

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
