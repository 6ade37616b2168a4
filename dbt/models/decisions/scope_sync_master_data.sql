{{ config(materialized='view', tags=['static']) }}

select distinct
    run_id,
    split_part(aggregate_id, ':', 1) as aggregate_type,
    substr(aggregate_id, strpos(aggregate_id, ':') + 1) as aggregate_id
from {{ source('ops', 'touched') }}
where consumer = 'sync_master_data' and aggregate_type = 'master' and run_id is not null
