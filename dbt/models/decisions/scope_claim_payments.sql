{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['payments'],
    meta={'consumer': 'apply_payments'},
) }}

-- Payments whose claims may have changed, and the invoices and disputes behind that.
with disputes as (
    select aggregate_id as dispute_id
    from {{ ref('touched_payments') }}
    where run_id = '{{ run_id() }}' and run_id <> '' and aggregate_type = 'customer_dispute'
),

told as (
    select aggregate_id as payment_id
    from {{ ref('scope_pair_payments') }}
    where run_id = '{{ run_id() }}' and run_id <> ''
),

invoices as (
    select aggregate_id as customer_invoice_id
    from {{ ref('touched_payments') }}
    where run_id = '{{ run_id() }}' and run_id <> '' and aggregate_type = 'customer_invoice'
    union
    select dispute.customer_invoice_id
    from disputes
    inner join {{ ref('customer_dispute') }} as dispute on dispute.dispute_id = disputes.dispute_id
    where dispute.customer_invoice_id is not null
    union
    select before.customer_invoice_id
    from disputes
    inner join {{ decided_before('decisions', 'customer_credit', ['dispute_id', 'customer_invoice_id']) }} as before
        on before.dispute_id = disputes.dispute_id
    where before.customer_invoice_id is not null
    union
    select link.customer_invoice_id
    from told
    inner join {{ ref('payment_link') }} as link on link.payment_id = told.payment_id
    where link.customer_invoice_id is not null
    union
    select before.customer_invoice_id
    from told
    inner join {{ decided_before('decisions', 'payment_claim', ['payment_id', 'customer_invoice_id']) }} as before
        on before.payment_id = told.payment_id
),

customers as (
    select payment.customer_id
    from told
    inner join {{ ref('customer_payment') }} as payment on payment.payment_id = told.payment_id
    union
    select invoice.customer_id
    from {{ customer_invoices('invoices') }} as invoice
),

payments as (
    select payment_id from told
    union
    select link.payment_id
    from invoices
    inner join {{ ref('payment_link') }} as link on link.customer_invoice_id = invoices.customer_invoice_id
    union
    select before.payment_id
    from invoices
    inner join {{ decided_before('decisions', 'payment_claim', ['payment_id', 'customer_invoice_id']) }} as before
        on before.customer_invoice_id = invoices.customer_invoice_id
    union
    -- those that may find an invoice by its amount alone, or did
    select before.payment_id
    from customers
    inner join {{ decided_before('decisions', 'payment_match', ['payment_id', 'looks_for_customer']) }} as before
        on before.looks_for_customer = customers.customer_id
    union
    -- what a payment that is taken back gave is taken from where it went
    select standing.payment_id
    from told
    inner join {{ ref('payment_standing') }} as standing on standing.other_payment_id = told.payment_id
),

takers as (
    select payment_id from payments
    union
    select standing.payment_id
    from payments
    inner join {{ ref('payment_standing') }} as standing
        on standing.other_payment_id = payments.payment_id and standing.standing = 'returns'
    union
    select standing.other_payment_id
    from payments
    inner join {{ ref('payment_standing') }} as standing
        on standing.payment_id = payments.payment_id and standing.standing = 'returns'
)

select '{{ run_id() }}'::text as run_id, 'customer_payment'::text as aggregate_type, payment_id as aggregate_id
from takers
union all
select '{{ run_id() }}'::text, 'customer_invoice', customer_invoice_id
from invoices
union all
select '{{ run_id() }}'::text, 'customer_dispute', dispute_id
from (
    select dispute_id from disputes
    union
    select dispute.dispute_id
    from invoices
    inner join {{ ref('customer_dispute') }} as dispute
        on dispute.customer_invoice_id = invoices.customer_invoice_id
) as every_one
