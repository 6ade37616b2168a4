select
    'input_tax|' || scac || '|' || invoice_number as effect_key,
    'invoice|' || split_part(carrier_invoice_id, ':', 2) as cause,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id,
    case when owed_tax_amount > 0 then tax_account else payable_account end as debit_account,
    case when owed_tax_amount > 0 then payable_account else tax_account end as credit_account,
    currency,
    abs(owed_tax_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(round(owed_tax_amount * exchange_rate, 2))::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'supplier_invoice'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    'tax on ' || paid_amount || ' of ' || net_amount || ' ' || currency as reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', 'TAX',
        'scac', scac,
        'invoice_number', invoice_number,
        'invoice_on', invoice_on,
        'correction', correction,
        'business_unit', business_unit
    ) as attributes
from {{ ref('invoice_tax') }}
where owed_tax_amount <> 0
