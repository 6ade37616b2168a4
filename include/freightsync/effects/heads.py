"""Heads of aggregates: how often effects of a relation were appended for each. They fence plans; the log knows them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def restore_heads(conn: Connection[Any]) -> int:
    """Puts back the heads that are missing, as they were, from the log; returns how many. For after a restore of the
    append-only schemas alone."""
    with conn.transaction():
        conn.execute("lock table ops.aggregate_head in share row exclusive mode")
        # a plan advances the head of each aggregate that it changes by one
        return conn.execute(
            """insert into ops.aggregate_head (relation, aggregate_type, aggregate_id, version, plan_id)
               select relation, aggregate_type, aggregate_id, count(*), (array_agg(plan_id order by applied_at desc))[1]
               from (
                 select relation, aggregate_type, aggregate_id, plan_id from effects.movement
                 union select relation, aggregate_type, aggregate_id, plan_id from effects.state
                 union select relation, aggregate_type, aggregate_id, plan_id from effects.once
               ) as made join effects.applied using (plan_id)
               group by relation, aggregate_type, aggregate_id
               on conflict do nothing"""
        ).rowcount
