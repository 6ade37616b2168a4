"""The tasks of a pipeline, as DAG files put them in order.

Each calls one stage of `freightsync.pipelines` and hands on nothing but counts: what a stage left is in the warehouse,
under the consumer and the run id. Every task is safe to run again at any time.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from airflow.sdk import Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from freightsync.pipelines.table import PIPELINES
from freightsync.settings import settings
from freightsync_airflow.errors import typed

log = logging.getLogger(__name__)


niceness = 0
"""Of everything but the hot path, in a process of its own: under load, a proof of delivery and the web server go first.
The executor sets it before it forks."""


HURRIED = frozenset({"invoice_on_pod"})
FLOWING = {"sync_master_data": 3, "release_orders": 3, "deliver_effects": 3, "ingest_shipment_events": 6}
"""What partners and the hot path wait for: it yields less, by these divisors, than settlement and reports do. A proof
of delivery can be invoiced only once its shipment's plan was taken in; who takes orders in may have to wait for whoever
holds master data, so both yield alike."""


def stage(consumer: str) -> Callable[[Callable[[], dict[str, Any]]], Callable[[], dict[str, Any]]]:
    """A stage as a task's callable: typed errors mapped, what it cost in its log, bulk work yielding to urgent work."""
    return functools.partial(_stage, consumer)


