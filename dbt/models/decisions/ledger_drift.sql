{{ config(materialized='table', tags=['close']) }}

with differences as (
    select
        document,
        encode(sha256(convert_to(string_agg(
            concat_ws('|', period, account, currency, debit, credit), E'\n' order by period, account, currency
        ), 'UTF8')), 'hex') as fingerprint,
        bool_or(net <> 0) as differs,
        count(distinct period) as periods
    from {{ ref('ledger_drift_line') }}
    group by document
),

-- half of what moves between accounts, in the period that sees most of it
amounts as (
    select document, max(moved)::numeric(18, 2) as amount
    from (
        select document, round(sum(abs(net)) / 2, 2) as moved
        from {{ ref('ledger_drift_line') }}
        group by document, period
    ) as by_period
    group by document
),

-- over all periods an account may come out even: then the document stands in another one
sums as (
    select document, bool_or(net <> 0) as differs_in_all
    from (
        select document, account, currency, sum(net) as net
        from {{ ref('ledger_drift_line') }}
        group by document, account, currency
    ) as by_account
    group by document
),

looked_at as (
    select document from differences
    union
    select comparison_id
    from {{ ref('ledger_match') }}
    where matched_by = 'adopted'
    union
    select document_id
    from {{ ref('ledger_document') }}
    where not is_accepted
),

compared as (
    select
        looked_at.document,
        max(member.document_id) filter (where member.side = 'erp') as entry_id,
        max(member.matched_by) filter (where member.side = 'erp') as matched_by,
        max(member.document_id) filter (where member.side = 'ours' and member.matched_by <> 'adopted') as own_id,
        coalesce(bool_or(member.matched_by = 'adopted'), false) as has_adopted
    from looked_at
    inner join {{ ref('ledger_match') }} as member on member.comparison_id = looked_at.document
    group by looked_at.document
),

-- the ERP's books were read up to here, by our clock
reading as (
    select max(read_at) as read_at
    from {{ ref('stg_erp__trial_balances') }}
),

decided as (
    select distinct on (decision.document)
        decision.document,
        decision.decision_id,
        decision.decision,
        decision.fingerprint,
        approval.verdict
    from {{ source('effects', 'drift_decision') }} as decision
    left join {{ source('effects', 'decision_approval') }} as approval
        on approval.subject = 'drift' and approval.subject_id = decision.decision_id
    order by decision.document, decision.decision_id desc
),

last_words as (
    select distinct on (outcome.outbox_id) outcome.outbox_id, outcome.message
    from {{ source('effects', 'outcome') }} as outcome
    inner join {{ source('ops', 'outbox_pending') }} as pending on pending.outbox_id = outcome.outbox_id
    order by outcome.outbox_id, outcome.outcome_id desc
),

reasoned as (
    select
        compared.document,
        compared.entry_id,
        compared.own_id,
        compared.has_adopted,
        entry.entry_number,
        entry.origin,
        entry.reference,
        entry.reverses_entry_id,
        entry.period as erp_period,
        entry.entered_by,
        entry.note,
        own.period as our_period,
        own.partner_number,
        own.is_dead,
        own.is_unknown,
        own.aggregate_id,
        coalesce(entry.document_type, own.document_type) as document_type,
        coalesce(entry.currency, own.currency) as currency,
        coalesce(entry.posted_on, own.posted_on) as posted_on,
        coalesce(entry.total_amount, own.total_amount) as total_amount,
        coalesce(entry.correlation_id, own.correlation_id) as correlation_id,
        last_words.message,
        coalesce(differences.differs, false) as differs,
        coalesce(differences.fingerprint, '') as fingerprint,
        reading.read_at,
        coalesce(amounts.amount, 0) as amount,
        reversed.comparison_id as reversed_document,
        case
            when compared.own_id is null and compared.entry_id is null then 'not_read_yet'
            when compared.own_id is null and entry.origin = 'manual' then 'manual_journal'
            when
                compared.own_id is null and entry.origin = 'reversal'
                and (reversed.comparison_id is distinct from entry.reverses_entry_id) then 'reversed_in_erp'
            when compared.own_id is null and entry.origin = 'reversal' then 'manual_journal'
            when compared.own_id is null and compared.matched_by = 'twice' then 'posted_twice'
            when compared.own_id is null then 'foreign_reference'
            when compared.entry_id is null and not own.is_accepted then 'not_accepted_yet'
            when compared.entry_id is null and own.accepted_at >= coalesce(reading.read_at, '-infinity') then 'not_read_yet'
            when compared.entry_id is null then 'missing_there'
            when differences.differs and not sums.differs_in_all then 'other_period'
            when differences.document is not null and (differences.differs or not compared.has_adopted) then 'amount_differs'
            when not own.is_accepted then 'lost_answer'
            else 'amount_differs'
        end as reason
    from compared
    cross join reading
    left join {{ ref('ledger_entry') }} as entry on entry.entry_id = compared.entry_id
    left join {{ ref('ledger_document') }} as own on own.document_id = compared.own_id
    left join {{ ref('ledger_match') }} as reversed
        on reversed.side = 'erp' and reversed.document_id = entry.reverses_entry_id
    left join differences on differences.document = compared.document
    left join amounts on amounts.document = compared.document
    left join sums on sums.document = compared.document
    left join last_words on last_words.outbox_id = own.outbox_id
),

