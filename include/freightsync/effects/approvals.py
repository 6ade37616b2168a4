"""A person's yes to what the planner will not do by itself. Approvals name content, not plan ids: retractions that
were approved in one plan are approved in the next, others are not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Connection

from freightsync.domain.errors import ApprovalNeeded


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


def approval_needed(
    plan_id: UUID, keys: int, amount: Decimal, *, consumer: str, run_id: str, fingerprint: str
) -> ApprovalNeeded:
    return ApprovalNeeded(
        f"plan {plan_id} of {consumer} takes back {amount} on {keys} keys, more than the limit",
        fingerprint=fingerprint,
        document=run_id,
        what_to_do=f"`freightsync effects show {plan_id}`, then approve by `freightsync effects approve "
        f"{fingerprint}` or mend the cause, and run again",
    )
