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

-- Invoices that share a shipment are judged one after the other, in business order: what an earlier one was approved
-- for is no longer expected on a later one. An invoice is approved as a whole or not at all.
with recursive charges as (
    select *
    from {{ ref('invoice_charge') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

-- Shipments on one invoice belong together: each is tied to the lowest one, not to each other, so that a consolidated
-- invoice costs what it has lines.
ties as (
    select distinct
        shipment_id,
        min(shipment_id) over (partition by carrier_invoice_id) as lowest_id
    from charges
),

-- the lowest shipment that can be reached gives the group its name; only lower names are worth passing on
reach as (
    select distinct shipment_id, shipment_id as judged_with from charges
    union
    select near.shipment_id, reach.judged_with
    from reach
    inner join (
        select lowest_id as from_id, shipment_id from ties
        union all
        select shipment_id, lowest_id from ties
    ) as near on near.from_id = reach.shipment_id
    where reach.judged_with < near.shipment_id
),

groups as (
    select shipment_id, min(judged_with) as judged_with from reach
    group by shipment_id
),

invoices as (
    select
        charges.carrier_invoice_id,
        groups.judged_with,
        standing.exception is null as stands,
        -- without an account there is nothing to post to
        bool_and(
            charges.is_delivered and num_nonnulls(
                charges.expense_account, charges.payable_account, charges.accrued_account
            ) = 3
        ) as is_ready,
        row_number() over (partition by groups.judged_with order by charges.business_order) as turn,
        jsonb_agg(
            jsonb_build_object(
                'shipment_id', charges.shipment_id,
                'charge_code', charges.charge_code,
                'correction', charges.correction,
                'invoiced', charges.invoiced_amount,
                'planned', charges.planned_amount,
                'same_currency', charges.planned_currency is null or charges.planned_currency = charges.currency,
                'tolerance', charges.tolerance_amount,
                'under_tolerance', charges.under_tolerance_amount
            )
        ) as charges
    from charges
    inner join groups on groups.shipment_id = charges.shipment_id
    inner join {{ ref('invoice_standing') }} as standing on standing.carrier_invoice_id = charges.carrier_invoice_id
    group by charges.carrier_invoice_id, groups.judged_with, charges.business_order, standing.exception
),

walk as (
    select
        judged_with,
        0::bigint as turn,
        null::text as carrier_invoice_id,
        '{}'::jsonb as approved,
        '[]'::jsonb as lines,
        false as is_approved,
        false as is_ready
    from invoices
    where turn = 1
    union all
    select
        walk.judged_with,
        invoices.turn,
        invoices.carrier_invoice_id,
        case when invoices.stands and judged.all_fit then walk.approved || judged.approved_after else walk.approved end,
        judged.lines,
        invoices.stands and judged.all_fit,
        invoices.is_ready
    from walk
    inner join invoices on invoices.judged_with = walk.judged_with and invoices.turn = walk.turn + 1
    cross join lateral (
        select
            bool_and(checked.verdict not in ('out_of_tolerance', 'unplanned_charge')) as all_fit,
            jsonb_object_agg(
                checked.shipment_id || '|' || checked.charge_code, checked.approved_before + checked.invoiced
            ) as approved_after,
            jsonb_agg(to_jsonb(checked)) as lines
        from (
            select
                charge.*,
                case
                    -- an amount in another currency says nothing about the plan, nor about a bill
                    when not charge.same_currency then 'out_of_tolerance'
                    when charge.invoiced < 0 and charge.correction in ('CR', 'AD') then 'in_tolerance'
                    when charge.planned is null and charge.correction in ('BD', 'CO', 'AD', 'CR') then 'approved'
                    when charge.planned is null then 'unplanned_charge'
                    when charge.approved_before + charge.invoiced > charge.planned + coalesce(charge.tolerance, 0)
                        then 'out_of_tolerance'
                    when
                        charge.correction = ''
                        and charge.approved_before + charge.invoiced < charge.planned - charge.under_tolerance
                        then 'out_of_tolerance'
                    when charge.approved_before + charge.invoiced = charge.planned then 'exact'
                    else 'in_tolerance'
                end as verdict
            from (
                select
                    part.*,
                    coalesce((walk.approved ->> (part.shipment_id || '|' || part.charge_code))::numeric(18, 2), 0)
                    as approved_before
                from jsonb_to_recordset(invoices.charges) as part (
                    shipment_id text, charge_code text, correction text, invoiced numeric(18, 2),
                    planned numeric(18, 2), same_currency boolean, tolerance numeric(18, 4),
                    under_tolerance numeric(18, 4)
                )
            ) as charge
        ) as checked
    ) as judged
),

judged as (
    select
        walk.carrier_invoice_id,
        walk.is_approved,
        walk.is_approved and walk.is_ready as is_posted,
        line.shipment_id,
        line.charge_code,
        line.approved_before,
        line.verdict
    from walk
    cross join lateral jsonb_to_recordset(walk.lines) as line (
        shipment_id text, charge_code text, approved_before numeric(18, 2), verdict text
    )
    where walk.turn > 0
),

-- what has been billed and posted of an accrual, invoice by invoice, never more than was accrued
cumulated as (
    select
        charges.*,
        judged.is_approved,
        judged.is_posted,
        judged.approved_before,
        judged.verdict,
        sum(case when judged.is_posted then charges.invoiced_amount else 0 end) over (
            partition by charges.shipment_id, charges.charge_code order by charges.business_order
        ) as posted_amount
    from charges
    inner join judged
        on judged.carrier_invoice_id = charges.carrier_invoice_id
        and judged.shipment_id = charges.shipment_id and judged.charge_code = charges.charge_code
),

reversed as (
    select
        *,
        case
            when coalesce(planned_amount, 0) >= 0 then least(greatest(posted_amount, 0), coalesce(planned_amount, 0))
            else greatest(least(posted_amount, 0), planned_amount)
        end as reversed_amount
    from cumulated
)

select
    carrier_invoice_id,
    shipment_id,
    charge_code,
    scac,
    invoice_number,
    correction,
    invoice_on,
    business_order,
    currency,
    planned_amount,
    approved_before::numeric(18, 2) as approved_before_amount,
    (coalesce(planned_amount, 0) - approved_before)::numeric(18, 2) as expected_amount,
    invoiced_amount,
    (invoiced_amount - coalesce(planned_amount, 0) + approved_before)::numeric(18, 2) as variance_amount,
    tolerance_amount,
    under_tolerance_amount,
    verdict,
    rule_id,
    rule_version,
    case verdict
        when 'exact' then 'as planned'
        when 'in_tolerance'
            then case
                when invoiced_amount < 0 and correction in ('CR', 'AD') then 'a credit in our favour'
                when invoiced_amount < coalesce(planned_amount, 0) - approved_before then 'less than expected'
                else 'over by ' || (invoiced_amount - planned_amount + approved_before) || ', '
                    || round(tolerance_amount, 2) || ' allowed by ' || rule_id
            end
        when 'approved' then 'not planned, but billed as a correction'
        when 'unplanned_charge' then charge_code || ' was not planned for this shipment'
        else case
            when planned_currency <> currency then 'billed in ' || currency || ', planned in ' || planned_currency
            when invoiced_amount + approved_before < planned_amount
                then 'under by ' || (planned_amount - approved_before - invoiced_amount) || ', only '
                    || round(under_tolerance_amount, 2) || ' allowed by ' || rule_id
            else 'over by ' || (invoiced_amount - planned_amount + approved_before) || ', only '
                || round(coalesce(tolerance_amount, 0), 2) || ' allowed by ' || coalesce(rule_id, 'no rule')
        end
    end as reason,
    is_delivered,
    is_approved,
    is_posted,
    (
        reversed_amount - coalesce(
            lag(reversed_amount) over (partition by shipment_id, charge_code order by business_order), 0
        )
    )::numeric(18, 2) as reversal_amount,
    expense_account,
    accrued_account,
    payable_account,
    settlement_rule_id,
    settlement_rule_version,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from reversed
