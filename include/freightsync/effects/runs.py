"""The work queue: which aggregates a consumer must look at again, and which run has them.

A touched row lives until the plan of the run that claimed it is applied. A run that died leaves its rows claimed; the
next run of the same consumer takes them over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection, sql

from freightsync.domain.errors import ModelNotBuilt, StalePlan


def serialise(conn: Connection[Any], consumer: str) -> None:
    """Until the end of the transaction, one claim or apply a consumer: both change the same touched rows."""
    conn.execute("select pg_advisory_xact_lock(hashtext('freightsync consumer'), hashtext(%s))", (consumer,))


def touch(
    conn: Connection[Any],
    consumer: str,
    aggregate_type: str,
    which: LiteralString | sql.Composable | Iterable[str],
    params: Iterable[object] = (),
    *,
    cause: str = "",
) -> int:
    """Asks `consumer` to look at aggregates again. `which`: a query giving one column of aggregate ids (with
    `params`), or the ids themselves. Returns how many. Rows that wait already are not looked up: one of them may be
    in the hands of a run that has read its input."""
    if isinstance(which, str):
        query: sql.Composable = sql.SQL(which)
    elif isinstance(which, sql.Composable):
        query = which
    else:
        query, params = sql.SQL("select unnest(%s::text[])"), (list(which),)
    statement = sql.SQL(
        """insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
           select {}, {}, id, {} from (select distinct id from ({}) as found (id) where id is not null) as ids"""
    ).format(sql.Literal(consumer), sql.Literal(aggregate_type), sql.Literal(cause or None), query)
    with conn.transaction():
        return conn.execute(statement, tuple(params)).rowcount


def claim(
    conn: Connection[Any],
    consumer: str,
    run_id: str,
    as_of: datetime,
    *,
    code_version: str | None = None,
    leave: LiteralString = "false",
) -> int:
    """Gives the run every touched row of its consumer, those of dead runs included, but for those of which the
    condition `leave` on `touched` holds; returns how many it now has.
    Claiming again (a retried run) keeps the first `as_of`, and the build before it no longer counts."""
    with conn.transaction():
        serialise(conn, consumer)
        conn.execute(
            """insert into ops.run as r (consumer, run_id, as_of, code_version) values (%s, %s, %s, %s)
               on conflict (consumer, run_id) do update
               set attempt = r.attempt + 1, built_at = null, built_watermark = null, finished_at = null""",
            (consumer, run_id, as_of, code_version),
        )
        conn.execute(
            sql.SQL(
                """update ops.touched set run_id = %s
                   where consumer = %s and run_id is distinct from %s and not ({})"""
            ).format(sql.SQL(leave)),
            (run_id, consumer, run_id),
        )
        row = conn.execute(
            "select count(*) from ops.touched where consumer = %s and run_id = %s", (consumer, run_id)
        ).fetchone()
        assert row is not None
        return int(row[0])


def attempt(conn: Connection[Any], consumer: str, run_id: str) -> int:
    """How often the run has claimed: hand it to `mark_built` and `plan` to be refused once another attempt began."""
    with conn.transaction():
        row = conn.execute(
            "select attempt from ops.run where consumer = %s and run_id = %s", (consumer, run_id)
        ).fetchone()
    if row is None:
        raise ModelNotBuilt(f"run {run_id} of {consumer} is not known", what_to_do="claim before building")
    return int(row[0])


def mark_built(conn: Connection[Any], consumer: str, run_id: str, *, attempt: int | None = None) -> None:
    """Says that every model of the consumer is built for what the run has claimed. Raises ModelNotBuilt for a run that
    never claimed, StalePlan where `attempt` is no longer the run's."""
    with conn.transaction():
        row = conn.execute(
            "select attempt from ops.run where consumer = %s and run_id = %s for update", (consumer, run_id)
        ).fetchone()
        if row is None:
            raise ModelNotBuilt(f"run {run_id} of {consumer} is not known", what_to_do="claim before building")
        if attempt is not None and attempt != row[0]:
            raise StalePlan(f"attempt {attempt} of run {run_id} was overtaken by attempt {row[0]}")
        conn.execute(
            """update ops.run set built_at = clock_timestamp(), built_watermark = (
                 select coalesce(max(touch_id), 0) from ops.touched where consumer = %(consumer)s and run_id = %(run)s)
               where consumer = %(consumer)s and run_id = %(run)s""",
            {"consumer": consumer, "run": run_id},
        )


def pending(conn: Connection[Any], consumer: str | None = None) -> dict[str, int]:
    """Touched rows that wait, claimed or not, by consumer."""
    with conn.transaction():
        rows = conn.execute(
            """select consumer, count(*) from ops.touched where %(c)s::text is null or consumer = %(c)s
               group by consumer order by consumer""",
            {"c": consumer},
        ).fetchall()
    return {name: int(count) for name, count in rows}
