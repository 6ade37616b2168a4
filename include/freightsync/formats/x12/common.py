"""What every transaction set is made of: shared records, a transaction's body, and the readers of its values.

Values are read exactly or not at all: a reader returns None and leaves a finding, it never guesses.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from freightsync.formats.x12.findings import MAX_FINDINGS, Finding, Severity
from freightsync.formats.x12.profile import PartnerProfile

Segment = list[str]

# ------------------------------------------------------------------ shared records


class Reference(NamedTuple):
    """N9 or L11: qualifier as sent (BM bill of lading, CN carrier's PRO, PO, SI shipper's number, …) and value."""

    qualifier: str
    value: str
    description: str | None = None


# Reference((qualifier, value, description)) without the cost of a Python-level constructor
new_reference: Callable[[tuple[str, str, str | None]], Reference] = partial(tuple.__new__, Reference)


@dataclass(slots=True)
class Party:
    """An N1 loop. role is N1-01 as sent: SH shipper, CN consignee, BT bill-to, SF ship-from, ST ship-to, …"""

    role: str
    name: str | None = None
    id_qualifier: str | None = None
    id: str | None = None
    more_names: list[str] = field(default_factory=list)
    address: list[str] = field(default_factory=list)
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(slots=True)
class QualifiedDate:
    """A G62: date and/or local time, each with its qualifier as sent."""

    date_qualifier: str | None
    date: dt.date | None
    time_qualifier: str | None = None
    time: dt.time | None = None
    time_code: str | None = None


@dataclass(slots=True)
class Weight:
    """An AT8. weight in `unit` (L pounds, K kilograms); handling_units are pallets, packages the pieces on them."""

    qualifier: str | None
    unit: str | None
    weight: Decimal | None
    handling_units: Decimal | None = None
    packages: Decimal | None = None


# ------------------------------------------------------------------ the body of a transaction

BLANKS = " \t\r\n\x00"
_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}\Z")


class Body:
    """One transaction, ST to SE, split into elements, and the findings about it.

    Elements are trimmed. `segments[0]` is the ST, `first_index` its segment index and `start` its byte offset.
    Offsets of other segments are worked out only when a finding needs one.
    """

    __slots__ = ("_offsets", "findings", "first_index", "profile", "raw", "segments", "start", "terminator", "version")

    def __init__(
        self,
        segments: list[Segment],
        raw: str,
        start: int,
        first_index: int,
        terminator: str,
        version: str,
        profile: PartnerProfile,
    ) -> None:
        self.segments = segments
        self.raw = raw
        self.start = start
        self.first_index = first_index
        self.terminator = terminator
        self.version = version
        self.profile = profile
        self.findings: list[Finding] = []
        self._offsets: list[int] | None = None

    def offset(self, position: int) -> int:
        """Byte offset in the file of the segment at this position (0 = ST)."""
        if self._offsets is None:
            self._offsets = [at for at, _ in split_with_offsets(self.raw, self.terminator, self.start)]
        return self._offsets[position] if position < len(self._offsets) else self.start + len(self.raw)

    def text(self, position: int) -> str:
        """The segment at this position as it was sent."""
        start = self.offset(position) - self.start
        stop = self.raw.find(self.terminator, start)
        return self.raw[start : stop if stop >= 0 else None].encode("latin-1").decode("utf-8", "replace")

    def report(self, severity: Severity, code: str, position: int, element: str | None, message: str) -> None:
        """Beyond MAX_FINDINGS only a few more errors are kept: whether there is one decides about the document."""
        count = len(self.findings)
        if count >= MAX_FINDINGS and (severity != "error" or count >= MAX_FINDINGS + 20):
            return
        index, tag = self.first_index + position, self.segments[position][0]
        self.findings.append(Finding(severity, code, index, self.offset(position), element, message, tag))

    def stray(self, position: int) -> None:
        """Called for a segment that the set's reader does not use: silent for real segments, a finding for rubbish."""
        tag = self.segments[position][0]
        if not _SEGMENT_ID.match(tag):
            shown = tag if len(tag) <= 20 else tag[:20] + "…"
            self.report("warning", "bad_segment_id", position, None, f"{shown!r} is no segment; it was passed over")


def split_with_offsets(raw: str, terminator: str, start: int) -> list[tuple[int, str]]:
    """Non-blank segments of a piece of an interchange with the offset of each one's first byte.

    `raw` is decoded as Latin-1, so that a character is a byte.
    """
    blanks = blanks_for(terminator)
    out: list[tuple[int, str]] = []
    at = start
    for piece in raw.split(terminator):
        text = piece.lstrip(blanks)
        if text:
            out.append((at + len(piece) - len(text), text))
        at += len(piece) + len(terminator)
    return out


