{{ config(materialized='table', tags=['close']) }}

with lines as (
    select
        member.comparison_id,
        member.period,
        line.account,
        entry.currency,
        line.debit,
        line.credit
    from {{ ref('ledger_match') }} as member
    inner join {{ ref('ledger_entry') }} as entry on entry.entry_id = member.document_id
    inner join {{ ref('ledger_entry_line') }} as line on line.entry_id = member.document_id
    where member.side = 'erp'
    union all
    select
        member.comparison_id,
        member.period,
        line.account,
        document.currency,
        -line.debit,
        -line.credit
    from {{ ref('ledger_match') }} as member
    inner join {{ ref('ledger_document') }} as document on document.document_id = member.document_id
    inner join {{ ref('ledger_document_line') }} as line on line.document_id = member.document_id
    where member.side = 'ours'
)

select
    comparison_id as document,
    period,
    account,
    currency,
    sum(debit)::numeric(18, 2) as debit,
    sum(credit)::numeric(18, 2) as credit,
    sum(debit - credit)::numeric(18, 2) as net
from lines
group by comparison_id, period, account, currency
having sum(debit) <> 0 or sum(credit) <> 0
