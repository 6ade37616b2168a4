{{ config(
    materialized='incremental',
    unique_key=['rate_id', 'version', 'known_from'],
    tags=['rating'],
    indexes=[{'columns': ['contract_id']}, {'columns': ['lane_key']}],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

with {{ rate_spans(
    ref('stg_rates__lane_rates'), 'rate_id', in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract')
) }}

select
    rate_id,
    version,
    contract_id,
    {{ question(['contract_id', 'origin_key', 'destination_key']) }} as lane_key,
    origin_kind,
    origin_key,
    origin_length,
    destination_kind,
    destination_key,
    destination_length,
    equipment,
    freight_class,
    basis,
    minimum_charge,
    discount_percent,
    break_from,
    break_rate,
    valid_from,
    held_to as valid_to,
    known_from,
    known_to,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from spans
