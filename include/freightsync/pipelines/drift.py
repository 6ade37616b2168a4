"""Decisions about documents on which the ERP's books and ours disagree: adopt, or post again. Two people each.

What was approved is frozen in the decision as movements; the planner posts them, by difference, in the next run of
`reconcile_ledger`. A document that the ERP never took, or lost, is sent again under a new key instead: its movements
are right, only the ERP lacks them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from freightsync import delivery, effects
from freightsync.domain.errors import NotEntitled, PermanentError
from freightsync.domain.names import ERP_DOCUMENT
from freightsync.effects.applier import ADOPTED
from freightsync.effects.authority import authority, not_oneself

Decision = Literal["adopt", "repost"]

ADOPTABLE = frozenset(
    {"manual_journal", "reversed_in_erp", "posted_twice", "foreign_reference", "amount_differs", "other_period"}
)
REPOSTABLE = frozenset({"reversed_in_erp", "missing_there", "not_accepted_yet"})
RESENT = frozenset({"missing_there", "not_accepted_yet"})
"""Of the latter, those that the ERP does not have at all."""

CONSUMER = "reconcile_ledger"


@dataclass(frozen=True)
class Drift:
    """A row of `decisions.ledger_drift`: a document on which the two books disagree, or did."""

    document: str
    reason: str
    state: str
    period: str
    our_period: str | None
    erp_period: str | None
    document_type: str
    entry_id: str | None
    entry_number: str | None
    journal_id: str | None
    reversed_document: str | None
    posted_on: dt.date
    currency: str
    amount: Decimal
    fingerprint: str
    read_at: dt.datetime | None
    decision_id: int | None
    words: str
    what_to_do: str
    correlation_id: str | None


_COLUMNS = ", ".join(Drift.__dataclass_fields__)


def listed(conn: Connection[Any], *, period: str | None = None, settled: bool = False) -> list[Drift]:
    """Drift as of the last comparison, those that nobody has to look at any more only with `settled`."""
    with conn.cursor(row_factory=class_row(Drift)) as cursor:
        return cursor.execute(
            f"""select {_COLUMNS} from decisions.ledger_drift
                where (%(period)s::text is null or %(period)s in (our_period, erp_period))
                  and (%(settled)s or state in ('open', 'proposed', 'approved', 'passes'))
                order by period, reason, document""",  # noqa: S608 - names of our own columns
            {"period": period, "settled": settled},
        ).fetchall()


def one(conn: Connection[Any], document: str) -> Drift:
    """By the document's id, the ERP's number or our journal id. Raises PermanentError where nothing drifts there."""
    with conn.cursor(row_factory=class_row(Drift)) as cursor:
        found = cursor.execute(
            f"""select {_COLUMNS} from decisions.ledger_drift
                where %(d)s in (document, entry_number, journal_id)
                order by document""",  # noqa: S608
            {"d": document},
        ).fetchall()
    if len(found) != 1:
        raise PermanentError(
            f"{len(found)} documents called {document} drift" if found else f"no document {document} drifts",
            document=document,
            what_to_do="`freightsync drift list` names them; `freightsync run reconcile_ledger` compares anew",
        )
    return found[0]


def propose(conn: Connection[Any], document: str, decision: Decision, *, by: str, note: str) -> int:
    """Records what somebody proposes; gives the decision's number. Nothing happens before another person approves it.
    Raises PermanentError where the document needs no decision, or not this one."""
    with conn.transaction():
        drift = one(conn, document)
        _nothing_is_under_way(conn, drift)
        if drift.state not in ("open", "proposed"):
            raise PermanentError(f"{drift.document} is {drift.state}: {drift.words}", what_to_do=drift.what_to_do)
        dead = drift.reason != "not_accepted_yet" or drift.state == "open"
        if drift.reason not in (ADOPTABLE if decision == "adopt" else REPOSTABLE) or not dead:
            raise PermanentError(
                f"{drift.document}: {drift.words}. To {decision} it makes no sense", what_to_do=drift.what_to_do
            )
        lines = _lines(conn, drift.document)
        row = conn.execute(
            """insert into effects.drift_decision (document, reason, decision, difference, transfers, amount,
                 fingerprint, proposed_by, note)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning decision_id""",
            (
                *(drift.document, drift.reason, decision),
                Jsonb([{**line, **{n: str(line[n]) for n in ("debit", "credit", "net")}} for line in lines]),
                Jsonb(_transfers(conn, drift, decision, lines)),
                *(drift.amount, drift.fingerprint, by, note),
            ),
        ).fetchone()
        assert row is not None
        return int(row[0])


def approve(
    conn: Connection[Any], decision_id: int, *, by: str, at: dt.datetime, note: str = "", refuse: bool = False
) -> None:
    """Another person's yes or no. A yes makes the aggregate due: its movements are posted by the next run of
    `reconcile_ledger`; a document to be sent again is in the outbox at once.

    Raises NotEntitled for the proposer and for whoever's limit is too low, PermanentError where it was decided before
    or the books have changed since it was proposed.
    """
    with conn.transaction():
        row = conn.execute(
            """select document, reason, decision, amount, fingerprint, proposed_by, note from effects.drift_decision
               where decision_id = %s""",
            (decision_id,),
        ).fetchone()
        if row is None:
            raise PermanentError(f"there is no proposal {decision_id}", what_to_do="see `freightsync drift list`")
        document, reason, decision, amount, fingerprint, proposer, why = row
        if conn.execute(
            "select 1 from effects.decision_approval where subject = 'drift' and subject_id = %s", (decision_id,)
        ).fetchone():
            raise PermanentError(
                f"proposal {decision_id} was decided before", what_to_do="see `freightsync drift list --all`"
            )
        known = authority(conn, by, "drift", at=at, amount=amount)
        if not refuse:
            not_oneself(proposer, by, f"proposal {decision_id}")
        drift = one(conn, document)
        if not refuse:
            _nothing_is_under_way(conn, drift)
        if not refuse and drift.fingerprint != fingerprint:
            raise PermanentError(
                f"the books have changed since proposal {decision_id} about {document}: {drift.words}",
                what_to_do="refuse it, and propose what fits now",
            )
        conn.execute(
            """insert into effects.decision_approval (subject, subject_id, verdict, approved_by, role, rule_id,
                 rule_version, note) values ('drift', %s, %s, %s, %s, %s, %s, %s)""",
            (decision_id, "refused" if refuse else "approved", by, known.role, known.rule_id, known.rule_version, note),
        )
        if refuse:
            return
        if decision == "repost" and reason in RESENT:
            posted_on, period = effects.posting_date(conn, drift.posted_on)
            assert drift.journal_id is not None
            delivery.redeliver(
                conn,
                UUID(drift.journal_id),
                posted_on=posted_on,
                period=period,
                by=by,
                why=f"{reason}: {why}",
                decision_id=decision_id,
            )
        elif decision == "adopt" and reason == "other_period":
            _stand_in(conn, drift, by, decision_id, why)
        else:
            effects.touch(conn, CONSUMER, ERP_DOCUMENT, [document], cause=f"drift {decision_id}")


def _nothing_is_under_way(conn: Connection[Any], drift: Drift) -> None:
    """One difference is decided once: what was approved shows in the comparison only after the next run. Raises
    PermanentError until then. Holds off other decisions about the document until the transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtext('freightsync drift'), hashtext(%s))", (drift.document,))
    row = conn.execute(
        """select exists (
             select from effects.drift_decision d join effects.decision_approval a
               on a.subject = 'drift' and a.subject_id = d.decision_id and a.verdict = 'approved'
             where d.document = %(document)s and d.transfers <> '[]' and not exists (
               select from effects.movement m where m.aggregate_id = d.document and m.aggregate_type = 'erp_document'
                 and m.relation = 'movement__ledger_adjustments' and m.rule_version = d.decision_id::text))
           or exists (
             select from effects.document_move m where m.journal_id = %(journal)s and m.moved_at >= %(read_at)s)""",
        {"document": drift.document, "journal": drift.journal_id, "read_at": drift.read_at},
    ).fetchone()
    if row is not None and row[0]:
        raise PermanentError(
            f"{drift.document} is decided, and the books were not compared since",
            what_to_do="`freightsync run reconcile_ledger`, then look again",
        )


