"""Closing a period, stage by stage: readiness, roll-forward, tie-out, sign-off by another person, lock, report.

What is signed is a document of figures with a hash. Between the signature and the lock a late posting may come: the
lock compares once more, with postings held off, and undoes itself where the figures are no longer those that were
signed. Reopening is an approved action of its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from freightsync import effects
from freightsync.domain.errors import NotReady, PermanentError
from freightsync.effects.authority import Authority, authority, not_oneself
from freightsync.pipelines import drift, reconciling, releases
from freightsync.pipelines.locks import held
from freightsync.pipelines.stages import begin, end
from freightsync.reports.closing import ClosingFigures, write_closing
from freightsync.settings import Settings
from freightsync.systems.erp import parse as erp_parse
from freightsync.systems.erp.client import Erp
from freightsync.systems.writing import Writer
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "close_period"
OF_THE_BOOKS = frozenset({"tie_out", "undecided_drift", "books_not_read"})
"""Checks of the tie-out; the others are those of readiness."""
OF_THE_ROLL_FORWARD = frozenset({"roll_forward"})

Action = Literal["close", "reopen"]


@dataclass(frozen=True)
class Check:
    """A row of `marts.fct_close_readiness`."""

    period: str
    check_name: str
    state: str
    found_count: int
    amount: Decimal | None
    currency: str | None
    reason: str
    drill_down: str

    def words(self) -> str:
        return f"{self.check_name} {self.state}: {self.reason} (see {self.drill_down})"


_COLUMNS = ", ".join(Check.__dataclass_fields__)


@dataclass(frozen=True)
class Signed:
    """A sign-off: whose, of which figures."""

    sign_off_id: int
    period: str
    action: Action
    requested_by: str
    approved_by: str
    figures_sha256: str


@dataclass(frozen=True)
class Closed:
    period: str
    sign_off_id: int
    report_id: int
    report_name: str


def checks(conn: Connection[Any], period: str | None = None) -> list[Check]:
    """As of the last comparison."""
    with conn.cursor(row_factory=class_row(Check)) as cursor:
        return cursor.execute(
            f"""select {_COLUMNS} from marts.fct_close_readiness
                where %(p)s::text is null or period = %(p)s
                order by period, state, check_name""",  # noqa: S608 - names of our own columns
            {"p": period},
        ).fetchall()


# ---------------------------------------------------------------------------------------------------- the stages


def check_readiness(
    period: str, run_id: str, settings: Settings, *, by: str, as_of: datetime | None = None
) -> list[Check]:
    """Reads the ERP's books, compares, proposes leftover accruals, and gives what is open but does not block. Raises
    NotReady naming what does, PermanentError where the period is closed already or is no month."""
    reconciling.first_day(period)
    as_of = as_of or datetime.now(UTC)
    with held(CONSUMER, settings):
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            begin(conn, CONSUMER, run_id, as_of)
            _must_be_open(conn, period)
        reconciling.reconcile(run_id, settings, periods=[period], as_of=as_of)
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            proposed = releases.propose(conn, by=by, run_id=run_id)
            conn.commit()
            found = checks(conn, period)
    if proposed:
        log.warning("%s leftover accruals are proposed for release: `freightsync accruals list`", proposed)
    blocked = [c for c in found if c.state == "blocked" and c.check_name not in OF_THE_BOOKS | OF_THE_ROLL_FORWARD]
    if blocked:
        raise NotReady(
            f"{period} can't be closed: " + "; ".join(check.words() for check in blocked),
            document=period,
            what_to_do="clear what it names, then close again",
        )
    return [check for check in found if check.state == "open"]


def roll_forward(period: str, settings: Settings) -> list[dict[str, Any]]:
    """The accrual accounts of the period, by carrier and currency. Raises NotReady where they do not roll forward to
    their balances."""
    with connect(settings.dsn("report"), application_name=CONSUMER) as conn:
        _raise_for(conn, period, OF_THE_ROLL_FORWARD, "do not roll forward")
        return _rolled(conn, period)


def tie_out(period: str, settings: Settings) -> dict[str, Any]:
    """The figures to sign: our books, the ERP's and the accruals, with their hash. Raises NotReady naming each document
    that needs a decision and each account that no document explains: one cent is enough."""
    with connect(settings.dsn("report"), application_name=CONSUMER) as conn:
        try:
            _raise_for(conn, period, OF_THE_BOOKS, "do not tie to the ERP's")
        except NotReady as error:
            documents = [
                f"{d.document} ({d.entry_number or 'not there'}) {d.amount} {d.currency}: {d.words}. {d.what_to_do}"
                for d in drift.listed(conn, period=period)
                if d.state != "passes"
            ]
            raise NotReady(
                "\n".join([error.message, *documents]), document=period, what_to_do="`freightsync drift list`"
            ) from None
        return figures(conn, period)


def may_sign(
    settings: Settings, period: str, *, requested_by: str, approved_by: str, action: Action = "close"
) -> Authority:
    """Raises NotEntitled where the person asked for it or has no role for it."""
    with connect(settings.dsn("report"), application_name=CONSUMER) as conn:
        return _may_sign(conn, period, requested_by, approved_by, action)


def sign(
    period: str,
    run_id: str,
    settings: Settings,
    *,
    requested_by: str,
    approved_by: str,
    figures_sha256: str,
    note: str = "",
) -> Signed:
    """Records the signature under the figures that were shown. Raises NotEntitled as `may_sign`, NotReady where the
    figures are others by now."""
    with connect(settings.dsn("app"), application_name=CONSUMER) as conn, conn.transaction():
        _must_be_open(conn, period)
        known = _may_sign(conn, period, requested_by, approved_by, "close")
        shown = figures(conn, period)
        if shown["sha256"] != figures_sha256:
            raise NotReady(
                f"the figures of {period} have changed since they were shown for signature",
                document=period,
                what_to_do="close again: the new figures are shown for signature",
            )
        return _signed(conn, period, "close", requested_by, known, run_id, shown, note)


def lock(signed: Signed, settings: Settings) -> None:
    """Closes the period here, locks it in the ERP, and looks at both books once more. Safe to repeat. Raises NotReady
    where either has moved since the signature: then all is as it was before."""
    ours = f"sign-off {signed.sign_off_id}"
    with held(CONSUMER, settings):
        with Erp.connect(settings) as client:
            locked_there = signed.period in client.locked_periods()
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            row = conn.execute(
                "select status, changed_by, note from effects.period where period = %s", (signed.period,)
            ).fetchone()
            before = ("open", "", "") if row is None else row
            if before[0] == "closed" and before[2] != ours and before[1] != "erp":
                _must_be_open(conn, signed.period)
            if before[2] != ours:
                with conn.transaction():
                    # from here no posting can go into the period until this transaction ends
                    effects.change_period(conn, signed.period, "closed", by=signed.approved_by, note=ours)
                    _same_as_signed(conn, signed, "ours")
        by_itself = before[1] == "erp" and locked_there
        try:
            lock_in_erp(settings, signed.period, "locked", by=signed.approved_by, key=ours)
            balances = erp_balances(settings, signed.period)
            with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
                _same_as_signed(conn, signed, "erp", balances)
        except PermanentError as error:
            _undo(signed, settings, str(error), locked_by_itself=by_itself)
            raise


def report(signed: Signed, settings: Settings, *, as_of: datetime | None = None) -> Closed:
    """Keeps the closing workbook with the sign-off; a repetition finds it."""
    with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        row = conn.execute(
            "select report_id, name from effects.closing_report where sign_off_id = %s", (signed.sign_off_id,)
        ).fetchone()
        if row is None:
            name = f"closing-{signed.period}-{signed.sign_off_id}.xlsx"
            content = write_closing(_closing_figures(conn, signed))
            row = conn.execute(
                """insert into effects.closing_report (period, sign_off_id, name, content, content_sha256)
                   values (%s, %s, %s, %s, %s) returning report_id, name""",
                (signed.period, signed.sign_off_id, name, content, hashlib.sha256(content).hexdigest()),
            ).fetchone()
        assert row is not None
        conn.commit()
    return Closed(signed.period, signed.sign_off_id, int(row[0]), str(row[1]))


def finish(run_id: str, settings: Settings) -> None:
    with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        end(conn, CONSUMER, run_id)
        conn.commit()


def close(
    period: str,
    run_id: str,
    settings: Settings,
    *,
    by: str,
    approved_by: str,
    note: str = "",
    as_of: datetime | None = None,
) -> Closed:
    """All stages in one call: what the DAG does, with the signature given beforehand."""
    may_sign(settings, period, requested_by=by, approved_by=approved_by)
    check_readiness(period, run_id, settings, by=by, as_of=as_of)
    roll_forward(period, settings)
    shown = tie_out(period, settings)
    signed = sign(
        period,
        run_id,
        settings,
        requested_by=by,
        approved_by=approved_by,
        figures_sha256=shown["sha256"],
        note=note,
    )
    lock(signed, settings)
    closed = report(signed, settings, as_of=as_of)
    finish(run_id, settings)
    return closed


def reopen(period: str, run_id: str, settings: Settings, *, by: str, approved_by: str, note: str) -> Signed:
    """Opens a closed period again, in the ERP first, so that nothing of ours is refused there; the figures that are
    given up are kept with the signature. Raises NotEntitled, PermanentError where the period is open or a later one is
    closed: periods are opened from the newest back."""
    with held(CONSUMER, settings), connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        if _status(conn, period) != "closed":
            raise PermanentError(f"{period} is open", document=period, what_to_do="nothing")
        later = conn.execute(
            "select period from effects.period where period > %s and status = 'closed' order by period", (period,)
        ).fetchall()
        if later:
            raise PermanentError(
                f"{', '.join(name for (name,) in later)} follow {period}, are closed and rest on it",
                document=period,
                what_to_do="open the later ones first",
            )
        known = _may_sign(conn, period, by, approved_by, "reopen")
        signed = _signed(conn, period, "reopen", by, known, run_id, figures(conn, period), note)
        conn.commit()
        lock_in_erp(settings, period, "open", by=approved_by, key=f"sign-off {signed.sign_off_id}")
        effects.change_period(conn, period, "open", by=approved_by, note=f"sign-off {signed.sign_off_id}: {note}")
        conn.commit()
        return signed


# ---------------------------------------------------------------------------------------------------- figures

_OURS = """
with moved as (
  select distinct on (journal_id) journal_id, period from effects.document_move order by journal_id, move_id desc
), movements as (
  -- those made for the period and not moved away, and those moved into it
  select m.debit_account, m.credit_account, m.currency, m.amount
  from effects.movement m left join moved using (journal_id)
  where m.target = 'erp' and coalesce(moved.period, m.period) = %s
), sides as (
  select debit_account as account, currency, amount as debit, 0 as credit from movements
  union all select credit_account, currency, 0, amount from movements
)
select account, currency, sum(debit)::numeric(18, 2)::text as debit, sum(credit)::numeric(18, 2)::text as credit
from sides group by account, currency having sum(debit) <> 0 or sum(credit) <> 0 order by account, currency
"""

_ERP = """
select account, currency, debit::text, credit::text from canonical.trial_balance
where period = %s and (debit <> 0 or credit <> 0) order by account, currency
"""

_ROLLED = """
select account, scac, currency, opening::text, accrued::text, reversed::text, released::text, adjusted::text,
  closing::text
