"""Tax on carriers' bills in the ledger, where the company says that it is booked here. Worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from policies import record_rule
from receivables import bank
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, bill, event, exchange_rate, order, plan

D = Decimal
pytestmark = pytest.mark.timeout(600)


def taxed(fact: Fact, tax: str, currency: str = "USD") -> Fact:
    net = fact.columns["net_amount"]
    more = {"tax_amount": D(tax), "gross_amount": net + D(tax), "currency": currency}
    return replace(fact, columns={**fact.columns, **more})


def balances(warehouse: ShapedWarehouse) -> dict[tuple[str, str], D]:
    """By account and currency, debits above zero, of what bills posted."""
    rows = warehouse.rows(
        """select account, currency, sum(amount) as amount from (
             select debit_account as account, currency, amount, relation from effects.movement
             union all select credit_account, currency, -amount, relation from effects.movement) as sides
           where relation in ('movement__settlement', 'movement__input_tax') and account in ('1450', '2100')
           group by 1, 2 having sum(amount) <> 0"""
    )
    return {(row["account"], row["currency"]): row["amount"] for row in rows}


def freight(number: str, scac: str, currency: str = "USD") -> list[Fact]:
    planned = plan(number, scac, [("A", 1, 1, "10")], {"LINEHAUL": "100.00"})
    return [
        replace(planned, columns={**planned.columns, "currency": currency}),
        event("x12_214", "D1", number, "09T10", scac=scac),
    ]


def test_tax_is_owed_with_what_it_is_on(shaped: ShapedWarehouse) -> None:
    """19 % on 100.00 of NRDF, paid as billed; on 120.00 of BLUW, of which 100.00 are owed: 19.00 of 22.80; on 100.00
    EUR at 1.10. A credit of 10.00 gives 1.90 back. One bill is the same document as its tax; a bill of another carrier
    is as net as ever. A rebill takes the place of the first, tax and all."""
    for scac in ("NRDF", "BLUW", "HNSA"):
        record_rule(shaped, "input_tax_policy", f"tax.{scac}", scac=scac, is_booked=True, tax_account="1450")
    shaped.admit([*MASTERS, order("A", "C2", [(10, "5.00")]), exchange_rate("10", "1.10"), exchange_rate("09", "1.10")])
    shaped.admit(
        [*freight("S1", "NRDF"), *freight("S2", "BLUW"), *freight("S3", "HNSA", "EUR"), *freight("S4", "ELSE")]
    )
    shaped.admit([*freight("S5", "NRDF")])
    shaped.settle_down()
    shaped.admit(
        [
            taxed(bill("NRDF", "N1", "10", [("LINEHAUL", "100.00")], shipment_reference="S1"), "19.00"),
            taxed(bill("BLUW", "B1", "10", [("LINEHAUL", "120.00")], shipment_reference="S2"), "22.80"),
            taxed(bill("HNSA", "H1", "10", [("LINEHAUL", "100.00")], shipment_reference="S3"), "19.00", "EUR"),
            taxed(bill("ELSE", "E1", "10", [("LINEHAUL", "100.00")], shipment_reference="S4"), "19.00"),
            # held: it is neither owed nor taxed
            taxed(bill("NRDF", "N5", "10", [("LINEHAUL", "140.00")], shipment_reference="S5"), "26.60"),
        ]
    )
    shaped.settle_down()
    assert balances(shaped) == {
        ("1450", "USD"): D("38.00"),
        ("1450", "EUR"): D("19.00"),
        ("2100", "USD"): D("-338.00"),
        ("2100", "EUR"): D("-119.00"),
    }
    (euros,) = shaped.rows(
        "select functional_amount from effects.movement where debit_account = '1450' and currency = 'EUR'"
    )
    assert euros["functional_amount"] == D("20.90")
    documents = shaped.rows(
        """select payload -> 'lines' -> 0 ->> 'invoice_number' as number,
             jsonb_array_length(payload -> 'lines') as lines
           from effects.outbox where operation = 'supplier_invoice' order by 1"""
    )
    assert [tuple(row.values()) for row in documents] == [("B1", 2), ("E1", 1), ("H1", 2), ("N1", 2)]

    credit = bill("NRDF", "N1", "12", [("LINEHAUL", "-10.00")], correction="CR", shipment_reference="S1")
    rebill = bill("BLUW", "B1", "12", [("LINEHAUL", "90.00")], correction="RB", shipment_reference="S2")
    shaped.admit([taxed(credit, "-1.90"), taxed(rebill, "17.10")])
    shaped.settle_down()
    assert balances(shaped) == {
        ("1450", "USD"): D("34.20"),
        ("1450", "EUR"): D("19.00"),
        ("2100", "USD"): D("-314.20"),
        ("2100", "EUR"): D("-119.00"),
    }
    before = shaped.rows("select count(*), max(movement_id) from effects.movement")
    shaped.rebuild()
    for row in shaped.rows("select carrier_invoice_id from decisions.invoice_verdict"):
        shaped.touch("settle_freight", "carrier_invoice", row["carrier_invoice_id"])
    shaped.settle_down()
    assert shaped.rows("select count(*), max(movement_id) from effects.movement") == before


def test_by_itself_no_tax_is_booked(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, order("A", "C2", [(10, "5.00")]), *freight("S1", "NRDF")])
    shaped.settle_down()
    shaped.admit([taxed(bill("NRDF", "N1", "10", [("LINEHAUL", "100.00")], shipment_reference="S1"), "19.00")])
    shaped.settle_down()
    assert balances(shaped) == {("2100", "USD"): D("-100.00")}


def test_a_bill_with_tax_is_paid_when_its_tax_is(shaped: ShapedWarehouse) -> None:
    """19 % on 100.00 EUR. HNSA's tax is booked here: 119.00 pay its bill, 100.00 leave 19.00 of the next. ELSE's is the
    ERP's: with or without it the bill is paid."""
    record_rule(shaped, "input_tax_policy", "tax.HNSA", scac="HNSA", is_booked=True, tax_account="1450")
    shaped.admit([*MASTERS, order("A", "C2", [(10, "5.00")]), exchange_rate("10", "1.10"), exchange_rate("09", "1.10")])
    bills = {"H1": "HNSA", "H2": "HNSA", "E1": "ELSE", "E2": "ELSE"}
    for number, scac in bills.items():
        shaped.admit(freight(f"S{number}", scac, "EUR"))
    shaped.settle_down()
    for number, scac in bills.items():
        billed = bill(scac, number, "10", [("LINEHAUL", "100.00")], shipment_reference=f"S{number}")
        shaped.admit([taxed(billed, "19.00", "EUR")])
    for number, amount in {"H1": "-119.00", "H2": "-100.00", "E1": "-119.00", "E2": "-100.00"}.items():
        shaped.admit([bank(number, amount, "03-20", {"number": number}, is_reversal=False, currency="EUR")])
    shaped.settle_down()
    found = shaped.rows(
        """select invoice_number, billed_amount, approved_amount, paid_amount, open_amount, status
           from decisions.payable_status order by 1"""
    )
    assert [tuple(row.values()) for row in found] == [
        ("E1", D("100.00"), D("100.00"), D("119.00"), D("0.00"), "paid"),
        ("E2", D("100.00"), D("100.00"), D("100.00"), D("0.00"), "paid"),
        ("H1", D("119.00"), D("119.00"), D("119.00"), D("0.00"), "paid"),
        ("H2", D("119.00"), D("119.00"), D("100.00"), D("19.00"), "part_paid"),
    ]
