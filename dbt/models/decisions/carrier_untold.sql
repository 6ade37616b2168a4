{{ config(materialized='view', tags=['static']) }}

-- What carriers have not been told yet: answers to their EDI, and our own documents for their moves.
select aggregate_type, aggregate_id
from {{ ref('edi_unanswered') }}
union all
select own.aggregate_type, own.aggregate_id
from {{ ref('once__self_bills') }} as own
where
    not exists (
        select 1
        from {{ source('effects', 'once') }} as made
        where made.occurrence_key = own.occurrence_key
    )
