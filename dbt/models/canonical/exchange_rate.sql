{{ config(
    materialized='incremental',
    unique_key=['record_id'],
    tags=['master'],
    indexes=[{'columns': ['from_currency', 'to_currency', 'source', 'rate_on']}, {'columns': ['changed_in_run']}],
    meta={
        'consumer': 'sync_master_data',
        'scope': {
            'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.exchange_rate',
            'column': 'exchange_rate_id'
        }
    },
) }}

select
    record_id,
    exchange_rate_id,
    version,
    from_currency,
    to_currency,
    source,
    rate,
    rate_on,
    changed_at,
    known_at,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('stg_erp__exchange_rates') }}
where {{ in_scope('exchange_rate_id', ref('scope_sync_master_data'), 'erp.exchange_rate') }}
