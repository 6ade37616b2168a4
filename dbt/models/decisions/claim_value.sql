{{ config(materialized='view', tags=['static']) }}

-- What ends a claim is worth in our books: money that came at the rate of its day, what was given up at what it stood at.
with settled as (
    select
        event.event_id,
        event.carrier_invoice_id,
        event.shipment_id,
        event.charge_code,
        event.kind,
        event.reason_code,
        event.reference,
        event.said_at,
        event.amount,
        line.currency,
        line.functional_currency,
        -- of the bill: what is said has no place among bills
        line.exchange_rate,
        null::text as business_order,
        unit.rate_source,
        unit.rate_max_age_days,
        (event.said_at at time zone 'UTC')::date as rate_on,
        event.recorded_at as known_at
    from {{ ref('claim_settlement') }} as event
    inner join {{ ref('invoice_line_verdict') }} as line
        on line.carrier_invoice_id = event.carrier_invoice_id
        and line.shipment_id = event.shipment_id and line.charge_code = event.charge_code
    left join {{ ref('shipment_unit') }} as unit on unit.shipment_id = event.shipment_id
    where event.amount <> 0
)

select
    settled.event_id,
    settled.carrier_invoice_id,
    settled.shipment_id,
    settled.charge_code,
    settled.kind,
    settled.reason_code,
    settled.reference,
    settled.said_at,
    settled.currency,
    settled.amount,
    settled.functional_currency,
    settled.rate_source,
    settled.rate_max_age_days,
    settled.rate_on,
    book.book_amount,
    case
        when settled.currency = settled.functional_currency then settled.amount
        when settled.kind = 'write_off' then book.book_amount
        else round(settled.amount * day.rate, 2)
    end::numeric(18, 2) as functional_amount
from settled
left join lateral {{ exchange_rate_of('settled') }} as day on settled.kind = 'recovery'
cross join lateral {{ claim_book('settled') }} as book
