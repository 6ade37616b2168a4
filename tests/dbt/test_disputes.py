"""Bills that don't fit, on the real path: held, paid short or claimed back; agreed on; claims until they are settled.
The books are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from shaped import ShapedWarehouse
from small_world import MASTERS, bill, event, order, plan

from freightsync.cases import approvals, disputes
from freightsync.domain.errors import NotEntitled, PermanentError
from freightsync.pipelines import disputes as batches

D = Decimal
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
POLICIES = """
    insert into rules.settlement_policy (rule_id, rule_version, scac, payable_account, dispute_mode,
      auto_approve_amount, valid_from, recorded_at, recorded_by, note)
    values ('settlement.short', 1, 'SHRT', '2100', 'short_pay', null, '2020-01-01', '2020-01-01', 'test', ''),
      ('settlement.claim', 1, 'CLMX', '2100', 'pay_and_claim', null, '2020-01-01', '2020-01-01', 'test', ''),
      ('settlement.large', 1, 'LRGE', '2100', 'hold', 90.00, '2020-01-01', '2020-01-01', 'test', '')
"""
CARRIERS = {"H": "NRDF", "S": "SHRT", "C": "CLMX", "L": "LRGE"}


@pytest.fixture
def disputed(shaped: ShapedWarehouse) -> ShapedWarehouse:
    """One shipment a carrier, planned for 100.00 and delivered; the first three billed 120.00 (5 % are allowed)."""
    shaped.conn.execute(POLICIES)
    shaped.admit(MASTERS)
    for name, scac in CARRIERS.items():
        shaped.admit([order(f"O{name}", "C2", [(1, "5.00")])])
        shaped.admit([plan(f"{name}1", scac, [(f"O{name}", 1, 1, "5")], {"LINEHAUL": "100.00"})])
        shaped.admit([event("x12_214", "D1", f"{name}1", "09T10", scac=scac)])
        amount = "100.00" if name == "L" else "120.00"
        shaped.admit([bill(scac, f"{name}100", "10", [("LINEHAUL", amount)], shipment_reference=f"{name}1")])
    shaped.settle_down()
    return shaped


def bill_of(warehouse: ShapedWarehouse, number: str) -> str:
    (row,) = warehouse.rows(
        "select carrier_invoice_id from decisions.invoice_verdict where invoice_number = %s", number
    )
    return str(row["carrier_invoice_id"])


def balances(warehouse: ShapedWarehouse, carrier: str) -> dict[str, Decimal]:
    """Debit less credit by account, of what speaks of the carrier's one shipment; without those that are even."""
    rows = warehouse.rows(
        """
        select account, sum(amount) as amount from (
          select debit_account as account, amount from effects.movement where effect_key like %(mine)s
          union all
          select credit_account, -amount from effects.movement where effect_key like %(mine)s) as sides
        group by account having sum(amount) <> 0
        """.replace("%(mine)s", f"'%|tms:{carrier}1|LINEHAUL'")
    )
    return {row["account"]: row["amount"] for row in rows}


def saying(by: str = "anna", **more: Any) -> disputes.Saying:
    return disputes.Saying(by=by, channel="cli", at=NOW, **more)


def every_cent_is_somewhere(warehouse: ShapedWarehouse) -> None:
    lost = warehouse.rows(
        """
        select v.invoice_number, v.net_amount, sum(l.paid_amount + l.disputed_amount + l.rejected_amount
          + l.pending_amount) as placed
        from decisions.invoice_verdict v join decisions.invoice_line_verdict l using (carrier_invoice_id)
        group by 1, 2 having v.net_amount <> sum(l.paid_amount + l.disputed_amount + l.rejected_amount
          + l.pending_amount) or min(least(l.paid_amount, l.disputed_amount, l.rejected_amount, l.pending_amount)) < 0
          and v.net_amount > 0
        """
    )
    assert lost == []


@pytest.mark.timeout(900)
def test_a_bill_that_does_not_fit_is_held_paid_short_or_claimed_back(disputed: ShapedWarehouse) -> None:
    assert balances(disputed, "H") == {"6100": D(100), "2150": D(-100)}
    assert balances(disputed, "S") == {"6100": D(100), "2100": D(-100)}
    assert balances(disputed, "C") == {"6100": D(100), "1350": D(20), "2100": D(-120)}
    every_cent_is_somewhere(disputed)
    with psycopg.connect(disputed.settings.dsn("app")) as conn:
        found = {case.invoice_number: case for case in disputes.cases(conn)}
        assert {number: (c.state, c.disputed_amount, c.claim_open_amount) for number, c in found.items()} == {
            "H100": ("open", D(20), D(0)),
            "S100": ("open", D(20), D(0)),
            "C100": ("open", D(0), D(20)),
        }
        assert {case.reason_code for case in found.values()} == {"overcharge"}
        # contested within 180 days of receipt
        case = found["H100"]
        assert case.contest_until is not None
        assert (case.contest_until - case.opened_at).days == 180


