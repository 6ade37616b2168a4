with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'payment_status') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.payment_status' and admission.record_id = landed.record_id
),

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
