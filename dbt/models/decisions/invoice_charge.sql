{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'shipment_id', 'charge_code'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_id']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

-- Rules are asked once for each distinct question, not for each charge: between two moments at which a table of rules
-- changes all moments are the same (an epoch), and so are all places that the same lanes name and all amounts of a band.
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
        and {{ in_scope('link.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
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
        planned.planned_amount,
        shipment.currency as planned_currency,
        shipment.scac as planned_scac,
        shipment.milestone_rank >= 70 and not shipment.is_cancelled as is_delivered,
        shipment.delivered_at,
        shipment.delivery_known_at,
        invoice.admitted_at,
        coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on) as shipped_on,
        coalesce(shipment.delivered_at::date, shipment.ship_on) as accrued_on,
        {{ known_epoch('tolerance', 'invoice.admitted_at') }} as tolerance_known,
        {{ valid_epoch('tolerance', 'coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on)') }}
        as tolerance_valid,
        {{ value_band('planned.planned_amount') }} as band,
        {{ lanes_named('shipment.origin_postal', 'shipment.destination_postal') }} as lanes,
        {{ known_epoch('settlement_policy', 'invoice.admitted_at') }} as settlement_known,
        {{ valid_epoch('settlement_policy', 'invoice.invoice_on') }} as settlement_valid,
        {{ known_epoch('accrual_policy', 'shipment.delivery_known_at') }} as accrual_known,
        {{ valid_epoch('accrual_policy', 'coalesce(shipment.delivered_at::date, shipment.ship_on)') }} as accrual_valid,
        coalesce({{ charge_code_epoch('shipment.delivered_at') }}, -1) as account_epoch
    from charges
    inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = charges.carrier_invoice_id
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = charges.shipment_id
    left join {{ ref('planned_charge') }} as planned
        on planned.shipment_id = charges.shipment_id and planned.charge_code = charges.charge_code
),

tolerances as (
    select asked.*, rule.*
    from (
        select
            scac, charge_code, tolerance_known, tolerance_valid, band, lanes,
            min(shipped_on) as valid_on,
            min(admitted_at) as known_at
        from facts
        group by scac, charge_code, tolerance_known, tolerance_valid, band, lanes
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
            scac, settlement_known, settlement_valid,
            min(invoice_on) as valid_on,
            min(admitted_at) as known_at
        from facts
        group by scac, settlement_known, settlement_valid
    ) as asked
    cross join lateral {{ rule_in_force(
        'settlement_policy', [
            'newest.payable_account', 'newest.dispute_mode', 'newest.claim_account', 'newest.recovery_account',
            'newest.auto_approve_amount', 'newest.contest_days', 'newest.acknowledge_days', 'newest.extra_bill_days'
        ],
        "newest.scac in (asked.scac, '*')", "newest.scac <> '*' desc", 'asked.valid_on', 'asked.known_at'
    ) }} as rule
),

accruals as (
    select asked.*, rule.*
    from (
        select
            planned_scac, accrual_known, accrual_valid,
            min(accrued_on) as valid_on,
            min(delivery_known_at) as known_at
        from facts
        group by planned_scac, accrual_known, accrual_valid
    ) as asked
    cross join lateral {{ rule_in_force(
        'accrual_policy', ['newest.accrued_account'],
        "newest.scac in (asked.planned_scac, '*') and newest.from_milestone = 'delivered'", "newest.scac <> '*' desc",
        'asked.valid_on', 'asked.known_at'
    ) }} as rule
),

-- expense and accrued account as the accrual found them: the reversal takes back from the same ones
accounts as (
    select asked.charge_code, asked.planned_scac, asked.account_epoch, account.ledger_account
    from (
        select charge_code, planned_scac, account_epoch, min(delivered_at) as delivered_at
        from facts
        group by charge_code, planned_scac, account_epoch
    ) as asked
    cross join lateral {{ expense_account('asked.charge_code', 'asked.planned_scac', 'asked.delivered_at') }} as account
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
    accounts.ledger_account as expense_account,
    accruals.accrued_account,
    policies.payable_account,
    policies.rule_id as settlement_rule_id,
    policies.rule_version::text as settlement_rule_version,
    policies.dispute_mode,
    policies.claim_account,
    policies.recovery_account,
    policies.auto_approve_amount,
    policies.contest_days,
    policies.acknowledge_days,
    policies.extra_bill_days,
    facts.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from facts
left join tolerances
    on tolerances.scac = facts.scac
    and tolerances.charge_code = facts.charge_code
    and tolerances.tolerance_known = facts.tolerance_known
    and tolerances.tolerance_valid = facts.tolerance_valid
    and tolerances.band = facts.band
    and tolerances.lanes = facts.lanes
left join policies
    on policies.scac = facts.scac
    and policies.settlement_known = facts.settlement_known
    and policies.settlement_valid = facts.settlement_valid
left join accruals
    on accruals.planned_scac = facts.planned_scac
    and accruals.accrual_known = facts.accrual_known
    and accruals.accrual_valid = facts.accrual_valid
left join accounts
    on accounts.charge_code = facts.charge_code
    and accounts.planned_scac = facts.planned_scac
    and accounts.account_epoch = facts.account_epoch
