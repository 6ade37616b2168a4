"""A carrier's invoice table (CSV, XLSX) -> records, by its mapping file: a new carrier is a file, no code.

One row is one charge; rows that follow each other with the same number, date, type and total are one invoice. A row
that can't be read spoils its invoice: a bill with a line missing is not that bill.
"""

from __future__ import annotations

from collections.abc import Mapping as Values
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from freightsync.formats import tabular
from freightsync.formats.tabular import Mapping, MappingError, TabularError
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Record, Reject, as_money

FEED = "carrier.invoice_csv"
MAPPINGS = Path(__file__).parent / "mappings"

WEIGHTS_END = Decimal(10) ** 9
"""A weight is kept with nine digits before the point."""

HEADER = (
    "invoice_number",
    "correction",
    "invoice_on",
    "ship_on",
    "bol_number",
    "pro_number",
    "po_number",
    "origin_postal",
    "destination_postal",
    "weight_lb",
)
"""Fields of the invoice as a whole, taken from its first row."""

FIELDS = frozenset(
    (*HEADER, "shipment_reference", "partner_code", "description", "line_amount", "net_amount", "currency")
)


@lru_cache(maxsize=64)
def mapping(name: str) -> Mapping:
    """A carrier's mapping by its file's name. Raises MappingError for a field that an invoice does not have."""
    path = MAPPINGS / name
    try:
        found = Mapping.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MappingError(f"no mapping {name} in {MAPPINGS}") from None
    unknown = {column.field for column in found.columns} - FIELDS
    if unknown:
        raise MappingError(f"{name}: an invoice has no field {', '.join(sorted(unknown))}")
    return found


def parse_invoices(content: bytes, *, mapping: Mapping, scac: str) -> Parsed:
    """The invoices of a file of the carrier `scac`."""
    parsed = Parsed()
    try:
        for group in tabular.read_groups(content, mapping):
            if group.rejects:
                _reject(group, parsed)
                continue
            for _, rows in groupby(group.rows, key=lambda row: (row.values["net_amount"], row.values["currency"])):
                _invoice(list(rows), parsed, scac)
    except TabularError as error:
        return Parsed.nothing(UNREADABLE_FILE, str(error))
    return parsed


def _invoice(rows: Sequence[tabular.Row], parsed: Parsed, scac: str) -> None:
    first = rows[0].values
    currency = str(first["currency"])
    weight = first.get("weight_lb")
    try:
        net = as_money(first["net_amount"])
        amounts = [as_money(row.values["line_amount"]) for row in rows]
        as_money(sum(amounts, Decimal(0)))  # each may fit and their sum not
        if isinstance(weight, Decimal) and abs(weight) >= WEIGHTS_END:
            raise ValueError(f"{weight} lb")
        lines: list[dict[str, Any]] = [
            {
                "line": number,
                "partner_code": row.values.get("partner_code"),
                "description": row.values.get("description"),
                "line_amount": amount,
                "shipment_reference": row.values.get("shipment_reference"),
                "pro_number": row.values.get("pro_number"),
            }
            for number, (row, amount) in enumerate(zip(rows, amounts, strict=True), 1)
        ]
    except ValueError as error:
        parsed.received()
        words = f"an amount or the weight can't be kept ({error}): ask the carrier to correct and send it again"
        raw = _raw([row.values for row in rows])
        key = _key(first)
        parsed.rejects.append(Reject(parsed.units, _position(rows), (UNREADABLE_VALUE,), (words,), raw, key))
        return
    parsed.received(net, currency)
    values: dict[str, Any] = {name: first.get(name) for name in HEADER}
    shipments = {line["shipment_reference"] for line in lines}
    values |= {
        "source": FEED,
        "scac": scac,
        "correction": first.get("correction") or "",
        # a consolidated bill is about no shipment as a whole; its lines are
        "shipment_reference": shipments.pop() if len(shipments) == 1 else None,
        "net_amount": net,
        "lines_total": sum(amounts, Decimal(0)),
        "line_count": len(lines),
    }
    parsed.records.append(Record(parsed.units, _position(rows), values, net, currency, lines))


def _reject(group: tabular.Group, parsed: Parsed) -> None:
    values: list[Values[str, Any]] = [*(row.values for row in group.rows), *(one.values for one in group.rejects)]
    amount, currency = None, None
    totals = {(one.get("net_amount"), one.get("currency")) for one in values}
    if len(totals) == 1:
        amount, currency = totals.pop()
    try:
        net = None if amount is None or currency is None else as_money(amount)
    except ValueError:
        net = None
    parsed.received(net, currency)
    messages = [f"row {one.number}{f', {one.column}' if one.column else ''}: {one.message}" for one in group.rejects]
    shown = "; ".join(messages[:5]) + (f"; and {len(messages) - 5} more" if len(messages) > 5 else "")
    numbers = sorted([row.number for row in group.rows] + [one.number for one in group.rejects])
    position = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]}-{numbers[-1]}"
    raw = _raw([*(row.values for row in group.rows), *(one.raw for one in group.rejects)])
    parsed.rejects.append(
        Reject(
            parsed.units,
            position,
            (UNREADABLE_VALUE,),
            (f"{shown}: ask the carrier to correct and send it again",),
            raw,
            _key(values[0]),
            net,
            currency if net is not None else None,
        )
    )


def _key(values: Values[str, Any]) -> str | None:
    number = values.get("invoice_number")
    return str(number) if number else None


def _position(rows: Sequence[tabular.Row]) -> str:
    return f"row {rows[0].number}" if len(rows) == 1 else f"rows {rows[0].number}-{rows[-1].number}"


def _raw(rows: Sequence[Values[str, Any]]) -> str:
    return "\n".join("; ".join(f"{name}={value}" for name, value in row.items() if value is not None) for row in rows)
