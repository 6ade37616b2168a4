"""openapi.yaml is what both sides do: the running ERP's answers and our own requests are held to it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker

from freightsync.domain.outbox import OutboxMessage
from freightsync.systems.erp import codes, outbound
from freightsync.systems.erp import parse as erp_parse

from .conftest import Partners

CONTRACT = Path(erp_parse.__file__).parent / "openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


def check(schema: dict[str, Any], instance: Any) -> None:
    """Raises AssertionError with every violation of a schema of the contract."""
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(instance)
    assert not (found := [f"{error.json_path}: {error.message}" for error in errors]), found


def answers_of(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][f"/{path}"][method.lower()]["responses"]
    return found


def held(answer: httpx.Response, method: str, path: str) -> Any:
    """The answer's JSON, after it was held to what the contract says of this status."""
    answers = answers_of(method, path)
    status = str(answer.status_code)
    response = answers.get(status) or answers.get(f"{status[0]}XX")
    assert response, f"{method} {path} answered {status}, which the contract does not know"
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[-1]]
    ((kind, content),) = response["content"].items()
    assert answer.headers["content-type"] == kind
    check(content["schema"], answer.json())
    return answer.json()


KEY = "01890a5d-ac96-774b-bcce-b302099a8057"

MASTER: dict[str, dict[str, Any]] = {
    "customers": {
        "customer_id": "C1",
        "freight_billing": "pass_through",
        "invoice_per": "order",
        "markup_percent": "5.0",
    },
    "ship-tos": {"ship_to_id": "S1", "customer_id": "C1", "time_zone": "America/Chicago", "postal_code": "60435"},
    "items": {"item_id": "I1", "unit_weight_lb": "12.5", "pallet_length_in": "48", "hazmat": False},
    "carriers": {"carrier_id": "K1", "scac": "NRDF", "name": "Northern Road"},
    "charge-codes": {
        "charge_code_id": "CC1",
        "scac": "*",
        "partner_code": "400",
        "charge_code": "LINEHAUL",
        "ledger_account": "6100",
        "valid_from": "2026-01-01",
    },
    "exchange-rates": {
        "exchange_rate_id": "EUR-USD/corporate/2026-03-01",
        "from_currency": "EUR",
        "to_currency": "USD",
        "rate": "1.0834",
        "source": "corporate",
        "rate_on": "2026-03-01",
    },
    "tax-profiles": {
        "profile_id": "customer:C1",
        "country": "US",
        "region": "TX",
        "status": "business",
        "tax_id": "36-1234567",
        "certificates": [{"kind": "resale", "country": "US", "region": "TX", "valid_to": "2026-12-31"}],
        "attributes": {"pickup_option": "yes"},
    },
    "tax-rates": {
        "rate_id": "R1",
        "country": "US",
        "region": "TX",
        "postal_code": "75201",
        "jurisdiction": "Dallas",
        "rate_class": "standard",
        "rate_percent": "2.0",
        "valid_from": "2026-01-01",
    },
    "purchase-orders": {
        "order_number": "PO1",
        "status": "received",
        "supplier_id": "V1",
        "billing_entity": "US",
        "currency": "USD",
        "lines": [{"line": 1, "item_id": "I1", "quantity": 100, "unit_price": "2.5"}],
    },
    "stock-positions": {
        "stock_id": "GR1",
        "order_number": "PO1",
        "order_line": 1,
        "item_id": "I1",
        "received_quantity": "100",
        "on_hand_quantity": "60.5",
        "sold_quantity": "39.5",
    },
    "sales-orders": {
        "order_number": "SO1",
        "status": "approved",
        "customer_id": "C1",
        "ship_to_id": "S1",
        "currency": "USD",
        "total_amount": "20.00",
        "requested_from": "2026-03-01T08:00:00-06:00",
        "lines": [{"line": 1, "item_id": "I1", "quantity": 2, "unit_price": "10.00", "amount": "20.00", "pallets": 1}],
    },
    "payments": {
        "payment_id": "P1",
        "party_kind": "customer",
        "party_id": "C1",
        "paid_on": "2026-03-20",
        "currency": "USD",
        "amount": "19.50",
        "bank_reference": "E2E-1",
        "short_reason": "damaged",
        "is_reversed": False,
        "documents": [{"number": "CI0000001", "kind": "CINV", "amount": "19.50"}],
    },
    "disputes": {
        "dispute_id": "D1",
        "customer_id": "C1",
        "invoice_number": "CI0000001",
        "line_kind": "goods",
        "order_line": 1,
        "reason_code": "DAMAGE",
        "status": "credited",
        "opened_on": "2026-03-12",
        "resolved_on": "2026-03-14",
        "currency": "USD",
        "disputed_amount": "1.00",
        "credited_amount": "0.50",
        "credit_memo_number": None,
        "note": "half of it",
    },
}


