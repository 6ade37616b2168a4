"""KPIs of settlement, from the models and, by another route, counted in plain Python over a world of bills."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from billed_world import Settled
from deployed import copied
from settled import Outcome
from shaped import AS_OF, ShapedWarehouse

from freightsync.pipelines import build

D = Decimal
ZERO = D("0.00")
MARTS = ("fct_accrual_accuracy", "fct_dispute", "fct_settlement_kpi", "fct_days_sales_outstanding", "fct_customer_kpi")
SETTLED = ("exact", "in_tolerance", "approved", "agreed", "audited", "cancellation", "replaced", "cancelled")
DUPLICATES = ("duplicate_number", "duplicate_move")


def counted(expected: dict[str, Outcome], touched: set[str]) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for bill, outcome in expected.items():
        row = found[outcome.scac, outcome.currency]
        fits = outcome.verdict in ("exact", "in_tolerance", "approved")
        row["bills"] += 1
        row["billed_amount"] += outcome.net
        row["first_pass_bills"] += fits and bill not in touched
        row["exception_bills"] += outcome.verdict not in SETTLED
        row["unmatched_bills"] += outcome.verdict in ("no_candidate", "several_candidates")
        row["duplicate_bills"] += outcome.verdict in DUPLICATES
        if outcome.verdict in DUPLICATES:
            row["duplicate_amount"] += outcome.net
        for (_, charge), judged in outcome.charges.items():
            if outcome.verdict not in DUPLICATES and judged.verdict == "duplicate_charge":
                row["duplicate_amount"] += judged.invoiced - judged.owed
            if judged.is_posted and judged.verdict == "in_tolerance":
                row["tolerance_amount"] += max(judged.variance, ZERO)
            if charge not in ("LINEHAUL", "FUEL", "DISCOUNT"):
                row["accessorial_charges"] += 1
                row["accessorial_exceptions"] += judged.verdict not in ("exact", "in_tolerance", "approved")
            row["disputed_amount"] += judged.disputed
            row["claimed_amount"] += judged.claimed
            row["payable_amount"] += judged.paid
    return found


@pytest.fixture(scope="module")
def measured(postgres_server: Any, settled_world: Settled) -> Any:
    with copied(postgres_server, settled_world.database) as warehouse:
        build.run_dbt("run", list(MARTS), warehouse.settings, as_of=AS_OF)
        yield warehouse


def test_kpis_are_what_plain_counting_says(measured: ShapedWarehouse, settled_world: Settled) -> None:
    wanted = counted(settled_world.expected, settled_world.touched)
    rows = {(row["scac"], row["currency"]): row for row in measured.rows("select * from marts.fct_settlement_kpi")}
    assert set(rows) == set(wanted)
    names = {name for row in wanted.values() for name in row} - {"payable_amount"}
    wrong = [
        (at, name, rows[at][name], wanted[at][name])
        for at in rows
        for name in names
        if rows[at][name] != wanted[at][name]
    ]
    assert wrong == []
    assert sum(row["manual_touches"] for row in rows.values()) > len(settled_world.touched)
    assert sum(row["recovered_amount"] for row in rows.values()) > 0
    assert all(row["payable_days"] >= 0 for row in rows.values())
    assert sum(row["payable_bills"] for row in rows.values()) > 100


def test_disputes_have_the_clock_that_runs(measured: ShapedWarehouse, settled_world: Settled) -> None:
    disputed = sum(
        (judged.disputed for outcome in settled_world.expected.values() for judged in outcome.charges.values()), ZERO
    )
    rows = measured.rows("select * from marts.fct_dispute")
    assert sum((row["disputed_amount"] for row in rows), ZERO) == disputed != 0
    opened = [row for row in rows if row["state"] == "open"]
    assert opened
    assert all(row["next_step"] == "contest to the carrier" and not row["is_overdue"] for row in opened)
    # received on 10 March, looked at on the 31st; what comes later than the report is not old
    assert {row["age_days"] for row in opened} == {0, 21}
    assert {row["claim_settled_amount"] for row in rows if row["claimed_amount"]} > {ZERO}
