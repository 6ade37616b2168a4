{{ config(materialized='view', tags=['static']) }}

with touched as (
    select distinct run_id, aggregate_type, aggregate_id
    from {{ source('ops', 'touched') }}
    where consumer = 'settle_freight' and run_id is not null
),

-- the gate touches a batch as a whole; what of it was not admitted is in no staging model
batches as (
    select touched.run_id, landed.scac || ':' || landed.record_id as carrier_invoice_id
    from touched
    inner join {{ source('landing', 'carrier_invoice') }} as landed
        -- the case keeps ids that are no batch's from the cast
        on landed.batch_id = case
            when touched.aggregate_type = 'carrier_invoice_batch' then touched.aggregate_id::bigint
        end
)

select run_id, aggregate_type, aggregate_id
from touched
where aggregate_type <> 'carrier_invoice_batch'
union all
select batches.run_id, 'carrier_invoice'::text, batches.carrier_invoice_id
from batches
left join touched as single
    on single.run_id = batches.run_id and single.aggregate_type = 'carrier_invoice'
    and single.aggregate_id = batches.carrier_invoice_id
where single.run_id is null
union all
-- what we bill ourselves for a shipment
select touched.run_id, 'carrier_invoice'::text, own.carrier_invoice_id
from touched
inner join {{ ref('self_bill') }} as own on own.shipment_id = touched.aggregate_id
left join touched as single
    on single.run_id = touched.run_id and single.aggregate_type = 'carrier_invoice'
    and single.aggregate_id = own.carrier_invoice_id
where touched.aggregate_type = 'shipment' and single.run_id is null
