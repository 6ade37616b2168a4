"""A carrier's invoice table (CSV, XLSX) -> records, by its mapping file: a new carrier is a file, no code.

Mapping files lie in `mappings/` here, and in the folder that a deployment names. What a mapping may say is described in
`formats.tabular`; a field is one of FIELDS. Two layouts:

- one row a charge: `line_amount` (and `partner_code`), rows that follow each other with the same `group_by` fields and
  total are one invoice;
- one row an invoice: `charges`, a list of `{column: Linehaul, code: "400", description: …, sign: -1}`; an empty cell or
  a zero is no charge.

Without `net_amount` the bill asks for the sum of its charges. A row that can't be read spoils its invoice: a bill with
a line missing is not that bill. Where the file ends with a row of totals that does not meet its invoices, none is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Values
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from freightsync.domain.invoices import KINDS
from freightsync.formats import tabular
from freightsync.formats.tabular import Mapping, MappingError, TabularError, Totals
from freightsync.systems import mapping_files
from freightsync.systems.bill import Bill, BillLine, keep
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Reject, as_money

FEED = "carrier.invoice_csv"
MAPPINGS = Path(__file__).parent / "mappings"

POUNDS_PER_KILOGRAM = Decimal("2.20462262")

HEADER = (
    "invoice_number",
    "correction",
    "corrects_number",
    "biller",
    "service_level",
    "invoice_on",
    "ship_on",
    "due_on",
    "origin_postal",
    "destination_postal",
    "weight_lb",
    "weight_kg",
    "net_amount",
    "tax_amount",
    "gross_amount",
    "currency",
)
"""Fields of the invoice as a whole, taken from its first row."""

REFERENCES = ("shipment_reference", "bol_number", "pro_number", "po_number")
"""Of each row; of the invoice as a whole where all of its rows agree."""

LINE = ("partner_code", "description", "line_amount", "line_tax_code", "line_tax_rate", "line_tax_amount")

TYPES = {
    **dict.fromkeys(("invoice_on", "ship_on", "due_on"), "date"),
    **dict.fromkeys(("weight_lb", "weight_kg", "net_amount", "tax_amount", "gross_amount", "line_amount"), "decimal"),
    **dict.fromkeys(("line_tax_rate", "line_tax_amount"), "decimal"),
}
"""Of fields that are no text."""

FIELDS = frozenset((*HEADER, *REFERENCES, *LINE))


@dataclass(frozen=True, slots=True)
class ChargeColumn:
    """One charge of each row, in a layout with one row an invoice."""

    field: str
    code: str
    description: str | None = None
    sign: int = 1


@dataclass(frozen=True, slots=True)
class InvoiceMapping:
    rows: Mapping
    charges: tuple[ChargeColumn, ...] = ()

    @property
    def has_total(self) -> bool:
        return any(column.field == "net_amount" for column in self.rows.columns)


def mapping(name: str, folder: Path | None = None) -> InvoiceMapping:
    """A mapping by its file's name: of the deployment's folder, else of those installed. Raises MappingError."""
    return _load(mapping_files.find(name, MAPPINGS, folder))


@lru_cache(maxsize=256)
def _load(path: Path) -> InvoiceMapping:
    document = mapping_files.load(path)
    try:
        return read_mapping(document)
    except MappingError as error:
        raise MappingError(f"{path.name}: {error.message}") from None


def read_mapping(document: Any) -> InvoiceMapping:
    """A mapping file's content. Raises MappingError, naming the entry that is wrong."""
    if not isinstance(document, Values):
        raise MappingError("the file holds no mapping")
    entries = dict(document)
    given_columns = entries.get("columns")
    fields: dict[str, Any] = dict(given_columns) if isinstance(given_columns, Values) else {}
    unknown = set(fields) - FIELDS
    if unknown:
        raise MappingError(f"an invoice has no field {', '.join(sorted(unknown))}; it has {', '.join(sorted(FIELDS))}")
    columns: dict[str, Any] = {}
    for name, entry in fields.items():
        given: Any = {"column": entry} if isinstance(entry, str) else entry
        if isinstance(given, Values):
            given = {"type": TYPES.get(name, "text"), **given}
            if given["type"] != TYPES.get(name, "text"):
                raise MappingError(f"field {name} is {TYPES.get(name, 'text')}, not {given['type']}")
            if name == "correction" and isinstance(given.get("map"), Values):
                strange = {str(kind or "") for kind in dict(given["map"]).values()} - set(KINDS)
                if strange:
                    raise MappingError(f"correction: {', '.join(sorted(strange))} is no kind of bill: {_kinds()}")
        columns[name] = given
    charges = _charges(entries.pop("charges", None), columns)
    for name in ("invoice_number", "invoice_on"):
        if name not in columns:
            raise MappingError(f"no field {name}: every bill has one")
    if bool(charges) == ("line_amount" in columns):
        raise MappingError("either line_amount (one row a charge) or charges (one row an invoice)")
    entries["columns"] = columns
    if charges and entries.get("group_by"):
        raise MappingError("with charges a row is an invoice: there is nothing to group by")
    if not charges and not entries.get("group_by"):
        entries["group_by"] = ["invoice_number"]
    return InvoiceMapping(Mapping.from_dict(entries), charges)


