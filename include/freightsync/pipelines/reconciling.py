"""The ERP's books read back and compared with ours, document by document (drift), and what was decided posted.

    follow_locks → read the ERP's books → gate → build → plan_and_apply → record lost answers → compare

Safe to repeat at any time; one at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from psycopg import Connection

from freightsync import delivery, effects
from freightsync.landing.collecting import collect_ledger
from freightsync.pipelines import build as dbt
from freightsync.pipelines import stages
from freightsync.pipelines.locks import held
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings
from freightsync.systems.erp.client import Erp
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "reconcile_ledger"
MARTS = "report_reconciliation"
"""Whoever builds marts holds this lock: one writer a table."""

MONTHS_BACK = 13
"""Closed periods whose books are read again, too: what was signed should still be so."""


@dataclass(frozen=True)
class Compared:
    """What the comparison found: documents by state, accounts that tie by no document."""

    documents: dict[str, int] = field(default_factory=dict)
    unexplained: int = 0

    def words(self) -> str:
        found = ", ".join(f"{count} {state}" for state, count in self.documents.items()) or "no document drifts"
        return f"{found}; {self.unexplained} accounts differ unexplained"


@dataclass(frozen=True)
class Reconciled:
    taken: stages.TakenIn
    made: stages.Made
    compared: Compared
    recorded: int = 0
    moved: int = 0

    def words(self) -> str:
        return (
            f"{self.taken.landed} records of the ERP's books landed, {self.made.effects} adjustments posted, "
            f"{self.recorded} lost answers recorded, {self.moved} documents moved out of locked periods; "
            f"{self.compared.words()}"
        )


def reconcile(
    run_id: str, settings: Settings, *, periods: Sequence[str] = (), as_of: datetime | None = None
) -> Reconciled:
    """Reads, gates, posts what was approved, compares. `periods`: besides those that are known."""
    as_of = as_of or datetime.now(UTC)
    taken, made, recorded, moved = read_and_adjust(run_id, settings, periods=periods, as_of=as_of)
    compared = compare(settings, as_of=as_of)
    return Reconciled(taken, made, compared, recorded, moved)


def read_and_adjust(
    run_id: str, settings: Settings, *, periods: Sequence[str] = (), as_of: datetime | None = None
) -> tuple[stages.TakenIn, stages.Made, int, int]:
    """All but the comparison: what landed, what was posted, lost answers recorded, documents moved."""
    pipeline = PIPELINES[CONSUMER]
    as_of = as_of or datetime.now(UTC)
    with held(CONSUMER, settings):
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            stages.begin(conn, CONSUMER, run_id, as_of)
            moved = follow_locks(conn, settings)
            wanted = sorted({*periods, *_known_periods(conn, as_of)})
            conn.commit()
            landed = sum(one.records for one in collect_ledger(conn, settings, wanted, run_id))
            taken = stages.gate_and_claim(conn, pipeline, run_id)
            taken = stages.TakenIn(landed, taken.accepted, taken.quarantined, taken.claimed, taken.by_feed)
        made = stages.Made()
        if taken.claimed:
            stages.build(CONSUMER, run_id, settings, alone=False)
            made = stages.plan_and_apply(CONSUMER, run_id, settings, alone=False)
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            recorded = record_lost_answers(conn)
            conn.commit()
    return taken, made, recorded, moved


def compare(settings: Settings, *, as_of: datetime) -> Compared:
    """Builds drift, tie-out, roll-forward, leftovers and readiness from everything that is stored."""
    with held(MARTS, settings):
        dbt.run_dbt("run", ["tag:close", "fct_invoice_exception"], settings, as_of=as_of, directory=CONSUMER)
    with connect(settings.dsn("report"), application_name=CONSUMER) as conn:
        documents = conn.execute(
            "select state, count(*) from decisions.ledger_drift group by state order by state"
        ).fetchall()
        row = conn.execute("select count(*) from marts.fct_ledger_tie_out where state = 'unexplained'").fetchone()
    compared = Compared({state: int(count) for state, count in documents}, int(row[0]) if row else 0)
    log.info("%s: %s", CONSUMER, compared.words())
    return compared


def _known_periods(conn: Connection[Any], as_of: datetime) -> list[str]:
    """Months of our postings and of the ERP's that are open, and those closed lately."""
    first = as_of.year * 12 + as_of.month - MONTHS_BACK
    since = f"{(first - 1) // 12:04d}-{(first - 1) % 12 + 1:02d}"
    rows = conn.execute(
        """select period from (
             select distinct period from effects.applied union select period from effects.document_move
             union select distinct period from landing.journal_entry union select period from effects.period
             union select %(now)s) as known
           where period is not null and period ~ '^[0-9]{4}-[0-9]{2}$'
             and (period >= %(since)s or not exists (select from effects.period p
               where p.period = known.period and p.status = 'closed'))
           order by period""",
        {"now": f"{as_of.astimezone(UTC):%Y-%m}", "since": since},
    ).fetchall()
    return [period for (period,) in rows]


