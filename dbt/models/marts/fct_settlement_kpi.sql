-- Counts and sums only: rates are made where they are shown, so that rows may be added up first.
-- What a person of ours said about a bill, and when somebody's word decided about it.
with spoken as (
    select carrier_invoice_id, said_at, kind = 'acceptance' as is_decision, party = 'us' as is_ours
    from {{ source('cases', 'dispute_event') }}
    union all
    select carrier_invoice_id, decided_at, true, true
    from {{ source('cases', 'invoice_approval') }}
),

words as (
    select
        carrier_invoice_id,
        count(*) filter (where is_ours) as touches,
        max(said_at) filter (where is_decision) as decided_at
    from spoken
    group by carrier_invoice_id
),

links as (
    select carrier_invoice_id, bool_and(outcome = 'matched') as is_matched
    from {{ ref('invoice_link') }}
    group by carrier_invoice_id
),

charges as (
    select
        line.carrier_invoice_id,
        count(*) filter (where is_accessorial) as accessorials,
        count(*) filter (where is_accessorial and not {{ fits('verdict') }}) as accessorial_exceptions,
        sum(variance_amount) filter (where is_posted and verdict = 'in_tolerance' and variance_amount > 0) as given_amount,
        sum(invoiced_amount - owed_amount) filter (where verdict = 'duplicate_charge') as twice_amount
    from (
        select *, charge_code not in ('LINEHAUL', 'FUEL', 'DISCOUNT') as is_accessorial
        from {{ ref('invoice_line_verdict') }}
    ) as line
    group by line.carrier_invoice_id
),

-- the first payable of a bill, and the last delivery that it is for
payables as (
    select aggregate_id as carrier_invoice_id, min(posted_on) as payable_on
    from {{ source('effects', 'movement') }}
    where aggregate_type = 'carrier_invoice' and effect_key like 'payable|%'
    group by aggregate_id
),

deliveries as (
    select line.carrier_invoice_id, max((shipment.delivered_at at time zone 'UTC')::date) as delivered_on
    from (
        select distinct carrier_invoice_id, shipment_id
        from {{ ref('invoice_line_verdict') }}
        where is_posted
    ) as line
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = line.shipment_id
    group by line.carrier_invoice_id
),

bills as (
    select
        judged.scac,
        judged.currency,
        judged.net_amount,
        judged.rejected_amount,
        judged.verdict in (
            'exact', 'in_tolerance', 'approved', 'agreed', 'audited', 'cancellation', 'replaced', 'cancelled'
        )
        as is_settled,
        judged.verdict in ('exact', 'in_tolerance', 'approved') and coalesce(words.touches, 0) = 0 as is_first_pass,
        judged.verdict in ('duplicate_number', 'duplicate_move') as is_duplicate,
        judged.verdict in ('no_candidate', 'several_candidates') as is_unmatched,
        coalesce(links.is_matched, false) as is_matched,
        coalesce(words.touches, 0) as touches,
        words.decided_at is not null as is_decided,
        extract(epoch from words.decided_at - invoice.received_at) / 86400 as decided_days,
        coalesce(charges.accessorials, 0) as accessorials,
        coalesce(charges.accessorial_exceptions, 0) as accessorial_exceptions,
        coalesce(charges.given_amount, 0) as given_amount,
        coalesce(charges.twice_amount, 0) as twice_amount,
        payables.payable_on - deliveries.delivered_on as payable_days
    from {{ ref('invoice_verdict') }} as judged
    inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = judged.carrier_invoice_id
    left join words on words.carrier_invoice_id = judged.carrier_invoice_id
    left join links on links.carrier_invoice_id = judged.carrier_invoice_id
    left join charges on charges.carrier_invoice_id = judged.carrier_invoice_id
    left join payables on payables.carrier_invoice_id = judged.carrier_invoice_id
    left join deliveries on deliveries.carrier_invoice_id = judged.carrier_invoice_id
),

