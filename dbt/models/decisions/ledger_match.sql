{{ config(materialized='table', tags=['close'], indexes=[{'columns': ['comparison_id']}]) }}

with readings as (
    select period, max(through_sequence) as through_sequence
    from {{ ref('trial_balance') }}
    group by period
),

-- what the trial balance does not contain yet is not compared yet
entries as (
    select entry.*
    from {{ ref('ledger_entry') }} as entry
    left join readings on readings.period = entry.period
    where readings.period is null or entry.sequence <= readings.through_sequence
),

-- every key under which a document of ours was ever sent
sent as (
    select document_id, reference as standing_reference, document_id as reference
    from {{ ref('ledger_document') }}
    where not is_adopted
    union
    select document.document_id, document.reference, move.new_journal_id::text
    from {{ source('effects', 'document_move') }} as move
    inner join {{ ref('ledger_document') }} as document on document.document_id = move.journal_id::text
    where move.new_journal_id is not null
),

referenced as (
    select
        entries.entry_id,
        sent.document_id,
        row_number() over (
            partition by sent.document_id
            order by entries.reference = sent.standing_reference desc, entries.first_sequence, entries.entry_id
        ) as place
    from entries
    inner join sent on sent.reference = entries.reference
    where entries.origin = 'interface'
)

select
    'erp'::text as side,
    entries.entry_id as document_id,
    coalesce(case when referenced.place = 1 then referenced.document_id end, entries.entry_id) as comparison_id,
    case when referenced.place = 1 then 'reference' when referenced.place > 1 then 'twice' else 'alone' end as matched_by,
    entries.period
from entries
left join referenced on referenced.entry_id = entries.entry_id
union all
select
    'ours',
    document.document_id,
    case
        when document.is_adopted then coalesce(referenced.document_id, document.adopts_entry_id)
        else document.document_id
    end,
    case when document.is_adopted then 'adopted' else 'reference' end,
    document.period
from {{ ref('ledger_document') }} as document
left join referenced on referenced.entry_id = document.adopts_entry_id and referenced.place = 1
