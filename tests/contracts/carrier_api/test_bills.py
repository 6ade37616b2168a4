"""Bills over the API: JSON -> records, and every wrong field by its name."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from freightsync.systems.carrier_api.bills import parse_bills

D = Decimal
BILL: dict[str, Any] = {
    "invoice_number": "A1",
    "invoice_on": "2026-03-10",
    "kind": "BD",
    "corrects_number": "A0",
    "currency": "EUR",
    "net_amount": "110.00",
    "tax_amount": "20.90",
    "gross_amount": "130.90",
    "shipment_reference": "SH1",
    "due_on": "2026-04-09",
    "weight_lb": "1200.5",
    "lines": [
        {"code": "400", "amount": "100.00", "tax_code": "S", "tax_rate": "19", "tax_amount": "19.00"},
        {"code": "FUE", "amount": "10.00", "order_number": "SO1"},
    ],
}


def parse(document: Any, scac: str = "BLUW", platform: str = "") -> Any:
    (parsed,) = parse_bills(json.dumps(document).encode(), scac=scac, platform=platform).values()
    return parsed


def test_a_bill_in_the_shape_of_every_bill() -> None:
    parsed = parse(BILL)
    assert parsed.rejects == []
    (record,) = parsed.records
    assert (record.position, record.amount, record.currency) == ("bill", D("110.00"), "EUR")
    kept = {name: value for name, value in record.values.items() if value is not None}
    assert kept == {
        "source": "carrier.invoice_api",
        "scac": "BLUW",
        "invoice_number": "A1",
        "correction": "BD",
        "corrects_number": "A0",
        "invoice_on": dt.date(2026, 3, 10),
        "due_on": dt.date(2026, 4, 9),
        "shipment_reference": "SH1",
        "weight_lb": D("1200.5"),
        "net_amount": D("110.00"),
        "tax_amount": D("20.90"),
        "gross_amount": D("130.90"),
        "lines_total": D("110.00"),
        "line_count": 2,
    }
    assert record.lines[1]["order_number"] == "SO1"


def test_an_audit_platform_names_the_carrier_and_is_the_biller() -> None:
    (record,) = parse({"invoices": [{**BILL, "scac": "NRDF"}]}, scac="", platform="clearbill").records
    assert (record.position, record.values["scac"], record.values["biller"]) == ("invoices[0]", "NRDF", "clearbill")
    (reject,) = parse({"invoices": [BILL]}, scac="", platform="clearbill").rejects
    assert "invoices[0].scac is missing" in reject.messages[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"invoice_number": ""}, "invoice_number is missing"),
        ({"invoice_on": "10.03.2026"}, "invoice_on"),
        ({"net_amount": "120.00"}, "net_amount 120.00 differs from the sum of the lines 110.00 by 10.00"),
        ({"gross_amount": "131.90"}, "gross_amount 131.90 differs from net_amount and tax by 1.00"),
        ({"net_amount": "abc"}, "net_amount"),
        ({"net_amount": "110.001", "lines": [{"code": "4", "amount": "110.001"}]}, "finer than a cent"),
        ({"net_amount": 1e30}, "net_amount"),
        ({"currency": "euro"}, "three-letter"),
        ({"currency": "JPY", "net_amount": "110.5", "lines": [{"code": "4", "amount": "110.5"}]}, "whole units"),
        ({"kind": "XX"}, "kind 'XX'"),
        ({"scac": "NRDF"}, "not the carrier that calls"),
        ({"lines": []}, "lines is empty"),
        ({"lines": None}, "lines is missing"),
        ({"lines": [{"amount": "110.00"}]}, "lines[0].code is missing"),
        ({"lines": [{"code": "4", "amount": "110.00", "colour": 1}]}, "lines[0].colour is no field"),
        ({"discount": "5"}, "discount is no field of a bill"),
        ({"weight_lb": "1.00001"}, "weight_lb"),
        ({"bol_number": "a\x00b"}, "bol_number"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(change: dict[str, Any], says: str) -> None:
    changed = {**BILL, **change}
    if "net_amount" in change and "gross_amount" not in change:
        changed = {name: value for name, value in changed.items() if name not in ("tax_amount", "gross_amount")}
    parsed = parse({"invoices": [changed, {**BILL, "invoice_number": "A2"}]})
    assert [record.values["invoice_number"] for record in parsed.records] == ["A2"]
    (reject,) = parsed.rejects
    assert says in reject.messages[0]
    assert parsed.units == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"invoices": []}', b'{"invoices": {}}', b"[" * 100_000])
def test_what_is_no_bill_is_one_unreadable_document(body: bytes) -> None:
    (parsed,) = parse_bills(body, scac="BLUW").values()
    assert parsed.unreadable is not None


def test_each_of_a_list_stands_for_itself() -> None:
    parsed = parse({"invoices": [BILL, 5, {**BILL, "invoice_number": "A3"}]})
    assert len(parsed.records) == 2
    assert parsed.rejects[0].position == "invoices[1]"
    without = parse({name: value for name, value in BILL.items() if name != "currency"}).records[0]
    assert (without.amount, without.currency, without.values["net_amount"]) == (None, None, D("110.00"))
