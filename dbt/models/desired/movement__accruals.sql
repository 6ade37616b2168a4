select
    'accrual|' || shipment_id || '|' || charge_code as effect_key,
    'delivery|' || shipment_id as cause,
    'shipment'::text as aggregate_type,
    shipment_id as aggregate_id,
    case when accrued_amount > 0 then expense_account else accrued_account end as debit_account,
    case when accrued_amount > 0 then accrued_account else expense_account end as credit_account,
    currency,
    abs(accrued_amount)::numeric(18, 2) as amount,
    currency as functional_currency,
    abs(accrued_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', charge_code,
        'scac', scac,
        'delivered_at', delivered_at
    ) as attributes
from {{ ref('accrual') }}
where accrued_amount <> 0
