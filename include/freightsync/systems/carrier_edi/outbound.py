"""Answers to carriers' EDI, and our own documents for their moves, as files in their `outbound/` directory.

An acknowledgement says how a file could be read (997 for X12, CONTRL for EDIFACT): made from the file's own bytes, as
they were landed. An advice (824) says why the content of a 210 keeps it waiting. A self-bill is a table of what was
posted. A message has the same file name and control numbers at every attempt, so that one that was perhaps sent before
is overwritten by itself.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import psycopg

from freightsync.domain.errors import PermanentError
from freightsync.domain.outbox import OnceBy, OutboxMessage, Outcome, Pace
from freightsync.formats import edifact, x12
from freightsync.formats.x12 import tx824
from freightsync.settings import Settings
from freightsync.systems import sftp
from freightsync.systems.carrier_edi import codes
from freightsync.systems.partners import Sender, senders
from freightsync.warehouse.connection import connect

NOTHING = "nothing to answer"
"""Reference of a message whose file holds acknowledgements only, or no interchange whose sender is sure."""


class Numbers(Protocol):
    """Interchange control numbers: gives the first of `count` that belong to this message, the same at every call."""

    def __call__(self, message: OutboxMessage, count: int) -> int: ...


@dataclass(frozen=True)
class Answer:
    """A file for the carrier: how many interchanges it holds, and their text from the first control number on."""

    kind: str
    count: int
    write: Callable[[int], bytes]


class CarrierEdiSender:
    """See `freightsync.domain.outbox.Sender`.

    load: the bytes of a landed document. numbers: see Numbers. put: leaves a file in a carrier's outbound directory.
    posted: what a document of ours posted.
    """

    operations: Mapping[str, OnceBy] = {"acknowledgement": "name", "advice": "name", "self_bill": "name"}
    pace = Pace(concurrency=1, per_second=100.0, burst=50)

    def __init__(
        self,
        partners: Mapping[str, Sender],
        load: Callable[[int], bytes],
        numbers: Numbers,
        put: Callable[[Sender, str, bytes], None],
        posted: Callable[[str], Mapping[str, Any]] | None = None,
    ) -> None:
        self._partners, self._load, self._numbers, self._put = partners, load, numbers, put
        self._posted = posted
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        return [self._send(message) for message in batch]

    def _send(self, message: OutboxMessage) -> Outcome:
        if message.operation == "self_bill":
            return self._tell(message)
        partner = self._partners.get(str(message.payload["partner"]))
        if partner is None:
            return Outcome.refused(
                message,
                f"{message.payload['partner']} is no partner who leaves EDI files",
                "name it in partners.yaml, then send the message again",
            )
        content = self._load(int(message.payload["document_id"]))
        make = acknowledgement if message.operation == "acknowledgement" else advice
        answer = make(message.payload, content, partner, made_at(message.key))
        if answer is None:
            return Outcome.accepted(message, NOTHING)
        first = self._numbers(message, answer.count)
        name = f"{answer.kind}_{first:09d}.edi"
        self._put(partner, name, answer.write(first))
        return Outcome.accepted(message, name)

    def _tell(self, message: OutboxMessage) -> Outcome:
        scac, number = str(message.payload["scac"]), str(message.payload["bill_number"])
        partner = next((one for one in self._partners.values() if one.scac == scac), None)
        if partner is None or self._posted is None:
            return Outcome.refused(
                message,
                f"{scac} has no directory in which it could find {number}",
                "give it one in partners.yaml, then send the message again",
            )
        # a plan that changed gives another document under the same number
        name = f"self_bill_{plain(number, 60)}_{message.outbox_id}.csv"
        self._put(partner, name, self_bill(self._posted(str(message.payload["journal_id"]))))
        return Outcome.accepted(message, name)


SELF_BILL = ("Document", "Date", "Shipment", "Charge", "Amount", "Currency")


def self_bill(posted: Mapping[str, Any]) -> bytes:
    """A table of what a document of ours owes the carrier, charge by charge; below zero, what it takes back."""
    owed: dict[tuple[str, str, str, str], Decimal] = {}
    for line in posted["lines"]:
        key = (line["invoice_number"], line["invoice_on"], line["shipment_id"], line["charge_code"])
        amount = Decimal(line["amount"])
        owed[key] = owed.get(key, Decimal(0)) + (-amount if line["reverses"] else amount)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(SELF_BILL)
    writer.writerows([*key, f"{amount:.2f}", posted["currency"]] for key, amount in sorted(owed.items()))
    return out.getvalue().encode()


def acknowledgement(payload: Mapping[str, Any], content: bytes, partner: Sender, at: dt.datetime) -> Answer | None:
    """997s or a CONTRL for each interchange of the file that has something to answer; None where none has."""
    if edifact.looks_like(content):
        controls = [
            (one, control)
            for one in edifact.read(content, partner.edifact).interchanges
            if (control := edifact.acknowledge(one)) is not None
        ]
        return (
            Answer(
                "contrl",
                len(controls),
                lambda first: b"".join(
                    edifact.write(_edifact_envelope(one, first + n, at), [control])
                    for n, (one, control) in enumerate(controls)
                ),
            )
            if controls
            else None
        )
    read = x12.read(content, partner.x12)
    answers = [(one, acks) for one in read.interchanges if (acks := x12.acknowledge(one))]
    return (
        Answer(
            "997",
            len(answers),
            lambda first: b"".join(
                x12.write(_x12_envelope(one, first + n, at), acks) for n, (one, acks) in enumerate(answers)
            ),
        )
        if answers
        else None
    )


def advice(payload: Mapping[str, Any], content: bytes, partner: Sender, at: dt.datetime) -> Answer | None:
    """An 824 that rejects the bill at the payload's position, with its reasons; None where its sender is not sure."""
    found = _at(x12.read(content, partner.x12), str(payload["position"]))
    if found.interchange.rejected:
        return None
    answered = x12.AnsweredTransaction(
        tx824.REJECTED,
        codes.INVOICE_NUMBER,
        str(payload["invoice_number"]),
        found.set_id,
        found.group.control_number if found.group is not None else None,
        found.control_number or None,
        errors=[
            x12.ApplicationError(
                codes.APPLICATION_ERRORS.get(reason, tx824.OTHER),
                plain(reason.replace("_", " "), tx824.LONGEST_WORDS),
                notes=_notes(words),
            )
            for reason, words in zip(payload["reasons"], payload["messages"], strict=True)
        ],
    )

    def write(first: int) -> bytes:
        document = x12.ApplicationAdvice824(f"{first:09d}", at.date(), at.time().replace(microsecond=0))
        document.answers.append(answered)
        return x12.write(_x12_envelope(found.interchange, first, at), [document])

    return Answer("824", 1, write)