@pytest.mark.timeout(900)
def test_what_both_sides_agreed_on_is_paid_once_and_entitled_people_only_agree(disputed: ShapedWarehouse) -> None:
    held = bill_of(disputed, "H100")
    charge = ("tms:H1", "LINEHAUL")
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        ours = disputes.propose(conn, held, "us", disputes.owed(disputes.lines(conn, held)), saying())
        assert disputes.events(conn, held)[-1].lines == (("tms:H1", "LINEHAUL", D("100.00")),)
        assert disputes.case(conn, held).state == "proposed"
        with pytest.raises(disputes.DisputeRefused, match="their own"):
            disputes.answer(conn, ours, "us", saying(), accept=True)
        with pytest.raises(disputes.DisputeRefused, match=r"not between nothing and the 120\.00"):
            disputes.propose(conn, held, "carrier", {charge: D("120.01")}, saying("nrdf"))
        with pytest.raises(disputes.DisputeRefused, match="FUEL is not contested"):
            disputes.propose(conn, held, "carrier", {("tms:H1", "FUEL"): D("1.00")}, saying("nrdf"))
        theirs = disputes.propose(conn, held, "carrier", {charge: D("112.50")}, saying("nrdf"))
        assert disputes.propose(conn, held, "carrier", {charge: D("112.50")}, saying("nrdf")) == theirs
        assert disputes.case(conn, held).state == "countered"
        with pytest.raises(disputes.DisputeRefused, match="more was said"):
            disputes.answer(conn, ours, "carrier", saying("nrdf"), accept=True)
        # 12.50 more than is owed: somebody else must say yes, and may
        with pytest.raises(NotEntitled, match="needs an approver"):
            disputes.answer(conn, theirs, "us", saying(), accept=True)
        with pytest.raises(NotEntitled, match="asked for"):
            disputes.answer(conn, theirs, "us", saying("finance", approved_by="Finance"), accept=True)
        with pytest.raises(NotEntitled, match="may approve no dispute"):
            disputes.answer(conn, theirs, "us", saying(approved_by="bert"), accept=True)
        disputes.answer(conn, theirs, "us", saying(approved_by="finance"), accept=True)
        with pytest.raises(disputes.DisputeRefused, match="more was said"):
            disputes.answer(conn, theirs, "us", saying(approved_by="finance"), accept=False)
    disputed.settle_down()
    assert balances(disputed, "H") == {"6100": D("112.50"), "2100": D("-112.50")}
    (verdict,) = disputed.rows(
        "select verdict, is_posted, rejected_amount from decisions.invoice_verdict where invoice_number = 'H100'"
    )
    assert tuple(verdict.values()) == ("agreed", True, D("7.50"))
    every_cent_is_somewhere(disputed)
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        assert disputes.case(conn, held).state == "settled"
        with pytest.raises(disputes.DisputeRefused, match="decided already"):
            disputes.propose(conn, held, "carrier", {charge: D("119.00")}, saying("nrdf"))
    made = disputed.rows("select count(*) as n from effects.movement")
    disputed.touch("settle_freight", "carrier_invoice", held)
    disputed.settle_down()
    assert disputed.rows("select count(*) as n from effects.movement") == made


@pytest.mark.timeout(900)
def test_a_claim_is_settled_by_money_a_credit_or_by_giving_it_up(disputed: ShapedWarehouse) -> None:
    claimed = bill_of(disputed, "C100")
    charge = ("tms:C1", "LINEHAUL")
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        disputes.settle_claim(conn, claimed, {charge: D("8.00")}, saying(reference="check 77"))
        with pytest.raises(disputes.DisputeRefused, match=r"12\.00 claimed"):
            disputes.settle_claim(conn, claimed, {charge: D("12.01")}, saying())
    disputed.settle_down()
    assert balances(disputed, "C") == {"6100": D(100), "1350": D(12), "1150": D(8), "2100": D(-120)}
    # a credit of 10.00 comes off the claim, not off what was approved
    disputed.admit([bill("CLMX", "C101", "12", [("LINEHAUL", "-10.00")], correction="CR", shipment_reference="C1")])
    disputed.settle_down()
    assert balances(disputed, "C") == {"6100": D(100), "1350": D(2), "1150": D(8), "2100": D(-110)}
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        assert disputes.case(conn, claimed).claim_open_amount == D("2.00")
        with pytest.raises(disputes.DisputeRefused, match="no reason code"):
            disputes.settle_claim(conn, claimed, {charge: D("2.00")}, saying(), write_off=True)
        with pytest.raises(NotEntitled):
            disputes.settle_claim(
                conn, claimed, {charge: D("2.00")}, saying(), write_off=True, reason_code="overcharge"
            )
        disputes.settle_claim(
            conn, claimed, {charge: D("2.00")}, saying(approved_by="finance"), write_off=True, reason_code="overcharge"
        )
    disputed.settle_down()
    assert balances(disputed, "C") == {"6100": D(100), "6190": D(2), "1150": D(8), "2100": D(-110)}
    every_cent_is_somewhere(disputed)
    # another credit has no claim left to come for: what was approved is less, and so is owed again
    disputed.admit([bill("CLMX", "C102", "13", [("LINEHAUL", "-5.00")], correction="CR", shipment_reference="C1")])
    disputed.settle_down()
    assert balances(disputed, "C") == {"6100": D(100), "6190": D(2), "1150": D(8), "2100": D(-105), "2150": D(-5)}


