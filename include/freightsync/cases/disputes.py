"""Disputes of carriers' bills: proposals and counter-proposals until both sides agree, claims until they are settled.

A dispute is not opened by anybody: it exists where a bill has charges that do not fit (`decisions.dispute`). What is
said in it are rows of `cases.dispute_event`; saying something lets settlement look at the bill again.

A *proposal* names what is to be paid in all for each contested charge. The other side accepts it, refuses it, or makes
its own. Agreed is what the other side accepted last. A *recovery* is money that the carrier gave back for a claim; a
*write-off* gives a claim up. Both must stay within what is still claimed.

Whoever agrees to pay more than is owed, or gives a claim up, needs an approver with a limit that goes so far
(`rules.approval_limit`, subject `dispute`) who is another person.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import class_row

from freightsync.domain.errors import NotEntitled, PermanentError
from freightsync.effects import runs
from freightsync.effects.authority import authority, not_oneself

Party = Literal["us", "carrier"]
Channel = Literal["api", "cli", "airflow", "edi"]
Charge = tuple[str, str]
"""shipment id (`tms:…`), canonical charge code"""

ZERO = Decimal("0.00")


class DisputeRefused(PermanentError):
    """What was said does not fit the dispute: no such case, answered already, another charge or amount."""


@dataclass(frozen=True)
class Case:
    """A dispute as it stands; amounts in `currency`, times with a zone. state: see `decisions.dispute`."""

    carrier_invoice_id: str
    scac: str
    invoice_number: str
    currency: str
    dispute_mode: str
    reason_code: str | None
    state: str
    line_count: int
    invoiced_amount: Decimal
    disputed_amount: Decimal
    claimed_amount: Decimal
    claim_open_amount: Decimal
    reason: str
    opened_at: datetime
    contest_until: datetime | None
    contested_at: datetime | None
    acknowledge_until: datetime | None
    acknowledged_at: datetime | None
    last_event_id: int | None
    last_said_at: datetime | None


@dataclass(frozen=True)
class Line:
    """One contested charge."""

    shipment_id: str
    charge_code: str
    currency: str
    invoiced_amount: Decimal
    owed_amount: Decimal
    agreed_amount: Decimal | None
    disputed_amount: Decimal
    claimed_amount: Decimal
    claim_open_amount: Decimal
    verdict: str
    reason: str
    is_undecided: bool

    @property
    def charge(self) -> Charge:
        return self.shipment_id, self.charge_code


@dataclass(frozen=True)
class Event:
    """What was said, by whom. `lines`: amounts by charge."""

    event_id: int
    kind: str
    party: str
    answers_event_id: int | None
    reason_code: str | None
    note: str
    reference: str | None
    said_by: str
    approved_by: str | None
    said_at: datetime
    channel: str
    lines: tuple[tuple[str, str, Decimal], ...] = ()


@dataclass(frozen=True)
class Saying:
    """By whom something is said, over which channel, and when; `approved_by`: who else agrees, where it needs two."""

    by: str
    channel: Channel
    at: datetime
    approved_by: str | None = None
    note: str = ""
    reference: str | None = None


_CASE = ", ".join(Case.__dataclass_fields__)
_LINE = ", ".join(Line.__dataclass_fields__)
_EVENT = ", ".join(name for name in Event.__dataclass_fields__ if name != "lines")


def cases(
    conn: Connection[Any], *, states: Sequence[str] = (), scac: str | None = None, limit: int = 500
) -> list[Case]:
    """Those in these states (none named: all that are not settled), the nearest deadline first."""
    wanted = list(states) or ["open", "proposed", "countered", "refused", "recovering"]
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        return cursor.execute(
            f"""select {_CASE} from decisions.dispute
                where state = any(%s) and (%s::text is null or scac = %s)
                order by contest_until nulls last, carrier_invoice_id limit %s""",  # noqa: S608
            (wanted, scac, scac, limit),
        ).fetchall()


def case(conn: Connection[Any], carrier_invoice_id: str) -> Case:
    """Raises DisputeRefused where nothing of the bill is or was contested."""
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        found = cursor.execute(
            f"select {_CASE} from decisions.dispute where carrier_invoice_id = %s",  # noqa: S608
            (carrier_invoice_id,),
        ).fetchone()
    if found is None:
        raise DisputeRefused(
            "nothing of this bill is contested",
            document=carrier_invoice_id,
            what_to_do="`freightsync disputes list` shows what is",
        )
    return found


def lines(conn: Connection[Any], carrier_invoice_id: str) -> list[Line]:
    with conn.cursor(row_factory=class_row(Line)) as cursor:
        return cursor.execute(
            f"select {_LINE} from decisions.dispute_line where carrier_invoice_id = %s order by 1, 2",  # noqa: S608
            (carrier_invoice_id,),
        ).fetchall()


def events(conn: Connection[Any], carrier_invoice_id: str) -> list[Event]:
    """All that was said, in order."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        found = cursor.execute(
            f"select {_EVENT} from cases.dispute_event where carrier_invoice_id = %s order by event_id",  # noqa: S608
            (carrier_invoice_id,),
        ).fetchall()
    amounts: dict[int, list[tuple[str, str, Decimal]]] = {}
    for event_id, shipment_id, charge_code, amount in conn.execute(
        """select event_id, shipment_id, charge_code, amount from cases.dispute_event_line
           where event_id = any(%s) order by event_id, shipment_id, charge_code""",
        ([event.event_id for event in found],),
    ):
        amounts.setdefault(event_id, []).append((shipment_id, charge_code, amount))
    return [replace(event, lines=tuple(amounts.get(event.event_id, ()))) for event in found]


