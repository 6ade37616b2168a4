"""Pages of the ERP's deltas -> records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from freightsync.systems.parsed import (
    UNREADABLE_FILE,
    Parsed,
    Reader,
    Record,
    json_money,
    load_list,
    parse_each,
    plain_key,
)

ORDER_FEED = "erp.sales_order"


def parse_page(feed: str, content: bytes) -> Parsed:
    """A page of the collection that belongs to the feed. Raises KeyError for a feed that is not the ERP's."""
    read, key = READERS[feed]
    parsed = Parsed()
    try:
        items = load_list(content, "items")
    except ValueError as error:
        return Parsed.nothing(UNREADABLE_FILE, f"not a page of {feed} ({error}): the ERP's answer must be mended")
    money = json_money("total_amount", "currency") if feed == ORDER_FEED else None
    parse_each(items, read, parsed=parsed, path="items", natural_key=key, money=money)
    return parsed


def _versioned(read: Reader, key: str) -> dict[str, Any]:
    return {
        key: read.text(key, required=True),
        "version": read.integer("version", required=True),
        "changed_at": read.moment("changed_at", required=True),
    }


def _customer(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "customer_id")
    for name in ("name", "billing_entity", "payment_terms", "billing_currency", "freight_billing", "invoice_per"):
        values[name] = read.text(name)
    values["markup_percent"] = read.number("markup_percent")
    read.check()
    return Record(ordinal, position, values)


def _ship_to(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "ship_to_id")
    for name in ("customer_id", "name", "city", "state", "postal_code", "country", "time_zone"):
        values[name] = read.text(name)
    read.check()
    return Record(ordinal, position, values)


_DIMENSIONS = ("pallet_length_in", "pallet_width_in", "pallet_height_in")


def _item(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "item_id")
    values["description"] = read.text("description")
    for name in ("unit_weight_lb", *_DIMENSIONS):
        values[name] = read.number(name)
    values["hazmat"] = read.boolean("hazmat")
    values["un_number"] = read.text("un_number")
    read.check()
    return Record(ordinal, position, values)


def _carrier(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "carrier_id")
    for name in ("scac", "name", "channel", "carrier_currency"):
        values[name] = read.text(name)
    read.check()
    return Record(ordinal, position, values)


def _charge_code(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "charge_code_id")
    for name in ("scac", "partner_code", "charge_code", "description", "ledger_account"):
        values[name] = read.text(name)
    values["valid_from"] = read.date("valid_from")
    values["valid_to"] = read.date("valid_to")
    read.check()
    return Record(ordinal, position, values)


def _tax_profile(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    """How a customer or an item is taxed. `attributes` are texts; a certificate says for which place and days."""
    read = Reader(item)
    values = _versioned(read, "profile_id")
    for name in (
        *("country", "region", "postal_code", "city", "street", "legal_name", "status", "tax_id", "tax_class"),
        *("endpoint", "endpoint_scheme", "buyer_reference"),
    ):
        values[name] = read.text(name)
    certificates = []
    for index, one in enumerate(read.objects("certificates")):
        held = Reader(one, f"certificates[{index}].")
        certificates.append(
            {
                **{name: held.text(name, required=name != "region") for name in ("kind", "country", "region")},
                **{name: _day(held.date(name)) for name in ("valid_from", "valid_to")},
            }
        )
        read.problems += held.problems
    values["certificates"] = certificates
    attributes: dict[str, str | None] = {}
    given = item.get("attributes") or {}
    if isinstance(given, Mapping):
        said = Reader(given, "attributes.")
        attributes = {str(name): said.text(str(name), required=True) for name in given}
        read.problems += said.problems
    else:
        read.problems.append("attributes is no object of texts")
    values["attributes"] = attributes
    read.check()
    return Record(ordinal, position, values)


def _tax_rate(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "rate_id")
    for name in ("country", "region", "postal_code", "jurisdiction", "rate_class"):
        values[name] = read.text(name)
    rate = read.number("rate_percent")
    if rate is not None and abs(rate) >= 1000:
        read.problems.append(f"rate_percent {rate} is no percentage")
    values["rate_percent"] = rate
    values["valid_from"] = read.date("valid_from")
    values["valid_to"] = read.date("valid_to")
    read.check()
    return Record(ordinal, position, values)


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _sales_order(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "order_number")
    for name in ("status", "customer_id", "ship_to_id", "shipping_conditions", "service_requirements"):
        values[name] = read.text(name, required=name == "status")
    values["requested_from"] = read.moment("requested_from")
    values["requested_to"] = read.moment("requested_to")
    currency = read.text("currency", required=True)
    amount = read.money("total_amount", required=True)
    lines = []
    for index, one in enumerate(read.objects("lines", required=True)):
        line = Reader(one, f"lines[{index}].")
        lines.append(
            {
                "line": line.integer("line", required=True),
                "item_id": line.text("item_id", required=True),
                "quantity": line.integer("quantity", required=True),
                "unit_price": _plain(line.number("unit_price", required=True)),
                "amount": _plain(line.money("amount", required=True)),
                "pallets": line.integer("pallets"),
                **{name: _plain(line.number(name)) for name in (*_DIMENSIONS, "weight_lb")},
            }
        )
        read.problems += line.problems
    values["lines"] = lines
    read.check()
    return Record(ordinal, position, values, amount, currency)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


_Read = Callable[[Mapping[str, Any], int, str], Record]
_Key = Callable[[Mapping[str, Any]], str | None]

READERS: dict[str, tuple[_Read, _Key]] = {
    "erp.customer": (_customer, plain_key("customer_id")),
    "erp.ship_to": (_ship_to, plain_key("ship_to_id")),
    "erp.item": (_item, plain_key("item_id")),
    "erp.carrier": (_carrier, plain_key("carrier_id")),
    "erp.charge_code": (_charge_code, plain_key("charge_code_id")),
    "erp.tax_profile": (_tax_profile, plain_key("profile_id")),
    "erp.tax_rate": (_tax_rate, plain_key("rate_id")),
    ORDER_FEED: (_sales_order, lambda item: "/v".join(str(item.get(n)) for n in ("order_number", "version"))),
}
"""feed -> how an item is read, and what it is called when it can't be."""
