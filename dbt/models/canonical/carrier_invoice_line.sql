{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'line'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_reference']}, {'columns': ['pro_number']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.touched_settlement', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

with invoices as (
    select *
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('touched_settlement'), 'carrier_invoice') }}
)

select
    invoices.carrier_invoice_id,
    lines.line,
    -- the part of the invoice that is matched as one: all of it, or one shipment's lines of a consolidated one
    case
        when invoices.is_consolidated
            then coalesce('S:' || lines.shipment_reference, 'P:' || lines.pro_number, '')
        else ''
    end as match_unit,
    lines.partner_code,
    coalesce(map.charge_code, 'UNMAPPED:' || coalesce(lines.partner_code, '')) as charge_code,
    lines.description,
    lines.shipment_reference,
    lines.pro_number,
    lines.line_amount,
    '{{ run_id() }}'::text as changed_in_run
from invoices
inner join {{ ref('stg_carriers__invoice_lines') }} as lines on lines.record_id = invoices.record_id
left join lateral (
    select code.charge_code
    from {{ ref('charge_code') }} as code
    where code.partner_code = lines.partner_code and code.scac in (invoices.scac, '*')
    -- the carrier's own meaning before the general one, valid on the day of the invoice
    order by
        (
            invoices.invoice_on >= coalesce(code.valid_from_on, '-infinity'::date)
            and invoices.invoice_on <= coalesce(code.valid_to_on, 'infinity'::date)
        ) desc,
        code.scac <> '*' desc, code.is_current desc, code.valid_from desc, code.charge_code_id
    limit 1
) as map on true
