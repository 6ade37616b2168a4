{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['settlement'],
    meta={'consumer': 'settle_freight'},
) }}

with touched as (
    select aggregate_type, aggregate_id
    from {{ ref('touched_settlement') }}
    where run_id = '{{ run_id() }}' and run_id <> ''
),

-- every version of the plan: an invoice may have found the shipment by a reference that it no longer has
plans as (
    select distinct
        plan.shipment_id,
        plan.shipment_number,
        plan.scac,
        plan.bol_number,
        plan.pro_number,
        plan.ship_on,
        (
            select stop.value ->> 'postal_code' from jsonb_array_elements(plan.stops) as stop
            order by (stop.value ->> 'sequence')::int
            limit 1
        ) as origin_postal,
        (
            select stop.value ->> 'postal_code' from jsonb_array_elements(plan.stops) as stop
            order by (stop.value ->> 'sequence')::int desc
            limit 1
        ) as destination_postal
    from touched
    inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.shipment_id = touched.aggregate_id
    where touched.aggregate_type = 'shipment'
),

deliveries as (
    select plans.scac, {{ order_number_of('delivery.order_id') }} as order_number
    from plans
    inner join {{ ref('delivery') }} as delivery on delivery.shipment_id = plans.shipment_id
),

found as (
    select aggregate_id as carrier_invoice_id from touched
    where aggregate_type = 'carrier_invoice'
    union
    select invoice.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice') }} as invoice
        on invoice.shipment_reference = plans.shipment_number and invoice.scac = plans.scac
    union
    select invoice.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice') }} as invoice
        on invoice.bol_number = plans.bol_number and invoice.scac = plans.scac
    union
    select invoice.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice') }} as invoice
        on invoice.pro_number = plans.pro_number and invoice.scac = plans.scac
    union
    select invoice.carrier_invoice_id
    from deliveries
    inner join {{ ref('carrier_invoice') }} as invoice
        on invoice.po_number = deliveries.order_number and invoice.scac = deliveries.scac
    union
    select line.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice_line') }} as line on line.match_unit = 'S:' || plans.shipment_number
    union
    select line.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice_line') }} as line on line.match_unit = 'P:' || plans.pro_number
    union
    select line.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice_line') }} as line on line.match_unit = 'B:' || plans.bol_number
    union
    select line.carrier_invoice_id
    from deliveries
    inner join {{ ref('carrier_invoice_line') }} as line on line.match_unit = 'O:' || deliveries.order_number
    union
    select invoice.carrier_invoice_id
    from plans
    inner join {{ ref('carrier_invoice') }} as invoice
        on invoice.scac = plans.scac
        and invoice.origin_postal = plans.origin_postal
        and invoice.destination_postal = plans.destination_postal
        and invoice.ship_on = plans.ship_on
    union
    select link.carrier_invoice_id
    from plans
    inner join {{ decided_before('decisions', 'invoice_link', ['carrier_invoice_id', 'shipment_id']) }} as link
        on link.shipment_id = plans.shipment_id
)

select '{{ run_id() }}'::text as run_id, 'carrier_invoice'::text as aggregate_type, carrier_invoice_id as aggregate_id
from found
