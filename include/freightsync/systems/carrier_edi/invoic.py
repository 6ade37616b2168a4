"""A carrier's EDIFACT file -> records: INVOIC bills, one unit a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from freightsync.formats.edifact import (
    Charge,
    EdifactProfile,
    Finding,
    Interchange,
    Invoic,
    LineItem,
    Message,
    NotEdifactError,
    PartialInvoic,
    Party,
    Reference,
    charge_code,
    read_stream,
)
from freightsync.systems.bill import Bill, BillLine, fits_the_books, keep
from freightsync.systems.carrier_edi import codes
from freightsync.systems.parsed import (
    UNREADABLE_FILE,
    UNREADABLE_INTERCHANGE,
    UNREADABLE_VALUE,
    Parsed,
    Reject,
    Unreadable,
)

RAW_LIMIT = 20_000


def parse_file(content: bytes, *, profile: EdifactProfile, scac: str, name: str) -> dict[str, Parsed]:
    """The bills that the file holds, for the feed of INVOIC.

    A file without an interchange is one unreadable document; so is each interchange whose UNB is broken. Messages of
    other types are answered elsewhere and are no units here.
    """
    parsed = Parsed()
    try:
        for item in read_stream(content, profile):
            if isinstance(item, Message):
                if item.message_type == "INVOIC" and not item.interchange.rejected:
                    _message(item, content, parsed, scac, name)
            elif isinstance(item, Finding):
                _broken([item], parsed, name)
            elif isinstance(item, Interchange) and item.rejected:
                _broken(item.findings, parsed, name)
    except NotEdifactError as error:
        reason = UNREADABLE_INTERCHANGE if error.findings else UNREADABLE_FILE
        return {codes.INVOIC_FEED: Parsed.nothing(reason, f"{error}. What to do: {error.what_to_do}")}
    if parsed.broken and not parsed.units and len(parsed.broken) == 1:
        return {codes.INVOIC_FEED: Parsed(unreadable=parsed.broken[0])}
    return {codes.INVOIC_FEED: parsed}


def _broken(findings: Iterable[Finding], parsed: Parsed, name: str) -> None:
    first = next(finding for finding in findings if finding.severity == "error")
    words = f"{first.message} (byte {first.byte_offset} of {name}): ask the carrier to send the interchange again"
    unreadable = Unreadable(UNREADABLE_INTERCHANGE, words)
    if unreadable not in parsed.broken:
        parsed.broken.append(unreadable)


def _message(found: Message, content: bytes, parsed: Parsed, scac: str, name: str) -> None:
    position = f"segment {found.segment_index} byte {found.byte_offset}"
    document = found.document

    def raw() -> str:
        end = found.byte_offset + min(found.byte_length, RAW_LIMIT)
        return content[found.byte_offset : end].decode("utf-8", "replace")

    if isinstance(document, Invoic):
        bill, problems = bill_of(document)
        keep(bill, parsed, feed=codes.INVOIC_FEED, scac=scac, position=position, raw=raw, problems=problems)
        return
    partial = found.partial
    amount = currency = number = None
    if isinstance(partial, Invoic | PartialInvoic):
        amount, currency, number = partial.net_amount, partial.currency, partial.number
        if amount is not None and not fits_the_books(amount, currency):
            amount = None
        if isinstance(partial, Invoic) and amount is not None and _turned(partial):
            amount = -amount
    parsed.received(amount, currency)
    known = amount is not None and currency is not None
    reasons: dict[str, str] = {}
    for error in found.findings:
        if error.severity == "error":
            reasons.setdefault(codes.reason_of(error.code, error.element), _words(error))
    reasons = reasons or {UNREADABLE_VALUE: f"it can't be read: {codes.OTHER_WORDS}"}
    parsed.rejects.append(
        Reject(
            parsed.units,
            position,
            tuple(reasons),
            tuple(reasons.values()),
            raw(),
            number or f"{name}#{found.control_number}",
            amount if known else None,
            currency if known else None,
        )
    )


def _words(error: Finding) -> str:
    if error.code == "truncated_message":
        return f"{error.message} (byte {error.byte_offset}): the file was cut. Ask the carrier to send it again"
    where = f"segment {error.segment_index}" + (f", element {error.element}" if error.element else "")
    return f"{error.message} ({where}, byte {error.byte_offset}): {codes.OTHER_WORDS}"


# ---------------------------------------------------------------------------------------------------- to a bill


def _kind(sent: Invoic) -> tuple[str, str | None]:
    """Kind of bill, and what is wrong where there is none: by the document's code, unless its function says that it
    cancels or replaces."""
    known = {**codes.INVOIC_KINDS, **sent.profile.kinds}
    kind = known.get(sent.document_code)
    if sent.document_code in codes.NO_BILLS and sent.document_code not in sent.profile.kinds:
        return (
            "",
            f"document {sent.document_code} is {codes.NO_BILLS[sent.document_code]}, no bill: {codes.OTHER_WORDS}",
        )
    if kind is None:
        return "", (
            f"document code {sent.document_code[:10]!r} is not known here: "
            "map it in `kinds` of the carrier's edifact profile, or ask the carrier"
        )
    if sent.function in codes.INVOIC_FUNCTIONS:
        return codes.INVOIC_FUNCTIONS[sent.function], None
    return kind, None


def _turned(sent: Invoic) -> bool:
    """Whether amounts are turned round: a credit note asks for nothing, it gives. Some senders write the minus."""
    if {**codes.INVOIC_KINDS, **sent.profile.kinds}.get(sent.document_code) != "CR":
        return False
    net = sent.net_amount
    return net is None or net > 0


def bill_of(sent: Invoic) -> tuple[Bill, list[str]]:
    """An INVOIC in the shape of every bill, and what is wrong with it beyond what the reader found."""
    kind, problem = _kind(sent)
    sign = -1 if _turned(sent) else 1
    meanings = {**codes.INVOIC_REFERENCES, **sent.profile.references}
    own = _references(sent.references, meanings, sent.profile.references)
    lines = [_line(line, sent.profile, meanings, sign) for line in sent.lines]
    lines += [_charge(charge, meanings, sent.profile, sign) for charge in sent.charges]
    return (
        Bill(
            number=sent.number,
            invoice_on=sent.invoice_date,
            net_amount=_signed(sent.net_amount, sign),
            currency=sent.currency,
            kind=kind,
            scac=next((p.id for p in sent.parties if p.role == "CA" and p.agency == codes.SCAC_AGENCY), None),
            corrects_number=own.get("corrects_number"),
            biller=_biller(sent.parties),
            service_level=sent.service_level,
            ship_on=_shipped_on(sent),
            due_on=sent.due_date,
            shipment_reference=own.get("shipment_reference"),
            bol_number=own.get("bol_number"),
            pro_number=own.get("pro_number"),
            po_number=own.get("order_number"),
            origin_postal=_postal(sent.parties, codes.INVOIC_ORIGIN),
            destination_postal=_postal(sent.parties, codes.INVOIC_DESTINATION),
            weight_lb=_weight_lb(sent),
            tax_amount=_signed(sent.tax_amount, sign),
            gross_amount=_signed(sent.gross_amount, sign),
            lines=lines,
        ),
        [problem] if problem else [],
    )


def _signed(amount: Decimal | None, sign: int) -> Decimal | None:
    return None if amount is None else amount * sign if amount else amount


def _references(
    references: Sequence[Reference], meanings: Mapping[str, str], first: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Meaning -> value: the carrier's own qualifiers before the usual ones, these in their order."""
    out: dict[str, str] = {}
    for qualifier in dict.fromkeys([*(first or {}), *meanings]):
        meaning = {"po_number": "order_number"}.get(meanings[qualifier], meanings[qualifier])
        value = next((one.value for one in references if one.qualifier == qualifier), None)
        if value is not None and meaning:
            out.setdefault(meaning, value)
    return out


