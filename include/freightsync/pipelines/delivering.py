"""Delivery as a pipeline: the outbox of every target, lane by lane."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from freightsync import delivery
from freightsync.delivery import Delivered
from freightsync.pipelines.locks import held
from freightsync.pipelines.stages import begin, end
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "deliver_effects"
TARGETS = ("erp", "tms")
"""Systems that effects are delivered to: modules under `freightsync.systems` with a `sender`."""

BATCH = 500


@contextlib.contextmanager
def senders(settings: Settings) -> Iterator[Mapping[str, delivery.Sender]]:
    """A sender for each target, with its connections open; closed at the end."""
    with contextlib.ExitStack() as stack:
        made: dict[str, delivery.Sender] = {}
        for target in TARGETS:
            sender = importlib.import_module(f"freightsync.systems.{target}").sender(settings)
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
        lambda: connect(settings.dsn("app"), application_name=f"deliver {lane}"), to, lane=lane, limit=limit, now=clock
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
    longest: float = 120.0,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Delivers whatever is due, batch after batch, until nothing is, or `longest` seconds have passed."""
    total = Delivered()
    began = time.monotonic()
    with (
        held(CONSUMER, settings),
        connect(settings.dsn("app"), application_name=CONSUMER) as conn,
        senders(settings) as to,
    ):
        begin(conn, CONSUMER, run_id, clock())
        while True:
            before = total
            for lane in ("hot", "bulk"):
                total += deliver_lane(settings, to, lane, clock=clock)
            if total.attempted == before.attempted or time.monotonic() - began > longest:
                break
        end(conn, CONSUMER, run_id)
        conn.commit()
    log.info("%s: %s", CONSUMER, words(total))
    return total
