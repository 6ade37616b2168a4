{{ config(materialized='table', tags=['close'], indexes=[{'columns': ['document_id']}]) }}

with documents as (
    select
        journal_id,
        min(document_type) as document_type,
        min(aggregate_type) as aggregate_type,
        min(aggregate_id) as aggregate_id,
        min(currency) as currency,
        min(period) as period,
        min(posted_on) as posted_on,
        sum(amount)::numeric(18, 2) as total_amount,
        min(attributes ->> 'entry_id') as adopts_entry_id,
        min(correlation_id) as correlation_id
    from {{ source('effects', 'movement') }}
    where target = 'erp'
    group by journal_id
),

-- sent again under another key, or found by the ERP in another period: the latest move says where it stands
moved as (
    select distinct on (journal_id) journal_id, period, posted_on
    from {{ source('effects', 'document_move') }}
    order by journal_id, move_id desc
),

keyed as (
    select distinct on (journal_id) journal_id, new_journal_id
    from {{ source('effects', 'document_move') }}
    where new_journal_id is not null
    order by journal_id, move_id desc
),

accepted as (
    select distinct on (outbox_id) outbox_id, reference, at
    from {{ source('effects', 'outcome') }}
    where outcome = 'accepted'
    order by outbox_id, outcome_id desc
)

select
    documents.journal_id::text as document_id,
    coalesce(keyed.new_journal_id, documents.journal_id)::text as reference,
    documents.document_type,
    documents.document_type = 'adopted' as is_adopted,
    case when documents.document_type = 'adopted' then documents.adopts_entry_id end as adopts_entry_id,
    documents.aggregate_type,
    documents.aggregate_id,
    documents.currency,
    documents.total_amount,
    coalesce(moved.period, documents.period) as period,
    coalesce(moved.posted_on, documents.posted_on) as posted_on,
    documents.period as made_in_period,
    outbox.outbox_id,
    documents.document_type = 'adopted' or accepted.outbox_id is not null as is_accepted,
    coalesce(pending.status = 'dead', false) as is_dead,
    coalesce(pending.unknown, false) as is_unknown,
    accepted.reference as partner_number,
    accepted.at as accepted_at,
    documents.correlation_id
from documents
left join moved on moved.journal_id = documents.journal_id
left join keyed on keyed.journal_id = documents.journal_id
left join {{ source('effects', 'outbox') }} as outbox
    on outbox.journal_id = coalesce(keyed.new_journal_id, documents.journal_id)
left join accepted on accepted.outbox_id = outbox.outbox_id
left join {{ source('ops', 'outbox_pending') }} as pending on pending.outbox_id = outbox.outbox_id