from marts.fct_accrual_period where period = %s order by account, scac, currency
"""


def figures(conn: Connection[Any], period: str) -> dict[str, Any]:
    """What is signed: both ledgers of the period by account and currency, and the roll-forward of the accruals. Money
    is text. `sha256`: over all of it, in a fixed order."""
    found: dict[str, Any] = {
        "period": period,
        "ours": _ours(conn, period),
        "erp": _rows(conn, _ERP, period),
        "accruals": _rolled(conn, period),
    }
    return {**found, "sha256": _digest(found)}


def _ours(conn: Connection[Any], period: str) -> list[dict[str, Any]]:
    """Straight from the log, not from a model that was built earlier."""
    return _rows(conn, _OURS, period)


def _rolled(conn: Connection[Any], period: str) -> list[dict[str, Any]]:
    return _rows(conn, _ROLLED, period)


def _rows(conn: Connection[Any], query: Any, period: str) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, (period,)).fetchall()


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def erp_balances(settings: Settings, period: str) -> list[dict[str, Any]]:
    """The ERP's trial balance of the period now, as `figures` shows it. Raises what reading it raises, PermanentError
    where it can't be read as one."""
    with Erp.connect(settings) as client:
        parsed = erp_parse.parse_balances(client.balances(period))
    if parsed.unreadable is not None or parsed.rejects:
        raise PermanentError(
            "the ERP's trial balance can't be read", partner="erp", document=period, what_to_do="tell the ERP's owner"
        )
    return sorted(
        (
            {
                "account": record.values["account"],
                "currency": str(record.currency),
                "debit": str(record.values["debit"]),
                "credit": str(record.values["credit"]),
            }
            for record in parsed.records
            if record.values["debit"] or record.values["credit"]
        ),
        key=lambda line: (line["account"], line["currency"]),
    )


