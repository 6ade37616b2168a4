{{ config(materialized='view', tags=['static', 'pod']) }}

select
    line.document_id,
    line.supply_group,
    line.line_id,
    line.amount,
    decided.rule_id,
    case
        when line.seller_country is null then 'no_seller'
        when decided.rule_id is null then 'no_rule'
        when decided.missing is not null then 'facts_missing'
        when decided.treatment = 'refused' then 'refused'
    end as refusal,
    decided.treatment,
    decided.category,
    decided.place,
    decided.rate_class,
    decided.local_rates,
    decided.reason_code,
    decided.reason
from {{ ref('tax_line') }} as line
left join lateral {{ tax_decision('line', 'line.facts') }} as decided on true
where line.kind = 'goods'
