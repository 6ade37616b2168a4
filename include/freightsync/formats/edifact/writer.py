"""Documents -> one interchange. What EDIFACT can't carry raises EdifactWriteError instead of being bent.

write(Envelope(sender=…, receiver=…, control_number="31", at=…), [invoic, …]) -> bytes
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from freightsync.formats.edifact import contrl, invoic
from freightsync.formats.edifact.common import Amount, Measure, Moment, Party, Reference, Tax
from freightsync.formats.edifact.contrl import Control
from freightsync.formats.edifact.invoic import Charge, Invoic, LineItem
from freightsync.formats.edifact.reader import CHARSETS, Document
from freightsync.formats.edifact.syntax import Delimiters


class EdifactWriteError(ValueError):
    """Something that can't be written as it is; the message says what."""


WRITTEN = Delimiters(decimal=".")


@dataclass(frozen=True, slots=True)
class Envelope:
    """UNB, and how to write. version: of the messages, D.96A to D.16B. group: whether in a UNG. after: what follows
    each terminator."""

    sender: str
    receiver: str
    control_number: str
    at: dt.datetime
    sender_qualifier: str = ""
    receiver_qualifier: str = ""
    syntax: str = "UNOC"
    syntax_version: str = "3"
    version: str = "D.96A"
    agency: str = "UN"
    association: str = ""
    test: bool = False
    wants_acknowledgement: bool = False
    una: bool = True
    marks: Delimiters = WRITTEN
    group: bool = False
    long_date: bool = False
    after: str = ""


Value = object
Element = Value | Sequence[Value]


class _Out:
    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.marks = envelope.marks
        marks = self.marks
        used = [marks.component, marks.element, marks.terminator, *([marks.release] if marks.release else [])]
        if any(len(mark) != 1 or mark.isalnum() or mark.isspace() for mark in used) or len(set(used)) != len(used):
            raise EdifactWriteError(f"these can't be delimiters together: {used!r}")
        if not envelope.una and (marks.component, marks.element, marks.release, marks.terminator) != (
            ":",
            "+",
            "?",
            "'",
        ):
            raise EdifactWriteError("other delimiters than the standard's need a UNA")
        self.segments: list[str] = []

    def add(self, tag: str, *elements: Element) -> None:
        """One segment; None and '' are empty, those at the end are left out. A tuple is a composite."""
        texts = [self._element(tag, element) for element in elements]
        while texts and not texts[-1]:
            texts.pop()
        self.segments.append(self.marks.element.join([tag, *texts]))

    def _element(self, tag: str, element: Element) -> str:
        if not isinstance(element, tuple | list):
            return self._text(tag, element)
        parts = [self._text(tag, part) for part in element]
        while parts and not parts[-1]:
            parts.pop()
        return self.marks.component.join(parts)

    def _text(self, tag: str, value: Value) -> str:
        if value is None:
            return ""
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise EdifactWriteError(f"{tag}: not a number: {value}")
            sent = format(value, "f")
            return sent.replace(".", self.marks.decimal) if self.marks.decimal else sent
        if isinstance(value, dt.date):
            return value.strftime("%Y%m%d").rjust(8, "0")
        sent = str(value).strip()
        marks = self.marks
        special = (marks.component, marks.element, marks.terminator, marks.release)
        out = []
        for c in sent:
            if c < " " or c == "\x7f":
                raise EdifactWriteError(f"{tag} can't hold {c!r}: {sent[:60]!r}")
            if c in special:
                if not marks.release:
                    raise EdifactWriteError(f"{tag} can't hold {c!r} without a release character: {sent[:60]!r}")
                out.append(marks.release)
            out.append(c)
        return "".join(out)


def write(envelope: Envelope, documents: Iterable[Document]) -> bytes:
    """One interchange. Raises EdifactWriteError for what EDIFACT can't carry."""
    out = _Out(envelope)
    at = envelope.at
    date = at.strftime("%Y%m%d" if envelope.long_date else "%y%m%d")
    out.add(
        "UNB",
        (envelope.syntax, envelope.syntax_version),
        (_needed(envelope.sender, "sender"), envelope.sender_qualifier),
        (_needed(envelope.receiver, "receiver"), envelope.receiver_qualifier),
        (date, at.strftime("%H%M")),
        _needed(envelope.control_number, "control_number"),
        None,
        None,
        None,
        "1" if envelope.wants_acknowledgement else None,
        None,
        "1" if envelope.test else None,
    )
    given = list(documents)
    if envelope.group and given:
        out.add(
            "UNG",
            _type(given[0]),
            envelope.sender,
            envelope.receiver,
            (date, at.strftime("%H%M")),
            envelope.control_number,
            envelope.agency,
            tuple(envelope.version.split(".", 1)),
        )
    for number, document in enumerate(given, 1):
        if envelope.group and _type(document) != _type(given[0]):
            raise EdifactWriteError("a group holds one type of message")
        before = len(out.segments)
        # CONTRL has a version of its own
        version = ("4", "1") if isinstance(document, Control) else tuple(envelope.version.split(".", 1))
        out.add("UNH", number, (_type(document), *version, envelope.agency, envelope.association))
        if isinstance(document, Control):
            _control(out, document)
        else:
            _invoic(out, document)
        out.add("UNT", len(out.segments) - before + 1, number)
    if envelope.group and given:
        out.add("UNE", len(given), envelope.control_number)
    out.add("UNZ", 1 if envelope.group and given else len(given), envelope.control_number)
    marks = envelope.marks
    end = marks.terminator + envelope.after
    head = ""
    if envelope.una:
        head = f"UNA{marks.component}{marks.element}{marks.decimal or '.'}{marks.release or ' '} {end}"
    content = head + "".join(segment + end for segment in out.segments)
    charset = CHARSETS.get(envelope.syntax, "utf-8")
    try:
        return content.encode(charset)
    except UnicodeEncodeError as error:
        raise EdifactWriteError(f"{error.object[error.start : error.end]!r} is not in {envelope.syntax}") from error


