{{ config(
    materialized='incremental',
    unique_key=['order_id', 'line'],
    tags=['orders'],
    meta={
        'consumer': 'release_orders',
        'scope': {'relation': 'decisions.scope_release_orders', 'aggregate_type': 'order', 'column': 'order_id'}
    },
) }}

with lines as (
    select orders.order_id, orders.changed_at, line.*
    from {{ ref('sales_order') }} as orders
    inner join {{ ref('stg_erp__sales_orders') }} as versions
        on versions.order_id = orders.order_id and versions.version = orders.version
        and versions.changed_at = orders.changed_at and versions.admitted_at = orders.admitted_at
    cross join lateral jsonb_to_recordset(versions.lines) as line (
        line int, item_id text, quantity int, unit_price numeric(18, 4), amount numeric(18, 2), pallets int,
        pallet_length_in numeric(8, 2), pallet_width_in numeric(8, 2), pallet_height_in numeric(8, 2),
        weight_lb numeric(12, 3)
    )
    where {{ in_scope('orders.order_id', ref('scope_release_orders'), 'order') }}
)

select
    lines.order_id,
    lines.line,
    lines.item_id,
    lines.quantity,
    lines.unit_price,
    lines.amount,
    lines.pallets,
    coalesce(lines.pallet_length_in, item.pallet_length_in)::numeric(8, 2) as pallet_length_in,
    coalesce(lines.pallet_width_in, item.pallet_width_in)::numeric(8, 2) as pallet_width_in,
    coalesce(lines.pallet_height_in, item.pallet_height_in)::numeric(8, 2) as pallet_height_in,
    lines.pallet_length_in is null or lines.pallet_width_in is null or lines.pallet_height_in is null as is_enriched,
    lines.weight_lb,
    coalesce(kind.is_hazmat, false) as is_hazmat,
    kind.un_number,
    '{{ run_id() }}'::text as changed_in_run
from lines
left join lateral (
    select items.pallet_length_in, items.pallet_width_in, items.pallet_height_in
    from {{ ref('stg_erp__items') }} as items
    where items.item_id = lines.item_id
    -- the item as it was when the order was made; where it had no dimensions then, the first that came after
    order by
        num_nonnulls(items.pallet_length_in, items.pallet_width_in, items.pallet_height_in) = 3 desc,
        items.changed_at <= lines.changed_at desc,
        case when items.changed_at <= lines.changed_at then items.version end desc nulls last,
        items.version
    limit 1
) as item on true
left join lateral (
    select items.is_hazmat, items.un_number
    from {{ ref('stg_erp__items') }} as items
    where items.item_id = lines.item_id
    order by
        items.changed_at <= lines.changed_at desc,
        case when items.changed_at <= lines.changed_at then items.version end desc nulls last,
        items.version
    limit 1
) as kind on true
