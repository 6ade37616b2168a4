"""Accruals from policy to ledger: when they are made, at which rate, what changes them and what doesn't; and what open
items in foreign currency are worth at a period's end. Every amount here is worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from policies import accrual_policy as policy
from shaped import AS_OF, Fact, ShapedWarehouse
from small_world import MASTERS, bill, charge, customer, event, exchange_rate, order, plan, pod, tender

from freightsync.domain.errors import PeriodClosed, PermanentError
from freightsync.effects import periods
from freightsync.pipelines import revaluing

D = Decimal
pytestmark = pytest.mark.timeout(900)


def dispatched(number: str, at: str) -> Fact:
    return event("tms", "dispatched", number, at)


def delivered(number: str, at: str) -> Fact:
    return event("x12_214", "D1", number, at, scac="NRDF")


def freight(number: str, charges: Mapping[str, str], *, version: int = 1, currency: str = "USD", **more: Any) -> Fact:
    return plan(number, "NRDF", [("A", 1, 5, "10")], dict(charges), version=version, currency=currency, **more)


def settle(warehouse: ShapedWarehouse, *facts: Fact) -> None:
    warehouse.admit(facts)
    warehouse.settle_down()


def ledger(warehouse: ShapedWarehouse, account: str = "2150") -> dict[str, tuple[Decimal, Decimal]]:
    """By shipment and charge what stands on an account, credits above zero: in its own currency and in the books'."""
    rows = warehouse.rows(
        """select attributes ->> 'shipment_id' || ' ' || (attributes ->> 'charge_code') as item,
             sum(case when credit_account = %s then amount else -amount end) as amount,
             sum(case when credit_account = %s then functional_amount else -functional_amount end) as functional
           from effects.movement where %s in (debit_account, credit_account)
           group by 1 having sum(amount) <> 0 or sum(functional_amount) <> 0""",
        *[account] * 3,
    )
    return {row["item"]: (row["amount"], row["functional"]) for row in rows if row["amount"] or row["functional"]}


def entries(warehouse: ShapedWarehouse) -> list[tuple[Any, ...]]:
    """Every transfer made by accruals, in order."""
    rows = warehouse.rows(
        """select split_part(effect_key, '|', 3) as charge, debit_account, credit_account, amount, functional_amount,
             reverses from effects.movement where relation = 'movement__accruals' order by movement_id"""
    )
    return [tuple(row.values()) for row in rows]


def decided(warehouse: ShapedWarehouse) -> dict[str, tuple[str, str]]:
    rows = warehouse.rows(
        "select substr(shipment_id, 5) || ' ' || charge_code as item, status, reason from decisions.accrual"
    )
    return {row["item"]: (row["status"], row["reason"]) for row in rows}


def nothing_more(warehouse: ShapedWarehouse, *shipments: str) -> None:
    """Looking again and rebuilding everything post nothing."""
    before = warehouse.rows("select count(*), max(movement_id) from effects.movement")
    rows = "select to_jsonb(t) - 'changed_in_run' as row from decisions.{} t order by 1"
    kept = {name: warehouse.rows(rows.format(name)) for name in ("accrual", "freight_allocation", "shipment_unit")}
    for shipment in shipments:
        warehouse.touch("post_accruals", "shipment", f"tms:{shipment}")
    warehouse.rebuild()
    warehouse.settle_down()
    assert warehouse.rows("select count(*), max(movement_id) from effects.movement") == before
    assert {name: warehouse.rows(rows.format(name)) for name in kept} == kept