_POSITION = re.compile(r"segment \d+ byte (\d+)")


def _at(read: x12.ReadResult, position: str) -> x12.Transaction:
    matched = _POSITION.fullmatch(position)
    offset = int(matched[1]) if matched else -1
    for interchange in read.interchanges:
        for transaction in interchange.transactions:
            if transaction.byte_offset == offset:
                return transaction
    raise PermanentError(f"no transaction at {position}", what_to_do="the file is not the one that was landed")


def plain(words: str, most: int) -> str:
    """Words as every delimiter and character set can carry them."""
    return " ".join(re.sub(r"[^A-Za-z0-9 .,/()%-]", " ", words).split())[:most].rstrip()


def _notes(words: str) -> list[str]:
    rest, notes = plain(words, 10 * tx824.LONGEST_NOTE), []
    while rest:
        cut = rest if len(rest) <= tx824.LONGEST_NOTE else rest[: rest.rfind(" ", 0, tx824.LONGEST_NOTE + 1)]
        cut = cut or rest[: tx824.LONGEST_NOTE]
        notes.append(cut)
        rest = rest[len(cut) :].strip()
    return notes


def _x12_envelope(received: x12.Interchange, number: int, at: dt.datetime) -> x12.Envelope:
    """The other way round: to whoever sent it, from whomever it was for."""
    theirs = received.envelope
    return x12.Envelope(
        sender=theirs.receiver,
        receiver=theirs.sender,
        control_number=number,
        at=at,
        sender_qualifier=theirs.receiver_qualifier or "ZZ",
        receiver_qualifier=theirs.sender_qualifier or "ZZ",
        usage="T" if theirs.usage == "T" else "P",
    )


def _edifact_envelope(received: edifact.Interchange, number: int, at: dt.datetime) -> edifact.Envelope:
    return edifact.Envelope(
        sender=received.receiver,
        receiver=received.sender,
        control_number=str(number),
        at=at,
        sender_qualifier=received.receiver_qualifier,
        receiver_qualifier=received.sender_qualifier,
        test=received.test,
    )


def made_at(key: str) -> dt.datetime:
    """When a message was made: the time in its key, a version 7 UUID (RFC 9562), in UTC. The same at every attempt."""
    return dt.datetime.fromtimestamp((UUID(key).int >> 80) // 1000, dt.UTC)


# ------------------------------------------------------------------------------------------------ the real ports


class _Warehouse:
    """Landed documents and control numbers, on connections of their own: delivery's are in the middle of something."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.dsn("app")

    def load(self, document_id: int) -> bytes:
        with connect(self._dsn, application_name="carrier_edi") as conn:
            row = conn.execute("select content from landing.document where document_id = %s", (document_id,)).fetchone()
        if row is None:
            raise PermanentError(f"document {document_id} is not in landing")
        return bytes(row[0])

    def numbers(self, message: OutboxMessage, count: int) -> int:
        partner = str(message.payload["partner"])
        with connect(self._dsn, application_name="carrier_edi") as conn, conn.transaction():
            conn.execute(
                "select pg_advisory_xact_lock(hashtext('freightsync control numbers'), hashtext(%s))", (partner,)
            )
            given = self._given(conn, message.outbox_id)
            if given is None:
                conn.execute(
                    """insert into effects.control_number (outbox_id, partner, first_number, numbers)
                       select %s, %s, coalesce(max(first_number + numbers), 1), %s from effects.control_number
                       where partner = %s""",
                    (message.outbox_id, partner, count, partner),
                )
                given = self._given(conn, message.outbox_id)
            assert given is not None
        return given

    def posted(self, journal_id: str) -> Mapping[str, Any]:
        with connect(self._dsn, application_name="carrier_edi") as conn:
            row = conn.execute("select payload from effects.outbox where journal_id = %s", (journal_id,)).fetchone()
        if row is None:
            raise PermanentError(f"document {journal_id} is not in the log")
        found: Mapping[str, Any] = row[0]
        return found

    @staticmethod
    def _given(conn: psycopg.Connection[Any], outbox_id: int) -> int | None:
        row = conn.execute(
            "select first_number from effects.control_number where outbox_id = %s", (outbox_id,)
        ).fetchone()
        return int(row[0]) if row else None


def sender(settings: Settings) -> CarrierEdiSender:
    warehouse, files = _Warehouse(settings), sftp.Files(settings)

    def put(partner: Sender, name: str, content: bytes) -> None:
        files.put(partner.partner, f"/{partner.directory}/outbound", name, content)

    known = {one.partner: one for one in senders(folder=settings.carrier_folder) if one.scac}
    made = CarrierEdiSender(known, warehouse.load, warehouse.numbers, put, warehouse.posted)
    made._open.callback(files.close)
    return made
