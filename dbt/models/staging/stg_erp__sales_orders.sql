with admitted as ({{ admitted('sales_order', 'erp.sales_order') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'erp:' || order_number as order_id,
        order_number,
        version,
        status,
        customer_id,
        ship_to_id,
        shipping_conditions,
        service_requirements,
        currency,
        amount as total_amount,
        lines,
        requested_from as requested_from_at,
        requested_to as requested_to_at,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
