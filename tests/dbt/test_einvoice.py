# ruff: noqa: E501  (tables, one row a line)
"""From a proven delivery to a checked e-invoice: posted, numbered by the ERP, rendered, kept; a credit names what it
corrects; what can't be an e-invoice is refused in words."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import psycopg
import pytest
from receivables import dispute
from shaped import CONSUMERS, Fact, ShapedWarehouse
from small_world import charge, customer, master, order, plan, pod

from freightsync import cli, rules
from freightsync.domain.outbox import OutboxMessage
from freightsync.einvoice import EInvoiceRefused, make, sending
from freightsync.formats import ubl
from freightsync.local import adapters

POLICY = """rule_id,rule_version,billing_entity,country,is_charged,seller_id,supply,tax_account,valid_from,recorded_at,recorded_by,note
tax.all,1,*,*,true,HAM,goods,2300,2020-01-01,2020-01-02T00:00:00+00:00,test,x
"""
SELLER = """rule_id,rule_version,seller_id,legal_name,street,city,postal_code,country,tax_id,registration_id,endpoint,endpoint_scheme,contact_name,contact_phone,contact_email,iban,bic,valid_from,recorded_at,recorded_by,note
seller.ham,1,HAM,Hamburg Handel GmbH,Kai 1,Hamburg,20457,DE,DE123456789,HRB 1,DE123456789,9930,A. Muster,+49 40 1,a@example.com,DE02120300000000202051,BYLADEM1001,2000-01-01,2000-01-01T00:00:00+00:00,test,x
"""

STOPS = [
    {"sequence": 1, "kind": "pickup", "postal_code": "20457", "country": "DE"},
    {"sequence": 2, "kind": "delivery", "postal_code": "69001", "country": "FR"},
]


def profile(name: str, **more: Any) -> Fact:
    return master("erp.tax_profile", "profile_id", profile_id=name, **more)


def buyer(name: str, country: str, tax_id: str, city: str, postal_code: str) -> list[Fact]:
    address = {"country": country, "city": city, "postal_code": postal_code, "street": "Rue 1"}
    return [
        customer(name, "pass_through", "shipment", "10.00", payment_terms="NET30"),
        profile(
            f"customer:{name}", status="business", tax_id=tax_id, legal_name=f"{name} SA", endpoint=tax_id,
            endpoint_scheme="9957" if country == "FR" else "9930", buyer_reference="B-1", **address,
        ),
        master(
            "erp.ship_to", "ship_to_id", ship_to_id=f"T{name}", customer_id=name, name=f"{name} dock", city=city,
            postal_code=postal_code, country=country,
        ),
    ]  # fmt: skip


WORLD = [
    *buyer("F", "FR", "FR40303265045", "Lyon", "69001"),
    *buyer("D", "DE", "DE111111125", "Bonn", "53111"),
    master("erp.item", "item_id", item_id="I1", description="thing"),
    profile("item:I1", tax_class="standard"),
    charge("1", "400", "LINEHAUL", "6100"),
]


def sold(number: str, to: str, price: str = "33.33", version: int = 1) -> Fact:
    made = order(number, to, [(10, price)], version=version)
    return Fact(made.feed, made.table, {**made.columns, "ship_to_id": f"T{to}", "currency": "EUR"}, made.touches)


def moved(number: str) -> list[Fact]:
    lines = [(number, 1, 10, "100")]
    return [
        plan(f"S{number}", "NRDF", lines, {"LINEHAUL": "100.00"}, stops=STOPS, currency="EUR"),
        pod(f"S{number}", 10, "09T12"),
    ]


@pytest.fixture
def selling(shaped: ShapedWarehouse, tmp_path: Path) -> ShapedWarehouse:
    for name, text in (("tax_policy", POLICY), ("tax_seller", SELLER)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    rules.load(shaped.settings.dsn("owner"), tmp_path)
    # the company is German: its books are in euros
    shaped.conn.execute(
        """insert into rules.currency_policy
           select (jsonb_populate_record(policy, '{"rule_version": 2, "functional_currency": "EUR"}')).*
           from rules.currency_policy as policy where rule_id = 'currency.default'"""
    )
    shaped.admit(WORLD)
    return shaped


def accepted(shaped: ShapedWarehouse) -> list[str]:
    """Everything that was sent is accepted by the ERP, which gives its numbers in order."""
    rows = shaped.rows(
        """insert into effects.outcome (outbox_id, attempt, outcome, reference)
           select outbox_id, 1, 'accepted', 'CI' || row_number() over (order by outbox_id)
           from effects.outbox where operation = 'customer_invoice'
           on conflict do nothing returning reference"""
    )
    return [row["reference"] for row in rows]


@pytest.mark.timeout(600)
def test_a_domestic_invoice_and_its_credit(selling: ShapedWarehouse, tmp_path: Path, monkeypatch: Any) -> None:
    selling.admit([sold("A", "D"), *moved("A")])
    selling.settle_down()
    selling.admit([sold("A", "D", "30.00", version=2)])
    selling.settle_down()
    assert accepted(selling) == ["CI1", "CI2"]
    with psycopg.connect(selling.settings.dsn("app")) as conn:
        first = make(conn, "CI1", adapters())
        second = make(conn, "CI2", adapters())
        assert first.is_new
        assert not make(conn, "CI1", adapters()).is_new
        as_charge = make(conn, "CI1", adapters(), profile="en16931", freight_as="charge")
        conn.commit()
    # 10 × 33.33 and 110.00 freight at 19 %
    invoice, _ = ubl.read(first.content)
    assert (first.profile, invoice.type_code, invoice.number) == ("xrechnung", "380", "CI1")
    assert sorted((x.quantity, x.price, x.net, x.category) for x in invoice.lines) == [
        (D(1), D("110"), D("110.00"), "S"),
        (D(10), D("33.33"), D("333.30"), "S"),
    ]
    assert (invoice.totals.net, invoice.totals.tax, invoice.totals.gross) == (D("443.30"), D("84.23"), D("527.53"))
    assert str(invoice.due_on) == "2026-04-08"
    assert (invoice.sales_order, invoice.despatch) == ("A", "SA")
    # 33.30 less, and the tax of it: 84.23 - round(410.00 × 19 %)
    credit, _ = ubl.read(second.content)
    assert (credit.type_code, credit.preceding[0].number) == ("381", "CI1")
    assert (credit.totals.net, credit.totals.tax) == (D("33.30"), D("84.23") - D("77.90"))
    charged, _ = ubl.read(as_charge.content)
    assert [(a.is_charge, a.amount, a.reason_code) for a in charged.allowances] == [(True, D("110.00"), "FC")]
    assert charged.totals.gross == D("527.53")
    kept = selling.rows("select invoice_number, profile, type_code from effects.einvoice order by 1, 2")
    assert [tuple(row.values()) for row in kept] == [
        ("CI1", "en16931", "380"),
        ("CI1", "xrechnung", "380"),
        ("CI2", "xrechnung", "381"),
    ]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        selling.rows("update effects.einvoice set name = 'x'")

    for name in ("app", "owner", "dbt", "report"):
        monkeypatch.setenv(f"FREIGHTSYNC_{name.upper()}_DSN", selling.settings.dsn(name))  # type: ignore[arg-type]
    assert cli.main(["einvoice", "write", "CI1", "--out", str(tmp_path / "out")]) == 0
    file = tmp_path / "out" / "CI1.xrechnung.xml"
    assert file.read_bytes() == first.content
    assert cli.main(["einvoice", "check", str(file)]) == 0
    file.write_bytes(first.content.replace(b">527.53<", b">527.54<"))
    assert cli.main(["einvoice", "check", str(file)]) == 1
    assert cli.main(["tax", "show", "erp:A/tms:SA"]) == 0
    assert cli.main(["tax", "countries"]) == 0
    assert cli.main(["tax", "retry"]) == 0


@pytest.mark.timeout(600)
def test_a_credit_agreed_in_a_dispute_is_a_credit_note(selling: ShapedWarehouse) -> None:
    selling.admit([sold("A", "D"), *moved("A")])
    selling.settle_down()
    assert accepted(selling) == ["CI1"]
    selling.admit([dispute("D1", "CI1", "credited", "52.75", customer_id="D", currency="EUR", reason_code="PRICE")])
    selling.settle_down()
    selling.rows(
        """insert into effects.outcome (outbox_id, attempt, outcome, reference)
           select outbox_id, 1, 'accepted', 'CM1' from effects.outbox where operation = 'credit_memo' returning 1"""
    )
    with psycopg.connect(selling.settings.dsn("app")) as conn:
        credit = make(conn, "CM1", adapters()).invoice
    assert (credit.type_code, [one.number for one in credit.preceding]) == ("381", ["CI1"])
    # 52.75 of 527.53: 33.32 and 10.99 and 8.42 of it, rounded down, the last two cents with the goods
    assert (credit.totals.net, credit.totals.tax, credit.totals.gross) == (D("44.33"), D("8.42"), D("52.75"))


@pytest.mark.timeout(600)
def test_an_intra_community_supply_says_why_it_bears_no_vat(selling: ShapedWarehouse) -> None:
    selling.admit([sold("B", "F"), *moved("B")])
    selling.settle_down()
    assert accepted(selling) == ["CI1"]
    with psycopg.connect(selling.settings.dsn("app")) as conn:
        made = make(conn, "CI1", adapters())
    (subtotal,) = made.invoice.subtotals
    assert (subtotal.category, subtotal.base, subtotal.tax) == ("K", D("443.30"), D("0.00"))
    assert subtotal.reason_code == "VATEX-EU-IC"
    assert made.invoice.delivery is not None
    assert made.invoice.delivery.country == "FR"


@pytest.mark.timeout(600)
def test_what_can_not_be_an_e_invoice_is_refused(selling: ShapedWarehouse) -> None:
    selling.admit([sold("A", "D"), *moved("A")])
    selling.settle_down()
    with psycopg.connect(selling.settings.dsn("app")) as conn:
        with pytest.raises(EInvoiceRefused, match="no customer invoice CI1"):
            make(conn, "CI1", adapters())
        accepted(selling)
        with pytest.raises(EInvoiceRefused, match="no e-invoice profile nothing"):
            make(conn, "CI1", adapters(), profile="nothing")
        with pytest.raises(EInvoiceRefused, match="no country adapter"):
            make(conn, "CI1", [one for one in adapters() if one.name != "eu"])
        # the seller loses its contact and its bank: XRechnung wants them
        with psycopg.connect(selling.settings.dsn("owner")) as owner:
            owner.execute(
                """insert into rules.tax_seller (rule_id, rule_version, seller_id, legal_name, country, tax_id,
                     valid_from, recorded_by, note)
                   values ('seller.ham', 2, 'HAM', 'Hamburg', 'DE', 'DE123456789', '2000-01-01', 'test', 'x')"""
            )
        with pytest.raises(EInvoiceRefused) as error:
            make(conn, "CI1", adapters())
        assert {"profile:seller_contact", "profile:payment_means", "profile:addresses"} <= {
            finding.rule for finding in error.value.findings
        }
    assert selling.rows("select 1 from effects.einvoice") == []


def asked_for(selling: ShapedWarehouse) -> list[OutboxMessage]:
    """Messages to the access point, as delivery hands them on."""
    rows = selling.rows("select * from effects.outbox where target = 'access_point' order by outbox_id")
    return [
        OutboxMessage(
            row["outbox_id"], str(row["journal_id"]), row["target"], row["operation"], row["aggregate_type"],
            row["aggregate_id"], row["lane"], row["correlation_id"], row["payload"], 1,
        )
        for row in rows
    ]  # fmt: skip


@pytest.mark.timeout(900)
def test_who_asks_gets_each_document_once_it_has_a_number(selling: ShapedWarehouse) -> None:
    """D asks, F does not. The invoice and its credit by difference are one e-invoice each, written once the ERP has
    numbered them; one that would break a rule is refused with what to do. Looked at again, nothing more is asked for."""
    german = next(fact for fact in buyer("D", "DE", "DE111111125", "Bonn", "53111") if fact.feed == "erp.tax_profile")
    asking = {**german.columns, "attributes": {"einvoice": "yes"}, "version": 2}
    selling.admit([Fact(german.feed, german.table, asking, german.touches)])
    selling.admit([sold("A", "D"), *moved("A"), sold("B", "F"), *moved("B")])
    selling.settle_down((*CONSUMERS, "send_einvoices"))
    (first,) = asked_for(selling)
    assert (first.operation, first.aggregate_id, first.payload["profile"]) == ("einvoice", "erp:A/tms:SA", "yes")
    selling.admit([sold("A", "D", "30.00", version=2)])
    selling.settle_down((*CONSUMERS, "send_einvoices"))
    messages = asked_for(selling)
    assert [message.aggregate_id for message in messages] == ["erp:A/tms:SA", "erp:A/tms:SA"]

    sender = sending.sender(selling.settings)
    assert [outcome.verdict for outcome in sender.send(messages)] == ["retry", "retry"]
    assert accepted(selling) == ["CI1", "CI2", "CI3"]
    outcomes = sender.send(messages)
    assert [outcome.verdict for outcome in outcomes] == ["accepted", "accepted"]
    kept = selling.rows("select name, type_code from effects.einvoice order by einvoice_id")
    assert [row["name"] for row in kept] == [outcome.reference for outcome in outcomes]
    assert [row["type_code"] for row in kept] == ["380", "381"]
    # the same again is the same file, kept once
    assert [outcome.verdict for outcome in sender.send(messages)] == ["accepted", "accepted"]
    assert len(selling.rows("select 1 from effects.einvoice")) == 2

    unknown = [OutboxMessage(**{**vars(messages[0]), "payload": {**messages[0].payload, "profile": "nothing"}})]
    (refused,) = sender.send(unknown)
    assert refused.verdict == "refused"
    assert "no e-invoice profile nothing" in refused.message
    assert refused.what_to_do
    selling.touch("send_einvoices", "customer_invoice", "erp:A/tms:SA")
    selling.settle_down((*CONSUMERS, "send_einvoices"))
    assert len(asked_for(selling)) == 2
