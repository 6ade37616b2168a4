{{ config(
    materialized='incremental',
    unique_key=['fuel_index', 'region', 'week_on', 'published_at'],
    tags=['rating'],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'fuel_index', 'column': "index_region"
        }
    },
) }}

select distinct on (fuel_index, region, week_on, published_at)
    fuel_index || '/' || region as index_region,
    fuel_index,
    region,
    week_on,
    published_at,
    price,
    recorded_at as known_from,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('stg_rates__fuel_prices') }}
where {{ in_short_scope("fuel_index || '/' || region", ref('scope_rate_shipments'), 'fuel_index') }}
order by fuel_index, region, week_on, published_at, recorded_at, record_id
