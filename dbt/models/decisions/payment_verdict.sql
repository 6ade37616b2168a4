{{ config(
    materialized='incremental',
    unique_key=['payment_id'],
    tags=['payments'],
    indexes=[{'columns': ['verdict']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_plan_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

with payments as (
    select
        payment.*,
        standing.standing,
        standing.other_payment_id,
        standing.reason as standing_reason
    from {{ ref('customer_payment') }} as payment
    inner join {{ ref('payment_standing') }} as standing on standing.payment_id = payment.payment_id
    where {{ in_scope('payment.payment_id', ref('scope_plan_payments'), 'customer_payment') }}
),

applied as (
    select
        payment_id,
        sum(applied_amount) as applied_amount,
        min(customer_id) as customer_id,
        count(*) filter (where verdict = 'overpaid') as overpaid_count
    from {{ ref('payment_application') }}
    where {{ in_scope('payment_id', ref('scope_plan_payments'), 'customer_payment') }}
    group by payment_id
),

summed as (
    select
        payments.*,
        match.outcome,
        match.matched_by,
        match.keys_tried,
        coalesce(applied.customer_id, payments.customer_id) as owner_id,
        coalesce(applied.applied_amount, 0) as applied_amount,
        case
            when payments.standing in ('counts', 'returns', 'return_of_nothing')
                then payments.amount - coalesce(applied.applied_amount, 0)
            else 0
        end as left_amount,
        (
            select string_agg(
                (tried.value ->> 'key') || ' ' || (tried.value ->> 'value') || ' fits '
                || case
                    when jsonb_array_length(tried.value -> 'candidates') = 0 then 'nothing'
                    else (
                        select string_agg(fit.id, ' and ' order by fit.id)
                        from jsonb_array_elements_text(tried.value -> 'candidates') as fit (id)
                    )
                end, ', '
            )
            from jsonb_array_elements(match.keys_tried) as tried
        ) as tried_words,
        (
            select string_agg(tried.value ->> 'value', ', ')
            from jsonb_array_elements(match.keys_tried) as tried
            where jsonb_array_length(tried.value -> 'candidates') <> 1
        ) as unknown_numbers
    from payments
    inner join {{ ref('payment_match') }} as match on match.payment_id = payments.payment_id
    left join applied on applied.payment_id = payments.payment_id
),

ruled as (
    select
        summed.*,
        policy.books,
        policy.unapplied_account,
        policy.rule_id,
        policy.rule_version::text as rule_version,
        bank.ledger_account as bank_account,
        tolerance.account as difference_account,
        tolerance.over_amount,
        tolerance.rule_id as tolerance_rule_id,
        coalesce(books_in.functional_currency, summed.currency) as functional_currency,
        books_in.rate_source,
        books_in.rate_max_age_days,
        books_in.gain_account,
        books_in.loss_account,
        summed.paid_on as rate_on,
        summed.admitted_at as known_at,
        coalesce(
            summed.standing = 'counts' and summed.applied_amount > 0 and summed.outcome = 'matched'
            and summed.left_amount > 0 and summed.left_amount <= tolerance.over_amount, false
        ) as is_small
    from summed
    left join lateral {{ rule_in_force(
        'payment_policy', ['newest.books', 'newest.unapplied_account'],
        "newest.customer_id in (summed.owner_id, '*')", "newest.customer_id <> '*' desc",
        'summed.paid_on', 'summed.admitted_at'
    ) }} as policy on true
    left join lateral {{ rule_in_force(
        'bank_account', ['newest.ledger_account'],
        "newest.account in (summed.account, '*')", "newest.account <> '*' desc",
        'summed.paid_on', 'summed.admitted_at'
    ) }} as bank on true
    left join lateral {{ rule_in_force(
        'payment_tolerance', ['newest.over_amount', 'newest.account'],
        "newest.customer_id in (summed.owner_id, '*')", "newest.customer_id <> '*' desc",
        'summed.paid_on', 'summed.admitted_at'
    ) }} as tolerance on summed.left_amount > 0
    -- in whose books: those of the customer's billing entity, where one is known
    left join lateral (
        select min(customer.billing_entity) as business_unit
        from {{ ref('customer') }} as customer
        where customer.customer_id = summed.owner_id and customer.is_current
    ) as owner on true
    left join lateral {{ rule_in_force(
        'currency_policy', [
            'newest.functional_currency', 'newest.rate_source', 'newest.rate_max_age_days', 'newest.gain_account',
            'newest.loss_account'
        ],
        "newest.business_unit in (owner.business_unit, '*')", "newest.business_unit <> '*' desc",
        'summed.paid_on', 'summed.admitted_at'
    ) }} as books_in on true
),

translated as (
    select
        ruled.*,
        case when ruled.currency = ruled.functional_currency then 1 else published.rate end as exchange_rate
    from ruled
    left join lateral {{ exchange_rate_of('ruled') }} as published on true
),

judged as (
    select
        *,
        case
            when standing not in ('counts', 'returns') then standing
            when books = 'ours' and channel = 'bank' and bank_account is null then 'no_account'
            when books = 'ours' and channel = 'bank' and exchange_rate is null then 'no_exchange_rate'
            when standing = 'returns' then 'returned'
            when outcome <> 'matched' then outcome
            -- below zero: a credit that it uses came from what waits of an earlier payment
            when left_amount <= 0 then 'applied'
            when is_small then 'over_within_tolerance'
            when unknown_numbers is not null and matched_by <> 'amount' then 'partly_applied'
            else 'overpaid'
        end as verdict
    from translated
)

select
    payment_id,
    channel,
    owner_id as customer_id,
    account,
    payer_name,
    end_to_end_id,
    paid_on,
    currency,
    case when standing in ('counts', 'returns', 'return_of_nothing') then amount else 0 end::numeric(18, 2) as amount,
    applied_amount::numeric(18, 2) as applied_amount,
    case when is_small then left_amount else 0 end::numeric(18, 2) as kept_amount,
    case when is_small then 0 else left_amount end::numeric(18, 2) as unapplied_amount,
    verdict,
    case verdict
        when 'no_account' then 'no rule says what ledger account ' || coalesce(account, 'this bank account') || ' is'
        when 'no_exchange_rate' then 'waits: no rate from ' || currency || ' to ' || functional_currency || ' for ' || paid_on
            || ' or the ' || rate_max_age_days || ' days before: publish it in the ERP'
        when 'applied' then 'applied by ' || matched_by
            || case when left_amount < 0 then ', with ' || -left_amount || ' that waited' else '' end
        when 'over_within_tolerance'
            then left_amount || ' more than owed, ' || over_amount || ' allowed by ' || tolerance_rule_id
        when 'overpaid' then left_amount || ' more than was owed: it waits for the customer''s word'
        when 'partly_applied' then left_amount || ' waits: no single invoice is known as ' || unknown_numbers
        when 'reference_unknown'
            then 'it names ' || unknown_numbers || ', and without an amount for each nothing can be applied'
        when 'several_candidates' then 'more than one invoice fits: ' || coalesce(tried_words, '')
        when 'no_candidate' then 'no invoice found: ' || coalesce(tried_words, 'nothing to look by')
        when 'no_reference' then 'it names no invoice, and whose account it comes from is not known'
        when 'remittance_does_not_sum' then 'the amounts that it names come to more than was paid'
        when 'currency_differs' then 'paid in ' || currency || ', which the invoice is not in'
        else standing_reason
    end as reason,
    verdict in (
        'overpaid', 'partly_applied', 'reference_unknown', 'several_candidates', 'no_candidate', 'no_reference',
        'remittance_does_not_sum', 'currency_differs', 'return_of_nothing', 'no_account',
        'no_exchange_rate'
    ) as is_exception,
    keys_tried,
    is_return,
    books,
    -- money of the bank alone: what only the ERP tells of, it has booked itself
    coalesce(books = 'ours', false) and channel = 'bank' and bank_account is not null and exchange_rate is not null
    and standing in ('counts', 'returns', 'return_of_nothing') as is_posted,
    bank_account,
    unapplied_account,
    difference_account,
    functional_currency,
    exchange_rate::numeric(20, 10) as exchange_rate,
    case when standing in ('counts', 'returns', 'return_of_nothing') then round(amount * exchange_rate, 2) else 0 end
    ::numeric(18, 2) as functional_amount,
    rate_source,
    rate_max_age_days,
    gain_account,
    loss_account,
    rule_id,
    rule_version,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
