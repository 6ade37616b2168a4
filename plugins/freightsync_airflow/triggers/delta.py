"""Partners' delta reads as an event source: asks whether something came since our cursor, and fetches nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from freightsync.settings import SettingsError, settings
from freightsync_airflow.triggers.pace import Lookout, Pace

AWAY_SECONDS = 5.0
CALL_SECONDS = 10.0

DELTAS: dict[str, tuple[tuple[str, str], ...]] = {
    "sync_master_data": (
        ("erp.customer", "customers"),
        ("erp.ship_to", "ship-tos"),
        ("erp.item", "items"),
        ("erp.carrier", "carriers"),
        ("erp.charge_code", "charge-codes"),
        ("erp.exchange_rate", "exchange-rates"),
        ("erp.tax_profile", "tax-profiles"),
        ("erp.tax_rate", "tax-rates"),
        ("erp.purchase_order", "purchase-orders"),
        ("erp.stock_position", "stock-positions"),
        ("tms.lane", "lanes"),
    ),
    "release_orders": (("erp.sales_order", "sales-orders"),),
    "ingest_shipment_events": (("wms.ship_confirmation", "ship-confirmations"),),
    "apply_payments": (("erp.payment_status", "payments"), ("erp.dispute", "disputes")),
}
"""By consumer: the feeds it fetches by delta (cursor of the same name) and their collections at the partner."""

_CURSOR = """
    select read.position from landing.cursor as read where read.source = %s order by read.recorded_at desc limit 1
"""


class DeltaTrigger(BaseEventTrigger):
    """Wakes a consumer when one of its partners has something beyond our cursor.

    consumer     pipeline that reads the deltas (`DELTAS`)
    interval     at least this many seconds between two wake-ups
    look_every   seconds between two looks; one small request a collection
    """

    def __init__(self, consumer: str, interval: float = 0.0, look_every: float = 5.0) -> None:
        super().__init__()
        self.consumer = consumer
        self.interval = interval
        self.look_every = look_every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "freightsync_airflow.triggers.delta.DeltaTrigger",
            {"consumer": self.consumer, "interval": self.interval, "look_every": self.look_every},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        pace = Pace(self.interval)
        while True:
            try:
                async with (
                    Lookout(self.consumer) as lookout,
                    httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False) as client,
                ):
                    while True:
                        seen = await lookout.look()
                        news = [
                            feed
                            for feed, collection in DELTAS[self.consumer]
                            if await _news(client, lookout, feed, collection)
                        ]
                        if seen["busy"]:
                            if news:
                                await lookout.nudge()
                        else:
                            pending = bool(news) or seen["pending"]
                            if pace.fires(pending=pending, busy=False, last_run=seen["last_run"]):
                                yield TriggerEvent({"consumer": self.consumer, "cause": ", ".join(news) or "waiting"})
                        await asyncio.sleep(self.look_every)
            except (httpx.HTTPError, psycopg.OperationalError, SettingsError) as error:
                # the run itself reports a partner that is away; a watcher only stops waking it meanwhile
                self.log.warning("%s: can't look, again in %s s: %s", self.consumer, AWAY_SECONDS, error)
                await asyncio.sleep(AWAY_SECONDS)


async def _news(client: httpx.AsyncClient, lookout: Lookout, feed: str, collection: str) -> bool:
    """Whether the partner's collection holds something beyond our cursor."""
    partner = settings().partner(feed.split(".", 1)[0])
    row = await (await lookout.connection.execute(_CURSOR, (feed,))).fetchone()
    answer = await client.get(
        f"{partner.base_url.rstrip('/')}/api/v1/{collection}",
        params={"cursor": row.position if row else "", "limit": 1},
        headers={"Authorization": f"Bearer {partner.token.get_secret_value()}"},
    )
    if answer.status_code in (429, 503):
        return False
    answer.raise_for_status()
    return bool(answer.json().get("items"))