@pytest.fixture
def erp(partners: Partners) -> Partners:
    version = {"version": 1, "changed_at": "2026-03-01T00:00:00+00:00"}
    partners.control("books", {"erp": {name: [{**one, **version}] for name, one in MASTER.items()}})
    return partners


def message(operation: str, payload: dict[str, Any], about: str = "erp:SO1") -> OutboxMessage:
    return OutboxMessage(1, KEY, "erp", operation, "x", about, "bulk", None, payload, 1)


LINE = {"amount": "20.00", "shipment_id": "SH1", "charge_code": "LINEHAUL", "cause": "delivery|SH1"}
OURS: dict[str, Any] = {
    "customer-invoices": outbound.customer_invoice(
        message(
            "customer_invoice",
            {
                "currency": "USD",
                "lines": [
                    {
                        **LINE,
                        "customer_id": "C1",
                        "order_number": "SO1",
                        "invoice_on": "2026-03-05",
                        "kind": "goods",
                        "order_line": 1,
                        "description": "2 × I1",
                        "ledger_account": "4000",
                        "tax_category": "S",
                        "tax_rate_percent": "8.2500",
                        "tax_reason_code": None,
                        "tax_reason": "goods taxed in the state of delivery",
                    },
                    {
                        **LINE,
                        "amount": "1.25",
                        "customer_id": "C1",
                        "order_number": "SO1",
                        "invoice_on": "2026-03-05",
                        "kind": "tax",
                        "order_line": None,
                        "description": "TX state 6.25 % in US-TX on 20.00",
                        "ledger_account": "2300",
                        "tax_category": "S",
                        "tax_rate_percent": "6.2500",
                        "tax_jurisdiction": "US-TX",
                        "tax_name": "TX state",
                        "taxable_base": "20.00",
                    },
                ],
            },
        )
    ),
    "supplier-invoices": outbound.supplier_invoice(
        message(
            "supplier_invoice",
            {
                "currency": "USD",
                "lines": [
                    {
                        **LINE,
                        "scac": "NRDF",
                        "invoice_number": "N1",
                        "invoice_on": "2026-03-05",
                        "debit_account": "6100",
                        "credit_account": "2100",
                    }
                ],
            },
        )
    ),
    "journal-entries": outbound.journal(
        message(
            "journal",
            {
                "posted_on": "2026-03-05",
                "currency": "USD",
                "lines": [{**LINE, "debit_account": "6100", "credit_account": "2150"}],
            },
        )
    ),
}


CREDIT_LINE = {
    **LINE,
    "amount": "5.00",
    "customer_id": "C1",
    "order_number": "SO1",
    "invoice_on": "2026-03-14",
    "kind": "goods",
    "order_line": 1,
    "description": "Credited for DAMAGE",
    "ledger_account": "4900",
    "reason": "credited for DAMAGE",
}


