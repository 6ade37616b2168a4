"""Apply: a plan's effects into the log and the outbox, all or nothing, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import Any
from uuid import UUID

from psycopg import Connection

from freightsync.domain.errors import PermanentError, StalePlan
from freightsync.domain.names import CHANNEL_OUTBOX
from freightsync.effects import periods
from freightsync.effects.approvals import approval_needed, is_approved
from freightsync.effects.runs import serialise


@dataclass(frozen=True)
class Applied:
    """What an apply appended. `already`: by an earlier call; this one changed nothing."""

    plan_id: UUID
    posted_on: date
    period: str
    movements: int
    states: int
    onces: int
    documents: int
    already: bool = False


def apply(conn: Connection[Any], plan_id: UUID) -> Applied:
    """Appends the plan's effects and their outbox rows, deletes the run's touched rows, finishes the run and notifies
    deliverers: one transaction. Applying a plan again returns what the first time did.

    Raises StalePlan where the log or the run has moved on since the plan was made (plan again), ApprovalNeeded where
    the plan takes back more than the limit and nobody has approved it, PeriodClosed where no period is open.
    """
    with conn.transaction():
        row = conn.execute(
            """select consumer, run_id, attempt, as_of, built_at, input_watermark, line_count, approval_fingerprint,
                 retracted_keys, retracted_amount from effects.plan where plan_id = %s""",
            (plan_id,),
        ).fetchone()
        if row is None:
            raise PermanentError(f"no plan {plan_id}")
        consumer, run_id, attempt, as_of, built_at, watermark, line_count, fingerprint, keys, amount = row
        serialise(conn, consumer)
        earlier = _applied(conn, plan_id)
        if earlier is not None:
            return earlier
        _check_run(conn, consumer, run_id, attempt, built_at)
        if fingerprint is not None and not is_approved(conn, fingerprint):
            raise approval_needed(plan_id, keys, amount, consumer=consumer, run_id=run_id, fingerprint=fingerprint)
        conn.execute("set local work_mem = '64MB'")
        posted_on, period = periods.posting_date(conn, as_of.astimezone(UTC).date())
        counts = (0, 0, 0, 0)
        if line_count:
            _advance_heads(conn, plan_id)
            counts = _append(conn, plan_id, as_of.astimezone(UTC).date(), posted_on, period)
            if sum(counts[:3]) != line_count:
                raise StalePlan(f"plan {plan_id}: {line_count} lines planned, {sum(counts[:3])} could be appended")
        conn.execute(
            """insert into effects.applied (plan_id, posted_on, period, movements, states, onces, documents)
               values (%s, %s, %s, %s, %s, %s, %s)""",
            (plan_id, posted_on, period, *counts),
        )
        conn.execute(
            "delete from ops.touched where consumer = %s and run_id = %s and touch_id <= %s",
            (consumer, run_id, watermark),
        )
        conn.execute(
            "update ops.run set finished_at = clock_timestamp() where consumer = %s and run_id = %s",
            (consumer, run_id),
        )
        if line_count:
            conn.execute(
                """select pg_notify(%s, lane)
                   from (select distinct lane from effects.plan_line where plan_id = %s) as lanes""",
                (CHANNEL_OUTBOX, plan_id),
            )
        return Applied(plan_id, posted_on, period, *counts)


def _applied(conn: Connection[Any], plan_id: UUID) -> Applied | None:
    row = conn.execute(
        """select plan_id, posted_on, period, movements, states, onces, documents
           from effects.applied where plan_id = %s""",
        (plan_id,),
    ).fetchone()
    return None if row is None else replace(Applied(*row), already=True)


def _check_run(conn: Connection[Any], consumer: str, run_id: str, attempt: int, built_at: object) -> None:
    """The fence: a plan made by an attempt that was overtaken, or from a build that was redone, is not applied."""
    row = conn.execute(
        "select attempt, built_at from ops.run where consumer = %s and run_id = %s for update", (consumer, run_id)
    ).fetchone()
    if row != (attempt, built_at):
        raise StalePlan(
            f"run {run_id} of {consumer} was claimed or built again since the plan was made", what_to_do="plan again"
        )


def _advance_heads(conn: Connection[Any], plan_id: UUID) -> None:
    """Compare and set. New heads first, then the locks on old ones, both in key order, so that two applies can't wait
    for each other in a circle."""
    expected = conn.execute(
        "select count(*) filter (where version = 0), count(*) from effects.plan_aggregate where plan_id = %s",
        (plan_id,),
    ).fetchone()
    assert expected is not None
    made = conn.execute(
        """insert into ops.aggregate_head (relation, aggregate_type, aggregate_id, version, plan_id)
           select relation, aggregate_type, aggregate_id, 1, plan_id from effects.plan_aggregate
           where plan_id = %s and version = 0 order by aggregate_id, relation, aggregate_type
           on conflict do nothing""",
        (plan_id,),
    ).rowcount
    advanced = 0
    if expected[1] > expected[0]:
        conn.execute(
            """select count(*) from (
                 select from ops.aggregate_head h join effects.plan_aggregate p
                   using (aggregate_id, relation, aggregate_type)
                 where p.plan_id = %s and p.version > 0
                 order by aggregate_id, relation, aggregate_type for update of h) as locked""",
            (plan_id,),
        )
        advanced = conn.execute(
            """update ops.aggregate_head h set version = h.version + 1, plan_id = p.plan_id
               from effects.plan_aggregate p
               where p.plan_id = %s and p.version > 0 and h.version = p.version
                 and (h.aggregate_id, h.relation, h.aggregate_type) = (p.aggregate_id, p.relation, p.aggregate_type)""",
            (plan_id,),
        ).rowcount
    if (made, made + advanced) != tuple(expected):
        raise StalePlan(
            f"plan {plan_id}: {expected[1] - made - advanced} of its {expected[1]} aggregates have changed since",
            what_to_do="plan again",
        )


ADOPTED = "adopted"
"""Document type of movements that are in the partner's books already: they go into the log and nowhere else."""


