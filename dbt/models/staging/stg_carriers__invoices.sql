-- Flat, without `with`: PostgreSQL makes all rows of a view that has one before it joins them, and a run wants few.
select
    landed.record_id,
    landed.correlation_id,
    landed.scac || ':' || landed.record_id as carrier_invoice_id,
    landed.source as feed,
    landed.scac,
    landed.invoice_number,
    coalesce(landed.correction, '') as correction,
    nullif(btrim(landed.corrects_number), '') as corrects_number,
    nullif(btrim(landed.biller), '') as biller,
    nullif(btrim(landed.shipment_reference), '') as shipment_reference,
    nullif(btrim(landed.bol_number), '') as bol_number,
    nullif(btrim(landed.pro_number), '') as pro_number,
    nullif(btrim(landed.po_number), '') as po_number,
    nullif(btrim(landed.origin_postal), '') as origin_postal,
    nullif(btrim(landed.destination_postal), '') as destination_postal,
    nullif(btrim(landed.service_level), '') as service_level,
    landed.weight_lb,
    coalesce(
        landed.currency,
        -- worked out only for a bill that names none; one that was let in by hand may be older than its contract
        (
            select coalesce(
                min(contract.currency) filter (
                    where contract.from_at <= admission.admitted_at
                    and coalesce(contract.superseded_at > admission.admitted_at, true)
                ),
                min(contract.currency)
            )
            from jsonb_to_recordset({{ contract_currencies() }} -> landed.scac)
                as contract (currency text, from_at timestamptz, superseded_at timestamptz)
        ),
        -- ISO 4217's "no currency": it meets no plan, so such a bill waits for a person
        'XXX'
    ) as currency,
    landed.net_amount,
    coalesce(landed.tax_amount, landed.gross_amount - landed.net_amount, 0)::numeric(18, 2) as tax_amount,
    coalesce(landed.gross_amount, landed.net_amount + coalesce(landed.tax_amount, 0))::numeric(18, 2) as gross_amount,
    encode(landed.record_sha256, 'hex') as content_sha256,
    landed.invoice_on,
    landed.ship_on,
    document.received_at,
    landed.due_on,
    admission.admitted_at
from {{ source('landing', 'carrier_invoice') }} as landed
-- Asked one by one, by its key: of a feed that is new or rare among all admissions the statistics know nothing, and a
-- join was expected to give one row, by which 10,000 bills were then compared with one another.
cross join lateral (
    select admitted.admitted_at
    from {{ source('quality', 'admission') }} as admitted
    where admitted.feed = landed.source and admitted.record_id = landed.record_id
    offset 0
) as admission
inner join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
