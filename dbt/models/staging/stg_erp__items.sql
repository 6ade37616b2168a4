with admitted as ({{ admitted('item', 'erp.item') }}),

renamed as (
    select
        record_id,
        correlation_id,
        item_id,
        version,
        description,
        unit_weight_lb,
        pallet_length_in,
        pallet_width_in,
        pallet_height_in,
        hazmat as is_hazmat,
        un_number,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