def test_a_credit_memo_refers_to_its_invoice_and_takes_from_the_receivable(erp: Partners) -> None:
    payload = {"currency": "USD", "lines": [CREDIT_LINE]}
    memo = outbound.credit_memo(message("credit_memo", payload))
    check(DOCUMENT["components"]["schemas"]["CustomerInvoice"], memo)
    assert (memo["document_type"], memo["total"], memo["refers_to"]) == ("credit_memo", "-5.00", "SO1")
    early = erp.call("erp", "POST", "/api/v1/customer-invoices", key="k0", json=memo)
    assert held(early, "POST", "customer-invoices")["field"] == "refers_to"
    sound = OURS["customer-invoices"]
    assert (sound["document_type"], sound["refers_to"], sound["invoice_id"]) == ("invoice", None, "SO1")
    assert erp.call("erp", "POST", "/api/v1/customer-invoices", key="k1", json=sound).status_code == 201
    for wrong, field in (
        ({**memo, "document_type": "invoice"}, "document_type"),
        ({**memo, "refers_to": "SO2"}, "refers_to"),
    ):
        refused = erp.call("erp", "POST", "/api/v1/customer-invoices", key="k2", json=wrong)
        assert held(refused, "POST", "customer-invoices")["field"] == field
    booked = erp.call("erp", "POST", "/api/v1/customer-invoices", key="k3", json=memo)
    assert booked.status_code == 201, booked.text
    balance = {
        row["account"]: row for row in held(erp.call("erp", "GET", "/api/v1/trial-balance"), "GET", "trial-balance")
    }
    assert (balance["1200"]["debit"], balance["1200"]["credit"], balance["4900"]["debit"]) == ("21.25", "5.00", "5.00")


def test_a_credit_memo_takes_tax_from_the_tax_account(erp: Partners) -> None:
    billed = {**CREDIT_LINE, "tax_category": "S", "tax_rate_percent": "6.2500"}
    tax = {
        **billed,
        "kind": "tax",
        "amount": "0.31",
        "order_line": None,
        "ledger_account": "2300",
        "tax_jurisdiction": "US-TX",
        "tax_name": "TX state",
        "taxable_base": "5.00",
    }
    memo = outbound.credit_memo(message("credit_memo", {"currency": "USD", "lines": [billed, tax]}))
    check(DOCUMENT["components"]["schemas"]["CustomerInvoice"], memo)
    assert memo["total"] == "-5.31"
    assert (
        erp.call("erp", "POST", "/api/v1/customer-invoices", key="k1", json=OURS["customer-invoices"]).status_code
        == 201
    )
    assert erp.call("erp", "POST", "/api/v1/customer-invoices", key="k2", json=memo).status_code == 201
    balance = {
        row["account"]: row for row in held(erp.call("erp", "GET", "/api/v1/trial-balance"), "GET", "trial-balance")
    }
    assert (balance["2300"]["debit"], balance["2300"]["credit"]) == ("0.31", "1.25")


def test_a_reduced_invoice_goes_out_as_a_credit_memo_and_a_credit_taken_back_as_an_invoice() -> None:
    lines = [{**CREDIT_LINE, "reverses": True}, {**CREDIT_LINE, "amount": "1.50"}]
    reduced = outbound.customer_invoice(message("customer_invoice", {"currency": "USD", "lines": lines}, "erp:A/tms:S"))
    assert (reduced["document_type"], reduced["total"], reduced["refers_to"]) == ("credit_memo", "-3.50", "A/S")
    assert [line["amount"] for line in reduced["lines"]] == ["-5.00", "1.50"]
    back = {**CREDIT_LINE, "reverses": True}
    again = outbound.credit_memo(message("credit_memo", {"currency": "USD", "lines": [back]}, "erp:A/tms:S"))
    assert (again["document_type"], again["total"], again["refers_to"]) == ("invoice", "5.00", "A/S")


@pytest.mark.parametrize("collection", list(MASTER))
def test_what_the_erp_gives_is_what_the_contract_says_and_what_we_read(erp: Partners, collection: str) -> None:
    answer = erp.call("erp", "GET", f"/api/v1/{collection}")
    page = held(answer, "GET", collection)
    assert len(page["items"]) == 1
    feed = next(feed for feed, name in codes.COLLECTIONS.items() if name == collection)
    parsed = erp_parse.parse_page(feed, answer.content)
    assert (len(parsed.records), parsed.rejects) == (1, [])
    read = {name for name, value in parsed.records[0].values.items() if value not in (None, [])}
    renamed = {
        "currency",
        "total_amount",
        "amount",
        "disputed_amount",
        "is_reversed",
        "credit_memo_number",
    }  # money, and what is empty
    assert set(page["items"][0]) - renamed <= read, "something that the ERP gives is not read"


