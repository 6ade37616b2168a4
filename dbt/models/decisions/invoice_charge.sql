{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'shipment_id', 'charge_code'],
    tags=['settlement'],
    pre_hook='set local enable_mergejoin = off',
    indexes=[{'columns': ['shipment_id']}],
    post_hook="{{ index_where('carrier_invoice_id', 'exchange_rate is null') }}",
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

{% set run_scope = ref('scope_settle_freight') %}
{% set own_shipment = {'shipment_id': 'charges.shipment_id'} %}
{% set own_charge = {'shipment_id': 'charges.shipment_id', 'charge_code': 'charges.charge_code'} %}

-- Rules, accounts and rates are looked up once a group of equal answers, never a row: see macros/rule_epochs.sql. All
-- places that the same lanes name are such a group, too, and all amounts of a band. The groups are few, which PostgreSQL
-- can't know: it would sort the wide rows of all charges to merge them, five times over.
with charges as (
    select
        link.carrier_invoice_id,
        link.shipment_id,
        line.charge_code,
        sum(line.line_amount)::numeric(18, 2) as invoiced_amount
    from {{ ref('invoice_link') }} as link
    inner join {{ ref('carrier_invoice_line') }} as line
        on line.carrier_invoice_id = link.carrier_invoice_id and line.match_unit = link.match_unit
    where
        link.shipment_id is not null
        and {{ in_scope('link.carrier_invoice_id', run_scope, 'carrier_invoice') }}
    group by link.carrier_invoice_id, link.shipment_id, line.charge_code
),

facts as materialized (
    select
        charges.*,
        invoice.scac,
        invoice.invoice_number,
        invoice.correction,
        invoice.invoice_on,
        invoice.business_order,
        invoice.currency,
        invoice.correlation_id,
        own.bill_number as self_bill_number,
        case
            when invoice.feed = 'ours.self_bill' then 'ours'
            when own.shipment_id is not null then case when own.billed_on is null then 'awaited' else 'made' end
        end as self_bill_state,
        planned.planned_amount,
        shipment.currency as planned_currency,
        shipment.scac as planned_scac,
        shipment.milestone_rank >= 70 and not shipment.is_cancelled as is_delivered,
        shipment.delivered_at,
        accrual.shipment_id is not null as has_accrual,
        accrual.expense_account as accrual_expense_account,
        accrual.accrued_account,
        accrual.treatment as accrual_treatment,
        accrual.sold_account as accrual_sold_account,
        accrual.accrued_amount - coalesce(released.released_amount, 0) as accrued_amount,
        accrual.functional_amount - coalesce(released.released_functional_amount, 0) as accrued_functional_amount,
        coalesce(unit.business_unit, '') as business_unit,
        coalesce(unit.functional_currency, invoice.currency) as functional_currency,
        unit.rate_source,
        unit.rate_max_age_days,
        unit.gain_account,
        unit.loss_account,
        invoice.admitted_at,
        -- where the cost goes is asked only of what was not accrued: an accrual says it
        case when accrual.shipment_id is null then coalesce(shipment.direction, 'outbound') end as direction,
        case
            when accrual.shipment_id is null
                then coalesce((shipment.dispatched_at at time zone 'UTC')::date, shipment.ship_on, invoice.invoice_on)
        end as dispatched_on,
        case when accrual.shipment_id is null then coalesce(shipment.dispatch_known_at, invoice.admitted_at) end
        as dispatch_known_at,
        coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on) as shipped_on,
        {{ rule_known('tolerance', 'invoice.admitted_at') }} as tolerance_known,
        {{ rule_day('tolerance', 'coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on)') }} as tolerance_day,
        {{ value_band('planned.planned_amount') }} as band,
        {{ lanes_named('shipment.origin_postal', 'shipment.destination_postal') }} as lanes,
        {{ rule_known('settlement_policy', 'invoice.admitted_at') }} as settlement_known,
        {{ rule_day('settlement_policy', 'invoice.invoice_on') }} as settlement_day,
        {{ charge_code_at('shipment.delivered_at') }} as account_epoch,
        {{ exchange_rate_known('invoice.admitted_at') }} as rate_epoch
    from charges
    inner join {{ by_key(
        ref('carrier_invoice'), 'invoice', {'carrier_invoice_id': 'charges.carrier_invoice_id'}, run_scope,
        'carrier_invoice'
    ) }}
    inner join {{ by_key(ref('shipment'), 'shipment', own_shipment, run_scope, 'carrier_invoice') }}
    left join {{ by_key(ref('shipment_unit'), 'unit', own_shipment, run_scope, 'carrier_invoice') }}
    left join {{ by_key(
        ref('self_bill'), 'own', own_shipment, run_scope, 'carrier_invoice',
        also='own.is_self_billed and own.scac = invoice.scac'
    ) }}
    left join {{ by_key(ref('planned_charge'), 'planned', own_charge, run_scope, 'carrier_invoice') }}
    left join {{ by_key(ref('accrual'), 'accrual', own_charge, run_scope, 'carrier_invoice') }}
    -- what was given up of an accrual is not there to be taken back
    left join {{ ref('released_accrual') }} as released
        on released.shipment_id = charges.shipment_id and released.charge_code = charges.charge_code
        and released.account = accrual.accrued_account and released.currency = accrual.currency
),

