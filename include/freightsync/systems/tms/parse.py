"""TMS payloads -> records. One body may hold plans and statuses: each goes to its own feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from freightsync.systems.parsed import (
    UNREADABLE_FILE,
    Parsed,
    Reader,
    Record,
    as_money,
    load_list,
    parse_each,
    plain_key,
)
from freightsync.systems.tms import codes

PLAN_FEED = "tms.shipment_plan"
EVENT_FEED = "tms.shipment_event"
LANE_FEED = "tms.lane"


def parse_events(content: bytes) -> dict[str, Parsed]:
    """A webhook body ({"events": […]}) -> what it holds, by feed."""
    try:
        return read_events(load_list(content, "events"))
    except ValueError as error:
        words = f"not a list of TMS events ({error}): ask the TMS to send it again; it is also found by polling"
        return {EVENT_FEED: Parsed.nothing(UNREADABLE_FILE, words)}


def read_events(events: Sequence[Any]) -> dict[str, Parsed]:
    """Events as the webhook and GET events carry them; each unit keeps its place in the list."""
    out: dict[str, Parsed] = {}
    for index, event in enumerate(events):
        is_plan = isinstance(event, Mapping) and event.get("event_type") == codes.PLAN_EVENT
        parsed = out.setdefault(PLAN_FEED if is_plan else EVENT_FEED, Parsed())
        parse_each(
            [event],
            _plan if is_plan else _status,
            parsed=parsed,
            path="events",
            natural_key=_plan_key if is_plan else plain_key("event_id"),
            money=_plan_money if is_plan else None,
            start=index,
        )
    return out


def parse_lanes(content: bytes) -> Parsed:
    """A page of GET lanes."""
    parsed = Parsed()
    try:
        items = load_list(content, "items")
    except ValueError as error:
        return Parsed.nothing(UNREADABLE_FILE, f"not a page of lanes ({error}): the TMS must be mended")
    parse_each(items, _lane, parsed=parsed, path="items", natural_key=plain_key("lane_id"))
    return parsed


def _status(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    event = Reader(item)
    data = Reader(_data(event), "data.")
    rounds = data.integer("round")
    values = {
        "source": EVENT_FEED,
        "source_event_id": event.text("event_id", required=True),
        "reference_kind": "shipment_id",
        "reference": data.text("shipment_id"),
        "scac": data.text("scac"),
        "code_set": codes.CODE_SET,
        "status_code": event.text("event_type", required=True),
        "reason_code": data.text("reason"),
        "appointment": False,
        "occurred_at": event.moment("occurred_at", required=True),
        "details": None if rounds is None else {"round": rounds},
    }
    event.problems += data.problems
    event.check()
    return Record(ordinal, position, values)


def _plan(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    event = Reader(item)
    data = Reader(_data(event), "data.")
    problems = event.problems
    order_lines = []
    for index, line in enumerate(data.objects("order_lines", required=True)):
        read = Reader(line, f"data.order_lines[{index}].")
        order_lines.append(
            {
                "order_number": read.text("order_number", required=True),
                "line": read.integer("line", required=True),
                "quantity": read.integer("quantity", required=True),
                "weight_lb": _plain(read.number("weight_lb", required=True)),
            }
        )
        problems += read.problems
    stops = []
    for index, stop in enumerate(data.objects("stops", required=True)):
        read = Reader(stop, f"data.stops[{index}].")
        appointment_from, appointment_to = read.moment("appointment_from"), read.moment("appointment_to")
        stops.append(
            {
                "sequence": read.integer("sequence", required=True),
                "kind": read.text("kind", required=True),
                **{
                    name: read.text(name)
                    for name in ("location_id", "city", "state", "postal_code", "country", "time_zone")
                },
                "appointment_from": appointment_from.isoformat() if appointment_from else None,
                "appointment_to": appointment_to.isoformat() if appointment_to else None,
            }
        )
        problems += read.problems
    legs = []
    for index, leg in enumerate(data.objects("legs", required=True)):
        read = Reader(leg, f"data.legs[{index}].")
        legs.append({name: read.integer(name, required=True) for name in ("leg", "from_stop", "to_stop")})
        problems += read.problems
    charges = []
    total = Decimal(0)
    for index, charge in enumerate(data.objects("charges", required=True)):
        read = Reader(charge, f"data.charges[{index}].")
        amount = read.money("amount", required=True)
        total += amount or 0
        charges.append({"charge_code": read.text("charge_code", required=True), "amount": _plain(amount)})
        problems += read.problems
    units = []
    for index, unit in enumerate(data.objects("handling_units")):
        read = Reader(unit, f"data.handling_units[{index}].")
        units.append(
            {
                "count": read.integer("count", required=True),
                **{
                    name: _plain(read.number(name))
                    for name in ("length_in", "width_in", "height_in", "weight_lb", "freight_class")
                },
            }
        )
        problems += read.problems
    accessorials = []
    for index, asked in enumerate(data.objects("accessorials")):
        read = Reader(asked, f"data.accessorials[{index}].")
        code = read.text("charge_code", required=True)
        accessorials.append({"charge_code": code, "quantity": _plain(read.number("quantity"))})
        problems += read.problems
    currency = data.text("currency", required=True)
    miles, freight_class = data.number("miles"), data.number("freight_class")
    for name, value, least, most in (
        ("miles", miles, Decimal("0.001"), Decimal(10) ** 9),
        ("freight_class", freight_class, Decimal("0.01"), Decimal(10) ** 4),
    ):
        # what has more digits than it is kept with would be rounded without a word
        if value is not None and (abs(value) >= most or value % least):
            problems.append(f"data.{name} {value} has too many digits")
    values = {
        "shipment_id": data.text("shipment_id", required=True),
        "plan_version": data.integer("plan_version", required=True),
        "event_id": event.text("event_id", required=True),
        "occurred_at": event.moment("occurred_at", required=True),
        "scac": data.text("scac", required=True),
        "pro_number": data.text("pro_number"),
        "bol_number": data.text("bol_number"),
        "booking_reference": data.text("booking_reference"),
        "equipment": data.text("equipment"),
        "ship_on": data.date("ship_on"),
        "weight_lb": data.number("weight_lb"),
        "pieces": data.integer("pieces"),
        "order_lines": order_lines,
        "legs": legs,
        "stops": stops,
        "charges": charges,
        "mode": data.text("mode"),
        "miles": miles,
        "pallets": data.integer("pallets"),
        "freight_class": freight_class,
        # absent is not empty, or a plan from before would count as another
        "handling_units": units or None,
        "accessorials": accessorials or None,
        "direction": data.text("direction"),
    }
    problems += data.problems
    event.check()
    return Record(ordinal, position, values, total, currency)


def _data(event: Reader) -> Mapping[str, Any]:
    data = event.source.get("data")
    if isinstance(data, Mapping):
        return data
    event.problems.append("data is missing")
    return {}


def _plan_money(item: Mapping[str, Any]) -> tuple[Decimal | None, str | None]:
    """The count's own reading of a plan's money: the sum of its charges."""
    try:
        currency = item["data"]["currency"].strip()
        return sum((as_money(charge["amount"]) for charge in item["data"]["charges"]), Decimal(0)), currency or None
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation):
        return None, None


def _plan_key(item: Mapping[str, Any]) -> str | None:
    data = item.get("data")
    shipment = plain_key("shipment_id")(data) if isinstance(data, Mapping) else None
    return shipment or plain_key("event_id")(item)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _lane(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = {
        "lane_id": read.text("lane_id", required=True),
        "version": read.integer("version", required=True),
        "changed_at": read.moment("changed_at", required=True),
        "origin_postal": read.text("origin_postal"),
        "destination_postal": read.text("destination_postal"),
        "scac": read.text("scac"),
        "equipment": read.text("equipment"),
        "transit_days": read.integer("transit_days"),
    }
    read.check()
    return Record(ordinal, position, values)
