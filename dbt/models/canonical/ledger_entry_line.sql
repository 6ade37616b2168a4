{{ config(
    materialized='incremental',
    unique_key=['entry_id', 'account'],
    tags=['ledger'],
    meta={
        'consumer': 'reconcile_ledger',
        'scope': {'relation': 'decisions.scope_reconcile_ledger', 'aggregate_type': 'erp_document', 'column': 'entry_id'}
    },
) }}

select
    entry.entry_id,
    line.account,
    sum(line.debit)::numeric(18, 2) as debit,
    sum(line.credit)::numeric(18, 2) as credit,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('ledger_entry') }} as entry
inner join {{ ref('stg_erp__ledger_entry_lines') }} as line on line.record_id = entry.record_id
where {{ in_scope('entry.entry_id', ref('scope_reconcile_ledger'), 'erp_document') }}
group by entry.entry_id, line.account
