"""What an audit platform sends, as a table and as a call -> the same records; and what can't be read."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from freightsync.systems.audit.parse import mapping, parse_results, parse_table

D = Decimal
HEAD = (
    "AuditRef,AuditDate,SCAC,InvoiceNo,InvoiceType,Action,Billed,Audited,Currency,"
    "ChargeCode,ChargeBilled,ChargeAudited,ChargeReasonCode"
)
ROWS = [
    "T1,2026-03-12,NRDF,N1,INV,SHORT-PAY,110.00,100.00,USD,400,100.00,100.00,",
    "T1,2026-03-12,NRDF,N1,INV,SHORT-PAY,110.00,100.00,USD,DET,10.00,0.00,NOAUTH",
    "T2,2026-03-12,BLUW,B7,SUP,APPROVE,25.00,25.00,USD,,,,",
]
CALL: dict[str, Any] = {
    "results": [
        {
            "platform_reference": "T1",
            "audited_on": "2026-03-12",
            "scac": "NRDF",
            "invoice_number": "N1",
            "action": "short_pay",
            "billed_amount": "110.00",
            "audited_amount": "100.00",
            "currency": "USD",
            "charges": [
                {"code": "400", "billed_amount": "100.00", "audited_amount": "100.00"},
                {"code": "DET", "billed_amount": "10.00", "audited_amount": "0.00", "reason_code": "NOAUTH"},
            ],
        },
        {
            "platform_reference": "T2",
            "audited_on": "2026-03-12",
            "scac": "BLUW",
            "invoice_number": "B7",
            "kind": "SU",
            "action": "approve",
            "billed_amount": "25.00",
            "audited_amount": "25.00",
            "currency": "USD",
        },
    ]
}


def table(*rows: str) -> bytes:
    return "\n".join([HEAD, *rows, ""]).encode()


def shown(record: Any) -> Any:
    kept = {name: value for name, value in record.values.items() if value is not None}
    lines = [{name: value for name, value in line.items() if value is not None} for line in record.lines]
    return kept, lines, record.amount, record.currency


def test_a_table_and_a_call_say_the_same() -> None:
    by_table = parse_table(table(*ROWS), mapping=mapping("audit_results.yaml"))
    (by_call,) = parse_results(json.dumps(CALL).encode()).values()
    assert by_table.rejects == by_call.rejects == []
    assert [shown(record) for record in by_table.records] == [shown(record) for record in by_call.records]
    assert by_table.totals == by_call.totals == [("USD", 2, D("125.00"))]
    values, lines, amount, currency = shown(by_call.records[0])
    assert values == {
        "source": "audit.invoice_result",
        "platform_reference": "T1",
        "audited_on": dt.date(2026, 3, 12),
        "scac": "NRDF",
        "invoice_number": "N1",
        "correction": "",
        "action": "short_pay",
        "billed_amount": D("110.00"),
        "audited_amount": D("100.00"),
        "lines_total": D("100.00"),
        "line_count": 2,
    }
    assert (amount, currency) == (D("100.00"), "USD")
    assert lines[1] == {
        "line": 2,
        "partner_code": "DET",
        "billed_amount": D("10.00"),
        "audited_amount": D("0.00"),
        "reason_code": "NOAUTH",
    }
    assert by_call.records[1].values["correction"] == "SU"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"action": "hold"}, "hold"),
        ({"currency": "usd$"}, "currency"),
        ({"billed_amount": "110.001"}, "amount of money"),
        ({"billed_amount": 110.5}, None),
        ({"audited_on": "12/03/2026"}, "a date"),
        ({"scac": None}, "scac is missing"),
        ({"kind": "ZZ"}, "no kind of bill"),
        ({"charges": [{"code": "400"}]}, "charges[0].audited_amount is missing"),
        ({"charges": "none"}, "a list"),
        ({"revision": 2.5}, "whole number"),
        ({"currency": "JPY", "audited_amount": "100.50"}, "finer"),
    ],
    ids=str,
)
def test_a_result_that_cannot_be_read_names_its_field(change: dict[str, Any], says: str | None) -> None:
    first, second = CALL["results"]
    (parsed,) = parse_results(json.dumps({"results": [{**first, **change}, second]}).encode()).values()
    assert parsed.units == 2
    if says is None:
        assert not parsed.rejects, "exact as JSON writes it"
        return
    (reject,) = parsed.rejects
    assert says in reject.messages[0]
    assert len(parsed.records) == 1


def test_a_table_that_cannot_be_read() -> None:
    by = mapping("audit_results.yaml")
    parsed = parse_table(table(ROWS[0].replace("SHORT-PAY", "PAY LESS"), ROWS[2]), mapping=by)
    assert [record.values["invoice_number"] for record in parsed.records] == ["B7"]
    assert "'PAY LESS' is not mapped" in parsed.rejects[0].messages[0]
    contradicting = parse_table(table(ROWS[0], ROWS[1].replace("110.00", "111.00")), mapping=by)
    assert not contradicting.records
    assert parse_table(b"a,b\n1,2\n", mapping=by).unreadable is not None
    assert parse_results(b"{").popitem()[1].unreadable is not None
