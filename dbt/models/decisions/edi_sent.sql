{{ config(materialized='view', tags=['static']) }}

-- What we sent to a carrier in groups of our own that it has to acknowledge: advices. A 997 answers their control number;
-- who does not send one may not have got them. A 997 of ours is never acknowledged.
with sent as (
    select
        message.outbox_id,
        message.payload ->> 'partner' as partner,
        message.payload ->> 'invoice_number' as invoice_number,
        control.first_number,
        control.numbers,
        message.correlation_id,
        (
            select min(outcome.at)
            from {{ source('effects', 'outcome') }} as outcome
            where outcome.outbox_id = message.outbox_id and outcome.outcome = 'accepted'
        ) as sent_at
    from {{ source('effects', 'outbox') }} as message
    -- what got no number left nothing in the carrier's directory
    inner join {{ source('effects', 'control_number') }} as control on control.outbox_id = message.outbox_id
    where message.target = 'carrier_edi' and message.operation = 'advice'
),

answered as (
    select
        sent.outbox_id,
        answer.kind,
        (array_agg(answer.verdict order by answer.record_id desc))[1] as verdict,
        (array_agg(answer.errors order by answer.record_id desc))[1] as errors,
        max(answer.admitted_at) as answered_at
    from sent
    inner join {{ ref('stg_carriers__edi_answers') }} as answer
        on answer.partner = sent.partner
        and answer.group_number >= sent.first_number and answer.group_number < sent.first_number + sent.numbers
        and case answer.kind when '997' then answer.functional_id = 'AG' else answer.set_id = '824' end
    group by sent.outbox_id, answer.kind
)

select
    sent.outbox_id,
    sent.partner,
    '824'::text as set_id,
    sent.first_number as control_number,
    sent.invoice_number,
    sent.sent_at,
    case
        when sent.sent_at is null then 'not_sent'
        when contested.outbox_id is not null and contested.verdict = 'rejected' then 'contested'
        when acknowledged.outbox_id is null then 'unacknowledged'
        when acknowledged.verdict = 'rejected' then 'not_readable'
        else 'acknowledged'
    end as state,
    acknowledged.answered_at as acknowledged_at,
    case
        when sent.sent_at is null then 'waits in the outbox'
        when contested.outbox_id is not null and contested.verdict = 'rejected'
            then sent.partner || ' says that our advice on ' || sent.invoice_number || ' is wrong'
                || coalesce(': ' || (contested.errors ->> 0), '')
        when acknowledged.outbox_id is null
            then 'no 997 of ' || sent.partner || ' speaks of it: it may not have been read. Ask, or send it again'
        when acknowledged.verdict = 'rejected'
            then sent.partner || ' could not read it' || coalesce(': ' || (acknowledged.errors ->> 0), '')
                || '; compare its profile with ours'
        else 'read by ' || sent.partner
    end as reason,
    sent.correlation_id
from sent
left join answered as acknowledged on acknowledged.outbox_id = sent.outbox_id and acknowledged.kind = '997'
left join answered as contested on contested.outbox_id = sent.outbox_id and contested.kind = '824'
