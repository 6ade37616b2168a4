{{ config(materialized='view', tags=['static']) }}

with items as (
    select
        *,
        {{ rule_day('currency_policy', 'revalued_on') }} as day_epoch,
        {{ rule_known('currency_policy', 'requested_at') }} as known_epoch,
        {{ exchange_rate_known('requested_at') }} as rate_epoch
    from {{ ref('open_foreign_item') }}
),

rule_keys as (
    select business_unit, day_epoch, known_epoch, min(revalued_on) as revalued_on, min(requested_at) as known_at
    from items
    group by business_unit, day_epoch, known_epoch
),

policies as (
    select rule_keys.business_unit, rule_keys.day_epoch, rule_keys.known_epoch, policy.*
    from rule_keys
    cross join lateral {{ rule_in_force(
        'currency_policy', [
            'newest.rate_source', 'newest.rate_max_age_days', 'newest.unrealised_gain_account',
            'newest.unrealised_loss_account', 'newest.revaluation_account'
        ],
        "newest.business_unit in (rule_keys.business_unit, '*')", "newest.business_unit <> '*' desc",
        'rule_keys.revalued_on', 'rule_keys.known_at'
    ) }} as policy
),

ruled as (
    select
        items.*,
        policies.rule_id,
        policies.rule_version,
        policies.rate_source,
        policies.rate_max_age_days,
        policies.unrealised_gain_account,
        policies.unrealised_loss_account,
        policies.revaluation_account
    from items
    left join policies
        on policies.business_unit = items.business_unit
        and policies.day_epoch = items.day_epoch
        and policies.known_epoch = items.known_epoch
),

rate_keys as (
    select
        currency,
        functional_currency,
        rate_source,
        rate_max_age_days,
        revalued_on as rate_on,
        rate_epoch,
        min(requested_at) as known_at
    from ruled
    group by currency, functional_currency, rate_source, rate_max_age_days, revalued_on, rate_epoch
),

rates as (
    {{ exchange_rates_for('rate_keys') }}
),

valued as (
    select
        ruled.*,
        rates.exchange_rate,
        rates.exchange_rate_on,
        rates.exchange_rate_id,
        rates.exchange_rate_version,
        round(ruled.open_amount * rates.exchange_rate, 2) as closing_amount
    from ruled
    left join rates
        on rates.currency = ruled.currency
        and rates.functional_currency = ruled.functional_currency
        and rates.rate_source = ruled.rate_source
        and rates.rate_max_age_days = ruled.rate_max_age_days
        and rates.rate_on = ruled.revalued_on
        and rates.rate_epoch = ruled.rate_epoch
),

judged as (
    select
        *,
        case
            when rule_id is null then 'no_policy'
            when closing_amount is null then 'no_exchange_rate'
            when abs(closing_amount) >= 1e15 then 'out_of_range'
            else 'revalued'
        end as status
    from valued
)

select
    period,
    revalued_on,
    requested_at,
    item_kind,
    item_key,
    account,
    scac,
    business_unit,
    status,
    currency,
    functional_currency,
    open_amount,
    book_amount,
    case when status = 'revalued' then closing_amount else book_amount end::numeric(18, 2) as closing_amount,
    -- owed more: a loss
    case when status = 'revalued' then {{ exchange_difference('book_amount', 'closing_amount') }} else 0 end::numeric(18, 2)
    as difference,
    rate_source,
    exchange_rate,
    exchange_rate_on,
    exchange_rate_id,
    exchange_rate_version,
    unrealised_gain_account,
    unrealised_loss_account,
    revaluation_account,
    rule_id,
    rule_version::text as rule_version,
    case status
        when 'no_policy' then 'no currency policy is known for it: record one in rules.currency_policy'
        when 'no_exchange_rate'
            then 'waits: no rate from ' || currency || ' to ' || functional_currency || ' by ' || rate_source || ' for '
                || revalued_on || ' or the ' || rate_max_age_days || ' days before: publish it in the ERP, then revalue again'
        when 'out_of_range' then 'the amount is more than a ledger holds'
        else
            open_amount || ' ' || currency || ' at ' || trim_scale(exchange_rate) || ' of ' || exchange_rate_on || ' is '
            || closing_amount || ' ' || functional_currency || '; the books hold ' || book_amount
    end as reason
from judged
