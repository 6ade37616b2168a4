"""When may a watcher wake its consumer? Not while a run of it is under way or about to start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from freightsync.pipelines import locks
from freightsync.pipelines.table import WORK_CHANNEL
from freightsync.settings import settings


@dataclass
class Pace:
    """Decides from what a watcher sees whether it fires now.

    interval   at least this many seconds between two wake-ups (0: at once)
    patience   after a wake-up, how long to wait for a run to begin before waking again: a lost event must not silence
               the consumer for ever
    """

    interval: float
    patience: float = 20.0
    _fired: float | None = field(default=None, init=False)
    _last_run: datetime | None = field(default=None, init=False)

    def fires(self, *, pending: bool, busy: bool, last_run: datetime | None, now: float | None = None) -> bool:
        """`pending`: work waits; `busy`: a run is under way; `last_run`: when the latest began. Remembers a firing."""
        now = time.monotonic() if now is None else now
        if busy or not pending:
            return False
        if self._fired is not None:
            since = now - self._fired
            begun = last_run != self._last_run
            if since < self.interval or (not begun and since < self.patience):
                return False
        self._fired = now
        self._last_run = last_run
        return True


class Lookout:
    """A connection of the triggerer to the warehouse: sees what waits for a consumer, hears notifications."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Lookout:
        self._connection = await psycopg.AsyncConnection.connect(
            settings().dsn("app"),
            autocommit=True,
            application_name=f"watch {self._consumer}",
            row_factory=namedtuple_row,
            keepalives_idle=30,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None:
            raise RuntimeError("the lookout is used outside its `async with`")
        return self._connection

    async def listen(self, channels: tuple[str, ...]) -> None:
        for channel in channels:
            await self.connection.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(channel)))

    async def look(self) -> Mapping[str, Any]:
        """{"pending", "busy", "last_run"} as `Pace.fires` takes them."""
        cursor = await self.connection.execute(locks.STATE[self._consumer], locks.parameters(self._consumer))
        row = await cursor.fetchone()
        assert row is not None  # a select without from
        return dict(row._asdict())

    async def nudge(self) -> None:
        """Tells a run that is still at work that there is more for it at a partner."""
        await self.connection.execute("select pg_notify(%s, %s)", (WORK_CHANNEL, self._consumer))

    async def hear(self, seconds: float) -> None:
        """Returns at the next notification, or after `seconds`."""
        async for _ in self.connection.notifies(timeout=seconds, stop_after=1):
            return
