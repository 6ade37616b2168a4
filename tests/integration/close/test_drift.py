"""Every way in which the ERP's books and ours part: made in a running ERP, found, explained to the cent, decided."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from psycopg import errors

from freightsync.domain.errors import NotEntitled, PermanentError
from freightsync.pipelines import drift
from freightsync.warehouse.connection import connect

from .conftest import APRIL, NEXT, PERIOD, TRUTH, Books

pytestmark = pytest.mark.timeout(600)

CENT = [{"account": "6100", "debit": "0.01", "credit": "0.00"}, {"account": "2150", "debit": "0.00", "credit": "0.01"}]


def lines(amount: str) -> list[dict[str, str]]:
    return [
        {"account": "6100", "debit": amount, "credit": "0.00"},
        {"account": "2150", "debit": "0.00", "credit": amount},
    ]


def explained(books: Books, period: str = PERIOD) -> None:
    """Nothing is left unexplained, and what documents explain is the whole difference, against the ERP itself."""
    erp = books.erp_books(period)
    for row in books.tie_out(period):
        debit, credit = erp.get(row["account"], ("0.00", "0.00"))
        assert (row["erp_debit"], row["erp_credit"]) == (D(debit), D(credit))
        assert row["unexplained"] == row["unexplained_debit"] == row["unexplained_credit"] == 0, row
        assert row["difference"] == row["explained"] == row["erp_balance"] - row["our_balance"]


def test_books_without_drift_tie_and_equal_the_truth(books: Books) -> None:
    books.reconcile()
    assert books.drift() == {}
    assert books.states() == {"ties"}
    assert books.our_books() == books.erp_books() == TRUTH
    assert sum(D(row["debit"]) for row in books.erp.get("trial-balance")) == D("663.00")
    # read again, nothing is new
    again = books.reconcile()
    assert (again.made.effects, again.compared.documents, again.compared.unexplained) == (0, {}, 0)


def test_a_manual_journal_is_adopted_by_two_people(books: Books) -> None:
    number = books.user("manual", posted_on="2026-03-30", currency="USD", lines=lines("12.34"), note="pallet fees")
    books.reconcile()
    assert books.drift() == {number: ("manual_journal", "open", D("12.34"))}
    explained(books)
    assert books.states() == {"ties", "undecided"}
    assert books.blocked()["undecided_drift"] == 1
    with connect(books.settings.dsn("app")) as conn:
        proposal = drift.propose(conn, number, "adopt", by="Finance", note="pallet fees are ours")
        with pytest.raises(NotEntitled, match="may not approve it too"):
            drift.approve(conn, proposal, by="finance", at=APRIL)
        with pytest.raises(NotEntitled, match="may approve no drift"):
            drift.approve(conn, proposal, by="steward", at=APRIL)
        with pytest.raises(errors.CheckViolation), conn.transaction():  # nor past the code
            conn.execute(
                """insert into effects.decision_approval (subject, subject_id, verdict, approved_by)
                   values ('drift', %s, 'approved', 'finance')""",
                (proposal,),
            )
        with pytest.raises(PermanentError, match="To repost it makes no sense"):
            drift.propose(conn, number, "repost", by="olga", note="x")
        drift.approve(conn, proposal, by="controller", at=APRIL)
        with pytest.raises(PermanentError, match="decided before"):
            drift.approve(conn, proposal, by="controller", at=APRIL)
        conn.commit()
        # and not once more, before the books were compared again
        with pytest.raises(PermanentError, match="is decided, and the books were not compared since"):
            drift.propose(conn, number, "adopt", by="olga", note="x")
        conn.rollback()
    made = books.reconcile().made
    assert (made.effects, made.messages) == (1, 0)  # it is in the ERP's books already
    assert books.drift() == {number: ("manual_journal", "adopted", D(0))}
    assert books.states() == {"ties"}
    by_account = {row["account"]: row for row in books.tie_out()}
    assert (by_account["6100"]["adopted"], by_account["2150"]["adopted"]) == (D("12.34"), D("-12.34"))
    assert books.our_books() == books.erp_books()
    # in March, though it was adopted in April; and on the accrual account it shows as an adjustment of nobody's freight
    (row,) = books.shaped.rows("select * from marts.fct_accrual_period where period = %s and scac = '(none)'", PERIOD)
    assert (row["adjusted"], row["closing"]) == (D("12.34"), D("12.34"))
    assert books.reconcile().made.effects == 0


@pytest.mark.long
def test_a_limit_is_a_limit(books: Books) -> None:
    number = books.user("manual", posted_on="2026-03-30", currency="USD", lines=lines("5000.01"))
    books.reconcile()
    with connect(books.settings.dsn("app")) as conn:
        proposal = drift.propose(conn, number, "adopt", by="olga", note="large")
        with pytest.raises(NotEntitled, match=r"up to 5000\.00 only, not 5000\.01"):
            drift.approve(conn, proposal, by="finance", at=APRIL)
        drift.approve(conn, proposal, by="controller", at=APRIL)


def test_a_reversal_in_the_erp_is_posted_again_under_a_new_key(books: Books) -> None:
    entry = books.accrual_entry("S2")
    number = books.user("reverse", number=entry["number"], posted_on="2026-03-31")
    books.reconcile()
    assert books.drift() == {number: ("reversed_in_erp", "open", D("300.00"))}
    explained(books)
    books.decide(number, "repost")
    made = books.reconcile().made
    assert (made.effects, made.messages) == (2, 1)
    books.deliver()
    books.reconcile()
    assert {state for _, state, _ in books.drift().values()} == {"reposted"}
    assert books.states() == books.states(NEXT) - {"not_read"} == {"ties"}
    assert books.our_books() == books.erp_books()
    assert books.our_books(NEXT) == books.erp_books(NEXT) == {"2150": ("0.00", "300.00"), "6100": ("300.00", "0.00")}
    again = [e for e in books.entries().values() if e["period"] == NEXT]
    assert len(again) == 1
    assert again[0]["reference"] != entry["reference"]
    # owed once, by charge as by account
    (row,) = books.shaped.rows(
        """select sum(case when credit_account = '2150' then amount else -amount end) as owed from effects.movement
           where attributes ->> 'shipment_id' = 'S2' and '2150' in (debit_account, credit_account)"""
    )
    assert row["owed"] == D("300.00")
    assert books.reconcile().made.effects == 0


@pytest.mark.long
def test_a_right_reversal_is_adopted(books: Books) -> None:
    number = books.user("reverse", number=books.accrual_entry("S2")["number"], posted_on="2026-03-31")
    books.reconcile()
    books.decide(number, "adopt")
    assert (books.reconcile().made.messages, books.states()) == (0, {"ties"})
    assert books.our_books() == books.erp_books()


@pytest.mark.long
def test_a_document_posted_twice_and_undone_by_the_erp_itself(books: Books) -> None:
    copy = books.user("copy", number=books.accrual_entry("S1")["number"])
    books.reconcile()
    assert books.drift() == {copy: ("posted_twice", "open", D("120.00"))}
    explained(books)
    reversal = books.user("reverse", number=copy)
    books.reconcile()
    assert {name: state for name, (_, state, _) in books.drift().items()} == {
        copy: "cancelled_out",
        reversal: "cancelled_out",
    }
    explained(books)
    assert "undecided_drift" not in books.blocked()


def test_one_cent_is_found_and_adopted(books: Books) -> None:
    entry = books.accrual_entry("S2")
    books.user("amend", number=entry["number"], lines=lines("300.01"))
    books.reconcile()
    assert books.drift() == {entry["number"]: ("amount_differs", "open", D("0.01"))}
    explained(books)
    assert books.blocked()["undecided_drift"] == 1
    books.decide(entry["number"], "adopt")
    books.reconcile()
    assert books.drift()[entry["number"]][1] == "adopted"
    assert books.states() == {"ties"}
    # what comes on top of that is another difference, not decided yet
    books.user("amend", number=entry["number"], lines=lines("300.03"))
    books.reconcile()
    assert books.drift()[entry["number"]] == ("amount_differs", "open", D("0.02"))


@pytest.mark.long
def test_a_document_in_another_period_stands_there(books: Books) -> None:
    entry = books.accrual_entry("S2")
    books.user("amend", number=entry["number"], posted_on="2026-04-01")
    books.reconcile()
    assert books.drift() == {entry["number"]: ("other_period", "open", D("300.00"))}
    explained(books)
    explained(books, NEXT)
    books.decide(entry["number"], "adopt")
    books.reconcile()
    assert books.drift() == {}
    assert books.our_books() == books.erp_books() != TRUTH
    assert books.our_books(NEXT) == books.erp_books(NEXT)
    (row,) = books.shaped.rows(
        "select sum(closing) as closing from marts.fct_accrual_period where period = %s and account = '2150'", PERIOD
    )
    assert row["closing"] == 0  # 120.00 accrued and billed; the other 300.00 belong to April


def test_what_waits_or_lost_its_answer_is_told_apart(books: Books) -> None:
    books.late("S7", "70.00", APRIL.replace(month=3, day=30))
    books.reconcile()
    (found,) = books.drift().values()
    assert found == ("not_accepted_yet", "passes", D("70.00"))
    assert {row["not_accepted"] for row in books.tie_out()} == {D(0), D("70.00"), D("-70.00")}
    explained(books)
    assert books.blocked()["outbox_waiting"] == 1
    # the ERP posts it, its answer is lost, and the message is given up before it is sent again
    books.erp.control("faults", kind="commit_then_drop", path_prefix="/api/v1/journal-entries", count=1)
    books.deliver(give_up_days=1e-9)
    assert books.shaped.rows("select status from ops.outbox_pending") == [{"status": "dead"}]
    done = books.reconcile()
    assert done.recorded == 1
    assert books.drift() == {}
    assert books.states() == {"ties"}
    assert books.shaped.rows("select status from ops.outbox_pending") == []


@pytest.mark.long
def test_a_lost_answer_shows_until_it_is_recorded(books: Books) -> None:
    books.late("S7", "70.00", APRIL.replace(month=3, day=30))
    books.erp.control("faults", kind="commit_then_drop", path_prefix="/api/v1/journal-entries", count=1)
    books.erp.control("faults", kind="503", path_prefix="/api/v1/journal-entries", count=50, retry_after=30)
    books.deliver()
    books.reconcile()
    (found,) = books.drift().values()
    assert found == ("lost_answer", "open", D(0))
    explained(books)
    assert books.blocked()["undecided_drift"] == 1
    assert sum(books.blocked().get(name, 0) for name in ("unknown_outcomes", "outbox_waiting")) == 1


@pytest.mark.long
def test_a_document_that_the_erp_lost_is_sent_again(books: Books) -> None:
    books.late("S7", "70.00", APRIL.replace(month=3, day=30))
    books.erp.control("faults", kind="answer_then_lose", path_prefix="/api/v1/journal-entries", count=1)
    books.deliver()
    books.reconcile()
    ((document, found),) = books.drift().items()
    assert found == ("missing_there", "open", D("70.00"))
    explained(books)
    books.decide(document, "repost")
    books.deliver()
    books.reconcile()
    assert books.drift() == {}
    assert books.states() == {"ties"}
    assert books.our_books() == books.erp_books()


@pytest.mark.long
def test_a_balance_that_no_document_explains_is_unexplained(books: Books) -> None:
    books.reconcile()
    books.user("lose", number=books.accrual_entry("S2")["number"])  # its list of documents can't say so
    books.reconcile()
    assert books.blocked()["tie_out"] == 2
    unexplained = {row["account"]: row["unexplained"] for row in books.tie_out() if row["unexplained"]}
    assert unexplained == {"6100": D("-300.00"), "2150": D("300.00")}


@pytest.mark.long
def test_a_decision_holds_for_the_difference_that_was_seen(books: Books) -> None:
    entry = books.accrual_entry("S2")
    books.user("amend", number=entry["number"], lines=lines("300.01"))
    books.reconcile()
    with connect(books.settings.dsn("app")) as conn:
        proposal = drift.propose(conn, entry["number"], "adopt", by="olga", note="a cent")
        conn.commit()
        books.user("amend", number=entry["number"], lines=lines("390.00"))
        books.reconcile()
        assert books.drift()[entry["number"]] == ("amount_differs", "open", D("90.00"))
        with pytest.raises(PermanentError, match="the books have changed since"):
            drift.approve(conn, proposal, by="finance", at=APRIL)


def test_differences_become_transfers() -> None:
    def net(account: str, amount: str, currency: str = "USD") -> dict[str, Any]:
        return {"account": account, "currency": currency, "net": D(amount)}

    found = drift.pairs(
        [
            net("6100", "5"),
            net("6110", "3"),
            net("2150", "-6"),
            net("2100", "-2"),
            net("1", "-1", "EUR"),
            net("2", "1", "EUR"),
        ]
    )
    assert found == [
        ("2", "1", "EUR", D(1)),
        ("6100", "2100", "USD", D(2)),
        ("6100", "2150", "USD", D(3)),
        ("6110", "2150", "USD", D(3)),
    ]
    with pytest.raises(PermanentError, match="does not balance"):
        drift.pairs([net("1", "1")])
