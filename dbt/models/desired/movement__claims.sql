-- What became of claims: money that came from the carrier, and what was given up.
with settled as (
    select
        event.*,
        line.scac,
        line.invoice_number,
        line.business_unit,
        line.claim_account,
        line.recovery_account,
        line.gain_account,
        line.loss_account,
        line.settlement_rule_id,
        line.settlement_rule_version,
        line.correlation_id,
        reason.write_off_account,
        {{ exchange_difference('event.book_amount', 'event.functional_amount') }} as difference_amount
    from {{ ref('claim_value') }} as event
    inner join {{ ref('invoice_line_verdict') }} as line
        on line.carrier_invoice_id = event.carrier_invoice_id
        and line.shipment_id = event.shipment_id and line.charge_code = event.charge_code
    left join lateral {{ rule_in_force(
        'dispute_reason', ['newest.write_off_account'], 'newest.reason_code = event.reason_code', 'newest.reason_code',
        'event.said_at::date', 'event.said_at'
    ) }} as reason on true
    -- money waits for the rate of its day
    where event.functional_amount is not null
),

transfers as (
    select
        settled.*,
        '' as what,
        case kind when 'recovery' then recovery_account else write_off_account end as debit_account,
        claim_account as credit_account,
        amount as moved_amount,
        functional_amount as moved_functional_amount,
        case kind
            when 'recovery' then 'given back by ' || scac || coalesce(', ' || reference, '')
            else 'given up: ' || reason_code
        end as words
    from settled
    union all
    -- it has no amount in its own currency
    select
        settled.*,
        'exchange|' as what,
        case when difference_amount > 0 then claim_account else loss_account end as debit_account,
        case when difference_amount > 0 then gain_account else claim_account end as credit_account,
        0.00 as moved_amount,
        abs(difference_amount) as moved_functional_amount,
        'the rate moved between claim and payment' as words
    from settled
    where difference_amount <> 0
)

select
    what || 'claim|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
    'dispute|' || event_id || '|' || shipment_id || '|' || charge_code as cause,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id,
    debit_account,
    credit_account,
    currency,
    moved_amount::numeric(18, 2) as amount,
    functional_currency,
    moved_functional_amount::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    settlement_rule_id as rule_id,
    settlement_rule_version as rule_version,
    words as reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', charge_code,
        'scac', scac,
        'invoice_number', invoice_number,
        'business_unit', business_unit
    ) as attributes
from transfers
