{{ config(
    materialized='incremental',
    unique_key=['accessorial_id', 'version', 'known_from'],
    tags=['rating'],
    indexes=[{'columns': ['contract_id', 'charge_code']}],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

with {{ rate_spans(
    ref('stg_rates__accessorials'), 'accessorial_id', in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract')
) }}

select
    accessorial_id,
    version,
    contract_id,
    charge_code,
    basis,
    rate,
    minimum_charge,
    maximum_charge,
    free_units,
    is_automatic,
    valid_from,
    held_to as valid_to,
    known_from,
    known_to,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from spans
