"""What the ERP's answers mean for each message of a call."""

from __future__ import annotations

from typing import Any

from freightsync.domain.outbox import OutboxMessage
from freightsync.settings import Settings
from freightsync.systems.erp.outbound import ErpSender

KEYS = [f"0199f2a1-0000-7000-8000-00000000000{n}" for n in range(3)]


class Erp:
    """Answers a call with these results."""

    def __init__(self, *results: dict[str, Any]) -> None:
        self.results = results

    def write(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"results": list(self.results)}


def status(number: int) -> OutboxMessage:
    payload = {"object_type": "shipment", "object_id": f"SH{number}", "state": "delivered"}
    return OutboxMessage(
        number, KEYS[number], "erp", "shipment.status", "shipment", f"tms:SH{number}", "bulk", None, payload, 1
    )


def test_a_message_that_the_answer_leaves_out_is_unknown_and_no_other() -> None:
    sender = ErpSender(Settings.load(partners={"erp": {"base_url": "http://127.0.0.1:9", "token": "t"}}))
    sender._writer = Erp(  # type: ignore[assignment]
        {"idempotency_key": KEYS[0], "outcome": "accepted", "reference": "ST-1"},
        {"idempotency_key": KEYS[2], "outcome": "refused", "message": "no such shipment"},
    )
    outcomes = sender.send([status(number) for number in range(3)])
    assert [(one.outbox_id, one.verdict) for one in outcomes] == [(0, "accepted"), (1, "unknown"), (2, "refused")]
    assert KEYS[1] in outcomes[1].message
