"""What every message type is made of: a message's body with its findings, and the readers of its values.

Values are read exactly or not at all: a reader returns None and leaves a finding, it never guesses.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from freightsync.formats.edifact.findings import MAX_FINDINGS, Finding, Severity
from freightsync.formats.edifact.profile import EdifactProfile
from freightsync.formats.edifact.syntax import Delimiters, Segment

_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{2}\Z")


class Body:
    """One message, UNH to UNT, split, and the findings about it. offsets: of each segment's first byte in the file."""

    __slots__ = ("findings", "first_index", "marks", "offsets", "profile", "segments")

    def __init__(
        self,
        segments: list[Segment],
        offsets: list[int],
        first_index: int,
        marks: Delimiters,
        profile: EdifactProfile,
    ) -> None:
        self.segments = segments
        self.offsets = offsets
        self.first_index = first_index
        self.marks = marks
        self.profile = profile
        self.findings: list[Finding] = []

    def report(self, severity: Severity, code: str, at: int, element: str | None, message: str) -> None:
        """Beyond MAX_FINDINGS only a few more errors are kept: whether there is one decides about the document."""
        count = len(self.findings)
        if count >= MAX_FINDINGS and (severity != "error" or count >= MAX_FINDINGS + 20):
            return
        tag = self.segments[at][0][0]
        self.findings.append(Finding(severity, code, self.first_index + at, self.offsets[at], element, message, tag))

    def stray(self, at: int) -> None:
        """Of a segment that the message's reader does not use: silent for real segments, a finding for rubbish."""
        tag = self.segments[at][0][0]
        if not _SEGMENT_ID.match(tag):
            shown = tag if len(tag) <= 20 else tag[:20] + "…"
            self.report("warning", "bad_segment_id", at, None, f"{shown!r} is no segment; it was passed over")


def text(segment: Segment, element: int, component: int = 1) -> str:
    """A value by its numbers as directories count them (the first is 1), trimmed; '' if absent."""
    if element < len(segment):
        found = segment[element]
        if component <= len(found):
            return found[component - 1].strip()
    return ""


def optional(segment: Segment, element: int, component: int = 1) -> str | None:
    return text(segment, element, component) or None


def designator(tag: str, element: int, component: int = 1) -> str:
    return f"{tag}{element:02d}.{component}"


# ------------------------------------------------------------------ shared records


class Reference(NamedTuple):
    """An RFF: qualifier (1153) as sent, value, line number within the document referred to."""

    qualifier: str
    value: str
    line: str | None = None


class Moment(NamedTuple):
    """A DTM: qualifier (2005); local date, and time where it has one. place: the segment group it stands in: '' the
    document itself, `pat` terms of payment, `tdt` transport."""

    qualifier: str
    date: dt.date
    time: dt.time | None = None
    place: str = ""


class Amount(NamedTuple):
    """A MOA: qualifier (5025), value, and its own currency where it names one."""

    qualifier: str
    value: Decimal
    currency: str | None = None


class Measure(NamedTuple):
    """A MEA or CNT. purpose: 6311 (MEA) or 'CNT'; attribute: 6313 or CNT's qualifier 6069; unit: KGM, LBR, …"""

    purpose: str
    attribute: str | None
    unit: str | None
    value: Decimal


@dataclass(slots=True)
class Party:
    """A NAD. role 3035: SE seller, SU supplier, CA carrier, PE payee, BY buyer, CZ consignor, CN consignee, DP
    delivery.

    id: 3039, agency: 3055 (182: SCAC, 9: GLN). names: party name, else the lines of the unstructured address."""

    role: str
    id: str | None = None
    agency: str | None = None
    lines: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    street: list[str] = field(default_factory=list)
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    references: list[Reference] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        return self.names[0] if self.names else self.lines[0] if self.lines else None


@dataclass(slots=True)
class Tax:
    """A TAX group. kind 5153 (VAT, GST…), category 5305 (S, Z, E, AE…), rate in percent; basis and amount from its
    MOA 125 and 124."""

    kind: str | None
    rate: Decimal | None = None
    category: str | None = None
    amounts: list[Amount] = field(default_factory=list)

    @property
    def amount(self) -> Decimal | None:
        return next((one.value for one in self.amounts if one.qualifier in ("124", "150")), None)


# ------------------------------------------------------------------ values

_NUMBER = re.compile(r"[+-]?(\d{1,17}([.,]\d{0,9})?|[.,]\d{1,9})\Z", re.ASCII)
LARGEST = Decimal(10) ** 16


def read_number(sent: str, decimal: str | None) -> Decimal | None:
    """A number, exact; None if it is none. Comma and point both are decimal marks (there are no thousands in EDIFACT),
    but where the UNA says which, the other one before exactly three digits may be meant otherwise: then it is none."""
    if sent.isdigit() and sent.isascii() and len(sent) < 17:
        return Decimal(sent)
    if not _NUMBER.match(sent):
        return None
    if decimal is not None and (other := "," if decimal == "." else ".") in sent and len(sent.split(other)[1]) == 3:
        return None
    value = Decimal(sent.replace(",", "."))
    return (value or abs(value)) if -LARGEST < value < LARGEST else None  # no negative zero


def number_or_report(
    body: Body, at: int, element: int, component: int, severity: Severity = "warning", what: str = "a number"
) -> Decimal | None:
    """None if absent; None and a finding of this severity if unreadable. So do the readers below."""
    segment = body.segments[at]
    sent = text(segment, element, component)
    if not sent:
        return None
    decimal = body.marks.decimal
    value = read_number(sent, decimal)
    where = designator(segment[0][0], element, component)
    if value is None:
        body.report(severity, "unreadable_value", at, where, f"not {what}: {_shown(sent)}")
    elif decimal is not None and ("," if decimal == "." else ".") in sent:
        words = f"{sent} has another decimal mark than the UNA says ({decimal}); read as a decimal"
        body.report("warning", "decimal_mark", at, where, words)
    return value


