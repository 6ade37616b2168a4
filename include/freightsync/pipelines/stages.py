"""The stages that a pipeline's tasks call, each safe to run again, and the whole of a pipeline in one call.

    land_and_gate → build → plan_and_apply

Between stages everything is in the warehouse: a stage finds what the one before left by consumer and run id.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, sql

from freightsync import effects, landing, quality
from freightsync.domain.errors import PermanentError, StalePlan
from freightsync.effects import runs
from freightsync.landing.feeds import MASTER_FEEDS
from freightsync.pipelines import build as dbt
from freightsync.pipelines.locks import LEFT, held
from freightsync.pipelines.table import PIPELINES, POD_CHANNEL, WORK_CHANNEL, Pipeline
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

PLANNING_ATTEMPTS = 5
"""How often a plan that went stale under us is made again before the run gives up (and is retried later)."""


@dataclass(frozen=True)
class TakenIn:
    """What land_and_gate did: records by feed that were landed here, accepted and quarantined by the gate, and the
    aggregates that this run claimed."""

    landed: int = 0
    accepted: int = 0
    quarantined: int = 0
    claimed: int = 0
    by_feed: dict[str, dict[str, int]] = field(default_factory=dict)

    def words(self) -> str:
        return (
            f"{self.landed} records landed, {self.accepted} accepted, {self.quarantined} quarantined, "
            f"{self.claimed} aggregates to look at"
        )


@dataclass(frozen=True)
class Made:
    """What plan_and_apply did: effects appended, outbox messages written."""

    effects: int = 0
    messages: int = 0
    plan: str = ""

    def words(self) -> str:
        return f"{self.effects} effects made, {self.messages} messages for partners"


def land_and_gate(
    consumer: str, run_id: str, settings: Settings, *, as_of: datetime | None = None, alone: bool = True
) -> TakenIn:
    """Fetches what the pipeline's systems have for us, gates its feeds, and claims what was touched for this run.

    `as_of` is the time against which the run decides; it is stored with the run (default: now) and later stages and
    repetitions of this one use the stored value. `alone`: takes the consumer's lock (false: the caller has it).
    """
    pipeline = PIPELINES[consumer]
    landed = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_lock(consumer, settings, alone))
        if set(pipeline.feeds) & set(MASTER_FEEDS):
            # several pipelines fetch and gate master data: never the same delta at once
            stack.enter_context(held("master data", settings))
        conn = stack.enter_context(connect(settings.dsn("app"), application_name=f"{consumer} land"))
        begin(conn, consumer, run_id, as_of or datetime.now(UTC))
        if pipeline.feeds:
            found = landing.collect(conn, settings, pipeline.feeds, run_id, file_patience=pipeline.file_patience)
            landed = sum(one.records for one in found)
        taken = gate_and_claim(conn, pipeline, run_id)
    taken = TakenIn(landed, taken.accepted, taken.quarantined, taken.claimed, taken.by_feed)
    log.info("%s: %s", consumer, taken.words())
    return taken


def gate_and_claim(conn: Connection[Any], pipeline: Pipeline, run_id: str) -> TakenIn:
    """Gates the pipeline's feeds and claims its touched aggregates; commits. Ends the run where nothing was claimed."""
    accepted = quarantined = 0
    by_feed: dict[str, dict[str, int]] = {}
    if pipeline.feeds:
        for result in quality.gate(conn, pipeline.feeds, run_id, great_expectations=pipeline.suites):
            accepted += result.accepted
            quarantined += result.quarantined
            by_feed[result.feed] = {
                "accepted": result.accepted,
                "quarantined": result.quarantined,
                **dict(result.by_reason),
            }
            if result.verdict == "held":
                log.error(
                    "%s: a whole batch is held because %s; nothing of it goes on until that is mended",
                    result.feed,
                    ", ".join(result.held_because),
                )
        conn.commit()
    claimed = 0
    if pipeline.finds is not None:
        touch_found(conn, pipeline)
    if pipeline.claims:
        as_of = stored_as_of(conn, pipeline.name, run_id)
        claimed = runs.claim(conn, pipeline.name, run_id, as_of, leave=LEFT.get(pipeline.name, "false"))
    if not claimed:
        end(conn, pipeline.name, run_id)
    # how much came in is known at once to whoever refreshes statistics before building from it, not when this
    # connection ends
    conn.execute("select pg_stat_force_next_flush()")
    conn.commit()
    return TakenIn(0, accepted, quarantined, claimed, by_feed)


