{{ config(materialized='view', tags=['static']) }}

-- Whom a plan that was applied has to tell: invoices that payments, disputes or payers without a reference wait for.
select
    line.plan_id,
    'apply_payments'::text as consumer,
    'customer_invoice'::text as aggregate_type,
    line.aggregate_id
from {{ source('effects', 'planned') }} as line
where
    line.relation = 'movement__customer_invoices'
    and (
        exists (
            select 1 from {{ ref('payment_claim') }} as claim
            where claim.customer_invoice_id = line.aggregate_id
        )
        or exists (
            select 1 from {{ ref('customer_dispute') }} as dispute
            where dispute.customer_invoice_id = line.aggregate_id
        )
        or exists (
            select 1 from {{ ref('payment_match') }} as match
            where match.looks_for_customer = line.payload ->> 'customer_id'
        )
    )
union all
-- those that name it by our name or by its order
select
    line.plan_id,
    'apply_payments',
    'customer_payment',
    reference.payment_id
from {{ source('effects', 'planned') }} as line
inner join {{ ref('payment_reference') }} as reference
    on reference.number in (
        line.payload ->> 'order_number', replace(replace(line.aggregate_id, 'erp:', ''), '/tms:', '/')
    )
where line.relation = 'movement__customer_invoices'
union all
select
    line.plan_id,
    'apply_payments',
    'customer_dispute',
    dispute.dispute_id
from {{ source('effects', 'planned') }} as line
inner join {{ ref('customer_dispute') }} as dispute
    on dispute.invoice_number in (
        line.payload ->> 'order_number', replace(replace(line.aggregate_id, 'erp:', ''), '/tms:', '/')
    )
where line.relation = 'movement__customer_invoices'
union all
-- customers who want e-invoices get one of each document
select
    line.plan_id,
    'send_einvoices',
    'customer_invoice',
    line.aggregate_id
from {{ source('effects', 'planned') }} as line
where
    line.relation in ('movement__customer_invoices', 'movement__customer_credits')
    and exists (
        select 1
        from {{ ref('stg_erp__tax_profiles') }} as asking
        where
            asking.profile_id = 'customer:' || (line.payload ->> 'customer_id')
            and asking.attributes ->> 'einvoice' is not null
    )
