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
from freightsync.landing.feeds import AUDIT_FEED, INVOICE_FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.pipelines import build
from freightsync.quality import gate
from freightsync.systems.parsed import Parsed, Record
from freightsync.warehouse.connection import connect

NRDF = {
    "carrier_id": "K1",
    "version": 1,
    "changed_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    "scac": "NRDF",
    "carrier_currency": "USD",
}

MOST = Decimal("9999999999999999.99")
EXTREMES: dict[str, list[Any]] = {
    "text": [None, "", " ", "-", "0", "é" * 300],
    "date": [None, dt.date.min, dt.date.max],
    "numeric(12,3)": [None, Decimal("-1"), Decimal("999999999.999")],
    "numeric(18,2)": [None, Decimal("0"), Decimal("-5"), MOST, Decimal("1e12")],
    "numeric(7,4)": [None, Decimal("0"), Decimal("-999.9999"), Decimal("999.9999")],
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
    # every third names no currency: the contract's counts
    known = number % 3 > 0
    return Record(number, f"row {number}", values, Decimal(1) if known else None, "USD" if known else None, lines)


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
            if column.name in ("tax_amount", "gross_amount") and isinstance(value, Decimal) and value < MOST:
                net = Decimal(100)
                tax = value if column.name == "tax_amount" else value - net
                changes = {"tax_amount": tax, "gross_amount": net + tax}
            yield bill(feed, number, [line(1), line(2)], **changes)
    for column in spec.lines:
        for value in EXTREMES[column.type] if column.name not in KEPT else []:
            number += 1
            yield bill(feed, number, [line(1), line(2, **{column.name: value})])
    for amounts in (["9e15"] * 3, ["9e15", "-9e15"], ["1e12"], ["999999999999.99", "0.01"], []):
        number += 1
        lines = [line(n, line_amount=Decimal(amount)) for n, amount in enumerate(amounts, 1)]
        yield bill(feed, number, lines)


def odd_results() -> Iterator[Record]:
    """The same of an audit platform's results."""
    number = 0
    spec = feed_named(AUDIT_FEED)
    sound = {
        "source": AUDIT_FEED,
        "platform_reference": "R",
        "audited_on": dt.date(2026, 3, 12),
        "scac": "NRDF",
        "invoice_number": "X1",
        "correction": "",
        "action": "short_pay",
        "billed_amount": Decimal("100.00"),
        "audited_amount": Decimal("90.00"),
        "lines_total": Decimal("90.00"),
        "line_count": 1,
    }
    charge = {"line": 1, "partner_code": "400", "billed_amount": Decimal(100), "audited_amount": Decimal(90)}
    for column in spec.columns:
        for value in EXTREMES[column.type] if column.name not in KEPT else []:
            if column.name == "correction" and value is None:
                continue
            number += 1
            yield Record(number, "", {**sound, column.name: value}, Decimal(90), "USD", [charge])
    for column in spec.lines:
        for value in EXTREMES[column.type] if column.name not in KEPT else []:
            number += 1
            values = {**sound, "platform_reference": f"L{number}"}
            yield Record(number, "", values, Decimal(90), "USD", [{**charge, column.name: value}])
    for action in ("approve", "reject", "hold"):
        number += 1
        yield Record(number, "", {**sound, "action": action}, Decimal(90), "USD", [charge])


@pytest.mark.timeout(600)
def test_what_the_gate_admits_settlement_can_build(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, plan("S1", "NRDF", [("A", 1, 10, "100")], {"LINEHAUL": "100.00"})])
    shaped.settle_down()
    with connect(shaped.settings.dsn("app")) as conn:
        for feed, records in [
            ("erp.carrier", [Record(1, "row 1", NRDF)]),
            *((feed, list(odd_bills(feed))) for feed in INVOICE_FEEDS),
            (AUDIT_FEED, list(odd_results())),
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
        results = gate(conn, ["erp.carrier", *INVOICE_FEEDS, AUDIT_FEED], "test", great_expectations=False)
        conn.commit()
    for result in results[1:]:
        assert result.accepted > 20
        assert result.quarantined > 10
    shaped.settle_down()
    ((judged,),) = [row.values() for row in shaped.rows("select count(*) from decisions.invoice_verdict")]
    assert judged == sum(result.accepted for result in results[1:-1])
    for relation in ("stg_carriers__invoices", "stg_carriers__invoice_lines", "stg_audit__result_lines"):
        assert shaped.rows(f"select count(*) from staging.{relation} where admitted_at is null") == [{"count": 0}]
    ((currencies, tied),) = [
        row.values()
        for row in shaped.rows(
            "select array_agg(distinct currency), bool_and(gross_amount = net_amount + tax_amount)"
            " from staging.stg_carriers__invoices"
        )
    ]
    assert (currencies, tied) == (["USD"], True)
    ((results_kept,),) = [row.values() for row in shaped.rows("select count(*) from staging.stg_audit__results")]
    assert results_kept == results[-1].accepted
    build.run_dbt("test", ["staging"], shaped.settings, exclude_types=())