@pytest.mark.parametrize("collection", list(OURS))
def test_documents_that_we_send_and_read_back(erp: Partners, collection: str) -> None:
    body = OURS[collection]
    schema = DOCUMENT["paths"][f"/{collection}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check(schema, body)
    first = erp.call("erp", "POST", f"/api/v1/{collection}", key=KEY, json=body)
    assert first.status_code == 201, first.text
    booked = held(first, "POST", collection)
    again = erp.call("erp", "POST", f"/api/v1/{collection}", key=KEY, json=body)
    assert (again.status_code, held(again, "POST", collection)) == (200, booked)
    (read,) = held(erp.call("erp", "GET", f"/api/v1/{collection}"), "GET", collection)["items"]
    assert read["number"] == booked["number"]
    found = erp.call("erp", "GET", f"/api/v1/{collection}", params={"reference": body["reference"]})
    assert held(found, "GET", collection)["items"] == [read]
    other = erp.call("erp", "POST", f"/api/v1/{collection}", key=KEY, json={**body, "currency": "CAD"})
    assert (other.status_code, held(other, "POST", collection)["status"]) == (409, 409)
    wrong = {**body, "lines": [{**body["lines"][0], "amount": 20}]}
    refused = erp.call("erp", "POST", f"/api/v1/{collection}", key="other", json=wrong)
    assert held(refused, "POST", collection)["field"] == "lines[0].amount"
    with pytest.raises(AssertionError):
        check(schema, wrong)
    held(erp.call("erp", "GET", "/api/v1/trial-balance"), "GET", "trial-balance")


LINES = [
    {"account": "6100", "debit": "20.00", "credit": "0.00"},
    {"account": "2150", "debit": "0.00", "credit": "20.00"},
]


def test_the_whole_ledger_is_listed_and_read_whoever_posted(erp: Partners) -> None:
    erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=OURS["journal-entries"])
    manual = {"do": "manual", "posted_on": "2026-03-09", "currency": "USD", "lines": LINES, "note": "fees", "by": "ann"}
    number = erp.control("ledger", manual)["number"]
    reversal = erp.control("ledger", {"do": "reverse", "number": "JE0000001", "posted_on": "2026-04-01"})["number"]
    erp.control("ledger", {"do": "amend", "number": number, "posted_on": "2026-03-10"})
    answer = erp.call("erp", "GET", "/api/v1/ledger-entries")
    items = held(answer, "GET", "ledger-entries")["items"]
    assert [(e["number"], e["version"], e["sequence"], e["origin"], e["period"]) for e in items] == [
        ("JE0000001", 1, 1, "interface", "2026-03"),
        (number, 1, 2, "manual", "2026-03"),
        (reversal, 1, 3, "reversal", "2026-04"),
        (number, 2, 4, "manual", "2026-03"),
    ]
    parsed = erp_parse.parse_page("erp.journal_entry", answer.content)
    assert parsed.rejects == []
    first = parsed.records[0]
    assert (first.values["reference"], first.values["debit_total"], first.amount) == (
        KEY,
        *[first.values["credit_total"]] * 2,
    )
    renamed = {"number", "total", "currency", "lines"}  # the record's name, money and lines
    assert set(items[0]) - renamed <= set(first.values), "something that the ERP gives is not read"
    assert [tuple(line.values()) for line in first.lines] == [
        (1, "2150", Decimal("0.00"), Decimal("20.00")),
        (2, "6100", Decimal("20.00"), Decimal("0.00")),
    ]


