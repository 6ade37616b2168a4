"""Statistics follow tables that grow, without waiting for autovacuum."""

from __future__ import annotations

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
