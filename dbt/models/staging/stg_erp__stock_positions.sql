with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'stock_position') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.stock_position' and admission.record_id = landed.record_id
),

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