def test_linehaul_at_dispatch_accessorials_at_delivery_and_back_when_called_off(shaped: ShapedWarehouse) -> None:
    policy(shaped, "linehaul", charge_code="LINEHAUL", from_milestone="dispatched")
    policy(shaped, "small", charge_code="DETENTION", minimum_amount=D("25.00"))
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        freight("S", {"LINEHAUL": "100.00", "FUEL": "20.00", "DETENTION": "24.99"}),
        freight("X", {"LINEHAUL": "70.00", "FUEL": "7.00"}),
        tender("S", "tender_sent", "05T10"),
    )
    assert ledger(shaped) == {}
    settle(shaped, dispatched("S", "06T10"), dispatched("X", "06T10"))
    assert ledger(shaped) == {"S LINEHAUL": (D("100.00"), D("100.00")), "X LINEHAUL": (D("70.00"), D("70.00"))}
    causes = shaped.rows("select distinct cause from effects.movement order by 1")
    assert [row["cause"] for row in causes] == ["dispatch|tms:S", "dispatch|tms:X"]
    # a new plan after the accrual: the difference, up and down; what is no longer planned comes back
    settle(shaped, freight("S", {"LINEHAUL": "120.00", "FUEL": "20.00", "DETENTION": "24.99"}, version=2))
    settle(shaped, delivered("S", "09T10"))
    settle(shaped, freight("S", {"LINEHAUL": "110.00", "DETENTION": "24.99"}, version=3))
    # called off before anything was picked up
    settle(shaped, event("tms", "shipment_cancelled", "X", "07T10"))
    assert ledger(shaped) == {"S LINEHAUL": (D("110.00"), D("110.00"))}
    assert entries(shaped) == [
        ("LINEHAUL", "6100", "2150", D("100.00"), D("100.00"), False),
        ("LINEHAUL", "6100", "2150", D("70.00"), D("70.00"), False),
        ("LINEHAUL", "6100", "2150", D("20.00"), D("20.00"), False),
        ("FUEL", "6110", "2150", D("20.00"), D("20.00"), False),
        ("FUEL", "2150", "6110", D("20.00"), D("20.00"), True),
        ("LINEHAUL", "2150", "6100", D("10.00"), D("10.00"), True),
        ("LINEHAUL", "2150", "6100", D("70.00"), D("70.00"), True),
    ]
    found = decided(shaped)
    assert found["S DETENTION"] == (
        "below_minimum",
        "not posted: 24.99 USD is below the minimum of 25.00",
    )
    assert found["S LINEHAUL"][1] == "dispatched: planned LINEHAUL of plan version 3 is owed until the carrier bills it"
    nothing_more(shaped, "S", "X")


@pytest.mark.long
def test_a_later_policy_is_for_what_sets_off_later(shaped: ShapedWarehouse) -> None:
    """Known too late for a shipment on its way, though valid for its day: it would rewrite what was decided."""
    settle(shaped, *MASTERS, order("A", "C1", [(10, "5.00")]), freight("S", {"LINEHAUL": "100.00"}))
    settle(shaped, dispatched("S", "06T10"))
    policy(
        shaped,
        "accrual.default",
        2,
        from_milestone="dispatched",
        basis="percent_of_planned",
        percent=D("50"),
        accrued_account="2155",
        recorded_at="now",
    )
    settle(shaped, freight("L", {"LINEHAUL": "100.00"}), dispatched("L", "06T10"), delivered("S", "09T10"))
    assert ledger(shaped) == {"S LINEHAUL": (D("100.00"), D("100.00"))}
    assert ledger(shaped, "2155") == {"L LINEHAUL": (D("50.00"), D("50.00"))}
    versions = shaped.rows("select shipment_id, rule_version from decisions.accrual order by 1")
    assert [tuple(row.values()) for row in versions] == [("tms:L", "2"), ("tms:S", "1")]
    nothing_more(shaped, "S", "L")


@pytest.mark.long
def test_a_charge_waits_for_its_account_and_for_its_rate(shaped: ShapedWarehouse) -> None:
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        freight("S", {"LINEHAUL": "100.00", "LAYOVER": "30.00"}, currency="EUR"),
        freight("U", {"LAYOVER": "30.00"}),
        delivered("S", "10T10"),
        delivered("U", "10T10"),
        exchange_rate("02", "1.30"),  # eight days before: too old
        exchange_rate("11", "1.40"),  # the day after
        exchange_rate("10", "1.50", source="ECB"),
        exchange_rate("10", "1.60", currency="CAD"),
    )
    assert ledger(shaped) == {}
    found = decided(shaped)
    assert found["S LINEHAUL"] == (
        "no_exchange_rate",
        "waits: no rate from EUR to USD by corporate for 2026-03-10 or the 7 days before: publish it in the ERP",
    )
    assert found["S LAYOVER"][0] == found["U LAYOVER"][0] == "no_account"
    settle(shaped, exchange_rate("03", "1.10"))  # seven days before
    assert ledger(shaped) == {"S LINEHAUL": (D("100.00"), D("110.00"))}
    settle(shaped, charge("9", "LAY", "LAYOVER", "6170"))
    expected = {
        "S LINEHAUL": (D("100.00"), D("110.00")),
        "S LAYOVER": (D("30.00"), D("33.00")),
        "U LAYOVER": (D("30.00"), D("30.00")),
    }
    assert ledger(shaped) == expected
    settle(shaped, exchange_rate("10", "1.20"), exchange_rate("03", "1.15", version=2))
    assert ledger(shaped) == expected
    nothing_more(shaped, "S", "U")


