{{ config(tags=['close']) }}

with as_of as (
    select '{{ var("as_of") }}'::timestamptz as at
),

named as (
    select distinct period from {{ ref('ledger_document') }}
    union
    select distinct period from {{ ref('trial_balance') }}
    union
    select distinct period from {{ ref('ledger_entry') }}
    union
    select distinct period from {{ source('effects', 'period') }}
    union
    select to_char(at at time zone 'UTC', 'YYYY-MM') from as_of
),

periods as (
    select
        named.period,
        to_date(named.period, 'YYYY-MM') as starts_on,
        (to_date(named.period, 'YYYY-MM') + interval '1 month')::date as ends_before,
        (to_date(named.period, 'YYYY-MM') + interval '1 month') at time zone 'UTC' as ends_at,
        coalesce(known.status, 'open') as status
    from named
    left join {{ source('effects', 'period') }} as known on known.period = named.period
),

quarantined as (
    select
        kept.amount,
        kept.currency,
        case
            when pg_input_is_valid(kept.payload ->> 'invoice_on', 'date') then (kept.payload ->> 'invoice_on')::date
            else (kept.quarantined_at at time zone 'UTC')::date
        end as fact_on
    from {{ source('quality', 'quarantine') }} as kept
    where
        kept.feed like 'carrier.invoice%'
        and not exists (
            select 1 from {{ source('quality', 'release') }} as released
            where released.quarantine_id = kept.quarantine_id
        )
),

pending as (
    select
        message.period,
        waiting.status,
        waiting.unknown
    from {{ source('ops', 'outbox_pending') }} as waiting
    inner join {{ source('effects', 'outbox') }} as message on message.outbox_id = waiting.outbox_id
    where message.kind = 'movement'
),

newest_runs as (
    select distinct on (consumer) consumer, run_id, finished_at
    from {{ source('ops', 'run') }}
    where consumer not in ('reconcile_ledger', 'close_period', 'report_reconciliation')
    order by consumer, started_at desc
),

looked as (
    select consumer, max(as_of) as looked_at
    from {{ source('ops', 'run') }}
    where finished_at is not null
    group by consumer
),

cutoffs as (
    select
        periods.period,
        rule.feed,
        periods.ends_at + make_interval(hours => rule.hours_after) as cut_off_at,
        looked.looked_at
    from periods
    cross join lateral (
        select distinct on (version.rule_id) version.*
        from {{ source('rules', 'cutoff') }} as version
        cross join as_of
        where version.recorded_at <= as_of.at and version.valid_from < periods.ends_before
        order by version.rule_id, version.rule_version desc
    ) as rule
    left join looked on looked.consumer = rule.consumer
    where rule.valid_to is null or rule.valid_to >= periods.ends_before - 1
),

retractions as (
    select count(distinct plan.approval_fingerprint) as plans
    from {{ source('effects', 'plan') }} as plan
    where
        plan.approval_fingerprint is not null
        and not exists (
            select 1 from {{ source('effects', 'approval') }} as approval
            where approval.fingerprint = plan.approval_fingerprint
        )
        and not exists (
            select 1 from {{ source('effects', 'plan') }} as later
            inner join {{ source('effects', 'applied') }} as applied on applied.plan_id = later.plan_id
            where
                later.consumer = plan.consumer and later.planned_at > plan.planned_at
                and later.relations = plan.relations
        )
),

-- the account, by another way than the roll-forward: the documents of the log added up
accrual_moved as (
    select
        document.period,
        line.account,
        document.currency,
        sum(line.credit - line.debit) as moved
    from {{ ref('ledger_document') }} as document
    inner join {{ ref('ledger_document_line') }} as line on line.document_id = document.document_id
    where line.account in (select policy.accrued_account from {{ source('rules', 'accrual_policy') }} as policy)
    group by document.period, line.account, document.currency
),

accrual_ledger as (
    select periods.period, accrual_moved.account, accrual_moved.currency, sum(accrual_moved.moved) as owed
    from periods
    inner join accrual_moved on accrual_moved.period <= periods.period
    group by periods.period, accrual_moved.account, accrual_moved.currency
),

accrual_rolled as (
    select period, account, currency, sum(closing) as owed,
        count(*) filter (where closing <> opening + accrued - reversed - released + adjusted) as broken
    from {{ ref('fct_accrual_period') }}
    group by period, account, currency
),