def _stand_in(conn: Connection[Any], drift: Drift, by: str, decision_id: int, why: str) -> None:
    """Our document stands where the ERP has it, unless either period is signed."""
    for period in (drift.our_period, drift.erp_period):
        if conn.execute("select 1 from effects.period where period = %s and status = 'closed'", (period,)).fetchone():
            raise PermanentError(
                f"{drift.document} can't be moved from {drift.our_period} to {drift.erp_period}: {period} is closed",
                what_to_do=f"open it first: `freightsync period reopen {period}`",
            )
    conn.execute(
        """insert into effects.document_move (journal_id, posted_on, period, why, moved_by, decision_id)
           values (%s, %s, %s, %s, %s, %s)""",
        (drift.journal_id, drift.posted_on, drift.erp_period, f"other_period: {why}", by, decision_id),
    )


# ------------------------------------------------------------------------------------------------ what follows from it


def _lines(conn: Connection[Any], document: str) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """select period, account, currency, debit, credit, net from decisions.ledger_drift_line
               where document = %s order by period, currency, account""",
            (document,),
        ).fetchall()


def _transfers(
    conn: Connection[Any], drift: Drift, decision: Decision, lines: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    if drift.reason in RESENT or drift.reason == "other_period":
        return []
    if drift.reason == "reversed_in_erp" and drift.reversed_document is not None:
        movements = _movements(conn, drift.reversed_document)
        if _undoes(lines, movements):
            found = [_mirrored(drift, movement) for movement in movements]
            if decision == "repost":
                found += [_again(drift, movement) for movement in movements]
            return found
        if decision == "repost":
            raise PermanentError(
                f"{drift.document} does not reverse just what {drift.reversed_document} posted",
                document=drift.document,
                what_to_do="adopt it, and have what is missing entered in the ERP",
            )
    return [
        {
            "effect_key": f"adopted|{drift.document}|{number}",
            "cause": f"adopt|{drift.document}|{drift.fingerprint[:12]}",
            "debit_account": debit,
            "credit_account": credit,
            "currency": currency,
            "amount": str(amount),
            "functional_currency": currency,
            "functional_amount": str(amount),
            "document_type": ADOPTED,
            "correlation_id": drift.correlation_id,
            "attributes": {"entry_id": drift.entry_id, "posting_on": drift.posted_on.isoformat()},
        }
        for number, (debit, credit, currency, amount) in enumerate(pairs(lines), 1)
    ]


def pairs(lines: Iterable[dict[str, Any]]) -> list[tuple[str, str, str, Decimal]]:
    """What accounts gained and lost, as transfers (debit account, credit account, currency, amount > 0): accounts in
    order, each debit met by the credits that come next. Of every currency the lines must sum to zero."""
    sides: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for line in lines:
        sides[line["currency"]][line["account"]] += line["net"]
    found = []
    for currency, accounts in sorted(sides.items()):
        if sum(accounts.values()):
            raise PermanentError(
                f"the difference does not balance in {currency}", what_to_do="read the ERP's books again"
            )
        owed = [(account, -net) for account, net in sorted(accounts.items(), reverse=True) if net < 0]
        for account, gained in sorted(accounts.items()):
            left = gained
            while left > 0:
                other, rest = owed.pop()
                amount = min(left, rest)
                found.append((account, other, currency, amount))
                left -= amount
                if rest > amount:
                    owed.append((other, rest - amount))
    return found


def _movements(conn: Connection[Any], journal_id: str) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """select effect_key, cause, debit_account, credit_account, currency, amount, functional_currency,
                 functional_amount, document_type, correlation_id, attributes, reverses
               from effects.movement where journal_id = %s order by movement_id""",
            (journal_id,),
        ).fetchall()