tolerances as (
    select asked.*, rule.*
    from (
        select
            scac, charge_code, tolerance_known, tolerance_day, band, lanes,
            min(shipped_on) as valid_on,
            min(admitted_at) as known_at
        from facts
        group by scac, charge_code, tolerance_known, tolerance_day, band, lanes
    ) as asked
    cross join lateral {{ rule_in_force(
        'tolerance', [
            'newest.over_mode', 'newest.over_percent', 'newest.over_amount', 'newest.under_percent',
            'newest.under_amount', 'newest.unplanned_amount'
        ],
        tolerance_applies('asked'),
        tolerance_specificity(),
        'asked.valid_on', 'asked.known_at'
    ) }} as rule
),

policies as (
    select asked.*, rule.*
    from (
        select
            scac, settlement_known, settlement_day,
            min(invoice_on) as valid_on,
            min(admitted_at) as known_at
        from facts
        group by scac, settlement_known, settlement_day
    ) as asked
    cross join lateral {{ rule_in_force(
        'settlement_policy', [
            'newest.payable_account', 'newest.dispute_mode', 'newest.claim_account', 'newest.recovery_account',
            'newest.auto_approve_amount', 'newest.contest_days', 'newest.acknowledge_days', 'newest.extra_bill_days',
            'newest.audit_mode'
        ],
        "newest.scac in (asked.scac, '*')", "newest.scac <> '*' desc", 'asked.valid_on', 'asked.known_at'
    ) }} as rule
),

-- of charges that nobody planned, and so nobody accrued
accounts as (
    select asked.charge_code, asked.planned_scac, asked.account_epoch, account.ledger_account
    from (
        select charge_code, planned_scac, account_epoch, min(delivered_at) as delivered_at
        from facts
        group by charge_code, planned_scac, account_epoch
    ) as asked
    cross join lateral {{ expense_account('asked.charge_code', 'asked.planned_scac', 'asked.delivered_at') }} as account
),

unaccrued as (
    select
        carrier_invoice_id, shipment_id, charge_code, direction, scac, business_unit, dispatched_on, dispatch_known_at,
        {{ rule_day('cost_policy', 'dispatched_on') }} as cost_day,
        {{ rule_known('cost_policy', 'dispatch_known_at') }} as cost_known
    from facts
    where direction is not null
),

cost_policies as (
    {{ cost_policies_for('unaccrued') }}
),

costs as (
    select
        unaccrued.carrier_invoice_id,
        unaccrued.shipment_id,
        unaccrued.charge_code,
        cost_policies.treatment,
        cost_policies.cost_account,
        cost_policies.sold_account
    from unaccrued
    inner join cost_policies
        on cost_policies.direction = unaccrued.direction
        and cost_policies.scac = unaccrued.scac
        and cost_policies.charge_code = unaccrued.charge_code
        and cost_policies.business_unit = unaccrued.business_unit
        and cost_policies.cost_day = unaccrued.cost_day
        and cost_policies.cost_known = unaccrued.cost_known
),

rate_keys as (
    select
        currency, functional_currency, rate_source, rate_max_age_days,
        invoice_on as rate_on,
        rate_epoch,
        min(admitted_at) as known_at
    from facts
    where currency <> functional_currency
    group by currency, functional_currency, rate_source, rate_max_age_days, invoice_on, rate_epoch
),

