with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'item') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.item' and admission.record_id = landed.record_id
),

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
