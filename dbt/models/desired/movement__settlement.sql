with posted as (
    select
        line.*,
        split_part(line.carrier_invoice_id, ':', 2) as record_id,
        jsonb_build_object(
            'shipment_id', substr(line.shipment_id, 5),
            'charge_code', line.charge_code,
            'scac', line.scac,
            'invoice_number', line.invoice_number,
            'invoice_on', line.invoice_on,
            'correction', line.correction,
            'business_unit', line.business_unit
        ) as attributes
    from {{ ref('invoice_line_verdict') }} as line
    where line.is_posted
),

transfers as (
    select
        posted.*,
        'payable|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
        'supplier_invoice'::text as document_type,
        expense_account as to_debit,
        payable_account as to_credit,
        paid_amount - claimed_amount + recovered_amount as signed_amount,
        round((paid_amount - claimed_amount + recovered_amount) * exchange_rate, 2) as signed_functional_amount,
        verdict || ': ' || reason as effect_reason
    from posted
    union all
    select
        posted.*,
        'claim|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
        'supplier_invoice'::text as document_type,
        claim_account as to_debit,
        payable_account as to_credit,
        claimed_amount - recovered_amount as signed_amount,
        round((claimed_amount - recovered_amount) * exchange_rate, 2) as signed_functional_amount,
        case when claimed_amount > 0 then 'paid and claimed back: ' else 'credited for a claim: ' end || reason
        as effect_reason
    from posted
    where claimed_amount <> 0 or recovered_amount <> 0
    union all
    select
        posted.*,
        'accrual|' || shipment_id || '|' || charge_code as effect_key,
        'journal'::text as document_type,
        accrued_account as to_debit,
        expense_account as to_credit,
        reversal_amount as signed_amount,
        reversal_functional_amount as signed_functional_amount,
        -- a planned discount is below zero, and so is what a bill takes back of it
        case when sign(reversal_amount) = sign(planned_amount) then 'billed by ' else 'owed again after ' end
        || invoice_number as effect_reason
    from posted
    union all
    -- it has no amount in its own currency
    select
        posted.*,
        'exchange|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
        'journal'::text as document_type,
        case when exchange_difference_amount > 0 then loss_account else gain_account end as to_debit,
        expense_account as to_credit,
        0.00 as signed_amount,
        exchange_difference_amount as signed_functional_amount,
        'the rate moved between accrual and bill' as effect_reason
    from posted
    where exchange_difference_amount <> 0
)

select
    effect_key,
    'invoice|' || record_id || '|' || shipment_id || '|' || charge_code as cause,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id,
    case when is_forward then to_debit else to_credit end as debit_account,
    case when is_forward then to_credit else to_debit end as credit_account,
    currency,
    abs(signed_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(signed_functional_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    document_type,
    'bulk'::text as lane,
    settlement_rule_id as rule_id,
    settlement_rule_version as rule_version,
    effect_reason as reason,
    correlation_id,
    attributes
from (
    select *, signed_amount > 0 or (signed_amount = 0 and signed_functional_amount > 0) as is_forward
    from transfers
) as directed
where signed_amount <> 0 or signed_functional_amount <> 0
