"""Orders to the TMS: released once, changed, cancelled. Each write under the key of its message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from freightsync.domain.outbox import OnceBy, OutboxMessage, Outcome, Pace
from freightsync.settings import Settings
from freightsync.systems.writing import Refused, Writer

FIELDS = (
    "order_number",
    "version",
    "customer_id",
    "ship_to_id",
    "requested_from",
    "requested_to",
    "shipping_conditions",
    "service_requirements",
    "lines",
)


class TmsSender:
    """See `freightsync.domain.outbox.Sender`."""

    operations: Mapping[str, OnceBy] = {"sales_order.order": "key"}
    pace = Pace(concurrency=4, per_second=200.0, burst=50)

    def __init__(self, settings: Settings) -> None:
        self._writer = Writer("tms", settings)

    def close(self) -> None:
        self._writer.close()

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        return [self._order(message) for message in batch]

    def _order(self, message: OutboxMessage) -> Outcome:
        try:
            answer = self._write(message)
        except Refused as error:
            return Outcome.refused(message, error.message, error.what_to_do)
        return Outcome.accepted(message, str(answer.get("tms_order_id", "")))

    def _write(self, message: OutboxMessage) -> Any:
        payload = message.payload
        number, version = payload["order_number"], payload["version"]
        if payload["status"] == "cancelled":
            return self._writer.write("POST", f"orders/{number}/cancel", {"version": version}, key=message.key)
        body = {name: payload[name] for name in FIELDS}
        release = ("POST", "orders", 409)
        change = ("PUT", f"orders/{number}", 404)
        # A first version is new and a later one known, as a rule; not where the first was in quarantine.
        first, second = (release, change) if version == 1 else (change, release)
        method, path, otherwise = first
        try:
            return self._writer.write(method, path, body, key=message.key)
        except Refused as error:
            if error.status != otherwise:
                raise
        method, path, _ = second
        return self._writer.write(method, path, body, key=message.key)


def sender(settings: Settings) -> TmsSender:
    return TmsSender(settings)
