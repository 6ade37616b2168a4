"""Whatever landing can hold: what the gate lets in of it, settlement can build. One bill that no model can keep would
stop every run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from shaped import ShapedWarehouse
from small_world import MASTERS, plan

from freightsync.landing import land
from freightsync.landing.feeds import feed as feed_named
from freightsync.quality import gate
from freightsync.systems.parsed import Parsed, Record
from freightsync.warehouse.connection import connect

FEEDS = ("carrier.invoice_x12", "carrier.invoice_csv")
NRDF = {"carrier_id": "K1", "version": 1, "changed_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "scac": "NRDF"}

MOST = Decimal("9999999999999999.99")
EXTREMES: dict[str, list[Any]] = {
    "text": [None, "", " ", "-", "0", "é" * 300],
    "date": [None, dt.date.min, dt.date.max],
    "numeric(12,3)": [None, Decimal("-1"), Decimal("999999999.999")],
    "numeric(18,2)": [None, Decimal("0"), Decimal("-5"), MOST, Decimal("1e12")],
    "integer": [None, -1, 2**31 - 1],
}
"""Per type of a column: nothing, and the ends of what it can hold."""

KEPT = {"source", "scac", "line"}
"""What the reader and the primary key of landing give every record."""


def bill(feed: str, number: int, lines: list[dict[str, Any]], **changes: Any) -> Record:
    net = min(sum((line["line_amount"] or Decimal(0) for line in lines), Decimal(0)), MOST)
    values = {
        "source": feed,
        "scac": "NRDF",
        "invoice_number": f"X{number}",
        "correction": "",
        "invoice_on": dt.date(2026, 3, 10),
        "ship_on": dt.date(2026, 3, 8),
        "shipment_reference": "S1",
        "net_amount": net,
        "lines_total": net,
        "line_count": len(lines),
        **changes,
    }
    return Record(number, f"row {number}", values, Decimal(1), "USD", lines)


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {"line": number, "partner_code": "400", "line_amount": Decimal("50.00"), **changes}


def odd_bills(feed: str) -> Iterator[Record]:
    """A sound bill with one value changed to each extreme of its type, and sums that leave the range."""
    number = 0
    spec = feed_named(feed)
    for column in spec.columns:
        for value in EXTREMES[column.type] if column.name not in KEPT else []:
            number += 1
            changes = {column.name: value}
            if column.name == "correction" and value is None:
                continue  # landing itself refuses it
            if column.name == "net_amount":
                changes["lines_total"] = value
            yield bill(feed, number, [line(1), line(2)], **changes)
    for column in spec.lines:
        for value in EXTREMES[column.type] if column.name not in KEPT else []:
            number += 1
            yield bill(feed, number, [line(1), line(2, **{column.name: value})])
    for amounts in (["9e15"] * 3, ["9e15", "-9e15"], ["1e12"], ["999999999999.99", "0.01"], []):
        number += 1
        lines = [line(n, line_amount=Decimal(amount)) for n, amount in enumerate(amounts, 1)]
        yield bill(feed, number, lines)


@pytest.mark.timeout(600)
def test_what_the_gate_admits_settlement_can_build(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, plan("S1", "NRDF", [("A", 1, 10, "100")], {"LINEHAUL": "100.00"})])
    shaped.settle_down()
    with connect(shaped.settings.dsn("app")) as conn:
        for feed, records in [
            ("erp.carrier", [Record(1, "row 1", NRDF)]),
            *((feed, list(odd_bills(feed))) for feed in FEEDS),
        ]:
            parsed = Parsed()
            for ordinal, record in enumerate(records, 1):
                record.ordinal = ordinal
                parsed.received(record.amount, record.currency)
                parsed.records.append(record)
            land(
                conn,
                feed=feed,
                partner="nrdf",
                channel="sftp",
                name=feed,
                content=feed.encode(),
                parsed=parsed,
                run_id="test",
            )
        conn.commit()
        results = gate(conn, ["erp.carrier", *FEEDS], "test", great_expectations=False)
        conn.commit()
    for result in results[1:]:
        assert result.accepted > 20
        assert result.quarantined > 10
    shaped.settle_down()
    ((judged,),) = [row.values() for row in shaped.rows("select count(*) from decisions.invoice_verdict")]
    assert judged == sum(result.accepted for result in results[1:])
