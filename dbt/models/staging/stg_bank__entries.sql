with admitted as ({{ admitted('bank_entry', 'bank.statement_entry') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'bank:' || entry_key as payment_id,
        partner as bank,
        account,
        statement_id,
        entry,
        entry_reference,
        detail,
        end_to_end_id,
        bank_reference,
        counterparty_name,
        counterparty_account,
        direction,
        status,
        return_reason,
        remittance_text,
        currency,
        case when jsonb_typeof(documents) = 'array' then documents else '[]'::jsonb end as documents,
        amount as signed_amount,
        is_reversal,
        statement_on,
        booked_on,
        coalesce(value_on, booked_on) as value_on,
        admitted_at
    from admitted
)

select * from renamed
