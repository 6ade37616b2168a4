{{ config(materialized='view', tags=['static', 'pod']) }}

-- both forms of a customer invoice's id: an order whose terms changed has to take back the other form
select distinct
    touched.run_id,
    'customer_invoice'::text as aggregate_type,
    form.aggregate_id
from {{ source('ops', 'touched') }} as touched
inner join {{ ref('delivery') }} as delivery on delivery.shipment_id = touched.aggregate_id
cross join lateral (
    values (delivery.order_id), (delivery.order_id || '/' || delivery.shipment_id)
) as form (aggregate_id)
where touched.consumer = 'invoice_on_pod' and touched.aggregate_type = 'shipment' and touched.run_id is not null
