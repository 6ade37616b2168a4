{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'shipment_id'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_id']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_match', 'aggregate_type': 'carrier_invoice', 'column': 'carrier_invoice_id'
        }
    },
) }}

-- no reference fits: is it the move of a shipment that we know?
select distinct
    invoice.carrier_invoice_id,
    shipment.shipment_id,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('invoice_link') }} as link
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = link.carrier_invoice_id
inner join {{ ref('shipment') }} as shipment
    on shipment.scac = invoice.scac
    and shipment.origin_postal = invoice.origin_postal
    and shipment.destination_postal = invoice.destination_postal
    and shipment.ship_on = invoice.ship_on
    and shipment.weight_lb = invoice.weight_lb
    and not shipment.is_cancelled
where
    link.outcome = 'no_candidate'
    and {{ in_scope('link.carrier_invoice_id', ref('scope_match'), 'carrier_invoice') }}