def propose(
    conn: Connection[Any],
    carrier_invoice_id: str,
    party: Party,
    amounts: Mapping[Charge, Decimal],
    saying: Saying,
    *,
    reason_code: str | None = None,
) -> int:
    """Proposes what is to be paid in all for contested charges; gives the event's id, which the other side answers.

    Raises DisputeRefused where a charge is not contested, was decided, or the amount is not between nothing and what
    was billed (beside our own document: and what it left open).
    """
    with conn.transaction():
        contested = _locked(conn, carrier_invoice_id)
        if not amounts:
            raise DisputeRefused("a proposal names at least one charge", document=carrier_invoice_id)
        for charge, amount in amounts.items():
            line = _line_of(contested, charge, carrier_invoice_id)
            if not line.is_undecided:
                raise DisputeRefused(f"{_words(charge)} is decided already", document=carrier_invoice_id)
            # beside our own document only what it did not pay is open
            ours = line.verdict == "self_billed"
            whole, words = (line.disputed_amount, "is open") if ours else (line.invoiced_amount, "was billed")
            least, most = sorted((ZERO, whole))
            if not least <= amount <= most:
                raise DisputeRefused(
                    f"{_words(charge)}: {amount} is not between nothing and the {whole} that {words}",
                    document=carrier_invoice_id,
                )
        return _say(conn, carrier_invoice_id, "proposal", party, saying, amounts, reason_code=reason_code)