def blanks_for(*delimiters: str) -> str:
    """The characters that may pad a segment: blanks, less those that are delimiters here."""
    return "".join(c for c in BLANKS if c not in delimiters)


# ------------------------------------------------------------------ values


def element(segment: Segment, number: int) -> str:
    """Element by its number in the segment (1 = first); '' if absent."""
    return segment[number] if number < len(segment) else ""


def optional(segment: Segment, number: int) -> str | None:
    return (segment[number] or None) if number < len(segment) else None


_POINTED = re.compile(r"[+-]?(\d{1,15}\.\d{0,6}|\.\d{1,6})\Z", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,17}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,9})?|\.\d{1,9})\Z", re.ASCII)


# An amount's text -> its value, or None if it can't be read.
Money = Callable[[str], Decimal | None]


def money_reader(profile: PartnerProfile) -> Money:
    """Reads amounts by the profile's rule for implied decimals. More than 17 digits are unreadable."""
    explicit = profile.implied_decimals == "explicit"

    def read(text: str) -> Decimal | None:
        if text.isdigit() and text.isascii() and 2 < len(text) < (17 if explicit else 18):
            return Decimal(text) if explicit else Decimal(text[:-2] + "." + text[-2:])
        if _POINTED.match(text):
            value = Decimal(text)
        elif _WHOLE.match(text):
            value = Decimal(text) if explicit else Decimal(text).scaleb(-2)
        else:
            return None
        if not -LARGEST_AMOUNT < value < LARGEST_AMOUNT:
            return None
        return value if value else abs(value)  # no negative zero

    return read


LARGEST_NUMBER = 999_999_999
"""Of a weight, a count or a rate. A greater one is a typing error, and fits nothing that keeps it."""

LARGEST_AMOUNT = Decimal(10) ** 16
"""Amounts from here on fit no books (sixteen digits before the point)."""


def read_number(text: str) -> Decimal | None:
    """A quantity or weight, exact; None if it is no number."""
    if text.isdigit() and text.isascii() and len(text) < 16:
        return Decimal(text)
    return Decimal(text) if _NUMBER.match(text) else None


_DIGITS = re.compile(r"\d+\Z", re.ASCII)
_dates: dict[str, dt.date] = {}


def read_date(text: str) -> dt.date | None:
    """CCYYMMDD or YYMMDD; two-digit years 00-69 are 20xx, 70-99 are 19xx (the POSIX pivot)."""
    known = _dates.get(text)
    if known is not None:
        return known
    digits = text
    if not _DIGITS.match(digits):
        return None
    if len(digits) == 6:
        digits = ("20" if digits < "70" else "19") + digits
    if len(digits) != 8:
        return None
    try:
        date = dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
    if len(_dates) > 10_000:
        _dates.clear()
    _dates[text] = date
    return date


def read_time(text: str) -> dt.time | None:
    """HHMM, HHMMSS, HHMMSSD or HHMMSSDD (tenths, hundredths)."""
    if not _DIGITS.match(text) or len(text) not in (4, 6, 7, 8):
        return None
    hundredths = int(text[6:].ljust(2, "0")) if len(text) > 6 else 0
    try:
        return dt.time(int(text[:2]), int(text[2:4]), int(text[4:6] or 0), hundredths * 10_000)
    except ValueError:
        return None


def _unreadable(body: Body, position: int, number: int, what: str, severity: Severity) -> None:
    segment = body.segments[position]
    text = segment[number]
    shown = text if len(text) <= 40 else text[:40] + "…"
    body.report(severity, "unreadable_value", position, designator(segment[0], number), f"not {what}: {shown!r}")


def date_or_report(body: Body, position: int, number: int, severity: Severity = "warning") -> dt.date | None:
    """None if absent; None and a finding of this severity if unreadable. So do the readers below."""
    text = element(body.segments[position], number)
    if not text:
        return None
    value = read_date(text)
    if value is None:
        _unreadable(body, position, number, "a date", severity)
    return value


def time_or_report(body: Body, position: int, number: int, severity: Severity = "warning") -> dt.time | None:
    text = element(body.segments[position], number)
    if not text:
        return None
    value = read_time(text)
    if value is None:
        _unreadable(body, position, number, "a time", severity)
    return value


_END_OF_DAY = ("2400", "240000", "2400000", "24000000")


