"""Statistics follow tables that grow, without waiting for autovacuum."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg

from freightsync.warehouse import statistics
from freightsync.warehouse.connection import connect


def estimated(dsn: str) -> int:
    """Rows that the planner takes `ops.touched` to have, by what was sampled last (-1: never)."""
    with connect(dsn) as conn:
        return int(conn.execute("select reltuples from pg_class where oid = 'ops.touched'::regclass").fetchone()[0])


def grow(dsn: str, rows: int) -> None:
    with connect(dsn) as conn:
        conn.execute(
            """insert into ops.touched (consumer, aggregate_type, aggregate_id)
               select 'post_accruals', 'shipment', 'tms:' || n from generate_series(1, %s) as n""",
            (rows,),
        )
        conn.commit()
        conn.execute("select pg_stat_force_next_flush()")
        conn.commit()


def test_what_grew_is_sampled_and_what_did_not_is_left(warehouse):
    grow(warehouse.app, 500)
    assert "ops.touched" in statistics.refresh(warehouse.dbt)
    assert estimated(warehouse.dbt) == 500
    grow(warehouse.app, 50)  # less than a fifth
    assert "ops.touched" not in statistics.refresh(warehouse.dbt)
    grow(warehouse.app, 400)
    assert "ops.touched" in statistics.refresh(warehouse.dbt)
    assert estimated(warehouse.dbt) == 950


def test_only_what_the_role_may_maintain_is_tried(warehouse):
    grow(warehouse.app, 500)
    assert "ops.touched" not in statistics.refresh(warehouse.report)


def test_a_table_that_somebody_else_is_cleaning_up_is_waited_for(warehouse):
    """What that one knows may be older than what came meanwhile."""
    grow(warehouse.app, 500)
    locked, seen = threading.Event(), threading.Event()

    def clean_up() -> None:
        with psycopg.connect(warehouse.owner) as conn:
            conn.execute("lock table ops.touched in share update exclusive mode")
            locked.set()
            seen.wait(30)

    busy = threading.Thread(target=clean_up)
    busy.start()
    assert locked.wait(30)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(warehouse.admin, autocommit=True) as watching:
        found = pool.submit(statistics.refresh, warehouse.dbt)
        waits = "select 1 from pg_locks where relation = 'ops.touched'::regclass and not granted"
        while not watching.execute(waits).fetchone():
            assert not found.done(), found.result()
        seen.set()
        assert "ops.touched" in found.result(30)
    busy.join()
    assert estimated(warehouse.dbt) == 500


def test_a_table_that_stays_busy_is_named_and_holds_nobody_up(warehouse, monkeypatch, caplog):
    grow(warehouse.app, 500)
    monkeypatch.setattr(statistics, "PATIENCE", "10ms")
    with psycopg.connect(warehouse.owner) as conn:
        conn.execute("lock table ops.touched in share update exclusive mode")
        assert "ops.touched" not in statistics.refresh(warehouse.dbt)
    assert "ops.touched is busy" in caplog.text