-- a document of the ERP's own and its reversal in the same period: nothing is left of either
undone as (
    select entry.document, reversal.document as by_document
    from reasoned as entry
    inner join reasoned as reversal
        on reversal.reverses_entry_id = entry.entry_id and reversal.erp_period = entry.erp_period
        and reversal.currency = entry.currency and reversal.total_amount = entry.total_amount
    where entry.own_id is null and reversal.own_id is null and not entry.has_adopted and not reversal.has_adopted
)

select
    reasoned.document,
    reasoned.reason,
    case
        when reasoned.has_adopted and not reasoned.differs
            then case when decided.decision = 'repost' then 'reposted' else 'adopted' end
        when reasoned.reason = 'not_read_yet' or (reasoned.reason = 'not_accepted_yet' and not reasoned.is_dead)
            then 'passes'
        when undone.document is not null or (reasoned.own_id is null and not reasoned.differs) then 'cancelled_out'
        when decided.fingerprint = reasoned.fingerprint and decided.verdict = 'approved' then 'approved'
        when decided.fingerprint = reasoned.fingerprint and decided.verdict is null then 'proposed'
        else 'open'
    end as state,
    coalesce(reasoned.erp_period, reasoned.our_period) as period,
    reasoned.our_period,
    reasoned.erp_period,
    reasoned.document_type,
    reasoned.entry_id,
    reasoned.entry_number,
    reasoned.own_id as journal_id,
    reasoned.reverses_entry_id,
    reasoned.reversed_document,
    reasoned.origin,
    reasoned.reference,
    reasoned.entered_by,
    reasoned.posted_on,
    reasoned.currency,
    reasoned.total_amount,
    reasoned.amount::numeric(18, 2) as amount,
    reasoned.fingerprint,
    reasoned.read_at,
    decided.decision_id,
    'ledger.' || reasoned.reason as rule_id,
    '1'::text as rule_version,
    case reasoned.reason
        when 'manual_journal' then 'entered in the ERP by ' || reasoned.entered_by
            || case when reasoned.origin = 'reversal' then ', undoing its ' || substr(reasoned.reverses_entry_id, 5) else '' end
            || coalesce(': ' || reasoned.note, '') || '; our books know nothing of it'
        when 'reversed_in_erp' then reasoned.entered_by || ' reversed our document '
            || substr(reasoned.reverses_entry_id, 5) || ' in the ERP; in our books it stands'
        when 'posted_twice' then 'a second document in the ERP carries our reference ' || reasoned.reference
        when 'foreign_reference' then 'came through our interface with reference ' || coalesce(reasoned.reference, '(none)')
            || ', under which we made nothing'
        when 'not_accepted_yet' then case
            when reasoned.is_dead then 'the ERP has not taken it: ' || coalesce(reasoned.message, 'no answer')
            else 'on its way to the ERP'
        end
        when 'not_read_yet' then 'the ERP took it after its books were read' || coalesce(', as ' || reasoned.partner_number, '')
        when 'missing_there' then 'the ERP said that it took it as ' || reasoned.partner_number
            || ', but its books don''t have it'
        when 'other_period' then 'stands in ' || reasoned.our_period || ' in our books, in ' || reasoned.erp_period
            || ' in the ERP''s'
        when 'lost_answer' then 'the ERP has it as ' || reasoned.entry_number || ', but its answer never reached us'
        else case
            when reasoned.differs then 'the ERP''s document ' || coalesce(reasoned.entry_number, '') || ' has other amounts than ours, by '
                || reasoned.amount || ' ' || reasoned.currency
            else 'differs no more'
        end
    end as words,
    case
        when reasoned.has_adopted and not reasoned.differs then 'nothing: it was decided'
        when undone.document is not null or (reasoned.own_id is null and not reasoned.differs)
            then 'nothing: nothing is left of it in the ERP'
        when reasoned.reason = 'not_accepted_yet' and reasoned.is_dead
            then '`freightsync outbox list --dead` says why it was refused; mend it there, or `freightsync drift repost`'
        when reasoned.reason in ('not_accepted_yet', 'not_read_yet') then 'nothing: it passes by itself'
        when reasoned.reason = 'lost_answer' then 'nothing: the next reading of its books records it as accepted'
        when reasoned.reason = 'missing_there' then 'ask the ERP''s owner; then `freightsync drift repost` sends it again'
        when reasoned.reason = 'reversed_in_erp'
            then '`freightsync drift adopt` if the reversal is right, `freightsync drift repost` if the posting must stand'
        when reasoned.reason = 'posted_twice'
            then 'have it reversed in the ERP, or `freightsync drift adopt` it'
        when reasoned.reason = 'other_period' then '`freightsync drift adopt`: ours then stands in that period, too'
        else '`freightsync drift adopt` if it stands, else have it reversed in the ERP'
    end as what_to_do,
    reasoned.correlation_id
from reasoned
left join decided on decided.document = reasoned.document
left join (
    select document from undone
    union
    select by_document from undone
) as undone on undone.document = reasoned.document
