{{ config(
    materialized='incremental',
    unique_key=['contract_id', 'part', 'kind', 'prefix_length'],
    tags=['rating'],
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'contract', 'column': 'contract_id'
        }
    },
) }}

-- so that a place is looked up only by what the contract's lanes are made of
with parts as (
    select distinct contract_id, 'origin' as part, origin_kind as kind, origin_length as prefix_length
    from {{ ref('rate_lane') }}
    where {{ in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract') }}
    union
    select distinct contract_id, 'destination', destination_kind, destination_length
    from {{ ref('rate_lane') }}
    where {{ in_short_scope('contract_id', ref('scope_rate_shipments'), 'contract') }}
)

select contract_id, part, kind, prefix_length, '{{ run_id() }}'::text as changed_in_run
from parts
where kind <> 'zone'
union
-- zones are entered by the postal prefixes that they are made of
select parts.contract_id, parts.part, parts.kind, length(zone.postal_prefix), '{{ run_id() }}'::text
from parts
inner join {{ ref('rate_zone') }} as zone on zone.contract_id = parts.contract_id
where parts.kind = 'zone'
