"""Our side of the proof, read from a real warehouse: what counts as quiet, what counts as balanced."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from freightsync.proof import ours, quiet
from freightsync.warehouse.connection import connect


def land(connection: psycopg.Connection[Any], feed: str, records: int) -> int:
    row = connection.execute(
        "insert into landing.batch (feed, run_id) values (%s, 'r') returning batch_id", (feed,)
    ).fetchone()
    assert row is not None
    connection.execute(
        "insert into landing.control_total (batch_id, feed, records) values (%s, %s, %s)", (row[0], feed, records)
    )
    return int(row[0])


def gate(connection: psycopg.Connection[Any], feed: str, batch: int) -> None:
    row = connection.execute(
        "insert into quality.gate (feed, run_id, verdict, received, accepted, quarantined, results)"
        " values (%s, 'r', 'passed', 0, 0, 0, '{}') returning gate_id",
        (feed,),
    ).fetchone()
    assert row is not None
    connection.execute("insert into quality.gated_batch (batch_id, gate_id) values (%s, %s)", (batch, row[0]))


def quarantine(connection: psycopg.Connection[Any], feed: str, batch: int, key: str, *reasons: str) -> None:
    connection.execute(
        "insert into quality.quarantine (feed, batch_id, partner, natural_key, reasons, messages)"
        " values (%s, %s, 'erp', %s, %s, %s)",
        (feed, batch, key, list(reasons), ["what to do"] * len(reasons)),
    )


def left(dsn: str) -> list[str]:
    with connect(dsn) as connection:
        return [str(entry) for entry in quiet.left_to_do(connection)]


def untold(warehouse: Any, *kinds: str) -> None:
    """The relation of the models that says what carriers have to be told."""
    with psycopg.connect(warehouse.dbt) as connection:
        connection.execute("create schema if not exists decisions")
        connection.execute("grant usage on schema decisions to freightsync_report")
        connection.execute("create table decisions.carrier_untold (aggregate_type text, aggregate_id text)")
        connection.execute("grant select on decisions.carrier_untold to freightsync_report")
        for number, kind in enumerate(kinds):
            connection.execute("insert into decisions.carrier_untold values (%s, %s)", (kind, str(number)))


def test_an_empty_warehouse_is_quiet(warehouse: Any) -> None:
    untold(warehouse)
    assert left(warehouse.report) == []


def test_what_is_left_is_named(warehouse: Any) -> None:
    untold(warehouse, "read", "advice", "read")
    with psycopg.connect(warehouse.app) as connection:
        batch = land(connection, "driver.pod", 1)
        connection.execute("insert into ops.ungated_batch (batch_id, feed) values (%s, 'driver.pod')", (batch,))
        connection.execute(
            "insert into ops.touched (consumer, aggregate_type, aggregate_id) values"
            " ('settle_freight', 'carrier_invoice', 'NRDF:1'), ('ingest_shipment_events', 'reference', 'pro:77')"
        )
        connection.execute(
            "insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type, aggregate_id, status)"
            " values (1, 'erp', 'bulk', 'journal', 'shipment', 's', 'ready'),"
            " (2, 'erp', 'bulk', 'journal', 'shipment', 's', 'dead')"
        )
    # an unknown reference waits for its shipment, a dead letter for a person: neither is work left to the system
    assert left(warehouse.report) == [
        "not gated yet: driver.pod: 1",
        "to deliver: erp journal: 1",
        "to look at again: settle_freight (carrier_invoice): 1",
        "to tell carriers: advice: 1",
        "to tell carriers: read: 2",
    ]


def test_the_mark_moves_when_anything_happens(warehouse: Any) -> None:
    with connect(warehouse.report) as connection:
        before = quiet.mark(connection)
        assert quiet.mark(connection) == before
    with psycopg.connect(warehouse.app) as writer:
        batch = land(writer, "erp.item", 1)
    with connect(warehouse.report) as connection:
        landed = quiet.mark(connection)
    assert landed != before
    with psycopg.connect(warehouse.app) as writer:
        gate(writer, "erp.item", batch)
    with connect(warehouse.report) as connection:
        assert quiet.mark(connection) != landed


@pytest.fixture
def decided(warehouse: Any) -> Any:
    """The relations of the models that the proof reads."""
    with psycopg.connect(warehouse.dbt) as connection:
        for schema in ("canonical", "decisions"):
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(f"grant usage on schema {schema} to freightsync_report")
        connection.execute(
            "create table canonical.shipment as select 'tms:SH1' as shipment_id, 'delivered' as milestone"
        )
        connection.execute(
            "create table decisions.billing_hold as"
            " select 'tms:SH1' as shipment_id, array['pod_osd_reported', 'no_plan'] as reasons"
        )
        connection.execute(
            "create table decisions.invoice_verdict as"
            " select 'NRDF' as scac, number as invoice_number, 10.5::numeric(18,2) as net_amount,"
            " date '2026-03-04' as invoice_on, verdict from (values ('I1', 'exact'), ('I2', 'duplicate_number'),"
            " ('I2', 'exact')) as v(number, verdict)"
        )
        connection.execute(
            "create table decisions.payment_verdict as select * from (values ('bank:1', 'applied'),"
            " ('bank:2', 'no_reference')) as v(payment_id, verdict)"
        )
        connection.execute(
            "create table decisions.payment_application as select * from"
            " (values ('bank:1', 'erp:SO1/tms:SH1', 10.5), ('bank:1', 'erp:SO2', 4), ('bank:2', 'erp:SO3', 0))"
            " as v(payment_id, customer_invoice_id, applied_amount)"
        )
        connection.execute(
            "create table decisions.edi_sent as"
            " select 7 as outbox_id, 'NRDF' as partner, 'I2' as invoice_number, 'contested' as state"
        )
        connection.execute(
            "create table decisions.tender_answer as"
            " select 'tms:SH1' as shipment_id, 'D' as action_code, 'declined' as decision, 'agrees' as state"
        )
        connection.execute(
            "create table decisions.dispute as select 'NRDF' as scac, number as invoice_number,"
            " claimed::numeric(18,2) as claimed_amount, 4.5::numeric(18,2) as claim_open_amount, 'open' as state"
            " from (values ('I3', 10), ('I4', 0)) as v(number, claimed)"
        )
        connection.execute(
            "create table decisions.rated_charge as select * from (values ('tms:SH2', 'buy', 'LINEHAUL', 7.5),"
            " ('tms:SH2', 'buy', 'FUEL', 1), ('tms:SH2', 'sell', 'LINEHAUL', 9))"
            " as v(shipment_id, side, charge_code, amount)"
        )
        connection.execute(
            "create table decisions.edi_answer_link as select 'nrdf' as partner, * from (values"
            " ('824', 'I2', 'advice', 'rejected', true),"
            " ('824', 'I9', 'carrier_invoice', 'accepted', false),"
            " ('824', 'tms:SH1', 'shipment', 'accepted', false),"
            " ('824', 'IK X', 'nothing_of_ours', 'accepted', true),"
            " ('824', 'IK X', 'nothing_of_ours', 'rejected', true),"
            " ('997', 'I2', 'advice', 'accepted', false)) as v (kind, about, answers, verdict, needs_a_look)"
        )
        for name in (
            "decisions.edi_answer_link",
            "decisions.rated_charge",
            "decisions.dispute",
            "decisions.edi_sent",
            "decisions.tender_answer",
            "canonical.shipment",
            "decisions.billing_hold",
            "decisions.invoice_verdict",
            "decisions.payment_verdict",
            "decisions.payment_application",
        ):
            connection.execute(f"grant select on {name} to freightsync_report")
    return warehouse


def test_our_documents_in_the_shape_of_the_truth(decided: Any) -> None:
    with psycopg.connect(decided.app) as connection:
        batch = land(connection, "erp.sales_order", 3)
        quarantine(connection, "erp.sales_order", batch, "SO1/v1", "unknown_ship_to", "negative_quantity")
        quarantine(connection, "erp.sales_order", batch, "SO1/v1", "unknown_item")
        connection.execute(
            "insert into landing.refused_call (partner, path, reason, content, content_sha256)"
            " values ('bluw', '/webhooks/bluw', 'bad signature', 'x', 'y')"
        )
        connection.execute(
            "insert into ops.refused_call_count values ('bluw', '2026-03-02', 4), ('tms', '2026-03-02', 2)"
        )
    with connect(decided.report) as connection:
        assert ours.our_documents(connection) == {
            "ours.quarantine": {
                "erp.sales_order/SO1/v1": {
                    "reasons": ["negative_quantity", "unknown_item", "unknown_ship_to"],
                    "count": 2,
                }
            },
            "ours.verdict": {
                "NRDF/I1/10.50/2026-03-04": {"verdict": "exact"},
                "NRDF/I2/10.50/2026-03-04": {"verdict": "duplicate_number,exact"},
            },
            "ours.payment": {
                "bank:1": {"verdict": "applied", "applied": {"SO1/SH1": "10.50", "SO2": "4.00"}},
                "bank:2": {"verdict": "no_reference", "applied": {}},
            },
            "ours.advice": {"NRDF/I2": {"state": "contested"}},
            "ours.carrier_advice": {
                "nrdf/I2": {"answers": "advice", "verdict": "rejected", "needs_a_look": "yes"},
                "nrdf/I9": {"answers": "carrier_invoice", "verdict": "accepted", "needs_a_look": "no"},
                "nrdf/SH1": {"answers": "shipment", "verdict": "accepted", "needs_a_look": "no"},
                "nrdf/IK X": {
                    "answers": "nothing_of_ours,nothing_of_ours",
                    "verdict": "accepted,rejected",
                    "needs_a_look": "yes",
                },
            },
            "ours.rated": {"SH2": {"LINEHAUL": "7.50", "FUEL": "1.00"}},
            # what is only disputed is no claim
            "ours.claim": {"NRDF/I3": {"claimed": "10.00", "open": "4.50", "state": "open"}},
            "ours.tender_answer": {"SH1/D": {"decision": "declined", "state": "agrees"}},
            "ours.shipment": {"SH1": {"milestone": "delivered"}},
            "ours.hold": {"SH1": {"reasons": ["no_plan", "pod_osd_reported"]}},
            "ours.refused_call": {"bluw": {"count": 1 + 4}, "tms": {"count": 2}},
            "ours.ledger": {},
        }


def test_a_dropped_record_turns_its_source_unbalanced(warehouse: Any) -> None:
    with psycopg.connect(warehouse.app) as connection:
        whole = land(connection, "erp.sales_order", 1)
        quarantine(connection, "erp.sales_order", whole, "SO1/v1", "unknown_item")
        short = land(connection, "tms.shipment_event", 2)
        quarantine(connection, "tms.shipment_event", short, "E1", "no_reference")
    with connect(warehouse.report) as connection:
        found = {source["source"]: source["balanced"] for source in ours.balanced_sources(connection)}
        totals = ours.control_totals(connection)
    assert found == {"erp.sales_order": True, "tms.shipment_event": False}
    assert totals["tms.shipment_event"] == {
        "received": 2,
        "accepted": 0,
        "quarantined": 1,
        "duplicate": 0,
        "received_amount": "0.00",
        "accepted_amount": "0.00",
        "quarantined_amount": "0.00",
        "duplicate_amount": "0.00",
    }
