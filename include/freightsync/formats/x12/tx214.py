"""214: a carrier's shipment status.

One AT7 is one event; an LX loop may hold several. AT7-03/04 (appointment status and its reason) exclude AT7-01/02.
A time is the local time at the stop unless its code (AT7-07) says otherwise; this reader keeps the digits as sent
and the code beside them, and works out an offset only where the code names one by itself (ES, PD, UT, …) or names
a zone whose law fixes it on that date (ET, CT, MT, PT, …).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body, Party, Reference, Weight
from freightsync.formats.x12.findings import Finding

SET_ID = "214"
GROUP_IDS = ("QM",)

STOP = "QN"
"""Qualifier of the reference that names the stop."""

# Beyond, a date is a placeholder (99991231), and no time zone can be reckoned with.
EARLIEST_YEAR, LATEST_YEAR = 1900, 2199

# AT7-07: codes with an offset of their own (minutes), and codes of a zone whose offset depends on the date.
FIXED_OFFSETS: dict[str, int] = {
    "UT": 0, "GM": 0,
    "ES": -300, "ED": -240, "CS": -360, "CD": -300,
    "MS": -420, "MD": -360, "PS": -480, "PD": -420,
    "AS": -540, "AD": -480, "HS": -600,
    "TS": -240, "TD": -180, "NS": -210, "ND": -150,
}  # fmt: skip
ZONES: dict[str, str] = {
    "ET": "America/New_York",
    "CT": "America/Chicago",
    "MT": "America/Denver",
    "PT": "America/Los_Angeles",
    "AT": "America/Anchorage",
    "HT": "Pacific/Honolulu",
    "TT": "America/Halifax",
    "NT": "America/St_Johns",
}


@dataclass(slots=True)
class StatusEvent:
    """An AT7 with the MS1 and MS2 that follow it.

    status AT7-01 or appointment_status AT7-03, as sent; reason AT7-02 or, for an appointment, AT7-04.
    occurred_on, occurred_time: local, as sent; time_code AT7-07 as sent ('LT' local, None not given).
    references: L11 of the LX loop, the very same list on each of its events (a stop's sequence is qualifier QN).
    """

    status: str | None
    reason: str | None = None
    appointment_status: str | None = None
    occurred_on: dt.date | None = None
    occurred_time: dt.time | None = None
    time_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    equipment_scac: str | None = None
    equipment_number: str | None = None
    group: str | None = None
    references: list[Reference] = field(default_factory=list)
    weight: Weight | None = None

    @property
    def occurred_local(self) -> dt.datetime | None:
        """Naive; None unless both date and time were sent."""
        if self.occurred_on is None or self.occurred_time is None:
            return None
        return dt.datetime.combine(self.occurred_on, self.occurred_time)

    @property
    def occurred_at(self) -> dt.datetime | None:
        """With offset; None where the time code does not settle it ('LT', none, unknown)."""
        local = self.occurred_local
        if local is None or self.time_code is None:
            return None
        if self.time_code in FIXED_OFFSETS:
            return local.replace(tzinfo=dt.timezone(dt.timedelta(minutes=FIXED_OFFSETS[self.time_code])))
        zone = _zone(ZONES.get(self.time_code))
        if zone is None:
            return None
        first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
        return first if first.utcoffset() == second.utcoffset() else None

    @property
    def stop_sequence(self) -> int | None:
        """The stop's number in the load, where the carrier names it (L11 with QN)."""
        for reference in self.references:
            if reference.qualifier == STOP and _is_stop_number(reference.value):
                return int(reference.value)
        return None


def _is_stop_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


@lru_cache(maxsize=32)
def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # a machine without tz data: the offset is unknown, not guessed
        return None


@dataclass(slots=True)
class UnreadableEvent:
    """An AT7 that is no event: segment_index and byte_offset as of a finding, raw its text, findings its errors."""

    segment_index: int
    byte_offset: int
    raw: str
    findings: list[Finding]


@dataclass(slots=True)
class Status214:
    """reference_id B10-01 (the carrier's own number, often its PRO), shipment_id B10-02, scac B10-03.

    events: those that can be read. unreadable: the others; one of them does not withhold the rest.
    """

    reference_id: str | None
    shipment_id: str | None
    scac: str | None
    references: list[Reference] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    events: list[StatusEvent] = field(default_factory=list)
    unreadable: list[UnreadableEvent] = field(default_factory=list)


def parse(body: Body) -> Status214:
    status = Status214(None, None, None)
    header_seen = False
    references = status.references
    group: str | None = None
    in_group = False
    group_events: list[StatusEvent] = []
    event: StatusEvent | None = None
    party: Party | None = None

    for at, segment in enumerate(body.segments):
        tag = segment[0]
        if tag == "AT7":
            known = len(body.findings)
            event, readable = _read_at7(body, at, group, references if in_group else [])
            group_events.append(event)
            if readable:
                status.events.append(event)
            else:
                errors = [finding for finding in body.findings[known:] if finding.severity == "error"]
                status.unreadable.append(UnreadableEvent(body.first_index + at, body.offset(at), body.text(at), errors))
        elif tag == "MS1":
            if event is not None:
                event.city = common.optional(segment, 1)
                event.state = common.optional(segment, 2)
                event.country = common.optional(segment, 3)
        elif tag == "MS2":
            if event is not None:
                event.equipment_scac = common.optional(segment, 1)
                event.equipment_number = common.optional(segment, 2)
        elif tag == "L11" or tag == "N9":
            reference = common.read_reference(segment, *((1, 2) if tag == "L11" else (2, 1)))
            if reference is not None:
                references.append(reference)
                if reference.qualifier == STOP and not _is_stop_number(reference.value):
                    where, shown = ("L1101" if tag == "L11" else "N902"), reference.value[:40]
                    body.report("warning", "unreadable_value", at, where, f"not a stop's number: {shown!r}")
        elif tag == "LX":
            group = common.element(segment, 1)
            in_group, event, party = True, None, None
            references = []
            group_events = []
        elif tag == "AT8":
            if group_events:
                group_events[-1].weight = common.read_at8(body, at)
        elif tag == "N1":
            party = common.read_n1(segment)
            status.parties.append(party)
        elif tag in ("N2", "N3", "N4"):
            if party is not None:
                common.add_to_party(party, segment)
        elif tag == "B10":
            if header_seen:
                body.report("error", "repeated_segment", at, None, "a second B10: two transactions run together")
                continue
            header_seen = True
            status.reference_id = common.optional(segment, 1)
            status.shipment_id = common.optional(segment, 2)
            status.scac = common.optional(segment, 3)
            if status.reference_id is None and status.shipment_id is None:
                body.report("warning", "missing_value", at, "B1001", "neither the carrier's nor the shipper's number")
        else:
            body.stray(at)

    if not header_seen:
        body.report("error", "missing_segment", 0, "B10", "a 214 without B10 says nothing of what it is about")
    elif not status.events and not status.unreadable:
        body.report("warning", "missing_segment", 0, "AT7", "a 214 without any event")
    return status


def _read_at7(body: Body, at: int, group: str | None, references: list[Reference]) -> tuple[StatusEvent, bool]:
    """The event, and whether it is one: that it can't be read is reported."""
    segment = body.segments[at]
    status = common.optional(segment, 1)
    appointment = common.optional(segment, 3)
    if status is None and appointment is None:
        body.report("error", "missing_value", at, "AT701", "neither a status nor an appointment status")
    if status is not None and appointment is not None:
        body.report("warning", "conflicting_values", at, "AT703", "an appointment status excludes a status")
    if not common.element(segment, 5):
        body.report("warning", "missing_value", at, "AT705", "an event without date")
    occurred_on, occurred_time = common.moment_or_report(body, at, 5, 6, "error")
    if occurred_on is not None and not EARLIEST_YEAR <= occurred_on.year <= LATEST_YEAR:
        body.report("error", "unreadable_value", at, "AT705", f"not a date of an event: {occurred_on}")
        occurred_on = None
    readable = (
        (status or appointment) is not None
        and (occurred_on is not None or not common.element(segment, 5))
        and (occurred_time is not None or not common.element(segment, 6))
    )
    event = StatusEvent(
        status=status,
        reason=common.optional(segment, 2) or common.optional(segment, 4),
        appointment_status=appointment,
        occurred_on=occurred_on,
        occurred_time=occurred_time,
        time_code=common.optional(segment, 7),
        group=group,
        references=references,
    )
    return event, readable


def occurred_text(event: StatusEvent) -> str | None:
    """ISO 8601 without offset: local date and time, or the date alone where no time was sent."""
    local = event.occurred_local
    return common.iso(local if local is not None else event.occurred_on)


def as_json(status: Status214) -> dict[str, object]:
    return {
        "reference_id": status.reference_id,
        "shipment_id": status.shipment_id,
        "scac": status.scac,
        "references": common.references_json(status.references),
        "parties": [common.party_json(p) for p in status.parties],
        "events": [_event_json(event) for event in status.events],
    }


def _event_json(event: StatusEvent) -> dict[str, object]:
    return {
        "status": event.status,
        "reason": event.reason,
        "appointment_status": event.appointment_status,
        "occurred_at_local": occurred_text(event),
        "time_code": event.time_code,
        "occurred_at": common.iso(event.occurred_at),
        "city": event.city,
        "state": event.state,
        "country": event.country,
        "references": common.references_json(event.references),
    }
