{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'order_id'],
    tags=['shipments'],
    indexes=[{'columns': ['order_id']}, {'columns': ['customer_invoice_id']}, {'columns': ['changed_in_run']}],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with plans as (
    select
        shipment_id,
        direction,
        order_lines,
        row_number() over (
            partition by shipment_id order by plan_version desc, occurred_at desc nulls last, record_id desc
        ) = 1 as is_newest
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
),

pairs as (
    select
        plans.shipment_id,
        {{ plan_order_id('plans.direction', 'part.order_number') }} as order_id,
        bool_or(plans.is_newest) as is_current,
        coalesce(sum(part.weight_lb) filter (where plans.is_newest), 0)::numeric(12, 3) as weight_lb,
        coalesce(sum(part.quantity) filter (where plans.is_newest), 0)::int as quantity
    from plans
    cross join lateral jsonb_to_recordset(plans.order_lines) as part (
        order_number text, quantity int, weight_lb numeric(12, 3)
    )
    group by plans.shipment_id, {{ plan_order_id('plans.direction', 'part.order_number') }}
),

freight as (
    select pairs.shipment_id, pairs.order_id, pairs.weight_lb, shipment.planned_freight
    from pairs
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = pairs.shipment_id
    where pairs.is_current
),

-- by weight; by count where nothing is weighed
shared as (
    select shipment_id, order_id, freight_share
    from {{ allocated('freight', ['shipment_id'], ['order_id'], 'weight_lb', {'planned_freight': 'freight_share'}) }}
        as shares
)

select
    pairs.shipment_id,
    pairs.order_id,
    pairs.is_current,
    pairs.quantity,
    pairs.weight_lb,
    coalesce(shared.freight_share, 0)::numeric(18, 2) as freight_share,
    case orders.invoice_per
        when 'order' then pairs.order_id
        when 'shipment' then pairs.order_id || '/' || pairs.shipment_id
    end as customer_invoice_id,
    '{{ run_id() }}'::text as changed_in_run
from pairs
left join shared on shared.shipment_id = pairs.shipment_id and shared.order_id = pairs.order_id
left join {{ ref('sales_order') }} as orders on orders.order_id = pairs.order_id
