select
    'erp|sales_order|' || orders.order_number || '|status' as effect_key,
    'erp'::text as target,
    'sales_order'::text as object_type,
    orders.order_number as object_id,
    'status'::text as aspect,
    orders.erp_status as state,
    string_to_array(orders.erp_path, ' ') as path,
    false as requires_prior,
    'order'::text as aggregate_type,
    orders.order_id as aggregate_id,
    'bulk'::text as lane,
    jsonb_build_object(
        'order_number', orders.order_number,
        'shipments', orders.shipment_count,
        'delivered_shipments', orders.delivered_count
    ) as payload,
    'status.order'::text as rule_id,
    '1'::text as rule_version,
    'the least advanced of ' || orders.shipment_count || ' shipments is ' || orders.milestone as reason,
    orders.correlation_id
from {{ ref('order_status') }} as orders
