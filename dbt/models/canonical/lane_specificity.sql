{{ config(materialized='view', tags=['static']) }}

with staged as (
    select rule.*, rule.rule_version as version, 0 as record_id
    from {{ source('rules', 'lane_specificity') }} as rule
),

{{ rate_spans('staged', 'rule_id') }}

select rule_id, version, origin_kind, destination_kind, points, valid_from, held_to as valid_to, known_from, known_to
from spans
