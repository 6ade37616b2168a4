{{ config(materialized='view', tags=['static']) }}

select distinct run_id, aggregate_type, aggregate_id
from {{ source('ops', 'touched') }}
where consumer = 'revalue_open_items' and aggregate_type = 'revaluation' and run_id is not null
