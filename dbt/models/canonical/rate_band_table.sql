{{ config(
    materialized='incremental',
    unique_key=['table_id', 'version', 'known_from'],
    tags=['rating'],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'band_table', 'column': 'table_id'
        }
    },
) }}

with {{ rate_spans(
    ref('stg_rates__band_tables'), 'table_id', in_short_scope('table_id', ref('scope_rate_shipments'), 'band_table')
) }}

select
    table_id,
    version,
    kind,
    band_from,
    band_value,
    valid_from,
    held_to as valid_to,
    known_from,
    known_to,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from spans
