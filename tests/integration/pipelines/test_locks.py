"""What a look at the queue costs: watchers look several times a second, for as long as a warehouse lives."""

from __future__ import annotations

from typing import Any

import pytest

from freightsync.pipelines import locks
from freightsync.warehouse.connection import connect


def read_of(node: dict[str, Any], table: str) -> float:
    """Rows of a table that a query plan read."""
    here = 0.0
    if node.get("Relation Name") == table:
        here = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return here + sum(read_of(child, table) for child in node.get("Plans", []))


@pytest.mark.parametrize("consumer", ["post_accruals", "deliver_effects"])
def test_a_look_does_not_read_the_runs_of_years(warehouse: Any, consumer: str) -> None:
    with connect(warehouse.owner) as conn:
        conn.execute(
            """insert into ops.run (consumer, run_id, as_of, started_at, finished_at)
               select name, 'old ' || n, now(), now() - make_interval(secs => n + 300), now()
               from generate_series(1, 5000) n, unnest(array['post_accruals', 'deliver_effects', 'other']) name"""
        )
        conn.execute("insert into ops.run (consumer, run_id, as_of) values (%s, 'new', now())", (consumer,))
        conn.execute("analyze ops.run")
        found = conn.execute(locks.STATE[consumer], locks.parameters(consumer)).fetchone()
        newest = conn.execute("select max(started_at) from ops.run").fetchone()
        assert found is not None
        assert (found[2],) == newest
        explained = "explain (analyze, format json) " + locks.STATE[consumer]
        plan = conn.execute(explained, locks.parameters(consumer)).fetchone()  # type: ignore[arg-type]
        assert plan is not None
        assert read_of(plan[0][0]["Plan"], "run") <= 4


def test_whether_work_waits_is_asked_of_the_queue_alone(warehouse: Any) -> None:
    with connect(warehouse.app) as conn:
        for consumer, query in locks.WAITING.items():
            plan = conn.execute("explain " + query, locks.parameters(consumer)).fetchall()  # type: ignore[arg-type]
            if consumer not in locks.LEFT:  # it looks at the runs that hold something of its rows back
                assert not any(" on run" in line for (line,) in plan)
            assert not any("pg_locks" in line for (line,) in plan)
            assert not locks.waiting(conn, consumer)
        conn.execute(
            "insert into ops.touched (consumer, aggregate_type, aggregate_id) values ('post_accruals', 'x', 'x')"
        )
        conn.commit()
        assert [name for name in locks.WAITING if locks.waiting(conn, name)] == ["post_accruals"]
