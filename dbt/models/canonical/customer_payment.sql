{{ config(
    materialized='incremental',
    unique_key=['payment_id'],
    tags=['payments'],
    indexes=[
        {'columns': ['end_to_end_key']},
        {'columns': ['bank_reference_key']},
        {'columns': ['documents_key']},
        {'columns': ['payer_key']},
        {'columns': ['customer_id']},
    ],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.touched_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

-- Money that customers sent, or that was taken back from us; what went to carriers is in carrier_payment.
with {{ told_payments() }},

numbered as (
    select
        told.*,
        named.numbers
    from told
    left join (
        select
            payment_id,
            -- what it says in fields, else what its text says
            coalesce(
                string_agg(distinct {{ normalized('number') }}, ',') filter (where source = 'structured'),
                string_agg(distinct {{ normalized('number') }}, ',')
            ) as numbers
        from {{ ref('payment_reference') }}
        where {{ in_scope('payment_id', ref('touched_payments'), 'customer_payment') }}
        group by payment_id
    ) as named on named.payment_id = told.payment_id
),

known as (
    select
        numbered.*,
        coalesce(numbered.party_id, by_account.customer_id, by_name.customer_id) as customer_id,
        case
            when numbered.party_id is not null then 'the ERP says so'
            when by_account.customer_id is not null then 'account, by ' || by_account.rule_id
            when by_name.customer_id is not null then 'name, by ' || by_name.rule_id
        end as customer_known_by
    from numbered
    left join lateral {{ payer('rule.payer_account = numbered.payer_account') }} as by_account
        on numbered.party_id is null
    left join lateral {{ payer('lower(rule.payer_name) = lower(numbered.payer_name)') }} as by_name
        on numbered.party_id is null and by_account.customer_id is null
)

select
    payment_id,
    channel,
    record_id,
    account,
    end_to_end_id,
    bank_reference,
    payer_name,
    payer_account,
    numbers,
    customer_id,
    customer_known_by,
    amount::numeric(18, 2) as amount,
    currency,
    paid_on,
    remittance_text,
    is_return,
    reason_given,
    is_booked,
    is_reversed,
    -- what the same payment has in common in both channels, each together with the money
    md5(currency || ' ' || abs(amount) || ' ' || nullif({{ normalized('end_to_end_id') }}, '')) as end_to_end_key,
    md5(currency || ' ' || abs(amount) || ' ' || nullif({{ normalized('bank_reference') }}, '')) as bank_reference_key,
    md5(currency || ' ' || abs(amount) || ' ' || numbers) as documents_key,
    md5(currency || ' ' || abs(amount) || ' ' || customer_id || ' ' || paid_on) as payer_key,
    correlation_id,
    admitted_at,
    '{{ run_id() }}'::text as changed_in_run
from known
