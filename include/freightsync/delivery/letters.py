"""The outbox as people see it: what waits, what is dead and why, and the ways out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
                 and not exists (select from ops.outbox_pending p where p.outbox_id = o.outbox_id)"""
        ).rowcount
