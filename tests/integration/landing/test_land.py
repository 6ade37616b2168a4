"""Landing against a real PostgreSQL: once, counted, in one transaction."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from freightsync.landing import land
from freightsync.landing.store import SMALL, canonical
from freightsync.systems.parsed import Parsed, Record, Reject
from freightsync.warehouse.connection import connect


def invoice(number: str, amount: str = "100.00", ordinal: int = 1) -> Record:
    values = {
        "source": "carrier.invoice_x12",
        "scac": "NRDF",
        "invoice_number": number,
        "correction": "",
        "invoice_on": dt.date(2026, 3, 2),
        "net_amount": Decimal(amount),
        "lines_total": Decimal(amount),
        "line_count": 2,
    }
    half = (Decimal(amount) / 2).quantize(Decimal("0.01"))
    lines = [
        {"line": 1, "partner_code": "400", "line_amount": half, "shipment_reference": "SH1"},
        {"line": 2, "partner_code": "FUE", "line_amount": Decimal(amount) - half},
    ]
    return Record(ordinal, f"segment {ordinal} byte 0", values, Decimal(amount), "USD", lines)


def parsed(*units: Record | Reject) -> Parsed:
    out = Parsed()
    for unit in units:
        out.received(unit.amount, unit.currency)
        (out.records if isinstance(unit, Record) else out.rejects).append(unit)  # type: ignore[arg-type]
    return out


def put(conn: psycopg.Connection[Any], content: bytes, what: Parsed, name: str = "210_1.edi") -> Any:
    return land(
        conn,
        feed="carrier.invoice_x12",
        partner="nrdf",
        channel="sftp",
        name=name,
        content=content,
        parsed=what,
        run_id="test",
    )


def rows(conn: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return conn.execute(query).fetchall()


@pytest.fixture
def conn(warehouse: Any) -> Any:
    with connect(warehouse.app) as connection:
        yield connection


def test_a_document_lands_whole_with_its_lines_totals_and_one_correlation_id(conn: Any) -> None:
    reject = Reject(3, "segment 40 byte 900", ("truncated_transaction",), ("cut off",), "ST*210\x00", "N-3")
    landed = put(conn, b"bytes", parsed(invoice("N-1"), invoice("N-2", "50.50", 2), reject))
    assert (landed.received, landed.records, landed.rejects, landed.duplicates) == (3, 2, 1, 0)
    assert rows(conn, "select content, readable from landing.document") == [(b"bytes", True)]
    assert rows(conn, "select currency, records, amount from landing.control_total order by 1") == [
        ("USD", 2, Decimal("150.50")),
        (None, 1, None),
    ]
    assert rows(
        conn,
        "select invoice_number, l.line, l.partner_code, l.line_amount from landing.carrier_invoice"
        " join landing.carrier_invoice_line l using (record_id) order by 1, 2",
    ) == [
        ("N-1", 1, "400", Decimal("50.00")),
        ("N-1", 2, "FUE", Decimal("50.00")),
        ("N-2", 1, "400", Decimal("25.25")),
        ("N-2", 2, "FUE", Decimal("25.25")),
    ]
    (found,) = rows(conn, "select natural_key, reasons, payload->>'raw', record_id from quality.quarantine")
    assert found == ("N-3", ["truncated_transaction"], "ST*210�", None)
    assert rows(
        conn,
        "select count(distinct r.correlation_id) from landing.record r join landing.document using (correlation_id)",
    ) == [(1,)]
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS  # only the reads above


def test_the_same_bytes_again_are_one_document_and_count_as_duplicates(conn: Any) -> None:
    first = put(conn, b"bytes", parsed(invoice("N-1"), invoice("N-2", "50.50", 2)))
    again = put(conn, b"bytes", parsed(invoice("N-1"), invoice("N-2", "50.50", 2)), name="copy.edi")
    assert again.duplicate_document
    assert again.document_id == first.document_id
    assert rows(conn, "select count(*) from landing.carrier_invoice") == [(2,)]
    assert rows(conn, "select kind, name, records, amount, currency, first_document_id from landing.duplicate") == [
        ("document", "copy.edi", 2, Decimal("150.50"), "USD", first.document_id)
    ]
    assert rows(conn, "select sum(records), sum(amount) from landing.control_total") == [(4, Decimal("301.00"))]


def test_a_record_again_in_another_document_or_twice_in_one_is_a_duplicate_with_its_money(conn: Any) -> None:
    put(conn, b"one", parsed(invoice("N-1")))
    landed = put(conn, b"two", parsed(invoice("N-1"), invoice("N-9", "9.00", 2), invoice("N-9", "9.00", 3)))
    assert (landed.records, landed.duplicates) == (1, 2)
    found = rows(conn, "select ordinal, kind, amount, first_record_id is not null from landing.duplicate order by 1")
    assert found == [
        (1, "record", Decimal("100.00"), True),
        (3, "record", Decimal("9.00"), True),
    ]
    assert rows(conn, "select count(*) from landing.carrier_invoice_line") == [(4,)]


@pytest.mark.parametrize("changed", ["net", "line", "date"])
def test_anything_else_in_it_is_another_record(conn: Any, changed: str) -> None:
    put(conn, b"one", parsed(invoice("N-1")))
    other = invoice("N-1")
    if changed == "net":
        other = invoice("N-1", "100.01")
    elif changed == "line":
        other.lines = [{**other.lines[0], "shipment_reference": "SH2"}, other.lines[1]]
    else:
        other.values = {**other.values, "invoice_on": dt.date(2026, 3, 3)}
    assert put(conn, b"two", parsed(other)).records == 1


def test_many_records_go_by_copy_with_the_same_outcome(conn: Any) -> None:
    many = [invoice(f"N-{i}", f"{i}.25", i) for i in range(1, 3 * SMALL + 1)]
    landed = put(conn, b"many", parsed(*many))
    assert (landed.records, landed.duplicates) == (3 * SMALL, 0)
    assert rows(conn, "select count(*), sum(line_amount) from landing.carrier_invoice_line") == [
        (6 * SMALL, sum((Decimal(f"{i}.25") for i in range(1, 3 * SMALL + 1)), Decimal(0)))
    ]
    again = put(conn, b"many again", parsed(*many))
    assert (again.records, again.duplicates) == (0, 3 * SMALL)
    few = put(conn, b"few", parsed(*many[:5]))
    assert (few.records, few.duplicates) == (0, 5), "a record has one identity, whichever way it travels"


def test_nested_lists_and_times_survive_both_ways(conn: Any) -> None:
    lines = [{"line": 1, "item_id": "I1", "amount": "10.00", "note": 'a "quoted" \\ tab\t'}]
    for count, content in ((1, b"small"), (SMALL + 1, b"large")):
        what = Parsed()
        for i in range(count):
            what.received(Decimal("10.00"), "USD")
            what.records.append(
                Record(
                    i + 1,
                    f"items[{i}]",
                    {
                        "order_number": f"SO{count}-{i}",
                        "version": 1,
                        "requested_from": dt.datetime(2026, 3, 1, 8, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
                        "lines": lines,
                    },
                    Decimal("10.00"),
                    "USD",
                )
            )
        land(
            conn,
            feed="erp.sales_order",
            partner="erp",
            channel="api",
            name="page",
            content=content,
            parsed=what,
            run_id="t",
        )
    found = rows(conn, "select distinct lines, requested_from from landing.sales_order")
    assert found == [(lines, dt.datetime(2026, 3, 1, 13, tzinfo=dt.UTC))]


def test_an_unreadable_document_is_one_quarantined_unit_and_its_copy_one_duplicate(conn: Any) -> None:
    broken = Parsed.nothing("unreadable_interchange", "the ISA is broken: ask for it again")
    first = put(conn, b"\x00ISA?", broken, name="210_bad.edi")
    assert (first.readable, first.received, first.rejects) == (False, 1, 1)
    assert rows(conn, "select natural_key, reasons, is_document, amount from quality.quarantine") == [
        ("210_bad.edi", ["unreadable_interchange"], True, None)
    ]
    assert put(conn, b"\x00ISA?", broken, name="210_bad_2.edi").duplicates == 1
    assert rows(conn, "select records, is_document from landing.control_total") == [(1, True), (1, True)]
    assert rows(conn, "select bool_and(balanced) from ops.control_total_check") == [(True,)]


def test_a_crash_before_commit_leaves_nothing(warehouse: Any) -> None:
    with connect(warehouse.app) as conn:
        conn.execute("select 1")  # the caller's transaction
        assert put(conn, b"bytes", parsed(invoice("N-1"))).records == 1
        conn.rollback()
    with connect(warehouse.app) as conn:
        assert rows(conn, "select count(*) from landing.batch") == [(0,)]
        assert rows(conn, "select count(*) from landing.record") == [(0,)]


def test_two_at_once_land_it_once(warehouse: Any) -> None:
    def go(name: str) -> Any:
        with connect(warehouse.app) as conn:
            return put(conn, b"same", parsed(*[invoice(f"N-{i}", "5.00", i) for i in range(1, 40)]), name=name)

    with ThreadPoolExecutor(4) as pool:
        landed = list(pool.map(go, ["a", "b", "c", "d"]))
    assert sorted(one.records for one in landed) == [0, 0, 0, 39]
    with connect(warehouse.app) as conn:
        assert rows(conn, "select count(*) from landing.carrier_invoice") == [(39,)]
        assert rows(conn, "select sum(records), sum(amount) from landing.duplicate") == [(117, Decimal("585.00"))]


def test_equal_values_have_one_canonical_text() -> None:
    east = dt.datetime(2026, 3, 1, 8, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    assert canonical(Decimal("1.50")) == canonical(Decimal("1.5")) == "1.5"
    assert canonical(Decimal("1E+3")) == "1000"
    assert canonical(east) == canonical(east.astimezone(dt.UTC))
    assert canonical({"b": Decimal("2.0"), "a": 1}) == canonical(json.loads('{"a": 1, "b": "2"}'))
