{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['settlement'],
    meta={'consumer': 'settle_freight'},
) }}

-- kept as a table for its statistics: how many rows a view like this gives PostgreSQL can only guess
with touched as (
    select distinct run_id, aggregate_type, aggregate_id
    from {{ source('ops', 'touched') }}
    where consumer = 'settle_freight' and run_id = '{{ run_id() }}' and run_id <> ''
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
),

found as (
    select run_id, aggregate_type, aggregate_id
    from touched
    where aggregate_type <> 'carrier_invoice_batch'
    union
    select run_id, 'carrier_invoice'::text, carrier_invoice_id
    from batches
    union
    -- what we bill ourselves for a shipment
    select touched.run_id, 'carrier_invoice'::text, own.carrier_invoice_id
    from touched
    inner join {{ ref('self_bill') }} as own on own.shipment_id = touched.aggregate_id
    where touched.aggregate_type = 'shipment'
)

select
    run_id,
    aggregate_type,
    aggregate_id,
    case
        when aggregate_type = 'carrier_invoice' and aggregate_id not like 'SELF:%'
            then split_part(aggregate_id, ':', 2)::bigint
    end as record_id
from found