def build(consumer: str, run_id: str, settings: Settings, *, alone: bool = True) -> tuple[dbt.Built, dict[str, int]]:
    """Builds the pipeline's models for what the run claimed, and tells the consumers downstream what to look at.

    Returns what was built and how many aggregates each downstream consumer was told of.
    """
    pipeline = PIPELINES[consumer]
    with (
        _lock(consumer, settings, alone),
        connect(settings.dsn("app"), application_name=f"{consumer} build") as conn,
    ):
        as_of = stored_as_of(conn, consumer, run_id)
        attempt = runs.attempt(conn, consumer, run_id)
        conn.commit()  # dbt has its own connection: hold no snapshot meanwhile
        built = dbt.build(consumer, run_id, as_of, settings)
        told = mark_built(conn, pipeline, run_id, attempt)
        if not pipeline.relations:
            _release(conn, consumer, run_id)
        conn.commit()
    log.info("%s: %s; told %s", consumer, built.words(), told or "nobody")
    return built, told


def mark_built(conn: Connection[Any], pipeline: Pipeline, run_id: str, attempt: int | None = None) -> dict[str, int]:
    """Marks the run as built and touches what downstream consumers must look at, in the caller's transaction. Raises
    StalePlan where another attempt of the run has begun since `attempt`."""
    told: dict[str, int] = {}
    if pipeline.selector is not None:
        found = conn.execute(_TELL, {"consumer": pipeline.name, "run_id": run_id}).fetchall()
        told = {str(consumer): int(count) for consumer, count in found}
    # those told of, and those that waited for this build
    if "invoice_on_pod" in told or (pipeline.selector is not None and _proofs_wait(conn)):
        conn.execute("select pg_notify(%s, '')", (POD_CHANNEL,))
    for consumer in told:
        conn.execute("select pg_notify(%s, %s)", (WORK_CHANNEL, consumer))
    runs.mark_built(conn, pipeline.name, run_id, attempt=attempt)
    return told


def _proofs_wait(conn: Connection[Any]) -> bool:
    row = conn.execute(
        "select exists (select from ops.touched where consumer = 'invoice_on_pod' and run_id is null)"
    ).fetchone()
    return bool(row and row[0])


_TELL = """
    with told as (
        insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
        select distinct told.consumer, told.aggregate_type, told.aggregate_id, %(consumer)s || ' ' || %(run_id)s
        from decisions.propagation as told
        where told.run_id = %(run_id)s and told.from_consumer = %(consumer)s
        returning consumer
    )
    select consumer, count(*) from told group by consumer
"""


_TELL_MADE = """
    insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
    select distinct told.consumer, told.aggregate_type, told.aggregate_id, %(consumer)s || ' ' || %(run_id)s
    from decisions.propagation_made as told where told.plan_id = %(plan)s
"""


def touch_found(conn: Connection[Any], pipeline: Pipeline) -> int:
    """Touches what the pipeline finds by itself; what waits for it already is left out. Returns how many."""
    assert pipeline.finds is not None
    return conn.execute(
        sql.SQL(
            """
            insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
            select %(consumer)s, found.aggregate_type, found.aggregate_id, 'found'
            from (select distinct aggregate_type, aggregate_id from {}) as found
            where not exists (
                select from ops.touched as known
                where known.consumer = %(consumer)s and known.run_id is null
                and known.aggregate_type = found.aggregate_type and known.aggregate_id = found.aggregate_id
            )
            """
        ).format(sql.Identifier(*pipeline.finds.split("."))),
        {"consumer": pipeline.name},
    ).rowcount


