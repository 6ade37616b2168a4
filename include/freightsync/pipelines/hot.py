"""The hot path: proof of delivery to customer invoice, gate to delivery in one process and without dbt.

A run drains what waits, then lingers: it listens for more for a few seconds, so that in a busy hour the next POD costs
a database round trip instead of a task's start. Runs stay short enough to be seen in the UI.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from freightsync.delivery import Delivered
from freightsync.pipelines import delivering
from freightsync.pipelines.locks import comes, held_connection, waiting
from freightsync.pipelines.stages import Made, begin, end, gate_and_claim, mark_built, plan_and_apply_on, round_id
from freightsync.pipelines.table import PIPELINES, Pipeline
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "invoice_on_pod"
LONGEST_SECONDS = 90.0

PACE_SECONDS = 1.0
"""From the start of a round to the start of the next. A proof after a pause is taken at once; of a burst, a second's
worth together: a round costs the same for one as for a hundred, and on a busy machine rounds for one each would take
the time from the builds that other proofs wait for."""


@dataclass(frozen=True)
class Drained:
    """What one run of the hot path did over all its rounds."""

    rounds: int = 0
    claimed: int = 0
    effects: int = 0
    sent: int = 0
    refused: int = 0

    def words(self) -> str:
        return (
            f"{self.claimed} aggregates in {self.rounds} rounds: {self.effects} effects made, "
            f"{self.sent} messages accepted, {self.refused} refused"
        )


def invoice_on_pod(
    run_id: str,
    settings: Settings,
    *,
    linger: float = 0.0,
    longest: float = 60.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Drained:
    """Gates, plans, applies and delivers every waiting proof of delivery; then waits `linger` seconds after the last
    one for more, and ends after `longest` seconds at the next quiet moment between rounds. A run that finds nothing
    does not linger."""
    pipeline = PIPELINES[CONSUMER]
    total = Drained()
    with (
        held_connection(CONSUMER, settings) as listener,
        connect(settings.dsn("app"), application_name=CONSUMER) as conn,
        delivering.senders(settings) as senders,
    ):
        for channel in pipeline.channels:
            listener.execute(f"listen {channel}")
        began = quiet_since = time.monotonic()
        begin(conn, CONSUMER, run_id, clock())
        while True:
            started = time.monotonic()
            this = round_id(run_id, clock()) if total.rounds else run_id
            claimed = _round(conn, pipeline, this, clock)
            made = plan_and_apply_on(conn, pipeline, this) if claimed else Made()
            sent = delivering.deliver_lane(settings, senders, "hot", clock=clock) if made.messages else Delivered()
            total = Drained(
                rounds=total.rounds + 1,
                claimed=total.claimed + claimed,
                effects=total.effects + made.effects,
                sent=total.sent + sent.accepted,
                refused=total.refused + sent.refused,
            )
            now = time.monotonic()
            if claimed:
                quiet_since = now
            elif not total.claimed or not comes(
                conn, listener, CONSUMER, until=min(quiet_since + linger, began + longest)
            ):
                break
            if now - began >= longest:
                break
            time.sleep(max(0.0, PACE_SECONDS - (now - started)) if claimed else 0.0)
    log.info("%s: %s", CONSUMER, total.words())
    return total


def _round(conn: Connection[Any], pipeline: Pipeline, round_id: str, clock: Callable[[], datetime]) -> int:
    """Gates and claims what waits; returns how many aggregates the round has."""
    if not waiting(conn, CONSUMER):
        end(conn, CONSUMER, round_id)
        conn.commit()
        return 0
    begin(conn, CONSUMER, round_id, clock())
    taken = gate_and_claim(conn, pipeline, round_id)
    if taken.claimed:
        mark_built(conn, pipeline, round_id)  # its relations are views: there is nothing to build
        conn.commit()
    return taken.claimed
