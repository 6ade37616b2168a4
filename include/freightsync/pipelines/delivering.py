"""Delivery as a pipeline: the outbox of every target, lane by lane."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from freightsync import delivery
from freightsync.delivery import Delivered
from freightsync.pipelines.locks import comes, held_connection
from freightsync.pipelines.stages import begin, end
from freightsync.pipelines.table import OUTBOX_CHANNEL
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "deliver_effects"
TARGETS = {
    **{name: f"freightsync.systems.{name}" for name in ("erp", "tms", "carrier_edi")},
    "access_point": "freightsync.einvoice.sending",
}
"""Whom effects are delivered to, and the module with their `sender`."""

BATCH = 500
LONGEST_SECONDS = 120.0


@contextlib.contextmanager
def senders(settings: Settings) -> Iterator[Mapping[str, delivery.Sender]]:
    """A sender for each target, with its connections open; closed at the end."""
    with contextlib.ExitStack() as stack:
        made: dict[str, delivery.Sender] = {}
        for target, module in TARGETS.items():
            sender = importlib.import_module(module).sender(settings)
            close = getattr(sender, "close", None)
            if close is not None:
                stack.callback(close)
            made[target] = sender
        yield made


def deliver_lane(
    settings: Settings,
    to: Mapping[str, delivery.Sender],
    lane: str,
    *,
    limit: int = BATCH,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Delivers one batch of a lane's due messages."""
    return delivery.deliver(
        lambda: connect(settings.dsn("app"), application_name=f"deliver {lane}"),
        to,
        lane=lane,
        limit=limit,
        now=clock,
        backoff=delivery.Backoff(give_up_after=timedelta(days=settings.give_up_days)),
    )


def words(sent: Delivered) -> str:
    """What a delivery did, for people."""
    return (
        f"{sent.accepted} messages accepted, {sent.refused} refused, {sent.again} to be sent again "
        f"({sent.unknown} of them with unknown effect)"
    )


def deliver_effects(
    run_id: str,
    settings: Settings,
    *,
    linger: float = 0.0,
    longest: float = LONGEST_SECONDS,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Delivers whatever is due, batch after batch, until nothing is; then waits `linger` seconds for more, so that in a
    busy hour a message costs a round trip instead of a task's start. Ends after `longest` seconds in any case."""
    total = Delivered()
    with (
        held_connection(CONSUMER, settings) as listener,
        connect(settings.dsn("app"), application_name=CONSUMER) as conn,
        senders(settings) as to,
    ):
        listener.execute(f"listen {OUTBOX_CHANNEL}")
        began = quiet_since = time.monotonic()
        begin(conn, CONSUMER, run_id, clock())
        while True:
            before = total
            for lane in ("hot", "bulk"):
                total += deliver_lane(settings, to, lane, clock=clock)
            now = time.monotonic()
            if now - began > longest:
                break
            # to be asked to wait is no progress: a partner that says so to everything would keep the run up
            if (total.accepted, total.refused) != (before.accepted, before.refused):
                quiet_since = now
            elif not total.attempted or not comes(
                conn, listener, CONSUMER, until=min(quiet_since + linger, began + longest)
            ):
                break
        end(conn, CONSUMER, run_id)
        conn.commit()
    log.info("%s: %s", CONSUMER, words(total))
    return total