def test_a_published_rate_never_rewrites_and_changes_go_at_the_original_one(shaped: ShapedWarehouse) -> None:
    """EUR 100.00 at 1.10, changed to 120.00 and called off at other rates: everything at 1.10, exact at the end."""
    policy(shaped, "early", from_milestone="dispatched", scac="NRDF")
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        exchange_rate("06", "1.10"),
        freight("H", {"LINEHAUL": "10.00"}),
    )
    settle(shaped, dispatched("H", "06T10"))  # stands throughout
    stands = {"H LINEHAUL": (D("10.00"), D("10.00"))}
    settle(shaped, freight("S", {"LINEHAUL": "100.00", "FUEL": "33.33"}, currency="EUR"), dispatched("S", "06T10"))
    # 33.33 * 1.10 = 36.663
    assert ledger(shaped) == stands | {"S LINEHAUL": (D("100.00"), D("110.00")), "S FUEL": (D("33.33"), D("36.66"))}
    settle(shaped, exchange_rate("06", "1.25", version=2), exchange_rate("07", "1.15"))
    shaped.rebuild()
    settle(shaped, freight("S", {"LINEHAUL": "120.00", "FUEL": "33.33"}, currency="EUR", version=2))
    assert ledger(shaped) == stands | {"S LINEHAUL": (D("120.00"), D("132.00")), "S FUEL": (D("33.33"), D("36.66"))}
    assert [line[3:] for line in entries(shaped)] == [
        (D("10.00"), D("10.00"), False),
        (D("33.33"), D("36.66"), False),
        (D("100.00"), D("110.00"), False),
        (D("20.00"), D("22.00"), False),
    ]
    nothing_more(shaped, "S")
    settle(shaped, event("tms", "shipment_cancelled", "S", "07T10"))
    assert ledger(shaped) == stands
    sums = shaped.rows(
        "select sum(amount) as amount, sum(functional_amount) as functional from effects.movement_by_key"
        " where relation = 'movement__accruals' and aggregate_id = 'tms:S'"
    )
    assert sums == [{"amount": D("0.00"), "functional": D("0.00")}]


@pytest.mark.long
def test_books_in_the_currency_of_the_business_unit(shaped: ShapedWarehouse) -> None:
    """A mixed shipment's freight is in the books of the unit with most weight; each unit's part is in the shares."""
    shaped.conn.execute(
        """insert into rules.currency_policy (rule_id, rule_version, business_unit, functional_currency, rate_source,
             rate_max_age_days, gain_account, loss_account, unrealised_gain_account, unrealised_loss_account,
             revaluation_account, valid_from, recorded_at, recorded_by, note)
           values ('eu', 1, 'EU', 'EUR', 'corporate', 7, '7100', '7150', '7200', '7250', '2159', '2020-01-01',
             '2020-01-01', 'finance', 'EU books')"""
    )
    policy(shaped, "eu", business_unit="EU", accrued_account="2151")
    parts = [("A", 1, 1, "40"), ("B", 1, 1, "35"), ("B", 2, 1, "25")]
    settle(
        shaped,
        *MASTERS,
        customer("CE", "embedded", "shipment", "0.00", billing_entity="EU"),
        customer("CU", "embedded", "shipment", "0.00", billing_entity="US"),
        order("A", "CU", [(10, "5.00")]),
        order("B", "CE", [(10, "5.00"), (1, "1.00")]),
        exchange_rate("09", "0.90", currency="USD", to_currency="EUR"),
        plan("S", "NRDF", parts, {"LINEHAUL": "100.01"}),
        delivered("S", "09T10"),
    )
    (unit,) = shaped.rows("select business_unit, unit_count, functional_currency, reason from decisions.shipment_unit")
    assert unit == {
        "business_unit": "EU",
        "unit_count": 2,
        "functional_currency": "EUR",
        "reason": "most of its weight, of 2 billing entities",
    }
    # 100.01 * 0.90 = 90.009
    assert ledger(shaped, "2151") == {"S LINEHAUL": (D("100.01"), D("90.01"))}
    shares = shaped.rows(
        """select order_id, order_line, business_unit, accrued_share, functional_share from decisions.freight_allocation
           order by 1, 2"""
    )
    # 40.004, 35.0035 and 25.0025: the cent left over goes to the largest
    assert [tuple(row.values()) for row in shares] == [
        ("erp:A", 1, "US", D("40.01"), D("36.01")),
        ("erp:B", 1, "EU", D("35.00"), D("31.50")),
        ("erp:B", 2, "EU", D("25.00"), D("22.50")),
    ]
    # the order moves to the other unit: its books bear the freight, in their currency, and the first's give it back
    settle(shaped, order("B", "CU", [(10, "5.00"), (1, "1.00")], version=2))
    assert ledger(shaped, "2151") == {}
    assert ledger(shaped) == {"S LINEHAUL": (D("100.01"), D("100.01"))}
    nothing_more(shaped, "S")


