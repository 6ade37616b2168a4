with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'customer_dispute') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.dispute' and admission.record_id = landed.record_id
),

renamed as (
    select
        record_id,
        correlation_id,
        dispute_id,
        version,
        customer_id,
        invoice_number,
        line_kind,
        order_line,
        reason_code,
        status,
        currency,
        credit_memo_number,
        note,
        amount as disputed_amount,
        credited_amount,
        opened_on,
        resolved_on,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
