with invoices as (
    select record_id, carrier_invoice_id, admitted_at
    from {{ ref('stg_carriers__invoices') }}
),

renamed as (
    select
        invoices.record_id,
        invoices.carrier_invoice_id,
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
        invoices.admitted_at
    from {{ source('landing', 'carrier_invoice_line') }} as landed
    inner join invoices on invoices.record_id = landed.record_id
)

select * from renamed
