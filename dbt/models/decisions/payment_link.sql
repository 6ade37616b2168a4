{{ config(
    materialized='incremental',
    unique_key=['payment_id', 'source', 'ordinal'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}, {'columns': ['candidate_count']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_pair_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

-- an advice belongs to the one payment with its end-to-end id and amount; of two advices neither is believed
with advised as (
    select
        payment.payment_id,
        min(advice.documents::text)::jsonb as documents
    from {{ ref('customer_payment') }} as payment
    inner join {{ ref('payment_standing') }} as standing
        on standing.payment_id = payment.payment_id and standing.standing = 'counts'
    inner join {{ ref('stg_customers__remittances') }} as advice on advice.end_to_end_key = payment.end_to_end_key
    where
        payment.channel = 'bank'
        and {{ in_scope('payment.payment_id', ref('scope_pair_payments'), 'customer_payment') }}
        and not exists (
            select 1
            from {{ ref('customer_payment') }} as other
            where
                other.end_to_end_key = payment.end_to_end_key and other.payment_id <> payment.payment_id
                and other.channel = 'bank' and not other.is_return
        )
    group by payment.payment_id
    having count(distinct advice.documents) = 1
),

told as (
    select
        reference.payment_id,
        reference.source,
        reference.ordinal,
        reference.number,
        reference.kind,
        reference.amount
    from {{ ref('payment_reference') }} as reference
    inner join {{ ref('payment_standing') }} as standing
        on standing.payment_id = reference.payment_id and standing.standing = 'counts'
    where {{ in_scope('reference.payment_id', ref('scope_pair_payments'), 'customer_payment') }}
    union all
    -- what the ERP knows about a payment that counts as the bank's
    select
        standing.other_payment_id,
        'erp',
        reference.ordinal,
        reference.number,
        reference.kind,
        reference.amount
    from {{ ref('payment_standing') }} as standing
    inner join {{ ref('payment_reference') }} as reference on reference.payment_id = standing.payment_id
    where
        standing.standing = 'same_as'
        and {{ in_scope('standing.other_payment_id', ref('scope_pair_payments'), 'customer_payment') }}
    union all
    -- what the payer said apart from the payment
    select
        advised.payment_id,
        'advice',
        document.ordinal::int,
        document.value ->> 'number',
        document.value ->> 'kind',
        {{ document_amount('document.value') }}
    from advised
    cross join lateral jsonb_array_elements(advised.documents) with ordinality as document (value, ordinal)
    where {{ normalized("document.value ->> 'number'") }} <> ''
),

numbers as (
    select distinct number from told
),

resolved as (
    select
        number,
        min(key) as key,
        count(*)::int as candidate_count,
        jsonb_agg(customer_invoice_id order by customer_invoice_id) as candidates,
        case when count(*) = 1 then min(customer_invoice_id) end as customer_invoice_id
    from {{ invoices_by_number('numbers') }} as found
    group by number
)

select
    told.payment_id,
    told.source,
    told.ordinal,
    told.number,
    told.kind,
    told.amount,
    resolved.key as found_by,
    coalesce(resolved.candidate_count, 0) as candidate_count,
    coalesce(resolved.candidates, '[]'::jsonb) as candidates,
    resolved.customer_invoice_id,
    '{{ run_id() }}'::text as changed_in_run
from told
left join resolved on resolved.number = told.number
