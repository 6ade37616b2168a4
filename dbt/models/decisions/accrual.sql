{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'charge_code'],
    tags=['accruals'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'post_accruals',
        'scope': {'relation': 'decisions.scope_post_accruals', 'aggregate_type': 'shipment', 'column': 'shipment_id'}
    },
) }}

-- Rules, accounts and rates are looked up once a group of equal answers, never a row: see macros/rule_epochs.sql.
with charges as (
    select
        shipment.shipment_id,
        charge.charge_code,
        -- never null: only plain equality can be hashed
        coalesce(shipment.scac, '') as scac,
        unit.business_unit,
        unit.functional_currency,
        unit.rate_source,
        unit.rate_max_age_days,
        shipment.plan_version,
        shipment.milestone_rank,
        shipment.ship_on,
        shipment.direction,
        shipment.dispatched_at,
        shipment.dispatch_known_at,
        shipment.picked_up_at,
        shipment.pickup_known_at,
        shipment.delivered_at,
        shipment.delivery_known_at,
        shipment.proven_at,
        shipment.proof_known_at,
        shipment.correlation_id,
        charge.currency,
        charge.planned_amount,
        charge.basis as planned_by,
        coalesce((shipment.dispatched_at at time zone 'UTC')::date, shipment.ship_on) as dispatched_on
    from {{ ref('shipment') }} as shipment
    inner join {{ ref('shipment_unit') }} as unit on unit.shipment_id = shipment.shipment_id
    inner join {{ ref('planned_charge') }} as charge on charge.shipment_id = shipment.shipment_id
    where
        shipment.milestone_rank >= 40 and not shipment.is_cancelled
        and {{ in_scope('shipment.shipment_id', ref('scope_post_accruals'), 'shipment') }}
),

numbered as (
    select
        *,
        {{ rule_day('accrual_policy', 'dispatched_on') }} as day_epoch,
        {{ rule_known('accrual_policy', 'dispatch_known_at') }} as known_epoch,
        {{ rule_day('cost_policy', 'dispatched_on') }} as cost_day,
        {{ rule_known('cost_policy', 'dispatch_known_at') }} as cost_known
    from charges
),

rule_keys as (
    select
        scac,
        charge_code,
        business_unit,
        day_epoch,
        known_epoch,
        min(dispatched_on) as dispatched_on,
        min(dispatch_known_at) as known_at
    from numbered
    group by scac, charge_code, business_unit, day_epoch, known_epoch
),

-- the policy with which it set off: what is agreed later is for what sets off later
policies as (
    select
        rule_keys.scac,
        rule_keys.charge_code,
        rule_keys.business_unit,
        rule_keys.day_epoch,
        rule_keys.known_epoch,
        policy.*
    from rule_keys
    cross join lateral {{ rule_in_force(
        'accrual_policy', [
            'newest.from_milestone', 'newest.basis', 'newest.percent', 'newest.minimum_amount', 'newest.accrued_account'
        ],
        "newest.scac in (rule_keys.scac, '*') and newest.charge_code in (rule_keys.charge_code, '*')"
        ~ " and newest.business_unit in (rule_keys.business_unit, '*')",
        "newest.charge_code <> '*' desc, newest.scac <> '*' desc, newest.business_unit <> '*' desc",
        'rule_keys.dispatched_on', 'rule_keys.known_at'
    ) }} as policy
),

cost_policies as (
    {{ cost_policies_for('numbered') }}
),

ruled as (
    select
        numbered.*,
        policies.rule_id,
        policies.rule_version,
        policies.from_milestone,
        policies.basis,
        policies.percent,
        policies.minimum_amount,
        policies.accrued_account,
        coalesce(cost_policies.treatment, 'expense') as treatment,
        cost_policies.cost_account,
        cost_policies.sold_account,
        cost_policies.cost_rule_id,
        cost_policies.cost_rule_version,
        milestones.milestone_rank as from_rank,
        case policies.from_milestone
            when 'dispatched' then numbered.dispatched_at
            when 'picked_up' then numbered.picked_up_at
            when 'delivered' then numbered.delivered_at
            when 'pod_received' then numbered.proven_at
        end as reached_at,
        case policies.from_milestone
            when 'dispatched' then numbered.dispatch_known_at
            when 'picked_up' then numbered.pickup_known_at
            when 'delivered' then numbered.delivery_known_at
            when 'pod_received' then numbered.proof_known_at
        end as reach_known_at
    from numbered
    left join policies
        on policies.scac = numbered.scac
        and policies.charge_code = numbered.charge_code
        and policies.business_unit = numbered.business_unit
        and policies.day_epoch = numbered.day_epoch
        and policies.known_epoch = numbered.known_epoch
    left join cost_policies
        on cost_policies.direction = numbered.direction
        and cost_policies.scac = numbered.scac
        and cost_policies.charge_code = numbered.charge_code
        and cost_policies.business_unit = numbered.business_unit
        and cost_policies.cost_day = numbered.cost_day
        and cost_policies.cost_known = numbered.cost_known
    left join {{ ref('milestones') }} as milestones on milestones.milestone = policies.from_milestone
),

