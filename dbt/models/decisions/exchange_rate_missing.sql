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
    'carrier_invoice',
    charge.currency,
    charge.functional_currency,
    unit.rate_source,
    charge.invoice_on,
    count(distinct charge.carrier_invoice_id)::int,
    sum(charge.invoiced_amount)::numeric(18, 2)
from {{ ref('invoice_charge') }} as charge
inner join {{ ref('shipment_unit') }} as unit on unit.shipment_id = charge.shipment_id
where charge.exchange_rate is null
group by charge.currency, charge.functional_currency, unit.rate_source, charge.invoice_on
union all
select
    'claim',
    settled.currency,
    settled.functional_currency,
    settled.rate_source,
    settled.rate_on,
    count(*)::int,
    sum(settled.amount)::numeric(18, 2)
from {{ ref('claim_value') }} as settled
where settled.functional_amount is null
group by settled.currency, settled.functional_currency, settled.rate_source, settled.rate_on
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
union all
select
    'customer_invoice',
    waiting.currency,
    waiting.functional_currency,
    waiting.rate_source,
    waiting.invoice_on,
    count(*)::int,
    null::numeric(18, 2)
from {{ ref('rate_waiting') }} as waiting
where
    {{ no_rate_published('waiting') }}
group by waiting.currency, waiting.functional_currency, waiting.rate_source, waiting.invoice_on
union all
select
    'customer_payment',
    payment.currency,
    payment.functional_currency,
    payment.rate_source,
    payment.paid_on,
    count(*)::int,
    sum(payment.amount)::numeric(18, 2)
from {{ ref('payment_verdict') }} as payment
where payment.verdict = 'no_exchange_rate'
group by payment.currency, payment.functional_currency, payment.rate_source, payment.paid_on