def plan_and_apply(consumer: str, run_id: str, settings: Settings, *, alone: bool = True) -> Made:
    """Plans the difference between desired and made for the run's aggregates and applies it. A plan that goes stale is
    made again; nothing is applied twice, whoever repeats this."""
    pipeline = PIPELINES[consumer]
    with (
        _lock(consumer, settings, alone),
        connect(settings.dsn("app"), application_name=f"{consumer} apply") as conn,
    ):
        made = plan_and_apply_on(conn, pipeline, run_id)
    log.info("%s: %s", consumer, made.words())
    return made


def plan_and_apply_on(conn: Connection[Any], pipeline: Pipeline, run_id: str) -> Made:
    """`plan_and_apply` on a connection of the caller; commits."""
    if pipeline.scope is None:
        raise PermanentError(f"{pipeline.name} plans nothing: it names no scope relation")
    for attempt in range(1, PLANNING_ATTEMPTS + 1):
        try:
            plan, applied = _make(conn, pipeline, run_id)
        except StalePlan as stale:
            conn.rollback()
            if attempt == PLANNING_ATTEMPTS:
                raise
            log.info("%s: %s; planning again", pipeline.name, stale.message)
            continue
        return Made(
            effects=applied.movements + applied.states + applied.onces, messages=applied.documents, plan=str(plan)
        )
    raise AssertionError("unreachable")


def _make(conn: Connection[Any], pipeline: Pipeline, run_id: str) -> tuple[effects.Plan, effects.Applied]:
    """In one transaction, unless more is taken back than goes by itself: then the plan is kept before it is applied, as
    a person may have to look at it."""
    name, relations, scope = pipeline.name, pipeline.relations, pipeline.scope
    with conn.transaction():
        made = effects.plan_and_apply(conn, consumer=name, run_id=run_id, relations=relations, scope_relation=scope)
        if made is not None:
            _tell_made(conn, pipeline, run_id, made[1])
    if made is None:
        plan = effects.plan(conn, consumer=name, run_id=run_id, relations=relations, scope_relation=scope)
        conn.commit()
        with conn.transaction():
            made = plan, effects.apply(conn, plan.plan_id)
            _tell_made(conn, pipeline, run_id, made[1])
    return made


def _tell_made(conn: Connection[Any], pipeline: Pipeline, run_id: str, applied: effects.Applied) -> None:
    if applied.movements and pipeline.tells_made:
        conn.execute(_TELL_MADE, {"consumer": pipeline.name, "run_id": run_id, "plan": applied.plan_id})


def _lock(consumer: str, settings: Settings, alone: bool) -> contextlib.AbstractContextManager[None]:
    return held(consumer, settings) if alone else contextlib.nullcontext()


def stored_as_of(conn: Connection[Any], consumer: str, run_id: str) -> datetime:
    """The time against which a run decides. Raises PermanentError for a run that never began."""
    row = conn.execute("select as_of from ops.run where consumer = %s and run_id = %s", (consumer, run_id)).fetchone()
    if row is None:
        raise PermanentError(
            f"run {run_id} of {consumer} never began",
            what_to_do="clear the whole run from its first task, or start a new one",
        )
    as_of: datetime = row[0]
    return as_of


def round_id(run_id: str, at: datetime) -> str:
    """The id under which a further round of a run is kept; a repetition of the run has others."""
    return f"{run_id}#{at:%H%M%S.%f}"


def begin(conn: Connection[Any], consumer: str, run_id: str, as_of: datetime) -> None:
    """Records a run and the time against which it decides; a repetition keeps the first. Commits."""
    conn.execute(
        "insert into ops.run (consumer, run_id, as_of) values (%s, %s, %s) on conflict (consumer, run_id) do nothing",
        (consumer, run_id, as_of),
    )
    conn.commit()


def end(conn: Connection[Any], consumer: str, run_id: str) -> None:
    """Marks a run that has nothing more to do as finished."""
    conn.execute(
        """
        update ops.run set finished_at = clock_timestamp()
        where consumer = %s and run_id = %s and finished_at is null
        """,
        (consumer, run_id),
    )


def _release(conn: Connection[Any], consumer: str, run_id: str) -> None:
    """For pipelines that plan nothing: their work is done when it is built."""
    conn.execute("delete from ops.touched where consumer = %s and run_id = %s", (consumer, run_id))
    end(conn, consumer, run_id)
