"""Typed records -> interchanges.

    from freightsync.formats.x12 import Delimiters, Envelope, write
    data: bytes = write(
        Envelope(sender="ABCD", sender_qualifier="02", receiver="SHIPPER", control_number=17, at=datetime(…)),
        [Invoice210(…), Invoice210(…)],
        decimals="implied",                 # or "explicit": 1500.00 instead of 150000
    )

Records of one kind that follow each other share a functional group; a group is numbered from
`envelope.group_control_number` on (default: the interchange's number), a transaction by its place in the
interchange, from `envelope.first_transaction` on. Counts and trailers are always right: whoever wants a broken file
breaks the bytes.

Refused with X12WriteError (nothing is escaped or cut, since X12 can do neither): a value that holds one of the
interchange's delimiters or a control character; an amount with more decimals than can be written; an envelope value
that does not fit. Leading and trailing blanks mean nothing in X12 and are dropped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Literal

from freightsync.domain.errors import PermanentError
from freightsync.formats.x12 import tx204, tx210, tx214, tx824, tx990, tx997
from freightsync.formats.x12.common import Party, QualifiedDate, Reference, Weight
from freightsync.formats.x12.tx204 import Goods, Hazmat, LoadTender204, Stop
from freightsync.formats.x12.tx210 import Invoice210, LineGroup
from freightsync.formats.x12.tx214 import Status214, StatusEvent
from freightsync.formats.x12.tx824 import ApplicationAdvice824
from freightsync.formats.x12.tx990 import TenderResponse990
from freightsync.formats.x12.tx997 import Acknowledgment997

Document = LoadTender204 | TenderResponse990 | Status214 | Invoice210 | Acknowledgment997 | ApplicationAdvice824


class X12WriteError(PermanentError):
    """A record that can't be written as it is: permanent until the record or the delimiters change."""


