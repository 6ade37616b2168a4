"""One whole day at small size on the real stack: real PostgreSQL, SFTP, HTTP, Airflow's own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
import openpyxl
import psycopg
import pytest
from page_arithmetic import PageReader, wrong
from played_day import PlayedDay

from freightsync.proof.control import Airflow

pytestmark = [pytest.mark.timeout(600)]

KEYS = {
    "seed",
    "orders",
    "shipments",
    "events",
    "carrier_invoices",
    "customer_invoices_posted",
    "payables_posted",
    "accrued",
    "reversed",
    "open_accrual",
    "quarantined",
    "duplicates",
    "dead_letters",
    "control_totals",
    "truth_mismatches",
    "compared",
    "pod_to_invoice_seconds",
    "stage_seconds",
    "urls",
    "report",
}


def test_the_day_ends_as_its_truth_said(played_day: PlayedDay) -> None:
    assert played_day.code == 0, played_day.output
    summary, truth = played_day.summary, played_day.truth
    assert summary["truth_mismatches"] == 0
    assert summary["mismatches"] == []
    # the truth counts what was to be compared, so a comparison of nothing can't pass
    assert summary["compared"] == {
        **{kind: len(documents) for kind, documents in truth["documents"].items()},
        "erp.trial_balance": len(truth["documents"]["ours.ledger"]),
    }
    assert all(count > 0 for count in summary["compared"].values()), summary["compared"]
    assert summary["control_totals_compared"] == len(truth["control_totals"])


def test_the_summary_holds_what_it_promises(played_day: PlayedDay) -> None:
    summary = played_day.summary
    assert summary.keys() >= KEYS
    assert (summary["seed"], summary["orders"]) == (played_day.truth["seed"], played_day.truth["orders"])
    for source in summary["control_totals"]:
        assert source["balanced"] is True
        assert source["received"] == source["accepted"] + source["quarantined"] + source["duplicate"]
    assert summary["pod_to_invoice_seconds"]["count"] == len(played_day.truth["pod"]["billable"])
    assert summary["customer_invoices_posted"] > 0
    assert summary["payables_posted"] > 0
    assert float(summary["open_accrual"]) == pytest.approx(float(summary["accrued"]) - float(summary["reversed"]))


def test_every_kind_of_trouble_was_in_it(played_day: PlayedDay) -> None:
    few = {kind: count for kind, count in played_day.truth["trouble"].items() if count < 3}
    assert not few
    assert len(played_day.truth["trouble"]) >= 25


def test_the_workbook_ties_out(played_day: PlayedDay) -> None:
    book = openpyxl.load_workbook(played_day.summary["report"], data_only=True)
    assert "Everything ties out" in book["Summary"]["B5"].value
    assert book["Matches and variances"].max_row > 50
    assert book["Delivered not billed"].max_row > 5


def test_ten_of_its_bills_are_explained(played_day: PlayedDay) -> None:
    address = played_day.summary["urls"]["invoices explained"]
    reader = PageReader(Path(url2pathname(urlsplit(address).path)).read_text(encoding="utf-8"))
    assert len(reader.bills) == 10
    assert [line for bill in reader.bills for line in wrong(bill)] == []
    assert sum(len(bill.calculations) for bill in reader.bills) > 40


def test_the_work_was_done_by_dags_on_their_own(played_day: PlayedDay) -> None:
    """Scheduled and event-triggered runs did it; the only run that somebody started by hand is the report's."""
    airflow = Airflow(played_day.settings)
    try:
        runs: list[dict[str, Any]] = airflow.runs(limit=100, run_type="manual")["dag_runs"]
        assert {run["dag_id"] for run in runs} <= {"report_reconciliation"}
        for dag_id in ("release_orders", "invoice_on_pod", "settle_freight", "post_accruals", "deliver_effects"):
            assert airflow.runs(dag_id, state="success", limit=1)["total_entries"] > 0, dag_id
        assert airflow.runs(run_type="asset_triggered", limit=1)["total_entries"] > 10
    finally:
        airflow.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update effects.movement set amount = amount + 1",
        "delete from effects.movement",
        "truncate effects.movement",
        "alter table effects.movement disable trigger all",
        "update landing.document set name = 'x'",
        "delete from effects.outcome",
    ],
)
def test_the_running_stacks_own_connection_cannot_change_history(played_day: PlayedDay, statement: str) -> None:
    with (
        psycopg.connect(played_day.settings.dsn("app")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_partners_are_closed_to_strangers(played_day: PlayedDay) -> None:
    base = played_day.settings.partner("erp").base_url
    assert httpx.get(f"{base}/api/v1/trial-balance", trust_env=False).status_code == 401
