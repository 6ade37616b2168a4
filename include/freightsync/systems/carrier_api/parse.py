"""Payloads of carriers' webhooks -> records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from freightsync.systems.parsed import UNREADABLE_FILE, Parsed, Reader, Record, load_list, parse_each, plain_key

EVENT_FEED = "carrier.status_webhook"


def parse_events(content: bytes, *, scac: str) -> dict[str, Parsed]:
    """A webhook body ({"events": […]}) of the carrier `scac`. Its code set is its SCAC in lower case."""
    parsed = Parsed()
    try:
        events = load_list(content, "events")
    except ValueError as error:
        words = f"not a list of carrier events ({error}): ask the carrier to send it again"
        return {EVENT_FEED: Parsed.nothing(UNREADABLE_FILE, words)}
    parse_each(events, partial(_status, scac=scac), parsed=parsed, path="events", natural_key=plain_key("event_id"))
    return {EVENT_FEED: parsed} if parsed.units else {}


def _status(item: Mapping[str, Any], ordinal: int, position: str, *, scac: str) -> Record:
    read = Reader(item)
    local = read.local_time("occurred_local", required=True)
    zone = read.text("time_zone")
    occurred_at = None
    if local is not None and zone is not None:
        try:
            occurred_at = in_zone(local, ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            read.problems.append(f"time_zone {zone!r} is not known")
    shipment, pro = read.text("shipment_id"), read.text("pro_number")
    values = {
        "source": EVENT_FEED,
        "source_event_id": read.text("event_id", required=True),
        "reference_kind": "shipment_id" if shipment else "pro" if pro else None,
        "reference": shipment or pro,
        "scac": scac,
        "stop_sequence": read.integer("stop_sequence"),
        "code_set": scac.lower(),
        "status_code": read.text("code", required=True),
        "reason_code": read.text("reason"),
        "appointment": False,
        "occurred_local": local,
        "occurred_at": occurred_at,
        "time_code": zone,
        "city": read.text("city"),
        "state": read.text("state"),
        "country": read.text("country"),
        "details": {"pro_number": pro} if shipment and pro else None,
    }
    read.check()
    return Record(ordinal, position, values)


def in_zone(local: dt.datetime, zone: ZoneInfo) -> dt.datetime | None:
    """The moment of a wall-clock time; None where the zone has it twice or never (a change of the clocks)."""
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    return first if first.utcoffset() == second.utcoffset() else None
