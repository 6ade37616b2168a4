"""WMS payloads -> records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freightsync.systems.parsed import UNREADABLE_FILE, Parsed, Reader, Record, load_list, parse_each, plain_key

FEED = "wms.ship_confirmation"
CODE_SET = "wms"
SHIPPED = "shipped"


def parse_confirmations(content: bytes) -> Parsed:
    """A page of GET ship-confirmations: each is the warehouse's word that a shipment left, with what it weighed."""
    parsed = Parsed()
    try:
        items = load_list(content, "items")
    except ValueError as error:
        return Parsed.nothing(UNREADABLE_FILE, f"not a page of ship confirmations ({error}): the WMS must be mended")
    parse_each(items, _confirmation, parsed=parsed, path="items", natural_key=plain_key("confirmation_id"))
    return parsed


def _confirmation(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = {
        "source": FEED,
        "source_event_id": read.text("confirmation_id", required=True),
        "reference_kind": "shipment_id",
        "reference": read.text("shipment_id"),
        "code_set": CODE_SET,
        "status_code": SHIPPED,
        "appointment": False,
        "occurred_at": read.moment("shipped_at", required=True),
        "pieces": read.integer("pieces"),
        "weight_lb": read.number("weight_lb"),
    }
    read.check()
    return Record(ordinal, position, values)
