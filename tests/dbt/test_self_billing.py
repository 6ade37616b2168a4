"""Moves that we bill ourselves, where the contract lets us. Every amount here is worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from policies import record_rule
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, bill, event, order, plan, pod

from freightsync.cases import disputes

D = Decimal
pytestmark = pytest.mark.timeout(900)
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)


def settle(warehouse: ShapedWarehouse, *facts: Fact) -> None:
    warehouse.admit(facts)
    warehouse.settle_down()


def balances(warehouse: ShapedWarehouse, shipment: str) -> dict[str, Decimal]:
    """By account, debits above zero."""
    rows = warehouse.rows(
        """select account, sum(amount) as amount from (
             select debit_account as account, amount, attributes, relation from effects.movement
             union all select credit_account, -amount, attributes, relation from effects.movement) as sides
           where attributes ->> 'shipment_id' = %s and relation in ('movement__accruals', 'movement__settlement')
           group by 1 having sum(amount) <> 0""",
        shipment,
    )
    return {row["account"]: row["amount"] for row in rows}


def places(warehouse: ShapedWarehouse) -> dict[str, tuple[str, Decimal, Decimal, Decimal, Decimal]]:
    """By bill: verdict, and its money paid, disputed, rejected, pending."""
    rows = warehouse.rows(
        """select invoice_number, verdict, paid_amount, disputed_amount, rejected_amount,
             net_amount - paid_amount - disputed_amount - rejected_amount as pending from decisions.invoice_verdict"""
    )
    return {
        row["invoice_number"]: (
            row["verdict"],
            row["paid_amount"],
            row["disputed_amount"],
            row["rejected_amount"],
            row["pending"],
        )
        for row in rows
    }


def delivered(number: str, at: str = "09T10") -> Fact:
    return event("x12_214", "D1", number, at, scac="NRDF")


def test_we_pay_by_our_own_document_and_the_carriers_own_bill_is_its_duplicate(shaped: ShapedWarehouse) -> None:
    """Planned 120.00, self-billed at delivery; the carrier bills 124.00 all the same: 4.00 are in dispute, agreed at
    3.00 they are paid beside it. Expense ends at 123.00, and what was billed before delivery waits."""
    record_rule(shaped, "self_billing_policy", "own", scac="NRDF", is_self_billed=True)
    record_rule(shaped, "self_billing_policy", "proof", scac="BLUW", is_self_billed=True, from_milestone="pod_received")
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        plan("S", "NRDF", [("A", 1, 5, "10")], {"LINEHAUL": "100.00", "FUEL": "20.00"}),
        plan("T", "NRDF", [("A", 1, 2, "10")], {"LINEHAUL": "50.00"}),
        plan("P", "BLUW", [("A", 1, 3, "10")], {"LINEHAUL": "80.00"}),
        # both before our own document, one of them for another shipment, too
        bill("NRDF", "N1", "08", [("LINEHAUL", "104.00"), ("FUEL", "20.00")], shipment_reference="S"),
        bill("NRDF", "N2", "08", [("LINEHAUL", "50.00", "T"), ("LINEHAUL", "50.00", "S")], pro_number="M"),
        bill("BLUW", "B1", "08", [("LINEHAUL", "80.00")], shipment_reference="P"),
        event("bluw", "DELIVERED", "P", "09T10"),
    )
    assert places(shaped) == {
        "N1": ("out_of_tolerance", D(0), D(4), D(0), D(120)),
        "N2": ("not_delivered", D(0), D(0), D(0), D(100)),
        "B1": ("awaits_self_bill", D(0), D(0), D(0), D(80)),
    }
    assert balances(shaped, "P") == {"6100": D(80), "2150": D(-80)}
    settle(shaped, delivered("S"), delivered("T"), pod("P", 3, "11T10"))
    for shipment, linehaul, fuel in (("S", 100, 20), ("T", 50, 0), ("P", 80, 0)):
        fuels = {"6110": D(fuel)} if fuel else {}
        assert balances(shaped, shipment) == {"6100": D(linehaul), "2100": D(-linehaul - fuel), **fuels}
    assert places(shaped) == {
        "SB-S": ("exact", D(120), D(0), D(0), D(0)),
        "SB-T": ("exact", D(50), D(0), D(0), D(0)),
        "SB-P": ("exact", D(80), D(0), D(0), D(0)),
        "N1": ("self_billed", D(0), D(4), D(120), D(0)),
        "N2": ("duplicate_self_bill", D(0), D(0), D(100), D(0)),
        "B1": ("duplicate_self_bill", D(0), D(0), D(80), D(0)),
    }
    sent = shaped.rows(
        """select payload -> 'lines' -> 0 ->> 'invoice_number' as number from effects.outbox
           where operation = 'supplier_invoice' order by 1"""
    )
    assert [row["number"] for row in sent] == ["SB-P", "SB-S", "SB-T"]

    # in dispute is the difference alone
    (row,) = shaped.rows("select carrier_invoice_id from decisions.invoice_verdict where invoice_number = 'N1'")
    theirs = row["carrier_invoice_id"]
    with psycopg.connect(shaped.settings.dsn("app"), autocommit=True) as conn:
        (case,) = disputes.cases(conn)
        assert (case.invoice_number, case.disputed_amount, case.reason_code) == ("N1", D(4), "self_billed_difference")
        saying = disputes.Saying(by="anna", channel="cli", at=NOW)
        with pytest.raises(disputes.DisputeRefused, match=r"4\.01 is not between nothing and the 4\.00 that"):
            disputes.propose(conn, theirs, "carrier", {("tms:S", "LINEHAUL"): D("4.01")}, saying)
        offer = disputes.propose(conn, theirs, "us", {("tms:S", "LINEHAUL"): D("3.00")}, saying)
        disputes.answer(conn, offer, "carrier", disputes.Saying(by="NRDF", channel="edi", at=NOW), accept=True)
    shaped.settle_down()
    assert places(shaped)["N1"] == ("agreed", D(3), D(0), D(121), D(0))
    assert balances(shaped, "S") == {"6100": D(103), "6110": D(20), "2100": D(-123)}

    # the plan changes after all, and a second bill comes in its time: neither pays anything twice
    settle(
        shaped,
        plan("T", "NRDF", [("A", 1, 2, "10")], {"LINEHAUL": "60.00"}, version=2),
        bill("NRDF", "N3", "15", [("LINEHAUL", "1.50")], shipment_reference="T", correction="BD"),
    )
    assert balances(shaped, "T") == {"6100": D("61.50"), "2100": D("-61.50")}
    assert places(shaped)["SB-T"] == ("exact", D(60), D(0), D(0), D(0))
    before = shaped.rows("select count(*), max(movement_id) from effects.movement")
    shaped.rebuild()
    for shipment in ("S", "T", "P"):
        shaped.touch("post_accruals", "shipment", f"tms:{shipment}")
        shaped.touch("settle_freight", "shipment", f"tms:{shipment}")
    shaped.settle_down()
    assert shaped.rows("select count(*), max(movement_id) from effects.movement") == before
