with admitted as ({{ admitted('customer_dispute', 'erp.dispute') }}),

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
