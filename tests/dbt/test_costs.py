"""Where freight cost goes: expense, cost of goods sold, landed cost. Every amount here is worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from policies import record_rule
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, bill, event, order, plan, pod

from freightsync import rules

D = Decimal
pytestmark = pytest.mark.timeout(900)


def settle(warehouse: ShapedWarehouse, *facts: Fact) -> None:
    warehouse.admit(facts)
    warehouse.settle_down()


def delivered(number: str, at: str = "09T10") -> Fact:
    return event("x12_214", "D1", number, at, scac="NRDF")


def balances(warehouse: ShapedWarehouse) -> dict[str, Decimal]:
    """By account, debits above zero."""
    rows = warehouse.rows(
        """select account, sum(amount) as amount from (
             select debit_account as account, amount, relation from effects.movement
             union all select credit_account, -amount, relation from effects.movement) as sides
           where relation in ('movement__accruals', 'movement__settlement')
           group by 1 having sum(amount) <> 0"""
    )
    return {row["account"]: row["amount"] for row in rows}


def by_line(warehouse: ShapedWarehouse, account: str) -> dict[str, Decimal]:
    """By order line what stands on an account, debits above zero."""
    rows = warehouse.rows(
        """select coalesce((attributes ->> 'order_number') || '/' || (attributes ->> 'order_line'), '') as line,
             sum(case when debit_account = %s then amount else -amount end) as amount
           from effects.movement where %s in (debit_account, credit_account) group by 1""",
        account,
        account,
    )
    return {row["line"]: row["amount"] for row in rows if row["amount"]}


def nothing_more(warehouse: ShapedWarehouse) -> None:
    """Rebuilding everything posts nothing."""
    before = warehouse.rows("select count(*), max(movement_id) from effects.movement")
    warehouse.rebuild()
    for shipment in warehouse.rows("select shipment_id from canonical.shipment"):
        warehouse.touch("post_accruals", "shipment", shipment["shipment_id"])
        warehouse.touch("settle_freight", "shipment", shipment["shipment_id"])
    warehouse.settle_down()
    assert warehouse.rows("select count(*), max(movement_id) from effects.movement") == before


def inbound(number: str, parts: list[tuple[str, int, int, str]], charges: dict[str, str], **more: Any) -> Fact:
    return plan(number, "NRDF", parts, charges, direction="inbound", **more)


LANDED = {"direction": "inbound", "treatment": "landed_cost", "cost_account": "1400", "sold_account": "5100"}


def test_cost_goes_where_its_policy_says(shaped: ShapedWarehouse) -> None:
    """Outbound linehaul is cost of goods sold, its fuel an expense as ever; inbound freight is landed cost, line by
    line, but for detention, which is nobody's goods. What the policy says later is for what sets off later."""
    record_rule(
        shaped,
        "cost_policy",
        "cogs",
        charge_code="LINEHAUL",
        direction="outbound",
        treatment="cogs",
        cost_account="5100",
    )
    record_rule(shaped, "cost_policy", "landed", **LANDED)
    record_rule(
        shaped,
        "cost_policy",
        "waiting",
        charge_code="DETENTION",
        direction="inbound",
        treatment="expense",
        cost_account="6139",
    )
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        plan("S", "NRDF", [("A", 1, 5, "10")], {"LINEHAUL": "100.00", "FUEL": "20.00"}),
        # three lines of one weight: 33.34, 33.33, 33.33 of the linehaul
        inbound(
            "I",
            [("P1", 1, 1, "10"), ("P1", 2, 1, "10"), ("P2", 1, 1, "10")],
            {"LINEHAUL": "100.00", "DETENTION": "9.00"},
        ),
        delivered("S"),
        delivered("I"),
    )
    assert balances(shaped) == {
        "2150": D("-229.00"),
        "5100": D("100.00"),
        "6110": D("20.00"),
        "1400": D("100.00"),
        "6139": D("9.00"),
    }
    assert by_line(shaped, "1400") == {"P1/1": D("33.34"), "P1/2": D("33.33"), "P2/1": D("33.33")}
    # a part of it: 50.00 is 16.68, 16.66, 16.66, taken back and owed to the carrier
    settle(
        shaped,
        bill("NRDF", "N1", "10", [("LINEHAUL", "103.00"), ("FUEL", "20.00")], shipment_reference="S"),
        bill("NRDF", "N2", "11", [("LINEHAUL", "50.00")], shipment_reference="I"),
    )
    assert by_line(shaped, "2150") == {
        "": D("-9.00"),
        "P1/1": D("-16.66"),
        "P1/2": D("-16.67"),
        "P2/1": D("-16.67"),
    }
    assert balances(shaped) == {
        "2150": D("-59.00"),
        "2100": D("-173.00"),
        "5100": D("103.00"),
        "6110": D("20.00"),
        "1400": D("100.00"),
        "6139": D("9.00"),
    }
    # a detention that was planned, and a rest of 53.00, in tolerance: 17.68, 17.66, 17.66
    record_rule(
        shaped,
        "cost_policy",
        "cogs",
        2,
        charge_code="LINEHAUL",
        direction="outbound",
        treatment="expense",
        recorded_at="now",
    )
    settle(
        shaped,
        bill(
            "NRDF", "N2", "12", [("LINEHAUL", "53.00"), ("DETENTION", "9.00")], shipment_reference="I", correction="BD"
        ),
    )
    assert balances(shaped) == {
        "2100": D("-235.00"),
        "5100": D("103.00"),
        "6110": D("20.00"),
        "1400": D("103.00"),
        "6139": D("9.00"),
    }
    assert by_line(shaped, "1400") == {"P1/1": D("34.36"), "P1/2": D("34.32"), "P2/1": D("34.32")}
    assert by_line(shaped, "2150") == {}
    nothing_more(shaped)


