with admitted as (
    select landed.*, document.received_at, admission.admitted_at
    from {{ source('landing', 'carrier_invoice') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = landed.source and admission.record_id = landed.record_id
    inner join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
),

renamed as (
    select
        record_id,
        correlation_id,
        scac || ':' || record_id as carrier_invoice_id,
        source as feed,
        scac,
        invoice_number,
        coalesce(correction, '') as correction,
        null::text as corrects_number,
        null::text as biller,
        null::text as service_level,
        nullif(btrim(shipment_reference), '') as shipment_reference,
        nullif(btrim(bol_number), '') as bol_number,
        nullif(btrim(pro_number), '') as pro_number,
        nullif(btrim(po_number), '') as po_number,
        nullif(btrim(origin_postal), '') as origin_postal,
        nullif(btrim(destination_postal), '') as destination_postal,
        weight_lb,
        coalesce(currency, 'USD') as currency,
        net_amount,
        encode(record_sha256, 'hex') as content_sha256,
        invoice_on,
        ship_on,
        received_at,
        admitted_at
    from admitted
)

select * from renamed