@dataclass(frozen=True, slots=True)
class Delimiters:
    """element, component: one character. terminator: one or more characters. after: layout only (as '\\n')."""

    element: str = "*"
    component: str = ":"
    terminator: str = "~"
    after: str = "\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """ISA and GS of an interchange. Qualifier 02 means SCAC, ZZ mutually agreed. usage P production, T test.

    at: date and time of the interchange, as the two partners agree to read it (no offset is written).
    """

    sender: str
    receiver: str
    control_number: int
    at: dt.datetime
    sender_qualifier: str = "ZZ"
    receiver_qualifier: str = "ZZ"
    version: str = "004010"
    usage: Literal["P", "T"] = "P"
    group_sender: str | None = None
    group_receiver: str | None = None
    group_control_number: int | None = None
    first_transaction: int = 1
    delimiters: Delimiters = Delimiters()
    encoding: str = "utf-8"


class _Out:
    """Segments as they will be written; checks every element once."""

    def __init__(self, envelope: Envelope, decimals: Literal["implied", "explicit"]) -> None:
        marks = envelope.delimiters
        self.marks = marks
        self.decimals = decimals
        self.segments: list[str] = []
        self.forbidden = {marks.element, marks.component, *marks.terminator} - {" "}
        single = [marks.element, marks.component, marks.terminator]
        if len(marks.element) != 1 or len(marks.component) != 1 or not marks.terminator:
            raise X12WriteError("delimiters are one character each, a terminator at least one")
        if len(set(single)) != 3 or any(c.isalnum() or c in " " for c in "".join(single)):
            raise X12WriteError(f"these can't be delimiters together: {single!r}")

    def add(self, tag: str, *values: object) -> None:
        """One segment; None and '' are empty elements, those at the end are left out."""
        texts = [self._text(tag, number, value) for number, value in enumerate(values, 1)]
        while texts and not texts[-1]:
            texts.pop()
        self.segments.append(self.marks.element.join([tag, *texts]))

    def _text(self, tag: str, number: int, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, dt.date):
            return value.strftime("%Y%m%d").rjust(8, "0")
        if isinstance(value, dt.time):
            return _time(value)
        if isinstance(value, Decimal):
            return self._checked(tag, number, format(value, "f"))
        return self._checked(tag, number, str(value).strip())

    def _checked(self, tag: str, number: int, text: str) -> str:
        for character in text:
            if character in self.forbidden or character < " " or character == "\x7f":
                raise X12WriteError(f"{tag}{number:02d} can't hold {character!r}: {text[:60]!r}")
        return text

    def money(self, amount: Decimal | None) -> str | None:
        if amount is None:
            return None
        if not amount.is_finite():
            raise X12WriteError(f"not an amount: {amount}")
        if self.decimals == "explicit":
            exponent = amount.as_tuple().exponent
            places = max(2, -exponent if isinstance(exponent, int) else 0)
            return f"{amount:.{places}f}"
        cents = amount.scaleb(2)
        if cents != cents.to_integral_value():
            raise X12WriteError(f"{amount} has more than the two decimals that are implied")
        return f"{cents.to_integral_value():f}"


def _time(value: dt.time) -> str:
    if value.microsecond % 10_000:
        raise X12WriteError(f"{value} is finer than hundredths of a second")
    if value.microsecond:
        return value.strftime("%H%M%S") + f"{value.microsecond // 10_000:02d}"
    return value.strftime("%H%M%S" if value.second else "%H%M")


GROUP_OF: dict[type, tuple[str, str]] = {
    LoadTender204: (tx204.SET_ID, tx204.GROUP_IDS[0]),
    TenderResponse990: (tx990.SET_ID, tx990.GROUP_IDS[0]),
    Status214: (tx214.SET_ID, tx214.GROUP_IDS[0]),
    Invoice210: (tx210.SET_ID, tx210.GROUP_IDS[0]),
    Acknowledgment997: (tx997.SET_ID, tx997.GROUP_IDS[0]),
    ApplicationAdvice824: (tx824.SET_ID, tx824.GROUP_IDS[0]),
}


def write(
    envelope: Envelope, documents: Iterable[Document], *, decimals: Literal["implied", "explicit"] = "implied"
) -> bytes:
    """One interchange. Raises X12WriteError for what X12 can't carry."""
    out = _Out(envelope, decimals)
    isa = _isa(envelope)
    number = envelope.first_transaction
    group_number = envelope.group_control_number
    if group_number is None:
        group_number = envelope.control_number
    groups = 0
    for kind, run in groupby(documents, key=type):
        if kind not in GROUP_OF:
            raise X12WriteError(f"no writer for {kind.__name__}")
        set_id, functional = GROUP_OF[kind]
        out.add(
            "GS",
            functional,
            envelope.group_sender or envelope.sender,
            envelope.group_receiver or envelope.receiver,
            envelope.at.date(),
            envelope.at.strftime("%H%M"),
            group_number,
            "X",
            envelope.version,
        )
        count = 0
        for document in run:
            before = len(out.segments)
            control = f"{number:04d}"
            out.add("ST", set_id, control)
            _write_document(out, document)
            out.add("SE", len(out.segments) - before + 1, control)
            number += 1
            count += 1
        out.add("GE", count, group_number)
        groups += 1
        group_number += 1
    out.add("IEA", groups, f"{envelope.control_number:09d}")
    marks = envelope.delimiters
    end = marks.terminator + marks.after
    text = "".join(segment + end for segment in [isa, *out.segments])
    try:
        return text.encode(envelope.encoding)
    except UnicodeEncodeError as error:
        raise X12WriteError(f"{error.object[error.start : error.end]!r} is not in {envelope.encoding}") from error


def _isa(envelope: Envelope) -> str:
    marks = envelope.delimiters
    fields: list[tuple[str, int]] = [
        ("00", 2),
        ("", 10),
        ("00", 2),
        ("", 10),
        (envelope.sender_qualifier, 2),
        (envelope.sender, 15),
        (envelope.receiver_qualifier, 2),
        (envelope.receiver, 15),
        (envelope.at.strftime("%y%m%d"), 6),
        (envelope.at.strftime("%H%M"), 4),
        ("U" if envelope.version < "00402" else "^", 1),
        (envelope.version[:5], 5),
        (f"{envelope.control_number:09d}", 9),
        ("0", 1),
        (envelope.usage, 1),
        (marks.component, 1),
    ]
    for value, width in fields[:15]:
        bad = [
            c for c in value if c in (marks.element, marks.component) or c in marks.terminator or not c.isprintable()
        ]
        if len(value) > width or bad or not value.isascii():
            raise X12WriteError(f"does not fit in an ISA: {value!r}")
    return marks.element.join(["ISA", *(value.ljust(width) for value, width in fields)])


def _write_document(out: _Out, document: Document) -> None:
    match document:
        case Invoice210():
            _write_210(out, document)
        case Status214():
            _write_214(out, document)
        case LoadTender204():
            _write_204(out, document)
        case TenderResponse990():
            _write_990(out, document)
        case Acknowledgment997():
            _write_997(out, document)
        case ApplicationAdvice824():
            _write_824(out, document)


# ------------------------------------------------------------------ shared segments


def _n9(out: _Out, references: Sequence[Reference]) -> None:
    for r in references:
        out.add("N9", r.qualifier, r.value, r.description)