def _append(
    conn: Connection[Any], plan_id: UUID, wanted: date, posted_on: date, period: str
) -> tuple[int, int, int, int]:
    """Movements, states, onces, documents. Movements of one aggregate, target, document type, currency and lane make
    one document, unless their attributes name the `document` that they belong to: then one by that name. Each state
    step and each occurrence is its own. A document whose movements name a day of their own (attribute `posting_on`) is
    posted under the earliest of these; like any other, in the next open period where that is closed."""
    parameters = {"plan": plan_id, "posted_on": posted_on, "period": period, "adopted": ADOPTED}
    conn.execute(
        """create temp table fs_document on commit drop as
           select uuidv7() as journal_id, grouped.* from (
             select kind, min(line) as line, target, operation, lane, aggregate_type, aggregate_id, currency,
               coalesce(payload ->> 'document', '') as document_name, min(functional_currency) as functional_currency,
               min(payload ->> 'posting_on') as posting_on, %(posted_on)s::date as posted_on, %(period)s::text as period
             from effects.plan_line where plan_id = %(plan)s and kind = 'movement'
             group by kind, target, operation, lane, aggregate_type, aggregate_id, currency, document_name
             union all
             select kind, line, target, operation, lane, aggregate_type, aggregate_id, null, '', null, null,
               %(posted_on)s, %(period)s
             from effects.plan_line where plan_id = %(plan)s and kind <> 'movement'
             order by line) as grouped""",
        parameters,
    )
    conn.execute("analyze fs_document")
    named = conn.execute("select distinct posting_on::date from fs_document where posting_on is not null").fetchall()
    for (day,) in named:
        if day != wanted:
            conn.execute(
                "update fs_document set posted_on = %s, period = %s where posting_on::date = %s",
                (*periods.posting_date(conn, day), day),
            )
    movements = conn.execute(
        """insert into effects.movement (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, cause,
             debit_account, credit_account, currency, amount, functional_currency, functional_amount, reverses,
             posted_on, period, target, document_type, lane, rule_id, rule_version, reason, correlation_id, attributes)
           select l.plan_id, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.effect_key, l.cause,
             l.debit_account, l.credit_account, l.currency, l.amount, l.functional_currency, l.functional_amount,
             l.reverses, d.posted_on, d.period, l.target, l.operation, l.lane, l.rule_id, l.rule_version, l.reason,
             l.correlation_id, l.payload
           from effects.plan_line l
           join fs_document d using (kind, target, operation, lane, aggregate_type, aggregate_id, currency)
           where l.plan_id = %(plan)s and l.kind = 'movement'
             and d.document_name = coalesce(l.payload ->> 'document', '')""",
        parameters,
    ).rowcount
    states = conn.execute(
        """insert into effects.state (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, target,
             object_type, object_id, aspect, state, lane, rule_id, rule_version, reason, correlation_id, payload)
           select l.plan_id, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.effect_key, l.target,
             l.object_type, l.object_id, l.aspect, l.state, l.lane, l.rule_id, l.rule_version, l.reason,
             l.correlation_id, l.payload
           from effects.plan_line l join fs_document d using (line)
           where l.plan_id = %(plan)s and l.kind = 'state' order by l.line""",
        parameters,
    ).rowcount
    onces = conn.execute(
        """insert into effects.once (occurrence_key, plan_id, journal_id, relation, aggregate_type, aggregate_id,
             target, operation, lane, rule_id, rule_version, reason, correlation_id, payload)
           select l.effect_key, l.plan_id, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.target,
             l.operation, l.lane, l.rule_id, l.rule_version, l.reason, l.correlation_id, l.payload
           from effects.plan_line l join fs_document d using (line)
           where l.plan_id = %(plan)s and l.kind = 'once' order by l.effect_key
           on conflict do nothing""",
        parameters,
    ).rowcount
    documents = conn.execute(
        """with made as (
             insert into effects.outbox (journal_id, plan_id, kind, target, operation, lane, aggregate_type,
               aggregate_id, correlation_id, payload)
             select journal_id, %(plan)s, kind, target, operation, lane, aggregate_type, aggregate_id, correlation_id,
               payload
             from (
               select d.line, d.journal_id, d.kind, d.target, d.operation, d.lane, d.aggregate_type, d.aggregate_id,
                 g.correlation_id,
                 jsonb_build_object('document_type', d.operation, 'reference', d.journal_id,
                   'aggregate_id', d.aggregate_id, 'currency', d.currency,
                   'functional_currency', d.functional_currency, 'posted_on', d.posted_on,
                   'period', d.period, 'lines', g.lines) as payload
               from (
                 select d.line, min(l.correlation_id) as correlation_id,
                   jsonb_agg(l.payload || jsonb_build_object('effect_key', l.effect_key, 'cause', l.cause,
                     'debit_account', l.debit_account, 'credit_account', l.credit_account, 'amount', l.amount::text,
                     'functional_amount', l.functional_amount::text, 'reverses', l.reverses) order by l.line) as lines
                 from effects.plan_line l
                 join fs_document d using (kind, target, operation, lane, aggregate_type, aggregate_id, currency)
                 where l.plan_id = %(plan)s and l.kind = 'movement' and d.operation <> %(adopted)s
                   and d.document_name = coalesce(l.payload ->> 'document', '')
                 group by d.line
               ) as g join fs_document d using (line)
               union all
               select d.line, d.journal_id, d.kind, d.target, d.operation, d.lane, d.aggregate_type, d.aggregate_id,
                 l.correlation_id,
                 case d.kind when 'once' then l.payload else l.payload || jsonb_build_object('object_type',
                   l.object_type, 'object_id', l.object_id, 'aspect', l.aspect, 'state', l.state) end
               from effects.plan_line l join fs_document d using (line)
               where l.plan_id = %(plan)s and l.kind <> 'movement'
             ) as document
             order by line
             returning outbox_id, target, lane, operation, aggregate_type, aggregate_id)
           insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type, aggregate_id)
           select * from made""",
        parameters,
    ).rowcount
    conn.execute("drop table fs_document")
    return movements, states, onces, documents
