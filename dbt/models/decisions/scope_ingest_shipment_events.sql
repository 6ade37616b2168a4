{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['shipments'],
    meta={'consumer': 'ingest_shipment_events'},
) }}

with touched as (
    select distinct aggregate_type, aggregate_id
    from {{ source('ops', 'touched') }}
    where consumer = 'ingest_shipment_events' and run_id = '{{ run_id() }}' and run_id <> ''
),

named as (
    select aggregate_id as shipment_id from touched
    where aggregate_type = 'shipment'
    union
    select plans.shipment_id
    from touched
    inner join {{ ref('stg_tms__shipment_plans') }} as plans on plans.pro_number = substr(touched.aggregate_id, 5)
    where touched.aggregate_type = 'reference' and touched.aggregate_id like 'pro:%'
    union
    select plans.shipment_id
    from touched
    inner join {{ ref('stg_tms__shipment_plans') }} as plans on plans.bol_number = substr(touched.aggregate_id, 5)
    where touched.aggregate_type = 'reference' and touched.aggregate_id like 'bol:%'
    union
    select known.shipment_id
    from touched
    inner join {{ delivery_table() }} as known on known.order_id = touched.aggregate_id
    where touched.aggregate_type = 'order'
),

plans as (
    select plan.*
    from named
    inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.shipment_id = named.shipment_id
),

-- a reference that now fits two shipments fits neither of them any more
sharing as (
    select shipment_id from named
    union
    select other.shipment_id
    from plans
    inner join {{ ref('stg_tms__shipment_plans') }} as other on other.pro_number = plans.pro_number
    union
    select other.shipment_id
    from plans
    inner join {{ ref('stg_tms__shipment_plans') }} as other on other.bol_number = plans.bol_number
),

orders as (
    select aggregate_id as order_id from touched
    where aggregate_type = 'order'
    union
    -- every version of the plan: an order that left a shipment has to be looked at too
    select {{ plan_order_id('plan.direction', "(line.value ->> 'order_number')") }}
    from sharing
    inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.shipment_id = sharing.shipment_id
    cross join lateral jsonb_array_elements(plan.order_lines) as line
)

select '{{ run_id() }}'::text as run_id, 'shipment'::text as aggregate_type, shipment_id as aggregate_id
from sharing
union all
select '{{ run_id() }}'::text as run_id, 'order'::text as aggregate_type, order_id as aggregate_id
from orders
