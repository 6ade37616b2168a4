"""What a freight audit platform says of a bill: advice, or what is paid, by the carrier's policy."""

from __future__ import annotations

from decimal import Decimal

import pytest
from policies import record_rule
from shaped import Fact, ShapedWarehouse
from small_world import CODES, MASTERS, bill, event, order, plan

D = Decimal


def result(
    scac: str, number: str, action: str, billed: str, charges: dict[str, str], revision: int = 1, reason: str = ""
) -> Fact:
    """charges: what is to be paid of each."""
    audited = sum(map(D, charges.values()))
    columns = {
        "source": "audit.invoice_result",
        "platform_reference": f"R{number}",
        "revision": revision,
        "audited_on": "2026-03-20",
        "scac": scac,
        "invoice_number": number,
        "correction": "",
        "action": action,
        "reason": reason or None,
        "currency": "USD",
        "amount": audited,
        "billed_amount": D(billed),
        "audited_amount": audited,
    }
    lines = [
        {"line": n, "partner_code": CODES[name], "audited_amount": D(amount)}
        for n, (name, amount) in enumerate(charges.items(), 1)
    ]
    return Fact("audit.invoice_result", "audit_result", columns, [], lines)


def look_again(warehouse: ShapedWarehouse) -> None:
    for row in warehouse.rows("select carrier_invoice_id from decisions.invoice_verdict"):
        warehouse.touch("settle_freight", "carrier_invoice", row["carrier_invoice_id"])
    warehouse.settle_down()


@pytest.mark.timeout(600)
def test_an_audit_decides_where_it_binds_and_advises_elsewhere(shaped: ShapedWarehouse) -> None:
    """Planned 100.00 and billed 120.00 by three carriers: the one whose audits bind is paid the 110.00 that its audit
    says, the other's bill is held as before. A fitting bill that a binding audit rejects is not paid."""
    record_rule(shaped, "settlement_policy", "s.bound", scac="BIND", payable_account="2100", audit_mode="binding")
    record_rule(shaped, "settlement_policy", "s.free", scac="FREE", payable_account="2100")
    shaped.admit([*MASTERS, order("A", "C2", [(10, "5.00")])])
    for scac, numbers in (("BIND", "BCD"), ("FREE", "F")):
        for name in numbers:
            amount = "100.00" if name in "C" else "120.00"
            shaped.admit(
                [
                    plan(f"S{name}", scac, [("A", 1, 1, "5")], {"LINEHAUL": "100.00"}),
                    event("x12_214", "D1", f"S{name}", "09T10", scac=scac),
                    bill(scac, f"N{name}", "10", [("LINEHAUL", amount)], shipment_reference=f"S{name}"),
                ]
            )
    shaped.settle_down()
    shaped.admit(
        [
            result("BIND", "NB", "short_pay", "120.00", {"LINEHAUL": "110.00"}, reason="reweighed"),
            result("BIND", "NC", "reject", "100.00", {"LINEHAUL": "0.00"}, reason="not our freight"),
            result("BIND", "ND", "approve", "120.00", {"LINEHAUL": "120.00"}),
            result("FREE", "NF", "short_pay", "120.00", {"LINEHAUL": "110.00"}),
        ]
    )
    look_again(shaped)
    rows = shaped.rows(
        """select invoice_number, verdict, reason, paid_amount, disputed_amount, rejected_amount
           from decisions.invoice_verdict order by 1"""
    )
    assert [tuple(row.values()) for row in rows] == [
        (
            "NB",
            "audited",
            "paid as audited: SB LINEHAUL: audited by test: reweighed; 110.00 of 120.00 is to be paid",
            *(D(110), D(0), D(10)),
        ),
        (
            "NC",
            "audited",
            "paid as audited: SC LINEHAUL: audited by test: not our freight; 0.00 of 100.00 is to be paid",
            *(D(0), D(0), D(100)),
        ),
        (
            "ND",
            "agreed",
            "paid as agreed: SD LINEHAUL: over by 20.00, only 5.00 allowed by tolerance.default",
            D(120),
            0,
            0,
        ),
        ("NF", "out_of_tolerance", "SF LINEHAUL: over by 20.00, only 5.00 allowed by tolerance.default", 0, D(20), 0),
    ]
    # a later look of the platform replaces the earlier one
    shaped.admit([result("BIND", "NB", "short_pay", "120.00", {"LINEHAUL": "105.00"}, revision=2, reason="again")])
    look_again(shaped)
    (row,) = shaped.rows("select paid_amount from decisions.invoice_verdict where invoice_number = 'NB'")
    assert row["paid_amount"] == D("105.00")
    (owed,) = shaped.rows(
        """select sum(case when credit_account = '2100' then amount else -amount end) as owed from effects.movement
           where '2100' in (debit_account, credit_account)"""
    )
    assert owed["owed"] == D("225.00")
    before = shaped.rows("select count(*) from effects.movement")
    shaped.rebuild()
    look_again(shaped)
    assert shaped.rows("select count(*) from effects.movement") == before
