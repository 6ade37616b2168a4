"""A carrier's EDI file -> records by feed.

X12: 214 statuses (one unit an event), 210 invoices (one unit a transaction), 997 and 824 (one unit an answered
transaction), 990 answers to tenders. EDIFACT, by its content, whatever the file
is called: see `invoic`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal

from freightsync.formats.edifact import DEFAULT_PROFILE as EDIFACT_DEFAULT
from freightsync.formats.edifact import EdifactProfile
from freightsync.formats.edifact import looks_like as looks_like_edifact
from freightsync.formats.x12 import (
    Acknowledgment997,
    ApplicationAdvice824,
    Finding,
    Interchange,
    Invoice210,
    NotX12Error,
    PartnerProfile,
    Party,
    Reference,
    Status214,
    StatusEvent,
    TenderResponse990,
    Transaction,
    UnreadableEvent,
    read_stream,
)
from freightsync.formats.x12.tx210 import Partial210
from freightsync.systems.bill import Bill, BillLine, fits_the_books, keep
from freightsync.systems.carrier_edi import codes, invoic
from freightsync.systems.parsed import (
    UNREADABLE_FILE,
    UNREADABLE_INTERCHANGE,
    UNREADABLE_VALUE,
    Parsed,
    Record,
    Reject,
    Unreadable,
)

RAW_LIMIT = 20_000


def parse_file(
    content: bytes,
    *,
    profile: PartnerProfile,
    scac: str,
    name: str,
    expected: str,
    edifact: EdifactProfile = EDIFACT_DEFAULT,
) -> dict[str, Parsed]:
    """What the file holds, by feed.

    scac: the carrier whose file it is, for a transaction that names none. expected: the feed that a file without any of
    our transactions belongs to. A file without an interchange is one unreadable document of that feed; so is each
    interchange whose ISA is broken. Sets that carriers have no reason to send us are no units here.
    """
    if looks_like_edifact(content):
        return invoic.parse_file(content, profile=edifact, scac=scac, name=name)
    out: dict[str, Parsed] = {}
    try:
        for item in read_stream(content, profile):
            if isinstance(item, Transaction):
                feed = codes.FEED_OF_SET.get(item.set_id)
                if feed is not None and not item.interchange.rejected:
                    _transaction(item, content, out.setdefault(feed, Parsed()), scac, name)
            elif isinstance(item, Finding):  # an interchange of which not even the ISA can be read
                _broken([item], out.setdefault(expected, Parsed()), name)
            elif isinstance(item, Interchange) and item.rejected:
                _broken(item.findings, out.setdefault(expected, Parsed()), name)
    except NotX12Error as error:
        reason = UNREADABLE_INTERCHANGE if error.findings else UNREADABLE_FILE
        return {expected: Parsed.nothing(reason, f"{error}. What to do: {error.what_to_do}")}
    found = out.setdefault(expected, Parsed())
    if found.broken and not found.units and len(out) == 1 and len(found.broken) == 1:
        return {expected: Parsed(unreadable=found.broken[0])}
    return out


def _broken(findings: Iterable[Finding], parsed: Parsed, name: str) -> None:
    first = next(finding for finding in findings if finding.severity == "error")
    words = f"{first.message} (byte {first.byte_offset} of {name}): ask the carrier to send the interchange again"
    unreadable = Unreadable(UNREADABLE_INTERCHANGE, words)
    if unreadable not in parsed.broken:  # an interchange is announced when it opens and when it closes
        parsed.broken.append(unreadable)


def _transaction(found: Transaction, content: bytes, parsed: Parsed, scac: str, name: str) -> None:
    position = f"segment {found.segment_index} byte {found.byte_offset}"
    document = found.document
    if isinstance(document, Invoice210):
        keep(
            bill_of(document),
            parsed,
            feed=codes.INVOICE_FEED,
            scac=scac,
            position=position,
            raw=lambda: _raw(found, content),
        )
    elif isinstance(document, (Acknowledgment997, ApplicationAdvice824, TenderResponse990)):
        parsed_answers = (
            [_tender_response(document, scac)]
            if isinstance(document, TenderResponse990)
            else _acknowledged(document, scac)
            if isinstance(document, Acknowledgment997)
            else _advised(document, scac)
        )
        for values in parsed_answers:
            parsed.received()
            parsed.records.append(Record(parsed.units, position, values))
    elif isinstance(document, Status214):
        for event in document.events:
            parsed.received()
            parsed.records.append(_event(document, event, parsed.units, position, scac))
        for spoilt in document.unreadable:
            parsed.received()
            parsed.rejects.append(_unreadable_event(spoilt, found, parsed.units, name))
    else:
        amount = currency = number = None
        if isinstance(found.partial, (Partial210, Invoice210)):
            amount, currency, number = (
                _kept(found.partial.net_amount),
                found.partial.currency,
                found.partial.invoice_number,
            )
        parsed.received(amount, currency)
        known = amount is not None and currency is not None
        errors = [finding for finding in found.findings if finding.severity == "error"]
        reasons = _reasons(errors)
        parsed.rejects.append(
            Reject(
                parsed.units,
                position,
                tuple(reasons),
                tuple(reasons.values()),
                _raw(found, content),
                number or f"{name}#{found.control_number}",
                amount if known else None,
                currency if known else None,
            )
        )


def _unreadable_event(spoilt: UnreadableEvent, found: Transaction, ordinal: int, name: str) -> Reject:
    """One event among others that could be read: only it is kept back."""
    reasons = _reasons(spoilt.findings) or {UNREADABLE_VALUE: f"an event that can't be read: {codes.OTHER_WORDS}"}
    return Reject(
        ordinal,
        f"segment {spoilt.segment_index} byte {spoilt.byte_offset}",
        tuple(reasons),
        tuple(reasons.values()),
        spoilt.raw[:RAW_LIMIT],
        f"{name}#{found.control_number}/{spoilt.segment_index}",
    )


def _reasons(errors: Iterable[Finding]) -> dict[str, str]:
    """Reason of the quarantine -> the first error of that reason, in words."""
    reasons: dict[str, str] = {}
    for error in errors:
        reasons.setdefault(codes.reason_of(error.code, error.element), _words(error))
    return reasons


def _words(error: Finding) -> str:
    if error.code == "truncated_transaction":
        return f"{error.message} (byte {error.byte_offset}): {codes.TRUNCATED_WORDS}"
    where = f"segment {error.segment_index}" + (f", element {error.element}" if error.element else "")
    return f"{error.message} ({where}, byte {error.byte_offset}): {codes.OTHER_WORDS}"


def _raw(found: Transaction, content: bytes) -> str:
    end = found.byte_offset + min(found.byte_length, RAW_LIMIT)
    return content[found.byte_offset : end].decode("utf-8", "replace")


# ---------------------------------------------------------------------------------------------------- 210


def bill_of(sent: Invoice210) -> Bill:
    """A 210 in the shape of every bill. Its currency is C3's, else that of the carrier's profile."""
    lines = [
        BillLine(
            line.charge_code,
            line.amount,
            line.description,
            shipment_reference=_value(line.references, codes.SHIPMENT),
            pro_number=_value(line.references, codes.PRO),
            bol_number=_value(line.references, codes.BOL),
            order_number=_value(line.references, codes.PO),
        )
        for line in sent.lines
    ]
    return Bill(
        number=sent.invoice_number,
        invoice_on=sent.invoice_date,
        net_amount=sent.net_amount,
        currency=sent.currency,
        kind=sent.correction or "",
        scac=sent.scac,
        corrects_number=next((one for q in codes.CORRECTED if (one := _reference(sent, q)) is not None), None),
        biller=_biller(sent),
        ship_on=sent.pickup_date or _shipped_on(sent),
        shipment_reference=sent.shipment_id or _reference(sent, codes.SHIPMENT),
        bol_number=_reference(sent, codes.BOL),
        pro_number=_reference(sent, codes.PRO),
        po_number=_reference(sent, codes.PO),
        origin_postal=_postal(sent, codes.ORIGIN_ROLES),
        destination_postal=_postal(sent, codes.DESTINATION_ROLES),
        weight_lb=_weight_lb(sent),
        lines=lines,
    )


def _kept(amount: Decimal | None) -> Decimal | None:
    """Money for the control totals; what fits no books is unknown money."""
    return amount if amount is not None and fits_the_books(amount) else None


def _biller(bill: Invoice210) -> str | None:
    """Whom to pay (N1 RE or PE), where that is not the carrier under its own code or name."""
    own = {bill.scac, *(party.name for party in bill.parties if party.role in codes.CARRIER_ROLES)}
    for party in bill.parties:
        if party.role in codes.PAYEE_ROLES:
            named = party.id or party.name
            return None if party.id in own or party.name in own else named
    return None


def _value(references: Sequence[Reference], qualifier: str) -> str | None:
    for one in references:  # asked twenty times a bill
        if one.qualifier == qualifier:
            return one.value
    return None


def _reference(bill: Invoice210, qualifier: str) -> str | None:
    """The bill's own, else the one that all LX loops which name any agree on."""
    own = _value(bill.references, qualifier)
    if own is not None:
        return own
    named = {value for group in bill.groups if (value := _value(group.references, qualifier)) is not None}
    return named.pop() if len(named) == 1 else None


