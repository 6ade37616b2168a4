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

{% set run_scope, all_charges, standing = ref('scope_settle_freight'), ref('invoice_charge'), ref('invoice_standing') %}
{% set in_run = in_scope('carrier_invoice_id', run_scope, 'carrier_invoice') %}
{% set charge_in_run = in_scope('charge.carrier_invoice_id', run_scope, 'carrier_invoice', indexed=all_charges) %}
{% set standing_in_run = in_scope('carrier_invoice_id', run_scope, 'carrier_invoice', indexed=standing) %}

-- Sets of bills are asked by `in`, not joined: that is hashed whatever is expected of their size.
-- Most bills are the only one of their shipments: nothing was approved before, and they are judged all at once. Bills
-- that share a shipment are judged one after the other, in business order: what an earlier one was approved for is no
-- longer expected on a later one.
with recursive shared as (
    select charge.shipment_id
    from {{ all_charges }} as charge
    where {{ charge_in_run }}
    group by charge.shipment_id
    having min(charge.carrier_invoice_id) <> max(charge.carrier_invoice_id)
),

related as (
    select distinct charge.carrier_invoice_id
    from shared
    inner join {{ all_charges }} as charge on charge.shipment_id = shared.shipment_id
),

-- of some that don't stand nothing will ever be paid; others wait for a person or for another document
not_standing as (
    select
        carrier_invoice_id,
        exception not in {{ waiting_exceptions() }} as is_rejected
    from {{ standing }}
    where exception is not null and {{ standing_in_run }}
),

waiting as (
    select carrier_invoice_id
    from {{ standing }}
    where needs_approval and {{ standing_in_run }}
),

agreements as (
    select carrier_invoice_id, shipment_id, charge_code, agreed_amount
    from {{ ref('dispute_agreement') }}
    where {{ in_run }}
),

