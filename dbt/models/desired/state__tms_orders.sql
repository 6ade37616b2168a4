select
    'tms|sales_order|' || orders.order_number || '|order' as effect_key,
    'tms'::text as target,
    'sales_order'::text as object_type,
    orders.order_number as object_id,
    'order'::text as aspect,
    case orders.status when 'cancelled' then 'cancelled' else 'released' end || ' v' || orders.version as state,
    null::text[] as path,
    -- an order that the TMS never had needs no cancelling
    orders.status = 'cancelled' as requires_prior,
    'order'::text as aggregate_type,
    orders.order_id as aggregate_id,
    'bulk'::text as lane,
    jsonb_build_object(
        'order_number', orders.order_number,
        'version', orders.version,
        'status', case orders.status when 'cancelled' then 'cancelled' else 'released' end,
        'customer_id', orders.customer_id,
        'ship_to_id', orders.ship_to_id,
        'currency', orders.currency,
        'requested_from', orders.requested_from_at,
        'requested_to', orders.requested_to_at,
        'shipping_conditions', orders.shipping_conditions,
        'service_requirements', orders.service_requirements,
        'lines', lines.lines
    ) as payload,
    'orders.release'::text as rule_id,
    '1'::text as rule_version,
    case
        when orders.status = 'cancelled' then 'the ERP cancelled the order in version ' || orders.version
        else 'the ERP approved version ' || orders.version
    end as reason,
    orders.correlation_id
from {{ ref('sales_order') }} as orders
cross join lateral (
    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'line', line.line,
                    'item_id', line.item_id,
                    'quantity', line.quantity,
                    'pallets', line.pallets,
                    'pallet_length_in', line.pallet_length_in::text,
                    'pallet_width_in', line.pallet_width_in::text,
                    'pallet_height_in', line.pallet_height_in::text,
                    'weight_lb', line.weight_lb::text,
                    'hazmat', line.is_hazmat,
                    'un_number', line.un_number
                ) order by line.line
            ), '[]'::jsonb
        ) as lines
    from {{ ref('sales_order_line') }} as line
    where line.order_id = orders.order_id
) as lines
