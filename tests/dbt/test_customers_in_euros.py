"""Customers who are billed and pay in another currency than that of the books. Every amount is worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from receivables import PAYMENTS, bank, dispute, invoice, number_invoices, our_books, verdicts
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, customer, exchange_rate, order, plan, pod

D = Decimal
pytestmark = pytest.mark.timeout(600)


def in_euros(fact: Fact, **columns: Any) -> Fact:
    return replace(fact, columns={**fact.columns, "currency": "EUR", **columns})


WORLD = [
    *[fact for fact in MASTERS if fact.feed != "erp.customer"],
    customer("C1", "embedded", "shipment", "0.00", payment_terms="NET30"),
    in_euros(order("O1", "C1", [(10, "5.00"), (3, "3.33")])),
    plan("P1", "NRDF", [("O1", 1, 10, "5"), ("O1", 2, 3, "5")], {"LINEHAUL": "10.00"}),
    pod("P1", 13, "09T10"),
]
OF_O1 = "erp:O1/tms:P1"


def worth(warehouse: ShapedWarehouse) -> dict[str, tuple[D, D]]:
    """By account what the customers' side gained, in euros and in the books."""
    rows = warehouse.rows(
        """select account, sum(amount) as amount, sum(functional) as functional from (
             select debit_account as account, amount, functional_amount as functional, relation from effects.movement
             union all select credit_account, -amount, -functional_amount, relation from effects.movement) as sides
           where relation not in ('movement__accruals', 'movement__settlement')
           group by 1 having sum(amount) <> 0 or sum(functional) <> 0 order by 1"""
    )
    return {row["account"]: (row["amount"], row["functional"]) for row in rows}


def nothing_more(warehouse: ShapedWarehouse) -> None:
    before = warehouse.rows("select count(*), max(movement_id) from effects.movement")
    warehouse.rebuild()
    warehouse.touch("invoice_on_pod", "shipment", "tms:P1")
    for row in warehouse.rows("select payment_id from decisions.payment_verdict"):
        warehouse.touch(PAYMENTS, "customer_payment", row["payment_id"])
    warehouse.settle_down()
    assert warehouse.rows("select count(*), max(movement_id) from effects.movement") == before


def test_an_invoice_in_euros_waits_for_its_rate_and_is_paid_at_another(shaped: ShapedWarehouse) -> None:
    """50.00 and 9.99 EUR at 1.10 are 55.00 and 10.99 USD. 10.00 are credited at the same rate: 10.00 of 59.99 is 11.00
    of 65.99. Two payments of 20.00 and 29.99 come at 1.20 (24.00) and 1.05 (31.49): they take 20.00/49.99 of the 54.99
    left (22.00) and the rest (32.99), so 2.00 are gained and 1.50 lost."""
    our_books(shaped)
    shaped.admit(WORLD)
    shaped.settle_down()
    assert worth(shaped) == {}
    (hold,) = shaped.rows("select reasons from decisions.billing_hold")
    assert hold["reasons"] == ["exchange_rate_missing"]
    (missing,) = shaped.rows("select * from decisions.exchange_rate_missing where what_waits = 'customer_invoice'")
    assert (missing["currency"], missing["rate_on"].isoformat(), missing["waiting"]) == ("EUR", "2026-03-09", 1)

    shaped.admit([exchange_rate("09", "1.10")])
    shaped.settle_down()
    assert worth(shaped) == {"1200": (D("59.99"), D("65.99")), "4000": (D("-59.99"), D("-65.99"))}
    assert shaped.rows("select 1 from decisions.billing_hold") == []
    # a later word about the same day changes nothing that was billed
    shaped.admit([exchange_rate("09", "1.30", version=2)])
    shaped.settle_down()
    (sent,) = shaped.rows("select payload from effects.outbox where operation = 'customer_invoice'")
    assert sent["payload"]["functional_currency"] == "USD"
    assert [line["functional_amount"] for line in sent["payload"]["lines"]] == ["55.00", "10.99"]

    number_invoices(shaped, {OF_O1: "CI0000001"})
    late = {"value_on": "2026-04-20", "booked_on": "2026-04-20"}
    shaped.admit(
        [
            in_euros(dispute("D1", "CI0000001", "credited", "10.00", credited_amount=D("10.00"))),
            in_euros(bank("B1", "20.00", "03-19", invoice("CI0000001", "20.00"))),
            in_euros(bank("B2", "29.99", "04-20", invoice("CI0000001", "29.99")), **late),
            exchange_rate("19", "1.20"),
        ]
    )
    shaped.settle_down()
    # of the day of the second payment no rate is known
    assert verdicts(shaped)["bank:B2"] == "no_exchange_rate"
    shaped.admit([exchange_rate("04-18", "1.05")])
    shaped.run("sync_master_data")
    shaped.settle_down()
    assert worth(shaped) == {
        "1000": (D("49.99"), D("55.49")),
        "4000": (D("-59.99"), D("-65.99")),
        "4900": (D("10.00"), D("11.00")),
        "7100": (D("0"), D("-2.00")),
        "7150": (D("0"), D("1.50")),
    }
    nothing_more(shaped)


def test_what_comes_back_comes_back_at_its_day_and_reopens_at_the_invoices(shaped: ShapedWarehouse) -> None:
    """Billed at 1.10 (65.99), paid at 1.20 (71.99), sent back at 1.15 (68.99): the receivable stands at 65.99 again;
    6.00 were gained and 3.00 of it are lost."""
    our_books(shaped)
    shaped.admit([*WORLD, exchange_rate("09", "1.10"), exchange_rate("19", "1.20"), exchange_rate("25", "1.15")])
    shaped.settle_down()
    number_invoices(shaped, {OF_O1: "CI0000001"})
    shaped.admit(
        [
            in_euros(bank("B1", "59.99", "03-19", invoice("CI0000001", "59.99"), end_to_end_id="E1")),
            in_euros(bank("B2", "-59.99", "03-25", end_to_end_id="E1", return_reason="AC04")),
        ]
    )
    shaped.settle_down()
    assert worth(shaped) == {
        "1000": (D("0"), D("3.00")),
        "1200": (D("59.99"), D("65.99")),
        "4000": (D("-59.99"), D("-65.99")),
        "7100": (D("0"), D("-6.00")),
        "7150": (D("0"), D("3.00")),
    }
    nothing_more(shaped)
