{{ config(tags=['close']) }}

with ours as (
    select
        document.period,
        line.account,
        document.currency,
        sum(line.debit) as debit,
        sum(line.credit) as credit,
        sum(line.debit - line.credit) filter (where document.is_adopted) as adopted
    from {{ ref('ledger_document') }} as document
    inner join {{ ref('ledger_document_line') }} as line on line.document_id = document.document_id
    group by document.period, line.account, document.currency
),

explained as (
    select
        line.period,
        line.account,
        line.currency,
        sum(line.debit) as debit,
        sum(line.credit) as credit,
        -sum(line.net) filter (where drift.reason = 'not_accepted_yet') as not_accepted,
        count(distinct drift.document) filter (where drift.state in ('open', 'proposed', 'approved')) as undecided
    from {{ ref('ledger_drift_line') }} as line
    inner join {{ ref('ledger_drift') }} as drift on drift.document = line.document
    group by line.period, line.account, line.currency
),

read as (
    select distinct period
    from {{ ref('trial_balance') }}
),

joined as (
    select
        coalesce(ours.period, erp.period, explained.period) as period,
        coalesce(ours.account, erp.account, explained.account) as account,
        coalesce(ours.currency, erp.currency, explained.currency) as currency,
        coalesce(ours.debit, 0) as our_debit,
        coalesce(ours.credit, 0) as our_credit,
        coalesce(ours.adopted, 0) as adopted,
        coalesce(explained.not_accepted, 0) as not_accepted,
        coalesce(erp.debit, 0) as erp_debit,
        coalesce(erp.credit, 0) as erp_credit,
        coalesce(explained.debit, 0) as explained_debit,
        coalesce(explained.credit, 0) as explained_credit,
        coalesce(explained.undecided, 0) as undecided_documents,
        erp.as_of
    from ours
    full outer join {{ ref('trial_balance') }} as erp
        on erp.period = ours.period and erp.account = ours.account and erp.currency = ours.currency
    full outer join explained
        on
            explained.period = coalesce(ours.period, erp.period)
            and explained.account = coalesce(ours.account, erp.account)
            and explained.currency = coalesce(ours.currency, erp.currency)
)

select
    joined.period,
    joined.account,
    joined.currency,
    joined.our_debit::numeric(18, 2) as our_debit,
    joined.our_credit::numeric(18, 2) as our_credit,
    (joined.our_debit - joined.our_credit)::numeric(18, 2) as our_balance,
    joined.not_accepted::numeric(18, 2) as not_accepted,
    joined.adopted::numeric(18, 2) as adopted,
    joined.erp_debit::numeric(18, 2) as erp_debit,
    joined.erp_credit::numeric(18, 2) as erp_credit,
    (joined.erp_debit - joined.erp_credit)::numeric(18, 2) as erp_balance,
    (joined.erp_debit - joined.erp_credit - joined.our_debit + joined.our_credit)::numeric(18, 2) as difference,
    (joined.explained_debit - joined.explained_credit)::numeric(18, 2) as explained,
    (
        joined.erp_debit - joined.erp_credit - joined.our_debit + joined.our_credit
        - joined.explained_debit + joined.explained_credit
    )::numeric(18, 2) as unexplained,
    (joined.erp_debit - joined.our_debit - joined.explained_debit)::numeric(18, 2) as unexplained_debit,
    (joined.erp_credit - joined.our_credit - joined.explained_credit)::numeric(18, 2) as unexplained_credit,
    joined.undecided_documents,
    case
        when read.period is null then 'not_read'
        when
            joined.erp_debit - joined.our_debit <> joined.explained_debit
            or joined.erp_credit - joined.our_credit <> joined.explained_credit then 'unexplained'
        when joined.undecided_documents > 0 then 'undecided'
        when joined.explained_debit <> 0 or joined.explained_credit <> 0 then 'explained'
        else 'ties'
    end as state,
    joined.as_of
from joined
left join read on read.period = joined.period
