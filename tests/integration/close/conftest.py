"""A small month of freight in our ledger, posted to an ERP that really runs."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deployed import copied, shaped, shaped_template
from partners_running import Partners, running
from shaped import ShapedWarehouse
from small_world import MASTERS, bill, event, plan

from freightsync.effects import runs
from freightsync.pipelines import closing, delivering, drift, reconciling, stages
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect
from freightsync.warehouse.embedded import drop_database

__all__ = ["shaped", "shaped_template"]

PERIOD, NEXT = "2026-03", "2026-04"
APRIL = datetime(2026, 4, 4, 8, tzinfo=UTC)
"""After every cut-off of March."""

FACTS = [
    *MASTERS,
    plan("S1", "NRDF", [("A", 1, 10, "100")], {"LINEHAUL": "100.00", "FUEL": "20.00"}),
    plan("S2", "BLUW", [("B", 1, 10, "100")], {"LINEHAUL": "300.00"}),
    event("x12_214", "D1", "PROS11", "09T10", kind="pro", scac="NRDF"),
    event("bluw", "DELIVERED", "S2", "09T10"),
    # 3 % over, which this carrier's rule allows
    bill("NRDF", "N1", "12", [("LINEHAUL", "103.00"), ("FUEL", "20.00")], shipment_reference="S1"),
]

TRUTH = {
    "2100": ("0.00", "123.00"),
    "2150": ("120.00", "420.00"),
    "6100": ("503.00", "100.00"),
    "6110": ("40.00", "20.00"),
}
"""Debits and credits, worked by hand: 420.00 accrued, 120.00 of it billed with 123.00."""


@dataclass
class Books:
    """Our ledger and the ERP's."""

    shaped: ShapedWarehouse
    erp: Partners
    settings: Settings
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def run_id(self, what: str) -> str:
        return f"{what} {next(self.numbers)}"

    def deliver(self, **changes: Any) -> None:
        settings = self.settings.model_copy(update=changes)
        delivering.deliver_effects(self.run_id("deliver"), settings)

    def reconcile(self, as_of: datetime = APRIL) -> reconciling.Reconciled:
        return reconciling.reconcile(self.run_id("reconcile"), self.settings, as_of=as_of)

    def user(self, do: str, **given: Any) -> str:
        """What the ERP's own people do to its books; the document's number."""
        return str(self.erp.control("ledger", do=do, by="ann", **given)["number"])

    def entries(self) -> dict[str, dict[str, Any]]:
        """The ERP's ledger by number, newest versions."""
        return {entry["number"]: entry for entry in self.erp.get("ledger-entries", limit=1000)["items"]}

    def accrual_entry(self, shipment: str = "S2") -> dict[str, Any]:
        """The ERP's document of the accrual of a shipment."""
        journals = {
            row["id"]
            for row in self.shaped.rows(
                """select journal_id::text as id from effects.movement
                   where relation = 'movement__accruals' and aggregate_id = %s""",
                f"tms:{shipment}",
            )
        }
        (found,) = [entry for entry in self.entries().values() if entry["reference"] in journals]
        return found

    def drift(self) -> dict[str, tuple[str, str, Decimal]]:
        """By the ERP's number, or our key where it has none: reason, state, amount."""
        return {
            row["name"]: (row["reason"], row["state"], row["amount"])
            for row in self.shaped.rows(
                "select coalesce(entry_number, document) as name, reason, state, amount from decisions.ledger_drift"
            )
        }

    def tie_out(self, period: str = PERIOD) -> list[dict[str, Any]]:
        return self.shaped.rows("select * from marts.fct_ledger_tie_out where period = %s order by account", period)

    def states(self, period: str = PERIOD) -> set[str]:
        return {row["state"] for row in self.tie_out(period)}

    def our_books(self, period: str = PERIOD) -> dict[str, tuple[str, str]]:
        return {
            row["account"]: (str(row["our_debit"]), str(row["our_credit"]))
            for row in self.tie_out(period)
            if row["our_debit"] or row["our_credit"]
        }

    def erp_books(self, period: str = PERIOD) -> dict[str, tuple[str, str]]:
        """Over its API, not from what we read of it."""
        return {
            row["account"]: (row["debit"], row["credit"])
            for row in self.erp.get("ledger-balances", period=period)["items"]
            if (row["debit"], row["credit"]) != ("0.00", "0.00")
        }

    def blocked(self, period: str = PERIOD) -> dict[str, int]:
        rows = self.shaped.rows(
            "select check_name, found_count from marts.fct_close_readiness where period = %s and state = 'blocked'",
            period,
        )
        return {row["check_name"]: row["found_count"] for row in rows}

    def everybody_looked(self, as_of: datetime = APRIL) -> None:
        """As if every pipeline had run after the cut-offs and found nothing."""
        with connect(self.settings.dsn("app")) as conn:
            for consumer in PIPELINES:
                run_id = self.run_id("look")
                stages.begin(conn, consumer, run_id, as_of)
                stages.end(conn, consumer, run_id)
            conn.commit()

    def decide(self, document: str, decision: drift.Decision, *, by: str = "olga", approved_by: str = "finance") -> int:
        with connect(self.settings.dsn("app")) as conn:
            number = drift.propose(conn, document, decision, by=by, note="as agreed")
            drift.approve(conn, number, by=approved_by, at=APRIL)
            conn.commit()
        return number

    def close(self, *, by: str = "olga", approved_by: str = "finance", as_of: datetime = APRIL) -> closing.Closed:
        return closing.close(PERIOD, self.run_id("close"), self.settings, by=by, approved_by=approved_by, as_of=as_of)

    def late(self, shipment: str, amount: str, as_of: datetime) -> None:
        """One more delivery, accrued by a run that decides as of this moment."""
        day = f"{as_of:%dT%H}"
        self.shaped.admit(
            [
                plan(shipment, "BLUW", [("B", 1, 10, "100")], {"LINEHAUL": amount}),
                event("bluw", "DELIVERED", shipment, "28T10", source_event_id=f"late {shipment} {day}"),
            ]
        )
        self.shaped.settle_down(("ingest_shipment_events",))
        run_id = self.run_id("accrue")
        with connect(self.settings.dsn("app")) as conn:
            runs.claim(conn, "post_accruals", run_id, as_of)
            conn.commit()
        stages.build("post_accruals", run_id, self.settings)
        stages.plan_and_apply("post_accruals", run_id, self.settings)
        self.shaped.settle_down()


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[Partners]:
    with running(tmp_path / "books") as partners:
        yield partners


MARCH = "march_template"


@pytest.fixture(scope="session")
def march_template(postgres_server: Any, shaped_template: str) -> str:
    """A warehouse in which everything of March is posted and nothing is delivered; copied for each test."""
    base = Path(os.environ["PYTEST_FREIGHTSYNC_CLUSTER"])
    made = base / "march.made"
    with (base / "march.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            drop_database(postgres_server.admin_dsn, MARCH)
            with copied(postgres_server, shaped_template, MARCH, keep=True) as warehouse:
                warehouse.admit(FACTS)
                warehouse.settle_down()
            made.touch()
    return MARCH


@pytest.fixture
def books(postgres_server: Any, march_template: str, erp: Partners) -> Iterator[Books]:
    """Everything of March posted and delivered, nothing read back yet."""
    with copied(postgres_server, march_template) as warehouse:
        given: Mapping[str, Any] = {
            name: getattr(warehouse.settings, name) for name in ("owner_dsn", "app_dsn", "dbt_dsn", "report_dsn")
        }
        made = Books(warehouse, erp, Settings.load(**given, partners=erp.settings()))
        made.deliver()
        yield made
