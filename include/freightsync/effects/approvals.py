"""A person's yes to what the planner will not do by itself. Approvals name content, not plan ids: a plan made again
with the same retractions is still approved, one with others is not."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def approve(conn: Connection[Any], fingerprint: str, *, by: str, note: str) -> None:
    """Approves what carries this fingerprint: the retractions of a plan, or an empty model. Approving twice changes
    nothing."""
    with conn.transaction():
        conn.execute(
            """insert into effects.approval (fingerprint, approved_by, note) values (%s, %s, %s)
               on conflict (fingerprint) do nothing""",
            (fingerprint, by, note),
        )


def is_approved(conn: Connection[Any], fingerprint: str) -> bool:
    return conn.execute("select 1 from effects.approval where fingerprint = %s", (fingerprint,)).fetchone() is not None
