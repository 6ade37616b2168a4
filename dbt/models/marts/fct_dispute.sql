-- days are counted against the report's moment; a clock runs only until somebody spoke
with as_of as (
    select '{{ var("as_of") }}'::timestamptz as at
)

select
    dispute.carrier_invoice_id,
    dispute.scac,
    dispute.invoice_number,
    dispute.currency,
    dispute.dispute_mode,
    dispute.reason_code,
    dispute.state,
    dispute.invoiced_amount,
    dispute.disputed_amount,
    dispute.claimed_amount,
    dispute.claim_open_amount,
    (dispute.claimed_amount - dispute.claim_open_amount)::numeric(18, 2) as claim_settled_amount,
    dispute.reason,
    dispute.opened_at,
    case
        when dispute.state = 'settled' then 0
        else greatest(floor(extract(epoch from as_of.at - dispute.opened_at) / 86400), 0)
    end::int as age_days,
    case
        when dispute.state = 'settled' then null
        when dispute.contested_at is null then dispute.contest_until
        when dispute.acknowledged_at is null then dispute.acknowledge_until
    end as next_deadline_at,
    case
        when dispute.state = 'settled' then null
        when dispute.contested_at is null then 'contest to the carrier'
        when dispute.acknowledged_at is null then 'the carrier acknowledges'
    end as next_step,
    coalesce(
        dispute.state <> 'settled'
        and case
            when dispute.contested_at is null then dispute.contest_until
            when dispute.acknowledged_at is null then dispute.acknowledge_until
        end < as_of.at, false
    ) as is_overdue,
    dispute.last_said_at
from {{ ref('dispute') }} as dispute
cross join as_of
