"""openapi.yaml is what both sides do: the running ERP's answers and our own requests are held to it."""

from __future__ import annotations

import json
import re
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
}


@pytest.fixture
def erp(partners: Partners) -> Partners:
    version = {"version": 1, "changed_at": "2026-03-01T00:00:00+00:00"}
    partners.control("books", {"erp": {name: [{**one, **version}] for name, one in MASTER.items()}})
    return partners


def message(operation: str, payload: dict[str, Any]) -> OutboxMessage:
    return OutboxMessage(1, KEY, "erp", operation, "x", "x", "bulk", None, payload, 1)


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
                        "ledger_account": "2200",
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


@pytest.mark.parametrize("collection", list(MASTER))
def test_what_the_erp_gives_is_what_the_contract_says_and_what_we_read(erp: Partners, collection: str) -> None:
    answer = erp.call("erp", "GET", f"/api/v1/{collection}")
    page = held(answer, "GET", collection)
    assert len(page["items"]) == 1
    feed = next(feed for feed, name in codes.COLLECTIONS.items() if name == collection)
    parsed = erp_parse.parse_page(feed, answer.content)
    assert (len(parsed.records), parsed.rejects) == (1, [])
    read = {name for name, value in parsed.records[0].values.items() if value not in (None, [])}
    renamed = {"currency", "total_amount"}  # of an order: the record's money
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