def test_a_period_is_balanced_and_locked(erp: Partners) -> None:
    for collection in OURS:
        erp.call("erp", "POST", f"/api/v1/{collection}", key=f"{KEY}{collection}", json=OURS[collection])
    answer = erp.call("erp", "GET", "/api/v1/ledger-balances", params={"period": "2026-03"})
    balances = held(answer, "GET", "ledger-balances")
    assert balances["through_sequence"] == 3
    posted = {
        row["account"]: (row["debit"], row["credit"]) for row in balances["items"] if row["debit"] != row["credit"]
    }
    whole = held(erp.call("erp", "GET", "/api/v1/trial-balance"), "GET", "trial-balance")
    assert posted == {row["account"]: (row["debit"], row["credit"]) for row in whole}
    parsed = erp_parse.parse_balances(answer.content)
    assert (len(parsed.records), parsed.rejects) == (len(balances["items"]), [])
    assert held(erp.call("erp", "GET", "/api/v1/ledger-balances", params={"period": "March"}), "GET", "ledger-balances")

    body = {"period": "2026-03", "status": "locked", "by": "finance"}
    check(DOCUMENT["components"]["schemas"]["PeriodChange"], body)
    for status in (201, 200):
        done = erp.call("erp", "POST", "/api/v1/period-changes", key="lock", json=body)
        assert (done.status_code, held(done, "POST", "period-changes")["status"]) == (status, "locked")
    (shown,) = held(erp.call("erp", "GET", "/api/v1/periods"), "GET", "periods")["items"]
    assert (shown["period"], shown["status"], shown["changed_by"]) == ("2026-03", "locked", "finance")
    for collection in OURS:
        refused = erp.call("erp", "POST", f"/api/v1/{collection}", key=f"late {collection}", json=OURS[collection])
        problem = held(refused, "POST", collection)
        assert (problem["status"], problem["field"]) == (422, "posted_on")
        # under another day it is taken, and stands in that day's period
        later = {**OURS[collection], "posted_on": "2026-04-01"}
        taken = erp.call("erp", "POST", f"/api/v1/{collection}", key=f"late {collection}", json=later)
        assert taken.status_code == 201, taken.text
    assert (
        held(erp.call("erp", "GET", "/api/v1/ledger-balances", params={"period": "2026-03"}), "GET", "ledger-balances")[
            "items"
        ]
        == balances["items"]
    )


def test_an_erp_that_answers_and_forgets(erp: Partners) -> None:
    erp.control("faults", {"kind": "answer_then_lose", "path_prefix": "/api/v1/journal-entries", "count": 1})
    answer = erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=OURS["journal-entries"])
    assert answer.status_code == 201
    assert erp.call("erp", "GET", "/api/v1/ledger-entries").json()["items"] == []
    assert erp.call("erp", "GET", "/api/v1/trial-balance").json() == []


def test_batches_that_we_send_and_read_back(erp: Partners) -> None:
    status = outbound.status_update(
        message("shipment.status", {"object_type": "shipment", "object_id": "SH1", "state": "planned"})
    )
    plan = outbound.freight_plan(
        message(
            "shipment.plan",
            {
                "shipment_id": "SH1",
                "plan_version": 1,
                "scac": "NRDF",
                "booking_reference": "BK1",
                "order_numbers": ["SO1"],
                "estimated_freight": "410.00",
                "currency": "USD",
            },
        )
    )
    for path, name, entry, back in (
        ("status-updates", "updates", status, "statuses"),
        ("freight-plans", "plans", plan, "freight-plans"),
    ):
        schema = DOCUMENT["paths"][f"/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        entry = {**entry, "idempotency_key": f"{KEY}-{name}"}
        refused = {**entry, "idempotency_key": f"{KEY}-{name}-2", "object_id": "", "scac": ""}
        check(schema, {name: [entry]})
        answer = erp.call("erp", "POST", f"/api/v1/{path}", json={name: [entry, refused]})
        results = held(answer, "POST", path)["results"]
        assert [one["outcome"] for one in results] == ["accepted", "refused"], results
        assert len(held(erp.call("erp", "GET", f"/api/v1/{back}"), "GET", back)["items"]) == 1


def test_a_busy_erp_answers_as_the_contract_says(erp: Partners) -> None:
    for kind in ("429", "503"):
        erp.control("faults", {"kind": kind, "path_prefix": "/api/v1/journal-entries", "count": 1, "retry_after": 0.5})
        answer = erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=OURS["journal-entries"])
        assert held(answer, "POST", "journal-entries")["status"] == int(kind)
        assert answer.headers["retry-after"] == "0.5"


