select
    'accrual|' || proposal.shipment_id || '|' || proposal.charge_code as effect_key,
    'release|' || proposal.proposal_id as cause,
    'shipment'::text as aggregate_type,
    proposal.shipment_id as aggregate_id,
    case when proposal.open_amount > 0 then proposal.account else proposal.release_account end as debit_account,
    case when proposal.open_amount > 0 then proposal.release_account else proposal.account end as credit_account,
    proposal.currency,
    abs(proposal.open_amount)::numeric(18, 2) as amount,
    proposal.functional_currency,
    abs(proposal.functional_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    proposal.rule_id,
    proposal.rule_version,
    proposal.reason || '; released, proposed by ' || proposal.proposed_by || ', approved by ' || approval.approved_by
    as reason,
    proposal.correlation_id,
    jsonb_build_object(
        'shipment_id', substr(proposal.shipment_id, 5),
        'charge_code', proposal.charge_code,
        'scac', proposal.scac,
        'proposal_id', proposal.proposal_id
    ) as attributes
from {{ source('effects', 'accrual_release_proposal') }} as proposal
inner join {{ source('effects', 'decision_approval') }} as approval
    on
        approval.subject = 'accrual_release' and approval.subject_id = proposal.proposal_id
        and approval.verdict = 'approved'