def test_worked_example_of_the_trade_in_one_currency(shaped: ShapedWarehouse) -> None:
    """Planned 100.00. Billed 60.00, then 44.00: expense ends at 104.00, nothing stays accrued. A credit of 10.00
    reopens 6.00 of it."""
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        freight("S", {"DETENTION": "100.00"}),
        delivered("S", "09T10"),
        bill("NRDF", "N1", "10", [("DETENTION", "60.00")], shipment_reference="S"),
    )
    assert ledger(shaped) == {"S DETENTION": (D("40.00"), D("40.00"))}
    settle(shaped, bill("NRDF", "N1", "11", [("DETENTION", "44.00")], shipment_reference="S", correction="BD"))
    assert ledger(shaped) == {}
    assert ledger(shaped, "6130") == {"S DETENTION": (D("-104.00"), D("-104.00"))}
    settle(shaped, bill("NRDF", "N1", "12", [("DETENTION", "-10.00")], shipment_reference="S", correction="CR"))
    assert ledger(shaped) == {"S DETENTION": (D("6.00"), D("6.00"))}
    assert ledger(shaped, "2100") == {"S DETENTION": (D("94.00"), D("94.00"))}
    nothing_more(shaped, "S")


# ------------------------------------------------------------------------------------------------------ periods


def by_period(warehouse: ShapedWarehouse, account: str = "2150") -> dict[str, Decimal]:
    rows = warehouse.rows(
        """select period, sum(case when credit_account = %s then functional_amount else -functional_amount end) as owed
           from effects.movement where %s in (debit_account, credit_account) group by 1""",
        account,
        account,
    )
    return {row["period"]: row["owed"] for row in rows if row["owed"]}


def close(warehouse: ShapedWarehouse, period: str, status: Any = "closed") -> None:
    with psycopg.connect(warehouse.settings.dsn("app")) as conn:
        periods.change_period(conn, period, status, by="finance")


@pytest.mark.long
def test_what_comes_late_for_a_closed_period_stands_in_the_next_open_one(shaped: ShapedWarehouse) -> None:
    """A late accrual, a change of one in the closed period, and one that is taken back: none touches March."""
    policy(shaped, "early", from_milestone="dispatched", scac="NRDF")
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        exchange_rate("06", "1.10"),
        freight("S", {"LINEHAUL": "100.00"}),
        freight("X", {"LINEHAUL": "70.00"}, currency="EUR"),
        freight("L", {"LINEHAUL": "5.00"}),
        dispatched("S", "06T10"),
        dispatched("X", "06T10"),
    )
    assert by_period(shaped) == {"2026-03": D("177.00")}
    close(shaped, "2026-03")
    close(shaped, "2026-04")
    settle(shaped, freight("S", {"LINEHAUL": "90.00"}, version=2), dispatched("L", "06T10"))
    settle(shaped, event("tms", "shipment_cancelled", "X", "07T10"), exchange_rate("06", "1.90", version=2))
    # of May: 5.00 late, 10.00 less, and EUR 70.00 at the rate of 6 March
    assert by_period(shaped) == {"2026-03": D("177.00"), "2026-05": D("-82.00")}
    late = shaped.rows("select distinct posted_on::text from effects.movement where period = '2026-05'")
    assert late == [{"posted_on": "2026-05-01"}]
    assert ledger(shaped) == {"S LINEHAUL": (D("90.00"), D("90.00")), "L LINEHAUL": (D("5.00"), D("5.00"))}
    nothing_more(shaped, "S", "X", "L")


# ------------------------------------------------------------------------------------------------------ revaluation


def revalue(warehouse: ShapedWarehouse, period: str, number: int) -> revaluing.Revalued:
    return revaluing.revalue(period, f"revalue {number}", warehouse.settings, by="finance")


def revaluations(warehouse: ShapedWarehouse) -> list[tuple[Any, ...]]:
    rows = warehouse.rows(
        """select posted_on::text, debit_account, credit_account, amount, functional_amount from effects.movement
           where relation = 'movement__revaluation' order by movement_id"""
    )
    return [tuple(row.values()) for row in rows]