def _shipped_on(bill: Invoice210) -> dt.date | None:
    return next((date.date for date in bill.dates if date.date_qualifier in codes.SHIPPED_DATES and date.date), None)


def _postal(bill: Invoice210, roles: Sequence[str]) -> str | None:
    parties: list[Party] = [*bill.parties, *(party for group in bill.groups for party in group.parties)]
    for role in roles:
        for party in parties:
            if party.role == role and party.postal_code:
                return party.postal_code
    return None


def _weight_lb(bill: Invoice210) -> Decimal | None:
    """L3-01, else the L0 weights; kilograms (L0-11 K) turned into pounds, to a thousandth."""
    quantities = [quantity for group in bill.groups for quantity in group.quantities if quantity.weight is not None]
    total = bill.total_weight
    if total is None:
        if not quantities:
            return None
        total = sum((quantity.weight for quantity in quantities if quantity.weight is not None), Decimal(0))
    if quantities and all(quantity.weight_unit == "K" for quantity in quantities):
        total *= Decimal(codes.POUNDS_PER_KILOGRAM)
    return total.quantize(Decimal("0.001"))


# ---------------------------------------------------------------------------------------------------- 214


def _event(status: Status214, event: StatusEvent, ordinal: int, position: str, scac: str) -> Record:
    references = [*event.references, *status.references]
    named = {
        "shipment_id": status.shipment_id or _value(references, codes.SHIPMENT),
        "pro": status.reference_id or _value(references, codes.PRO),
        "bol": _value(references, codes.BOL),
    }
    kind, reference = next(((kind, value) for kind, value in named.items() if value is not None), (None, None))
    is_appointment = event.status is None
    details = {"pro_number": status.reference_id} if status.reference_id and kind == "shipment_id" else {}
    if event.occurred_local is None and event.occurred_on is not None:
        details["occurred_on"] = event.occurred_on.isoformat()
    weight = event.weight
    values = {
        "source": codes.STATUS_FEED,
        "reference_kind": kind,
        "reference": reference,
        "scac": status.scac or scac,
        "stop_sequence": event.stop_sequence,
        "code_set": codes.CODE_SET,
        "status_code": event.appointment_status if is_appointment else event.status,
        "reason_code": event.reason,
        "appointment": is_appointment,
        "occurred_local": event.occurred_local,
        "occurred_at": event.occurred_at,
        "time_code": event.time_code,
        "city": event.city,
        "state": event.state,
        "country": event.country,
        "pieces": int(weight.packages) if weight is not None and weight.packages is not None else None,
        "weight_lb": weight.weight if weight is not None and weight.unit != "K" else None,
        "details": details or None,
    }
    return Record(ordinal, position, values)


