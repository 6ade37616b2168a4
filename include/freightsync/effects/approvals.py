"""A person's yes to what the planner will not do by itself. Approvals name content, not plan ids: a plan made again
with the same retractions is still approved, one with others is not."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def approve(conn: Connection[Any], fingerprint: str, *, by: str, note: str) -> None:
    """Approves the retractions of every plan with this `approval_fingerprint`. Approving twice changes nothing."""
    with conn.transaction():
        conn.execute(
            """insert into effects.approval (fingerprint, approved_by, note) values (%s, %s, %s)
               on conflict (fingerprint) do nothing""",
            (fingerprint, by, note),
        )


def empty_fingerprint(relation: str, consumer: str, run_id: str) -> str:
    return f"empty:{relation}:{consumer}:{run_id}"


def approve_empty(conn: Connection[Any], relation: str, consumer: str, run_id: str, *, by: str, note: str) -> None:
    """Says that `relation` (without its schema) is rightly empty in this one run although effects stand in its
    scope."""
    approve(conn, empty_fingerprint(relation, consumer, run_id), by=by, note=note)


def is_approved(conn: Connection[Any], fingerprint: str) -> bool:
    return conn.execute("select 1 from effects.approval where fingerprint = %s", (fingerprint,)).fetchone() is not None