def lock_in_erp(settings: Settings, period: str, status: Literal["locked", "open"], *, by: str, key: str) -> None:
    """Tells the ERP; under one key once in effect. Raises what a write raises."""
    writer = Writer("erp", settings)
    try:
        writer.write(
            "POST",
            "period-changes",
            {"period": period, "status": status, "by": by},
            key=str(uuid5(NAMESPACE_URL, f"freightsync:{period}:{status}:{key}")),
        )
    finally:
        writer.close()


def _same_as_signed(
    conn: Connection[Any], signed: Signed, side: Literal["ours", "erp"], now: Sequence[Mapping[str, Any]] | None = None
) -> None:
    row = conn.execute(
        "select figures from effects.period_sign_off where sign_off_id = %s", (signed.sign_off_id,)
    ).fetchone()
    assert row is not None
    before = {(line["account"], line["currency"]): line for line in row[0][side]}
    after = {(line["account"], line["currency"]): line for line in (_ours(conn, signed.period) if now is None else now)}
    changed = [
        f"{account} {currency}: {_sides(before.get((account, currency)))} signed, "
        f"{_sides(after.get((account, currency)))} now"
        for account, currency in sorted(before.keys() | after.keys())
        if before.get((account, currency)) != after.get((account, currency))
    ]
    if changed:
        whose = "our books" if side == "ours" else "the ERP's books"
        raise NotReady(
            f"{whose} of {signed.period} have moved since they were signed: " + "; ".join(changed),
            document=signed.period,
            what_to_do="close again: the new figures are shown for signature",
        )


