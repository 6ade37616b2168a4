select
    transfer.value ->> 'effect_key' as effect_key,
    transfer.value ->> 'cause' as cause,
    'erp_document'::text as aggregate_type,
    decision.document as aggregate_id,
    transfer.value ->> 'debit_account' as debit_account,
    transfer.value ->> 'credit_account' as credit_account,
    transfer.value ->> 'currency' as currency,
    (transfer.value ->> 'amount')::numeric(18, 2) as amount,
    transfer.value ->> 'functional_currency' as functional_currency,
    (transfer.value ->> 'functional_amount')::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    transfer.value ->> 'document_type' as document_type,
    'bulk'::text as lane,
    'drift.' || decision.decision as rule_id,
    decision.decision_id::text as rule_version,
    decision.decision || ' by ' || decision.proposed_by || ', approved by ' || approval.approved_by || ': ' || decision.note
    as reason,
    transfer.value ->> 'correlation_id' as correlation_id,
    transfer.value -> 'attributes' as attributes
from {{ source('effects', 'drift_decision') }} as decision
inner join {{ source('effects', 'decision_approval') }} as approval
    on
        approval.subject = 'drift' and approval.subject_id = decision.decision_id
        and approval.verdict = 'approved'
cross join lateral jsonb_array_elements(decision.transfers) as transfer (value)
