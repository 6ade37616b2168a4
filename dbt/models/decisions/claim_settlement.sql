{{ config(materialized='view', tags=['static']) }}

-- Money that a carrier gave back for a claim, or that was given up: other than by a credit among its bills.
select
    event.event_id,
    event.carrier_invoice_id,
    line.shipment_id,
    line.charge_code,
    event.kind,
    event.reason_code,
    event.currency,
    line.amount,
    event.said_at,
    event.recorded_at,
    event.said_by,
    event.reference
from {{ source('cases', 'dispute_event') }} as event
inner join {{ source('cases', 'dispute_event_line') }} as line on line.event_id = event.event_id
where event.kind in ('recovery', 'write_off')