rates as (
    {{ exchange_rates_for('rate_keys') }}
)

select
    facts.carrier_invoice_id,
    facts.shipment_id,
    facts.charge_code,
    facts.scac,
    facts.invoice_number,
    facts.correction,
    facts.invoice_on,
    facts.business_order,
    facts.currency,
    facts.invoiced_amount,
    facts.planned_amount,
    facts.planned_currency,
    tolerances.rule_id,
    tolerances.rule_version::text as rule_version,
    -- either: what allows more; both: what allows less; a limit that is not set doesn't speak
    case tolerances.over_mode
        when 'either'
            then greatest(abs(facts.planned_amount) * tolerances.over_percent / 100, tolerances.over_amount)
        else least(abs(facts.planned_amount) * tolerances.over_percent / 100, tolerances.over_amount)
    end::numeric(18, 4) as tolerance_amount,
    -- no limit at all: less is always accepted
    case tolerances.over_mode
        when 'either'
            then greatest(abs(facts.planned_amount) * tolerances.under_percent / 100, tolerances.under_amount)
        else least(abs(facts.planned_amount) * tolerances.under_percent / 100, tolerances.under_amount)
    end::numeric(18, 4) as under_tolerance_amount,
    tolerances.unplanned_amount,
    facts.is_delivered,
    facts.has_accrual or facts.planned_amount is null as is_accrued,
    -- a bill in another currency than the plan's takes nothing back
    case when facts.planned_currency <> facts.currency then 0 else coalesce(facts.accrued_amount, 0) end::numeric(18, 2)
    as accrued_amount,
    case when facts.planned_currency <> facts.currency then 0 else coalesce(facts.accrued_functional_amount, 0) end
    ::numeric(18, 2) as accrued_functional_amount,
    facts.business_unit,
    facts.functional_currency,
    case when facts.currency = facts.functional_currency then 1 else rates.exchange_rate end::numeric(20, 10)
    as exchange_rate,
    facts.gain_account,
    facts.loss_account,
    coalesce(facts.accrual_expense_account, costs.cost_account, accounts.ledger_account) as expense_account,
    facts.accrued_account,
    -- nearly all is an expense: null
    nullif(coalesce(facts.accrual_treatment, costs.treatment), 'expense') as treatment,
    coalesce(facts.accrual_sold_account, costs.sold_account) as sold_account,
    policies.payable_account,
    policies.rule_id as settlement_rule_id,
    policies.rule_version::text as settlement_rule_version,
    -- what our own document paid is not held up, nor paid again to be claimed back: only the difference is in dispute
    case
        when facts.self_bill_state = 'made' and facts.correction in ('', 'RB') then 'short_pay'
        else policies.dispute_mode
    end as dispute_mode,
    facts.self_bill_state,
    facts.self_bill_number,
    policies.claim_account,
    policies.recovery_account,
    policies.auto_approve_amount,
    policies.contest_days,
    policies.acknowledge_days,
    policies.extra_bill_days,
    nullif(policies.audit_mode, 'advise') as audit_mode,
    facts.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from facts
left join tolerances
    on tolerances.scac = facts.scac
    and tolerances.charge_code = facts.charge_code
    and tolerances.tolerance_known = facts.tolerance_known
    and tolerances.tolerance_day = facts.tolerance_day
    and tolerances.band = facts.band
    and tolerances.lanes = facts.lanes
left join policies
    on policies.scac = facts.scac
    and policies.settlement_known = facts.settlement_known
    and policies.settlement_day = facts.settlement_day
left join accounts
    on accounts.charge_code = facts.charge_code
    and accounts.planned_scac is not distinct from facts.planned_scac
    and accounts.account_epoch = facts.account_epoch
left join costs
    on costs.carrier_invoice_id = facts.carrier_invoice_id
    and costs.shipment_id = facts.shipment_id and costs.charge_code = facts.charge_code
left join rates
    on rates.currency = facts.currency
    and rates.functional_currency = facts.functional_currency
    and rates.rate_source = facts.rate_source
    and rates.rate_max_age_days = facts.rate_max_age_days
    and rates.rate_on = facts.invoice_on
    and rates.rate_epoch = facts.rate_epoch
