with links as (
    select
        carrier_invoice_id,
        shipment_id,
        min(case
            when match_unit <> '' then 'line'
            when matched_by = 'shipment_reference' then 'shipment_id'
            else matched_by
        end) as matched_by
    from {{ ref('invoice_link') }}
    where shipment_id is not null
    group by carrier_invoice_id, shipment_id
)

select
    invoice.carrier_invoice_id,
    substr(line.shipment_id, 5) as shipment_id,
    line.charge_code,
    line.scac,
    line.invoice_number,
    line.correction,
    line.invoice_on,
    line.currency,
    links.matched_by,
    line.expected_amount,
    line.invoiced_amount,
    line.variance_amount,
    round(line.tolerance_amount, 2)::numeric(18, 2) as allowed_amount,
    line.paid_amount,
    line.disputed_amount,
    line.rejected_amount,
    line.pending_amount as waiting_amount,
    line.verdict,
    judged.verdict as invoice_verdict,
    line.is_posted,
    line.rule_id,
    line.rule_version,
    line.reason,
    document.name as document_name,
    landed.document_id,
    landed.position
from {{ ref('invoice_line_verdict') }} as line
inner join {{ ref('invoice_verdict') }} as judged on judged.carrier_invoice_id = line.carrier_invoice_id
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = line.carrier_invoice_id
left join {{ source('landing', 'carrier_invoice') }} as landed on landed.record_id = invoice.record_id
left join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
left join links on links.carrier_invoice_id = line.carrier_invoice_id and links.shipment_id = line.shipment_id