def test_every_reference_in_the_contract_leads_somewhere_and_every_schema_is_valid() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)):
        place: Any = DOCUMENT
        for step in reference.split("/"):
            assert step in place, reference
            place = place[step]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert all(operation.get(name) for name in ("operationId", "summary", "tags")), (path, method)


def journal(*lines: dict[str, str], **more: str) -> dict[str, Any]:
    payload = {"posted_on": "2026-03-31", "currency": "EUR", "functional_currency": "USD", **more}
    whole = [{**LINE, "debit_account": "6100", "credit_account": "2150", **line} for line in lines]
    return outbound.journal(message("journal", {**payload, "lines": whole}))


def test_a_journal_in_a_foreign_currency_is_worth_what_its_day_says(erp: Partners) -> None:
    """EUR 100 at 1.10, and the 5.00 by which it is worth more at the end of the month: an entry without an amount."""
    difference = {"debit_account": "7250", "credit_account": "2159", "amount": "0.00", "functional_amount": "5.00"}
    body = journal({"amount": "100.00", "functional_amount": "110.00"}, difference)
    schema = DOCUMENT["paths"]["/journal-entries"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    check(schema, body)
    held(erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=body), "POST", "journal-entries")
    (kept,) = held(erp.call("erp", "GET", "/api/v1/journal-entries"), "GET", "journal-entries")["items"]
    assert [(line["amount"], line["functional_amount"]) for line in kept["lines"]] == [
        ("100.00", "110.00"),
        ("0.00", "5.00"),
    ]
    balance = held(erp.call("erp", "GET", "/api/v1/trial-balance"), "GET", "trial-balance")
    sums = {row["account"]: (row["debit"], row["credit"]) for row in balance}
    books = {row["account"]: (row["functional_debit"], row["functional_credit"]) for row in balance}
    assert sums == {
        "2150": ("0.00", "100.00"),
        "2159": ("0.00", "0.00"),
        "6100": ("100.00", "0.00"),
        "7250": ("0.00", "0.00"),
    }
    assert books == {
        "2150": ("0.00", "110.00"),
        "2159": ("0.00", "5.00"),
        "6100": ("110.00", "0.00"),
        "7250": ("5.00", "0.00"),
    }


@pytest.mark.parametrize(
    ("line", "more", "field"),
    [
        ({"amount": "0.00", "functional_amount": "5.00"}, {}, "amount"),  # no exchange account
        ({"amount": "0.00", "functional_amount": "0.00", "debit_account": "7150"}, {}, "amount"),
        ({"amount": "1.00", "functional_amount": "-1.00"}, {}, "amount"),
    ],
)
def test_an_entry_without_an_amount_is_refused_unless_it_is_an_exchange_difference(
    erp: Partners, line: dict[str, str], more: dict[str, str], field: str
) -> None:
    answer = erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=journal(line, **more))
    assert (answer.status_code, answer.json()["field"]) == (422, f"lines[0].{field}")


def test_books_in_one_currency_are_not_translated(erp: Partners) -> None:
    """What is sent for a journal in the books' own currency is what was sent before there were others."""
    body = journal({"amount": "1.00", "functional_amount": "1.00"}, currency="USD")
    assert "functional_currency" not in body
    assert "functional_amount" not in body["lines"][0]
    wrong = {**body, "functional_currency": "USD", "lines": [{**body["lines"][0], "functional_amount": "2.00"}]}
    answer = erp.call("erp", "POST", "/api/v1/journal-entries", key=KEY, json=wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, "lines[0].functional_amount")