def _sides(line: Mapping[str, Any] | None) -> str:
    return "nothing" if line is None else f"{line['debit']} Dr {line['credit']} Cr"


def _undo(signed: Signed, settings: Settings, why: str, *, locked_by_itself: bool) -> None:
    """What was not to be closed is open again, on both sides; a lock of the ERP's own stays."""
    note = f"closing undone: {why}"[:2000]
    if not locked_by_itself:
        at = datetime.now(UTC).isoformat()
        lock_in_erp(settings, signed.period, "open", by=CONSUMER, key=f"undo {signed.sign_off_id} {at}")
    with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        status: Literal["open", "closed"] = "closed" if locked_by_itself else "open"
        effects.change_period(conn, signed.period, status, by="erp" if locked_by_itself else CONSUMER, note=note)


# ---------------------------------------------------------------------------------------------------- small things


def _status(conn: Connection[Any], period: str) -> str:
    row = conn.execute("select status from effects.period where period = %s", (period,)).fetchone()
    return "open" if row is None else str(row[0])


def _must_be_open(conn: Connection[Any], period: str) -> None:
    row = conn.execute(
        "select changed_by, note, changed_at from effects.period where period = %s and status = 'closed'", (period,)
    ).fetchone()
    # what the ERP locked first is still to be signed
    if row is not None and row[0] != "erp":
        raise PermanentError(
            f"{period} was closed by {row[0]} at {row[2]:%Y-%m-%d %H:%M} UTC ({row[1]})",
            document=period,
            what_to_do=f"nothing, or `freightsync period reopen {period}`",
        )


