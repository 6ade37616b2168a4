"""Further rounds of a pipeline in one process: what a busy hour brings is taken up without a task's start.

A task's start and dbt's first use cost about three seconds of CPU a round; in a warm process a round costs a third of
that. So a run, when its stages are done, stays for a while and does them again for what comes next. When nothing comes
any more it ends, and the watchers wake the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from freightsync.pipelines import whole
from freightsync.pipelines.locks import comes, held_connection
from freightsync.pipelines.stages import round_id
from freightsync.pipelines.table import PIPELINES, WORK_CHANNEL
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

LONGEST_SECONDS = 60.0
"""A run ends after so long, so that it can be seen, and its outlets be reported, while a busy hour lasts."""

PACE_SECONDS = 3.0
"""From the start of a round to the start of the next: what comes in between is taken together."""


@dataclass(frozen=True)
class Kept:
    """What the further rounds did, summed. told: the consumers downstream that were told of something."""

    rounds: int = 0
    accepted: int = 0
    claimed: int = 0
    effects: int = 0
    told: frozenset[str] = frozenset()

    def words(self) -> str:
        return (
            f"{self.rounds} further rounds: {self.accepted} records accepted, {self.claimed} aggregates looked at, "
            f"{self.effects} effects made"
        )


def keep_up(
    consumer: str,
    run_id: str,
    settings: Settings,
    *,
    linger: float,
    longest: float = LONGEST_SECONDS,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Kept:
    """Does rounds of a pipeline for what comes, until nothing came for `linger` seconds or `longest` have passed.

    Every round is a whole one, with an id and an `as_of` of its own; it raises what its stages raise.
    """
    kept = Kept()
    if linger <= 0:
        return kept
    with (
        held_connection(consumer, settings) as listener,
        connect(settings.dsn("app"), application_name=f"{consumer} keeps up") as conn,
    ):
        for channel in {*PIPELINES[consumer].channels, WORK_CHANNEL}:
            listener.execute(f"listen {channel}")
        began = quiet_since = time.monotonic()
        while comes(conn, listener, consumer, until=min(quiet_since + linger, began + longest)):
            started = time.monotonic()
            at = clock()
            ran = whole.run_stages(consumer, round_id(run_id, at), at, settings, alone=False)
            kept = Kept(
                rounds=kept.rounds + 1,
                accepted=kept.accepted + ran.taken.accepted,
                claimed=kept.claimed + ran.taken.claimed,
                effects=kept.effects + ran.made.effects,
                told=kept.told | {name for name, count in ran.told.items() if count},
            )
            if ran.taken.landed or ran.taken.accepted or ran.taken.claimed:
                quiet_since = time.monotonic()
            time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - started)))
    log.info("%s: %s", consumer, kept.words())
    return kept