def _l11(out: _Out, references: Sequence[Reference]) -> None:
    for r in references:
        out.add("L11", r.value, r.qualifier, r.description)


def _g62(out: _Out, dates: Sequence[QualifiedDate]) -> None:
    for d in dates:
        out.add("G62", d.date_qualifier, d.date, d.time_qualifier, d.time, d.time_code)


def _parties(out: _Out, parties: Sequence[Party]) -> None:
    for p in parties:
        out.add("N1", p.role, p.name, p.id_qualifier, p.id)
        for at in range(0, len(p.more_names), 2):
            out.add("N2", *p.more_names[at : at + 2])
        for at in range(0, len(p.address), 2):
            out.add("N3", *p.address[at : at + 2])
        if p.city or p.state or p.postal_code or p.country:
            out.add("N4", p.city, p.state, p.postal_code, p.country)


def _at8(out: _Out, weights: Sequence[Weight]) -> None:
    for w in weights:
        out.add("AT8", w.qualifier, w.unit, w.weight, w.handling_units, w.packages)


# ------------------------------------------------------------------ transaction sets


def _write_210(out: _Out, invoice: Invoice210) -> None:
    out.add(
        "B3",
        None,
        _needed(invoice.invoice_number, "invoice_number"),
        invoice.shipment_id,
        invoice.payment_method,
        None,
        invoice.invoice_date,
        out.money(invoice.net_amount),
        invoice.correction,
        invoice.delivery_date,
        invoice.delivery_qualifier,
        invoice.scac,
        invoice.pickup_date,
    )
    if invoice.currency:
        out.add("C3", invoice.currency)
    _n9(out, invoice.references)
    _g62(out, invoice.dates)
    _parties(out, invoice.parties)
    for group in invoice.groups:
        _write_lx(out, group)
    if any(
        v is not None
        for v in (invoice.total_weight, invoice.weight_qualifier, invoice.total_charge, invoice.total_pieces)
    ):
        out.add(
            "L3",
            invoice.total_weight,
            invoice.weight_qualifier,
            None,
            None,
            out.money(invoice.total_charge),
            *[None] * 5,
            invoice.total_pieces,
        )


def _write_lx(out: _Out, group: LineGroup) -> None:
    out.add("LX", _needed(group.number, "LX number"))
    _n9(out, group.references)
    for q in group.quantities:
        out.add(
            "L0",
            q.item,
            None,
            None,
            q.weight,
            q.weight_qualifier,
            None,
            None,
            q.pieces,
            q.packaging,
            None,
            q.weight_unit,
        )
    for line in group.lines:
        if line.references and line.references != group.references:
            raise X12WriteError("a line's references are those of its LX loop: use group_lines()")
        out.add(
            "L1",
            line.item,
            line.rate,
            line.rate_qualifier,
            out.money(line.amount),
            None,
            None,
            None,
            line.charge_code,
            None,
            None,
            None,
            line.description,
        )
    _parties(out, group.parties)


def _write_214(out: _Out, status: Status214) -> None:
    out.add("B10", status.reference_id, status.shipment_id, status.scac)
    _l11(out, status.references)
    _parties(out, status.parties)
    loops = groupby(status.events, key=lambda e: (e.references, e.group))
    for number, ((_, group), run) in enumerate(loops, 1):
        members = list(run)
        out.add("LX", group or number)
        for event in members:
            _write_event(out, event)
        _l11(out, members[0].references)


def _write_event(out: _Out, event: StatusEvent) -> None:
    appointment = event.status is None and event.appointment_status is not None
    out.add(
        "AT7",
        event.status,
        None if appointment else event.reason,
        event.appointment_status,
        event.reason if appointment else None,
        event.occurred_on,
        event.occurred_time,
        event.time_code,
    )
    if event.city or event.state or event.country:
        out.add("MS1", event.city, event.state, event.country)
    if event.equipment_scac or event.equipment_number:
        out.add("MS2", event.equipment_scac, event.equipment_number)
    if event.weight is not None:
        _at8(out, [event.weight])


def _write_990(out: _Out, response: TenderResponse990) -> None:
    out.add(
        "B1",
        response.scac,
        _needed(response.shipment_id, "shipment_id"),
        response.responded_on,
        _needed(response.action_code, "action_code"),
    )
    _n9(out, response.references)
    _g62(out, response.dates)
    for note in response.notes:
        out.add("K1", note)


