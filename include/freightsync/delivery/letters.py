"""The outbox as people see it: what waits, what is dead and why, and the ways out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from freightsync.domain.errors import PermanentError
from freightsync.domain.names import CHANNEL_OUTBOX


@dataclass(frozen=True)
class Letter:
    """A message that its target has not accepted. `status`: ready, leased (being sent) or dead. `waits_for`: the
    earlier message of its aggregate that must go first. `message`, `what_to_do`: of the last answer."""

    outbox_id: int
    key: str
    target: str
    operation: str
    lane: str
    aggregate_type: str
    aggregate_id: str
    status: str
    attempts: int
    unknown: bool
    next_attempt_at: datetime | None
    waits_for: int | None
    outcome: str | None
    message: str | None
    what_to_do: str | None
    created_at: datetime


def letters(
    conn: Connection[Any], *, status: str | None = None, target: str | None = None, limit: int = 1000
) -> list[Letter]:
    """Messages not accepted, oldest first."""
    with conn.transaction():
        rows = conn.execute(
            """select p.outbox_id, o.journal_id::text, p.target, p.operation, p.lane, p.aggregate_type, p.aggregate_id,
                 p.status, p.attempts, p.unknown, nullif(p.next_attempt_at, '-infinity'),
                 (select min(q.outbox_id) from ops.outbox_pending q
                  where q.target = p.target and q.aggregate_type = p.aggregate_type and q.aggregate_id = p.aggregate_id
                    and q.outbox_id < p.outbox_id),
                 last.outcome, last.message, last.what_to_do, o.created_at
               from ops.outbox_pending p
               join effects.outbox o using (outbox_id)
               left join lateral (
                 select outcome, message, what_to_do from effects.outcome e
                 where e.outbox_id = p.outbox_id order by outcome_id desc limit 1) as last on true
               where (%(status)s::text is null or p.status = %(status)s)
                 and (%(target)s::text is null or p.target = %(target)s)
               order by p.outbox_id limit %(limit)s""",
            {"status": status, "target": target, "limit": limit},
        ).fetchall()
    return [Letter(*row) for row in rows]


def counts(conn: Connection[Any]) -> dict[str, int]:
    """Messages not accepted by status, `blocked` being ready ones behind a dead one of their aggregate. Statuses
    without a message are 0."""
    with conn.transaction():
        rows = conn.execute(
            """select case when p.status = 'ready' and exists (
                   select from ops.outbox_pending q
                   where q.target = p.target and q.aggregate_type = p.aggregate_type
                     and q.aggregate_id = p.aggregate_id and q.outbox_id < p.outbox_id and q.status = 'dead')
                 then 'blocked' else p.status end, count(*)
               from ops.outbox_pending p group by 1"""
        ).fetchall()
    return {"ready": 0, "leased": 0, "blocked": 0, "dead": 0} | {status: int(count) for status, count in rows}


def retry(conn: Connection[Any], outbox_ids: Iterable[int] | None, *, by: str, note: str = "") -> int:
    """Puts dead letters back, one by one or all (None); returns how many. One whose effect is unknown and that a person
    had to decide is sent again: asking for it is the decision."""
    with conn.transaction():
        rows = conn.execute(
            """with requeued as (
                 update ops.outbox_pending p
                 set status = 'ready', attempts = 0, next_attempt_at = '-infinity', deliverer = null,
                   unknown = unknown and (select outcome from effects.outcome e
                     where e.outbox_id = p.outbox_id order by outcome_id desc limit 1) <> 'unknown'
                 where status = 'dead' and (%(ids)s::bigint[] is null or outbox_id = any(%(ids)s))
                 returning outbox_id, lane),
               noted as (
                 insert into effects.outcome (outbox_id, attempt, outcome, message, decided_by)
                 select outbox_id, 0, 'requeued', nullif(%(note)s, ''), %(by)s from requeued)
               select lane, count(*) from requeued group by lane""",
            {"ids": None if outbox_ids is None else list(outbox_ids), "note": note, "by": by},
        ).fetchall()
        for lane, _ in rows:
            conn.execute("select pg_notify(%s, %s)", (CHANNEL_OUTBOX, lane))
        return sum(int(count) for _, count in rows)


def accept(conn: Connection[Any], outbox_id: int, *, reference: str, by: str, note: str = "") -> None:
    """Records that a dead letter did take effect, or was done by hand, under the partner's `reference`; what waits
    behind it goes on. Raises PermanentError where there is no such dead letter."""
    with conn.transaction():
        row = conn.execute(
            "delete from ops.outbox_pending where outbox_id = %s and status = 'dead' returning attempts, lane",
            (outbox_id,),
        ).fetchone()
        if row is None:
            raise PermanentError(f"{outbox_id} is no dead letter", what_to_do="see `freightsync outbox list --dead`")
        conn.execute(
            """insert into effects.outcome (outbox_id, attempt, outcome, reference, message, decided_by)
               values (%s, %s, 'accepted', %s, nullif(%s, ''), %s)""",
            (outbox_id, row[0], reference, note, by),
        )
        conn.execute("select pg_notify(%s, %s)", (CHANNEL_OUTBOX, row[1]))


def redeliver(
    conn: Connection[Any],
    journal_id: UUID,
    *,
    posted_on: date,
    period: str,
    by: str,
    why: str,
    decision_id: int | None = None,
) -> UUID:
    """Sends a document of ours that the partner does not have again: under a new key, posted under another day. Its
    movements stay as they are; `effects.document_move` says where the document now stands. Gives the new key.

    Raises PermanentError where there is no such document, or where it is on its way: then it may yet arrive.
    """
    with conn.transaction():
        row = conn.execute(
            """select o.outbox_id, o.journal_id, p.status
               from effects.outbox o left join ops.outbox_pending p using (outbox_id)
               where o.journal_id = coalesce((select new_journal_id from effects.document_move m
                 where m.journal_id = %(journal)s and new_journal_id is not null order by move_id desc limit 1),
                 %(journal)s)""",
            {"journal": journal_id},
        ).fetchone()
        if row is None:
            raise PermanentError(f"there is no document {journal_id}", what_to_do="see `freightsync drift list`")
        outbox_id, replaced, status = row
        if status in ("ready", "leased"):
            raise PermanentError(
                f"{journal_id} is on its way to the partner", what_to_do="wait for its answer, then look again"
            )
        if status == "dead":
            conn.execute("delete from ops.outbox_pending where outbox_id = %s", (outbox_id,))
            conn.execute(
                """insert into effects.outcome (outbox_id, attempt, outcome, message, decided_by)
                   values (%s, 0, 'gave_up', %s, %s)""",
                (outbox_id, f"sent again under a new key in {period}: {why}", by),
            )
        made = conn.execute(
            """with made as (
                 insert into effects.document (journal_id, plan_id, kind, target, operation, lane, aggregate_type,
                   aggregate_id, correlation_id, posted_on, period, payload)
                 select fresh.key, plan_id, kind, target, operation, lane, aggregate_type, aggregate_id, correlation_id,
                   %(day)s, %(period)s, payload || jsonb_build_object('reference', fresh.key,
                     'posted_on', %(day)s::date, 'period', %(period)s::text)
                 from effects.outbox, (select uuidv7() as key) as fresh where outbox_id = %(outbox)s
                 returning outbox_id, journal_id, target, lane, operation, aggregate_type, aggregate_id),
               waiting as (
                 insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type, aggregate_id)
                 select outbox_id, target, lane, operation, aggregate_type, aggregate_id from made),
               moved as (
                 insert into effects.document_move (journal_id, new_journal_id, replaced_journal_id, posted_on, period,
                   why, moved_by, decision_id)
                 select %(journal)s, journal_id, %(replaced)s, %(day)s, %(period)s, %(why)s, %(by)s, %(decision)s
                 from made)
               select journal_id, lane from made""",
            {
                **{"journal": journal_id, "outbox": outbox_id, "replaced": replaced, "day": posted_on},
                **{"period": period, "why": why, "by": by, "decision": decision_id},
            },
        ).fetchone()
        assert made is not None
        conn.execute("select pg_notify(%s, %s)", (CHANNEL_OUTBOX, made[1]))
        key: UUID = made[0]
        return key


def restore(conn: Connection[Any]) -> int:
    """Puts back what is missing in the work table, from the outbox and its outcomes; returns how many. For after a
    restore of the append-only schemas alone. What was being sent when they were saved has an unknown effect."""
    with conn.transaction():
        conn.execute("lock table ops.outbox_pending in share row exclusive mode")
        return conn.execute(
            """insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type, aggregate_id, status,
                 attempts, unknown, next_attempt_at)
               select o.outbox_id, o.target, o.lane, o.operation, o.aggregate_type, o.aggregate_id,
                 case when last.outcome in ('refused', 'gave_up')
                   or last.outcome = 'unknown' and last.next_attempt_at is null and last.what_to_do is not null
                   then 'dead' else 'ready' end,
                 coalesce(last.attempt, 0), coalesce(last.outcome in ('sending', 'unknown'), false),
                 coalesce(last.next_attempt_at, '-infinity')
               from effects.outbox o
               left join lateral (
                 select outcome, attempt, what_to_do, next_attempt_at from effects.outcome e
                 where e.outbox_id = o.outbox_id order by outcome_id desc limit 1) as last on true
               where last.outcome is distinct from 'accepted'
                 and not exists (select from effects.document_move m where m.replaced_journal_id = o.journal_id)
                 and not exists (select from ops.outbox_pending p where p.outbox_id = o.outbox_id)"""
        ).rowcount
