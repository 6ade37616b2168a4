"""Seconds from POD to invoice, and what partners repeated because our answer got lost."""

from __future__ import annotations

import copy
from typing import Any

from freightsync.proof.latency import percentile, pod_to_invoice
from freightsync.proof.outcome import complete, without_resent


def sent(second: int, *invoices: str) -> dict[str, Any]:
    return {"at": f"2026-03-04T10:00:{second:02d}.000+00:00", "invoices": list(invoices)}


def committed(second: int, key: str, kind: str = "customer-invoices") -> dict[str, Any]:
    return {"at": f"2026-03-04T10:00:{second:02d}.500+00:00", "document_type": kind, "key": key}


def test_seconds_run_from_the_last_pod_needed_to_the_first_commit() -> None:
    latency = pod_to_invoice(
        ["SO1/SH1", "SO2/SH2", "SO3/SH3"],
        [sent(0, "SO1/SH1"), sent(1, "SO2/SH2"), sent(10, "SO2/SH2"), sent(2, "SO9")],
        [
            committed(4, "SO1/SH1"),
            committed(40, "SO1/SH1"),
            committed(12, "SO2/SH2"),
            committed(3, "SO2/SH2", "journal"),
        ],
    )
    assert (latency.count, latency.p50, latency.max) == (2, 2.5, 4.5)
    assert latency.unbilled == ["SO3/SH3"]


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 50) == 50.0
    assert percentile(values, 95) == 95.0
    assert percentile(values[:1], 95) == 1.0
    assert percentile([], 95) is None


TOTALS = {"received": 10, "duplicate": 1, "accepted": 9, "received_amount": "0.00", "duplicate_amount": "0.00"}


def outcome(**changed: object) -> dict[str, Any]:
    return {"documents": {}, "control_totals": {"driver.event": {**TOTALS, **changed}}}


TRUTH: dict[str, Any] = {"documents": {}, "control_totals": {"driver.event": TOTALS}}


def test_a_repeated_call_explains_a_duplicate_and_no_more() -> None:
    log = [{"units": {"driver.event": 2}}]
    one_more = outcome(received=11, duplicate=2)
    assert without_resent(TRUTH, one_more, log)["control_totals"]["driver.event"] == TOTALS
    for unexplained in (
        outcome(received=13, duplicate=4),  # three more, two repeated
        outcome(received=11, duplicate=1, accepted=10),  # one event accepted twice
        outcome(received=10, duplicate=2),  # a duplicate that was not received
    ):
        assert without_resent(TRUTH, copy.deepcopy(unexplained), log) == unexplained
    assert without_resent(TRUTH, one_more, []) == one_more


def test_the_truth_expects_the_erps_ledger_to_be_ours() -> None:
    ledger = {"2150": {"debit": "1.00", "credit": "2.00"}}
    assert complete({"documents": {"ours.ledger": ledger}})["documents"]["erp.trial_balance"] == ledger
