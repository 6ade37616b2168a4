{{ config(materialized='view', tags=['static']) }}

-- Whom a run has to tell: rows that it changed, as aggregates of the pipelines that read them.
select
    changed_in_run as run_id,
    'release_orders'::text as from_consumer,
    'ingest_shipment_events'::text as consumer,
    'order'::text as aggregate_type,
    order_id as aggregate_id
from {{ ref('sales_order') }}
where changed_in_run <> ''
union all
select changed_in_run, 'ingest_shipment_events', 'post_accruals', 'shipment', shipment_id
from {{ ref('shipment') }} as shipment
where
    changed_in_run <> ''
    and (
        milestone_rank >= 70
        or exists (
            select 1
            from {{ ref('accrual') }} as accrual
            where accrual.shipment_id = shipment.shipment_id
        )
    )
union all
select changed_in_run, 'ingest_shipment_events', 'settle_freight', 'shipment', shipment_id
from {{ ref('shipment') }}
where changed_in_run <> ''
union all
select changed_in_run, 'ingest_shipment_events', 'invoice_on_pod', 'shipment', shipment_id
from {{ ref('shipment') }}
where changed_in_run <> '' and has_pod
union all
select delivery.changed_in_run, 'ingest_shipment_events', 'invoice_on_pod', 'shipment', delivery.shipment_id
from {{ ref('delivery') }} as delivery
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id
where delivery.changed_in_run <> '' and shipment.has_pod
union all
-- a charge whose account came only now: what was delivered meanwhile has to be accrued
select code.changed_in_run, 'sync_master_data', 'post_accruals', 'shipment', charge.shipment_id
from {{ ref('charge_code') }} as code
inner join {{ ref('planned_charge') }} as charge on charge.charge_code = code.charge_code
inner join {{ ref('shipment') }} as shipment
    on shipment.shipment_id = charge.shipment_id and shipment.milestone_rank >= 70
left join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = charge.shipment_id and accrual.charge_code = charge.charge_code
where code.changed_in_run <> '' and accrual.shipment_id is null
union all
select code.changed_in_run, 'sync_master_data', 'settle_freight', 'carrier_invoice', line.carrier_invoice_id
from {{ ref('charge_code') }} as code
inner join {{ ref('carrier_invoice_line') }} as line
    on line.partner_code = code.partner_code and line.charge_code = 'UNMAPPED:' || line.partner_code
where code.changed_in_run <> ''
union all
select code.changed_in_run, 'sync_master_data', 'settle_freight', 'carrier_invoice', charge.carrier_invoice_id
from {{ ref('charge_code') }} as code
inner join {{ ref('invoice_charge') }} as charge
    on charge.charge_code = code.charge_code and charge.expense_account is null
where code.changed_in_run <> ''
