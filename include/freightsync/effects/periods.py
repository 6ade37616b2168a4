"""Posting periods: months, open unless closed. Assigned at apply, never compared: a late fact posts into an open period
and asks for no reposting of what stands."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from psycopg import Connection

from freightsync.domain.errors import PeriodClosed

FURTHEST = 24
"""Months that a posting may slide forward before something is clearly wrong with the calendar."""


def name(day: date) -> str:
    """`2026-11`"""
    return f"{day:%Y-%m}"


def change_period(
    conn: Connection[Any], period: str, status: Literal["open", "closed"], *, by: str, note: str = ""
) -> None:
    """Opens or closes a period (`2026-11`). Waits for every apply under way; later ones post elsewhere."""
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtext('freightsync periods'))")
        conn.execute(
            "insert into effects.period_change (period, status, changed_by, note) values (%s, %s, %s, %s)",
            (period, status, by, note),
        )


def posting_date(conn: Connection[Any], wanted: date) -> tuple[date, str]:
    """The day and the period to post under: `wanted` where its period is open, else the first day of the next open one.
    Holds off closing until the transaction ends. Raises PeriodClosed where none is open within two years."""
    conn.execute("select pg_advisory_xact_lock_shared(hashtext('freightsync periods'))")
    closed = {
        row[0]
        for row in conn.execute(
            "select period from effects.period where status = 'closed' and period >= %s", (name(wanted),)
        )
    }
    day = wanted
    for _ in range(FURTHEST):
        if name(day) not in closed:
            return day, name(day)
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    raise PeriodClosed(f"no open period from {name(wanted)} on", what_to_do="open a period, then run again")