@pytest.mark.timeout(900)
@pytest.mark.long
def test_a_large_bill_waits_for_somebody_who_may_approve_it(disputed: ShapedWarehouse) -> None:
    large = bill_of(disputed, "L100")
    assert balances(disputed, "L") == {"6100": D(100), "2150": D(-100)}
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        (waiting,) = approvals.waiting(conn)
        assert (waiting.carrier_invoice_id, waiting.net_amount, waiting.limit) == (large, D("100.00"), D("90.00"))
        with pytest.raises(NotEntitled, match="may approve no carrier invoice"):
            approvals.decide(conn, [large], "approved", by="anna", at=NOW, channel="cli")
        with pytest.raises(PermanentError, match="waits for no approval"):
            approvals.decide(conn, [bill_of(disputed, "H100")], "approved", by="finance", at=NOW, channel="cli")
        assert approvals.decide(conn, [large], "approved", by="finance", at=NOW, channel="cli") == 1
    disputed.settle_down()
    assert balances(disputed, "L") == {"6100": D(100), "2100": D(-100)}


@pytest.mark.timeout(900)
def test_a_rebill_takes_the_place_of_its_bill_and_a_cancellation_ends_it(disputed: ShapedWarehouse) -> None:
    disputed.admit([bill("SHRT", "S100", "12", [("LINEHAUL", "98.00")], correction="RB", shipment_reference="S1")])
    disputed.settle_down()
    assert balances(disputed, "S") == {"6100": D(100), "2100": D(-98), "2150": D(-2)}
    disputed.admit([bill("SHRT", "S100", "13", [("LINEHAUL", "-98.00")], correction="CA", shipment_reference="S1")])
    disputed.settle_down()
    assert balances(disputed, "S") == {"6100": D(100), "2150": D(-100)}
    disputed.admit([bill("SHRT", "S100", "14", [("LINEHAUL", "101.00")], shipment_reference="S1")])
    disputed.settle_down()
    assert balances(disputed, "S") == {"6100": D(101), "2100": D(-101)}
    verdicts = disputed.rows(
        "select verdict from decisions.invoice_verdict where invoice_number = 'S100' order by invoice_on"
    )
    assert [row["verdict"] for row in verdicts] == ["replaced", "cancelled", "cancellation", "in_tolerance"]
    every_cent_is_somewhere(disputed)


@pytest.mark.timeout(900)
@pytest.mark.long
def test_one_answer_for_a_batch_is_carried_out_case_by_case(disputed: ShapedWarehouse) -> None:
    with psycopg.connect(disputed.settings.dsn("app"), autocommit=True) as conn:
        batch = batches.gather(conn)
        assert [item.invoice for item in batch.cases] == ["CLMX C100", "NRDF H100", "SHRT S100"]
        assert [item.invoice for item in batch.approvals] == ["LRGE L100"]
        assert batches.Batch.from_json(batch.as_json()) == batch
        yes = batches.Answer(by="finance", asked_by="anna", at=NOW, propose=True, approve=True)
        assert batches.carry_out(conn, batch, yes).said == 4
        assert {case.state for case in disputes.cases(conn)} == {"proposed"}
        again = batches.carry_out(conn, batch, yes)
        assert set(again.left) == {"NRDF H100", "SHRT S100", "CLMX C100"}
        counted = conn.execute(
            "select (select count(*) from cases.dispute_event), (select count(*) from cases.invoice_approval)"
        )
        assert counted.fetchone() == (3, 1)

        held = bill_of(disputed, "H100")
        disputes.propose(conn, held, "carrier", {("tms:H1", "LINEHAUL"): D("112.50")}, saying("nrdf | <b>"))
        batch = batches.gather(conn)
        assert [(item.invoice, item.words) for item in batch.cases] == [
            (
                "NRDF H100",
                "the carrier asks for 112.50; H1 LINEHAUL: over by 20.00, only 3.00 allowed by tolerance.nrdf_linehaul",
            )
        ]
        # whoever started the run can't be the second person, too
        alone = batches.Answer(by="finance", asked_by="finance", at=NOW, accept=True)
        assert "asked for" in batches.carry_out(conn, batch, alone).left["NRDF H100"]
        two = batches.Answer(by="finance", asked_by="anna", at=NOW, accept=True)
        assert batches.carry_out(conn, batch, two) == batches.Done(said=1)
    disputed.settle_down()
    assert balances(disputed, "H") == {"6100": D("112.50"), "2100": D("-112.50")}
    assert balances(disputed, "L") == {"6100": D(100), "2100": D(-100)}
