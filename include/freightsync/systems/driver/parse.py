"""Driver app payloads -> records: stop events, and proof of delivery, which is a feed of its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from freightsync.systems.parsed import UNREADABLE_FILE, Parsed, Reader, Record, load_list, parse_each, plain_key

EVENT_FEED = "driver.event"
POD_FEED = "driver.pod"
CODE_SET = "driver"
POD = "pod_captured"


def parse_events(content: bytes) -> dict[str, Parsed]:
    """A webhook body ({"events": […]}) -> what it holds, by feed. A POD is a unit of driver.pod alone."""
    out: dict[str, Parsed] = {}
    try:
        events = load_list(content, "events")
    except ValueError as error:
        words = f"not a list of driver events ({error}): the app must send it again"
        return {EVENT_FEED: Parsed.nothing(UNREADABLE_FILE, words)}
    for index, event in enumerate(events):
        is_pod = isinstance(event, Mapping) and event.get("type") == POD
        parsed = out.setdefault(POD_FEED if is_pod else EVENT_FEED, Parsed())
        parse_each(
            [event],
            _pod if is_pod else _stop_event,
            parsed=parsed,
            path="events",
            natural_key=plain_key("event_id"),
            start=index,
        )
    return out


def _stop_event(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = {
        "source": EVENT_FEED,
        "source_event_id": read.text("event_id", required=True),
        "reference_kind": "shipment_id",
        "reference": read.text("shipment_id"),
        "stop_sequence": read.integer("stop_sequence"),
        "code_set": CODE_SET,
        "status_code": read.text("type", required=True),
        "appointment": False,
        "occurred_at": read.moment("at", required=True),
    }
    read.check()
    return Record(ordinal, position, values)


def _pod(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    """The document's bytes stay in the webhook's body; the record carries its name and hash."""
    read = Reader(item)
    osd = []
    for index, found in enumerate(read.objects("osd")):
        one = Reader(found, f"osd[{index}].")
        osd.append({"kind": one.text("kind", required=True), "pieces": one.integer("pieces", required=True)})
        read.problems += one.problems
    name = sha256 = None
    document = item.get("document")
    if isinstance(document, Mapping):
        file = Reader(document, "document.")
        name = file.text("name")
        content = file.text("content_base64", required=True)
        if content is not None:
            try:
                sha256 = hashlib.sha256(base64.b64decode(content, validate=True)).hexdigest()
            except (binascii.Error, ValueError):
                file.problems.append("document.content_base64 is not base64")
        read.problems += file.problems
    elif document is not None:
        read.problems.append("document is not an object")
    values = {
        "source_event_id": read.text("event_id", required=True),
        "shipment_id": read.text("shipment_id"),
        "stop_sequence": read.integer("stop_sequence"),
        "signed_by": read.text("signed_by"),
        "captured_at": read.moment("at", required=True),
        "pieces_delivered": read.integer("pieces_delivered"),
        "osd": osd,
        "document_name": name,
        "document_sha256": sha256,
    }
    read.check()
    return Record(ordinal, position, values)