def _stage(consumer: str, function: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    @functools.wraps(function)
    def run() -> dict[str, Any]:
        yields = 0 if consumer in HURRIED else niceness // FLOWING.get(consumer, 1)
        if yields:
            os.nice(max(yields - os.nice(0), 0))
        began, cpu = time.monotonic(), time.process_time()
        try:
            return typed(function)()
        finally:
            log.info("took %.2f s, %.2f s of CPU here", time.monotonic() - began, time.process_time() - cpu)

    return run


def report_only(changed: Collection[Asset]) -> None:
    """Of the running task's outlets, reports only those whose content changed; the others cause no event.

    Airflow reports every outlet of a task that succeeds, changed or not. What it reports is read from the task object
    of this process when the task ends.
    """
    running = get_current_context()["task"]
    running.outlets = [outlet for outlet in running.outlets if outlet in changed]


NOTHING = "nothing to look at: no record is new and nothing was touched"


def land_and_gate(consumer: str, *, outlets: Sequence[Asset] = (), go_on: bool = True) -> Any:
    """Fetches, gates, claims. Outlets are reported if a record was accepted. With `go_on`, skips what follows where
    nothing is there to look at."""

    @task(task_id="land_and_gate", outlets=list(outlets))
    @stage(consumer)
    def run() -> dict[str, Any]:
        """Fetches what partners have for us, runs the quality gate over it, claims what is to be looked at again."""
        from freightsync.pipelines import stages

        taken = stages.land_and_gate(consumer, _run_id(), settings())
        for feed, counts in taken.by_feed.items():
            log.info("%s: %s", feed, counts)
        report_only(outlets if taken.accepted else ())
        if go_on and not taken.claimed:
            raise AirflowSkipException(NOTHING)
        return {"landed": taken.landed, "accepted": taken.accepted, "quarantined": taken.quarantined}

    return run()


def build(consumer: str, *, tells: Mapping[str, Asset] | None = None, outlets: Sequence[Asset] = ()) -> Any:
    """Runs dbt over what the run claimed; of a pipeline that takes nothing in from outside, it is the first task and
    claims, and skips what follows where nothing was touched. `tells`: by downstream consumer, the asset to report if
    that consumer was told to look at something. `outlets` are reported always."""
    tells = dict(tells or {})
    first = not PIPELINES[consumer].feeds

    @task(task_id="build", outlets=[*outlets, *dict.fromkeys(tells.values())])
    @stage(consumer)
    def run() -> dict[str, Any]:
        """Rebuilds the dbt models of this pipeline for the claimed aggregates only; tells who must look next."""
        from freightsync.pipelines import stages

        if first and not stages.land_and_gate(consumer, _run_id(), settings()).claimed:
            raise AirflowSkipException(NOTHING)
        built, told = stages.build(consumer, _run_id(), settings())
        report_only([*outlets, *(asset for name, asset in tells.items() if told.get(name))])
        return {"nodes": len(built.nodes), "seconds": round(built.seconds, 2), "told": told}

    return run()


def plan_and_apply(consumer: str, *, outlets: Sequence[Asset] = ()) -> Any:
    """Plans desired − made and applies it. Outlets are reported if an effect was made."""

    @task(task_id="plan_and_apply", outlets=list(outlets))
    @stage(consumer)
    def run() -> dict[str, Any]:
        """Compares what should be in the outside world with what was made, appends the difference to the effect log
        and to the outbox in one transaction."""
        from freightsync.pipelines import stages

        made = stages.plan_and_apply(consumer, _run_id(), settings())
        log.info("%s", made.plan)
        report_only(outlets if made.effects else ())
        return {"effects": made.effects, "messages": made.messages}

    return run()


def keep_up(consumer: str, *, tells: Mapping[str, Asset] | None = None, outlets: Sequence[Asset] = ()) -> Any:
    """The same stages again, in one process, for what comes while the run stays. `tells` as in `build`; `outlets` are
    reported if an effect was made (of a pipeline that only takes in: if a record was accepted)."""
    tells = dict(tells or {})

    @task(task_id="keep_up", outlets=list(dict.fromkeys([*outlets, *tells.values()])))
    @stage(consumer)
    def run() -> dict[str, Any]:
        """Stays for a while after the run's work is done and goes through the stages again, warm, for whatever comes:
        in a busy hour that costs a third of a new run. Ends after a few quiet seconds."""
        from freightsync.pipelines import rounds

        kept = rounds.keep_up(consumer, _run_id(), settings(), linger=settings().linger_seconds)
        told = [asset for name, asset in tells.items() if name in kept.told]
        changed = kept.effects if PIPELINES[consumer].claims else kept.accepted
        report_only([*(outlets if changed else ()), *told])
        return {"rounds": kept.rounds, "claimed": kept.claimed, "effects": kept.effects}

    return run()


def drain_pods(*, outlets: Sequence[Asset] = ()) -> Any:
    """The hot path in one task."""

    @task(task_id="drain", outlets=list(outlets), queue="hot")
    @stage("invoice_on_pod")
    def run() -> dict[str, Any]:
        """Gates every waiting proof of delivery, plans and applies what it makes billable, posts the invoices; then
        listens a few seconds for more, so that the next one costs no start."""
        from freightsync.pipelines import hot

        drained = hot.invoice_on_pod(
            _run_id(), settings(), linger=settings().linger_seconds, longest=hot.LONGEST_SECONDS
        )
        report_only(outlets if drained.effects else ())
        return {"claimed": drained.claimed, "effects": drained.effects, "sent": drained.sent}

    return run()


def deliver() -> Any:
    """The outbox, lane by lane, until nothing is due."""

    @task(task_id="deliver")
    @stage("deliver_effects")
    def run() -> dict[str, Any]:
        """Sends due messages to their partners, first in first out for each aggregate, and writes down every answer;
        then listens a few seconds for more."""
        from freightsync.pipelines import delivering

        sent = delivering.deliver_effects(_run_id(), settings(), linger=settings().linger_seconds)
        return {"accepted": sent.accepted, "refused": sent.refused, "again": sent.again}

    return run()


def revalue(*, outlets: Sequence[Asset] = ()) -> Any:
    """Open items in foreign currency at the closing rate of the period that the run was started for."""

    @task(task_id="revalue", outlets=list(outlets))
    @stage("revalue_open_items")
    def run() -> dict[str, Any]:
        """Values what is open in foreign currency at the period's end, and takes it back on the next day; fails at the
        end where an item has no rate."""
        from freightsync.pipelines import revaluing

        done = revaluing.revalue(_params()["period"], _run_id(), settings(), by=_started_by())
        log.info("%s", done.words())
        report_only(outlets if done.effects else ())
        done.check()
        return {"items": done.items, "effects": done.effects}

    return run()


def build_marts(*, inlets: Sequence[Asset] = ()) -> Any:
    """The marts, from everything that is stored."""

    @task(task_id="build_marts", inlets=list(inlets))
    @stage("report_reconciliation")
    def run() -> dict[str, Any]:
        """Rebuilds the reporting tables with dbt."""
        from freightsync.pipelines import reporting

        built = reporting.build_marts(_run_id(), settings())
        log.info("%s", built.words())
        return {"nodes": len(built.nodes), "seconds": round(built.seconds, 2)}

    return run()


def check_and_write(*, outlets: Sequence[Asset] = ()) -> Any:
    """Data tests, control totals, the workbook."""

    @task(task_id="check_and_write", outlets=list(outlets))
    @stage("report_reconciliation")
    def run() -> dict[str, Any]:
        """Fails where one row or one control total is wrong; else writes the workbook."""
        from freightsync.pipelines import reporting

        reported = reporting.report(_run_id(), settings())
        return {"path": str(reported.path), "differences": reported.differences}

    return run()


def read_ledger(*, outlets: Sequence[Asset] = ()) -> Any:
    """The ERP's books, and what was decided about them. Outlets are reported if an effect was made."""

    @task(task_id="read_and_adjust", outlets=list(outlets))
    @stage("reconcile_ledger")
    def run() -> dict[str, Any]:
        """Reads the ERP's ledger and trial balances through the gate, follows its period locks, posts approved
        adjustments and releases, records answers that were lost."""
        from freightsync.pipelines import reconciling

        taken, made, recorded, moved = reconciling.read_and_adjust(_run_id(), settings())
        log.info("%s; %s; %s lost answers recorded, %s documents moved", taken.words(), made.words(), recorded, moved)
        report_only(outlets if made.effects or moved else ())
        return {"landed": taken.landed, "effects": made.effects, "recorded": recorded, "moved": moved}

    return run()


def compare_ledger(*, outlets: Sequence[Asset] = ()) -> Any:
    """Drift, tie-out, readiness."""

    @task(task_id="compare", outlets=list(outlets))
    @stage("reconcile_ledger")
    def run() -> dict[str, Any]:
        """Compares the ERP's books with ours, document by document and account by account."""
        from datetime import UTC, datetime

        from freightsync.pipelines import reconciling

        compared = reconciling.compare(settings(), as_of=datetime.now(UTC))
        log.info("%s", compared.words())
        return {"documents": compared.documents, "unexplained": compared.unexplained}

    return run()


def _run_id() -> str:
    return str(get_current_context()["run_id"])


def _params() -> dict[str, Any]:
    """What the run was started with."""
    return dict(get_current_context()["params"])


def _started_by() -> str:
    """Who started the run, where Airflow knows."""
    started = getattr(get_current_context()["dag_run"], "triggering_user_name", None)
    return str(started or f"run {_run_id()}")
