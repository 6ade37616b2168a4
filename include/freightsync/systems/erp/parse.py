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
    load_json,
    load_list,
    parse_each,
    plain_key,
)

ORDER_FEED = "erp.sales_order"
ENTRY_FEED = "erp.journal_entry"
BALANCE_FEED = "erp.trial_balance"
PAYMENT_FEED = "erp.payment_status"
DISPUTE_FEED = "erp.dispute"

MONEY = {ORDER_FEED: "total_amount", ENTRY_FEED: "total", PAYMENT_FEED: "amount", DISPUTE_FEED: "disputed_amount"}
"""The field that is a unit's money, where a feed has any."""


def parse_page(feed: str, content: bytes) -> Parsed:
    """A page of the collection that belongs to the feed. Raises KeyError for a feed that is not the ERP's."""
    read, key = READERS[feed]
    parsed = Parsed()
    try:
        items = load_list(content, "items")
    except ValueError as error:
        return Parsed.nothing(UNREADABLE_FILE, f"not a page of {feed} ({error}): the ERP's answer must be mended")
    money = json_money(MONEY[feed], "currency") if feed in MONEY else None
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


_RATE_DIGITS, _RATE_DECIMALS = 10, 10
"""Before and after the point, as landing keeps a rate. More would be rounded without a word."""