def follow_locks(conn: Connection[Any], settings: Settings) -> int:
    """A period that the ERP locked first is closed here, too, and what it refused for that goes to the next open period
    under a new key: refused is certainly without effect. Opened there again, it opens here, unless it was signed.
    Gives how many documents were moved."""
    with Erp.connect(settings) as client:
        locked = client.locked_periods()
    with conn.transaction():
        known = {
            period: (status, by)
            for period, status, by in conn.execute("select period, status, changed_by from effects.period")
        }
        for period in sorted(locked):
            if known.get(period, ("open", ""))[0] == "open":
                effects.change_period(conn, period, "closed", by="erp", note="locked in the ERP")
        for period, (status, by) in sorted(known.items()):
            if status == "closed" and by == "erp" and period not in locked:
                effects.change_period(conn, period, "open", by="erp", note="opened again in the ERP")
    moved = 0
    with conn.transaction():
        refused = conn.execute(
            """select coalesce((select m.journal_id from effects.document_move m where m.new_journal_id = o.journal_id),
                 o.journal_id), o.payload ->> 'period', (o.payload ->> 'posted_on')::date
               from ops.outbox_pending p join effects.outbox o using (outbox_id)
               cross join lateral (select outcome, message from effects.outcome e
                 where e.outbox_id = p.outbox_id order by outcome_id desc limit 1) as answer
               where p.target = 'erp' and p.status = 'dead' and o.kind = 'movement' and answer.outcome = 'refused'
                 and answer.message like '%%posted_on%%' and o.payload ->> 'period' = any(%s)
               order by o.outbox_id""",
            (sorted(locked),),
        ).fetchall()
        for journal_id, period, day in refused:
            posted_on, into = effects.posting_date(conn, day)
            delivery.redeliver(
                conn, journal_id, posted_on=posted_on, period=into, by="erp", why=f"{period} is locked in the ERP"
            )
            moved += 1
    return moved


def record_lost_answers(conn: Connection[Any]) -> int:
    """A dead letter that the ERP's own books show under our key did arrive: its answer was lost. Gives how many."""
    found = conn.execute(
        """select distinct on (p.outbox_id) p.outbox_id, e.entry_number
           from ops.outbox_pending p join effects.outbox o using (outbox_id)
           join canonical.ledger_entry e on e.reference = o.journal_id::text and e.origin = 'interface'
           where p.target = 'erp' and p.status = 'dead' order by p.outbox_id, e.first_sequence"""
    ).fetchall()
    for outbox_id, number in found:
        delivery.accept(conn, outbox_id, reference=number, by=CONSUMER, note="found in the ERP's books")
    return len(found)


def first_day(period: str) -> date:
    """Raises ValueError for anything but `2026-11`."""
    return datetime.strptime(period + "-01", "%Y-%m-%d").replace(tzinfo=UTC).date()