-- what audit platforms said of bills of one shipment; of others they don't say which shipment they mean
audits as (
    select
        advice.carrier_invoice_id,
        advice.charge_code,
        min(advice.audited_amount) as audited_amount,
        min(advice.platform || ': ' || advice.reason) as words
    from {{ ref('audit_advice') }} as advice
    inner join {{ all_charges }} as charge on charge.carrier_invoice_id = advice.carrier_invoice_id
    where
        charge.audit_mode = 'binding' and advice.audited_amount is not null
        and {{ in_scope('advice.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by advice.carrier_invoice_id, advice.charge_code
    having min(charge.shipment_id) = max(charge.shipment_id)
),

-- claims that were settled otherwise than by a credit on a bill
given_back as (
    select shipment_id, charge_code, sum(amount)::numeric(18, 2) as amount
    from {{ ref('claim_settlement') }}
    group by shipment_id, charge_code
),

charges as not materialized (
    select
        charge.*,
        charge.invoiced_amount as invoiced,
        charge.planned_amount as planned,
        charge.planned_currency is null or charge.planned_currency = charge.currency as same_currency,
        charge.tolerance_amount as tolerance,
        charge.under_tolerance_amount as under_tolerance,
        charge.unplanned_amount as unplanned,
        -- what both sides agreed on goes before an audit
        coalesce(agreements.agreed_amount, audits.audited_amount) as agreed,
        case when agreements.agreed_amount is null then audits.audited_amount end as audited,
        audits.words as audit_words,
        coalesce(given_back.amount, 0) as given_back,
        charge.carrier_invoice_id not in (select carrier_invoice_id from not_standing) as stands,
        charge.carrier_invoice_id in (
            select carrier_invoice_id
            from not_standing
            where is_rejected
        ) as is_rejected,
        -- without an account there is nothing to post to, and some bills need a person
        charge.is_delivered and charge.is_accrued and num_nonnulls(
            charge.expense_account, charge.payable_account, charge.exchange_rate
        ) = 3 and charge.carrier_invoice_id not in (select carrier_invoice_id from waiting)
        -- what our own document is about to pay waits for it
        and coalesce(charge.self_bill_state, '') <> 'awaited' as is_ready
    from {{ all_charges }} as charge
    left join agreements
        on agreements.carrier_invoice_id = charge.carrier_invoice_id
        and agreements.shipment_id = charge.shipment_id and agreements.charge_code = charge.charge_code
    left join audits
        on audits.carrier_invoice_id = charge.carrier_invoice_id and audits.charge_code = charge.charge_code
    left join given_back
        on given_back.shipment_id = charge.shipment_id and given_back.charge_code = charge.charge_code
    where {{ charge_in_run }}
),

alone as not materialized (
    select judged.*, {{ owed_amount('judged') }} as owed
    from (
        select charge.*, {{ charge_verdict('charge') }} as verdict
        from (
            select charges.*, 0.00 as approved_before, 0.00 as claimed_before
            from charges
            where charges.carrier_invoice_id not in (select carrier_invoice_id from related)
        ) as charge
    ) as judged
),

-- held as a whole, until all that doesn't fit is agreed on
alone_held as (
    select distinct carrier_invoice_id
    from alone
    where not {{ fits('verdict') }} and agreed is null and coalesce(dispute_mode, 'hold') = 'hold'
),

alone_unready as (
    select distinct carrier_invoice_id
    from alone
    where not is_ready
),

crowded as (
    select charges.*
    from charges
    inner join related on related.carrier_invoice_id = charges.carrier_invoice_id
),

-- Shipments on one invoice belong together: each is tied to the lowest one, not to each other, so that a consolidated
-- invoice costs what it has lines.
ties as (
    select distinct
        shipment_id,
        min(shipment_id) over (partition by carrier_invoice_id) as lowest_id
    from crowded
),

-- the lowest shipment that can be reached gives the group its name; only lower names are worth passing on
reach as (
    select distinct shipment_id, shipment_id as judged_with from crowded
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
        crowded.carrier_invoice_id,
        groups.judged_with,
        bool_and(crowded.stands) as stands,
        bool_and(crowded.is_ready) as is_ready,
        row_number() over (partition by groups.judged_with order by crowded.business_order) as turn,
        jsonb_agg(
            jsonb_build_object(
                'shipment_id', crowded.shipment_id,
                'charge_code', crowded.charge_code,
                'correction', crowded.correction,
                'invoiced', crowded.invoiced,
                'planned', crowded.planned,
                'same_currency', crowded.same_currency,
                'tolerance', crowded.tolerance,
                'under_tolerance', crowded.under_tolerance,
                'unplanned', crowded.unplanned,
                'self_bill_state', crowded.self_bill_state,
                'agreed', crowded.agreed,
                'audited', crowded.audited,
                'given_back', crowded.given_back,
                'dispute_mode', coalesce(crowded.dispute_mode, 'hold')
            )
        ) as charges
    from crowded
    inner join groups on groups.shipment_id = crowded.shipment_id
    group by crowded.carrier_invoice_id, groups.judged_with, crowded.business_order
),

-- `approved`: what earlier bills were approved for, by shipment and charge; `claimed`: what is claimed back of them
walk as (
    select
        judged_with,
        0::bigint as turn,
        null::text as carrier_invoice_id,
        '{}'::jsonb as approved,
        '{}'::jsonb as claimed,
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
        case when invoices.stands and not judged.is_held then walk.approved || judged.approved_after
            else walk.approved end,
        case when invoices.stands and not judged.is_held then walk.claimed || judged.claimed_after
            else walk.claimed end,
        judged.lines,
        invoices.stands and not judged.is_held,
        invoices.is_ready
    from walk
    inner join invoices on invoices.judged_with = walk.judged_with and invoices.turn = walk.turn + 1
    cross join lateral (
        select
            bool_or(
                not {{ fits('checked.verdict') }} and checked.agreed is null and checked.dispute_mode = 'hold'
            ) as is_held,
            jsonb_object_agg(
                checked.shipment_id || '|' || checked.charge_code,
                -- a credit comes off what is claimed back before it comes off what was approved
                checked.approved_before + checked.owed
                + {{ recovered_part('checked') }}
            ) as approved_after,
            jsonb_object_agg(
                checked.shipment_id || '|' || checked.charge_code,
                checked.claimed_before - {{ recovered_part('checked') }}
                + case when checked.dispute_mode = 'pay_and_claim' then checked.invoiced - checked.owed else 0 end
            ) as claimed_after,
            jsonb_agg(to_jsonb(checked)) as lines
        from (
            select judged_charge.*, {{ owed_amount('judged_charge') }} as owed
            from (
                select charge.*, {{ charge_verdict('charge') }} as verdict
                from (
                    select
                        part.*,
                        coalesce((walk.approved ->> (part.shipment_id || '|' || part.charge_code))::numeric(18, 2), 0)
                        as approved_before,
                        coalesce((walk.claimed ->> (part.shipment_id || '|' || part.charge_code))::numeric(18, 2), 0)
                        as claimed_before
                    from jsonb_to_recordset(invoices.charges) as part (
                        shipment_id text, charge_code text, correction text, invoiced numeric(18, 2),
                        planned numeric(18, 2), same_currency boolean, tolerance numeric(18, 4),
                        under_tolerance numeric(18, 4), unplanned numeric(18, 2), agreed numeric(18, 2),
                        audited numeric(18, 2),
                        given_back numeric(18, 2), dispute_mode text, self_bill_state text
                    )
                ) as charge
            ) as judged_charge
        ) as checked
    ) as judged
),

in_turn as (
    select
        crowded.*,
        line.approved_before,
        line.claimed_before,
        line.verdict,
        line.owed,
        walk.is_approved,
        walk.is_approved and walk.is_ready and (line.verdict <> 'self_billed' or crowded.agreed is not null) as is_posted
    from walk
    cross join lateral jsonb_to_recordset(walk.lines) as line (
        shipment_id text, charge_code text, approved_before numeric(18, 2), claimed_before numeric(18, 2),
        verdict text, owed numeric(18, 2)
    )
    inner join crowded
        on crowded.carrier_invoice_id = walk.carrier_invoice_id
        and crowded.shipment_id = line.shipment_id and crowded.charge_code = line.charge_code
    where walk.turn > 0
),

judged as (
    select
        alone.*,
        alone.stands and alone.carrier_invoice_id not in (select carrier_invoice_id from alone_held) as is_approved,
        alone.stands
        and alone.carrier_invoice_id not in (select carrier_invoice_id from alone_held)
        and alone.carrier_invoice_id not in (select carrier_invoice_id from alone_unready)
        and (alone.verdict <> 'self_billed' or alone.agreed is not null) as is_posted,
        true as is_alone
    from alone
    union all
    select in_turn.*, false
    from in_turn
),

-- Every cent of a bill is in one of four places. What is claimed back is a part of what is paid; a credit that comes
-- for a claim is recovered.
placed as (
    select
        *,
        case
            when not is_posted then 0
            when dispute_mode = 'pay_and_claim' then invoiced
            else owed
        end as paid,
        case when is_posted and dispute_mode = 'pay_and_claim' then invoiced - owed else 0 end as claimed,
        case when is_posted then {{ recovered_part('judged') }} else 0 end as recovered,
        case
            when not stands then 0
            when {{ fits('verdict') }} or agreed is not null then 0
            when dispute_mode = 'pay_and_claim' and is_approved then 0
            else invoiced - owed - {{ self_billed_part('judged') }}
        end as disputed,
        case
            when is_rejected then invoiced
            when not stands then 0
            when agreed is not null and not {{ fits('verdict') }} and coalesce(dispute_mode, 'hold') <> 'pay_and_claim'
                then invoiced - owed
            else {{ self_billed_part('judged') }}
        end as rejected
    from judged
),

counted as (
    select *, case when is_posted then owed + recovered else 0 end as posted_now
    from placed
),

-- what has been billed and posted of a charge in all, up to and with this bill
cumulated as (
    select *, posted_now as posted_amount
    from counted
    where is_alone
    union all
    select
        *,
        sum(posted_now) over (partition by shipment_id, charge_code order by business_order) as posted_amount
    from counted
    where not is_alone
),

reversed as (
    select
        *,
        {{ accrued_part('posted_amount') }} as reversed_after,
        {{ accrued_part('posted_amount - posted_now') }} as reversed_before
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
                when invoiced_amount < 0 and correction in ('CR', 'AD')
                    then case when recovered > 0 then 'a credit for what was claimed' else 'a credit in our favour' end
                when invoiced_amount < coalesce(planned_amount, 0) - approved_before then 'less than expected'
                else 'over by ' || (invoiced_amount - planned_amount + approved_before) || ', '
                    || round(tolerance_amount, 2) || ' allowed by ' || rule_id
            end
        when 'approved'
            then case
                when invoiced_amount < 0 then charge_code || ' was not planned, and is given back'
                when approved_before + invoiced_amount <= 0 then 'no more than was given back of it before'
                else 'not planned, but up to ' || unplanned_amount || ' is accepted on a second bill by ' || rule_id
            end
        when 'self_billed'
            then case
                when rejected = invoiced then 'paid already by our document ' || self_bill_number
                else 'our document ' || self_bill_number || ' paid ' || approved_before || ' of it, not the other '
                    || (invoiced - {{ self_billed_part('reversed') }})
            end
        when 'audited' then 'audited by ' || audit_words || '; ' || audited || ' of ' || invoiced_amount || ' is to be paid'
        when 'unplanned_charge' then charge_code || ' was not planned for this shipment'
        when 'duplicate_charge' then 'billed again: ' || approved_before || ' was approved on an earlier bill'
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
    is_accrued,
    self_bill_state,
    self_bill_number,
    is_approved,
    is_posted,
    coalesce(dispute_mode, 'hold') as dispute_mode,
    agreed::numeric(18, 2) as agreed_amount,
    owed::numeric(18, 2) as owed_amount,
    paid::numeric(18, 2) as paid_amount,
    claimed::numeric(18, 2) as claimed_amount,
    recovered::numeric(18, 2) as recovered_amount,
    disputed::numeric(18, 2) as disputed_amount,
    rejected::numeric(18, 2) as rejected_amount,
    (invoiced_amount - paid - disputed - rejected)::numeric(18, 2) as pending_amount,
    (reversed_after - reversed_before)::numeric(18, 2) as reversal_amount,
    reversed_before::numeric(18, 2) as reversed_before_amount,
    business_unit,
    functional_currency,
    exchange_rate,
    -- at the rate of the day on which it was accrued; what the rate did since has its own account
    {{ functional_step('accrued_amount', 'accrued_functional_amount', 'reversed_before', 'reversed_after') }}
    ::numeric(18, 2) as reversal_functional_amount,
    coalesce({{ exchange_difference(
        functional_step('accrued_amount', 'accrued_functional_amount', 'reversed_before', 'reversed_after'),
        'round((reversed_after - reversed_before) * exchange_rate, 2)'
    ) }}, 0)::numeric(18, 2) as exchange_difference_amount,
    gain_account,
    loss_account,
    expense_account,
    treatment,
    sold_account,
    accrued_account,
    payable_account,
    claim_account,
    recovery_account,
    contest_days,
    acknowledge_days,
    settlement_rule_id,
    settlement_rule_version,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from reversed
