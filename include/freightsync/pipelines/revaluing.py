"""A period's items open in foreign currency, valued at its closing rate and taken back on the first day of the next.

Asking again is always safe: what differs from what was posted is posted. Ask before the period closes; whoever closes
it asks once more at the end.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import Connection

from freightsync.domain.errors import PeriodClosed, PermanentError
from freightsync.effects import periods, runs
from freightsync.pipelines import stages
from freightsync.pipelines.locks import held
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

CONSUMER = "revalue_open_items"


@dataclass(frozen=True)
class Waiting:
    """An open item that could not be valued, and why in plain words."""

    item: str
    currency: str
    reason: str


@dataclass(frozen=True)
class Revalued:
    """What a revaluation did. `differences`: net by functional currency as it now stands, a loss above zero."""

    period: str
    items: int
    effects: int
    differences: tuple[tuple[str, Decimal], ...]
    waiting: tuple[Waiting, ...]

    def words(self) -> str:
        net = ", ".join(f"{amount:+,.2f} {currency}" for currency, amount in self.differences) or "0.00"
        waits = f"; {len(self.waiting)} wait for a rate" if self.waiting else ""
        return (
            f"{self.period}: {self.items} open items in foreign currency, net {net}, {self.effects} entries made{waits}"
        )

    def check(self) -> None:
        """Raises PermanentError where an item waits, naming the first and why."""
        if self.waiting:
            first = self.waiting[0]
            raise PermanentError(
                f"{len(self.waiting)} open items of {self.period} could not be valued, first {first.item}: "
                f"{first.reason}",
                what_to_do="publish the rate in the ERP, then revalue the period again; the others are posted",
            )


def last_day(period: str) -> dt.date:
    """Of `2026-03`: 2026-03-31. Raises PermanentError for what is no month."""
    try:
        first = dt.date.fromisoformat(f"{period}-01")
    except ValueError:
        raise PermanentError(f"{period!r} is no period", what_to_do="give a month as 2026-03") from None
    return (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)


def revalue(period: str, run_id: str, settings: Settings, *, by: str, note: str = "") -> Revalued:
    """Posts what the period's revaluation and its reversal differ from what was posted of them.

    Rates and policies count as they are known now. Raises PeriodClosed where the period is locked: its revaluation
    would stand in another one.
    """
    end = last_day(period)
    pipeline = PIPELINES[CONSUMER]
    made = 0
    with held(CONSUMER, settings), connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        posted_on, _ = periods.posting_date(conn, end)
        if posted_on != end:
            conn.rollback()
            raise PeriodClosed(
                f"{period} is closed: its open items can't be revalued any more",
                what_to_do="reopen the period, or revalue the next one",
            )
        conn.execute(
            "insert into effects.revaluation (period, requested_by, note) values (%s, %s, %s)", (period, by, note)
        )
        conn.commit()
        # the run's own day is the posting day, so each part is a run of its own
        for part, day in ((period, end), (f"{period}/reversal", end + dt.timedelta(days=1))):
            runs.touch(conn, CONSUMER, "revaluation", [part], cause=f"asked by {by}")
            conn.commit()
            part_id = f"{run_id}/{part}"
            runs.claim(conn, CONSUMER, part_id, dt.datetime.combine(day, dt.time(), dt.UTC))
            conn.commit()
            stages.mark_built(conn, pipeline, part_id)
            conn.commit()
            made += stages.plan_and_apply_on(conn, pipeline, part_id).effects
        return _stands(conn, period, made)


def _stands(conn: Connection[Any], period: str, made: int) -> Revalued:
    with conn.transaction():
        rows = conn.execute(
            """select item_kind || ' ' || item_key, status, currency, functional_currency, difference, reason
               from decisions.revaluation where period = %s order by item_kind, item_key""",
            (period,),
        ).fetchall()
    net: dict[str, Decimal] = {}
    for _, _, _, functional, difference, _ in rows:
        net[functional] = net.get(functional, Decimal("0.00")) + difference
    waiting = tuple(
        Waiting(item, currency, reason) for item, status, currency, _, _, reason in rows if status != "revalued"
    )
    return Revalued(period, len(rows), made, tuple(sorted(net.items())), waiting)
