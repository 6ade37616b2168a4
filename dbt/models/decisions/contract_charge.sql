{{ config(materialized='view', tags=['static']) }}

-- what a bill is re-rated by; several charges of one code are one amount, as they are on an invoice
select
    shipment_id,
    charge_code,
    currency,
    sum(amount)::numeric(18, 2) as contract_amount,
    string_agg(arithmetic, ' + ' order by sequence) as arithmetic,
    jsonb_agg(rules order by sequence) as rules
from {{ ref('rated_charge') }}
where side = 'buy'
group by shipment_id, charge_code, currency
