{{ config(
    materialized='incremental',
    unique_key=['order_id'],
    tags=['shipments'],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'order', 'column': 'order_id'
        }
    },
) }}

with shipments as (
    select
        delivery.order_id,
        count(*)::int as shipment_count,
        count(*) filter (where shipment.is_cancelled)::int as cancelled_count,
        count(*) filter (where shipment.milestone_rank >= 70)::int as delivered_count,
        min(shipment.milestone_rank) filter (where not shipment.is_cancelled) as least_rank,
        max(shipment.correlation_id) as correlation_id
    from {{ ref('delivery') }} as delivery
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id
    where
        delivery.is_current
        and {{ in_scope('delivery.order_id', ref('scope_ingest_shipment_events'), 'order') }}
    group by delivery.order_id
)

select
    orders.order_id,
    orders.order_number,
    shipments.shipment_count,
    shipments.cancelled_count,
    shipments.delivered_count,
    milestones.milestone,
    milestones.erp_status,
    milestones.erp_path,
    shipments.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from shipments
inner join {{ ref('sales_order') }} as orders on orders.order_id = shipments.order_id
-- an approved order whose shipments were all called off is unplanned again: the ERP has no name for that, it is told of
-- the next plan
inner join {{ ref('milestones') }} as milestones
    on milestones.milestone_rank
    = case when orders.status = 'cancelled' then 0 else shipments.least_rank end
