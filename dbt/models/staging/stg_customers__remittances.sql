with admitted as ({{ admitted('remittance_advice', 'customer.remittance') }}),

renamed as (
    select
        record_id,
        correlation_id,
        partner,
        advice_key,
        end_to_end_id,
        payer_name,
        remittance_text,
        currency,
        md5(currency || ' ' || abs(amount) || ' ' || nullif({{ normalized('end_to_end_id') }}, '')) as end_to_end_key,
        case when jsonb_typeof(documents) = 'array' then documents else '[]'::jsonb end as documents,
        amount,
        paid_on,
        admitted_at
    from admitted
)

select * from renamed
