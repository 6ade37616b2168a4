with admitted as ({{ admitted('payment_status', 'erp.payment_status') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'erp:' || payment_id as payment_id,
        version,
        party_kind,
        party_id,
        bank_reference,
        short_reason,
        currency,
        case when jsonb_typeof(documents) = 'array' then documents else '[]'::jsonb end as documents,
        amount,
        is_reversed,
        paid_on,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
