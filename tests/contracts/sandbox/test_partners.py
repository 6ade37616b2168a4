"""The partners behave as an ERP and a TMS that one would have to integrate with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest

from .conftest import Partners

AT = "2026-11-16T10:00:00+00:00"


def invoice(**changes: Any) -> dict[str, Any]:
    return {
        "reference": "J1",
        "customer_id": "C1",
        "order_number": "SO1",
        "shipment_ids": ["SH1"],
        "currency": "USD",
        "invoice_on": "2026-11-16",
        "total": "110.05",
        "lines": [
            {"kind": "goods", "order_line": 1, "description": "Boxes", "amount": "100.05", "ledger_account": "4000"},
            {
                "kind": "freight",
                "order_line": None,
                "description": "Freight",
                "amount": "10.00",
                "ledger_account": "4100",
            },
        ],
        **changes,
    }


def status(key: str, wanted: str, number: str = "SH1", **more: Any) -> dict[str, Any]:
    return {"idempotency_key": key, "object_type": "shipment", "object_id": number, "status": wanted, "at": AT, **more}


def update(partners: Partners, *updates: dict[str, Any]) -> list[str]:
    answer = partners.call("erp", "POST", "/api/v1/status-updates", json={"updates": list(updates)})
    assert answer.status_code == 200, answer.text
    return [r["outcome"] for r in answer.json()["results"]]


def test_a_token_is_needed_everywhere_and_a_wrong_path_is_a_problem_document(partners: Partners) -> None:
    for partner, port in partners.ports.items():
        assert partners.client.get(f"http://127.0.0.1:{port}/api/v1/events").status_code in (401, 404), partner
        refused = partners.client.get(f"http://127.0.0.1:{port}/nothing", headers={"Authorization": "Bearer x"})
        assert refused.status_code == 404
        assert refused.headers["content-type"] == "application/problem+json"
    assert partners.client.get(f"http://127.0.0.1:{partners.ports['erp']}/api/v1/customers").status_code == 401
    assert partners.call("erp", "DELETE", "/api/v1/customers").status_code == 405


def test_the_same_key_commits_once_and_another_body_under_it_is_a_conflict(partners: Partners) -> None:
    first = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k1", json=invoice())
    again = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k1", json=invoice())
    other = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k1", json=invoice(invoice_on="2026-11-17"))
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json() == again.json()
    found = partners.call("erp", "GET", "/api/v1/customer-invoices").json()["items"]
    assert [f["number"] for f in found] == [first.json()["number"]]
    assert found[0]["committed_at"] == first.json()["committed_at"]
    assert found[0]["idempotency_key"] == "k1"
    assert partners.call("erp", "POST", "/api/v1/customer-invoices", json=invoice()).status_code == 400


def test_what_was_committed_is_found_by_our_reference(partners: Partners) -> None:
    for n in range(3):
        partners.call("erp", "POST", "/api/v1/customer-invoices", key=f"k{n}", json=invoice(reference=f"J{n}"))
    found = partners.call("erp", "GET", "/api/v1/customer-invoices?reference=J1").json()["items"]
    assert [f["reference"] for f in found] == ["J1"]
    assert partners.call("erp", "GET", "/api/v1/customer-invoices?reference=J9").json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total": "110.06"}, "total"),
        ({"total": 110.05}, "total"),
        ({"total": "110.5"}, "total"),
        ({"currency": "dollars"}, "currency"),
        ({"invoice_on": "16/11/2026"}, "invoice_on"),
        ({"shipment_ids": "SH1"}, "shipment_ids"),
        ({"lines": []}, "lines"),
        (
            {"lines": [{"kind": "goods", "amount": "110.05", "ledger_account": "9", "description": "x"}]},
            "lines[0].ledger_account",
        ),
        (
            {"lines": [{"kind": "tip", "amount": "110.05", "ledger_account": "4000", "description": "x"}]},
            "lines[0].kind",
        ),
        (
            {"lines": [{"kind": "tax", "amount": "110.05", "ledger_account": "2300", "description": "x"}]},
            "lines[0].tax",
        ),
        (
            {"lines": [{"kind": "tax", "amount": "110.05", "ledger_account": "4000", "description": "x"}]},
            "lines[0].ledger_account",
        ),
        (
            {"lines": [{"kind": "goods", "amount": "110.05", "ledger_account": "2300", "description": "x"}]},
            "lines[0].ledger_account",
        ),
        (
            {
                "lines": [
                    {
                        **{"kind": "goods", "amount": "110.05", "ledger_account": "4000", "description": "x"},
                        "tax": {"category": "X", "rate_percent": "19"},
                    }
                ]
            },
            "lines[0].tax.category",
        ),
        (
            {
                "lines": [
                    {
                        **{"kind": "tax", "amount": "110.05", "ledger_account": "2300", "description": "x"},
                        "tax": {"category": "S", "rate_percent": "19", "name": "VAT", "jurisdiction": "DE"},
                    }
                ]
            },
            "lines[0].tax.base",
        ),
    ],
)
def test_a_wrong_invoice_is_refused_by_field_and_leaves_no_trace(
    partners: Partners, changes: dict[str, Any], field: str
) -> None:
    refused = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice(**changes))
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert partners.call("erp", "GET", "/api/v1/trial-balance").json() == []
    assert partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()).status_code == 201


def test_the_erp_knows_its_own_customers_and_orders(partners: Partners) -> None:
    line = {"line": 1, "item_id": "I1", "quantity": 1}
    order = {"order_number": "SO1", "customer_id": "C1", "lines": [line]}
    partners.control(
        "books",
        {
            "erp": {
                "customers": [{"customer_id": c, "invoice_per": "shipment"} for c in ("C1", "C2")],
                "sales-orders": [order],
            }
        },
    )
    for changes, field in (
        ({"customer_id": "C9"}, "customer_id"),
        ({"customer_id": "C2"}, "customer_id"),
        ({"order_number": "SO9"}, "order_number"),
        ({"lines": [invoice()["lines"][0] | {"order_line": 7, "amount": "110.05"}]}, "lines[0].order_line"),
    ):
        refused = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice(**changes))
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()).status_code == 201
    assert [e["key"] for e in partners.control("log?kind=committed")["items"]] == ["SO1/SH1"]


def test_statuses_go_up_the_ladder_step_by_step(partners: Partners) -> None:
    assert update(partners, status("a", "tendered"), status("b", "planned")) == ["refused", "accepted"]
    assert update(partners, status("c", "planned"), status("d", "in_transit"), status("e", "tendered")) == [
        "refused",
        "refused",
        "accepted",
    ]
    # a declined tender: back, once the reason is given
    assert update(partners, status("f", "planned")) == ["refused"]
    assert (
        update(partners, status("g", "planned", reason="tender_declined"), status("h", "tendered")) == ["accepted"] * 2
    )
    assert update(partners, status("i", "in_transit"), status("j", "delivered")) == ["accepted"] * 2
    assert update(partners, status("k", "cancelled"), status("l", "in_transit")) == ["refused"] * 2
    assert update(partners, status("m", "cancelled", "SH2"), status("n", "planned", "SH2")) == ["accepted", "refused"]
    kept = partners.call("erp", "GET", "/api/v1/statuses").json()["items"]
    assert [s["status"] for s in kept if s["object_id"] == "SH1"] == [
        "planned",
        "tendered",
        "planned",
        "tendered",
        "in_transit",
        "delivered",
    ]


def test_an_update_that_was_accepted_is_answered_the_same_again(partners: Partners) -> None:
    first = partners.call("erp", "POST", "/api/v1/status-updates", json={"updates": [status("a", "planned")]}).json()
    again = partners.call("erp", "POST", "/api/v1/status-updates", json={"updates": [status("a", "planned")]}).json()
    assert first == again
    assert update(partners, status("a", "tendered")) == ["refused"]
    assert len(partners.call("erp", "GET", "/api/v1/statuses").json()["items"]) == 1
    too_many = {"updates": [status(str(n), "planned", f"S{n}") for n in range(201)]}
    assert partners.call("erp", "POST", "/api/v1/status-updates", json=too_many).status_code == 422


def test_freight_plans_never_go_back_a_version(partners: Partners) -> None:
    def plan(key: str, version: int) -> str:
        plan = {
            "idempotency_key": key,
            "shipment_id": "SH1",
            "plan_version": version,
            "scac": "NRDF",
            "booking_reference": "B1",
            "order_numbers": ["SO1"],
            "estimated_freight": "100.10",
            "currency": "USD",
        }
        answer = partners.call("erp", "POST", "/api/v1/freight-plans", json={"plans": [plan]})
        return str(answer.json()["results"][0]["outcome"])

    assert [plan("a", 2), plan("a", 2), plan("b", 1), plan("c", 3)] == ["accepted", "accepted", "refused", "accepted"]
    kept = partners.call("erp", "GET", "/api/v1/freight-plans").json()["items"]
    assert [p["plan_version"] for p in kept] == [2, 3]


def test_the_trial_balance_balances_over_every_kind_of_document(partners: Partners) -> None:
    journal = {
        "reference": "J2",
        "posted_on": "2026-11-16",
        "currency": "USD",
        "lines": [
            {
                "debit_account": "6100",
                "credit_account": "2150",
                "amount": "100.33",
                "shipment_id": "SH1",
                "charge_code": "LINEHAUL",
                "cause": "delivery|SH1",
            },
            {
                "debit_account": "2150",
                "credit_account": "6100",
                "amount": "0.33",
                "shipment_id": "SH1",
                "charge_code": "LINEHAUL",
                "cause": "invoice|1",
            },
        ],
    }
    line = {"charge_code": "LINEHAUL", "shipment_id": "SH1"}
    supplier = {
        "reference": "J3",
        "scac": "NRDF",
        "invoice_number": "N1",
        "currency": "USD",
        "invoice_on": "2026-11-16",
        "total": "80.00",
        "lines": [
            {**line, "amount": "100.00", "debit_account": "6100", "credit_account": "2100"},
            {**line, "amount": "20.00", "debit_account": "2100", "credit_account": "6100"},
        ],
    }
    assert partners.call("erp", "POST", "/api/v1/journal-entries", key="1", json=journal).status_code == 201
    assert partners.call("erp", "POST", "/api/v1/supplier-invoices", key="2", json=supplier).status_code == 201
    assert (
        partners.call(
            "erp", "POST", "/api/v1/supplier-invoices", key="3", json=supplier | {"total": "120.00"}
        ).status_code
        == 422
    )
    assert partners.call("erp", "POST", "/api/v1/customer-invoices", key="4", json=invoice()).status_code == 201
    credit = invoice(
        reference="J4",
        total="-0.05",
        lines=[{"kind": "goods", "order_line": 1, "description": "x", "amount": "-0.05", "ledger_account": "4000"}],
    )
    assert partners.call("erp", "POST", "/api/v1/customer-invoices", key="5", json=credit).status_code == 201
    zero = journal | {"lines": [journal["lines"][0] | {"amount": "0.00"}]}  # type: ignore[index]
    assert (
        partners.call("erp", "POST", "/api/v1/journal-entries", key="6", json=zero).json()["field"] == "lines[0].amount"
    )

    balance = partners.call("erp", "GET", "/api/v1/trial-balance").json()
    assert {r["account"]: (r["debit"], r["credit"]) for r in balance} == {
        "1200": ("110.05", "0.05"),
        "2100": ("20.00", "100.00"),
        "2150": ("0.33", "100.33"),
        "4000": ("0.05", "100.05"),
        "4100": ("0.00", "10.00"),
        "6100": ("200.33", "20.33"),
    }
    assert sum(Decimal(r["debit"]) - Decimal(r["credit"]) for r in balance) == 0
    owed = partners.call("erp", "GET", "/api/v1/supplier-invoices").json()["items"][0]["lines"]
    assert [line["owed"] for line in owed] == ["100.00", "-20.00"]


def test_a_delta_is_read_in_pages_and_its_cursor_again_later(partners: Partners) -> None:
    customers = [{"customer_id": f"C{n}", "version": 1} for n in range(7)]
    partners.control("books", {"erp": {"customers": customers}})

    def read(cursor: str) -> tuple[list[str], str, bool]:
        page = partners.call("erp", "GET", "/api/v1/customers", params={"cursor": cursor, "limit": 3}).json()
        return [c["customer_id"] for c in page["items"]], page["next_cursor"], page["more"]

    first, cursor, more = read("")
    assert (first, more) == (["C0", "C1", "C2"], True)
    second, cursor, _ = read(cursor)
    third, end, more = read(cursor)
    assert (second, third, more) == (["C3", "C4", "C5"], ["C6"], False)
    assert read(end) == ([], end, False)
    partners.control("books", {"erp": {"customers": [{"customer_id": "C0", "version": 2}]}})
    assert read(end)[0] == ["C0"]
    assert read(cursor)[0] == ["C6", "C0"]
    refused = partners.call("erp", "GET", "/api/v1/customers", params={"cursor": "nonsense"})
    assert (refused.status_code, refused.json()["field"]) == (400, "cursor")
    other = partners.call("erp", "GET", "/api/v1/items", params={"cursor": end})
    assert other.status_code == 400


@pytest.mark.parametrize(("kind", "code"), [("429", 429), ("503", 503)])
def test_faults_come_as_often_as_ordered_and_commit_nothing(partners: Partners, kind: str, code: int) -> None:
    partners.control("faults", {"kind": kind, "path_prefix": "/api/v1/customer-inv", "count": 2, "retry_after": 0.25})
    answers = [partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()) for _ in range(3)]
    assert [a.status_code for a in answers] == [code, code, 201]
    assert answers[0].headers["Retry-After"] == "0.25"
    assert partners.call("erp", "GET", "/api/v1/statuses").status_code == 200
    assert len(partners.control("log?kind=fault")["items"]) == 2
    refused = partners.call("erp", "POST", "/_sandbox/faults", json={"kind": "flood", "path_prefix": "/"})
    assert refused.status_code == 422


def test_commit_then_drop_commits_and_says_nothing(partners: Partners) -> None:
    partners.control("faults", {"kind": "commit_then_drop", "path_prefix": "/api/v1/customer-invoices", "count": 1})
    with pytest.raises(httpx.TransportError):
        partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice())
    found = partners.call("erp", "GET", "/api/v1/customer-invoices?reference=J1").json()["items"]
    assert len(found) == 1
    again = partners.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice())
    assert (again.status_code, again.json()["number"]) == (200, found[0]["number"])


def order(version: int = 1, **changes: Any) -> dict[str, Any]:
    size = {"pallet_length_in": "48.00", "pallet_width_in": 40, "pallet_height_in": None}
    return {
        "order_number": "SO1",
        "version": version,
        "ship_to_id": "T1",
        "lines": [{"line": 1, "item_id": "I1", "quantity": 5, **size}],
        **changes,
    }


def test_the_tms_takes_changes_and_cancels_orders_forwards_only(partners: Partners) -> None:
    def call(method: str, path: str, document: dict[str, Any], key: str) -> int:
        return partners.call("tms", method, f"/api/v1/orders{path}", key=key, json=document).status_code

    assert call("PUT", "/SO1", order(), "a") == 404
    assert call("POST", "", order(), "b") == 201
    assert call("POST", "", order(), "b") == 200
    assert call("POST", "", order(), "c") == 409
    assert call("PUT", "/SO1", order(1), "d") == 409
    assert call("PUT", "/SO1", order(2), "e") == 200
    assert call("POST", "/SO1/cancel", {"version": 3}, "f") == 200
    assert call("PUT", "/SO1", order(4), "g") == 409
    kept = partners.call("tms", "GET", "/api/v1/orders").json()["items"]
    assert [(k["version"], k["status"]) for k in kept] == [(1, "released"), (2, "released"), (3, "cancelled")]
    assert kept[0]["lines"][0]["pallet_width_in"] == "40.00"
    bad = partners.call(
        "tms",
        "POST",
        "/api/v1/orders",
        key="h",
        json=order(order_number="SO2", lines=[{"line": 1, "item_id": "I", "quantity": 0}]),
    )
    assert (bad.status_code, bad.json()["field"]) == (422, "lines[0].quantity")


def test_books_outlive_the_process(start_partners: Callable[..., Partners]) -> None:
    first = start_partners()
    assert first.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()).status_code == 201
    first.control("faults", {"kind": "503", "path_prefix": "/api/v1/customer-invoices", "count": 1})
    first.thread.stop()
    second = start_partners()
    assert second.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()).status_code == 503
    assert second.call("erp", "POST", "/api/v1/customer-invoices", key="k", json=invoice()).status_code == 200
    second.control("reset", {})
    assert second.call("erp", "GET", "/api/v1/trial-balance").json() == []
    assert second.call("erp", "GET", "/api/v1/customer-invoices").json()["items"] == []


def test_many_calls_at_once_are_numbered_without_gaps(partners: Partners) -> None:
    def post(n: int) -> int:
        answer = partners.call("erp", "POST", "/api/v1/customer-invoices", key=f"k{n}", json=invoice(reference=f"J{n}"))
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, range(120))) == {201}
    page = partners.call("erp", "GET", "/api/v1/customer-invoices", params={"limit": 1000}).json()["items"]
    assert sorted(p["number"] for p in page) == [f"CI{n:07d}" for n in range(1, 121)]
