-- What became of claims: money that came from the carrier, and what was given up.
with settled as (
    select
        event.*,
        line.scac,
        line.invoice_number,
        line.claim_account,
        line.recovery_account,
        line.settlement_rule_id,
        line.settlement_rule_version,
        line.correlation_id,
        reason.write_off_account,
        split_part(event.carrier_invoice_id, ':', 2) as record_id
    from {{ ref('claim_settlement') }} as event
    inner join {{ ref('invoice_line_verdict') }} as line
        on line.carrier_invoice_id = event.carrier_invoice_id
        and line.shipment_id = event.shipment_id and line.charge_code = event.charge_code
    left join lateral {{ rule_in_force(
        'dispute_reason', ['newest.write_off_account'], 'newest.reason_code = event.reason_code', 'newest.reason_code',
        'event.said_at::date', 'event.said_at'
    ) }} as reason on true
)

select
    'claim|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
    'dispute|' || event_id || '|' || shipment_id || '|' || charge_code as cause,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id,
    case kind when 'recovery' then recovery_account else write_off_account end as debit_account,
    claim_account as credit_account,
    currency,
    amount,
    currency as functional_currency,
    amount as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    settlement_rule_id as rule_id,
    settlement_rule_version as rule_version,
    case kind
        when 'recovery' then 'given back by ' || scac || coalesce(', ' || reference, '')
        else 'given up: ' || reason_code
    end as reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', charge_code,
        'scac', scac,
        'invoice_number', invoice_number
    ) as attributes
from settled
where amount <> 0
