"""Which proofs of delivery the hot path leaves for a moment, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from freightsync import effects
from freightsync.pipelines import locks, stages
from freightsync.pipelines.table import PIPELINES
from freightsync.warehouse.connection import connect

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
HOT = PIPELINES["invoice_on_pod"]


@pytest.fixture
def conn(warehouse: Any) -> Iterator[psycopg.Connection[Any]]:
    with connect(warehouse.app) as made:
        yield made


def building(conn: psycopg.Connection[Any]) -> str:
    """A run that ingests a plan of SH1 and an event of SH2, between its claim and its build's end."""
    for feed, shipment in (("tms.shipment_plan", "tms:SH1"), ("tms.shipment_event", "tms:SH2")):
        gate = conn.execute(
            """insert into quality.gate (feed, run_id, verdict, received, accepted, quarantined, results)
               values (%s, 'ingest', 'passed', 1, 1, 0, '{}') returning gate_id""",
            (feed,),
        ).fetchone()
        assert gate is not None
        effects.touch(conn, "ingest_shipment_events", "shipment", [shipment], cause=f"gate {gate[0]}")
    effects.claim(conn, "ingest_shipment_events", "ingest", AS_OF)
    conn.commit()
    return "ingest"


def proofs(conn: psycopg.Connection[Any], *shipments: str) -> None:
    effects.touch(conn, HOT.name, "shipment", shipments, cause="gate 99")
    conn.commit()


def taken(conn: psycopg.Connection[Any], run_id: str) -> list[str]:
    """What a round of the hot path claims."""
    stages.begin(conn, HOT.name, run_id, AS_OF)
    effects.claim(conn, HOT.name, run_id, AS_OF, leave=locks.LEFT[HOT.name])
    found = conn.execute("select aggregate_id from ops.touched where consumer = %s and run_id = %s", (HOT.name, run_id))
    names = sorted(name for (name,) in found)
    conn.commit()
    return names


def test_a_proof_waits_for_the_build_of_its_plan_and_for_no_other(conn: psycopg.Connection[Any]) -> None:
    run = building(conn)
    proofs(conn, "tms:SH1", "tms:SH2", "tms:SH3")
    assert taken(conn, "first") == ["tms:SH2", "tms:SH3"]
    effects.mark_built(conn, "ingest_shipment_events", run)
    conn.commit()
    assert locks.waiting(conn, HOT.name)
    assert taken(conn, "second") == ["tms:SH1", "tms:SH2", "tms:SH3"]


def test_what_waits_for_a_build_wakes_nobody(conn: psycopg.Connection[Any]) -> None:
    building(conn)
    proofs(conn, "tms:SH1")
    assert not locks.waiting(conn, HOT.name)
    proofs(conn, "tms:SH2")
    assert locks.waiting(conn, HOT.name)


def test_the_end_of_the_build_wakes_the_proofs_that_waited(conn: psycopg.Connection[Any], warehouse: Any) -> None:
    run = building(conn)
    proofs(conn, "tms:SH1")
    with connect(warehouse.dbt) as dbt:
        dbt.execute("create schema decisions")
        dbt.execute("grant usage on schema decisions to freightsync_app")
        dbt.execute("""create table decisions.propagation (run_id text, from_consumer text, consumer text,
                       aggregate_type text, aggregate_id text)""")
        dbt.execute("grant select on decisions.propagation to freightsync_app")
    with connect(warehouse.app) as listener:
        listener.autocommit = True
        listener.execute("listen freightsync_pod")
        assert stages.mark_built(conn, PIPELINES["ingest_shipment_events"], run) == {}
        conn.commit()
        assert [heard.channel for heard in listener.notifies(timeout=5, stop_after=1)] == ["freightsync_pod"]


def test_a_run_that_was_killed_holds_nothing_back_for_long(conn: psycopg.Connection[Any]) -> None:
    building(conn)
    conn.execute("update ops.run set started_at = started_at - interval '31 seconds'")
    proofs(conn, "tms:SH1")
    assert taken(conn, "first") == ["tms:SH1"]
