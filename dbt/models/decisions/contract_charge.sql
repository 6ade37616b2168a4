{{ config(materialized='view', tags=['static']) }}

-- what a bill is re-rated by; several charges of one code are one amount, as they are on an invoice
select
    rated.shipment_id,
    rated.charge_code,
    rated.currency,
    sum(rated.amount)::numeric(18, 2) as contract_amount,
    string_agg(rated.arithmetic, ' + ' order by rated.sequence) as arithmetic,
    array_agg(distinct rule.name) as rules
from {{ ref('rated_charge') }} as rated
cross join lateral unnest(rated.rules) as rule (name)
where rated.side = 'buy'
group by rated.shipment_id, rated.charge_code, rated.currency
