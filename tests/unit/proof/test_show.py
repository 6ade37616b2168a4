"""The last line that people read says what is wrong, and never that all is well when something is not."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from freightsync.proof.show import show, verdict

GOOD: dict[str, Any] = {
    "ok": True,
    "seed": 1,
    **dict.fromkeys(
        (
            "orders",
            "shipments",
            "legs",
            "events",
            "carrier_invoices",
            "customer_invoices_posted",
            "payables_posted",
            "duplicates",
        ),
        7,
    ),
    "dead_letters": 0,
    "accrued": "150.00",
    "reversed": "100.00",
    "open_accrual": "50.00",
    "quarantined": {"unknown_ship_to": 3},
    "verdicts": {"exact": 5, "no_candidate": 3},
    "control_totals": [
        {
            "source": "erp.sales_order",
            "batch_count": 2,
            "received": 10,
            "accepted": 7,
            "quarantined": 3,
            "duplicate": 0,
            "received_amount": "1000.00",
            "balanced": True,
        }
    ],
    "control_totals_balanced": True,
    "control_totals_compared": 16,
    "compared": {"tms.order": 1234},
    "expected": {"tms.order": 1234},
    "truth_mismatches": 0,
    "mismatches": [],
    "mismatches_by_type": {},
    "not_quiet": [],
    "pod_to_invoice_seconds": {"count": 300, "p50": 2.0, "p95": 5.0, "max": 9.0, "unbilled": 0},
    "stage_seconds": {"day_played": 50.0},
    "task_seconds": {"settle_freight.build": {"runs": 9, "seconds": "12.3"}},
    "urls": {"Airflow": "http://127.0.0.1:1"},
    "report": "/x/[bold]odd[/bold].xlsx",
}


def changed(**fields: object) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), "ok": False, **fields}


def test_agreement_is_said_with_how_much_was_compared() -> None:
    assert "1,234 documents compared" in verdict(GOOD).plain


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (changed(truth_mismatches=3), "3 differences from the truth"),
        (changed(compared={"tms.order": 1}), "not every document was compared"),
        (changed(control_totals_balanced=False), "control totals that do not hold"),
        (changed(not_quiet=["to deliver: erp journal: 2"]), "work left over"),
        (changed(pod_to_invoice_seconds={**GOOD["pod_to_invoice_seconds"], "unbilled": 4}), "4 billable PODs"),
    ],
)
def test_disagreement_is_named(summary: dict[str, Any], words: str) -> None:
    assert verdict(summary).plain.startswith("NOT in agreement")
    assert words in verdict(summary).plain


def test_everything_is_printed_without_a_terminal() -> None:
    printed = io.StringIO()
    show(
        changed(
            truth_mismatches=21,
            mismatches=[f"tms.order SO{n}: missing" for n in range(20)] + ["ours.hold SH1: missing"],
            mismatches_by_type={"tms.order": 20, "ours.hold": 1},
            not_quiet=["file [x] waits"],
        ),
        Console(file=printed, width=120),
    )
    text = printed.getvalue()
    for expected in (
        "unknown ship to",
        "1000.00",
        "holds",
        "median 2.0",
        "p95 5.0",
        "tms.order SO2",
        "tms.order: 20",
        "ours.hold SH1",
        "file [x] waits",
    ):
        assert expected in text
    assert "tms.order SO3" not in text, "a few of each type are enough"
    assert "/x/[bold]odd[/bold].xlsx" in text, "what comes from outside is not markup"
    assert text.rstrip().splitlines()[-1].startswith("NOT in agreement")