def _kinds() -> str:
    return ", ".join(f"{kind or 'empty'} ({words.split(':')[0]})" for kind, words in KINDS.items())


def _charges(given: Any, columns: dict[str, Any]) -> tuple[ChargeColumn, ...]:
    """The charge columns, whose cells become fields of their own."""
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        raise MappingError("charges: a list of columns, each with its code")
    out = []
    for number, entry in enumerate(given, 1):
        if not isinstance(entry, Values) or not str(entry.get("code") or "").strip():
            raise MappingError(f"charges {number}: a column (or position) and the charge's code")
        place = {key: value for key, value in entry.items() if key not in ("code", "description", "sign")}
        if entry.get("sign", 1) not in (1, -1):
            raise MappingError(f"charges {number}: sign is 1 or -1, not {entry['sign']!r}")
        field = f"charge {number}"
        columns[field] = {"type": "decimal", **place}
        description = entry.get("description")
        out.append(
            ChargeColumn(
                field,
                str(entry["code"]).strip(),
                None if description is None else str(description),
                entry.get("sign", 1),
            )
        )
    return tuple(out)


# ---------------------------------------------------------------------------------------------------- reading


def parse_invoices(content: bytes, *, mapping: InvoiceMapping, scac: str, feed: str = FEED) -> Parsed:
    """The invoices of a file of the carrier `scac`."""
    parsed = Parsed()
    summed: list[Totals] = []
    try:
        if mapping.charges:
            for item in tabular.read_rows(content, mapping.rows):
                if isinstance(item, Totals):
                    summed.append(item)
                elif isinstance(item, tabular.Reject):
                    _reject(tabular.Group(None, [], [item]), parsed)
                else:
                    _invoice([item], mapping, parsed, scac, feed)
        else:
            for group in tabular.read_groups(content, mapping.rows):
                if isinstance(group, Totals):
                    summed.append(group)
                elif group.rejects:
                    _reject(group, parsed)
                else:
                    for rows in _bills(group.rows):
                        _invoice(rows, mapping, parsed, scac, feed)
    except TabularError as error:
        return Parsed.nothing(UNREADABLE_FILE, str(error))
    return _meets(summed, parsed)


def _bills(rows: list[tabular.Row]) -> Iterator[list[tabular.Row]]:
    """Rows that ask for the same are one bill."""
    first = _asked_for(rows[0])
    if all(_asked_for(row) == first for row in rows[1:]):
        yield rows
    else:
        for _, some in groupby(rows, key=_asked_for):
            yield list(some)


def _asked_for(row: tabular.Row) -> tuple[Any, ...]:
    return (row.values.get("net_amount"), row.values.get("gross_amount"), row.values.get("currency"))


