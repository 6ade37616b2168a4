with newest_outcome as (
    select distinct on (outbox_id) outbox_id, outcome, reference
    from {{ source('effects', 'outcome') }}
    order by outbox_id, (outcome = 'accepted') desc, outcome_id desc
)

select
    movement.movement_id,
    movement.made_at as posted_at,
    movement.document_type,
    movement.journal_id::text as reference,
    coalesce(newest_outcome.reference, '') as partner_number,
    coalesce(newest_outcome.outcome, 'waiting') as outcome,
    movement.effect_key,
    movement.cause,
    movement.debit_account,
    movement.credit_account,
    movement.amount,
    movement.currency,
    movement.attributes ->> 'shipment_id' as shipment_id,
    movement.attributes ->> 'charge_code' as charge_code,
    movement.attributes ->> 'scac' as scac,
    movement.rule_id,
    movement.rule_version,
    movement.reason,
    movement.correlation_id
from {{ source('effects', 'movement') }} as movement
left join {{ source('effects', 'outbox') }} as outbox on outbox.journal_id = movement.journal_id
left join newest_outcome on newest_outcome.outbox_id = outbox.outbox_id
