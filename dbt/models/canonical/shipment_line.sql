{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'order_id', 'line'],
    tags=['shipments'],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with newest_plan as (
    select distinct on (shipment_id) shipment_id, direction, order_lines
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    order by shipment_id, plan_version desc, occurred_at desc nulls last, record_id desc
)

select
    newest_plan.shipment_id,
    {{ plan_order_id('newest_plan.direction', 'part.order_number') }} as order_id,
    part.line,
    sum(part.quantity)::int as quantity,
    sum(part.weight_lb)::numeric(12, 3) as weight_lb,
    '{{ run_id() }}'::text as changed_in_run
from newest_plan
cross join lateral jsonb_to_recordset(newest_plan.order_lines) as part (
    order_number text, line int, quantity int, weight_lb numeric(12, 3)
)
group by newest_plan.shipment_id, newest_plan.direction, part.order_number, part.line
