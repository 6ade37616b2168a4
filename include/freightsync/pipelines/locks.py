"""Locks and signs of life of pipelines, held in the warehouse so that they die with the process that took them."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from freightsync.domain.errors import TransientError
from freightsync.landing.feeds import MASTER_FEEDS
from freightsync.pipelines.table import PIPELINES, WORK_CHANNEL
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

_CLASS = 0x46535950
"""First key of our advisory locks ("FSYP"); the second is the checksum of what is locked."""

BUSY_FOR_SECONDS = 120.0
"""A run that was started this long ago and has not finished no longer counts as running (its worker was killed)."""

HOT_LEFTOVER_SECONDS = 10.0
"""A message of the hot lane that its own run could not send is left to `deliver_effects` after so long."""

LOOK_SECONDS = 1.0

ONE_TASK = frozenset({"invoice_on_pod", "deliver_effects"})
"""Consumers whose run is one task, under way exactly while it holds the lock."""

_STATE = """
    select exists ({pending}) as pending,
        exists (
            select from pg_locks as held
            where held.locktype = 'advisory' and held.classid = %(class)s::oid and held.objid = %(object)s::oid
            and held.database = (select oid from pg_database where datname = current_database())
        )
        or exists (
            select from ops.run as run
            where run.consumer = %(consumer)s and run.finished_at is null
            and run.started_at > clock_timestamp() - make_interval(secs => %(busy_for)s)
        ) as busy,
        (select max(run.started_at) from ops.run as run where run.consumer = %(consumer)s) as last_run
"""

_PLAN_BEING_BUILT = """
    exists (
        select from ops.touched as planned
        join quality.gate as gate
            on gate.gate_id = case when planned.cause ~ '^gate [0-9]+$' then substr(planned.cause, 6)::bigint end
        join ops.run as run on run.consumer = planned.consumer and run.run_id = planned.run_id
        where planned.consumer = 'ingest_shipment_events' and gate.feed = 'tms.shipment_plan'
        and planned.aggregate_type = touched.aggregate_type and planned.aggregate_id = touched.aggregate_id
        and run.built_at is null and run.finished_at is null
        -- a run that was killed holds nothing back for longer
        and run.started_at > clock_timestamp() - interval '30 seconds'
    )
"""

LEFT = {"invoice_on_pod": _PLAN_BEING_BUILT}
"""By consumer, which rows of `ops.touched` it leaves for now. A build commits model by model: in between, the hot path
would bill from half of a new plan, and correct the invoice a moment later. Only the shipment whose plan is being built
waits, not one whose other events are."""

_WAITING = """
    select from ops.touched as touched where touched.consumer = %(consumer)s and not ({left})
    union all
    select from ops.ungated_batch as batch where batch.feed = any(%(feeds)s) and batch.held_at is null
"""

_WAITING_OUTBOX = """
    select from ops.outbox_pending as message
    -- a leased one too: its deliverer may be dead, and the next one takes it over
    where message.status <> 'dead' and message.next_attempt_at <= clock_timestamp()
    and (
        message.lane = 'bulk'
        or exists (
            select from effects.outbox as kept
            where kept.outbox_id = message.outbox_id
            and kept.created_at < clock_timestamp() - make_interval(secs => %(hot_leftover)s)
        )
    )
    -- its partner has asked to wait: nothing goes out before
    and not exists (
        select from ops.target_pause as pause
        where pause.target = message.target and pause.closed_until > clock_timestamp()
    )
    -- behind an unanswered or refused message of the same aggregate it can't go out yet
    and not exists (
        select from ops.outbox_pending as ahead
        where ahead.target = message.target and ahead.aggregate_type = message.aggregate_type
        and ahead.aggregate_id = message.aggregate_id and ahead.outbox_id < message.outbox_id
    )
"""

_PENDING = {
    **{consumer: _WAITING.format(left=LEFT.get(consumer, "false")) for consumer in PIPELINES},
    "deliver_effects": _WAITING_OUTBOX,
}

WAITING = {consumer: f"select exists ({pending})" for consumer, pending in _PENDING.items()}
"""By consumer, the query whether anything waits for it."""

STATE = {consumer: _STATE.format(pending=pending) for consumer, pending in _PENDING.items()}
"""By consumer, the query of (pending, busy, last_run): whether anything waits for it, whether a run of it is under way,
and when its latest run began."""


def parameters(consumer: str) -> dict[str, Any]:
    """The parameters of the queries in STATE and WAITING."""
    pipeline = PIPELINES.get(consumer)
    feeds = list(pipeline.feeds) if pipeline else []
    # master data that is only fetched along has a pipeline of its own, and wakes nobody else
    feeds = [name for name in feeds if name not in MASTER_FEEDS] or feeds
    return {
        "consumer": consumer,
        "feeds": feeds,
        "class": _CLASS,
        "object": zlib.crc32(consumer.encode()),
        "busy_for": 0.0 if consumer in ONE_TASK else BUSY_FOR_SECONDS,
        "hot_leftover": HOT_LEFTOVER_SECONDS,
    }


def waiting(conn: Connection[Any], consumer: str) -> bool:
    """Whether something waits for the consumer; leaves no transaction open."""
    row = conn.execute(WAITING[consumer], parameters(consumer)).fetchone()
    conn.rollback()
    return bool(row and row[0])


def comes(conn: Connection[Any], listener: Connection[Any], consumer: str, *, until: float) -> bool:
    """Whether work comes for the consumer before `until` on the monotonic clock; returns as soon as it does.

    Work waits in the warehouse, or a watcher saw it lie at a partner and says so. `listener` listens to the channels
    that may announce it; what falls due by the clock alone is seen within `LOOK_SECONDS`.
    """
    # it waits before it looks: what a pass just left (a partner that asked for a pause) must not make it spin
    while (left := until - time.monotonic()) > 0:
        for heard in listener.notifies(timeout=min(left, LOOK_SECONDS), stop_after=1):
            if heard.channel == WORK_CHANNEL and heard.payload == consumer:
                return True
        if waiting(conn, consumer):
            return True
    return False


@contextlib.contextmanager
def held(name: str, settings: Settings, *, patience: float = 180.0) -> Iterator[None]:
    """Holds the lock `name` on a connection of its own; waits up to `patience` seconds for whoever has it.

    A killed process frees it as soon as PostgreSQL notices. Raises TransientError when it stays taken.
    """
    with held_connection(name, settings, patience=patience):
        yield


@contextlib.contextmanager
def held_connection(name: str, settings: Settings, *, patience: float = 180.0) -> Iterator[Connection[Any]]:
    """Like `held`; gives the connection that holds the lock. It is in autocommit: use it to listen, not to write."""
    connection = connect(settings.dsn("app"), application_name=f"lock {name}")
    try:
        connection.autocommit = True
        key = (_CLASS, _signed(zlib.crc32(name.encode())))
        until = time.monotonic() + patience
        while True:
            row = connection.execute("select pg_try_advisory_lock(%s, %s)", key).fetchone()
            if row is not None and row[0]:
                break
            if time.monotonic() >= until:
                raise TransientError(
                    f"another run of {name} is still at work after {patience:.0f} s",
                    what_to_do="nothing: this run is tried again; if it stays so, look for a hanging run of the DAG",
                )
            time.sleep(0.1)
        yield connection
    finally:
        connection.close()


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
