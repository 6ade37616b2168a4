"""Statistics of tables that grew, refreshed before they are read by anything that joins them.

A fresh warehouse has none, and autovacuum looks once a minute: in between, thousands of events were planned for as one
and joined every one with every other (38 s instead of 0.5 s for 3,700 events, measured).
"""

from __future__ import annotations

from psycopg import sql

from freightsync.warehouse.connection import connect

GROWN = """
    select stat.schemaname, stat.relname
    from pg_stat_user_tables as stat
    where stat.n_mod_since_analyze > 100 + 0.2 * stat.n_live_tup
        and has_table_privilege(stat.relid, 'maintain')
    order by stat.schemaname, stat.relname
"""
"""Tables of which a fifth is new to the statistics: a sample is taken a few times while a table grows tenfold, so the
cost stays with what is new. It takes 10 to 200 ms a table, whatever its size."""


def refresh(dsn: str) -> list[str]:
    """Analyses the tables that grew and that this role may maintain; returns their names."""
    with connect(dsn, application_name="statistics") as conn:
        conn.autocommit = True
        grown = conn.execute(GROWN).fetchall()
        for schema, name in grown:
            # another one's ANALYZE of the same table does as well as ours
            conn.execute(sql.SQL("analyze (skip_locked) {}").format(sql.Identifier(schema, name)))
    return [f"{schema}.{name}" for schema, name in grown]