def bought(number: str, lines: list[tuple[int, str]], version: int = 1, unit: str = "US") -> Fact:
    columns = {
        "order_number": number,
        "version": version,
        "changed_at": f"2026-03-0{version}T00:00:00Z",
        "status": "open",
        "billing_entity": unit,
        "currency": "USD",
        "lines": [
            {"line": n, "item_id": "I1", "quantity": quantity, "unit_price": price}
            for n, (quantity, price) in enumerate(lines, 1)
        ],
    }
    touches = [("sync_master_data", "master", f"erp.purchase_order:{number}")]
    return Fact("erp.purchase_order", "purchase_order", columns, touches)


def stock(order_number: str, line: int, on_hand: str, sold: str, version: int = 1, received: str = "100") -> Fact:
    columns = {
        "stock_id": f"{order_number}/{line}",
        "version": version,
        "changed_at": f"2026-03-0{version}T00:00:00Z",
        "order_number": order_number,
        "order_line": line,
        "received_quantity": D(received),
        "on_hand_quantity": D(on_hand),
        "sold_quantity": D(sold),
    }
    touches = [("sync_master_data", "master", f"erp.stock_position:{order_number}/{line}")]
    return Fact("erp.stock_position", "stock_position", columns, touches)


def test_late_freight_on_goods_partly_sold_is_split(shaped: ShapedWarehouse) -> None:
    """100.00 accrued on lines of 30 and 10 pounds: 75.00, 25.00. Billed at 102.00 when 40 of the first line's 100 were
    sold: 76.50 is 45.90 in stock and 30.60 in the cost of goods sold; of the second line nothing is known, so none is
    sold. More is sold then: nothing changes. A credit of 10.00 has the quantities of its own day (10, 90): 6.75 of 7.50
    come off the cost of goods sold; it reopens 8.00 of the accrual. Rebilled at 102.00 on that day, the first bill goes
    back as it was posted and 68.85 of the new one are cost of goods sold."""
    record_rule(shaped, "cost_policy", "landed", **LANDED, business_unit="US")
    record_rule(shaped, "cost_policy", "elsewhere", direction="inbound", business_unit="EU", treatment="expense")
    settle(
        shaped,
        *MASTERS,
        # a sales order has the same number
        order("P1", "C1", [(10, "5.00")]),
        bought("P1", [(100, "2.00"), (100, "1.00")]),
        inbound("I", [("P1", 1, 100, "30"), ("P1", 2, 100, "10")], {"LINEHAUL": "100.00"}),
        delivered("I"),
        pod("I", 200, "09T12"),
        stock("P1", 1, "100", "0"),
    )
    assert by_line(shaped, "1400") == {"P1/1": D("75.00"), "P1/2": D("25.00")}
    (unit,) = shaped.rows("select business_unit, reason from decisions.shipment_unit")
    assert unit["business_unit"] == "US"
    settle(shaped, stock("P1", 1, "60", "40", version=2))
    # found by the number of the purchase order alone
    settle(shaped, bill("NRDF", "N1", "10", [("LINEHAUL", "102.00")], po_number="P1"))
    assert balances(shaped) == {"1400": D("71.40"), "5100": D("30.60"), "2100": D("-102.00")}
    assert by_line(shaped, "1400") == {"P1/1": D("45.90"), "P1/2": D("25.50")}
    assert by_line(shaped, "5100") == {"P1/1": D("30.60")}
    settle(shaped, stock("P1", 1, "10", "90", version=3))
    nothing_more(shaped)
    settle(shaped, bill("NRDF", "N1", "12", [("LINEHAUL", "-10.00")], correction="CR", shipment_reference="I"))
    assert balances(shaped) == {"1400": D("76.15"), "5100": D("23.85"), "2100": D("-92.00"), "2150": D("-8.00")}
    settle(shaped, bill("NRDF", "N1", "13", [("LINEHAUL", "102.00")], correction="RB", shipment_reference="I"))
    # 68.85 of 76.50, less the credit's 6.75
    assert balances(shaped) == {"1400": D("37.90"), "5100": D("62.10"), "2100": D("-92.00"), "2150": D("-8.00")}
    nothing_more(shaped)
    # goods that we buy are billed to nobody, and no sales order goes with them
    assert shaped.rows("select * from decisions.billing_hold") == []
    assert shaped.rows("select * from decisions.order_status") == []


