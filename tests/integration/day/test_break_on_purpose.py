"""Broken on purpose after a day that agreed: each break must turn the comparison or the control totals red.

Breaks of our own tables happen in a transaction that is rolled back, with the owner's rights and the append-only
triggers off (the running stack has neither). Breaks of the ERP's books stay, so what counts is what each one adds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from played_day import PlayedDay

from freightsync.proof import ours
from freightsync.proof.books import open_books, partner_documents
from freightsync.proof.compare import Mismatch, compare
from freightsync.proof.outcome import complete, prove

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture
def tampered(played_day: PlayedDay) -> Iterator[psycopg.Connection[Any]]:
    """A transaction in which history can be changed, and which never happened afterwards."""
    assert played_day.code == 0, played_day.output
    connection = psycopg.connect(played_day.settings.dsn("owner"))
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def found(day: PlayedDay, connection: psycopg.Connection[Any]) -> list[Mismatch]:
    """What the proof says of our side as this connection sees it."""
    truth = complete(day.truth)
    mine = {name: rows for name, rows in truth["documents"].items() if name.startswith("ours.")}
    outcome = {"documents": ours.our_documents(connection), "control_totals": ours.control_totals(connection)}
    return list(compare({**truth, "documents": mine}, outcome).mismatches)


def break_it(connection: psycopg.Connection[Any], table: str, statement: str) -> None:
    connection.execute(f"alter table {table} disable trigger user")
    changed = connection.execute(statement)
    assert changed.rowcount == 1, "the break must hit exactly one row"


def unbalanced(connection: psycopg.Connection[Any]) -> set[object]:
    return {source["source"] for source in ours.balanced_sources(connection) if not source["balanced"]}


def test_nothing_is_broken_before(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    assert found(played_day, tampered) == []
    assert unbalanced(tampered) == set()


def test_a_landed_event_dropped(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "landing.status_event",
        """delete from landing.status_event where record_id = (
             select e.record_id from landing.status_event e
               join quality.admission a on a.feed = e.source and a.record_id = e.record_id
              where e.source = 'carrier.status_x12' order by e.record_id limit 1)""",
    )
    assert unbalanced(tampered) == {"carrier.status_x12"}
    assert [(one.key, one.field) for one in found(played_day, tampered)] == [("carrier.status_x12", "accepted")]


def test_a_quarantined_row_let_through(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "quality.admission",
        """insert into quality.admission (feed, record_id, batch_id, origin)
           select feed, record_id, batch_id, 'gate' from quality.quarantine
            where feed = 'erp.sales_order' and record_id is not null order by quarantine_id limit 1""",
    )
    assert unbalanced(tampered) == {"erp.sales_order"}
    mismatches = found(played_day, tampered)
    assert {one.field for one in mismatches} == {"accepted", "accepted_amount"}


def test_a_quarantined_row_that_vanished(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "quality.quarantine",
        """delete from quality.quarantine where quarantine_id = (
             select quarantine_id from quality.quarantine where feed like 'carrier.invoice%' limit 1)""",
    )
    assert len(unbalanced(tampered)) == 1
    assert any(one.type == "ours.quarantine" and one.kind == "missing" for one in found(played_day, tampered))


def test_a_posting_off_by_a_cent(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "effects.movement",
        """update effects.movement set amount = amount + 0.01 where movement_id = (
             select min(movement_id) from effects.movement where document_type = 'supplier_invoice')""",
    )
    mismatches = found(played_day, tampered)
    assert {one.type for one in mismatches} == {"ours.ledger"}
    assert len(mismatches) == 2, "one account's debit and another's credit"


def test_a_claim_that_nobody_saw_come_back(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "cases.dispute_event",
        """with said as (
             insert into cases.dispute_event
               (carrier_invoice_id, kind, party, currency, channel, said_by, event_sha256, said_at)
             select carrier_invoice_id, 'recovery', 'carrier', currency, 'api', 'nobody', '\\x00', now()
               from decisions.dispute where claim_open_amount > 0 order by carrier_invoice_id limit 1
             returning event_id, carrier_invoice_id)
           insert into cases.dispute_event_line (event_id, shipment_id, charge_code, amount)
           select said.event_id, line.shipment_id, line.charge_code, 0.01
             from said join decisions.dispute_line line using (carrier_invoice_id) where line.claim_open_amount > 0""",
    )
    assert [(one.type, one.field) for one in found(played_day, tampered)] == [("ours.claim", "open")]


def test_what_a_carrier_said_of_our_advice_is_lost(played_day: PlayedDay, tampered: psycopg.Connection[Any]) -> None:
    break_it(
        tampered,
        "landing.edi_answer",
        """delete from landing.edi_answer where record_id = (
             select min(record_id) from landing.edi_answer where kind = '824' and set_id = '824')""",
    )
    assert unbalanced(tampered) == {"carrier.edi_answer"}
    assert {(one.type, one.kind) for one in found(played_day, tampered)} == {
        ("control_totals", "differs"),
        ("ours.carrier_advice", "missing"),
        # as if the carrier shared it
        ("ours.advice", "differs"),
    }


@pytest.fixture
def added(played_day: PlayedDay) -> Callable[[], set[Mismatch]]:
    """Gives what the whole proof finds that it did not find before."""
    assert played_day.code == 0, played_day.output
    before = set(prove(played_day.settings, played_day.truth).mismatches)
    return lambda: set(prove(played_day.settings, played_day.truth).mismatches) - before


def post(day: PlayedDay, collection: str, body: dict[str, Any]) -> None:
    with open_books(day.settings, "erp") as erp:
        answer = erp.client.post(
            f"/api/v1/{collection}", json=body, headers={"Idempotency-Key": f"break-{secrets.token_hex(8)}"}
        )
        assert answer.status_code == 201, answer.text


def first(day: PlayedDay, collection: str) -> dict[str, Any]:
    with open_books(day.settings, "erp") as erp:
        document = next(iter(erp.entries(collection)))
    return {
        name: value
        for name, value in document.items()
        if name not in ("number", "committed_at", "idempotency_key", "invoice_per")
    }


def test_a_customer_invoice_posted_twice(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    document = first(played_day, "customer-invoices")
    before = partner_documents(played_day.settings)["erp.customer_invoice"]
    post(played_day, "customer-invoices", {**document, "reference": "again"})
    mismatches = added()
    assert {one.type for one in mismatches} == {"erp.customer_invoice", "erp.trial_balance"}
    [total] = [one for one in mismatches if one.field == "total"]
    assert Decimal(total.actual.strip("'")) == Decimal(str(before[total.key]["total"])) + Decimal(document["total"])


def test_a_payable_off_by_a_cent(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    document = first(played_day, "supplier-invoices")
    line = {name: value for name, value in document["lines"][0].items() if name != "owed"}
    before = partner_documents(played_day.settings)["erp.supplier_invoice"]
    post(
        played_day,
        "supplier-invoices",
        {**document, "reference": "a cent", "total": "0.01", "lines": [{**line, "amount": "0.01"}]},
    )
    mismatches = added()
    assert {one.type for one in mismatches} == {"erp.supplier_invoice", "erp.trial_balance"}
    [total] = [one for one in mismatches if one.field == "total"]
    assert abs(Decimal(total.actual.strip("'")) - Decimal(str(before[total.key]["total"]))) == Decimal("0.01")


def test_an_accrual_that_nobody_booked(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    documents = partner_documents(played_day.settings)
    shipment, charge = next(iter(documents["erp.accrued"])).split("/")
    line = {
        "debit_account": "6100",
        "credit_account": "2150",
        "amount": "0.01",
        "shipment_id": shipment,
        "charge_code": charge,
        "cause": f"delivery|{shipment}",
    }
    post(
        played_day,
        "journal-entries",
        {"reference": "nobody", "posted_on": "2026-03-04", "currency": "USD", "lines": [line]},
    )
    assert {(one.type, one.field) for one in added() if one.type == "erp.accrued"} == {
        ("erp.accrued", "accrued"),
        ("erp.accrued", "open"),
    }


@pytest.mark.parametrize(
    ("place", "pattern", "old", "new", "kind"),
    [
        ("access_point", "*.xml", b"", b"", "customers.einvoice"),
        ("access_point", "*.xrechnung.xml", b">380<", b">381<", "customers.einvoice"),
        ("nrdf", "824_*.edi", b"", b"", "carrier.advice"),
        ("nrdf", "824_*.edi", b"*TR*", b"*TA*", "carrier.advice"),
        ("nrdf", "997_*.edi", b"AK5*A", b"AK5*R", "carrier.answered"),
    ],
)
def test_what_partners_were_left_is_read_in_full(
    played_day: PlayedDay,
    added: Callable[[], set[Mismatch]],
    place: str,
    pattern: str,
    old: bytes,
    new: bytes,
    kind: str,
) -> None:
    """One file of ours is gone, or says something else."""
    file = sorted((played_day.home / "sftp" / place / "outbound").glob(pattern))[0]
    content = file.read_bytes()
    try:
        if old:
            assert old in content
            file.write_bytes(content.replace(old, new, 1))
        else:
            file.unlink()
        mismatches = added()
    finally:
        file.write_bytes(content)
    assert {one.type for one in mismatches} == {kind}


def test_a_charge_rated_off_by_a_cent(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    """What only the models may write is written by them, and taken back."""
    change = """update decisions.rating set net_amount = net_amount + %s where shipment_id = (
        select min(shipment_id) from decisions.rating where side = 'buy' and reason is null)"""
    with psycopg.connect(played_day.settings.dsn("dbt"), autocommit=True) as connection:
        assert connection.execute(change, ("0.01",)).rowcount == 1
        try:
            mismatches = added()
        finally:
            connection.execute(change, ("-0.01",))
    assert [(one.type, one.field) for one in mismatches] == [("ours.rated", "LINEHAUL")]


def test_a_claim_that_was_made_a_cost(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    line = {"debit_account": "6100", "credit_account": "1350", "amount": "0.01", "cause": "break"}
    post(
        played_day,
        "journal-entries",
        {"reference": "no claim", "posted_on": "2026-03-04", "currency": "USD", "lines": [line]},
    )
    assert {(one.key, one.field) for one in added() if one.type == "erp.trial_balance"} == {
        ("6100", "debit"),
        ("1350", "credit"),
    }


def test_freight_of_sold_goods_that_stays_in_stock(played_day: PlayedDay, added: Callable[[], set[Mismatch]]) -> None:
    line = {"debit_account": "1400", "credit_account": "5100", "amount": "0.01", "cause": "break"}
    post(
        played_day,
        "journal-entries",
        {"reference": "in stock", "posted_on": "2026-03-04", "currency": "USD", "lines": [line]},
    )
    assert {(one.key, one.field) for one in added() if one.type == "erp.trial_balance"} == {
        ("1400", "debit"),
        ("5100", "credit"),
    }
