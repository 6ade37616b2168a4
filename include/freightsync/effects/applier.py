"""Apply: a plan's effects into the log and the outbox, all or nothing, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor, sql

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
        posting = periods.posting_date(conn, as_of.astimezone(UTC).date())
        appended = NOTHING
        if line_count:
            advance_heads(conn, plan_id, sql.SQL("effects.plan_aggregate"))
            lines = sql.SQL(
                """select line, relation, aggregate_type, aggregate_id, effect_key, cause, debit_account,
                     credit_account, currency, amount, functional_currency, functional_amount, reverses, target,
                     operation, lane, payload, rule_id, rule_version, reason, correlation_id
                   from effects.plan_line where plan_id = {} and kind = 'movement'"""
            ).format(plan_id)
            read_documents(conn, plan_id, lines, as_of.astimezone(UTC).date(), posting)
            appended = append(conn, plan_id, lines)
            if appended.effects != line_count:
                raise StalePlan(f"plan {plan_id}: {line_count} lines planned, {appended.effects} could be appended")
        return finish(conn, plan_id, consumer, run_id, watermark, posting, appended)


@dataclass(frozen=True)
class Appended:
    """Rows appended, and the lanes on which documents wait for delivery."""

    movements: int
    states: int
    onces: int
    documents: int
    lanes: tuple[str, ...]

    @property
    def effects(self) -> int:
        return self.movements + self.states + self.onces


NOTHING = Appended(0, 0, 0, 0, ())


def finish(
    conn: Connection[Any],
    plan_id: UUID,
    consumer: str,
    run_id: str,
    watermark: int,
    posting: tuple[date, str],
    appended: Appended,
    between: tuple[int, int] | None = None,
) -> Applied:
    """Notes the plan as applied and the run as finished, and wakes deliverers. `between`: the ids of its movements,
    where they are not in `effects.plan_line`."""
    counts = (appended.movements, appended.states, appended.onces, appended.documents)
    conn.execute(
        """insert into effects.applied (plan_id, posted_on, period, movements, states, onces, documents,
             first_movement_id, last_movement_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (plan_id, *posting, *counts, *(between or (None, None))),
    )
    conn.execute(
        "delete from ops.touched where consumer = %s and run_id = %s and touch_id <= %s", (consumer, run_id, watermark)
    )
    conn.execute(
        "update ops.run set finished_at = clock_timestamp() where consumer = %s and run_id = %s", (consumer, run_id)
    )
    for lane in appended.lanes:
        conn.execute("select pg_notify(%s, %s)", (CHANNEL_OUTBOX, lane))
    return Applied(plan_id, *posting, *counts)


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


def advance_heads(conn: Connection[Any], plan_id: UUID, aggregates: sql.Composable) -> None:
    """Compare and set, for the plan's rows of `aggregates`. New heads first, then the locks on old ones, both in key
    order, so that two applies can't wait for each other in a circle."""

    def execute(statement: LiteralString) -> Cursor[Any]:
        return conn.execute(sql.SQL(statement).format(aggregates=aggregates, plan=plan_id))

    expected = execute(
        "select count(*) filter (where version = 0), count(*) from {aggregates} where plan_id = {plan}"
    ).fetchone()
    assert expected is not None
    made = execute(
        """insert into ops.aggregate_head (relation, aggregate_type, aggregate_id, version, plan_id)
           select relation, aggregate_type, aggregate_id, 1, plan_id from {aggregates}
           where plan_id = {plan} and version = 0 order by aggregate_id, relation, aggregate_type
           on conflict do nothing"""
    ).rowcount
    advanced = 0
    if expected[1] > expected[0]:
        execute(
            """select count(*) from (
                 select from ops.aggregate_head h join {aggregates} p using (aggregate_id, relation, aggregate_type)
                 where p.plan_id = {plan} and p.version > 0
                 order by aggregate_id, relation, aggregate_type for update of h) as locked"""
        )
        advanced = execute(
            """update ops.aggregate_head h set version = h.version + 1, plan_id = p.plan_id
               from {aggregates} p
               where p.plan_id = {plan} and p.version > 0 and h.version = p.version
                 and (h.aggregate_id, h.relation, h.aggregate_type) = (p.aggregate_id, p.relation, p.aggregate_type)"""
        ).rowcount
    if (made, made + advanced) != tuple(expected):
        raise StalePlan(
            f"plan {plan_id}: {expected[1] - made - advanced} of its {expected[1]} aggregates have changed since",
            what_to_do="plan again",
        )


ADOPTED = "adopted"
"""Document type of movements that are in the partner's books already: they go into the log and nowhere else."""