def _type(document: Document) -> str:
    return contrl.MESSAGE_TYPE if isinstance(document, Control) else invoic.MESSAGE_TYPE


def _needed(value: str, name: str) -> str:
    if not value.strip():
        raise EdifactWriteError(f"{name} is mandatory")
    return value


# ------------------------------------------------------------------ INVOIC


def _invoic(out: _Out, bill: Invoic) -> None:
    out.add("BGM", _needed(bill.document_code, "document_code"), _needed(bill.number, "number"), bill.function)
    if not any(d.qualifier in ("3", "137") and not d.place for d in bill.dates):
        out.add("DTM", ("137", bill.invoice_date, "102"))
    _moments(out, bill.dates, "")
    _measures(out, bill.measures)
    if bill.service_level:
        out.add("TSR", None, None, bill.service_level)
    _references(out, bill.references)
    for party in bill.parties:
        _party(out, party)
    if bill.currency:
        out.add("CUX", ("2", bill.currency, "4"))
    for place, tag, code in (("pat", "PAT", "1"), ("tdt", "TDT", "20")):
        if any(d.place == place for d in bill.dates):
            out.add(tag, code)
            _moments(out, bill.dates, place)
    for charge in bill.charges:
        _charge(out, charge)
    for line in bill.lines:
        _line(out, line)
    out.add("UNS", "S")
    out.add("CNT", ("2", len(bill.lines)))
    _amounts(out, bill.amounts)
    for tax in bill.taxes:
        _tax(out, tax)


def _line(out: _Out, line: LineItem) -> None:
    out.add("LIN", line.number, None, (line.code, line.code_kind))
    for at in range(0, len(line.codes), 5):
        out.add("PIA", "1", *((c.code, c.kind) for c in line.codes[at : at + 5]))
    if line.description or line.description_code:
        words = line.description or ""
        out.add("IMD", "F", None, (line.description_code, None, None, words[:256], words[256:]))
    _measures(out, line.measures)
    for qualifier, value, unit in line.quantities:
        out.add("QTY", (qualifier, value, unit))
    _moments(out, line.dates, "")
    _amounts(out, line.amounts)
    if line.price is not None:
        out.add("PRI", ("AAA", line.price))
    _references(out, line.references)
    for tax in line.taxes:
        _tax(out, tax)
    for charge in line.charges:
        _charge(out, charge)


def _charge(out: _Out, charge: Charge) -> None:
    words = charge.description or ""
    out.add("ALC", charge.kind, None, None, None, (charge.code, None, None, words[:256], words[256:]))
    _references(out, charge.references)
    if charge.percent is not None:
        out.add("PCD", ("3", charge.percent))
    _amounts(out, charge.amounts)
    for tax in charge.taxes:
        _tax(out, tax)


def _tax(out: _Out, tax: Tax) -> None:
    out.add("TAX", "7", tax.kind, None, None, (None, None, None, tax.rate), tax.category)
    _amounts(out, tax.amounts)


def _amounts(out: _Out, amounts: Sequence[Amount]) -> None:
    for amount in amounts:
        out.add("MOA", (amount.qualifier, amount.value, amount.currency))


def _references(out: _Out, references: Sequence[Reference]) -> None:
    for one in references:
        out.add("RFF", (one.qualifier, one.value, one.line))


def _moments(out: _Out, dates: Sequence[Moment], place: str) -> None:
    for one in dates:
        if one.place == place:
            if one.time is None:
                out.add("DTM", (one.qualifier, one.date, "102"))
            else:
                moment = dt.datetime.combine(one.date, one.time)
                if moment.microsecond:
                    raise EdifactWriteError(f"{moment} is finer than a second")
                code, form = ("204", "%Y%m%d%H%M%S") if moment.second else ("203", "%Y%m%d%H%M")
                out.add("DTM", (one.qualifier, moment.strftime(form).rjust(14 if moment.second else 12, "0"), code))


def _measures(out: _Out, measures: Sequence[Measure]) -> None:
    for one in measures:
        if one.purpose == "CNT":
            out.add("CNT", (one.attribute, one.value, one.unit))
        else:
            out.add("MEA", one.purpose, one.attribute, (one.unit, one.value))


def _party(out: _Out, party: Party) -> None:
    out.add(
        "NAD",
        party.role,
        (party.id, None, party.agency),
        tuple(party.lines),
        tuple(party.names),
        tuple(party.street),
        party.city,
        party.region,
        party.postal_code,
        party.country,
    )
    _references(out, party.references)


# ------------------------------------------------------------------ CONTRL


def _control(out: _Out, control: Control) -> None:
    out.add(
        "UCI",
        _needed(control.control_number, "control_number"),
        (control.sender, control.sender_qualifier),
        (control.receiver, control.receiver_qualifier),
        _needed(control.action, "action"),
        control.error,
        control.segment,
    )
    for message in control.messages:
        out.add(
            "UCM",
            message.control_number,
            (message.message_type, *message.version.split(".", 1), "UN" if message.version else None),
            _needed(message.action, "action"),
            message.error,
            message.segment,
        )
        for one in message.segments:
            out.add("UCS", one.position, one.error)
            for element in one.elements:
                out.add("UCD", element.error, (element.element, element.component))
