"""Plays a day against a running stack and waits until there is nothing left to do.

It starts the day's clock and looks on: the work is done by the DAGs, on their own schedules and triggers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg

from freightsync.proof import quiet
from freightsync.proof.books import BooksError, open_books
from freightsync.proof.control import ControlError, Sandbox
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

STILL_SECONDS = 3.0
"""Nothing may have moved for so long before it counts as quiet."""

LOOK_SECONDS = 1.0

PLAYING = "playing"
"""A file beside the scenario from the start of the day's clock until it is quiet; for whoever waits for either."""

POLLED = {
    "erp": {
        "erp.customer": "customers",
        "erp.ship_to": "ship-tos",
        "erp.item": "items",
        "erp.carrier": "carriers",
        "erp.charge_code": "charge-codes",
        "erp.exchange_rate": "exchange-rates",
        "erp.tax_profile": "tax-profiles",
        "erp.tax_rate": "tax-rates",
        "erp.purchase_order": "purchase-orders",
        "erp.stock_position": "stock-positions",
        "erp.sales_order": "sales-orders",
        "erp.dispute": "disputes",
    },
    "tms": {"tms.lane": "lanes"},
    "wms": {"wms.ship_confirmation": "ship-confirmations"},
}
"""Collections of partners that are read by polling: feed, as our cursor names it, and the partner's name."""


_POSITIONS = """
select distinct on (source) source, position from landing.cursor order by source, recorded_at desc
"""


@dataclass(frozen=True)
class Look:
    """One look at the day, for whoever watches."""

    phase: str
    elapsed: float
    day: Mapping[str, Any]
    counts: Mapping[str, int]
    left: tuple[str, ...]


Watcher = Callable[[Look], None]


@dataclass
class Played:
    """How the day went. not_quiet is empty if it came to rest in time."""

    started_at: datetime
    play_seconds: float = 0.0
    settle_seconds: float = 0.0
    not_quiet: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """What one look saw. mark is None where the warehouse could not be seen; left says so then."""

    day: Mapping[str, Any]
    left: tuple[str, ...]
    mark: object
    counts: Mapping[str, int]


class View(Protocol):
    """Where the day is looked at from."""

    def look(self) -> Seen: ...

    def unread(self) -> Sequence[str]:
        """What partners' polled collections and directories hold that nobody has read yet."""
        ...


class Player(Protocol):
    """Who plays the day: see `Sandbox`."""

    def load(self, scenario: Path) -> None: ...

    def start(self, seconds: float) -> None: ...


def play(
    player: Player,
    view: View,
    scenario: Path,
    *,
    seconds: float,
    patience: float,
    watch: Watcher,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Played:
    """Plays the scenario, compressed to `seconds`, and waits until everything is quiet, `patience` seconds at most.

    The stack may lose any of its processes meanwhile: a look that fails is taken again. Raises ControlError where the
    scenario can't be started.
    """
    player.load(scenario)
    played = Played(started_at=datetime.now(UTC))
    began = clock()
    player.start(seconds)
    playing = scenario.with_name(PLAYING)
    playing.touch()
    finished: float | None = None
    last_mark: object = None
    still_since = began
    try:
        while True:
            seen = view.look()
            now = clock()
            elapsed = now - began
            if finished is None and seen.day.get("quiet"):
                finished = elapsed
            if seen.mark is None or seen.mark != last_mark or seen.left or finished is None:
                still_since = now
            last_mark = seen.mark
            left = seen.left
            if finished is not None and not left and now - still_since >= STILL_SECONDS:
                left = tuple(view.unread())
                if not left:
                    watch(Look("quiet", elapsed, seen.day, seen.counts, ()))
                    break
            phase = "the day is played" if finished is None else "what is left is settled"
            watch(Look(phase, elapsed, seen.day, seen.counts, left))
            if elapsed > patience:
                played.not_quiet = [*_day_left(seen.day), *left] or ["something still moves"]
                break
            pause(LOOK_SECONDS)
    finally:
        playing.unlink(missing_ok=True)
    played.play_seconds = elapsed if finished is None else finished
    played.settle_seconds = elapsed - played.play_seconds
    return played


class LiveView:
    """Looks at a running stack: the sandbox, the warehouse with the reporting role, the partners' collections."""

    def __init__(self, settings: Settings, sandbox: Sandbox) -> None:
        self._settings = settings
        self._sandbox = sandbox
        self._connection: psycopg.Connection[Any] | None = None

    def look(self) -> Seen:
        try:
            day = self._sandbox.day()
        except (httpx.TransportError, ControlError) as error:
            day = {"state": f"the sandbox does not answer ({error})", "quiet": False}
        try:
            connection = self._connect()
            left = tuple(str(entry) for entry in quiet.left_to_do(connection))
            return Seen(day, left, quiet.mark(connection), quiet.counts(connection))
        except psycopg.Error as error:
            self.close()
            return Seen(day, (f"the warehouse does not answer ({str(error).strip().splitlines()[0]})",), None, {})

    def unread(self) -> Sequence[str]:
        return list(self._unread())

    def _unread(self) -> Iterator[str]:
        try:
            positions = dict(self._connect().execute(_POSITIONS).fetchall())
            for partner, collections in POLLED.items():
                with open_books(self._settings, partner) as books:
                    for feed, collection in collections.items():
                        if books.get(f"/api/v1/{collection}", cursor=positions.get(feed, ""), limit=1)["items"]:
                            yield f"not read yet: {partner} {collection}"
        except (BooksError, psycopg.Error) as error:
            yield f"what is unread can't be seen: {error}"
        for file in sorted((self._settings.home / "sftp").glob("*/inbound/*")):
            yield f"not fetched yet: {file.parent.parent.name}/inbound/{file.name}"

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connect(self._settings.dsn("report"), application_name="freightsync watcher")
            self._connection.autocommit = True
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _day_left(day: Mapping[str, Any]) -> Iterator[str]:
    if day.get("quiet"):
        return
    yield f"the day: {day.get('done', '?')} of {day.get('actions', '?')} actions done, state {day.get('state')}"
    for fact, count in day.get("waiting_for", {}).items():
        yield f"the day waits for {fact}: {count}, e.g. {day.get('waiting_example', {}).get(fact, '')}"
    for partner, problem in day.get("problems", {}).items():
        yield f"{partner}: {problem}"
