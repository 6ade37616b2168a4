"""From a bank's file on the SFTP server, and the ERP's word of payments and disputes, to the ERP's trial balance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deployed import copied, shaped_template
from receivables import our_books, statuses, verdicts
from shaped import ShapedWarehouse
from small_world import MASTERS, customer, order, plan, pod

from freightsync.pipelines import delivering, whole
from freightsync.sandbox.config import SftpTarget
from freightsync.settings import Settings

from .conftest import OURS, Partners

__all__ = ["shaped_template"]

D = Decimal
AS_OF = dt.datetime(2026, 4, 30, tzinfo=dt.UTC)


@pytest.fixture
def partners(start_partners: Callable[..., Partners], sftp: tuple[SftpTarget, Path]) -> Partners:
    return start_partners(sftp=sftp[0])


@pytest.fixture
def shaped(
    postgres_server: Any, shaped_template: str, partners: Partners, sftp: tuple[SftpTarget, Path]
) -> Iterator[ShapedWarehouse]:
    target, _ = sftp
    server = {"host": "127.0.0.1", "port": target.port, "user": "freightsync", "password": OURS}
    told = {
        "sftp": {**server, "host_key": target.host_key},
        "partners": {
            name: {"base_url": f"http://127.0.0.1:{partners.ports[name]}", "token": f"t-{name}"}
            for name in ("erp", "tms", "wms")
        },
    }
    with copied(postgres_server, shaped_template) as found:
        found.settings = Settings.load(**{**found.settings.model_dump(exclude_unset=True), **told})
        yield found


def run(shaped: ShapedWarehouse, name: str) -> whole.Ran:
    ran = whole.run_stages("apply_payments", name, AS_OF, shaped.settings)
    delivering.deliver_effects(name, shaped.settings)
    return ran


def balance(partners: Partners) -> dict[str, Decimal]:
    answer = partners.call("erp", "GET", "/api/v1/trial-balance").json()
    return {row["account"]: D(row["debit"]) - D(row["credit"]) for row in answer}


def put_statement(partners: Partners, statement_id: str, *details: dict[str, Any], **more: Any) -> None:
    entries = [
        {
            "reference": f"{statement_id}-{n}",
            "direction": detail.pop("direction", "credit"),
            "booked_on": "2026-03-25",
            "details": [detail],
        }
        for n, detail in enumerate(details, 1)
    ]
    statement = {
        "statement_id": statement_id,
        "account": "US0012345678",
        "currency": "USD",
        "made_at": "2026-03-25T20:00:00+00:00",
        "opening": "1000.00",
        "entries": entries,
        **more,
    }
    units = {"bank.statement_entry": len(entries)}
    partners.control(
        "act", {"actions": [{"id": statement_id, "do": "statement", "statement": statement, "units": units}]}
    )
    partners.wait(lambda: partners.control("day")["waiting"]["bank_files"] == 0)


@pytest.mark.timeout(600)
def test_from_the_banks_file_to_the_erps_ledger(shaped: ShapedWarehouse, partners: Partners, sftp: Any) -> None:
    our_books(shaped)
    terms = [customer("C1", "embedded", "shipment", "0.00", payment_terms="NET30")]
    shaped.admit(
        [
            *[fact for fact in MASTERS if fact.feed != "erp.customer"],
            *terms,
            *[
                fact
                for n, price in ((1, "100.00"), (2, "40.00"))
                for fact in (
                    order(f"O{n}", "C1", [(1, price)]),
                    plan(f"P{n}", "NRDF", [(f"O{n}", 1, 1, "5")], {"LINEHAUL": "10.00"}),
                    pod(f"P{n}", 1, "09T10"),
                )
            ],
        ]
    )
    shaped.settle_down()
    delivering.deliver_effects("invoices", shaped.settings)
    booked = {
        item["invoice_id"]: item["number"]
        for item in partners.call("erp", "GET", "/api/v1/customer-invoices").json()["items"]
    }
    assert set(booked) == {"O1/P1", "O2/P2"}

    # a statement that does not add up is kept out, and its correction comes in
    put_statement(partners, "WRONG", {"amount": "100.00", "text": "x"}, closing="1100.01")
    first = run(shaped, "r1")
    assert first.taken.by_feed["bank.statement_entry"]["quarantined"] == 1
    assert first.taken.by_feed["bank.statement_entry"]["statement_does_not_balance"] == 1
    put_statement(
        partners,
        "ST1",
        {"amount": "100.00", "documents": [{"number": booked["O1/P1"], "amount": "100.00"}], "end_to_end_id": "E1"},
        {"amount": "55.00", "direction": "debit", "text": "bank charges"},
    )
    second = run(shaped, "r2")
    assert second.taken.by_feed["bank.statement_entry"]["accepted"] == 2
    assert set(verdicts(shaped).values()) == {"applied"}
    assert statuses(shaped)["erp:O1/tms:P1"] == ("paid", D(0))
    found = balance(partners)
    assert (found["1000"], found["1200"]) == (D("100.00"), D("40.00"))
    assert found.get("2200", D(0)) == 0

    # the same statement again under another name changes nothing; the ERP tells of the same payment and of a dispute
    put_statement(
        partners,
        "ST2",
        {"amount": "100.00", "documents": [{"number": booked["O1/P1"], "amount": "100.00"}], "end_to_end_id": "E1"},
        opening="1000.00",
    )
    at = {"version": 1, "changed_at": "2026-03-26T00:00:00+00:00", "currency": "USD"}
    told = {**at, "payment_id": "P7", "party_kind": "customer", "party_id": "C1", "paid_on": "2026-03-25"}
    dispute = {
        **at,
        "dispute_id": "D1",
        "customer_id": "C1",
        "invoice_number": booked["O2/P2"],
        "reason_code": "DAMAGE",
    }
    settled = {"status": "credited", "opened_on": "2026-03-20", "resolved_on": "2026-03-22"}
    partners.control(
        "books",
        {
            "erp": {
                "payments": [{**told, "amount": "100.00", "bank_reference": "E1"}],
                "disputes": [{**dispute, **settled, "disputed_amount": "15.00", "credited_amount": "12.50"}],
            }
        },
    )
    run(shaped, "r3")
    found = balance(partners)
    assert found["1200"] == D("27.50")
    assert found["4900"] == D("12.50")
    memo = partners.call("erp", "GET", "/api/v1/customer-invoices").json()["items"][-1]
    assert (memo["document_type"], memo["refers_to"], memo["total"]) == ("credit_memo", "O2/P2", "-12.50")
    assert statuses(shaped)["erp:O2/tms:P2"] == ("credited", D("27.50"))
    assert balance(partners) == _ours(shaped)
    again = run(shaped, "r4")
    assert (again.taken.landed, again.made.effects) == (0, 0)
    lying = [path.name for path in (sftp[1] / "bank" / "inbound").iterdir()]
    assert lying == []


def _ours(shaped: ShapedWarehouse) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for row in shaped.rows("select debit_account, credit_account, amount from effects.movement"):
        found[row["debit_account"]] = found.get(row["debit_account"], D(0)) + row["amount"]
        found[row["credit_account"]] = found.get(row["credit_account"], D(0)) - row["amount"]
    return found
