{{ config(
    materialized='incremental',
    unique_key=['zone_id', 'version', 'known_from'],
    tags=['rating'],
    indexes=[{'columns': ['contract_id', 'country', 'postal_prefix']}],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

with {{ rate_spans(
    ref('stg_rates__zones'), 'zone_id', in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract')
) }}

select
    zone_id,
    version,
    contract_id,
    zone,
    country,
    postal_prefix,
    valid_from,
    held_to as valid_to,
    known_from,
    known_to,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from spans
