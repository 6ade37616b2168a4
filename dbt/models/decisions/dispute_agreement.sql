{{ config(materialized='view', tags=['static']) }}

-- What both sides agreed to pay for a charge: the proposal that the other side accepted last.
select distinct on (proposal.carrier_invoice_id, line.shipment_id, line.charge_code)
    proposal.carrier_invoice_id,
    line.shipment_id,
    line.charge_code,
    line.amount as agreed_amount,
    acceptance.event_id as acceptance_id,
    acceptance.said_by,
    acceptance.approved_by,
    acceptance.said_at as agreed_at
from {{ source('cases', 'dispute_event') }} as acceptance
inner join {{ source('cases', 'dispute_event') }} as proposal on proposal.event_id = acceptance.answers_event_id
inner join {{ source('cases', 'dispute_event_line') }} as line on line.event_id = proposal.event_id
where acceptance.kind = 'acceptance'
order by proposal.carrier_invoice_id, line.shipment_id, line.charge_code, acceptance.event_id desc
