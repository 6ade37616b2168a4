{{ config(materialized='view', tags=['static']) }}

select
    shipment_id,
    side,
    is_needed,
    party,
    contract_id,
    ship_on,
    reason,
    words,
    correlation_id
from {{ ref('rating') }}
where reason is not null
