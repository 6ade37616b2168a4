select
    'credit|' || dispute_id || '|' || billed_as as effect_key,
    'dispute|' || dispute_id as cause,
    'customer_invoice'::text as aggregate_type,
    customer_invoice_id as aggregate_id,
    account as debit_account,
    receivable_account as credit_account,
    currency,
    credit_amount as amount,
    functional_currency,
    credit_functional_amount as functional_amount,
    'erp'::text as target,
    'credit_memo'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    reason,
    correlation_id,
    jsonb_build_object(
        'document', dispute_id,
        'kind', kind,
        'order_line', order_line,
        'order_number', order_number,
        'shipment_id', shipment_id,
        'customer_id', customer_id,
        'description', initcap(reason),
        'ledger_account', account,
        'invoice_on', credited_on,
        'reason', reason,
        'customer_invoice_id', customer_invoice_id
    ) || tax as attributes
from {{ ref('customer_credit_line') }}
where account <> receivable_account