billed as (
    select
        scac,
        currency,
        count(*)::int as bills,
        sum(net_amount)::numeric(18, 2) as billed_amount,
        count(*) filter (where is_matched)::int as matched_bills,
        count(*) filter (where is_first_pass)::int as first_pass_bills,
        count(*) filter (where not is_settled)::int as exception_bills,
        count(*) filter (where is_unmatched)::int as unmatched_bills,
        count(*) filter (where is_duplicate)::int as duplicate_bills,
        sum(case when is_duplicate then rejected_amount else twice_amount end)::numeric(18, 2) as duplicate_amount,
        sum(given_amount)::numeric(18, 2) as tolerance_amount,
        sum(accessorials)::int as accessorial_charges,
        sum(accessorial_exceptions)::int as accessorial_exceptions,
        sum(touches)::int as manual_touches,
        count(*) filter (where is_decided)::int as decided_bills,
        coalesce(sum(decided_days) filter (where is_decided), 0)::numeric(18, 2) as decided_days,
        count(payable_days)::int as payable_bills,
        coalesce(sum(payable_days), 0)::int as payable_days
    from bills
    group by scac, currency
),

disputes as (
    select
        scac,
        currency,
        count(*)::int as disputes,
        count(*) filter (where state <> 'settled')::int as open_disputes,
        sum(disputed_amount)::numeric(18, 2) as disputed_amount,
        sum(claimed_amount)::numeric(18, 2) as claimed_amount,
        sum(age_days)::int as open_dispute_days
    from {{ ref('fct_dispute') }}
    group by scac, currency
),

recovered as (
    select scac, currency, sum(amount)::numeric(18, 2) as recovered_amount
    from (
        select scac, currency, recovered_amount as amount
        from {{ ref('invoice_line_verdict') }}
        union all
        select invoice.scac, settled.currency, settled.amount
        from {{ ref('claim_settlement') }} as settled
        inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = settled.carrier_invoice_id
        where settled.kind = 'recovery'
    ) as came
    group by scac, currency
),

accuracy as (
    select
        scac,
        currency,
        sum(billed_accrued_amount)::numeric(18, 2) as accrued_amount,
        sum(invoiced_amount)::numeric(18, 2) as invoiced_amount,
        sum(missed_amount)::numeric(18, 2) as missed_amount
    from {{ ref('fct_accrual_accuracy') }}
    group by scac, currency
)

select
    billed.scac,
    billed.currency,
    billed.bills,
    billed.billed_amount,
    billed.matched_bills,
    billed.first_pass_bills,
    billed.exception_bills,
    billed.unmatched_bills,
    billed.duplicate_bills,
    billed.duplicate_amount,
    billed.tolerance_amount,
    billed.accessorial_charges,
    billed.accessorial_exceptions,
    billed.manual_touches,
    billed.decided_bills,
    billed.decided_days,
    billed.payable_bills,
    billed.payable_days,
    coalesce(disputes.disputes, 0) as disputes,
    coalesce(disputes.open_disputes, 0) as open_disputes,
    coalesce(disputes.open_dispute_days, 0) as open_dispute_days,
    coalesce(disputes.disputed_amount, 0)::numeric(18, 2) as disputed_amount,
    coalesce(disputes.claimed_amount, 0)::numeric(18, 2) as claimed_amount,
    coalesce(recovered.recovered_amount, 0)::numeric(18, 2) as recovered_amount,
    coalesce(accuracy.accrued_amount, 0)::numeric(18, 2) as accrued_amount,
    coalesce(accuracy.invoiced_amount, 0)::numeric(18, 2) as invoiced_amount,
    coalesce(accuracy.missed_amount, 0)::numeric(18, 2) as missed_amount
from billed
left join disputes on disputes.scac = billed.scac and disputes.currency = billed.currency
left join recovered on recovered.scac = billed.scac and recovered.currency = billed.currency
left join accuracy on accuracy.scac = billed.scac and accuracy.currency = billed.currency
