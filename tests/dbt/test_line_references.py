"""Consolidated bills whose lines name their shipments by bill of lading, or by order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, bill, event, order, plan

D = Decimal


def by_line(number: str, lines: list[tuple[str, dict[str, str]]], **references: str) -> Fact:
    """A bill of linehaul; each line's amount and its own references."""
    made = bill("NRDF", number, "10", [("LINEHAUL", amount) for amount, _ in lines], **references)
    rows = [{**row, **own} for row, (_, own) in zip(made.lines, lines, strict=True)]
    return replace(made, lines=rows)


@pytest.mark.timeout(600)
def test_a_line_is_found_by_its_own_bill_of_lading_or_order(shaped: ShapedWarehouse) -> None:
    """Also where the shipments are planned only after their bill; a bill of one shipment that names its orders line by
    line is still one."""
    charges = {"LINEHAUL": "100.00"}
    facts: list[Fact] = [
        *MASTERS,
        *(order(name, "C2", [(1, "5.00")]) for name in ("A", "B", "C", "D")),
        plan("S1", "NRDF", [("A", 1, 1, "5")], charges, bol="BL1"),
        plan("S2", "NRDF", [("B", 1, 1, "5")], charges, bol="BL2"),
        plan("S4", "NRDF", [("C", 1, 1, "5"), ("D", 1, 1, "5")], charges, bol="BL4"),
        *(event("x12_214", "D1", name, "09T10", scac="NRDF") for name in ("S1", "S2", "S4")),
        by_line("N1", [("100.00", {"bol_number": "BL1"}), ("100.00", {"bol_number": "BL2"})], pro_number="MASTER"),
        by_line("N3", [("60.00", {"order_number": "C"}), ("40.00", {"order_number": "D"})], shipment_reference="S4"),
    ]
    shaped.admit(facts)
    shaped.settle_down()
    shaped.admit([by_line("N2", [("90.00", {"order_number": "E"}), ("80.00", {"order_number": "F"})], weight="9.000")])
    shaped.settle_down()

    def verdicts() -> dict[str, Any]:
        rows = shaped.rows("select invoice_number, verdict, shipment_count from decisions.invoice_verdict")
        return {row["invoice_number"]: (row["verdict"], row["shipment_count"]) for row in rows}

    assert verdicts() == {"N1": ("exact", 2), "N2": ("no_candidate", 0), "N3": ("exact", 1)}
    shaped.admit(
        [
            *(order(name, "C2", [(1, "5.00")]) for name in ("E", "F")),
            plan("S5", "NRDF", [("E", 1, 1, "5")], {"LINEHAUL": "90.00"}),
            plan("S6", "NRDF", [("F", 1, 1, "5")], {"LINEHAUL": "80.00"}),
            *(event("x12_214", "D1", name, "09T10", scac="NRDF") for name in ("S5", "S6")),
        ]
    )
    shaped.settle_down()
    assert verdicts()["N2"] == ("exact", 2)
    (row,) = shaped.rows("select sum(amount) as paid from effects.movement where credit_account = '2100'")
    assert row["paid"] == D("470.00")
