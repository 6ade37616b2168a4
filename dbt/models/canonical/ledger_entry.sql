{{ config(
    materialized='incremental',
    unique_key=['entry_id'],
    tags=['ledger'],
    indexes=[{'columns': ['reference']}],
    meta={
        'consumer': 'reconcile_ledger',
        'scope': {'relation': 'decisions.scope_reconcile_ledger', 'aggregate_type': 'erp_document', 'column': 'entry_id'}
    },
) }}

with versions as (
    select
        *,
        min(sequence) over (partition by entry_id) as first_sequence,
        row_number() over (partition by entry_id order by version desc, sequence desc, record_id desc) as newest
    from {{ ref('stg_erp__ledger_entries') }}
    where {{ in_scope('entry_id', ref('scope_reconcile_ledger'), 'erp_document') }}
)

select
    entry_id,
    entry_number,
    version,
    sequence,
    first_sequence,
    document_type,
    origin,
    reference,
    reverses_entry_id,
    posted_on,
    period,
    currency,
    total_amount,
    entered_by,
    note,
    changed_at,
    record_id,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from versions
where newest = 1
