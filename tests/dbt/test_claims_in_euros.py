"""Bills and claims in another currency than that of our books: what waits for a rate goes on when it is published; what
ends a claim takes it out of the books at the rate at which it went in. The books are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, bill, event, exchange_rate, order, plan

from freightsync.cases import disputes
from freightsync.pipelines import revaluing

D = Decimal
POLICY = """
    insert into rules.settlement_policy (rule_id, rule_version, scac, payable_account, dispute_mode, valid_from,
      recorded_at, recorded_by, note)
    values ('settlement.claim', 1, 'CLMX', '2100', 'pay_and_claim', '2020-01-01', '2020-01-01', 'test', '')
"""
CHARGE = ("tms:S1", "LINEHAUL")


def in_euros(one: Fact, **changes: Any) -> Fact:
    return replace(one, columns={**one.columns, "currency": "EUR", **changes})


def billed(number: str, on: str, amount: str, **more: Any) -> Fact:
    return in_euros(bill("CLMX", number, on, [("LINEHAUL", amount)], shipment_reference="S1", **more))


@pytest.fixture
def claimed(shaped: ShapedWarehouse) -> ShapedWarehouse:
    """EUR 100.00 planned and accrued at 1.10; billed at 120.00 on a day at 1.20, of which 20.00 are claimed back."""
    shaped.conn.execute(POLICY)
    shaped.admit([*MASTERS, order("A", "C2", [(1, "5.00")])])
    shaped.admit([exchange_rate("09", "1.10"), exchange_rate("10", "1.20")])
    shaped.admit([in_euros(plan("S1", "CLMX", [("A", 1, 1, "5")], {"LINEHAUL": "100.00"}))])
    shaped.admit([event("x12_214", "D1", "S1", "09T10", scac="CLMX")])
    shaped.admit([billed("C1", "10", "120.00")])
    shaped.settle_down()
    return shaped


def books(warehouse: ShapedWarehouse) -> dict[str, tuple[Decimal, Decimal]]:
    """Debit less credit by account, in euros and in dollars."""
    rows = warehouse.rows(
        """
        select account, sum(amount) as amount, sum(worth) as worth from (
          select debit_account as account, amount, functional_amount as worth from effects.movement
          union all select credit_account, -amount, -functional_amount from effects.movement) as sides
        group by account having sum(amount) <> 0 or sum(worth) <> 0
        """
    )
    return {row["account"]: (row["amount"], row["worth"]) for row in rows}


def settle(
    warehouse: ShapedWarehouse, number: str, amount: str, day: int, reference: str | None = None, **more: Any
) -> None:
    (row,) = warehouse.rows("select * from decisions.dispute where invoice_number = %s", number)
    at = datetime(2026, 3, day, 12, 0, tzinfo=UTC)
    saying = disputes.Saying(by="anna", channel="cli", at=at, approved_by="finance", reference=reference)
    with psycopg.connect(warehouse.settings.dsn("app"), autocommit=True) as conn:
        disputes.settle_claim(conn, row["carrier_invoice_id"], {CHARGE: D(amount)}, saying, **more)
    warehouse.settle_down()


CLAIMED = {
    # 100.00 at 1.20, of which what was accrued at 1.10 left with it; the loss has its own account
    "6100": (D("100.00"), D("110.00")),
    "7150": (D(0), D("10.00")),
    "1350": (D("20.00"), D("24.00")),
    "2100": (D("-120.00"), D("-144.00")),
}


@pytest.mark.timeout(900)
def test_a_claim_leaves_the_books_at_the_rate_at_which_it_came(claimed: ShapedWarehouse) -> None:
    assert books(claimed) == CLAIMED
    # money at 1.30: 8.00 of the claim stood at 9.60 and bring 10.40
    claimed.admit([exchange_rate("12", "1.30"), exchange_rate("14", "1.05")])
    claimed.settle_down()
    settle(claimed, "C1", "8.00", 12)
    assert books(claimed) == CLAIMED | {
        "1350": (D("12.00"), D("14.40")),
        "1150": (D("8.00"), D("10.40")),
        "7100": (D(0), D("-0.80")),
    }
    # a credit of 7.00 at 1.05 takes 8.40 off the claim and 7.35 off what we owe
    claimed.admit([billed("C1CR", "14", "-7.00", correction="CR")])
    claimed.settle_down()
    after = CLAIMED | {
        "1350": (D("5.00"), D("6.00")),
        "1150": (D("8.00"), D("10.40")),
        "7100": (D(0), D("-0.80")),
        "2100": (D("-113.00"), D("-136.65")),
        "7150": (D(0), D("11.05")),
    }
    assert books(claimed) == after
    # what is given up is given up at what it stood at, whatever the day's rate is
    settle(claimed, "C1", "5.00", 14, write_off=True, reason_code="overcharge")
    del after["1350"]
    assert books(claimed) == after | {"6190": (D("5.00"), D("6.00"))}
    assert claimed.rows("select state from decisions.dispute") == [{"state": "settled"}]


@pytest.mark.timeout(900)
def test_claims_at_several_rates_end_to_the_cent(claimed: ShapedWarehouse) -> None:
    """A second bill claims 9.99 more at 1.2345. Thirds of both, by credits and money, leave nothing behind."""
    claimed.admit([exchange_rate("11", "1.2345"), exchange_rate("13", "1.0001")])
    claimed.admit([billed("C2", "11", "9.99", correction="BD")])
    claimed.settle_down()
    assert books(claimed)["1350"] == (D("29.99"), D("24.00") + D("12.33"))
    # the oldest first: 19.99 of the first claim at 1.20, rounded once
    claimed.admit([billed("C2CR", "13", "-19.99", correction="CR")])
    claimed.settle_down()
    assert books(claimed)["1350"] == (D("10.00"), D("36.33") - D("23.99"))
    settle(claimed, "C2", "3.33", 13, "once")
    settle(claimed, "C2", "3.33", 13, "again")
    assert books(claimed)["1350"][0] == D("3.34")
    claimed.admit([billed("C3CR", "13", "-3.34", correction="CR")])
    claimed.settle_down()
    assert "1350" not in books(claimed)
    totals = books(claimed)
    assert sum(worth for _, worth in totals.values()) == sum(amount for amount, _ in totals.values()) == 0


@pytest.mark.timeout(900)
def test_bills_and_money_wait_for_their_rate_and_go_on_with_it(claimed: ShapedWarehouse) -> None:
    """The last rate is too old for both: seven days are allowed."""
    claimed.admit([billed("C4", "25", "30.00", correction="BD")])
    claimed.settle_down()
    settle(claimed, "C1", "8.00", 26)
    assert books(claimed) == CLAIMED
    missing = (
        "select what_waits, currency, rate_on::text, waiting, amount from decisions.exchange_rate_missing order by 1"
    )
    assert sorted(tuple(row.values()) for row in claimed.rows(missing)) == [
        ("carrier_invoice", "EUR", "2026-03-25", 1, D("30.00")),
        ("claim", "EUR", "2026-03-26", 1, D("8.00")),
    ]
    claimed.admit([exchange_rate("24", "1.25")])
    claimed.settle_down()
    assert claimed.rows(missing) == []
    assert books(claimed) == CLAIMED | {
        "1350": (D("42.00"), D("14.40") + D("37.50")),
        "1150": (D("8.00"), D("10.00")),
        "7100": (D(0), D("-0.40")),
        "2100": (D("-150.00"), D("-144.00") - D("37.50")),
    }


@pytest.mark.timeout(900)
def test_open_claims_are_worth_the_closing_rate_for_one_night(claimed: ShapedWarehouse) -> None:
    """EUR 20.00 claimed at 1.20 and 120.00 owed, at 1.25 at the end of March: we gain 1.00 and lose 6.00."""
    claimed.admit([exchange_rate("31", "1.25")])
    claimed.settle_down()
    done = revaluing.revalue("2026-03", "revalue", claimed.settings, by="finance")
    done.check()
    assert done.differences == (("USD", D("5.00")),)
    found = claimed.rows("select item_kind, item_key, open_amount, difference from decisions.revaluation order by 1")
    assert [tuple(row.values()) for row in found] == [
        ("claim", "S1|LINEHAUL", D("-20.00"), D("-1.00")),
        ("payable", "CLMX|C1", D("120.00"), D("6.00")),
    ]
    assert books(claimed) == CLAIMED
