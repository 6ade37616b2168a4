"""The gate against a real PostgreSQL: every record admitted or quarantined, every batch once."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from freightsync.landing.feeds import FEEDS
from freightsync.quality import gate
from freightsync.settings import find_project
from freightsync.systems.parsed import Parsed, Record, Reject
from freightsync.warehouse.connection import connect

from .conftest import call, page, put, rows, synchronise, touched

ORDER: dict[str, Any] = {
    "order_number": "SO1",
    "version": 1,
    "changed_at": "2026-03-02T08:00:00Z",
    "status": "approved",
    "customer_id": "C1",
    "ship_to_id": "ST1",
    "currency": "USD",
    "total_amount": "20.00",
    "lines": [{"line": 1, "item_id": "I1", "quantity": 2, "unit_price": "10.00", "amount": "20.00", "pallets": 1}],
}


def order(number: str, **changes: Any) -> dict[str, Any]:
    line = {**ORDER["lines"][0], **changes.pop("line", {})}
    return {**ORDER, "order_number": number, "lines": [line], **changes}


def run(conn: Any, *feeds: str) -> Any:
    return gate(conn, feeds, "run-1", great_expectations=False)


def invoice(number: str | None, **changes: Any) -> Record:
    values = {
        "source": "carrier.invoice_x12",
        "scac": "NRDF",
        "invoice_number": number,
        "correction": "",
        "invoice_on": dt.date(2026, 3, 5),
        "ship_on": dt.date(2026, 3, 2),
        "shipment_reference": "SH1",
        "net_amount": Decimal("100.00"),
        "lines_total": Decimal("100.00"),
        "line_count": 2,
    }
    lines = [
        {"line": 1, "partner_code": changes.pop("code", "400"), "line_amount": Decimal("90.00")},
        {"line": 2, "partner_code": "FUE", "line_amount": Decimal("10.00")},
    ]
    return Record(1, "segment 1", {**values, **changes}, Decimal("100.00"), "USD", lines)


def invoices(*records: Record) -> Parsed:
    parsed = Parsed()
    for n, record in enumerate(records, 1):
        record.ordinal = n
        parsed.received(record.amount, record.currency)
        parsed.records.append(record)
    return parsed


def test_orders_are_judged_by_the_master_data_each_with_all_its_reasons(conn: Any) -> None:
    synchronise(conn)
    page(
        conn,
        "erp.sales_order",
        order("SO-good"),
        order("SO-enriched", line={"pallet_length_in": "40", "pallet_width_in": "40"}),
        order("SO-customer", customer_id="C9"),
        order("SO-ship-to", ship_to_id="ST9"),
        order("SO-item", line={"item_id": "I9"}),
        order("SO-dims", line={"item_id": "I2"}),
        order("SO-partly", line={"item_id": "I2", "pallet_length_in": "1", "pallet_width_in": "1"}),
        order("SO-own-dims", line={"item_id": "I2", **dict.fromkeys(DIMENSIONS, "40")}),
        order("SO-negative", line={"quantity": -1}),
        order("SO-two", ship_to_id="ST9", line={"item_id": "I2"}),
    )
    (result,) = run(conn, "erp.sales_order")
    found = dict(rows(conn, "select natural_key, reasons from quality.quarantine"))  # type: ignore[arg-type]
    assert found == {
        "SO-customer/v1": ["unknown_customer"],
        "SO-ship-to/v1": ["unknown_ship_to"],
        "SO-item/v1": ["unknown_item"],
        "SO-dims/v1": ["missing_pallet_dimensions"],
        "SO-partly/v1": ["missing_pallet_dimensions"],
        "SO-negative/v1": ["negative_quantity"],
        "SO-two/v1": ["unknown_ship_to", "missing_pallet_dimensions"],
    }
    assert (result.verdict, result.received, result.accepted, result.quarantined) == ("failed", 10, 3, 7)
    assert result.by_reason["unknown_ship_to"] == 2
    assert {t[2] for t in touched(conn) if t[0] == "release_orders"} == {
        "erp:SO-good",
        "erp:SO-enriched",
        "erp:SO-own-dims",
    }
    (words,) = rows(conn, "select messages[1] from quality.quarantine where natural_key = 'SO-ship-to/v1'")[0]
    assert words.startswith("Ship-to ST9 of order SO-ship-to is not in the master data.")
    assert rows(conn, "select bool_and(balanced) from ops.control_total_check where gated") == [(True,)]


DIMENSIONS = ("pallet_length_in", "pallet_width_in", "pallet_height_in")


def test_what_would_stop_the_build_of_orders_is_quarantined(conn: Any) -> None:
    """One such order would break a key or a bound of the models, and no order behind it would be released."""
    synchronise(conn)
    line = ORDER["lines"][0]
    page(
        conn,
        "erp.sales_order",
        {**order("SO-two-ones"), "lines": [line, {**line, "quantity": 3}]},
        {**order("SO-one-two"), "lines": [line, {**line, "line": 2}]},
        order("SO-price", line={"unit_price": "1000000.0001"}),
        order("SO-side", line={"pallet_width_in": "1000000"}),
        order("SO-weight", line={"weight_lb": "1000000000"}),
        order("SO-quantity", line={"quantity": 2_147_483_647}),
        order("SO-heavy", line={"weight_lb": "1000000.000"}),
    )
    run(conn, "erp.sales_order")
    assert dict(rows(conn, "select natural_key, reasons from quality.quarantine")) == {  # type: ignore[arg-type]
        "SO-two-ones/v1": ["repeated_line"],
        "SO-price/v1": ["measure_out_of_range"],
        "SO-side/v1": ["measure_out_of_range"],
        "SO-weight/v1": ["measure_out_of_range"],
        "SO-quantity/v1": ["measure_out_of_range"],
    }


def planned(number: str, **changes: Any) -> dict[str, Any]:
    """An event with the plan of a shipment; `changes` replace parts of the plan."""
    data = {
        "shipment_id": number,
        "plan_version": 1,
        "scac": "NRDF",
        "currency": "USD",
        "order_lines": [{"order_number": "SO1", "line": 1, "quantity": 1, "weight_lb": "5"}],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "stops": [
            {"sequence": 1, "kind": "pickup", "time_zone": "America/Chicago"},
            {"sequence": 2, "kind": "delivery", "time_zone": None},
        ],
        "charges": [{"charge_code": "LINEHAUL", "amount": "10000000.00"}],
        **changes,
    }
    return {
        "event_id": f"E-{number}",
        "event_type": "shipment_planned",
        "occurred_at": "2026-03-02T08:00:00Z",
        "data": data,
    }


def test_what_would_stop_the_build_of_shipments_is_quarantined(conn: Any) -> None:
    """One such plan would break a key or a bound of the models, and no event behind it would be taken in."""
    leg, stop = {"leg": 1, "from_stop": 1, "to_stop": 2}, {"sequence": 1, "kind": "pickup"}
    part = {"order_number": "SO1", "line": 1, "quantity": 1, "weight_lb": "5"}
    call(
        conn,
        "tms",
        planned("good"),
        planned("legs", legs=[leg, {**leg, "from_stop": 2}]),
        planned("stops", stops=[stop, {**stop, "kind": "delivery"}]),
        planned("zone", stops=[stop, {"sequence": 2, "kind": "delivery", "time_zone": "Chicago/America"}]),
        planned("weight", order_lines=[{**part, "weight_lb": "1000000000"}]),
        planned("quantity", order_lines=[{**part, "quantity": 2_147_483_647}]),
        planned("charge", charges=[{"charge_code": "LINEHAUL", "amount": "10000000.01"}]),
    )
    run(conn, "tms.shipment_plan")
    assert dict(rows(conn, "select natural_key, reasons from quality.quarantine")) == {  # type: ignore[arg-type]
        "legs/v1": ["repeated_leg"],
        "stops/v1": ["repeated_stop"],
        "zone/v1": ["unknown_time_zone"],
        "weight/v1": ["measure_out_of_range"],
        "quantity/v1": ["measure_out_of_range"],
        "charge/v1": ["measure_out_of_range"],
    }


def test_before_the_first_synchronisation_orders_are_held_not_refused(conn: Any) -> None:
    page(conn, "erp.sales_order", order("SO1"), order("SO2", ship_to_id="ST9"))
    (held,) = run(conn, "erp.sales_order")
    assert (held.verdict, held.accepted, held.quarantined) == ("held", 0, 0)
    assert "waiting_for_erp_customer" in held.by_reason
    assert run(conn, "erp.sales_order") == [], "the same verdict is not written again and again"
    assert rows(conn, "select held_at is not null from ops.ungated_batch") == [(True,)], "it wakes nobody"
    assert rows(conn, "select count(*) from quality.gate where verdict = 'held'") == [(1,)]
    synchronise(conn)
    (result,) = run(conn, "erp.sales_order")
    assert (result.verdict, result.accepted, result.quarantined) == ("failed", 1, 1)


def test_carrier_invoices(conn: Any) -> None:
    synchronise(conn)
    none = dict.fromkeys(("shipment_reference", "bol_number", "pro_number", "po_number"))
    by_line = invoice("N-by-line", **none)
    by_line.lines = [{**line, "shipment_reference": "SH1"} for line in by_line.lines]
    rate_only = invoice("N-rate-only")
    rate_only.lines = [*rate_only.lines, {"line": 3, "partner_code": "400", "line_amount": None}]
    huge = Decimal("1e12")
    cancels = invoice("N-cancels")
    cancels.lines = [
        *cancels.lines,
        {"line": 3, "partner_code": "400", "line_amount": huge},
        {"line": 4, "partner_code": "400", "line_amount": -huge},
    ]
    put(
        conn,
        "carrier.invoice_x12",
        invoices(
            invoice("N-good"),
            invoice("N-code", code="XYZ"),
            invoice("N-sum", lines_total=Decimal("99.99")),
            invoice("N-carrier", scac="ZZZZ"),
            invoice("N-nothing", **none),
            by_line,
            invoice(None),
            invoice("N-date", invoice_on=None),
            rate_only,
            cancels,
            invoice("N-huge", net_amount=huge + 1, lines_total=huge + 1),
        ),
        "nrdf",
    )
    conn.commit()
    run(conn, "carrier.invoice_x12")
    assert dict(rows(conn, "select coalesce(natural_key, '-'), reasons from quality.quarantine")) == {  # type: ignore[arg-type]
        "N-code": ["unknown_charge_code"],
        "N-sum": ["lines_do_not_sum"],
        "N-carrier": ["unknown_carrier", "unknown_charge_code"],
        "N-nothing": ["no_reference"],
        "-": ["no_invoice_number"],
        "N-date": ["no_invoice_date"],
        "N-rate-only": ["charge_without_amount"],
        "N-cancels": ["amount_out_of_range"],
        "N-huge": ["amount_out_of_range"],
    }
    admitted = rows(
        conn,
        "select invoice_number, record_id, r.batch_id from landing.carrier_invoice r"
        " join quality.admission using (record_id) where feed = 'carrier.invoice_x12'",
    )
    assert {row[0] for row in admitted} == {"N-good", "N-by-line"}
    # as a whole: settlement's scope widens a batch to its records
    assert {t[1:] for t in touched(conn) if t[0] == "settle_freight"} == {
        ("carrier_invoice_batch", str(row[2])) for row in admitted
    }
    (payload,) = rows(conn, "select payload from quality.quarantine where natural_key = 'N-code'")[0]
    assert payload["charges"][0]["partner_code"] == "XYZ"


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"valid_from": "2026-03-02"}, True),
        ({"valid_from": "2026-03-03"}, False),
        ({"valid_to": "2026-03-01"}, False),
        ({"version": 2, "partner_code": "other"}, False),
    ],
)
def test_a_charge_code_counts_by_its_latest_version_on_the_day_of_shipping(
    conn: Any, changes: dict[str, Any], known: bool
) -> None:
    synchronise(conn)
    base = {
        "charge_code_id": "CC-NEW" if "version" not in changes else "CC-400",
        "version": 1,
        "changed_at": "2026-03-01T00:00:00Z",
        "scac": "NRDF",
        "partner_code": "NEW",
        "charge_code": "LIFTGATE",
        "ledger_account": "6120",
    }
    page(conn, "erp.charge_code", {**base, **changes})
    put(conn, "carrier.invoice_x12", invoices(invoice("N1", code="400" if "version" in changes else "NEW")), "nrdf")
    conn.commit()
    results = run(conn, "erp.charge_code", "carrier.invoice_x12")
    assert (results[1].accepted == 1) is known


def event(number: str, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": number,
        "pro_number": "P1",
        "code": "DELIVERED",
        "occurred_local": "2026-03-03T10:00:00",
        **changes,
    }


def plan(shipment: str, scac: str, pro: str, bol: str) -> Record:
    values = {
        "shipment_id": shipment,
        "plan_version": 1,
        "event_id": f"T-{shipment}",
        "occurred_at": dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
        "scac": scac,
        "pro_number": pro,
        "bol_number": bol,
        "stops": [{"sequence": 1}, {"sequence": 2}],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "order_lines": [{"order_number": "SO1", "line": 1, "quantity": 1, "weight_lb": "1"}],
        "charges": [],
    }
    return Record(1, "events[0]", values, Decimal("0.00"), "USD")


def test_events_touch_the_shipment_that_they_are_about_or_wait_under_their_reference(conn: Any) -> None:
    put(conn, "tms.shipment_plan", invoices(plan("SH1", "BLUW", "P1", "B1"), plan("SH2", "NRDF", "P2", "B2")), "tms")
    call(
        conn,
        "bluw",
        event("E1"),
        event("E2", pro_number="P2"),
        event("E3", pro_number=None, shipment_id="SH7"),
        event("E4", pro_number=None),
        event("E5", code="LOST"),
    )
    run(conn, "tms.shipment_plan", "carrier.status_webhook")
    assert touched(conn) == {
        ("ingest_shipment_events", "shipment", "tms:SH1"),
        ("ingest_shipment_events", "shipment", "tms:SH2"),  # by its own plan only
        ("ingest_shipment_events", "reference", "pro:P2"),  # another carrier's PRO is nobody's
        ("ingest_shipment_events", "shipment", "tms:SH7"),
        # planned without charges: a contract may say what it costs
        ("rate_shipments", "shipment", "tms:SH1"),
        ("rate_shipments", "shipment", "tms:SH2"),
    }
    assert rows(conn, "select natural_key, reasons from quality.quarantine order by 1") == [
        ("E4", ["no_reference"]),
        ("E5", ["unknown_status_code"]),
    ]


def test_a_proof_of_delivery_touches_billing_and_the_shipment(conn: Any) -> None:
    pod = {"event_id": "D1", "type": "pod_captured", "shipment_id": "SH1", "at": "2026-03-03T10:00:00Z"}
    call(conn, "driver", pod, {**pod, "event_id": "D2", "shipment_id": None})
    (result,) = run(conn, "driver.pod")
    assert (result.accepted, result.by_reason) == (1, {"no_shipment_reference": 1})
    assert touched(conn) == {
        ("invoice_on_pod", "shipment", "tms:SH1"),
        ("ingest_shipment_events", "shipment", "tms:SH1"),
    }


def test_nothing_is_gated_twice_and_later_batches_by_themselves(conn: Any) -> None:
    synchronise(conn)
    page(conn, "erp.sales_order", order("SO1"))
    assert len(run(conn, "erp.sales_order")) == 1
    before = len(rows(conn, "select from ops.touched"))
    assert run(conn, "erp.sales_order") == []
    page(conn, "erp.sales_order", order("SO2"))
    assert run(conn, "erp.sales_order")[0].accepted == 1
    assert len(rows(conn, "select from ops.touched")) == before + 1


def test_duplicates_are_neither_admitted_nor_touched_again(conn: Any) -> None:
    synchronise(conn)
    page(conn, "erp.sales_order", order("SO1"))
    run(conn, "erp.sales_order")
    page(conn, "erp.sales_order", order("SO1"))
    (result,) = run(conn, "erp.sales_order")
    assert (result.verdict, result.received, result.accepted, result.quarantined) == ("passed", 1, 0, 0)
    assert rows(conn, "select count(*) from ops.touched where consumer = 'release_orders'") == [(1,)]


def test_two_gates_at_once_do_the_work_of_one(warehouse: Any, conn: Any) -> None:
    synchronise(conn)
    for n in range(30):
        page(conn, "erp.sales_order", order(f"SO{n}"))

    def go(_: int) -> int:
        with connect(warehouse.app) as mine:
            return sum(r.accepted for r in gate(mine, ["erp.sales_order"], "x", great_expectations=False))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(go, range(4))) == 30
    assert rows(conn, "select count(*) from ops.touched where consumer = 'release_orders'") == [(30,)]
    assert rows(conn, "select count(*), count(distinct batch_id) from quality.gated_batch") == [(35, 35)]


def test_a_crash_inside_leaves_the_batch_ungated(warehouse: Any, conn: Any) -> None:
    synchronise(conn)
    page(conn, "erp.sales_order", order("SO1"))
    with connect(warehouse.app) as mine:
        mine.execute("select 1")  # an outer transaction that never commits: as if killed before the commit
        assert gate(mine, ["erp.sales_order"], "x", great_expectations=False)[0].accepted == 1
        mine.rollback()
    assert run(conn, "erp.sales_order")[0].accepted == 1


def test_a_record_lost_between_reading_and_storing_holds_its_batch_and_only_it(conn: Any) -> None:
    synchronise(conn)
    good = page(conn, "erp.sales_order", order("SO1"))
    parsed = invoices(invoice("N1"), invoice("N2"))
    parsed.records.pop()
    lost = put(conn, "carrier.invoice_x12", parsed, "nrdf")
    other = put(conn, "carrier.invoice_x12", invoices(invoice("N3")), "nrdf")
    conn.commit()
    results = {r.verdict: r for r in run(conn, "erp.sales_order", "carrier.invoice_x12")[1:]}
    assert results["held"].batches == (lost.batch_id,)
    assert results["held"].by_reason == {"control_total_mismatch": 1}
    assert "counted 2 records" in results["held"].held_because[0]
    assert results["passed"].batches == (other.batch_id,)
    assert rows(
        conn,
        "select invoice_number from landing.carrier_invoice join quality.admission using (record_id)"
        " where feed = 'carrier.invoice_x12'",
    ) == [("N3",)]
    assert good.records == 1


def test_a_cent_lost_holds_the_batch(conn: Any) -> None:
    synchronise(conn)
    record = invoice("N1")
    parsed = Parsed(records=[record])
    parsed.received(Decimal("100.01"), "USD")
    put(conn, "carrier.invoice_x12", parsed, "nrdf")
    conn.commit()
    (result,) = run(conn, "carrier.invoice_x12")
    assert result.verdict == "held"


def test_a_batch_that_is_mostly_unreadable_is_held(conn: Any) -> None:
    synchronise(conn)
    parsed = invoices(*[invoice(f"N{n}") for n in range(5)])
    for n in range(20):
        parsed.received()
        parsed.rejects.append(Reject(6 + n, "row", ("unreadable_value",), ("?",), "raw"))
    put(conn, "carrier.invoice_x12", parsed, "nrdf")
    conn.commit()
    assert run(conn, "carrier.invoice_x12")[0].by_reason == {"mostly_unreadable": 1}


def test_rejects_and_unreadable_documents_pass_the_gate_as_quarantined(conn: Any) -> None:
    synchronise(conn)
    parsed = invoices(invoice("N1"))
    parsed.received()
    parsed.rejects.append(Reject(2, "segment 9", ("truncated_transaction",), ("cut",), "ST", "N2"))
    put(conn, "carrier.invoice_x12", parsed, "nrdf")
    put(conn, "carrier.invoice_x12", Parsed.nothing("unreadable_interchange", "broken ISA"), "nrdf")
    conn.commit()
    (result,) = run(conn, "carrier.invoice_x12")
    assert (result.received, result.accepted, result.quarantined) == (3, 1, 2)
    assert rows(conn, "select bool_and(balanced) from ops.control_total_check where gated") == [(True,)]


def test_every_feed_has_rules_that_run(conn: Any) -> None:
    synchronise(conn)
    for feed in FEEDS:
        if feed.startswith("erp."):
            continue
        put(conn, feed, Parsed.nothing("unreadable_file", "x"), "tms")
    conn.commit()
    results = run(conn, *[feed for feed in FEEDS if not feed.startswith("erp.")])
    assert [r.quarantined for r in results] == [1] * len(results)
    assert len(results) == sum(not feed.startswith("erp.") for feed in FEEDS)


def test_the_hot_path_does_without_great_expectations() -> None:
    code = "import sys, freightsync.quality, freightsync.landing.inbound; print('great_expectations' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=find_project())
    assert out.stdout.strip() == "False"