def _write_204(out: _Out, load: LoadTender204) -> None:
    out.add("B2", None, load.scac, None, _needed(load.shipment_id, "shipment_id"), None, load.payment_method)
    out.add("B2A", _needed(load.purpose, "purpose"), load.application_type)
    _l11(out, load.references)
    _g62(out, load.dates)
    if load.transport_method:
        out.add("MS3", load.scac, "B", None, load.transport_method)
    for note in load.notes:
        out.add("NTE", None, note)
    if load.currency:
        out.add("C3", load.currency)
    _parties(out, load.parties)
    for e in load.equipment:
        out.add("N7", e.initial, e.number, *[None] * 8, e.code, None, None, None, e.length)
    for stop in load.stops:
        _write_stop(out, stop)
    if any(
        v is not None
        for v in (load.total_weight, load.weight_qualifier, load.rate, load.total_charge, load.total_pieces)
    ):
        out.add(
            "L3",
            load.total_weight,
            load.weight_qualifier,
            load.rate,
            load.rate_qualifier,
            out.money(load.total_charge),
            *[None] * 5,
            load.total_pieces,
        )


def _write_stop(out: _Out, stop: Stop) -> None:
    out.add(
        "S5",
        stop.sequence,
        _needed(stop.reason, "stop reason"),
        stop.weight,
        stop.weight_unit,
        stop.pieces,
        stop.pieces_unit,
    )
    _l11(out, stop.references)
    _g62(out, stop.dates)
    _at8(out, stop.weights)
    for note in stop.notes:
        out.add("NTE", None, note)
    _parties(out, stop.parties)
    for goods in stop.goods:
        _write_goods(out, goods)
    for hazmat in stop.hazmat:
        _write_hazmat(out, hazmat)


def _write_goods(out: _Out, goods: Goods) -> None:
    if goods.kind == "L5":
        out.add("L5", goods.number, goods.description, goods.commodity_code, goods.commodity_qualifier, goods.packaging)
    elif goods.kind == "OID":
        out.add(
            "OID",
            goods.order_number,
            goods.purchase_order,
            None,
            goods.packaging,
            goods.pieces,
            goods.weight_unit,
            goods.weight,
        )
    elif goods.kind == "LAD":
        out.add(
            "LAD",
            goods.packaging,
            goods.pieces,
            None,
            None,
            goods.weight_unit,
            goods.weight,
            *[None] * 6,
            goods.description,
        )
    else:
        raise X12WriteError(f"goods are L5, OID or LAD, not {goods.kind!r}")
    _at8(out, goods.weights)


def _write_hazmat(out: _Out, hazmat: Hazmat) -> None:
    out.add("LH1", hazmat.unit, hazmat.quantity, hazmat.un_number, *[None] * 6, hazmat.packing_group)
    if hazmat.hazard_class or hazmat.placard or hazmat.reportable_quantity:
        out.add("LH2", hazmat.hazard_class, None, hazmat.placard, None, hazmat.reportable_quantity)
    for name in hazmat.shipping_names:
        out.add("LH3", name)
    if hazmat.emergency_contact or hazmat.emergency_phone:
        out.add("PER", "HM", hazmat.emergency_contact, "TE", hazmat.emergency_phone)


def _write_997(out: _Out, ack: Acknowledgment997) -> None:
    out.add("AK1", ack.functional_id, _needed(ack.group_control_number, "group_control_number"))
    for response in ack.responses:
        out.add("AK2", response.set_id, response.control_number)
        for note in response.notes:
            out.add("AK3", note.segment_id, note.position, None, note.code)
            for e in note.elements:
                out.add("AK4", e.position, None, e.code, e.value)
        out.add("AK5", _needed(response.code, "verdict"), *response.errors[:5])
    out.add("AK9", _needed(ack.code, "verdict"), ack.included, ack.received, ack.accepted, *ack.errors[:5])


def _write_824(out: _Out, advice: ApplicationAdvice824) -> None:
    out.add("BGN", advice.purpose, _needed(advice.reference, "reference"), advice.on, advice.at)
    _parties(out, advice.parties)
    for answer in advice.answers:
        out.add(
            "OTI",
            _needed(answer.code, "verdict"),
            answer.reference_qualifier,
            _needed(answer.reference, "reference"),
            *[None] * 4,
            answer.group_control_number,
            answer.control_number,
            answer.set_id,
        )
        for r in answer.references:
            out.add("REF", r.qualifier, r.value, r.description)
        for error in answer.errors:
            out.add(
                "TED",
                _needed(error.code, "error code"),
                error.words,
                error.segment_id,
                error.position,
                None,
                None,
                error.bad_value,
            )
            for note in error.notes:
                out.add("NTE", "ERR", note)


def _needed(value: str, name: str) -> str:
    if not value.strip():
        raise X12WriteError(f"{name} is mandatory")
    return value