def test_open_items_are_worth_the_closing_rate_for_one_night(shaped: ShapedWarehouse) -> None:
    """EUR 100.00 at 1.10, worth 115.00 at the end of March: a loss of 5.00, taken back on the first of April."""
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        exchange_rate("09", "1.10"),
        freight("S", {"LINEHAUL": "100.00", "FUEL": "-20.00"}, currency="EUR"),
        freight("H", {"LINEHAUL": "80.00"}),
        delivered("S", "09T10"),
        delivered("H", "09T10"),
    )
    waiting = revalue(shaped, "2026-03", 1)
    assert (waiting.items, waiting.effects, len(waiting.waiting)) == (2, 0, 2)
    assert "no rate from EUR to USD by corporate for 2026-03-31" in waiting.waiting[0].reason
    with pytest.raises(PermanentError, match=r"2 open items of 2026-03 could not be valued, first accrual S\|FUEL"):
        waiting.check()
    settle(shaped, exchange_rate("30", "1.15"))
    done = revalue(shaped, "2026-03", 2)
    done.check()
    assert (done.differences, done.effects) == ((("USD", D("4.00")),), 4)
    both_days = [
        ("2026-03-31", "2159", "7200", D("0.00"), D("1.00")),
        ("2026-03-31", "7250", "2159", D("0.00"), D("5.00")),
        ("2026-04-01", "7200", "2159", D("0.00"), D("1.00")),
        ("2026-04-01", "2159", "7250", D("0.00"), D("5.00")),
    ]
    assert revaluations(shaped) == both_days
    assert revalue(shaped, "2026-03", 3).effects == 0
    # the accruals themselves stand as they were, and are not looked at
    assert ledger(shaped) == {
        "S LINEHAUL": (D("100.00"), D("110.00")),
        "S FUEL": (D("-20.00"), D("-22.00")),
        "H LINEHAUL": (D("80.00"), D("80.00")),
    }
    # a late fact of the open period, and a corrected closing rate: the difference, in both directions
    settle(shaped, freight("S", {"LINEHAUL": "200.00"}, currency="EUR", version=2), exchange_rate("31", "1.16"))
    again = revalue(shaped, "2026-03", 4)
    assert again.differences == (("USD", D("12.00")),)
    assert revaluations(shaped)[4:] == [
        ("2026-03-31", "7200", "2159", D("0.00"), D("1.00")),
        ("2026-03-31", "7250", "2159", D("0.00"), D("7.00")),
        ("2026-04-01", "2159", "7200", D("0.00"), D("1.00")),
        ("2026-04-01", "2159", "7250", D("0.00"), D("7.00")),
    ]
    assert by_period(shaped, "2159") == {"2026-03": D("12.00"), "2026-04": D("-12.00")}
    # April has its own closing rate, and starts from the books, not from March's valuation
    settle(shaped, exchange_rate("04-30", "1.20"))
    assert revalue(shaped, "2026-04", 5).differences == (("USD", D("20.00")),)
    assert by_period(shaped, "2159") == {"2026-03": D("12.00"), "2026-04": D("8.00"), "2026-05": D("-20.00")}
    close(shaped, "2026-03")
    with pytest.raises(PeriodClosed, match="2026-03 is closed"):
        revalue(shaped, "2026-03", 6)
    requests = shaped.rows("select count(*) from effects.revaluation where period = '2026-03'")
    assert requests == [{"count": 4}]
    with pytest.raises(PermanentError, match="no period"):
        revalue(shaped, "2026-13", 7)


@pytest.mark.long
def test_a_revaluation_is_a_journal_of_its_own_a_day(shaped: ShapedWarehouse) -> None:
    settle(
        shaped,
        *MASTERS,
        order("A", "C1", [(10, "5.00")]),
        exchange_rate("09", "1.10"),
        exchange_rate("30", "1.15"),
        freight("S", {"LINEHAUL": "100.00", "FUEL": "20.00"}, currency="EUR"),
        delivered("S", "09T10"),
    )
    revalue(shaped, "2026-03", 1)
    documents = shaped.rows(
        "select payload from effects.outbox where aggregate_type = 'revaluation' order by outbox_id"
    )
    assert [
        (
            row["payload"]["posted_on"],
            row["payload"]["currency"],
            [line["functional_amount"] for line in row["payload"]["lines"]],
            {line["posting_on"] for line in row["payload"]["lines"]},
        )
        for row in documents
    ] == [
        ("2026-03-31", "EUR", ["1.00", "5.00"], {"2026-03-31"}),
        ("2026-04-01", "EUR", ["1.00", "5.00"], {"2026-04-01"}),
    ]


def test_as_of_is_in_march() -> None:
    """The tests above name days of March 2026."""
    assert f"{AS_OF:%Y-%m-%d}" == "2026-03-31"
    assert pod("S", 1, "09T10").columns["captured_at"].startswith("2026-03-09")
