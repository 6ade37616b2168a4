{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['settlement'],
    meta={'consumer': 'settle_freight'},
) }}

-- What is approved on one invoice is not expected on the next: all invoices of a shipment are judged together, and so
-- are those that share another shipment with one of them, and those that may be the same bill under one number.
with recursive matched_now as (
    select aggregate_id as carrier_invoice_id
    from {{ ref('scope_match') }}
    where run_id = '{{ run_id() }}' and run_id <> ''
),

seeds as (
    select 'carrier_invoice'::text as aggregate_type, carrier_invoice_id as aggregate_id from matched_now
    union
    select aggregate_type, aggregate_id
    from {{ ref('touched_settlement') }}
    where run_id = '{{ run_id() }}' and run_id <> '' and aggregate_type = 'shipment'
    union
    -- shipments that an invoice was matched to before, and may not be now
    select 'shipment', before.shipment_id
    from matched_now
    inner join {{ decided_before('decisions', 'invoice_charge', ['carrier_invoice_id', 'shipment_id']) }} as before
        on before.carrier_invoice_id = matched_now.carrier_invoice_id
),

scope as (
    select aggregate_type, aggregate_id from seeds
    union
    select near.aggregate_type, near.aggregate_id
    from scope
    cross join lateral (
        select 'carrier_invoice'::text as aggregate_type, link.carrier_invoice_id as aggregate_id
        from {{ ref('invoice_link') }} as link
        where scope.aggregate_type = 'shipment' and link.shipment_id = scope.aggregate_id
        union all
        select 'shipment', link.shipment_id
        from {{ ref('invoice_link') }} as link
        where
            scope.aggregate_type = 'carrier_invoice'
            and link.carrier_invoice_id = scope.aggregate_id and link.shipment_id is not null
        union all
        -- no reference of it fits, but it may be the move of a shipment that has been billed
        select 'shipment', moved.shipment_id
        from {{ ref('invoice_link') }} as link
        cross join lateral jsonb_array_elements_text(link.same_move) as moved (shipment_id)
        where scope.aggregate_type = 'carrier_invoice' and link.carrier_invoice_id = scope.aggregate_id
        union all
        -- bills, rebills and cancellations of one number
        select 'carrier_invoice', other.carrier_invoice_id
        from {{ ref('carrier_invoice') }} as invoice
        inner join {{ ref('carrier_invoice') }} as other
            on other.scac = invoice.scac
            and other.normalized_number in (invoice.normalized_number, invoice.corrects_number)
            and other.correction in ('', 'RB', 'CA')
        where
            scope.aggregate_type = 'carrier_invoice'
            and invoice.carrier_invoice_id = scope.aggregate_id and invoice.correction in ('', 'RB', 'CA')
        union all
        select 'carrier_invoice', other.carrier_invoice_id
        from {{ ref('carrier_invoice') }} as invoice
        inner join {{ ref('carrier_invoice') }} as other
            on other.scac = invoice.scac
            and other.corrects_number in (invoice.normalized_number, invoice.corrects_number)
        where
            scope.aggregate_type = 'carrier_invoice'
            and invoice.carrier_invoice_id = scope.aggregate_id and invoice.correction in ('', 'RB', 'CA')
        union all
        select 'carrier_invoice', link.carrier_invoice_id
        from {{ ref('invoice_link') }} as link
        where scope.aggregate_type = 'shipment' and link.same_move @> to_jsonb(scope.aggregate_id)
    ) as near
)

select '{{ run_id() }}'::text as run_id, aggregate_type, aggregate_id
from scope