def read_documents(
    conn: Connection[Any], plan_id: UUID, lines: sql.Composable, wanted: date, posting: tuple[date, str]
) -> int:
    """The documents of movements (the rows of `lines`), states and occurrences (the plan's in `effects.plan_line`),
    into a temporary table fs_document; returns how many movements they hold. Movements of one aggregate, target,
    document type, currency and lane make one document, unless their attributes name the `document` that they belong
    to: then one by that name. Each state step and each occurrence is its own. A document whose movements name a day of
    their own (attribute `posting_on`) is posted under the earliest of these; like any other, in the next open period
    where that is closed.

    `wanted`: the day of what names none; `posting`: day and period under which that is posted."""
    conn.execute(
        sql.SQL(
            """create temp table fs_document on commit drop as
           select uuidv7() as journal_id, grouped.* from (
             select 'movement' as kind, min(line) as line, target, operation, lane, aggregate_type, aggregate_id,
               currency, coalesce(payload ->> 'document', '') as document_name, min(effect_key) as first_key,
               min(correlation_id) as correlation_id, min(payload ->> 'posting_on') as posting_on,
               {posted_on}::date as posted_on, {period}::text as period, count(*) as movements
             from ({lines}) as movement
             group by target, operation, lane, aggregate_type, aggregate_id, currency, document_name
             union all
             select kind, line, target, operation, lane, aggregate_type, aggregate_id, null, '', null, correlation_id,
               null, null, null, 0
             from effects.plan_line where plan_id = {plan} and kind <> 'movement'
             order by line, aggregate_type, aggregate_id, first_key) as grouped"""
        ).format(lines=lines, plan=plan_id, posted_on=posting[0], period=posting[1])
    )
    conn.execute("analyze fs_document")
    named = conn.execute("select distinct posting_on::date from fs_document where posting_on is not null").fetchall()
    for (day,) in named:
        if day != wanted:
            conn.execute(
                "update fs_document set posted_on = %s, period = %s where posting_on::date = %s",
                (*periods.posting_date(conn, day), day),
            )
    row = conn.execute("select coalesce(sum(movements), 0)::bigint from fs_document").fetchone()
    assert row is not None
    return int(row[0])


def append(conn: Connection[Any], plan_id: UUID, lines: sql.Composable) -> Appended:
    """Appends what `read_documents` read."""
    given = {"lines": lines, "plan": plan_id, "adopted": ADOPTED}

    def execute(statement: LiteralString) -> Cursor[Any]:
        return conn.execute(sql.SQL(statement).format(**given))

    movements = execute(
        """insert into effects.movement (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, cause,
             debit_account, credit_account, currency, amount, functional_currency, functional_amount, reverses,
             posted_on, period, target, document_type, lane, rule_id, rule_version, reason, correlation_id, attributes)
           select {plan}, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.effect_key, l.cause,
             l.debit_account, l.credit_account, l.currency, l.amount, l.functional_currency, l.functional_amount,
             l.reverses, d.posted_on, d.period, l.target, l.operation, l.lane, l.rule_id, l.rule_version, l.reason,
             l.correlation_id, l.payload
           from ({lines}) as l
           join fs_document d using (target, operation, lane, aggregate_type, aggregate_id, currency)
           where d.kind = 'movement' and d.document_name = coalesce(l.payload ->> 'document', '')"""
    ).rowcount
    states = execute(
        """insert into effects.state (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, target,
             object_type, object_id, aspect, state, lane, rule_id, rule_version, reason, correlation_id, payload)
           select l.plan_id, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.effect_key, l.target,
             l.object_type, l.object_id, l.aspect, l.state, l.lane, l.rule_id, l.rule_version, l.reason,
             l.correlation_id, l.payload
           from effects.plan_line l join fs_document d using (kind, line)
           where l.plan_id = {plan} and kind = 'state' order by line"""
    ).rowcount
    onces = execute(
        """insert into effects.once (occurrence_key, plan_id, journal_id, relation, aggregate_type, aggregate_id,
             target, operation, lane, rule_id, rule_version, reason, correlation_id, payload)
           select l.effect_key, l.plan_id, d.journal_id, l.relation, l.aggregate_type, l.aggregate_id, l.target,
             l.operation, l.lane, l.rule_id, l.rule_version, l.reason, l.correlation_id, l.payload
           from effects.plan_line l join fs_document d using (kind, line)
           where l.plan_id = {plan} and kind = 'once' order by l.effect_key
           on conflict do nothing"""
    ).rowcount
    documents = execute(
        """with made as (
             insert into effects.document (journal_id, plan_id, kind, target, operation, lane, aggregate_type,
               aggregate_id, correlation_id, posted_on, period, payload)
             select d.journal_id, {plan}, kind, d.target, d.operation, d.lane, d.aggregate_type, d.aggregate_id,
               d.correlation_id, d.posted_on, d.period,
               case kind when 'once' then l.payload when 'state' then l.payload || jsonb_build_object('object_type',
                 l.object_type, 'object_id', l.object_id, 'aspect', l.aspect, 'state', l.state) end
             from fs_document d
             left join (select * from effects.plan_line where plan_id = {plan} and kind <> 'movement') as l
               using (kind, line)
             where kind <> 'movement' or d.operation <> {adopted}
             order by line, d.aggregate_type, d.aggregate_id, d.first_key
             returning outbox_id, target, lane, operation, aggregate_type, aggregate_id)
           insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type, aggregate_id)
           select * from made"""
    ).rowcount
    lanes = conn.execute("select distinct lane from fs_document").fetchall()
    conn.execute("drop table fs_document")
    return Appended(movements, states, onces, documents, tuple(lane for (lane,) in lanes))