found as (
    select
        periods.period, 'quarantined_records' as check_name, count(quarantined.fact_on) as found_count,
        sum(quarantined.amount) as amount, min(quarantined.currency) as currency,
        count(distinct quarantined.currency) as currencies,
        'carriers'' bills of the period or before wait in quarantine' as words,
        'freightsync quarantine list' as drill_down
    from periods
    left join quarantined on quarantined.fact_on < periods.ends_before
    group by periods.period
    union all
    select
        periods.period, checks.check_name, count(exception.invoice_on), sum(exception.net_amount),
        min(exception.currency), count(distinct exception.currency),
        case checks.check_name
            when 'unmatched_invoices' then 'carriers'' bills fit no shipment, or several'
            else 'carriers'' bills wait for a decision'
        end,
        'marts.fct_invoice_exception'
    from periods
    cross join (values ('unmatched_invoices'), ('undecided_exceptions')) as checks (check_name)
    left join {{ ref('fct_invoice_exception') }} as exception
        on
            exception.invoice_on < periods.ends_before
            and exception.verdict not in ('duplicate_number', 'duplicate_move', 'duplicate_self_bill')
            and (exception.verdict in ('no_candidate', 'several_candidates')) = (checks.check_name = 'unmatched_invoices')
    group by periods.period, checks.check_name
    union all
    select
        periods.period, checks.check_name, count(pending.period), null, null, 0,
        case checks.check_name
            when 'dead_letters' then 'documents were refused by the ERP or given up'
            when 'unknown_outcomes' then 'documents were sent, and whether the ERP has them is not known'
            else 'documents are on their way to the ERP'
        end,
        case checks.check_name when 'dead_letters' then 'freightsync outbox list --dead' else 'freightsync outbox list' end
    from periods
    cross join (values ('outbox_waiting'), ('dead_letters'), ('unknown_outcomes')) as checks (check_name)
    left join pending
        on
            pending.period <= periods.period
            and checks.check_name = case
                when pending.status = 'dead' then 'dead_letters'
                when pending.unknown then 'unknown_outcomes'
                else 'outbox_waiting'
            end
    group by periods.period, checks.check_name
    union all
    select
        periods.period, 'runs_in_flight', count(running.consumer), null, null, 0,
        'runs are at work: ' || coalesce(string_agg(running.consumer, ', ' order by running.consumer), 'none'),
        'the runs of these DAGs'
    from periods
    left join newest_runs as running on running.finished_at is null
    group by periods.period
    union all
    select
        periods.period, 'work_waiting',
        (
            select count(*) from {{ source('ops', 'touched') }} as touched
            -- an event of a shipment that nobody knows may wait for ever
            where touched.aggregate_type <> 'reference' and touched.consumer <> 'reconcile_ledger'
        )
        + (
            select count(*) from {{ source('ops', 'ungated_batch') }} as batch
            where batch.held_at is null and batch.feed not in ('erp.journal_entry', 'erp.trial_balance')
        ),
        null, null, 0, 'records and shipments wait to be looked at', 'ops.touched, ops.ungated_batch'
    from periods
    union all
    select
        periods.period, 'held_batches',
        (
            select count(*) from {{ source('ops', 'ungated_batch') }} as batch
            where batch.held_at is not null
        ),
        null, null, 0, 'batches are held by the gate', 'freightsync quarantine list'
    from periods
    union all
    select
        periods.period, 'feeds_not_received', count(cutoffs.feed), null, null, 0,
        'facts may still come: ' || coalesce(string_agg(
            cutoffs.feed || ' until ' || to_char(cutoffs.cut_off_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
            || ' UTC, last looked '
            || coalesce(to_char(cutoffs.looked_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC', 'never'),
            '; ' order by cutoffs.feed
        ), 'none'),
        'rules.cutoff, ops.run'
    from periods
    left join cutoffs
        on cutoffs.period = periods.period and coalesce(cutoffs.looked_at < cutoffs.cut_off_at, true)
    group by periods.period
    union all
    select
        periods.period, 'control_totals',
        (
            select count(*) from {{ source('ops', 'control_total_check') }} as total
            where total.gated and not total.balanced
        ),
        null, null, 0, 'batches do not balance: received = accepted + quarantined + duplicate', 'ops.control_total_check'
    from periods
    union all
    select
        periods.period, 'unapproved_retractions', retractions.plans, null, null, 0,
        'plans take back more than the limit and wait for a person', 'freightsync effects waiting'
    from periods
    cross join retractions
    union all
    select
        periods.period, 'missing_exchange_rates', coalesce(sum(missing.waiting), 0), null, null, 0,
        'documents wait for an exchange rate', 'decisions.exchange_rate_missing'
    from periods
    left join {{ ref('exchange_rate_missing') }} as missing
        on to_char(missing.rate_on, 'YYYY-MM') <= periods.period
    group by periods.period
    union all
    select
        periods.period, 'earlier_period_open', count(earlier.period), null, null, 0,
        'earlier periods are open: ' || coalesce(string_agg(earlier.period, ', ' order by earlier.period), 'none'),
        'freightsync period status'
    from periods
    left join periods as earlier on earlier.period < periods.period and earlier.status = 'open'
    group by periods.period
    union all
    select
        periods.period, 'leftover_accruals', count(leftover.shipment_id), sum(leftover.open_amount),
        min(leftover.currency), count(distinct leftover.currency),
        'accruals are older than the policy waits', 'freightsync accruals list'
    from periods
    left join {{ ref('accrual_leftover') }} as leftover
        on leftover.state in ('due', 'proposed', 'approved') and leftover.accrued_on < periods.ends_before
    group by periods.period
    union all
    select
        periods.period, 'roll_forward',
        count(*) filter (
            where coalesce(accrual_ledger.owed, 0) <> coalesce(accrual_rolled.owed, 0) or accrual_rolled.broken > 0
        ),
        null, null, 0, 'accrual accounts do not roll forward to their balance', 'marts.fct_accrual_period'
    from periods
    left join accrual_ledger on accrual_ledger.period = periods.period
    left join accrual_rolled
        on
            accrual_rolled.period = periods.period and accrual_rolled.account = accrual_ledger.account
            and accrual_rolled.currency = accrual_ledger.currency
    group by periods.period
    union all
    select
        periods.period, 'books_not_read', 1 - least(count(read.period), 1), null, null, 0,
        'the ERP''s trial balance of the period was not read', 'freightsync run reconcile_ledger'
    from periods
    left join (select distinct period from {{ ref('trial_balance') }}) as read on read.period = periods.period
    group by periods.period
    union all
    select
        periods.period, 'undecided_drift', count(drift.document), sum(drift.amount), min(drift.currency),
        count(distinct drift.currency),
        'documents stand in one of the two books only, or differ', 'freightsync drift list'
    from periods
    left join {{ ref('ledger_drift') }} as drift
        on
            drift.state in ('open', 'proposed', 'approved')
            and periods.period in (drift.our_period, drift.erp_period)
    group by periods.period
    union all
    select
        periods.period, 'tie_out', count(tie.account), sum(abs(tie.unexplained)), min(tie.currency),
        count(distinct tie.currency),
        'accounts differ from the ERP''s by what no document explains: '
        || coalesce(string_agg(tie.account || ' ' || tie.unexplained || ' ' || tie.currency, ', ' order by tie.account), 'none'),
        'marts.fct_ledger_tie_out'
    from periods
    left join {{ ref('fct_ledger_tie_out') }} as tie on tie.period = periods.period and tie.state = 'unexplained'
    group by periods.period
)

select
    found.period,
    found.check_name,
    case
        when found.found_count = 0 then 'ok'
        when coalesce(rule.effect, 'block') = 'warn' then 'open'
        else 'blocked'
    end as state,
    found.found_count::bigint as found_count,
    case when found.currencies = 1 then found.amount end::numeric(18, 2) as amount,
    case when found.currencies = 1 then found.currency end as currency,
    case when found.found_count = 0 then 'nothing is open' else found.found_count || ' ' || found.words end as reason,
    found.drill_down,
    coalesce(rule.rule_id, 'close.every_check_blocks') as rule_id,
    coalesce(rule.rule_version, 1)::text as rule_version
from found
inner join periods on periods.period = found.period
left join lateral {{ rule_in_force(
    'close_check', ['newest.effect'], 'newest.check_name = found.check_name', 'newest.rule_version desc',
    'periods.starts_on', "'" ~ var('as_of') ~ "'::timestamptz"
) }} as rule on true
-- of a closed period, whether its books still tie
where periods.status = 'open' or found.check_name in ('undecided_drift', 'tie_out', 'roll_forward')
