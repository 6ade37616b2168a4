with admitted as ({{ admitted('audit_result') }}),

renamed as (
    select
        record_id,
        correlation_id,
        partner as platform,
        platform_reference,
        coalesce(revision, 1) as revision,
        scac,
        invoice_number,
        coalesce(correction, '') as correction,
        nullif(btrim(shipment_reference), '') as shipment_reference,
        nullif(btrim(pro_number), '') as pro_number,
        action,
        nullif(btrim(reason_code), '') as reason_code,
        nullif(btrim(reason), '') as reason,
        nullif(btrim(payee), '') as payee,
        currency,
        billed_amount,
        audited_amount,
        (billed_amount - audited_amount)::numeric(18, 2) as short_amount,
        invoice_on,
        audited_on,
        pay_on,
        encode(record_sha256, 'hex') as content_sha256,
        admitted_at
    from admitted
)

select * from renamed
