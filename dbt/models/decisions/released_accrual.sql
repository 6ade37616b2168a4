{{ config(materialized='view', tags=['static']) }}

select
    proposal.shipment_id,
    proposal.charge_code,
    proposal.account,
    proposal.currency,
    sum(proposal.open_amount)::numeric(18, 2) as released_amount,
    sum(proposal.functional_amount)::numeric(18, 2) as released_functional_amount,
    max(approval.approved_at) as released_at
from {{ source('effects', 'accrual_release_proposal') }} as proposal
inner join {{ source('effects', 'decision_approval') }} as approval
    on
        approval.subject = 'accrual_release' and approval.subject_id = proposal.proposal_id
        and approval.verdict = 'approved'
group by proposal.shipment_id, proposal.charge_code, proposal.account, proposal.currency