def _undoes(lines: Sequence[dict[str, Any]], movements: Sequence[dict[str, Any]]) -> bool:
    nets: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in lines:
        nets[line["account"], line["currency"]] += line["net"]
    for movement in movements:
        nets[movement["debit_account"], movement["currency"]] += movement["amount"]
        nets[movement["credit_account"], movement["currency"]] -= movement["amount"]
    return bool(movements) and not any(nets.values())


def _transfer(movement: dict[str, Any], **changes: Any) -> dict[str, Any]:
    names = (
        *("effect_key", "debit_account", "credit_account", "currency", "functional_currency", "document_type"),
        "correlation_id",
    )
    return {
        **{name: movement[name] for name in names},
        "amount": str(movement["amount"]),
        "functional_amount": str(movement["functional_amount"]),
        **changes,
    }


def _mirrored(drift: Drift, movement: dict[str, Any]) -> dict[str, Any]:
    """What the ERP's reversal did, in our log: in its books it is already."""
    return _transfer(
        movement,
        cause=f"erp_reversal|{drift.document}",
        debit_account=movement["credit_account"],
        credit_account=movement["debit_account"],
        document_type=ADOPTED,
        attributes={
            **movement["attributes"],
            "entry_id": drift.entry_id,
            "posting_on": drift.posted_on.isoformat(),
        },
    )


def _again(drift: Drift, movement: dict[str, Any]) -> dict[str, Any]:
    attributes = {name: value for name, value in movement["attributes"].items() if name != "posting_on"}
    return _transfer(
        movement,
        cause=f"repost|{drift.document}",
        attributes={**attributes, "reposts": drift.reversed_document},
    )


def as_json(drift: Drift) -> dict[str, Any]:
    return asdict(drift)


__all__ = ["Drift", "NotEntitled", "approve", "as_json", "listed", "one", "pairs", "propose"]
