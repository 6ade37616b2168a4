{{ config(
    materialized='incremental',
    unique_key=['payment_id', 'customer_invoice_id'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_claim_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

select
    match.payment_id,
    claim.customer_invoice_id,
    match.matched_by,
    claim.amount as claim_amount,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('payment_match') }} as match
cross join lateral jsonb_to_recordset(match.claims) as claim (customer_invoice_id text, amount numeric(18, 2))
where {{ in_scope('match.payment_id', ref('scope_claim_payments'), 'customer_payment') }}
