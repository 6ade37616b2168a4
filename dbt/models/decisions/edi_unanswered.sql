{{ config(materialized='view', tags=['static']) }}

-- Carriers' EDI that nobody has answered yet.
select answer.aggregate_type, answer.aggregate_id
from {{ ref('once__edi_answers') }} as answer
where
    not exists (
        select 1
        from {{ source('effects', 'once') }} as made
        where made.occurrence_key = answer.occurrence_key
    )
