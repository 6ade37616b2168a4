{{ config(
    materialized='incremental',
    unique_key=['contract_id'],
    tags=['rating'],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

with spans as (
    {%- for relation in ['rate_lane', 'rate_zone', 'rate_accessorial'] %}
    {{ 'union' if not loop.first }}
    select distinct contract_id, valid_from, valid_to, known_from, known_to
    from {{ ref(relation) }}
    where {{ in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract') }}
    {%- endfor %}
),

changes as (
    select contract_id, valid_from as changes_on, null::timestamptz as changes_at
    from spans
    union
    select contract_id, valid_to + 1, null
    from spans
    where valid_to < 'infinity'
    union
    select contract_id, null, known_from
    from spans
    union
    select contract_id, null, known_to
    from spans
    where known_to < 'infinity'
)

select
    contract_id,
    array_agg(changes_on order by changes_on) filter (where changes_on is not null) as days,
    array_agg(changes_at order by changes_at) filter (where changes_at is not null) as moments,
    '{{ run_id() }}'::text as changed_in_run
from changes
group by contract_id