def answer(conn: Connection[Any], event_id: int, party: Party, saying: Saying, *, accept: bool) -> int:
    """Accepts or refuses the other side's last proposal; gives the event's id.

    Raises DisputeRefused where there is no such proposal, it is one's own, or something was said after it; NotEntitled
    where agreeing costs more than `saying` is entitled to.
    """
    with conn.transaction():
        row = conn.execute(
            "select carrier_invoice_id, party from cases.dispute_event where event_id = %s and kind = 'proposal'",
            (event_id,),
        ).fetchone()
        if row is None:
            raise DisputeRefused(
                f"there is no proposal {event_id}", what_to_do="`freightsync disputes show` lists them"
            )
        carrier_invoice_id, proposer = row
        contested = _locked(conn, carrier_invoice_id)
        if proposer == party:
            raise DisputeRefused("nobody answers their own proposal", document=carrier_invoice_id)
        last = conn.execute(
            """select max(event_id) from cases.dispute_event
               where carrier_invoice_id = %s and kind in ('proposal', 'acceptance', 'refusal')""",
            (carrier_invoice_id,),
        ).fetchone()
        if last is None or last[0] != event_id:
            raise DisputeRefused(
                f"more was said since proposal {event_id}",
                document=carrier_invoice_id,
                what_to_do="answer the last proposal, or make one",
            )
        if accept and party == "us":
            proposed = {
                (shipment, charge): amount
                for shipment, charge, amount in conn.execute(
                    "select shipment_id, charge_code, amount from cases.dispute_event_line where event_id = %s",
                    (event_id,),
                )
            }
            more = sum(
                (
                    max(amount - _line_of(contested, charge, carrier_invoice_id).owed_amount, ZERO)
                    for charge, amount in proposed.items()
                ),
                ZERO,
            )
            _entitled(conn, saying, more, f"paying {more} more than is owed on {carrier_invoice_id}")
        kind = "acceptance" if accept else "refusal"
        return _say(conn, carrier_invoice_id, kind, party, saying, {}, answers=event_id)


def recommend(conn: Connection[Any], event_id: int, saying: Saying) -> int:
    """Asks whoever may to accept the carrier's proposal: the first of the two that it needs; gives the event's id."""
    with conn.transaction():
        row = conn.execute(
            "select carrier_invoice_id from cases.dispute_event"
            " where event_id = %s and kind = 'proposal' and party = 'carrier'",
            (event_id,),
        ).fetchone()
        if row is None:
            raise DisputeRefused(f"there is no proposal {event_id} of a carrier")
        _locked(conn, row[0])
        return _say(conn, row[0], "recommendation", "us", saying, {}, answers=event_id)


def recommended_by(conn: Connection[Any], event_id: int, *, but: str) -> str | None:
    """Who recommended, last, to accept this proposal; `but` this person."""
    row = conn.execute(
        """select said_by from cases.dispute_event
           where answers_event_id = %s and kind = 'recommendation' and lower(said_by) <> lower(%s)
           order by event_id desc limit 1""",
        (event_id, but),
    ).fetchone()
    return None if row is None else str(row[0])


def acknowledge(conn: Connection[Any], carrier_invoice_id: str, saying: Saying) -> int:
    """The carrier has received our claim, without an answer yet: stops the clock for that."""
    with conn.transaction():
        _locked(conn, carrier_invoice_id)
        return _say(conn, carrier_invoice_id, "acknowledgement", "carrier", saying, {})


def settle_claim(
    conn: Connection[Any],
    carrier_invoice_id: str,
    amounts: Mapping[Charge, Decimal],
    saying: Saying,
    *,
    write_off: bool = False,
    reason_code: str | None = None,
) -> int:
    """Money that the carrier gave back for a claim, or (`write_off`) a claim that is given up; gives the event's id.

    Raises DisputeRefused where more comes than is still claimed; NotEntitled where nobody entitled gives it up.
    """
    with conn.transaction():
        contested = _locked(conn, carrier_invoice_id)
        for charge, amount in amounts.items():
            line = _line_of(contested, charge, carrier_invoice_id)
            if not ZERO < amount <= line.claim_open_amount:
                raise DisputeRefused(
                    f"{_words(charge)}: {amount} is not between a cent and the {line.claim_open_amount} claimed",
                    document=carrier_invoice_id,
                )
        if write_off:
            known = conn.execute(
                "select 1 from rules.dispute_reason where reason_code = %s limit 1", (reason_code,)
            ).fetchone()
            if known is None:
                raise DisputeRefused(
                    f"no reason code {reason_code!r}: it names the account where the claim ends",
                    document=carrier_invoice_id,
                    what_to_do="choose one of rules.dispute_reason, or record it there",
                )
            total = sum(amounts.values(), ZERO)
            _entitled(conn, saying, total, f"giving up {total} of the claim on {carrier_invoice_id}")
        kind = "write_off" if write_off else "recovery"
        return _say(conn, carrier_invoice_id, kind, "us", saying, amounts, reason_code=reason_code)