def moment_or_report(
    body: Body, position: int, date_at: int, time_at: int, severity: Severity = "warning"
) -> tuple[dt.date | None, dt.time | None]:
    """A date and the time beside it. 2400 is common in the trade: midnight at the end of that day."""
    date = date_or_report(body, position, date_at, severity)
    if element(body.segments[position], time_at) not in _END_OF_DAY:
        return date, time_or_report(body, position, time_at, severity)
    if date is None or date == dt.date.max:
        return date, time_or_report(body, position, time_at, severity)  # the end of no day: 2400 alone is no time
    return date + dt.timedelta(days=1), dt.time()


def number_or_report(body: Body, position: int, number: int, severity: Severity = "warning") -> Decimal | None:
    text = element(body.segments[position], number)
    if not text:
        return None
    value = read_number(text)
    if value is None:
        _unreadable(body, position, number, "a number", severity)
    elif not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        _unreadable(body, position, number, f"a number of at most {LARGEST_NUMBER}", severity)
        return None
    return value


def money_or_report(
    body: Body, position: int, number: int, money: Money, severity: Severity = "error"
) -> Decimal | None:
    """Money that can't be read is an error unless said otherwise: a sum without it would be wrong."""
    segment = body.segments[position]
    text = element(segment, number)
    if not text:
        return None
    value = money(text)
    if value is None:
        _unreadable(body, position, number, "an amount", severity)
    elif "." in text and value != round(value, 2):
        message = f"{text} is finer than a cent: no books can hold it"
        body.report("warning", "decimal_rule", position, designator(segment[0], number), message)
    elif "." in text and body.profile.implied_decimals == "implied":
        body.report(
            "warning",
            "decimal_rule",
            position,
            designator(segment[0], number),
            f"{text} has a decimal point though this partner's amounts imply it; read as written",
        )
    return value


def designator(tag: str, number: int) -> str:
    return f"{tag}{number:02d}"


# ------------------------------------------------------------------ readers of shared segments


def read_reference(segment: Segment, value_at: int, qualifier_at: int) -> Reference | None:
    """N9 is (qualifier, value, free text), L11 is (value, qualifier, free text). No value and no text: no reference."""
    value = element(segment, value_at)
    description = optional(segment, 3)
    if not value:
        if description is None:
            return None
        value, description = description, None
    return Reference(element(segment, qualifier_at), value, description)


def read_n1(segment: Segment) -> Party:
    count = len(segment)
    return Party(
        segment[1] if count > 1 else "",
        (segment[2] or None) if count > 2 else None,
        (segment[3] or None) if count > 3 else None,
        (segment[4] or None) if count > 4 else None,
    )


def add_to_party(party: Party, segment: Segment) -> None:
    """N2, N3 or N4 of the N1 loop that is open."""
    tag = segment[0]
    if tag == "N4":
        count = len(segment)
        if count > 1:
            party.city = segment[1] or None
            party.state = (segment[2] or None) if count > 2 else None
            party.postal_code = (segment[3] or None) if count > 3 else None
            party.country = (segment[4] or None) if count > 4 else None
    else:
        (party.more_names if tag == "N2" else party.address).extend([text for text in segment[1:3] if text])


def read_g62(body: Body, position: int) -> QualifiedDate:
    segment = body.segments[position]
    date, time = moment_or_report(body, position, 2, 4)
    return QualifiedDate(optional(segment, 1), date, optional(segment, 3), time, optional(segment, 5))


def read_at8(body: Body, position: int) -> Weight:
    segment = body.segments[position]
    return Weight(
        optional(segment, 1),
        optional(segment, 2),
        number_or_report(body, position, 3),
        number_or_report(body, position, 4),
        number_or_report(body, position, 5),
    )


# ------------------------------------------------------------------ JSON


def money_text(value: Decimal | None) -> str | None:
    """The exact value as a plain decimal string, never in exponent notation."""
    return None if value is None else format(value, "f")


def iso(value: dt.date | dt.datetime | dt.time | None) -> str | None:
    return None if value is None else value.isoformat()


def references_json(references: list[Reference]) -> list[dict[str, str]]:
    return [{"qualifier": r.qualifier, "value": r.value} for r in references]


def party_json(party: Party) -> dict[str, object]:
    return {
        "role": party.role,
        "name": party.name,
        "id_qualifier": party.id_qualifier,
        "id": party.id,
        "address": [*party.more_names, *party.address],
        "city": party.city,
        "state": party.state,
        "postal_code": party.postal_code,
        "country": party.country,
    }
