with admitted as (
    select landed.*, document.received_at, admission.admitted_at
    from {{ source('landing', 'carrier_invoice') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = landed.source and admission.record_id = landed.record_id
    inner join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
),

-- which currency each carrier's contract was in, and from when to when the ERP said so
contracts as materialized (
    select
        scac,
        carrier_currency,
        admitted_at as from_at,
        min(admitted_at) over (
            partition by carrier_id order by version, changed_at, record_id
            rows between 1 following and unbounded following
        ) as superseded_at
    from {{ ref('stg_erp__carriers') }}
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
        nullif(btrim(corrects_number), '') as corrects_number,
        nullif(btrim(biller), '') as biller,
        nullif(btrim(shipment_reference), '') as shipment_reference,
        nullif(btrim(bol_number), '') as bol_number,
        nullif(btrim(pro_number), '') as pro_number,
        nullif(btrim(po_number), '') as po_number,
        nullif(btrim(origin_postal), '') as origin_postal,
        nullif(btrim(destination_postal), '') as destination_postal,
        nullif(btrim(service_level), '') as service_level,
        weight_lb,
        coalesce(
            currency,
            -- worked out only for a bill that names none; one that was let in by hand may be older than its contract
            (
                select coalesce(
                    min(contracts.carrier_currency) filter (
                        where contracts.from_at <= admitted.admitted_at
                        and coalesce(contracts.superseded_at > admitted.admitted_at, true)
                    ),
                    min(contracts.carrier_currency)
                )
                from contracts
                where contracts.scac = admitted.scac and contracts.carrier_currency ~ '^[A-Z]{3}$'
            ),
            -- ISO 4217's "no currency": it meets no plan, so such a bill waits for a person
            'XXX'
        ) as currency,
        net_amount,
        coalesce(tax_amount, gross_amount - net_amount, 0)::numeric(18, 2) as tax_amount,
        coalesce(gross_amount, net_amount + coalesce(tax_amount, 0))::numeric(18, 2)
            as gross_amount,
        encode(record_sha256, 'hex') as content_sha256,
        invoice_on,
        ship_on,
        received_at,
        due_on,
        admitted_at
    from admitted
)

select * from renamed
