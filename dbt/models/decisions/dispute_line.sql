{{ config(materialized='view', tags=['static']) }}

-- What is or was contested, charge by charge. What came back for claims on a charge settles the oldest claim first.
with contested as (
    select *
    from {{ ref('invoice_line_verdict') }}
    where
        (not {{ fits('verdict') }} and rejected_amount <> invoiced_amount)
        or claimed_amount <> 0
        or agreed_amount is not null
),

came_back as (
    select
        claimed.shipment_id,
        claimed.charge_code,
        coalesce(credits.amount, 0) + coalesce(otherwise.amount, 0) as amount
    from (
        select distinct shipment_id, charge_code
        from contested
        where claimed_amount <> 0
    ) as claimed
    left join lateral (
        select sum(line.recovered_amount) as amount
        from {{ ref('invoice_line_verdict') }} as line
        where line.shipment_id = claimed.shipment_id and line.charge_code = claimed.charge_code
    ) as credits on true
    left join lateral (
        select sum(settled.amount) as amount
        from {{ ref('claim_settlement') }} as settled
        where settled.shipment_id = claimed.shipment_id and settled.charge_code = claimed.charge_code
    ) as otherwise on true
),

claims as (
    select
        contested.*,
        sum(contested.claimed_amount) over (
            partition by contested.shipment_id, contested.charge_code order by contested.business_order
        ) - coalesce(came_back.amount, 0) as claimed_less_came
    from contested
    left join came_back
        on came_back.shipment_id = contested.shipment_id and came_back.charge_code = contested.charge_code
)

select
    claims.carrier_invoice_id,
    claims.shipment_id,
    claims.charge_code,
    claims.scac,
    claims.invoice_number,
    claims.currency,
    claims.dispute_mode,
    claims.invoiced_amount,
    claims.expected_amount,
    claims.owed_amount,
    claims.agreed_amount,
    claims.disputed_amount,
    claims.claimed_amount,
    least(greatest(claims.claimed_less_came, 0), claims.claimed_amount)::numeric(18, 2) as claim_open_amount,
    claims.verdict,
    claims.reason,
    reason.reason_code,
    coalesce(reason.claim_account, claims.claim_account) as claim_account,
    claims.recovery_account,
    reason.write_off_account,
    claims.contest_days,
    claims.acknowledge_days,
    not {{ fits('claims.verdict') }} and claims.agreed_amount is null as is_undecided
from claims
left join lateral {{ rule_in_force(
    'dispute_reason', ['newest.reason_code', 'newest.claim_account', 'newest.write_off_account'],
    'newest.verdict = claims.verdict', 'newest.reason_code', 'claims.invoice_on', "'infinity'::timestamptz"
) }} as reason on true