def owed(contested: Sequence[Line]) -> dict[Charge, Decimal]:
    """What is owed for what is still undecided: our first proposal."""
    return {line.charge: line.owed_amount for line in contested if line.is_undecided}


def _locked(conn: Connection[Any], carrier_invoice_id: str) -> dict[Charge, Line]:
    """The contested charges; nobody else says anything in this case until the transaction ends."""
    conn.execute("select pg_advisory_xact_lock(hashtext('freightsync dispute'), hashtext(%s))", (carrier_invoice_id,))
    case(conn, carrier_invoice_id)
    return {line.charge: line for line in lines(conn, carrier_invoice_id)}


def _line_of(contested: Mapping[Charge, Line], charge: Charge, carrier_invoice_id: str) -> Line:
    try:
        return contested[charge]
    except KeyError:
        raise DisputeRefused(
            f"{_words(charge)} is not contested",
            document=carrier_invoice_id,
            what_to_do=f"contested are {', '.join(map(_words, contested))}",
        ) from None


def _words(charge: Charge) -> str:
    return f"{charge[0].removeprefix('tms:')} {charge[1]}"


def _entitled(conn: Connection[Any], saying: Saying, amount: Decimal, what: str) -> None:
    if amount <= 0:
        return
    if saying.approved_by is None:
        raise NotEntitled(f"{what} needs an approver", what_to_do="name another person who may approve it")
    not_oneself(saying.by, saying.approved_by, what)
    authority(conn, saying.approved_by, "dispute", at=saying.at, amount=amount)


def _say(
    conn: Connection[Any],
    carrier_invoice_id: str,
    kind: str,
    party: Party,
    saying: Saying,
    amounts: Mapping[Charge, Decimal],
    *,
    answers: int | None = None,
    reason_code: str | None = None,
) -> int:
    """Appends the event; the same said again (a call that was repeated) is the same event."""
    content = json.dumps(
        [
            carrier_invoice_id,
            kind,
            party,
            answers,
            reason_code,
            saying.note,
            saying.reference,
            saying.by,
            saying.at.isoformat(),
            sorted((*charge, str(amount)) for charge, amount in amounts.items()),
        ]
    )
    digest = hashlib.sha256(content.encode()).digest()
    found = conn.execute("select event_id from cases.dispute_event where event_sha256 = %s", (digest,)).fetchone()
    if found is not None:
        return int(found[0])
    row = conn.execute(
        """insert into cases.dispute_event (carrier_invoice_id, kind, party, answers_event_id, reason_code, note,
             reference, currency, channel, said_by, approved_by, event_sha256, said_at)
           values (%s, %s, %s, %s, %s, %s, %s,
             (select currency from decisions.dispute where carrier_invoice_id = %s), %s, %s, %s, %s, %s)
           returning event_id""",
        (
            carrier_invoice_id,
            kind,
            party,
            answers,
            reason_code,
            saying.note,
            saying.reference,
            carrier_invoice_id,
            saying.channel,
            saying.by,
            saying.approved_by,
            digest,
            saying.at,
        ),
    ).fetchone()
    assert row is not None
    event_id = int(row[0])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into cases.dispute_event_line (event_id, shipment_id, charge_code, amount) values (%s, %s, %s, %s)",
            [(event_id, *charge, amount) for charge, amount in sorted(amounts.items())],
        )
    runs.touch(conn, "settle_freight", "carrier_invoice", [carrier_invoice_id], cause=f"dispute event {event_id}")
    return event_id
