"""Whatever landing can hold of payments and disputes: what the gate lets in of it, the models can build. One entry that
no model can keep would stop every run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from receivables import our_books
from shaped import ShapedWarehouse

from freightsync.landing import land
from freightsync.landing.feeds import PAYMENT_FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.quality import gate
from freightsync.systems.parsed import Parsed, Record
from freightsync.warehouse.connection import connect

MOST = Decimal("9999999999999999.99")
MONEY = [Decimal("0"), Decimal("-5"), Decimal("1e12"), Decimal("1e13")]
"""Of a record: control totals have to hold the sum."""
EXTREMES: dict[str, list[Any]] = {
    "text": [None, "", " ", "-", "0", "é" * 300],
    "date": [None, dt.date.min, dt.date.max, dt.date(2001, 1, 1)],
    "timestamptz": [None],
    "boolean": [None, True, False],
    "numeric(18,2)": [None, *MONEY, MOST],
    "integer": [None, -1, 2**31 - 1],
    "jsonb": [
        None,
        {},
        "text",
        [],
        [1],
        [{}],
        [{"number": None}],
        [{"number": 7}],
        [{"number": "-"}],
        [{"number": "X" * 5000}],
        [{"number": "X", "amount": "1e5"}],
        [{"number": "X", "amount": "999999999999.99"}, {"number": "X", "kind": "CREN", "amount": "-999999999999.99"}],
        [{"number": f"X{n}", "amount": "0.01"} for n in range(3000)],
    ],
}
"""Per type of a column: nothing, and the ends of what it can hold."""

REQUIRED = {"entry_key", "payment_id", "dispute_id", "version"}

SOUND: dict[str, dict[str, Any]] = {
    "bank.statement_entry": {
        "statement_id": "S",
        "account": "A",
        "statement_difference": Decimal(0),
        "entry": 1,
        "entry_amount": Decimal(10),
        "details_total": Decimal(10),
        "detail": 1,
        "direction": "credit",
        "is_reversal": False,
        "status": "BOOK",
        "booked_on": dt.date(2026, 3, 10),
        "value_on": dt.date(2026, 3, 10),
        "end_to_end_id": "E",
        "documents": [{"number": "CI1", "amount": "10.00"}],
        "remittance_text": "CI0000001",
    },
    "customer.remittance": {
        "end_to_end_id": "E",
        "payer_name": "P",
        "paid_on": dt.date(2026, 3, 10),
        "documents": [{"number": "CI1", "amount": "10.00"}],
    },
    "erp.payment_status": {
        "version": 1,
        "changed_at": dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
        "party_kind": "customer",
        "party_id": "C1",
        "paid_on": dt.date(2026, 3, 10),
        "bank_reference": "E",
        "is_reversed": False,
        "documents": [{"number": "CI1"}],
    },
    "erp.dispute": {
        "version": 1,
        "changed_at": dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
        "customer_id": "C1",
        "invoice_number": "CI1",
        "reason_code": "DAMAGE",
        "status": "credited",
        "opened_on": dt.date(2026, 3, 10),
        "resolved_on": dt.date(2026, 3, 11),
        "credited_amount": Decimal(5),
    },
}


def odd_records(feed: str) -> Iterator[Record]:
    """A sound record with one value changed to each extreme of its type, and with its money changed."""
    spec = feed_named(feed)
    key = spec.columns[0].name
    changes = [
        {column.name: value}
        for column in spec.columns
        if column.name not in REQUIRED
        for value in EXTREMES[column.type]
    ]
    for number, change in enumerate([*changes, *({} for _ in MONEY), {}], 1):
        values = {**SOUND[feed], key: f"{feed} {number}", **change}
        money = Decimal(10) if number <= len(changes) else [*MONEY, None][number - len(changes) - 1]
        yield Record(number, f"row {number}", values, money, None if money is None else "USD")


@pytest.mark.timeout(600)
def test_what_the_gate_admits_can_be_built(shaped: ShapedWarehouse) -> None:
    our_books(shaped)
    with connect(shaped.settings.dsn("app")) as conn:
        for feed in PAYMENT_FEEDS:
            parsed = Parsed()
            for record in odd_records(feed):
                parsed.received(record.amount, record.currency)
                parsed.records.append(record)
            land(
                conn,
                feed=feed,
                partner="x",
                channel="sftp",
                name=feed,
                content=feed.encode(),
                parsed=parsed,
                run_id="test",
            )
        conn.commit()
        results = gate(conn, PAYMENT_FEEDS, "test", great_expectations=False)
        conn.commit()
    for result in results:
        assert result.accepted > (10 if result.feed == "customer.remittance" else 20), result
        assert result.quarantined > 10, result
    shaped.settle_down()
    shaped.rebuild()
    ((judged,),) = [row.values() for row in shaped.rows("select count(*) from decisions.payment_verdict")]
    assert judged > 20