def _raise_for(conn: Connection[Any], period: str, names: frozenset[str], words: str) -> None:
    blocked = [check for check in checks(conn, period) if check.check_name in names and check.state == "blocked"]
    if blocked:
        raise NotReady(
            f"the books of {period} {words}: " + "; ".join(check.words() for check in blocked), document=period
        )


def _may_sign(conn: Connection[Any], period: str, requested_by: str, approved_by: str, action: Action) -> Authority:
    what = f"{period} to be closed" if action == "close" else f"{period} to be opened again"
    not_oneself(requested_by, approved_by, what)
    subject: Literal["period_close", "period_reopen"] = "period_close" if action == "close" else "period_reopen"
    return authority(conn, approved_by, subject, at=datetime.now(UTC))


def _signed(
    conn: Connection[Any],
    period: str,
    action: Action,
    requested_by: str,
    known: Authority,
    run_id: str,
    shown: dict[str, Any],
    note: str,
) -> Signed:
    row = conn.execute(
        """insert into effects.period_sign_off (period, action, requested_by, approved_by, role, rule_id, rule_version,
             run_id, figures_sha256, figures, note)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning sign_off_id""",
        (
            *(period, action, requested_by, known.person, known.role, known.rule_id, known.rule_version, run_id),
            *(shown["sha256"], Jsonb(shown), note),
        ),
    ).fetchone()
    assert row is not None
    return Signed(int(row[0]), period, action, requested_by, known.person, shown["sha256"])


def find_signed(conn: Connection[Any], sign_off_id: int) -> Signed:
    """Raises PermanentError where there is none."""
    with conn.cursor(row_factory=class_row(Signed)) as cursor:
        found = cursor.execute(
            """select sign_off_id, period, action, requested_by, approved_by, figures_sha256
               from effects.period_sign_off where sign_off_id = %s""",
            (sign_off_id,),
        ).fetchone()
    if found is None:
        raise PermanentError(f"there is no sign-off {sign_off_id}")
    return found


def signed_in_run(conn: Connection[Any], period: str, run_id: str, figures_sha256: str) -> Signed | None:
    """What a run signed before it was interrupted."""
    row = conn.execute(
        """select max(sign_off_id) from effects.period_sign_off
           where period = %s and run_id = %s and figures_sha256 = %s and action = 'close'""",
        (period, run_id, figures_sha256),
    ).fetchone()
    return None if row is None or row[0] is None else find_signed(conn, int(row[0]))


def _closing_figures(conn: Connection[Any], signed: Signed) -> ClosingFigures:
    with conn.cursor(row_factory=dict_row) as cursor:
        head = cursor.execute(
            """select requested_by, approved_by, role, note, signed_at, figures_sha256 from effects.period_sign_off
               where sign_off_id = %s""",
            (signed.sign_off_id,),
        ).fetchone()
        assert head is not None
        return ClosingFigures(
            period=signed.period,
            sign_off_id=signed.sign_off_id,
            **head,
            tie_out=cursor.execute(
                "select * from marts.fct_ledger_tie_out where period = %s order by account, currency", (signed.period,)
            ).fetchall(),
            roll_forward=cursor.execute(
                "select * from marts.fct_accrual_period where period = %s order by account, scac, currency",
                (signed.period,),
            ).fetchall(),
            drift=cursor.execute(
                """select * from decisions.ledger_drift where %s in (our_period, erp_period)
                   order by reason, document""",
                (signed.period,),
            ).fetchall(),
            checks=cursor.execute(
                "select * from marts.fct_close_readiness where period = %s order by check_name", (signed.period,)
            ).fetchall(),
        )
