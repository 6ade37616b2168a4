"""Plays a day against a running stack and waits until there is nothing left to do.

It starts the day's clock and looks on: the work is done by the DAGs, on their own schedules and triggers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from freightsync.proof import quiet
from freightsync.proof.books import BooksError, open_books
from freightsync.proof.control import ControlError, Sandbox
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

STILL_SECONDS = 3.0
"""Nothing may have moved for so long before it counts as quiet."""

PLAYING = "playing"
"""A file beside the scenario from the start of the day's clock until it is quiet; for whoever waits for either."""

POLLED = {
    "erp": {
        "erp.customer": "customers",
        "erp.ship_to": "ship-tos",
        "erp.item": "items",
        "erp.carrier": "carriers",
        "erp.charge_code": "charge-codes",
        "erp.sales_order": "sales-orders",
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


def play(
    settings: Settings,
    sandbox: Sandbox,
    scenario: Path,
    *,
    seconds: float,
    patience: float,
    watch: Watcher,
) -> Played:
    """Plays the scenario, compressed to `seconds`, and waits until everything is quiet, `patience` seconds at most.

    The stack may lose any of its processes meanwhile: a look that fails is taken again. Raises ControlError where the
    scenario can't be started.
    """
    sandbox.load(scenario)
    played = Played(started_at=datetime.now(UTC))
    began = time.monotonic()
    sandbox.start(seconds)
    playing = scenario.with_name(PLAYING)
    playing.touch()
    finished_at: datetime | None = None
    last_mark: object = None
    still_since = time.monotonic()
    view = _View(settings)
    with contextlib.closing(view), contextlib.ExitStack() as until_quiet:
        until_quiet.callback(playing.unlink, missing_ok=True)
        while True:
            day, left, mark, counts = view.look(sandbox)
            elapsed = time.monotonic() - began
            if finished_at is None and day.get("quiet"):
                finished_at = datetime.now(UTC)
                played.play_seconds = elapsed
            phase = "the day is played" if finished_at is None else "what is left is settled"
            if mark is None or mark != last_mark or left or finished_at is None:
                still_since = time.monotonic()
            last_mark = mark
            waiting: tuple[str, ...] = left
            if finished_at is not None and not left and time.monotonic() - still_since >= STILL_SECONDS:
                waiting = tuple(_unread(settings, view))
                if not waiting:
                    played.settle_seconds = elapsed - played.play_seconds
                    watch(Look("quiet", elapsed, day, counts, ()))
                    return played
            watch(Look(phase, elapsed, day, counts, waiting))
            if elapsed > patience:
                played.not_quiet = [*_day_left(day), *waiting] or ["something still moves"]
                if finished_at is None:
                    played.play_seconds = elapsed
                played.settle_seconds = elapsed - played.play_seconds
                return played
            time.sleep(0.5)


class _View:
    """Looks at the warehouse through one connection, made anew when the server went away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None

    def look(self, sandbox: Sandbox) -> tuple[dict[str, Any], tuple[str, ...], object, dict[str, int]]:
        """The day, what is left to do, the mark and the counts; a part that can't be seen counts as not quiet."""
        try:
            day = sandbox.day()
        except (httpx.TransportError, ControlError) as error:
            day = {"state": f"sandbox does not answer ({error})", "quiet": False}
        try:
            connection = self._connect()
            left = tuple(str(entry) for entry in quiet.left_to_do(connection))
            return day, left, quiet.mark(connection), quiet.counts(connection)
        except psycopg.Error as error:
            self.close()
            return day, (f"the warehouse does not answer ({str(error).strip().splitlines()[0]})",), None, {}

    def positions(self) -> dict[str, str]:
        """How far each polled collection was read: the partner's cursor by feed."""
        return dict(self._connect().execute(_POSITIONS).fetchall())

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


def _unread(settings: Settings, view: _View) -> Iterator[str]:
    """What partners' polled collections and directories hold that nobody has read yet."""
    try:
        positions = view.positions()
        for partner, collections in POLLED.items():
            with open_books(settings, partner) as books:
                for feed, collection in collections.items():
                    if books.get(f"/api/v1/{collection}", cursor=positions.get(feed, ""), limit=1)["items"]:
                        yield f"not read yet: {partner} {collection}"
    except (BooksError, psycopg.Error) as error:
        yield f"what is unread can't be seen: {error}"
    for file in sorted((settings.home / "sftp").glob("*/inbound/*")):
        yield f"not fetched yet: {file.parent.parent.name}/inbound/{file.name}"