def _exchange_rate(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    """How many units of `to_currency` one unit of `from_currency` is, on a day, as one source says."""
    read = Reader(item)
    values = _versioned(read, "exchange_rate_id")
    for name in ("from_currency", "to_currency", "source"):
        values[name] = read.text(name)
    rate = values["rate"] = read.number("rate")
    if rate is not None:
        exponent = rate.normalize().as_tuple().exponent
        if rate.adjusted() >= _RATE_DIGITS or (isinstance(exponent, int) and exponent < -_RATE_DECIMALS):
            read.problems.append(f"rate {rate:f} has more than {_RATE_DIGITS} digits before or after the point")
    values["rate_on"] = read.date("rate_on")
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


def _purchase_order(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    """Goods that we buy: whose they are, and line by line how many at which price."""
    read = Reader(item)
    values = _versioned(read, "order_number")
    for name in ("status", "supplier_id", "billing_entity"):
        values[name] = read.text(name)
    currency = read.text("currency", required=True)
    lines = []
    for index, one in enumerate(read.objects("lines", required=True)):
        line = Reader(one, f"lines[{index}].")
        lines.append(
            {
                "line": line.integer("line", required=True),
                "item_id": line.text("item_id", required=True),
                "quantity": line.integer("quantity", required=True),
                "unit_price": _plain(line.number("unit_price", required=True)),
            }
        )
        read.problems += line.problems
    values["lines"] = lines
    read.check()
    return Record(ordinal, position, values, None, currency)


_QUANTITIES = ("received_quantity", "on_hand_quantity", "sold_quantity")


def _stock_position(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    """What became of the goods of one receipt. The ERP's own way of counting (first in first out, average) decides
    which goods are still there."""
    read = Reader(item)
    values = _versioned(read, "stock_id")
    for name in ("order_number", "item_id"):
        values[name] = read.text(name)
    values["order_line"] = read.integer("order_line")
    for name in _QUANTITIES:
        quantity = values[name] = read.number(name)
        # more would be rounded without a word
        if quantity is not None and (abs(quantity) >= 10**11 or quantity % Decimal("0.001")):
            read.problems.append(f"{name} {quantity:f} has too many digits")
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


def _ledger_entry(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values: dict[str, Any] = {"entry_number": read.text("number", required=True)}
    for name in ("version", "sequence"):
        values[name] = read.integer(name, required=True)
    values["changed_at"] = read.moment("changed_at", required=True)
    for name in ("document_type", "origin", "period", "entered_by"):
        values[name] = read.text(name, required=True)
    for name in ("reference", "reverses", "note"):
        values[name] = read.text(name)
    values["posted_on"] = read.date("posted_on", required=True)
    currency = read.text("currency", required=True)
    amount = read.money("total", required=True)
    lines: list[dict[str, Any]] = []
    for index, one in enumerate(read.objects("lines", required=True)):
        line = Reader(one, f"lines[{index}].")
        account = line.text("account", required=True)
        sides = {name: line.money(name, required=True) for name in ("debit", "credit")}
        lines.append({"line": index + 1, "account": account, **sides})
        read.problems += line.problems
    values["line_count"] = len(lines)
    read.check()
    # summed here, so that the gate compares what was read with what the ERP says
    values["debit_total"] = sum((line["debit"] for line in lines), Decimal(0))
    values["credit_total"] = sum((line["credit"] for line in lines), Decimal(0))
    return Record(ordinal, position, values, amount, currency, lines)


def parse_balances(content: bytes) -> Parsed:
    """A trial balance of one period -> a record an account and currency; the debits are the unit's money."""
    parsed = Parsed()
    try:
        document = load_json(content)
        head = Reader(document)
        items = load_list(content, "items")
    except (ValueError, AttributeError) as error:
        return Parsed.nothing(UNREADABLE_FILE, f"not a trial balance ({error}): the ERP's answer must be mended")
    common: dict[str, Any] = {
        "period": head.text("period", required=True),
        "as_of": head.moment("as_of", required=True),
        "through_sequence": head.integer("through_sequence", required=True),
    }
    if head.problems:
        words = "; ".join(head.problems)
        return Parsed.nothing(UNREADABLE_FILE, f"not a trial balance ({words}): the ERP's answer must be mended")

    def read(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
        line = Reader(item)
        values = {**common, "account": line.text("account", required=True)}
        currency = line.text("currency", required=True)
        values["debit"] = line.money("debit", required=True)
        values["credit"] = line.money("credit", required=True)
        line.check()
        return Record(ordinal, position, values, values["debit"], currency)

    parse_each(
        items,
        read,
        parsed=parsed,
        path="items",
        natural_key=plain_key("account", "currency"),
        money=json_money("debit", "currency"),
    )
    return parsed


def _payment_status(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "payment_id")
    for name in ("party_kind", "party_id"):
        values[name] = read.text(name, required=True)
    values["paid_on"] = read.date("paid_on", required=True)
    for name in ("bank_reference", "short_reason"):
        values[name] = read.text(name)
    values["is_reversed"] = read.boolean("is_reversed") or False
    currency = read.text("currency", required=True)
    amount = read.money("amount", required=True)
    documents = []
    for index, one in enumerate(read.objects("documents")):
        document = Reader(one, f"documents[{index}].")
        documents.append(
            {
                "number": document.text("number", required=True),
                "kind": document.text("kind"),
                "amount": _plain(document.money("amount")),
            }
        )
        read.problems += document.problems
    values["documents"] = documents
    read.check()
    return Record(ordinal, position, values, amount, currency)


def _dispute(item: Mapping[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item)
    values = _versioned(read, "dispute_id")
    for name in ("invoice_number", "reason_code", "status"):
        values[name] = read.text(name, required=True)
    for name in ("customer_id", "line_kind", "credit_memo_number", "note"):
        values[name] = read.text(name)
    values["order_line"] = read.integer("order_line")
    values["opened_on"] = read.date("opened_on", required=True)
    values["resolved_on"] = read.date("resolved_on")
    values["credited_amount"] = read.money("credited_amount")
    currency = read.text("currency", required=True)
    amount = read.money("disputed_amount", required=True)
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
    "erp.exchange_rate": (_exchange_rate, plain_key("exchange_rate_id")),
    ENTRY_FEED: (_ledger_entry, lambda item: "/v".join(str(item.get(n)) for n in ("number", "version"))),
    "erp.tax_profile": (_tax_profile, plain_key("profile_id")),
    "erp.tax_rate": (_tax_rate, plain_key("rate_id")),
    "erp.purchase_order": (_purchase_order, plain_key("order_number")),
    "erp.stock_position": (_stock_position, plain_key("stock_id")),
    ORDER_FEED: (_sales_order, lambda item: "/v".join(str(item.get(n)) for n in ("order_number", "version"))),
    PAYMENT_FEED: (_payment_status, lambda item: "/v".join(str(item.get(n)) for n in ("payment_id", "version"))),
    DISPUTE_FEED: (_dispute, lambda item: "/v".join(str(item.get(n)) for n in ("dispute_id", "version"))),
}
"""feed -> how an item is read, and what it is called when it can't be."""
