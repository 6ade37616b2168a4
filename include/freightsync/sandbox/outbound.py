"""Calls to us with events and bills: signed, retried until 2xx, byte for byte the same at every attempt, kept over
a restart.

One sender a partner. `concurrency` 1 keeps the order (a TMS and a carrier send one call after the other and stay on a
failed one); a driver app is many phones, so its calls overtake each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from freightsync.sandbox.books import Books, dumps, wall_clock
from freightsync.sandbox.outgoing import Outgoing

log = logging.getLogger(__name__)

PAUSES = (0.3, 0.7, 1.5, 3.0, 5.0)
"""Seconds before the second, third … attempt; then the last again."""
SHOWN_AFTER = 6
"""Attempts, about 10 seconds."""


def sign(secret: str, timestamp: int, body: bytes) -> str:
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def headers(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Freightsync-Timestamp": str(timestamp),
        "X-Freightsync-Signature": sign(secret, timestamp, body),
    }


class WebhookSender:
    """`add` writes a call to the books and sends it; `sent(actions)` is told when it was acknowledged.

    `note["pods"]` of a call (event id, shipment, the invoices that this POD makes billable) is logged as `pod_sent`
    with the wall time of the first attempt. The call's events are in the partner's own list (`GET events`) once it was
    acknowledged, or once `SHOWN_AFTER` attempts failed: who reads the list finds what was missed, not what is on its
    way. A call whose earlier attempt may have arrived (no answer, or 5xx) is logged as `resent` with its
    `note["units"]` ({feed: records}): the receiver may rightly count them as duplicates.
    """

    def __init__(
        self,
        partner: str,
        books: Books,
        url: str,
        secret: str,
        sent: Callable[[list[str]], None],
        *,
        concurrency: int = 1,
    ) -> None:
        self.partner, self.books, self.url, self.secret = partner, books, url, secret
        self.concurrency = concurrency
        self.last_problem = ""
        self.outgoing = Outgoing(partner, "webhook", books, sent)

    @property
    def waiting(self) -> int:
        """Calls that are not acknowledged yet."""
        return self.outgoing.waiting

    def add(self, body: dict[str, Any], actions: list[str], note: dict[str, Any] | None = None) -> None:
        """Takes a call. `note["bad"]` makes it one that must be refused: 'signature', 'stale' or 'unsigned'."""
        self.outgoing.add(dumps(body).encode(), actions, note or {})

    def forget(self) -> None:
        """Drops what waits (the books were cleared)."""
        self.outgoing.forget()

    async def run(self) -> None:
        """Sends for ever; cancel to stop."""
        if not self.url:
            return
        limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        async with httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5), limits=limits, trust_env=False) as client:
            await asyncio.gather(*(self._work(client) for _ in range(self.concurrency)))

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            await self._deliver(client, await self.outgoing.queue.get())

    async def _deliver(self, client: httpx.AsyncClient, seq: int) -> None:
        era = self.outgoing.era
        while era == self.outgoing.era:
            row = self.books.one(
                "select body, actions, note, attempts, first_sent_at from delivery where seq = ?", (seq,)
            )
            if row is None:
                return
            body, actions, note, attempts, first = row[0], json.loads(row[1]), json.loads(row[2]), row[3], row[4]
            now = wall_clock()
            with self.books.together():
                self.books.run(
                    "update delivery set attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?)"
                    " where seq = ?",
                    (now, seq),
                )
                if first is None:
                    for pod in note.get("pods", ()):
                        self.books.log("pod_sent", pod, now)
            problem, may_have_arrived = await self._attempt(client, body, note.get("bad"), now)
            if era != self.outgoing.era:
                return
            if not problem:
                self.outgoing.acknowledged(seq, actions, None if note.get("bad") else partial(self._show, body))
                return
            if attempts + 1 == SHOWN_AFTER and not note.get("bad"):
                self._show(body)
                may_have_arrived = True
            if may_have_arrived:
                self.books.log("resent", {"partner": self.partner, "delivery": seq, "units": note.get("units", {})})
            if problem != self.last_problem:
                log.warning("webhook of %s, call %s, attempt %s: %s", self.partner, seq, attempts + 1, problem)
                self.last_problem = problem
            await asyncio.sleep(PAUSES[min(attempts, len(PAUSES) - 1)])

    def _show(self, body: bytes) -> None:
        for event in json.loads(body).get("events", ()):
            if not self.books.holds("events", event["event_id"]):
                self.books.add("events", event["event_id"], event)

    async def _attempt(self, client: httpx.AsyncClient, body: bytes, bad: str | None, now: float) -> tuple[str, bool]:
        """The problem ('' if none) and whether the receiver may have kept the call although it did not say so."""
        secret, timestamp = self.secret, int(now)
        if bad == "signature":
            secret = "not-" + secret
        elif bad == "stale":
            timestamp -= 3600
        extra = headers(secret, timestamp, body)
        if bad == "unsigned":
            del extra["X-Freightsync-Signature"]
        try:
            answer = await client.post(self.url, content=body, headers=extra)
        except httpx.ConnectError as error:
            return f"no connection to {self.url} ({error})", False
        except httpx.HTTPError as error:
            return f"no answer from {self.url} ({type(error).__name__})", True
        if answer.is_success and not bad:
            return "", False
        if bad and answer.is_client_error:
            return "", False
        if bad and answer.is_success:
            self.books.log("wrongly_accepted", {"partner": self.partner, "bad": bad})
            return "", False
        return f"{self.url} answered {answer.status_code}", answer.is_server_error