def amount_or_report(body: Body, at: int, severity: Severity = "error") -> Amount | None:
    """A MOA. One that can't be read is an error: a sum without it would be wrong."""
    segment = body.segments[at]
    value = number_or_report(body, at, 1, 2, severity, "an amount")
    if value is None:
        return None
    return Amount(text(segment, 1, 1), value, (text(segment, 1, 3).upper() or None))


_FORMATS: dict[str, tuple[str, int]] = {
    "102": ("%Y%m%d", 8),
    "101": ("%y%m%d", 6),
    "2": ("%d%m%y", 6),
    "3": ("%m%d%y", 6),
    "4": ("%d%m%Y", 8),
    "201": ("%y%m%d%H%M", 10),
    "203": ("%Y%m%d%H%M", 12),
    "204": ("%Y%m%d%H%M%S", 14),
}
"""2379 → how the value is written, and its length; without it, by the length of the digits."""
_BY_LENGTH = {8: "102", 6: "101", 12: "203", 14: "204", 10: "201"}
_moments: dict[tuple[str, str], tuple[dt.date, dt.time | None]] = {}


def read_moment(sent: str, code: str) -> tuple[dt.date, dt.time | None] | None:
    """Date and local time of a DTM value; of a period (718, 719) its beginning."""
    known = _moments.get((sent, code))
    if known is not None:
        return known
    value, form = sent, code
    if code in ("718", "719", "713"):
        value = value.split("-")[0] if "-" in value else value[: len(value) // 2]
        form = ""
    if form in ("205", "303", "304"):  # with a zone, which is dropped: what is read is local
        value, form = (value[:14], "204") if form == "304" else (value[:12], "203")
    pattern, length = _FORMATS.get(form or _BY_LENGTH.get(len(value), ""), ("", 0))
    if not pattern or len(value) != length or not (value.isdigit() and value.isascii()):
        return None
    try:
        moment = dt.datetime.strptime(value, pattern)  # noqa: DTZ007 - local, as it was sent
    except ValueError:
        return None
    found = (moment.date(), moment.time() if "%H" in pattern else None)
    if len(_moments) > 10_000:
        _moments.clear()
    _moments[sent, code] = found
    return found


def moment_or_report(body: Body, at: int, place: str, severity: Severity = "warning") -> Moment | None:
    segment = body.segments[at]
    sent = text(segment, 1, 2)
    if not sent:
        return None
    found = read_moment(sent, text(segment, 1, 3))
    if found is None:
        body.report(severity, "unreadable_value", at, designator("DTM", 1, 2), f"not a date: {_shown(sent)}")
        return None
    return Moment(text(segment, 1, 1), found[0], found[1], place)


def _shown(sent: str) -> str:
    return repr(sent if len(sent) <= 40 else sent[:40] + "…")


# ------------------------------------------------------------------ readers of shared segments


def read_reference(segment: Segment) -> Reference | None:
    value = text(segment, 1, 2)
    return Reference(text(segment, 1, 1), value, optional(segment, 1, 3)) if value else None


def read_party(segment: Segment) -> Party:
    def several(element: int) -> list[str]:
        return [part.strip() for part in segment[element] if part.strip()] if element < len(segment) else []

    names = several(4)
    return Party(
        text(segment, 1),
        optional(segment, 2, 1),
        optional(segment, 2, 3),
        several(3),
        names,
        several(5),
        optional(segment, 6),
        # the region is a plain code before D.01A, a component of a composite after
        optional(segment, 7),
        optional(segment, 8),
        optional(segment, 9),
    )


def read_tax(body: Body, at: int) -> Tax:
    segment = body.segments[at]
    return Tax(optional(segment, 2), number_or_report(body, at, 5, 4), optional(segment, 6))


def read_measure(body: Body, at: int) -> Measure | None:
    """A MEA (purpose, attribute, unit and value) or a CNT (qualifier, value, unit)."""
    segment = body.segments[at]
    if segment[0][0] == "CNT":
        value = number_or_report(body, at, 1, 2)
        return None if value is None else Measure("CNT", optional(segment, 1, 1), optional(segment, 1, 3), value)
    value = number_or_report(body, at, 3, 2)
    if value is None:
        return None
    return Measure(text(segment, 1), optional(segment, 2), optional(segment, 3, 1), value)


# ------------------------------------------------------------------ JSON


def number_text(value: Decimal | None) -> str | None:
    """The exact value as a plain decimal string, never in exponent notation."""
    return None if value is None else format(value, "f")


def iso(value: dt.date | dt.time | None) -> str | None:
    return None if value is None else value.isoformat()


def references_json(references: list[Reference]) -> list[dict[str, str]]:
    return [{"qualifier": r.qualifier, "value": r.value} for r in references]


def party_json(party: Party) -> dict[str, object]:
    return {
        "role": party.role,
        "name": party.name,
        "id_qualifier": party.agency,
        "id": party.id,
        "address": [*party.names[1:], *(party.lines if party.names else party.lines[1:]), *party.street],
        "city": party.city,
        "state": party.region,
        "postal_code": party.postal_code,
        "country": party.country,
    }


def amounts_json(amounts: list[Amount]) -> list[dict[str, str | None]]:
    return [{"qualifier": a.qualifier, "amount": number_text(a.value), "currency": a.currency} for a in amounts]
