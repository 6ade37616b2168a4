{{ config(materialized='view', tags=['static']) }}

select distinct run_id, aggregate_type, aggregate_id
from {{ source('ops', 'touched') }}
where consumer = 'send_einvoices' and run_id is not null
