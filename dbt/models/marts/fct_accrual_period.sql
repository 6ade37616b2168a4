{{ config(tags=['close']) }}

with accrual_accounts as (
    select distinct accrued_account as account from {{ source('rules', 'accrual_policy') }}
),

moved as (
    select distinct on (journal_id) journal_id, period
    from {{ source('effects', 'document_move') }}
    order by journal_id, move_id desc
),

entries as (
    select
        coalesce(moved.period, movement.period) as period,
        accrual_accounts.account,
        {{ or_none("movement.attributes ->> 'scac'") }} as scac,
        movement.currency,
        case when movement.credit_account = accrual_accounts.account then 1 else -1 end * movement.amount as owed_amount,
        case when movement.credit_account = accrual_accounts.account then 1 else -1 end
        * movement.functional_amount as owed_functional,
        {{ accrual_part('movement.relation', 'row_number() over (
            partition by movement.effect_key, movement.cause order by movement.movement_id
        ) = 1') }} as part
    from {{ source('effects', 'movement') }} as movement
    inner join accrual_accounts on accrual_accounts.account in (movement.debit_account, movement.credit_account)
    left join moved on moved.journal_id = movement.journal_id
),

summed as (
    select
        period,
        account,
        scac,
        currency,
        coalesce(sum(owed_amount) filter (where part = 'accrued'), 0) as accrued,
        coalesce(-sum(owed_amount) filter (where part = 'reversed'), 0) as reversed,
        coalesce(-sum(owed_amount) filter (where part = 'released'), 0) as released,
        coalesce(sum(owed_amount) filter (where part in ('adjusted', 'revalued')), 0) as adjusted,
        sum(owed_amount) as moved_amount,
        coalesce(sum(owed_functional) filter (where part = 'revalued'), 0) as revalued_functional,
        sum(owed_functional) as moved_functional
    from entries
    group by period, account, scac, currency
),

-- every month from the first posting to the newest: a period without postings has a balance, too
months as (
    select to_char(month, 'YYYY-MM') as period
    from (
        select
            min(period) as first_period,
            greatest(max(period), to_char('{{ var("as_of") }}'::timestamptz at time zone 'UTC', 'YYYY-MM')) as last_period
        from summed
    ) as span
    cross join lateral generate_series(
        to_date(span.first_period, 'YYYY-MM'), to_date(span.last_period, 'YYYY-MM'), interval '1 month'
    ) as series (month)
),

keys as (
    select account, scac, currency, min(period) as first_period
    from summed
    group by account, scac, currency
),

rolled as (
    select
        months.period,
        keys.account,
        keys.scac,
        keys.currency,
        coalesce(summed.accrued, 0) as accrued,
        coalesce(summed.reversed, 0) as reversed,
        coalesce(summed.released, 0) as released,
        coalesce(summed.adjusted, 0) as adjusted,
        coalesce(summed.moved_amount, 0) as moved_amount,
        coalesce(summed.revalued_functional, 0) as revalued_functional,
        coalesce(summed.moved_functional, 0) as moved_functional,
        sum(coalesce(summed.moved_amount, 0)) over so_far as closing,
        sum(coalesce(summed.moved_functional, 0)) over so_far as closing_functional
    from keys
    inner join months on months.period >= keys.first_period
    left join summed
        on
            summed.period = months.period and summed.account = keys.account
            and summed.scac = keys.scac and summed.currency = keys.currency
    window so_far as (
        partition by keys.account, keys.scac, keys.currency order by months.period rows unbounded preceding
    )
)

select
    period,
    account,
    scac,
    currency,
    (closing - moved_amount)::numeric(18, 2) as opening,
    accrued::numeric(18, 2) as accrued,
    reversed::numeric(18, 2) as reversed,
    released::numeric(18, 2) as released,
    adjusted::numeric(18, 2) as adjusted,
    closing::numeric(18, 2) as closing,
    (closing_functional - moved_functional)::numeric(18, 2) as opening_functional,
    (moved_functional - revalued_functional)::numeric(18, 2) as moved_functional,
    revalued_functional::numeric(18, 2) as revalued_functional,
    closing_functional::numeric(18, 2) as closing_functional
from rolled
where
    closing <> 0 or moved_amount <> 0 or accrued <> 0 or reversed <> 0 or released <> 0 or adjusted <> 0
    or closing_functional <> 0 or moved_functional <> 0
