{{ config(
    materialized='incremental',
    unique_key=['payment_id'],
    tags=['payments'],
    indexes=[{'columns': ['other_payment_id']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_pair_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

-- The same payment told by the bank and by the ERP counts once, as the bank's. What the ERP says decides by which key it
-- is looked for; payments that have a key in common are taken in the order of their days, the first with the first.
with payments as (
    select *
    from {{ ref('customer_payment') }}
    where {{ in_scope('payment_id', ref('scope_pair_payments'), 'customer_payment') }}
),

receipts as (
    select *
    from payments
    where channel = 'bank' and is_booked and not is_return
),

reports as (
    select
        *,
        case
            when bank_reference_key is not null then 'reference'
            when documents_key is not null then 'documents'
            else 'payer'
        end as looks_by
    from payments
    where channel = 'erp' and not is_reversed
),

by_end_to_end as (
    {{ paired('reports', 'bank_reference_key', 'receipts', 'end_to_end_key', "looks_by = 'reference'") }}
),

by_bank_reference as (
    {{ paired(
        'reports', 'bank_reference_key', 'receipts', 'bank_reference_key', "looks_by = 'reference'", ['by_end_to_end']
    ) }}
),

by_documents as (
    {{ paired(
        'reports', 'documents_key', 'receipts', 'documents_key', "looks_by = 'documents'",
        ['by_end_to_end', 'by_bank_reference']
    ) }}
),

by_payer as (
    {{ paired(
        'reports', 'payer_key', 'receipts', 'payer_key', "looks_by = 'payer'",
        ['by_end_to_end', 'by_bank_reference', 'by_documents']
    ) }}
),

same as (
    select *, 'end-to-end id' as by_key from by_end_to_end
    union all
    select *, 'bank reference' from by_bank_reference
    union all
    select *, 'documents' from by_documents
    union all
    select *, 'payer and day' from by_payer
),

returns as (
    select * from payments
    where channel = 'bank' and is_booked and is_return
),

back_by_end_to_end as (
    {{ paired('returns', 'end_to_end_key', 'receipts', 'end_to_end_key', 'true') }}
),

back_by_reference as (
    {{ paired('returns', 'bank_reference_key', 'receipts', 'bank_reference_key', 'true', ['back_by_end_to_end']) }}
),

back_by_documents as (
    {{ paired(
        'returns', 'documents_key', 'receipts', 'documents_key', 'true', ['back_by_end_to_end', 'back_by_reference']
    ) }}
),

back as (
    select *, 'end-to-end id' as by_key from back_by_end_to_end
    union all
    select *, 'bank reference' from back_by_reference
    union all
    select *, 'documents' from back_by_documents
)

select
    payments.payment_id,
    case
        when not payments.is_booked then 'not_booked'
        when payments.is_reversed then 'reversed'
        when payments.channel = 'erp' and same.left_id is not null then 'same_as'
        when payments.is_return and back.left_id is null then 'return_of_nothing'
        when payments.is_return then 'returns'
        else 'counts'
    end as standing,
    coalesce(same.right_id, told.left_id, back.right_id) as other_payment_id,
    case
        when not payments.is_booked then 'the bank has not booked it yet'
        when payments.is_reversed then 'the ERP took it back'
        when same.left_id is not null then 'the bank shows it, too: same ' || same.by_key
        when payments.is_return and back.left_id is null then 'money went back, and no payment that came is known for it'
        when payments.is_return then 'takes back a payment: same ' || back.by_key
        when told.left_id is not null then 'the ERP knows of it, too: same ' || told.by_key
        else 'told by one channel'
    end as reason,
    '{{ run_id() }}'::text as changed_in_run
from payments
left join same on same.left_id = payments.payment_id
left join same as told on told.right_id = payments.payment_id
left join back on back.left_id = payments.payment_id
