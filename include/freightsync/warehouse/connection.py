"""Connections to the warehouse, and the one bulk way in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb


def connect(dsn: str, *, application_name: str = "freightsync") -> psycopg.Connection[tuple[Any, ...]]:
    """A connection in UTC that is not autocommit. The server ends a statement within 5 s of its client's death, so that
    a killed task's SQL does not go on for long; fences in the effects core cover those seconds. Dead peers are noticed
    by keepalives. Raises psycopg.OperationalError where the server can't be reached."""
    return psycopg.connect(
        dsn,
        application_name=application_name,
        options="-c timezone=UTC -c client_connection_check_interval=5s -c jit=off",
        connect_timeout=10,
        keepalives_idle=30,
    )


def copy_rows(
    conn: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> int:
    """Appends `rows` to `schema.table` by COPY within the caller's transaction; returns how many. Dicts and lists go in
    as jsonb only where wrapped in `psycopg.types.json.Jsonb`; plain dicts are wrapped here, lists stay arrays."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([Jsonb(value) if isinstance(value, dict) else value for value in row])
            count += 1
    return count
