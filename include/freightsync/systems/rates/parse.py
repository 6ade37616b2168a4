"""A table of rates (CSV, XLSX) -> records of its feed, by its mapping file: another layout is a file, no code.

Of a feed with lines (breaks of a rate, bands of a table) the rows of one version follow each other; a row that can't be
read spoils the version it belongs to: a rate with a break missing is not that rate.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Values
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from freightsync.formats import tabular
from freightsync.formats.tabular import Mapping, MappingError, TabularError
from freightsync.systems import mapping_files
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Record, Reject

MAPPINGS = Path(__file__).parent / "mappings"

SPLIT_VERSION = "rows_not_together"


@dataclass(frozen=True)
class Layout:
    """key: the fields that name a record. lines: fields of its lines; count: the field that says how many."""

    key: tuple[str, ...]
    lines: tuple[str, ...] = ()
    count: str = ""


LAYOUTS: Values[str, Layout] = {
    "rates.contract": Layout(("contract_id", "version")),
    "rates.lane_rate": Layout(("rate_id", "version"), ("from_quantity", "rate"), "break_count"),
    "rates.accessorial": Layout(("accessorial_id", "version")),
    "rates.zone": Layout(("zone_id", "version")),
    "rates.band_table": Layout(("table_id", "version"), ("from_value", "value"), "band_count"),
    "rates.fuel_price": Layout(("fuel_index", "region", "week_on", "published_at")),
}
FEEDS = frozenset(LAYOUTS)

FLAGS = frozenset({"discount_as_line", "deficit_weight", "automatic"})
UPPER = frozenset(
    {"scac", "mode", "rate_currency", "origin_country", "destination_country", "country", "charge_code", "equipment"}
)
LOWER = frozenset({"side", "origin_kind", "destination_kind", "basis", "kind", "dim_per", "fuel_on", "rounding"})
PLACES = frozenset({"origin", "destination", "postal_prefix"})

DIGITS: Values[str, tuple[int, int]] = {
    "fak_class": (3, 1),
    "fak_from_class": (3, 1),
    "fak_to_class": (3, 1),
    "freight_class": (3, 1),
    "minimum_charge": (16, 2),
    "maximum_charge": (16, 2),
    "discount_percent": (3, 3),
    "dim_divisor": (6, 2),
    "weight_increment_lb": (5, 3),
    "rate": (10, 4),
    "free_units": (8, 2),
    "from_quantity": (11, 3),
    "from_value": (10, 4),
    "value": (10, 4),
    "price": (6, 4),
}
"""Digits before and after the point that a field is kept with: what has more is refused, not rounded."""


def mapping(feed: str, name: str, folder: Path | None = None) -> Mapping:
    """A layout by its file's name: of the deployment's folder, else installed. Raises MappingError, also for a field
    that the feed does not have or that is missing."""
    return _load(feed, mapping_files.find(name, MAPPINGS, folder))


@lru_cache(maxsize=64)
def _load(feed: str, path: Path) -> Mapping:
    name = path.name
    document = mapping_files.load(path)
    try:
        found = Mapping.from_dict(document)
    except MappingError as error:
        raise MappingError(f"{name}: {error.message}") from None
    layout = LAYOUTS[feed]
    fields = {column.field for column in found.columns}
    if missing := {*layout.key, *layout.lines} - fields:
        raise MappingError(f"{name}: {feed} needs the field {', '.join(sorted(missing))}")
    if layout.lines and found.group_by != layout.key:
        raise MappingError(f"{name}: the rows of {feed} are grouped by {', '.join(layout.key)}")
    return found


def parse_rates(content: bytes, *, feed: str, mapping: Mapping) -> Parsed:
    """The records of one file of a rates feed."""
    layout = LAYOUTS[feed]
    parsed = Parsed()
    try:
        for group in tabular.read_groups(content, mapping) if layout.lines else _single(content, mapping, layout):
            if isinstance(group, tabular.Totals):
                continue
            parsed.received()
            if group.rejects:
                _reject(group, parsed, layout)
            elif group.again:
                words = (
                    "its rows do not stand together, so nobody can say where it ends: ask for the file to be sorted by "
                    + " and ".join(layout.key)
                )
                _refuse(group, parsed, layout, SPLIT_VERSION, words)
            else:
                try:
                    parsed.records.append(_record(group, parsed.units, layout))
                except ValueError as error:
                    words = f"{error}: ask whoever made the file to correct and send it again"
                    _refuse(group, parsed, layout, UNREADABLE_VALUE, words)
    except TabularError as error:
        return Parsed.nothing(UNREADABLE_FILE, str(error))
    return parsed


def _single(content: bytes, mapping: Mapping, layout: Layout) -> Iterator[tabular.Group]:
    """Each row as a group of its own."""
    for item in tabular.read_rows(content, mapping):
        if isinstance(item, tabular.Totals):
            continue
        key = tuple(item.values.get(name) for name in layout.key)
        if isinstance(item, tabular.Row):
            yield tabular.Group(key, [item], [])
        else:
            yield tabular.Group(key, [], [item])


def _record(group: tabular.Group, ordinal: int, layout: Layout) -> Record:
    first = group.rows[0].values
    values = {name: _value(name, value) for name, value in first.items() if name not in layout.lines}
    lines: list[dict[str, Any]] = []
    if layout.lines:
        lines = [
            {"line": number, **{name: _value(name, row.values.get(name)) for name in layout.lines}}
            for number, row in enumerate(group.rows, 1)
        ]
        values[layout.count] = len(lines)
    return Record(ordinal, _position(group.rows), values, lines=lines)


def _value(name: str, value: Any) -> Any:
    """A cell as the feed keeps it. Raises ValueError in plain words."""
    if value is None:
        return None
    if name in FLAGS:
        return _flag(name, str(value))
    if name in UPPER:
        return str(value).upper()
    if name in LOWER:
        return str(value).lower()
    if name in PLACES:
        return "".join(str(value).split()).upper()
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise ValueError(f"{name} {value} has no offset, so it is no point in time")
    if name in DIGITS and isinstance(value, Decimal):
        return _kept(name, value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2_147_483_647:
        raise ValueError(f"{name} {value} is too large")
    return value


def _flag(name: str, text: str) -> bool:
    known = {"yes": True, "y": True, "true": True, "1": True, "no": False, "n": False, "false": False, "0": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{name} {text!r} is neither yes nor no") from None


def _kept(name: str, value: Decimal) -> Decimal:
    before, after = DIGITS[name]
    if abs(value) >= Decimal(10) ** before:
        raise ValueError(f"{name} {value} has more than {before} digits before the point")
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -after:
        raise ValueError(f"{name} {value} has more than {after} decimals")
    return value


def _reject(group: tabular.Group, parsed: Parsed, layout: Layout) -> None:
    messages = [f"row {one.number}{f', {one.column}' if one.column else ''}: {one.message}" for one in group.rejects]
    shown = "; ".join(messages[:5]) + (f"; and {len(messages) - 5} more" if len(messages) > 5 else "")
    words = f"{shown}: ask whoever made the file to correct and send it again"
    _refuse(group, parsed, layout, UNREADABLE_VALUE, words)


def _refuse(group: tabular.Group, parsed: Parsed, layout: Layout, reason: str, words: str) -> None:
    rows: list[Values[str, Any]] = [*(row.values for row in group.rows), *(one.raw for one in group.rejects)]
    raw = "\n".join("; ".join(f"{name}={value}" for name, value in row.items() if value is not None) for row in rows)
    named: Values[str, Any] = group.rows[0].values if group.rows else group.rejects[0].values
    key = "/".join(str(named[name]) for name in layout.key if named.get(name) is not None) or None
    position = _position([*group.rows, *group.rejects])
    parsed.rejects.append(Reject(parsed.units, position, (reason,), (words,), raw, key))


def _position(rows: Sequence[tabular.Row | tabular.Reject]) -> str:
    numbers = sorted(row.number for row in rows)
    return f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]}-{numbers[-1]}"