reached as (
    select
        *,
        coalesce(
            (reached_at at time zone 'UTC')::date, ship_on, (reach_known_at at time zone 'UTC')::date
        ) as accrued_on,
        case
            when basis = 'percent_of_planned' then round(planned_amount * percent / 100, 2)
            else planned_amount
        end as basis_amount,
        {{ charge_code_at('reached_at') }} as code_epoch,
        {{ exchange_rate_known('reach_known_at') }} as rate_epoch
    from ruled
    where milestone_rank >= from_rank or rule_id is null
),

account_keys as (
    select charge_code, scac, code_epoch, min(reached_at) as reached_at
    from reached
    group by charge_code, scac, code_epoch
),

accounts as (
    select account_keys.charge_code, account_keys.scac, account_keys.code_epoch, account.ledger_account
    from account_keys
    cross join lateral {{ expense_account('account_keys.charge_code', 'account_keys.scac', 'account_keys.reached_at') }}
        as account
),

rate_keys as (
    select
        currency,
        functional_currency,
        rate_source,
        rate_max_age_days,
        accrued_on as rate_on,
        rate_epoch,
        min(reach_known_at) as known_at
    from reached
    where currency <> functional_currency
    group by currency, functional_currency, rate_source, rate_max_age_days, accrued_on, rate_epoch
),

rates as (
    {{ exchange_rates_for('rate_keys') }}
),

translated as (
    select
        reached.*,
        coalesce(reached.cost_account, accounts.ledger_account) as expense_account,
        rates.exchange_rate,
        rates.exchange_rate_on,
        rates.exchange_rate_id,
        rates.exchange_rate_version,
        {{ functional_amount(
            'reached.basis_amount', 'reached.currency', 'reached.functional_currency', 'rates.exchange_rate'
        ) }} as basis_functional_amount
    from reached
    left join accounts
        on accounts.charge_code = reached.charge_code
        and accounts.scac = reached.scac
        and accounts.code_epoch = reached.code_epoch
    left join rates
        on rates.currency = reached.currency
        and rates.functional_currency = reached.functional_currency
        and rates.rate_source = reached.rate_source
        and rates.rate_max_age_days = reached.rate_max_age_days
        and rates.rate_on = reached.accrued_on
        and rates.rate_epoch = reached.rate_epoch
        and reached.currency <> reached.functional_currency
),

judged as (
    select
        *,
        case
            when rule_id is null then 'no_policy'
            when basis = 'none' or (basis = 'planned' and planned_by <> 'plan') then 'not_by_policy'
            when expense_account is null then 'no_account'
            when basis_functional_amount is null then 'no_exchange_rate'
            -- more than a ledger can hold
            when abs(basis_functional_amount) >= 1e15 or abs(basis_amount) >= 1e15 then 'out_of_range'
            when abs(basis_functional_amount) < minimum_amount then 'below_minimum'
            else 'accrued'
        end as status
    from translated
)

select
    shipment_id,
    charge_code,
    nullif(scac, '') as scac,
    business_unit,
    status,
    from_milestone,
    reached_at,
    accrued_on,
    delivered_at,
    currency,
    planned_amount,
    case when status = 'accrued' then basis_amount else 0 end::numeric(18, 2) as accrued_amount,
    functional_currency,
    case when status = 'accrued' then basis_functional_amount else 0 end::numeric(18, 2) as functional_amount,
    exchange_rate,
    exchange_rate_on,
    exchange_rate_id,
    exchange_rate_version,
    expense_account,
    accrued_account,
    treatment,
    sold_account,
    cost_rule_id,
    cost_rule_version,
    rule_id,
    rule_version::text as rule_version,
    case status
        when 'no_policy'
            then 'no accrual policy was known for ' || coalesce(nullif(scac, ''), 'no carrier') || ' and ' || charge_code
                || ' when it set off: record one in rules.accrual_policy'
        when 'not_by_policy' then 'the policy accrues nothing of it'
        when 'no_account' then 'charge ' || charge_code || ' has no ledger account yet: complete it in the ERP'
        when 'no_exchange_rate'
            then 'waits: no rate from ' || currency || ' to ' || functional_currency || ' by ' || rate_source || ' for '
                || accrued_on || ' or the ' || rate_max_age_days || ' days before: publish it in the ERP'
        when 'out_of_range' then 'the amount is more than a ledger holds: correct the plan'
        when 'below_minimum'
            then 'not posted: ' || basis_functional_amount || ' ' || functional_currency || ' is below the minimum of '
                || minimum_amount
        else
            replace(from_milestone, '_', ' ') || ': '
            || case when basis = 'percent_of_planned' then trim_scale(percent) || ' % of ' else '' end
            || case when planned_by = 'rated' then 'the contract''s ' else 'planned ' end
            || charge_code || ' of plan version ' || plan_version || ' is owed until the carrier bills it'
            || case
                when exchange_rate is not null
                    then '; ' || currency || ' at ' || trim_scale(exchange_rate) || ' of ' || exchange_rate_on
                else ''
            end
    end as reason,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
