"""Our senders against the partners' real APIs: what arrives, and what we make of answers and silence."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from freightsync.domain.errors import PartnerUnavailable, UnknownOutcome
from freightsync.domain.outbox import OutboxMessage
from freightsync.settings import Settings
from freightsync.systems import erp, tms

KEY = "01a2039c-4bb3-7549-b716-77cd31bac001"
"""A version 7 UUID of 2026-11-22T14:15:04.371Z: its first 48 bits are 1795356904371 ms."""


def new_key() -> str:
    """A key as the log makes them, version 7: the senders read the time in it."""
    return str(uuid.UUID(int=(time.time_ns() // 1_000_000) << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62)))


def message(operation: str, payload: dict[str, Any], key: str | None = None) -> OutboxMessage:
    target = "tms" if operation == "sales_order.order" else "erp"
    return OutboxMessage(
        outbox_id=1,
        key=key or new_key(),
        target=target,
        operation=operation,
        aggregate_type="shipment",
        aggregate_id="tms:SH1",
        lane="bulk",
        correlation_id=None,
        payload=payload,
        attempt=1,
    )


def settings(partners: Any) -> Settings:
    return Settings.load(
        partners={
            name: {"base_url": f"http://127.0.0.1:{partners.ports[name]}", "token": f"t-{name}"}
            for name in ("erp", "tms")
        }
    )


@pytest.fixture
def to_erp(partners: Any) -> Iterator[Any]:
    made = erp.sender(settings(partners))
    yield made
    made.close()


@pytest.fixture
def to_tms(partners: Any) -> Iterator[Any]:
    made = tms.sender(settings(partners))
    yield made
    made.close()


def status(number: str, state: str, key: str | None = None) -> OutboxMessage:
    return message("shipment.status", {"object_type": "shipment", "object_id": number, "state": state}, key)


def invoice_line(amount: str, shipment: str = "SH1", **more: Any) -> dict[str, Any]:
    return {
        "kind": "goods",
        "order_line": 1,
        "order_number": "SO1",
        "shipment_id": shipment,
        "customer_id": "C1",
        "description": "10 × IT1",
        "ledger_account": "4000",
        "invoice_on": "2026-03-02",
        "amount": amount,
        "debit_account": "1200",
        "credit_account": "4000",
        "reverses": False,
        **more,
    }


def items(partners: Any, partner: str, collection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = partners.call(partner, "GET", f"/api/v1/{collection}").json()["items"]
    return found


def test_statuses_go_out_in_one_call_and_a_refusal_stays_with_its_own(partners: Any, to_erp: Any) -> None:
    outcomes = to_erp.send([status("SH1", "planned"), status("SH2", "delivered"), status("SH3", "planned")])
    assert [outcome.verdict for outcome in outcomes] == ["accepted", "refused", "accepted"]
    assert "SH2" in outcomes[1].message
    assert {(s["object_id"], s["status"]) for s in items(partners, "erp", "statuses")} == {
        ("SH1", "planned"),
        ("SH3", "planned"),
    }


def test_a_status_sent_again_is_the_same_to_the_byte(partners: Any, to_erp: Any) -> None:
    first = to_erp.send([status("SH1", "planned", KEY)])
    again = to_erp.send([status("SH1", "planned", KEY)])
    assert again == first
    (kept,) = items(partners, "erp", "statuses")
    assert kept["at"] == "2026-11-22T14:15:04.371000+00:00"


def test_a_freight_plan_arrives_whole(partners: Any, to_erp: Any) -> None:
    payload = {
        "shipment_id": "SH1",
        "plan_version": 2,
        "scac": "NRDF",
        "booking_reference": "B7",
        "order_numbers": ["SO1", "SO2"],
        "estimated_freight": "412.50",
        "currency": "USD",
        "object_type": "shipment",
        "object_id": "SH1",
        "aspect": "plan",
        "state": "v2",
    }
    (outcome,) = to_erp.send([message("shipment.plan", payload)])
    assert outcome.verdict == "accepted"
    (kept,) = items(partners, "erp", "freight-plans")
    assert (kept["scac"], kept["order_numbers"], kept["estimated_freight"]) == ("NRDF", ["SO1", "SO2"], "412.50")


def test_an_invoice_of_two_shipments_is_one_document_that_sums(partners: Any, to_erp: Any) -> None:
    payload = {
        "currency": "USD",
        "posted_on": "2026-03-02",
        "lines": [
            invoice_line("100.10"),
            invoice_line("49.90", shipment="SH2", invoice_on="2026-03-03"),
            invoice_line("20.05", kind="freight", order_line=None, description="Freight", ledger_account="4100"),
        ],
    }
    (outcome,) = to_erp.send([message("customer_invoice", payload)])
    assert outcome.verdict == "accepted"
    (kept,) = items(partners, "erp", "customer-invoices")
    assert outcome.reference == kept["number"]
    assert (kept["total"], kept["shipment_ids"], kept["invoice_on"]) == ("170.05", ["SH1", "SH2"], "2026-03-03")


def test_a_line_that_undoes_makes_a_credit_memo(partners: Any, to_erp: Any) -> None:
    undone = invoice_line("100.00", reverses=True, debit_account="4000", credit_account="1200")
    document = {"currency": "USD", "posted_on": "2026-03-02"}
    (early,) = to_erp.send([message("customer_invoice", {**document, "lines": [undone]})])
    assert (early.verdict, "there is no invoice" in early.message) == ("refused", True)
    for line in (invoice_line("100.00"), undone):
        to_erp.send([message("customer_invoice", {**document, "lines": [line]})])
    (first, kept) = items(partners, "erp", "customer-invoices")
    assert (kept["total"], kept["document_type"], kept["refers_to"]) == ("-100.00", "credit_memo", first["invoice_id"])
    balance = {line["account"]: line for line in partners.call("erp", "GET", "/api/v1/trial-balance").json()}
    assert (balance["4000"]["debit"], balance["4000"]["credit"]) == ("100.00", "100.00")
    assert (balance["1200"]["debit"], balance["1200"]["credit"]) == ("100.00", "100.00")


def test_a_payable_and_a_credit_net_to_what_is_owed(partners: Any, to_erp: Any) -> None:
    def line(amount: str, charge: str, debit: str, credit: str) -> dict[str, Any]:
        return {
            "scac": "NRDF",
            "invoice_number": "N-7",
            "invoice_on": "2026-03-02",
            "shipment_id": "SH1",
            "charge_code": charge,
            "amount": amount,
            "debit_account": debit,
            "credit_account": credit,
            "reverses": False,
        }

    lines = [line("300.00", "LINEHAUL", "6100", "2100"), line("30.25", "DISCOUNT", "2100", "6100")]
    (outcome,) = to_erp.send([message("supplier_invoice", {"currency": "USD", "lines": lines})])
    assert outcome.verdict == "accepted"
    (kept,) = items(partners, "erp", "supplier-invoices")
    assert Decimal(kept["total"]) == Decimal("269.75")
    assert [entry["owed"] for entry in kept["lines"]] == ["300.00", "-30.25"]


def test_a_journal_keeps_the_cause_of_every_line(partners: Any, to_erp: Any) -> None:
    line = {
        "debit_account": "6100",
        "credit_account": "2150",
        "amount": "88.00",
        "shipment_id": "SH1",
        "charge_code": "LINEHAUL",
        "cause": "delivery|tms:SH1",
    }
    (outcome,) = to_erp.send([message("journal", {"currency": "USD", "posted_on": "2026-03-02", "lines": [line]})])
    assert outcome.verdict == "accepted"
    (kept,) = items(partners, "erp", "journal-entries")
    assert kept["lines"][0]["cause"] == "delivery|tms:SH1"


def test_an_erp_that_commits_and_drops_the_line_leaves_one_document(partners: Any, to_erp: Any) -> None:
    partners.control("faults", {"kind": "commit_then_drop", "path_prefix": "/api/v1/customer-invoices", "count": 1})
    payload = {"currency": "USD", "posted_on": "2026-03-02", "lines": [invoice_line("1.00")]}
    sent = message("customer_invoice", payload)
    with pytest.raises(UnknownOutcome):
        to_erp.send([sent])
    (outcome,) = to_erp.send([sent])
    assert outcome.verdict == "accepted"
    assert len(items(partners, "erp", "customer-invoices")) == 1


def test_an_erp_that_asks_us_to_wait_is_taken_at_its_word(partners: Any, to_erp: Any) -> None:
    partners.control(
        "faults", {"kind": "429", "path_prefix": "/api/v1/journal-entries", "count": 1, "retry_after": 1.5}
    )
    with pytest.raises(PartnerUnavailable) as caught:
        to_erp.send([message("journal", {"currency": "USD", "posted_on": "2026-03-02", "lines": []})])
    assert caught.value.retry_after == 1.5


def test_a_partner_that_is_not_there_had_no_effect() -> None:
    away = erp.sender(Settings.load(partners={"erp": {"base_url": "http://127.0.0.1:9", "token": "t"}}))
    with pytest.raises(PartnerUnavailable):
        away.send([status("SH1", "planned")])


def order(version: int, state: str = "released") -> OutboxMessage:
    line = {
        "line": 1,
        "item_id": "IT1",
        "quantity": 10,
        "pallets": 2,
        "pallet_length_in": "48.00",
        "pallet_width_in": "40.00",
        "pallet_height_in": "50.00",
        "weight_lb": "900.000",
    }
    payload = {
        "order_number": "SO1",
        "version": version,
        "status": state,
        "customer_id": "C1",
        "ship_to_id": "ST1",
        "currency": "USD",
        "requested_from": "2026-03-02T08:00:00+00:00",
        "requested_to": "2026-03-03T08:00:00+00:00",
        "shipping_conditions": "STD",
        "service_requirements": None,
        "lines": [line],
    }
    return message("sales_order.order", payload)


def test_an_order_is_released_changed_and_cancelled(partners: Any, to_tms: Any) -> None:
    for sent in (order(1), order(2), order(3, "cancelled")):
        (outcome,) = to_tms.send([sent])
        assert outcome.verdict == "accepted", outcome.message
    kept = items(partners, "tms", "orders")
    assert [(entry["version"], entry["status"]) for entry in kept][-1] == (3, "cancelled")


def test_an_order_whose_first_version_never_came_is_released_with_its_second(partners: Any, to_tms: Any) -> None:
    (outcome,) = to_tms.send([order(2)])
    assert outcome.verdict == "accepted", outcome.message
    assert items(partners, "tms", "orders")[0]["version"] == 2


def test_a_stale_version_is_refused_for_good(partners: Any, to_tms: Any) -> None:
    to_tms.send([order(3)])
    (outcome,) = to_tms.send([order(2)])
    assert outcome.verdict == "refused"
    assert "version 3" in outcome.message
