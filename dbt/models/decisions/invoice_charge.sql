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
)

select
    charges.carrier_invoice_id,
    charges.shipment_id,
    charges.charge_code,
    invoice.scac,
    invoice.invoice_number,
    invoice.correction,
    invoice.invoice_on,
    invoice.business_order,
    invoice.currency,
    charges.invoiced_amount,
    planned.planned_amount,
    shipment.currency as planned_currency,
    rule.rule_id,
    rule.rule_version::text as rule_version,
    -- either: what allows more; both: what allows less; a limit that is not set doesn't speak
    case rule.over_mode
        when 'either'
            then greatest(abs(planned.planned_amount) * rule.over_percent / 100, rule.over_amount)
        else least(abs(planned.planned_amount) * rule.over_percent / 100, rule.over_amount)
    end::numeric(18, 4) as tolerance_amount,
    -- no limit at all: less is always accepted
    case rule.over_mode
        when 'either'
            then greatest(abs(planned.planned_amount) * rule.under_percent / 100, rule.under_amount)
        else least(abs(planned.planned_amount) * rule.under_percent / 100, rule.under_amount)
    end::numeric(18, 4) as under_tolerance_amount,
    shipment.milestone_rank >= 70 and not shipment.is_cancelled as is_delivered,
    account.ledger_account as expense_account,
    accrual.accrued_account,
    payable.payable_account,
    payable.rule_id as settlement_rule_id,
    payable.rule_version::text as settlement_rule_version,
    invoice.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from charges
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = charges.carrier_invoice_id
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = charges.shipment_id
left join {{ ref('planned_charge') }} as planned
    on planned.shipment_id = charges.shipment_id and planned.charge_code = charges.charge_code
left join lateral {{ rule_in_force(
    'tolerance', [
        'newest.over_mode', 'newest.over_percent', 'newest.over_amount', 'newest.under_percent', 'newest.under_amount'
    ],
    "newest.scac in (invoice.scac, '*') and newest.charge_code in (charges.charge_code, '*')",
    "newest.scac <> '*' and newest.charge_code <> '*' desc, newest.scac <> '*' desc, newest.charge_code <> '*' desc",
    'coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on)', 'invoice.admitted_at'
) }} as rule on true
-- expense and accrued account as the accrual found them: the reversal takes back from the same ones
left join lateral {{ expense_account('charges.charge_code', 'shipment.scac', 'shipment.delivered_at') }} as account
    on true
left join lateral {{ rule_in_force(
    'accrual_policy', ['newest.accrued_account'],
    "newest.scac in (shipment.scac, '*') and newest.from_milestone = 'delivered'", "newest.scac <> '*' desc",
    'coalesce(shipment.delivered_at::date, shipment.ship_on)', 'shipment.delivery_known_at'
) }} as accrual on true
left join lateral {{ rule_in_force(
    'settlement_policy', ['newest.payable_account'],
    "newest.scac in (invoice.scac, '*')", "newest.scac <> '*' desc", 'invoice.invoice_on', 'invoice.admitted_at'
) }} as payable on true
