select
    'accrual|' || shipment_id || '|' || charge_code as effect_key,
    case from_milestone
        when 'dispatched' then 'dispatch|'
        when 'picked_up' then 'pickup|'
        when 'delivered' then 'delivery|'
        when 'pod_received' then 'proof|'
    end || shipment_id as cause,
    'shipment'::text as aggregate_type,
    shipment_id as aggregate_id,
    case when accrued_amount > 0 then expense_account else accrued_account end as debit_account,
    case when accrued_amount > 0 then accrued_account else expense_account end as credit_account,
    currency,
    abs(accrued_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(functional_amount)::numeric(18, 2) as functional_amount,
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
        'business_unit', business_unit,
        'accrued_on', accrued_on
    ) as attributes
from {{ ref('accrual') }}
where status = 'accrued' and accrued_amount <> 0
