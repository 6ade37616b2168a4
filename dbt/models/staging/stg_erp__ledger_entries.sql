with admitted as ({{ admitted('journal_entry', 'erp.journal_entry') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'erp:' || entry_number as entry_id,
        entry_number,
        version,
        sequence,
        document_type,
        origin,
        reference,
        'erp:' || reverses as reverses_entry_id,
        period,
        currency,
        entered_by,
        note,
        amount as total_amount,
        posted_on,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
