{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['payments'],
    meta={'consumer': 'apply_payments'},
) }}

-- Invoices whose payments may have changed are applied anew as a whole, and whoever pays them is judged again.
with told as (
    select aggregate_type, aggregate_id
    from {{ ref('scope_claim_payments') }}
    where run_id = '{{ run_id() }}' and run_id <> ''
),

before as (
    select payment_id, customer_invoice_id
    from {{ decided_before('decisions', 'payment_application', ['payment_id', 'customer_invoice_id']) }} as applied
),

invoices as (
    select aggregate_id as customer_invoice_id from told
    where aggregate_type = 'customer_invoice'
    union
    select claim.customer_invoice_id
    from told
    inner join {{ ref('payment_claim') }} as claim on claim.payment_id = told.aggregate_id
    where told.aggregate_type = 'customer_payment'
    union
    select before.customer_invoice_id
    from told
    inner join before on before.payment_id = told.aggregate_id
    where told.aggregate_type = 'customer_payment'
    union
    select credit.customer_invoice_id
    from told
    inner join {{ ref('customer_credit') }} as credit on credit.dispute_id = told.aggregate_id
    where told.aggregate_type = 'customer_dispute' and credit.customer_invoice_id is not null
),

payments as (
    select aggregate_id as payment_id from told
    where aggregate_type = 'customer_payment'
    union
    select claim.payment_id
    from invoices
    inner join {{ ref('payment_claim') }} as claim on claim.customer_invoice_id = invoices.customer_invoice_id
    union
    select before.payment_id
    from invoices
    inner join before on before.customer_invoice_id = invoices.customer_invoice_id
)

select '{{ run_id() }}'::text as run_id, 'customer_payment'::text as aggregate_type, payment_id as aggregate_id
from payments
union all
select '{{ run_id() }}'::text, 'customer_invoice', customer_invoice_id
from invoices
