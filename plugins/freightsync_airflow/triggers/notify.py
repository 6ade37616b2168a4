"""PostgreSQL LISTEN/NOTIFY as an event source of Airflow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from freightsync_airflow.triggers.pace import Lookout, Pace

RECONNECT_SECONDS = 2.0
BUSY_LOOK_SECONDS = 0.5


class NotifyTrigger(BaseEventTrigger):
    """Wakes a consumer when something waits for it in the warehouse.

    consumer   pipeline whose waiting work is looked at (`freightsync.pipelines.table`)
    channels   notifications that make it look at once
    interval   at least this many seconds between two wake-ups
    look_every seconds between looks without a notification: what a lost notification costs at most
    """

    def __init__(self, consumer: str, channels: list[str], interval: float = 0.0, look_every: float = 5.0) -> None:
        super().__init__()
        self.consumer = consumer
        self.channels = list(channels)
        self.interval = interval
        self.look_every = look_every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "freightsync_airflow.triggers.notify.NotifyTrigger",
            {
                "consumer": self.consumer,
                "channels": self.channels,
                "interval": self.interval,
                "look_every": self.look_every,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        pace = Pace(self.interval)
        while True:
            try:
                async with Lookout(self.consumer) as lookout:
                    await lookout.listen(tuple(self.channels))
                    while True:
                        seen = await lookout.look()
                        if pace.fires(**seen):
                            yield TriggerEvent({"consumer": self.consumer, "cause": "work is waiting"})
                        if seen["pending"]:
                            await asyncio.sleep(BUSY_LOOK_SECONDS)
                        else:
                            await lookout.hear(self.look_every)
            except psycopg.OperationalError as error:
                # the database restarts or fails over: what waits there is seen at the first look after it is back
                self.log.warning(
                    "%s: the warehouse is away, looking again in %s s: %s", self.consumer, RECONNECT_SECONDS, error
                )
                await asyncio.sleep(RECONNECT_SECONDS)
