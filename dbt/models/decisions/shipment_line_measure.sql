{{ config(materialized='view', tags=['static']) }}

select
    carried.shipment_id,
    carried.order_id,
    carried.line as order_line,
    coalesce(orders.business_unit, bought.business_unit, '') as business_unit,
    carried.weight_lb as weight,
    carried.quantity::numeric as pieces,
    -- a part of the ordered pallets where a part of the ordered pieces goes
    round(
        ordered.pallets::numeric * ordered.pallet_length_in * ordered.pallet_width_in * ordered.pallet_height_in
        * carried.quantity / nullif(ordered.quantity, 0), 3
    ) as volume,
    round(carried.quantity * coalesce(ordered.unit_price, bought.unit_price), 2) as value,
    coalesce(orders.currency, bought.currency) as value_currency
from {{ ref('shipment_line') }} as carried
left join {{ ref('sales_order_line') }} as ordered
    on ordered.order_id = carried.order_id and ordered.line = carried.line
left join {{ ref('sales_order') }} as orders on orders.order_id = carried.order_id
left join {{ ref('purchase_order_line') }} as bought
    on bought.order_id = carried.order_id and bought.line = carried.line
