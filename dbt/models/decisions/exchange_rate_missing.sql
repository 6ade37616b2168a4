{{ config(materialized='view', tags=['static']) }}

-- What finance has to publish so that nothing waits any more.
select
    'accrual' as what_waits,
    accrual.currency,
    accrual.functional_currency,
    unit.rate_source,
    accrual.accrued_on as rate_on,
    count(*)::int as waiting,
    sum(accrual.planned_amount)::numeric(18, 2) as amount
from {{ ref('accrual') }} as accrual
inner join {{ ref('shipment_unit') }} as unit on unit.shipment_id = accrual.shipment_id
where accrual.status = 'no_exchange_rate'
group by accrual.currency, accrual.functional_currency, unit.rate_source, accrual.accrued_on
union all
select
    'revaluation',
    decided.currency,
    decided.functional_currency,
    decided.rate_source,
    decided.revalued_on,
    count(*)::int,
    sum(decided.open_amount)::numeric(18, 2)
from {{ ref('revaluation') }} as decided
where decided.status = 'no_exchange_rate'
group by decided.currency, decided.functional_currency, decided.rate_source, decided.revalued_on