def _line(line: LineItem, profile: EdifactProfile, meanings: Mapping[str, str], sign: int) -> BillLine:
    tax = line.taxes[0] if len(line.taxes) == 1 else None
    taxes = [one.amount for one in line.taxes if one.amount is not None]
    own = _references(line.references, meanings, profile.references)
    return BillLine(
        charge_code(line, profile),
        _signed(line.amount, sign),
        line.description,
        own.get("shipment_reference"),
        own.get("pro_number"),
        own.get("bol_number"),
        own.get("order_number"),
        tax.category if tax is not None else None,
        tax.rate if tax is not None else None,
        _signed(sum(taxes, Decimal(0)), sign) if taxes else None,
    )


def _charge(charge: Charge, meanings: Mapping[str, str], profile: EdifactProfile, sign: int) -> BillLine:
    tax = charge.taxes[0] if len(charge.taxes) == 1 else None
    own = _references(charge.references, meanings, profile.references)
    taxed = tax.amount if tax is not None else None
    if taxed is not None and charge.kind == "A":
        taxed = -abs(taxed)
    return BillLine(
        charge.code,
        _signed(charge.signed, sign),
        charge.description,
        own.get("shipment_reference"),
        own.get("pro_number"),
        own.get("bol_number"),
        own.get("order_number"),
        tax.category if tax is not None else None,
        tax.rate if tax is not None else None,
        _signed(taxed, sign),
    )


def _biller(parties: Sequence[Party]) -> str | None:
    """The payee (NAD PE), where that is not the carrier or seller under its own id or name."""
    own = {value for p in parties if p.role in ("SE", "SU", "CA", "II") for value in (p.id, p.name) if value}
    for party in parties:
        if party.role in codes.INVOIC_PAYEES:
            return None if party.id in own or party.name in own else party.id or party.name
    return None


def _shipped_on(sent: Invoic) -> dt.date | None:
    for qualifier in codes.INVOIC_SHIPPED:
        for one in [*sent.dates, *(date for line in sent.lines for date in line.dates)]:
            if one.qualifier == qualifier:
                return one.date
    return None


def _postal(parties: Sequence[Party], roles: Sequence[str]) -> str | None:
    return next((p.postal_code for role in roles for p in parties if p.role == role and p.postal_code), None)


def _weight_lb(sent: Invoic) -> Decimal | None:
    """The bill's gross weight, else the sum of its lines'; to a thousandth of a pound."""
    for measures in (sent.measures, [m for line in sent.lines for m in line.measures]):
        found = [
            m.value * (Decimal(codes.POUNDS_PER_KILOGRAM) if m.unit == "KGM" else Decimal(1))
            for m in measures
            if m.unit in ("KGM", "LBR") and (m.purpose != "CNT" or m.attribute in codes.WEIGHT_CONTROLS)
        ]
        if found:
            total = found[0] if measures is sent.measures else sum(found, Decimal(0))
            return total.quantize(Decimal("0.001"))
    return None
