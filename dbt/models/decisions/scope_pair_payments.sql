{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['payments'],
    meta={'consumer': 'apply_payments'},
) }}

-- A payment that is seen in two channels, or that comes back, is judged with all that it may belong to, now or before.
with recursive near as (
    select aggregate_id as payment_id
    from {{ ref('touched_payments') }}
    where run_id = '{{ run_id() }}' and run_id <> '' and aggregate_type = 'customer_payment'
    union
    select payment.payment_id
    from {{ ref('touched_payments') }} as touched
    inner join {{ ref('stg_customers__remittances') }} as advice on advice.record_id::text = touched.aggregate_id
    inner join {{ ref('customer_payment') }} as payment on payment.end_to_end_key = advice.end_to_end_key
    where
        touched.run_id = '{{ run_id() }}' and touched.run_id <> '' and touched.aggregate_type = 'remittance_advice'
    union
    select other.payment_id
    from near
    cross join lateral (
        select same.payment_id
        from {{ ref('customer_payment') }} as told
        inner join {{ ref('customer_payment') }} as same
            on same.end_to_end_key in (told.end_to_end_key, told.bank_reference_key)
        where told.payment_id = near.payment_id
        union all
        select same.payment_id
        from {{ ref('customer_payment') }} as told
        inner join {{ ref('customer_payment') }} as same
            on same.bank_reference_key in (told.end_to_end_key, told.bank_reference_key)
        where told.payment_id = near.payment_id
        union all
        select same.payment_id
        from {{ ref('customer_payment') }} as told
        inner join {{ ref('customer_payment') }} as same on same.documents_key = told.documents_key
        where told.payment_id = near.payment_id
        union all
        select same.payment_id
        from {{ ref('customer_payment') }} as told
        inner join {{ ref('customer_payment') }} as same on same.payer_key = told.payer_key
        where told.payment_id = near.payment_id
        union all
        select before.other_payment_id
        from {{ decided_before('decisions', 'payment_standing', ['payment_id', 'other_payment_id']) }} as before
        where before.payment_id = near.payment_id and before.other_payment_id is not null
        union all
        select before.payment_id
        from {{ decided_before('decisions', 'payment_standing', ['payment_id', 'other_payment_id']) }} as before
        where before.other_payment_id = near.payment_id
    ) as other
)

select '{{ run_id() }}'::text as run_id, 'customer_payment'::text as aggregate_type, payment_id as aggregate_id
from near
