with entries as (
    select record_id, entry_id
    from {{ ref('stg_erp__ledger_entries') }}
),

renamed as (
    select
        entries.record_id,
        entries.entry_id,
        landed.line,
        landed.account,
        landed.debit,
        landed.credit
    from {{ source('landing', 'journal_entry_line') }} as landed
    inner join entries on entries.record_id = landed.record_id
)

select * from renamed
