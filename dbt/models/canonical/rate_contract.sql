{{ config(
    materialized='incremental',
    unique_key=['contract_id', 'version', 'known_from'],
    tags=['rating'],
    indexes=[{'columns': ['side', 'party']}],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

with {{ rate_spans(
    ref('stg_rates__contracts'), 'contract_id', in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract')
) }}

select
    contract_id,
    version,
    side,
    party,
    mode,
    currency,
    minor_digits,
    class_table,
    fak_class,
    fak_from_class,
    fak_to_class,
    minimum_charge,
    discount_percent,
    is_discount_shown,
    has_deficit_weight,
    dim_divisor,
    dim_per,
    weight_increment_lb,
    fuel_table,
    fuel_index,
    fuel_region,
    fuel_weekday,
    fuel_lag_weeks,
    fuel_on,
    rounding,
    valid_from,
    held_to as valid_to,
    known_from,
    known_to,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from spans