# ---------------------------------------------------------------------------------------------------- 997, 824, 990


def _acknowledged(sent: Acknowledgment997, scac: str) -> list[dict[str, object]]:
    """One answer a transaction; a 997 that speaks of none speaks of its group."""
    head = {
        "source": codes.ANSWER_FEED,
        "kind": "997",
        "scac": scac,
        "functional_id": sent.functional_id or None,
        "group_control_number": sent.group_control_number or None,
    }
    if not sent.responses:
        return [{**head, "code": sent.code or None, "errors": list(sent.errors) or None}]
    return [
        {
            **head,
            "set_id": one.set_id or None,
            "control_number": one.control_number or None,
            "code": one.code or None,
            "errors": [
                *one.errors,
                *(f"{note.segment_id} {note.position} {note.code or ''}".rstrip() for note in one.notes),
            ]
            or None,
        }
        for one in sent.responses
    ]


def _advised(sent: ApplicationAdvice824, scac: str) -> list[dict[str, object]]:
    return [
        {
            "source": codes.ANSWER_FEED,
            "kind": "824",
            "scac": scac,
            "advice_reference": sent.reference or None,
            "answered_on": sent.on,
            "group_control_number": one.group_control_number,
            "set_id": one.set_id,
            "control_number": one.control_number,
            "reference_qualifier": one.reference_qualifier or None,
            "reference": one.reference or None,
            "code": one.code or None,
            "errors": [" ".join(filter(None, (error.code, error.words, *error.notes))) for error in one.errors] or None,
        }
        for one in sent.answers
    ]


def _tender_response(sent: TenderResponse990, scac: str) -> dict[str, object]:
    return {
        "source": codes.TENDER_FEED,
        "scac": sent.scac or scac,
        "shipment_id": sent.shipment_id or None,
        "responded_on": sent.responded_on,
        "action_code": sent.action_code or None,
        "decision": sent.decision,
        "pro_number": _value(sent.references, codes.PRO),
        "note": "; ".join(sent.notes) or None,
    }