def test_goods_that_are_lost_bear_no_freight(shaped: ShapedWarehouse) -> None:
    """40.00 on lines of 30 and 10 pounds: of the second one nothing is there and nothing was sold, so its 10.00 are
    cost of goods sold; a credit of 4.00 gives 1.00 of that back."""
    record_rule(shaped, "cost_policy", "landed", **LANDED)
    settle(
        shaped,
        *MASTERS,
        bought("P1", [(100, "2.00"), (100, "1.00")]),
        inbound("I", [("P1", 1, 100, "30"), ("P1", 2, 100, "10")], {"LINEHAUL": "40.00"}),
        delivered("I"),
        stock("P1", 1, "100", "0"),
        stock("P1", 2, "0", "0"),
    )
    settle(shaped, bill("NRDF", "N1", "10", [("LINEHAUL", "40.00")], shipment_reference="I"))
    assert balances(shaped) == {"1400": D("30.00"), "5100": D("10.00"), "2100": D("-40.00")}
    settle(shaped, bill("NRDF", "N1", "12", [("LINEHAUL", "-4.00")], correction="CR", shipment_reference="I"))
    # what the credit gives back of the accrual stands on stock
    assert balances(shaped) == {"1400": D("31.00"), "5100": D("9.00"), "2100": D("-36.00"), "2150": D("-4.00")}


def test_outbound_freight_is_never_inventoried(shaped: ShapedWarehouse, tmp_path: Path) -> None:
    """Refused by name in a company's file, and by the warehouse whoever writes."""
    head = (
        "rule_id,rule_version,direction,treatment,cost_account,sold_account,valid_from,recorded_at,recorded_by,note\n"
    )
    row = "bad,3,{},landed_cost,1400,5100,2020-01-01,2020-01-01T00:00:00Z,finance,wrong\n"
    owner = shaped.settings.dsn("owner")
    for direction in ("outbound", "*"):
        (tmp_path / "cost_policy.csv").write_text(head + row.format(direction))
        with pytest.raises(
            rules.RuleRefused, match="bad version 3 makes freight landed cost that is not inbound"
        ) as told:
            rules.load(owner, tmp_path)
        assert told.value.document == "cost_policy.csv"
        assert told.value.what_to_do == "write direction inbound, or treatment cogs or expense"
        with pytest.raises(psycopg.errors.CheckViolation, match="outbound_freight_is_never_inventoried"):
            record_rule(shaped, "cost_policy", "bad", **LANDED | {"direction": direction})
    (tmp_path / "cost_policy.csv").write_text(head + row.format("inbound"))
    assert rules.load(owner, tmp_path) == 1
