"""A person's word on bills that fit and are more than their carrier's policy lets through by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from freightsync.domain.errors import PermanentError
from freightsync.effects import runs
from freightsync.effects.authority import authority


@dataclass(frozen=True)
class Waiting:
    """A bill that waits for a person; `limit`: up to here none would have been needed."""

    carrier_invoice_id: str
    scac: str
    invoice_number: str
    currency: str
    net_amount: Decimal
    limit: Decimal
    reason: str


_WAITING = """
select v.carrier_invoice_id, v.scac, v.invoice_number, v.currency, v.net_amount, s.auto_approve_amount as limit,
  v.reason
from decisions.invoice_verdict v join decisions.invoice_standing s using (carrier_invoice_id)
where v.verdict = 'needs_approval' order by v.net_amount desc, v.carrier_invoice_id
"""


def waiting(conn: Connection[Any]) -> list[Waiting]:
    with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(_WAITING).fetchall()


def decide(
    conn: Connection[Any],
    carrier_invoice_ids: Sequence[str],
    verdict: Literal["approved", "rejected"],
    *,
    by: str,
    at: datetime,
    channel: Literal["api", "cli", "airflow"],
    note: str = "",
) -> int:
    """Says yes or no to bills that wait, all or none; gives how many. One whose amount changes waits again.

    Raises PermanentError where one does not wait; NotEntitled where `by` may not approve that much.
    """
    with conn.transaction():
        found = {bill.carrier_invoice_id: bill for bill in waiting(conn)}
        for invoice_id in carrier_invoice_ids:
            bill = found.get(invoice_id)
            if bill is None:
                raise PermanentError(
                    "the bill waits for no approval",
                    document=invoice_id,
                    what_to_do="`freightsync approvals list` shows which do",
                )
            if verdict == "approved":
                authority(conn, by, "carrier_invoice", at=at, amount=bill.net_amount)
            last = conn.execute(
                """select verdict, amount from cases.invoice_approval where carrier_invoice_id = %s
                   order by approval_id desc limit 1""",
                (invoice_id,),
            ).fetchone()
            if last != (verdict, bill.net_amount):
                conn.execute(
                    """insert into cases.invoice_approval (carrier_invoice_id, verdict, amount, currency, note, channel,
                         decided_by) values (%s, %s, %s, %s, %s, %s, %s)""",
                    (invoice_id, verdict, bill.net_amount, bill.currency, note, channel, by),
                )
        runs.touch(conn, "settle_freight", "carrier_invoice", carrier_invoice_ids, cause=f"{verdict} by {by}")
        return len(carrier_invoice_ids)
