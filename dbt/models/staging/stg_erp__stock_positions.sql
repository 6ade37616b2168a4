with admitted as ({{ admitted('stock_position', 'erp.stock_position') }}),

renamed as (
    select
        record_id,
        correlation_id,
        stock_id,
        version,
        order_number,
        'erp:po:' || order_number as order_id,
        order_line,
        item_id,
        received_quantity,
        on_hand_quantity,
        sold_quantity,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
