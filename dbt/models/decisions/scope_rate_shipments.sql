{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['rating'],
    meta={'consumer': 'rate_shipments'},
) }}

with touched as (
    select distinct aggregate_type, aggregate_id
    from {{ source('ops', 'touched') }}
    where consumer = 'rate_shipments' and run_id = '{{ run_id() }}' and run_id <> ''
),

shipments as (
    select aggregate_id as shipment_id
    from touched
    where aggregate_type = 'shipment'
    union
    -- rates that came may rate what could not be rated; what was rated stays as it was known then
    select undone.shipment_id
    from {{ decided_before('decisions', 'rating', ['shipment_id', 'reason']) }} as undone
    where
        undone.reason is not null
        and exists (
            select 1
            from touched
            where touched.aggregate_type in ('contract', 'band_table', 'fuel_index')
        )
    union
    -- nobody asked about them while their carrier had no contract
    select plan.shipment_id
    from touched
    inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.scac = substr(touched.aggregate_id, 5)
    where
        touched.aggregate_type = 'contract_party' and touched.aggregate_id like 'buy:%'
        and not exists (
            select 1
            from {{ decided_before('decisions', 'rating', ['shipment_id', 'side']) }} as asked
            where asked.shipment_id = plan.shipment_id and asked.side = 'buy'
        )
    union
    -- nor while their customer had none
    select delivery.shipment_id
    from touched
    inner join {{ ref('sales_order') }} as orders on orders.customer_id = substr(touched.aggregate_id, 6)
    inner join {{ delivery_table() }} as delivery on delivery.order_id = orders.order_id
    where
        touched.aggregate_type = 'contract_party' and touched.aggregate_id like 'sell:%'
        and not exists (
            select 1
            from {{ decided_before('decisions', 'rating', ['shipment_id', 'side']) }} as asked
            where asked.shipment_id = delivery.shipment_id and asked.side = 'sell'
        )
)

select '{{ run_id() }}'::text as run_id, aggregate_type, aggregate_id
from touched
where aggregate_type in ('contract', 'band_table', 'fuel_index')
union all
select '{{ run_id() }}'::text as run_id, 'shipment'::text as aggregate_type, shipment_id as aggregate_id
from shipments
