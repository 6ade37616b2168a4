{{ config(materialized='view', tags=['static']) }}

with cases as (
    select
        carrier_invoice_id,
        min(scac) as scac,
        min(invoice_number) as invoice_number,
        min(currency) as currency,
        min(dispute_mode) as dispute_mode,
        min(reason_code) as reason_code,
        min(contest_days) as contest_days,
        min(acknowledge_days) as acknowledge_days,
        count(*)::int as line_count,
        bool_or(is_undecided) as is_undecided,
        sum(invoiced_amount)::numeric(18, 2) as invoiced_amount,
        sum(disputed_amount)::numeric(18, 2) as disputed_amount,
        sum(claimed_amount)::numeric(18, 2) as claimed_amount,
        sum(claim_open_amount)::numeric(18, 2) as claim_open_amount,
        string_agg(substr(shipment_id, 5) || ' ' || charge_code || ': ' || reason, '; ' order by shipment_id, charge_code)
        as reason
    from {{ ref('dispute_line') }}
    group by carrier_invoice_id
),

last_said as (
    select distinct on (event.carrier_invoice_id)
        event.carrier_invoice_id,
        event.event_id,
        event.kind,
        event.party,
        event.said_at
    from {{ source('cases', 'dispute_event') }} as event
    where event.kind in ('proposal', 'acceptance', 'refusal')
    order by event.carrier_invoice_id, event.event_id desc
),

acknowledged as (
    select carrier_invoice_id, min(said_at) as acknowledged_at
    from {{ source('cases', 'dispute_event') }}
    where party = 'carrier'
    group by carrier_invoice_id
),

first_said as (
    select carrier_invoice_id, min(said_at) as contested_at
    from {{ source('cases', 'dispute_event') }}
    where party = 'us' and kind in ('proposal', 'refusal')
    group by carrier_invoice_id
)

select
    cases.carrier_invoice_id,
    cases.scac,
    cases.invoice_number,
    cases.currency,
    cases.dispute_mode,
    cases.reason_code,
    case
        when cases.is_undecided and last_said.kind = 'proposal' and last_said.party = 'us' then 'proposed'
        when cases.is_undecided and last_said.kind = 'proposal' then 'countered'
        when cases.is_undecided and last_said.kind = 'refusal' then 'refused'
        when cases.is_undecided and cases.claim_open_amount = 0 and cases.claimed_amount <> 0 then 'settled'
        when cases.is_undecided then 'open'
        when cases.claim_open_amount <> 0 then 'recovering'
        else 'settled'
    end as state,
    cases.line_count,
    cases.invoiced_amount,
    cases.disputed_amount,
    cases.claimed_amount,
    cases.claim_open_amount,
    cases.reason,
    invoice.received_at as opened_at,
    -- the days in which the law or the contract wants us, and then the carrier, to speak
    (invoice.received_at + cases.contest_days * interval '1 day') as contest_until,
    first_said.contested_at,
    (first_said.contested_at + cases.acknowledge_days * interval '1 day') as acknowledge_until,
    acknowledged.acknowledged_at,
    last_said.event_id as last_event_id,
    last_said.said_at as last_said_at,
    invoice.correlation_id
from cases
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = cases.carrier_invoice_id
left join last_said on last_said.carrier_invoice_id = cases.carrier_invoice_id
left join first_said on first_said.carrier_invoice_id = cases.carrier_invoice_id
left join acknowledged on acknowledged.carrier_invoice_id = cases.carrier_invoice_id