def _meets(summed: Sequence[Totals], parsed: Parsed) -> Parsed:
    """The file, unless it states a total that its invoices don't meet: then something of it is missing or doubled."""
    stated = [one for one in summed if one.amount is not None]
    # a bill that can't be read is in no sum that could be compared
    if not stated or parsed.rejects:
        return parsed
    total = sum((record.values["net_amount"] for record in parsed.records), Decimal(0))
    last = stated[-1]
    if last.amount == total:
        return parsed
    difference = (last.amount or Decimal(0)) - total
    return Parsed.nothing(
        UNREADABLE_FILE,
        f"row {last.number} says that the invoices sum to {last.amount}, they sum to {total}: {difference} too much or "
        "too little. Ask the carrier to send a complete file",
    )


def _invoice(rows: Sequence[tabular.Row], by: InvoiceMapping, parsed: Parsed, scac: str, feed: str) -> None:
    first: dict[str, Any] = rows[0].values
    lines = [_line(row.values) for row in rows] if not by.charges else _charged(first, by.charges)
    weight, kilograms = first.get("weight_lb"), first.get("weight_kg")
    if weight is None and kilograms is not None:
        weight = (kilograms * POUNDS_PER_KILOGRAM).quantize(Decimal("0.001"))
    bill = Bill(
        number=first.get("invoice_number"),
        invoice_on=first.get("invoice_on"),
        net_amount=None,
        currency=_upper(first.get("currency")),
        kind=first.get("correction") or "",
        corrects_number=first.get("corrects_number"),
        biller=first.get("biller"),
        service_level=first.get("service_level"),
        ship_on=first.get("ship_on"),
        due_on=first.get("due_on"),
        # a consolidated bill is about no shipment as a whole; its lines are
        shipment_reference=_agreed(rows, "shipment_reference"),
        bol_number=_agreed(rows, "bol_number"),
        pro_number=_agreed(rows, "pro_number"),
        po_number=_agreed(rows, "po_number"),
        origin_postal=first.get("origin_postal"),
        destination_postal=first.get("destination_postal"),
        weight_lb=weight,
        tax_amount=first.get("tax_amount"),
        gross_amount=first.get("gross_amount"),
        lines=lines,
    )
    bill.net_amount = first.get("net_amount") if by.has_total else bill.lines_total
    keep(bill, parsed, feed=feed, scac=scac, position=_position(rows), raw=lambda: _raw([row.values for row in rows]))


def _upper(text: Any) -> str | None:
    return str(text).upper() if text else None


def _agreed(rows: Sequence[tabular.Row], name: str) -> str | None:
    agreed = None
    for row in rows:  # asked four times a bill
        value = row.values.get(name)
        if value and value != agreed:
            if agreed is not None:
                return None
            agreed = value
    return None if agreed is None else str(agreed)


def _line(values: Values[str, Any]) -> BillLine:
    return BillLine(
        values.get("partner_code"),
        values.get("line_amount"),
        values.get("description"),
        values.get("shipment_reference"),
        values.get("pro_number"),
        values.get("bol_number"),
        values.get("po_number"),
        values.get("line_tax_code"),
        values.get("line_tax_rate"),
        values.get("line_tax_amount"),
    )


def _charged(values: Values[str, Any], charges: Sequence[ChargeColumn]) -> list[BillLine]:
    return [
        BillLine(
            charge.code,
            amount * charge.sign,
            charge.description,
            values.get("shipment_reference"),
            values.get("pro_number"),
            values.get("bol_number"),
            values.get("po_number"),
        )
        for charge in charges
        if (amount := values.get(charge.field))
    ]


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
    number = values[0].get("invoice_number")
    parsed.rejects.append(
        Reject(
            parsed.units,
            position,
            (UNREADABLE_VALUE,),
            (f"{shown}: ask the carrier to correct and send it again",),
            raw,
            str(number) if number else None,
            net,
            currency if net is not None else None,
        )
    )


def _position(rows: Sequence[tabular.Row]) -> str:
    return f"row {rows[0].number}" if len(rows) == 1 else f"rows {rows[0].number}-{rows[-1].number}"


def _raw(rows: Sequence[Values[str, Any]]) -> str:
    return "\n".join("; ".join(f"{name}={value}" for name, value in row.items() if value is not None) for row in rows)
