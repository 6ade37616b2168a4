"""Payments, short payments, returns and disputes, each outcome worked out by hand; and the receivable of each invoice
read from the ledger, whatever order the facts came in."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal
from typing import Any

import pytest
from receivables import (
    PAYMENTS,
    advice,
    balances,
    bank,
    dispute,
    invoice,
    number_invoices,
    our_books,
    receivables,
    statuses,
    told,
    verdicts,
)
from shaped import CONSUMERS, Fact, ShapedWarehouse
from small_world import MASTERS, customer, order, plan, pod

D = Decimal


def billed(number: int, amount: str, who: str = "C1") -> list[Fact]:
    """An order, its shipment and its proof: an invoice of this amount over goods, dated 9 March."""
    return [
        order(f"O{number}", who, [(1, amount)]),
        plan(f"P{number}", "NRDF", [(f"O{number}", 1, 1, "5")], {"LINEHAUL": "10.00"}),
        pod(f"P{number}", 1, "09T10"),
    ]


def of(number: int) -> str:
    return f"erp:O{number}/tms:P{number}"


WORLD: list[Fact] = [
    *[fact for fact in MASTERS if fact.feed != "erp.customer"],
    customer("C1", "embedded", "shipment", "0.00", payment_terms="2/10 NET30"),
    customer("C2", "embedded", "shipment", "0.00", payment_terms="NET30"),
]

AMOUNTS = {
    1: "100.00", 2: "250.00", 3: "80.00", 4: "1000.00", 5: "60.00", 6: "60.00", 7: "40.00", 8: "500.00", 9: "70.00",
    10: "90.00",
}  # fmt: skip
INVOICES = [fact for number, amount in AMOUNTS.items() for fact in billed(number, amount, "C2" if number > 4 else "C1")]
NUMBERS = {of(number): f"CI{number:07d}" for number in AMOUNTS}


def bill(warehouse: ShapedWarehouse) -> None:
    warehouse.admit([*WORLD, *INVOICES])
    warehouse.settle_down()
    number_invoices(warehouse, NUMBERS)


def test_payments_worked_by_hand(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    bill(shaped)
    assert balances(shaped)["1200"] == D("2250.00")
    shaped.admit(
        [
            # one payment over two invoices, a credit note that nobody knows left out; exact
            bank("B1", "350.00", "03-25", invoice("CI0000001", "100.00"), invoice("ci-0000002", "250.00")),
            # the number in its text; 0.40 less: half a percent of 80.00
            bank("B2", "79.60", "04-08", text="Rechnung CI0000003 / danke"),
            # within ten days and 2 % less: the discount
            bank("B3", "980.00", "03-19", invoice("CI0000004")),
            # short by more than the tolerance
            bank("B4", "50.00", "04-01", invoice("CI0000005")),
            # more than owed by 0.50, and by 30.00
            bank("B5", "60.50", "04-01", invoice("CI0000006")),
            bank("B6", "70.00", "04-01", invoice("CI0000007")),
            # known payer, no reference, exactly one invoice of this amount
            bank("B7", "500.00", "04-01", counterparty_account="US77"),
            # names nothing, payer unknown; names a number that nobody has
            bank("B8", "12.00", "04-01", counterparty_name="Somebody"),
            bank("B9", "13.00", "04-01", invoice("CI0000999", "13.00")),
            # paid and came back
            bank("B10", "70.00", "04-01", invoice("CI0000009"), end_to_end_id="E10"),
            bank("B11", "-70.00", "04-03", end_to_end_id="E10", return_reason="AC04"),
            # not booked yet
            bank("B12", "90.00", "04-01", invoice("CI0000010"), status="PDNG"),
        ]
    )
    shaped.conn.execute(
        """insert into rules.payer (rule_id, rule_version, payer_account, customer_id, valid_from, recorded_by, note)
           values ('payer.c2', 1, 'US77', 'C2', '2020-01-01', 'finance', 'their account')"""
    )
    shaped.settle_down()
    assert verdicts(shaped) == {
        "bank:B1": "applied",
        "bank:B2": "applied",
        "bank:B3": "applied",
        "bank:B4": "applied",
        "bank:B5": "over_within_tolerance",
        "bank:B6": "overpaid",
        "bank:B7": "applied",
        "bank:B8": "no_reference",
        "bank:B9": "no_candidate",
        "bank:B10": "applied",
        "bank:B11": "returned",
        "bank:B12": "not_booked",
    }
    assert statuses(shaped) == {
        of(1): ("paid", D(0)),
        of(2): ("paid", D(0)),
        of(3): ("paid", D(0)),
        of(4): ("paid", D(0)),
        of(5): ("invoiced", D("10.00")),
        of(6): ("paid", D(0)),
        of(7): ("paid", D(0)),
        of(8): ("paid", D(0)),
        of(9): ("invoiced", D("70.00")),
        of(10): ("invoiced", D("90.00")),
    }
    applied = shaped.rows("select * from decisions.payment_application order by payment_id, customer_invoice_id")
    by_payment = {row["payment_id"]: row for row in applied}
    assert (by_payment["bank:B2"]["verdict"], by_payment["bank:B2"]["written_off_amount"]) == (
        "short_written_off",
        D("0.40"),
    )
    assert (by_payment["bank:B3"]["verdict"], by_payment["bank:B3"]["written_off_amount"]) == (
        "discount_taken",
        D("20.00"),
    )
    assert (by_payment["bank:B4"]["verdict"], by_payment["bank:B4"]["open_amount"]) == ("short", D("10.00"))
    assert by_payment["bank:B7"]["matched_by"] == "amount"
    assert all(row["reason"] for row in applied)
    # bank: 350 + 79.60 + 980 + 50 + 60.50 + 70 + 500 + 12 + 13 + 70 − 70 = 2115.10; waiting: 30 + 12 + 13;
    # owed: 10 + 70 + 90; 0.40 short − 0.50 kept; discount 20
    assert balances(shaped) == {
        "1000": D("2115.10"),
        "1200": D("170.00"),
        "2200": D("-55.00"),
        "4000": D("-2250.00"),
        "4910": D("20.00"),
        "6900": D("-0.10"),
    }
    assert receivables(shaped) == {name: amount for name, (_, amount) in statuses(shaped).items()}


@pytest.mark.long
def test_where_the_erp_books_payments_nothing_is_posted(shaped: ShapedWarehouse) -> None:
    bill(shaped)
    before = balances(shaped)
    shaped.admit(
        [bank("B1", "100.00", "03-25", invoice("CI0000001")), told("7", "250.00", "03-25", invoice("CI0000002"))]
    )
    shaped.settle_down()
    found = statuses(shaped)
    assert (found[of(1)], found[of(2)]) == (("paid", D(0)), ("paid", D(0)))
    assert balances(shaped) == before


def test_one_payment_seen_by_the_bank_and_by_the_erp_counts_once(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    bill(shaped)
    bank_side = [
        bank("B1", "100.00", "03-25", end_to_end_id="e2e-1"),
        bank("B2", "250.00", "03-26", invoice("CI0000002")),
        bank("B3", "80.00", "03-27", counterparty_account="US01"),
        # two equal ones; the ERP knows of one
        bank("B4", "60.00", "03-27", invoice("CI0000005"), end_to_end_id="SAME"),
        bank("B5", "60.00", "03-28", invoice("CI0000006"), end_to_end_id="SAME"),
    ]
    erp_side = [
        # by the end-to-end id; and only the ERP knows what for
        told("1", "100.00", "03-24", invoice("CI0000001"), bank_reference="E2E1"),
        told("2", "250.00", "03-26", invoice("CI-0000002", "250.00")),
        told("3", "80.00", "03-27"),
        told("4", "60.00", "03-27", party_id="C2", bank_reference="SAME"),
        # the bank never showed this one
        told("5", "40.00", "03-28", invoice("CI0000007"), party_id="C2"),
    ]
    shaped.conn.execute(
        """insert into rules.payer (rule_id, rule_version, payer_account, customer_id, valid_from, recorded_at,
             recorded_by, note) values ('payer.c1', 1, 'US01', 'C1', '2020-01-01', '2020-01-01', 'finance', 'theirs')"""
    )
    for facts in (erp_side, bank_side):
        shaped.admit(facts)
        shaped.settle_down()
    same = {
        row["payment_id"]: row["other_payment_id"]
        for row in shaped.rows("select * from decisions.payment_standing where standing = 'same_as'")
    }
    assert same == {"erp:1": "bank:B1", "erp:2": "bank:B2", "erp:3": "bank:B3", "erp:4": "bank:B4"}
    assert {name for name, (status, _) in statuses(shaped).items() if status == "paid"} == set(
        map(of, (1, 2, 3, 5, 6, 7))
    )
    assert balances(shaped)["1000"] == D("550.00")


@pytest.mark.long
def test_a_payment_that_came_before_its_invoice_had_a_number_is_applied_when_it_has(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    shaped.admit([*WORLD, *billed(1, "100.00")])
    shaped.settle_down()
    shaped.admit([bank("B1", "100.00", "03-25", invoice("CI0000001"))])
    shaped.settle_down()
    assert verdicts(shaped) == {"bank:B1": "no_candidate"}
    reason = shaped.rows("select reason from decisions.payment_verdict")[0]["reason"]
    assert reason == "no invoice found: structured CI0000001 fits nothing"
    assert balances(shaped)["2200"] == D("-100.00")
    number_invoices(shaped, NUMBERS)
    shaped.settle_down()
    assert verdicts(shaped) == {"bank:B1": "applied"}
    assert receivables(shaped) == {of(1): D(0)}
    assert "2200" not in balances(shaped)


@pytest.mark.long
def test_an_advice_says_what_a_bare_payment_is_for(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    bill(shaped)
    shaped.admit(
        [advice("A1", "350.00", "03-24", "E-1", invoice("CI0000001", "100.00"), invoice("CI0000002", "250.00"))]
    )
    shaped.settle_down()
    shaped.admit([bank("B1", "350.00", "03-25", end_to_end_id="e1"), bank("B2", "80.00", "03-25", end_to_end_id="E2")])
    shaped.settle_down()
    assert verdicts(shaped) == {"bank:B1": "applied", "bank:B2": "no_reference"}
    assert balances(shaped)["2200"] == D("-80.00")
    shaped.admit([advice("A2", "80.00", "03-24", "E2", invoice("CI0000003"))])
    shaped.settle_down()
    assert verdicts(shaped) == {"bank:B1": "applied", "bank:B2": "applied"}
    # another advice for the same payment says otherwise: neither is believed
    shaped.admit([advice("A3", "80.00", "03-26", "E2", invoice("CI0000005"))])
    shaped.settle_down()
    assert verdicts(shaped) == {"bank:B1": "applied", "bank:B2": "no_reference"}
    assert receivables(shaped)[of(3)] == D("80.00")


def test_disputes_credit_the_right_accounts_and_close(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    bill(shaped)
    shaped.admit(
        [
            dispute("D1", "CI0000001", "opened", "30.00"),
            # paid short by what is disputed: it stays open
            bank("B1", "99.80", "03-25", invoice("CI0000001")),
            dispute("D2", "CI0000002", "upheld", "50.00"),
            dispute("D3", "CI0000003", "credited", "20.00", credited_amount=D("15.00"), reason_code="PRICE"),
            dispute("D4", "CI0000004", "credited", "2000.00"),
            dispute("D5", "CI0000999", "credited", "5.00"),
            dispute("D6", "CI0000005", "credited", "5.00", customer_id="C2", credit_memo_number="CM1"),
        ]
    )
    shaped.settle_down()
    credits = {
        row["dispute_id"]: (row["verdict"], row["credit_amount"])
        for row in shaped.rows("select * from decisions.customer_credit")
    }
    assert credits == {
        "D1": ("opened", D(0)),
        "D2": ("upheld", D(0)),
        "D3": ("credited", D("15.00")),
        "D4": ("credit_exceeds_invoice", D(0)),
        "D5": ("no_candidate", D(0)),
        "D6": ("credited_by_erp", D("5.00")),
    }
    found = statuses(shaped)
    assert found[of(1)] == ("disputed", D("0.20"))
    assert found[of(2)] == ("upheld", D("250.00"))
    assert found[of(3)] == ("credited", D("65.00"))
    assert found[of(5)] == ("credited", D("55.00"))
    # a wrong price is less revenue of the line
    assert balances(shaped)["4000"] == D("-2235.00")

    shaped.admit([dispute("D1", "CI0000001", "credited", "30.00", version=2, credited_amount=D("10.00"))])
    shaped.admit([bank("B3", "65.00", "04-25", invoice("CI0000003", "80.00"), invoice("CI0000003", "-15.00", "CREN"))])
    shaped.settle_down()
    found = statuses(shaped)
    # 90.00 are left to owe: 9.80 of the payment wait for the customer's word
    assert found[of(1)] == ("paid", D(0))
    assert found[of(3)] == ("paid", D(0))
    made = balances(shaped)
    assert (made["4900"], made["2200"]) == (D("10.00"), D("-9.80"))
    (memo, earlier) = shaped.rows("select payload from effects.outbox where operation = 'credit_memo' order by 1 desc")
    assert {len(one["payload"]["lines"]) for one in (memo, earlier)} == {1}
    ledger = receivables(shaped)
    assert ledger[of(5)] == D("60.00")  # what the ERP credits it books itself
    assert {n: a for n, a in ledger.items() if n != of(5)} == {n: a for n, (_, a) in found.items() if n != of(5)}


@pytest.mark.long
def test_an_invoice_that_changes_after_it_was_paid_is_applied_anew(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    bill(shaped)
    shaped.admit([bank("B1", "100.00", "03-25", invoice("CI0000001"))])
    shaped.settle_down()
    shaped.admit([order("O1", "C1", [(1, "90.00")], version=2)])
    shaped.settle_down()
    assert (verdicts(shaped), statuses(shaped)[of(1)]) == ({"bank:B1": "overpaid"}, ("paid", D(0)))
    assert (balances(shaped)["2200"], receivables(shaped)[of(1)]) == (D("-10.00"), D(0))
    shaped.admit([order("O1", "C1", [(1, "120.00")], version=3)])
    shaped.settle_down()
    assert (verdicts(shaped), statuses(shaped)[of(1)]) == ({"bank:B1": "applied"}, ("invoiced", D("20.00")))
    assert receivables(shaped)[of(1)] == D("20.00")
    # the further document has a number of its own, which means the same invoice
    shaped.conn.execute(
        """insert into effects.outcome (outbox_id, attempt, outcome, reference)
           select max(outbox_id), 1, 'accepted', 'CI0000077' from effects.outbox where aggregate_id = %s""",
        (of(1),),
    )
    shaped.admit([bank("B2", "20.00", "03-26", invoice("CI0000077"))])
    shaped.settle_down()
    assert statuses(shaped)[of(1)] == ("paid", D(0))


def test_a_correction_by_policy_is_a_difference_or_all_of_it_anew(shaped: ShapedWarehouse) -> None:
    shaped.conn.execute(
        """insert into rules.correction_policy (rule_id, rule_version, customer_id, mode, valid_from, recorded_at,
             recorded_by, note) values ('correction.c2', 1, 'C2', 'credit_and_rebill', '2020-01-01', '2020-01-01',
             'finance', 'their contract')"""
    )
    shaped.admit([*WORLD, *billed(1, "100.00"), *billed(5, "60.00", "C2")])
    shaped.settle_down()
    shaped.admit(
        [order("O1", "C1", [(1, "90.00")], version=2), order("O5", "C2", [(1, "55.00")], version=2)],
    )
    shaped.settle_down()
    documents = shaped.rows(
        "select aggregate_id, payload from effects.outbox where operation = 'customer_invoice' order by outbox_id"
    )
    shown = [
        (row["aggregate_id"], [(line["amount"], line["reverses"]) for line in row["payload"]["lines"]])
        for row in documents
    ]
    assert sorted(shown[2:], key=str) == sorted(
        [
            (of(1), [("10.00", True)]),
            (of(5), [("60.00", True)]),
            (of(5), [("55.00", False)]),
        ],
        key=str,
    )
    assert receivables(shaped) == {of(1): D("90.00"), of(5): D("55.00")}
    # another customer has the order: all of it is taken back from the first
    shaped.admit([order("O1", "C2", [(1, "90.00")], version=3)])
    shaped.settle_down()
    (back, anew) = shaped.rows(
        """select payload from effects.outbox where aggregate_id = %s order by outbox_id desc limit 2""", of(1)
    )
    shown_to = {
        line["customer_id"]: (line["amount"], line["reverses"])
        for document in (back, anew)
        for line in document["payload"]["lines"]
    }
    assert shown_to == {"C1": ("90.00", True), "C2": ("90.00", False)}
    assert receivables(shaped)[of(1)] == D("90.00")
    # back to what it was: the first content is billed again, as a document of its own
    shaped.admit([order("O5", "C2", [(1, "60.00")], version=3)])
    shaped.settle_down()
    assert receivables(shaped)[of(5)] == D("60.00")


def history(chance: random.Random) -> list[Fact]:
    """A random history of payments, returns and disputes over ten invoices."""
    facts: list[Fact] = []
    numbers = itertools.count(1)
    for number, amount in AMOUNTS.items():
        owed = D(amount)
        name = NUMBERS[of(number)]
        who = "C2" if number > 4 else "C1"
        for _ in range(chance.randrange(4)):
            key, day = f"B{next(numbers)}", f"03-{chance.randrange(10, 29)}"
            part = (owed * chance.choice([1, 1, D("0.5"), D("0.999"), D("1.3"), D("0.2")])).quantize(D("0.01"))
            documents = chance.choice([[invoice(name)], [invoice(name, str(part))], []])
            more: dict[str, Any] = {} if documents else {"text": f"pays {name}"}
            if chance.random() < 0.2:
                documents, more = [], {"counterparty_account": f"US-{who}"}
            facts.append(bank(key, str(part), day, *documents, end_to_end_id=f"E{key}", **more))
            if chance.random() < 0.3:
                facts.append(
                    bank(
                        f"R{key}",
                        str(-part),
                        f"03-{chance.randrange(29, 31)}",
                        end_to_end_id=f"E{key}",
                        return_reason="AC04",
                    )
                )
            if chance.random() < 0.3:
                facts.append(told(f"T{key}", str(part), day, bank_reference=f"E{key}", party_id=who))
        if chance.random() < 0.5:
            for version, status in enumerate(
                chance.choice([["opened"], ["opened", "credited"], ["opened", "upheld"], ["credited"]]), 1
            ):
                credited = (owed * chance.choice([D("0.1"), D("0.5"), 1])).quantize(D("0.01"))
                facts.append(
                    dispute(f"D{number}", name, status, str(credited), version=version, customer_id=who,
                            reason_code=chance.choice(["PRICE", "DAMAGE", "OTHER"]))
                )  # fmt: skip
    two = [n for n in AMOUNTS if n > 4][:2]
    facts.append(bank("BX", "100.00", "03-20", *[invoice(NUMBERS[of(n)]) for n in two]))
    return facts


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 7))])
def test_any_history_in_any_order_gives_the_same_books(shaped: ShapedWarehouse, seed: int) -> None:
    """Receivable of an invoice = billed − credited − applied − written off, in the decisions and in the ledger; facts
    in another order, in other batches, or all at once by a rebuild, give the same rows."""
    chance = random.Random(seed)
    our_books(shaped)
    shaped.conn.execute(
        """insert into rules.payer (rule_id, rule_version, payer_account, customer_id, valid_from, recorded_at,
             recorded_by, note) select 'payer.' || who, 1, 'US-' || who, who, '2020-01-01', '2020-01-01', 'finance', 'x'
             from unnest(array['C1', 'C2']) as who"""
    )
    facts = history(chance)
    chance.shuffle(facts)
    bill(shaped)
    size = max(1, len(facts) // 5)
    for start in range(0, len(facts), size):
        shaped.admit(facts[start : start + size])
        shaped.settle_down(chance.sample(CONSUMERS, len(CONSUMERS)))

    ledger = receivables(shaped)
    for row in shaped.rows("select * from decisions.customer_invoice_status"):
        name = row["customer_invoice_id"]
        rest = row["invoiced_amount"] - row["credited_amount"] - row["applied_amount"] - row["written_off_amount"]
        assert row["open_amount"] == rest >= 0, row
        assert ledger[name] == rest, row
    # every cent of every payment is somewhere
    for row in shaped.rows("select * from decisions.payment_verdict"):
        assert row["amount"] == row["applied_amount"] + row["kept_amount"] + row["unapplied_amount"], row
    made = balances(shaped)
    bank_total = sum((f.columns["amount"] for f in facts if f.feed == "bank.statement_entry"), D(0))
    assert made.get("1000", D(0)) == bank_total
    assert sum(made.values()) == 0

    kept = {
        table: sorted(
            str(r["row"])
            for r in shaped.rows(f"select to_jsonb(t) - 'changed_in_run' - 'record_id' as row from {table} t")
        )
        for table in TABLES
    }
    before = shaped.rows("select count(*) from effects.movement")
    shaped.rebuild()
    for table in TABLES:
        rebuilt = sorted(
            str(r["row"])
            for r in shaped.rows(f"select to_jsonb(t) - 'changed_in_run' - 'record_id' as row from {table} t")
        )
        assert rebuilt == kept[table], table
    # looking again at everything plans nothing
    for row in shaped.rows("select payment_id from canonical.customer_payment"):
        shaped.touch(PAYMENTS, "customer_payment", row["payment_id"])
    shaped.settle_down()
    assert shaped.rows("select count(*) from effects.movement") == before


TABLES = (
    "canonical.customer_payment",
    "canonical.payment_reference",
    "canonical.customer_dispute",
    "decisions.payment_standing",
    "decisions.payment_link",
    "decisions.payment_match",
    "decisions.payment_claim",
    "decisions.payment_application",
    "decisions.payment_verdict",
    "decisions.customer_credit",
    "decisions.customer_credit_line",
)
