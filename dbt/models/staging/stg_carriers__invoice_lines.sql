-- flat, as stg_carriers__invoices
select
    landed.record_id,
    invoice.scac || ':' || landed.record_id as carrier_invoice_id,
    landed.line,
    landed.partner_code,
    landed.description,
    nullif(btrim(landed.shipment_reference), '') as shipment_reference,
    nullif(btrim(landed.pro_number), '') as pro_number,
    nullif(btrim(landed.bol_number), '') as bol_number,
    nullif(btrim(landed.order_number), '') as order_number,
    landed.line_amount,
    nullif(btrim(landed.tax_code), '') as tax_code,
    landed.tax_rate as tax_percent,
    landed.tax_amount,
    admission.admitted_at
from {{ source('landing', 'carrier_invoice_line') }} as landed
inner join {{ source('landing', 'carrier_invoice') }} as invoice on invoice.record_id = landed.record_id
cross join lateral (
    select admitted.admitted_at
    from {{ source('quality', 'admission') }} as admitted
    where admitted.feed = invoice.source and admitted.record_id = invoice.record_id
    offset 0
) as admission
