"""Several days at full size, one after the other in one running stack: whatever the seed, nothing differs."""

from __future__ import annotations

from pathlib import Path

import pytest
from played_day import play

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

ORDERS = 500


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 2026])
def test_any_day_at_full_size(stack_home: Path, seed: int) -> None:
    day = play(stack_home, seed=seed, orders=ORDERS)
    assert day.code == 0, day.output
    summary = day.summary
    assert summary["truth_mismatches"] == 0
    assert summary["compared"] == summary["expected"]
    assert summary["control_totals_balanced"] is True
    assert summary["dead_letters"] == 0
    # the ERP's bad minutes count only where a call met them
    assert summary["faults_met"] == {k: n for k, n in summary["trouble"].items() if k.startswith("erp_")}
    # a full day is one: what is promised of its size
    assert summary["orders"] >= 500
    assert summary["legs"] >= 800
    assert summary["events"] >= 5_000
    assert summary["carrier_invoices"] >= 600
    assert summary["pod_to_invoice_seconds"]["count"] >= 300
