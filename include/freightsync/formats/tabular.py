"""CSV and XLSX <-> records, by a declarative mapping that comes in as data (one file a partner, no code).

    mapping = Mapping.from_dict({
        "columns": {
            "invoice_number": {"column": "InvoiceNo", "required": True},
            "invoice_on":     {"column": "InvoiceDate", "type": "date", "format": "MM/DD/YYYY", "required": True},
            "amount":         {"column": ["Amount", "Charge"], "type": "decimal", "required": True},
            "weight_lb":      {"column": "WeightLb", "type": "decimal", "decimal_mark": ","},
        },
        "group_by": ["invoice_number"],          # rows that follow each other with one key are one document
        "once":     ["invoice_on"],              # what must be the same on all rows of a document
    })

A field may also have a `constant` instead of a column, a `position` (1 is the first column; with `header: false` for a
file without a header row), and a `map` of what the partner writes to what it means; a value that the map lacks rejects
its row. `totals: {column, text, amount}` names rows that only sum up: they come as `Totals`.

    for item in read_rows(data_or_binary_file, mapping): …     # Row or Reject, in the order of the file
    for group in read_groups(data_or_binary_file, mapping): …  # Group: rows, rejects

A cell that can't be read as its type rejects its row, with row number, column and reason; a row that is rejected
spoils its document (a bill with a line missing is not that bill). Decimals are exact. A file that is no table, or
lacks a required column, raises TabularError. CSV is streamed; encoding (UTF-8 with or without BOM, UTF-16 with BOM,
Windows-1252), delimiter (, ; tab |) and a few lines of title above the header are found out.

`write_csv` and `write_xlsx` write records so that no spreadsheet takes text for a formula.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Values
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from decimal import Decimal
from itertools import chain, islice, zip_longest
from typing import IO, Any, Literal, cast

from freightsync.domain.errors import PermanentError, UnreadableDocument

Kind = Literal["text", "decimal", "integer", "date", "datetime"]
Value = str | int | Decimal | dt.date | dt.datetime | None

MAX_HEADER_ROW = 20
MAX_WORKBOOK_BYTES = 512 * 1024 * 1024
MAX_WORKBOOK_PARTS = 2000
MAX_WORKBOOK_RATIO = 200
SMALL_WORKBOOK_BYTES = 16 * 1024 * 1024
"""Up to here a workbook may be packed as tightly as it likes."""

_FORMULA_CELL = re.compile(rb"<(?:\w+:)?f[ >/]")
_KINDS = ("text", "decimal", "integer", "date", "datetime")
_DELIMITERS = ",;\t|"
_ERROR_CELLS = {"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"}


class TabularError(UnreadableDocument):
    """A file that is no table, or not the table that the mapping describes."""


class MappingError(PermanentError):
    """A mapping that says something unknown; names the entry."""


# ------------------------------------------------------------------ the mapping


@dataclass(frozen=True, slots=True)
class Column:
    """One field.

    columns: header names it may have; case, blanks and punctuation do not matter.
    formats: of dates, tried in order, as MM/DD/YYYY, DD.MM.YY, YYYY-MM-DD HH:mm:ss or as strptime's %-codes.
    decimal_mark: '.' or ','; the other one may group thousands. ignore: characters to drop first (a currency sign).
    """

    field: str
    columns: tuple[str, ...]
    kind: Kind = "text"
    required: bool = False
    formats: tuple[str, ...] = ("%Y-%m-%d",)
    decimal_mark: Literal[".", ","] = "."
    ignore: str = ""
    position: int | None = None
    constant: Value = None
    map: Values[str, str] | None = None


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """Rows whose cell under `column` starts with `text` are no records: they sum up; `amount` is the sum's column."""

    column: Column
    text: str
    amount: Column | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """group_by, once: see the module. delimiter, encoding: None means find out. sheet: None means the first."""

    columns: tuple[Column, ...]
    group_by: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header: bool = True
    totals: TotalsRow | None = None

    @classmethod
    def from_dict(cls, values: Values[str, Any]) -> Mapping:
        """Raise MappingError for anything not understood, naming it. decimal_mark and date_format: of all columns that
        name none of their own."""
        known = {"columns", "group_by", "once", "delimiter", "encoding", "sheet", "header", "totals"}
        if not isinstance(values, Values):
            raise MappingError("the mapping is no mapping of entries")
        _known(values, known | {"decimal_mark", "date_format"}, "the mapping")
        entries = values.get("columns")
        if not isinstance(entries, Values) or not entries:
            raise MappingError("the mapping has no 'columns'")
        usual = {name: values[name] for name in ("decimal_mark", "date_format") if name in values}
        columns = tuple(_column(str(name), entry, usual) for name, entry in entries.items())
        header = values.get("header", True)
        if not isinstance(header, bool):
            raise MappingError(f"header is true or false, not {header!r}")
        nameless = [c.field for c in columns if not header and c.columns]
        if nameless:
            raise MappingError(f"without a header columns are found by position; {', '.join(nameless)} names a header")
        totals = _totals(values["totals"], usual) if values.get("totals") is not None else None
        fields = {column.field for column in columns}
        group_by, once = _names(values.get("group_by")), _names(values.get("once"))
        for name in (*group_by, *once):
            if name not in fields:
                raise MappingError(f"group_by and once name fields of 'columns'; {name!r} is none")
        encoding = values.get("encoding")
        if encoding is not None:
            try:
                codecs.lookup(str(encoding))
            except LookupError:
                raise MappingError(f"unknown encoding {encoding!r}") from None
        delimiter = values.get("delimiter")
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
            raise MappingError(f"a delimiter is one character, not {delimiter!r}")
        sheet = values.get("sheet")
        if sheet is not None and not isinstance(sheet, str):
            raise MappingError(f"a sheet is named by its name, not {sheet!r}")
        return cls(columns, group_by, once, delimiter, encoding, sheet, header, totals)


def _known(values: Values[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise MappingError(f"{where} has an unknown entry {key!r}; known: {', '.join(sorted(known))}")


def _names(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        # YAML takes No, Yes and numbers for what they are not
        raise MappingError(f"a name, in quotes where YAML takes it for something else, not {value!r}")
    return tuple(named)


def _totals(entry: object, usual: Values[str, Any]) -> TotalsRow:
    if not isinstance(entry, Values):
        raise MappingError(f"totals: a mapping with column and text, not {entry!r}")
    _known(entry, {"column", "position", "text", "amount"}, "totals")
    if not isinstance(entry.get("text"), str) or not entry["text"].strip():
        raise MappingError("totals: no text by which such a row is known")
    place = {key: entry[key] for key in ("column", "position") if key in entry}
    amount = entry.get("amount")
    if isinstance(amount, str):
        amount = {"column": amount}
    found = None if amount is None else _column("totals.amount", {"type": "decimal", **dict(amount)}, usual)
    return TotalsRow(_column("totals", place, usual), entry["text"].strip().casefold(), found)


def _column(name: str, entry: object, usual: Values[str, Any] | None = None) -> Column:
    if isinstance(entry, str):
        entry = {"column": entry}
    if not isinstance(entry, Values):
        raise MappingError(f"field {name}: a column name or a mapping, not {entry!r}")
    known = {"column", "type", "required", "format", "decimal_mark", "ignore", "position", "constant", "map"}
    _known(entry, known, f"field {name}")
    if sum(key in entry for key in ("column", "position", "constant")) != 1:
        raise MappingError(
            f"field {name}: no column, or more than one way to it: exactly one of column, position, constant"
        )
    usual = usual or {}
    columns = _names(entry.get("column"))
    kind = entry.get("type", "text")
    if "column" in entry and (not columns or not all(_plain(c) for c in columns)):
        raise MappingError(f"field {name}: no column")
    position = entry.get("position")
    if position is not None and (isinstance(position, bool) or not isinstance(position, int) or position < 1):
        raise MappingError(f"field {name}: a position counts from 1, not {position!r}")
    constant = entry.get("constant")
    if "constant" in entry and not isinstance(constant, str):
        raise MappingError(f"field {name}: a constant is text (in quotes), not {constant!r}")
    meanings = entry.get("map")
    if meanings is not None and not (isinstance(meanings, Values) and meanings):
        raise MappingError(f"field {name}: map is a mapping of what is written to what it means, not {meanings!r}")
    if kind not in _KINDS:
        raise MappingError(f"field {name}: type {kind!r} is not one of {', '.join(_KINDS)}")
    mark = entry.get("decimal_mark", usual.get("decimal_mark", "."))
    if mark not in (".", ","):
        raise MappingError(f"field {name}: decimal_mark is '.' or ',', not {mark!r}")
    default = ("%Y-%m-%d",) if kind == "date" else ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
    given = entry.get("format", usual.get("date_format") if kind == "date" else None)
    formats = tuple(_strptime(name, f) for f in _names(given)) or default
    column = Column(
        name,
        columns,
        kind,
        bool(entry.get("required", False)),
        formats,
        mark,
        str(entry.get("ignore", "")),
        position,
        map=None if meanings is None else {str(k).strip().casefold(): str(v or "") for k, v in meanings.items()},
    )
    if constant is None:
        return column
    try:
        return replace(column, constant=_Parser()(constant, column))
    except ValueError as error:
        raise MappingError(f"field {name}: the constant {error}") from None


_TOKENS = {"YYYY": "%Y", "YY": "%y", "MON": "%b", "MM": "%m", "DD": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def _strptime(name: str, pattern: str) -> str:
    if "%" in pattern:
        return pattern
    out = re.sub("|".join(_TOKENS), lambda m: _TOKENS[m.group()], pattern)
    if re.search(r"(?<!%)[A-SU-Za-su-z]", out):  # a T may stand between date and time
        raise MappingError(f"field {name}: date format {pattern!r} is not made of {', '.join(_TOKENS)} and punctuation")
    return out


# ------------------------------------------------------------------ what comes out


@dataclass(slots=True)
class Row:
    """number: as a spreadsheet numbers rows (the header's counts). values: by field; None where a cell is empty."""

    number: int
    values: dict[str, Value]


@dataclass(slots=True)
class Reject:
    """A row that can't be used.

    column: the header as it stands in the file; field: what it maps to. Both None where it is about the whole row.
    reason: missing_value, unreadable_value, too_many_cells, unreadable_row, differs_within_group.
    values: the fields that could be read; raw: the cells as sent, by header.
    """

    number: int
    column: str | None
    field: str | None
    reason: str
    message: str
    values: dict[str, Value] = attribute(default_factory=dict)
    raw: dict[str, str] = attribute(default_factory=dict)


@dataclass(slots=True)
class Totals:
    """A row that only sums up. amount: None where the mapping names no column for it, or it can't be read."""

    number: int
    amount: Decimal | None


@dataclass(slots=True)
class Group:
    """Rows of one document. key: values of group_by; None where a rejected row does not tell its document.

    again: the key occurred before, with other rows in between.
    """

    key: tuple[Value, ...] | None
    rows: list[Row] = attribute(default_factory=list)
    rejects: list[Reject] = attribute(default_factory=list)
    again: bool = False

    @property
    def rejected(self) -> bool:
        return bool(self.rejects)


# ------------------------------------------------------------------ reading


def read_rows(source: bytes | IO[bytes], mapping: Mapping) -> Iterator[Row | Reject | Totals]:
    """Rows and rejects in the order of the file. Raises TabularError before the first if the file is no such table."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    start = stream.read(8)
    if stream.seekable():
        stream.seek(-len(start), io.SEEK_CUR)
    else:
        stream = cast("IO[bytes]", _Rejoined(start, stream))
    if not start:
        raise TabularError("the file is empty", what_to_do="ask the partner to send it again")
    if start.startswith(b"PK\x03\x04"):
        cells = _workbook_cells(stream, mapping)
    elif start.startswith(b"\xd0\xcf\x11\xe0"):
        raise TabularError("an old .xls workbook", what_to_do="save it as .xlsx or CSV and send it again")
    else:
        cells = _csv_cells(stream, mapping)
    return _records(cells, mapping)


def read_groups(source: bytes | IO[bytes], mapping: Mapping) -> Iterator[Group | Totals]:
    """Rows that follow each other with the same `group_by` values, as one document each."""
    if not mapping.group_by:
        raise MappingError("this mapping has no group_by")
    seen: set[tuple[Value, ...]] = set()
    current: Group | None = None
    for item in read_rows(source, mapping):
        if isinstance(item, Totals):
            if current is not None:
                yield _checked(current, mapping)
                current = None
            yield item
            continue
        values = item.values
        key: tuple[Value, ...] | None = tuple([values.get(name) for name in mapping.group_by])
        if isinstance(item, Reject) and any(name not in values for name in mapping.group_by):
            key = None
        if key is None:
            if current is not None:
                yield _checked(current, mapping)
                current = None
            yield Group(None, [], [cast(Reject, item)])
            continue
        if current is None or current.key != key:
            if current is not None:
                yield _checked(current, mapping)
            current = Group(key, again=key in seen)
            seen.add(key)
        if isinstance(item, Row):
            current.rows.append(item)
        else:
            current.rejects.append(item)
    if current is not None:
        yield _checked(current, mapping)


def _checked(group: Group, mapping: Mapping) -> Group:
    """Rejects the rows whose `once` fields differ from those of the group's first row."""
    if len(group.rows) < 2 or not mapping.once:
        return group
    first = group.rows[0]
    columns = {column.field: _title(column) for column in mapping.columns}
    for row in group.rows[1:]:
        for name in mapping.once:
            if row.values.get(name) != first.values.get(name):
                group.rejects.append(
                    Reject(
                        row.number,
                        columns[name],
                        name,
                        "differs_within_group",
                        f"{row.values.get(name)} here, {first.values.get(name)} in row {first.number} of the document",
                        row.values,
                    )
                )
    return group


Cells = Iterator[tuple[int, Sequence[object] | Reject]]


def _title(column: Column) -> str:
    return column.columns[0] if column.columns else f"column {column.position}" if column.position else column.field


def _records(cells: Cells, mapping: Mapping) -> Iterator[Row | Reject | Totals]:
    """Finds the header at once (so that a wrong file is refused before anything comes out), then streams."""
    if not mapping.header:
        width = max([c.position or 0 for c in mapping.columns])
        return _rows(cells, mapping, [f"column {n}" for n in range(1, width + 1)], [""] * width)
    head: list[tuple[int, Sequence[object] | Reject]] = []
    for number, row in islice(cells, MAX_HEADER_ROW):
        if isinstance(row, Reject):
            continue
        head.append((number, row))
        names = [_plain(str(cell)) if cell is not None else "" for cell in row]
        named = [column for column in mapping.columns if column.columns]
        if all(_places(column, names) for column in named if column.required) and any(
            _places(column, names) for column in (named or mapping.columns)
        ):
            return _rows(cells, mapping, row, names)
    raise TabularError(_no_header(head, mapping), what_to_do="compare the file's header with the partner's mapping")


def _no_header(head: list[tuple[int, Sequence[object] | Reject]], mapping: Mapping) -> str:
    best: tuple[int, list[str]] | None = None
    for _, row in head:
        names = [_plain(str(cell)) if cell is not None else "" for cell in cast("Sequence[object]", row)]
        missing = [c.columns[0] for c in mapping.columns if c.required and c.columns and not _places(c, names)]
        found = sum(bool(_places(c, names)) for c in mapping.columns if c.columns)
        if found and (best is None or len(missing) < best[0]):
            best = (len(missing), missing)
    if best is None:
        return "no header row: none of the mapped columns is in the first rows"
    return f"missing column{'s' if best[0] > 1 else ''} {', '.join(best[1])}"


def _places(column: Column, names: Sequence[str]) -> list[int]:
    if column.position is not None:
        return [column.position - 1] if column.position <= len(names) else []
    for wanted in column.columns:
        places = [at for at, name in enumerate(names) if name == _plain(wanted)]
        if places:
            return places
    return []


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _rows(
    cells: Cells, mapping: Mapping, header: Sequence[object], names: list[str]
) -> Iterator[Row | Reject | Totals]:
    readers: list[tuple[int, Column, str]] = []
    for column in mapping.columns:
        places = _places(column, names)
        if len(places) > 1:
            raise TabularError(
                f"column {header[places[0]]} occurs {len(places)} times",
                what_to_do="ask which one counts, and have the other renamed",
            )
        if places:
            readers.append((places[0], column, str(header[places[0]]).strip()))
    absent: dict[str, Value] = {
        column.field: column.constant for column in mapping.columns if not _places(column, names)
    }
    titles = [str(cell).strip() if cell is not None else "" for cell in header]
    totals = mapping.totals
    summing: tuple[int, TotalsRow, int | None] | None = None
    if totals is not None:
        at = _places(totals.column, names)
        amount_at = _places(totals.amount, names) if totals.amount is not None else []
        if not at or (totals.amount is not None and not amount_at):
            raise TabularError(
                f"no column {_title(totals.column if not at else cast('Column', totals.amount))} for the row of totals",
                what_to_do="compare the file's header with the partner's mapping",
            )
        summing = (at[0], totals, amount_at[0] if amount_at else None)
    return _typed(cells, readers, absent, titles, summing, mapping.header)


def _typed(
    cells: Cells,
    readers: list[tuple[int, Column, str]],
    absent: dict[str, Value],
    titles: list[str],
    summing: tuple[int, TotalsRow, int | None] | None = None,
    header: bool = True,
) -> Iterator[Row | Reject | Totals]:
    width = len(titles)
    parse = _Parser()
    # rows of one document repeat its number, dates and references: a cell like the one above has its value
    above: list[object] = [None] * len(readers)
    known: list[Value] = [None] * len(readers)
    for number, row in cells:
        if isinstance(row, Reject):
            yield row
            continue
        if _is_blank(row):
            continue
        if summing is not None:
            at, totals, amount_at = summing
            if at < len(row) and str(row[at] or "").strip().casefold().startswith(totals.text):
                yield Totals(number, _sum(parse, row, amount_at, totals.amount))
                continue
        values: dict[str, Value] = dict(absent)
        problem: tuple[str | None, str | None, str, str] | None = None
        count = len(row)
        if header and count > width and any(cell not in (None, "") for cell in row[width:]):
            problem = (
                None,
                None,
                "too_many_cells",
                f"{count} cells under {width} columns: a delimiter within text?",
            )
        for n, (at, column, title) in enumerate(readers):
            cell = row[at] if at < count else None
            if type(cell) is str and cell == above[n]:
                values[column.field] = known[n]
                continue
            try:
                value = parse(cell, column)
            except ValueError as error:
                problem = problem or (title, column.field, "unreadable_value", str(error))
                continue
            if value is None and column.required:
                problem = problem or (title, column.field, "missing_value", f"{title} is empty")
                continue
            values[column.field] = known[n] = value
            above[n] = cell
        if problem is None:
            yield Row(number, values)
        else:
            raw = {
                title or f"column {at + 1}": _shown(c) for at, (title, c) in enumerate(zip(titles, row, strict=False))
            }
            yield Reject(number, *problem, values if problem[2] != "too_many_cells" else {}, raw)


def _is_blank(row: Sequence[object]) -> bool:
    for cell in row:
        if cell is None or cell == "":
            continue
        if not isinstance(cell, str) or cell.strip():
            return False
    return True


def _sum(parse: _Parser, row: Sequence[object], at: int | None, column: Column | None) -> Decimal | None:
    if at is None or column is None or at >= len(row):
        return None
    try:
        found = parse(row[at], column)
    except ValueError:
        return None
    return Decimal(found) if isinstance(found, Decimal | int) else None


def _shown(cell: object) -> str:
    return "" if cell is None else str(cell)


class _Parser:
    """Cell -> value; remembers dates and what is mapped, which repeat and are slow to parse."""

    def __init__(self) -> None:
        self._dates: dict[tuple[str, tuple[str, ...]], dt.datetime] = {}
        self._meant: dict[tuple[str, str], Value] = {}

    def __call__(self, cell: object, column: Column) -> Value:
        """None for an empty cell. Raises ValueError in plain words."""
        if column.map is not None:
            if type(cell) is not str:
                return self._mapped(cell, column)
            if (cell, column.field) not in self._meant:
                if len(self._meant) > 10_000:
                    self._meant.clear()
                self._meant[cell, column.field] = self._mapped(cell, column)
            return self._meant[cell, column.field]
        if isinstance(cell, str):
            text = cell.strip()
            if not text:
                return None
            if text[0] == "#" and text in _ERROR_CELLS:
                raise ValueError(f"the cell holds the error {text}")
            if column.kind == "text":
                return text
        elif cell is None:
            return None
        elif isinstance(cell, _NoValue):
            raise ValueError("a formula without a stored value: recalculate the workbook and save it again")
        elif isinstance(cell, bool):
            text = str(cell).upper()
        elif isinstance(cell, int):
            text = str(cell)
        elif isinstance(cell, float):
            # what the spreadsheet shows: it stores binary fractions of 15 decimal digits
            text = format(Decimal(f"{cell:.15g}"), "f")
            if column.kind in ("decimal", "integer"):
                return _number(text, ".", column)
        elif isinstance(cell, dt.datetime | dt.date):
            return _dated(cell, column)
        else:
            text = str(cell)
        if column.kind == "text":
            return text
        if column.kind in ("decimal", "integer"):
            return _number(text, "." if isinstance(cell, int) else column.decimal_mark, column)
        return self._date(text, column)

    def _mapped(self, cell: object, column: Column) -> Value:
        """By the map; an empty cell is what the map says for the empty text, else it stays empty."""
        sent = self(cell, replace(column, map=None, kind="text"))
        meanings = column.map or {}
        if sent is None:
            return meanings.get("")
        meaning = meanings.get(str(sent).strip().casefold())
        if meaning is None:
            raise ValueError(f"{str(sent)[:40]!r} is not mapped: add it to the partner's mapping, or ask the partner")
        return self(meaning, replace(column, map=None)) if meaning else ""

    def _date(self, text: str, column: Column) -> dt.date:
        known = self._dates.get((text, column.formats))
        if known is None:
            for pattern in column.formats:
                try:
                    known = dt.datetime.strptime(text, pattern)  # noqa: DTZ007 - local, as the file has it
                    break
                except ValueError:
                    continue
            else:
                raise ValueError(f"{text[:40]!r} is not a {column.kind} of the form {' or '.join(column.formats)}")
            if len(self._dates) > 10_000:
                self._dates.clear()
            self._dates[text, column.formats] = known
        return known.date() if column.kind == "date" else known


def _dated(cell: dt.datetime | dt.date, column: Column) -> Value:
    if column.kind == "text":
        return cell.isoformat()
    if column.kind == "date":
        return cell.date() if isinstance(cell, dt.datetime) else cell
    if column.kind == "datetime":
        return cell if isinstance(cell, dt.datetime) else dt.datetime.combine(cell, dt.time())
    raise ValueError(f"a date ({cell.isoformat()}) where a number should be")


_USUAL_NUMBER = re.compile(r"\d{1,15}(\.\d{1,12})?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"(\d{1,20})(\.\d{1,12})?|\.\d{1,12}", re.ASCII)
_GROUPED_NUMBER = re.compile(r"\d{1,3}(?:([,. '])\d{3})(?:\1\d{3}){0,5}(?:\.\d{1,12})?", re.ASCII)


def _number(text: str, mark: str, column: Column) -> Decimal | int:
    """Signs before or after, or parentheses for a negative (as books write it); thousands grouped or not."""
    if mark == "." and column.kind == "decimal" and not column.ignore and _USUAL_NUMBER.fullmatch(text):
        return Decimal(text)
    body = text.strip()
    for character in column.ignore:
        body = body.replace(character, "")
    body = body.replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-").strip()
    negative = False
    if body.startswith("(") and body.endswith(")"):
        negative, body = True, body[1:-1].strip()
    elif body.startswith("-") or body.endswith("-"):
        negative, body = True, (body[1:] if body.startswith("-") else body[:-1]).strip()
    elif body.startswith("+"):
        body = body[1:].strip()
    if mark == ",":
        body = body.translate(str.maketrans(",.", ".,"))
    grouped = _GROUPED_NUMBER.fullmatch(body)
    if grouped and grouped.group(1) != ".":
        body = body.replace(grouped.group(1), "")
    elif not _PLAIN_NUMBER.fullmatch(body):
        raise ValueError(f"{text[:40]!r} is not a number with {mark!r} before its decimals")
    value = Decimal(body)
    if negative and value:
        value = -value
    if column.kind == "integer":
        if value != value.to_integral_value():
            raise ValueError(f"{text[:40]!r} is not a whole number")
        return int(value)
    return value


# ------------------------------------------------------------------ CSV


class _Rejoined(io.RawIOBase):
    """A stream that can't be rewound, with its first bytes put back."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._start or self._rest.read(len(buffer))
        taken, self._start = piece[: len(buffer)], piece[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _lines(stream: IO[bytes], encoding: str | None) -> Iterator[str]:
    """Lines, any line end as \\n. Without a named encoding each is UTF-8 where that is valid, else Windows-1252."""
    buffered = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else cast("io.BufferedReader", stream)
    if encoding is None:
        start = buffered.peek(4)[:4] if hasattr(buffered, "peek") else _peeked(buffered)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
    errors = "replace" if encoding is not None else "surrogateescape"
    text = io.TextIOWrapper(buffered, encoding or "utf-8", errors=errors, newline=None)
    try:
        first = True
        for line in text:
            if first:
                line = line.removeprefix("\ufeff")
                first = False
            if encoding is None and not line.isascii():
                try:
                    line.encode("utf-8")
                except UnicodeEncodeError:
                    raw = line.encode("utf-8", "surrogateescape")
                    line = raw.decode("cp1252", "replace")
            yield line.replace("\x00", "")
    finally:
        text.detach()  # the caller's stream stays open


def _peeked(stream: IO[bytes]) -> bytes:
    start = stream.read(4)
    stream.seek(-len(start), io.SEEK_CUR)
    return start


def _csv_cells(stream: IO[bytes], mapping: Mapping) -> Cells:
    lines = _lines(stream, mapping.encoding)
    head = list(islice(lines, MAX_HEADER_ROW))
    if not any(line.strip() for line in head):
        raise TabularError("the file holds only blanks", what_to_do="ask the partner to send it again")
    hint = re.fullmatch(r"sep=(.)\n?", head[0], re.IGNORECASE)
    delimiter = mapping.delimiter or (hint.group(1) if hint else _sniffed(head, mapping))
    reader = csv.reader(chain(head, lines), delimiter=delimiter)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, Reject(number, None, None, "unreadable_row", f"not CSV: {error}; an unclosed quotation mark?")
            continue
        if hint and number == 1:
            continue
        yield number, row


def _sniffed(head: list[str], mapping: Mapping) -> str:
    """The delimiter under which most mapped columns are recognised in one line."""
    best, most = ",", -1
    for delimiter in _DELIMITERS:
        for line in head:
            try:
                names = [_plain(name) for name in next(csv.reader([line], delimiter=delimiter), [])]
            except csv.Error:
                continue
            found = sum(bool(_places(column, names)) for column in mapping.columns)
            if found > most:
                best, most = delimiter, found
    return best


# ------------------------------------------------------------------ XLSX


def _workbook_cells(stream: IO[bytes], mapping: Mapping) -> Cells:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    data = io.BytesIO(stream.read())
    try:
        formulas = _looked_into(data)
        book = load_workbook(data, read_only=True, data_only=True)
        if mapping.sheet is not None and mapping.sheet not in book.sheetnames:
            raise TabularError(
                f"no sheet {mapping.sheet!r}; there are {', '.join(book.sheetnames)}",
                what_to_do="name the right sheet in the partner's mapping",
            )
        sheet = book[mapping.sheet] if mapping.sheet is not None else book[book.sheetnames[0]]
        sheet.reset_dimensions()
        rows: Iterator[tuple[object, ...]] = sheet.iter_rows(values_only=True)
        if formulas:
            written = load_workbook(data, read_only=True)[sheet.title]
            written.reset_dimensions()
            rows = map(_with_formulas, rows, written.iter_rows(values_only=True))
        first = list(islice(rows, 1))
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError, IndexError, SyntaxError) as error:
        raise TabularError(
            f"not a readable workbook: {error}", what_to_do="ask the partner to send it again"
        ) from error
    return iter(enumerate(chain(first, rows), 1))


class _NoValue:
    """A cell with a formula whose value nobody stored; formulas are never evaluated here."""

    def __str__(self) -> str:
        return "(formula)"


_NO_VALUE = _NoValue()


def _with_formulas(values: Sequence[object], written: Sequence[object]) -> tuple[object, ...]:
    return tuple(
        _NO_VALUE if value is None and isinstance(cell, str) and cell.startswith("=") else value
        for value, cell in zip_longest(values, written)
    )


def _looked_into(data: IO[bytes]) -> bool:
    """Refuses what could fill the memory or the disk before any of it is unpacked; whether a sheet has formulas.

    Sizes are those that the archive states; unpacking stops there, whatever follows."""
    formulas = False
    with zipfile.ZipFile(data) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        packed = sum(entry.compress_size for entry in entries)
        if size > MAX_WORKBOOK_BYTES or len(entries) > MAX_WORKBOOK_PARTS:
            raise TabularError(
                f"a workbook of {size} bytes unpacked in {len(entries)} parts",
                what_to_do="ask for CSV, or for several files",
            )
        if size > SMALL_WORKBOOK_BYTES and size > MAX_WORKBOOK_RATIO * packed:
            raise TabularError(
                f"a workbook that unpacks to {size // max(packed, 1)} times its size", what_to_do="ask for CSV"
            )
        for entry in entries:
            if not entry.filename.endswith((".xml", ".rels")):
                continue
            with archive.open(entry) as part:
                start = part.read(4096)
                if b"<!DOCTYPE" in start or b"<!ENTITY" in start:
                    raise TabularError("a workbook with a document type of its own", what_to_do="ask for CSV")
                if entry.filename.startswith("xl/worksheets/") and not formulas:
                    kept = b""
                    while start and not formulas:
                        formulas = _FORMULA_CELL.search(kept + start) is not None
                        kept, start = start[-8:], part.read(1024 * 1024)
    return formulas


# ------------------------------------------------------------------ writing

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n|%]")


def starts_a_formula(text: str) -> bool:
    """Whether a spreadsheet could take the text for a formula (OWASP: CSV injection)."""
    return _FORMULA.match(text) is not None


def neutralise(text: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return "'" + text if starts_a_formula(text) else text


def _written(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.date):
        return value.isoformat()
    return neutralise(value) if isinstance(value, str) else str(value)


def write_csv(stream: IO[bytes], fields: Sequence[str], rows: Iterable[Values[str, Value]]) -> int:
    """UTF-8 with BOM (spreadsheets need it), comma, CRLF; text is neutralised, numbers are not. Returns the count."""
    text = io.TextIOWrapper(cast("io.BufferedWriter", stream), "utf-8-sig", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow([neutralise(name) for name in fields])
        count = 0
        for row in rows:
            writer.writerow([_written(row.get(name)) for name in fields])
            count += 1
        return count
    finally:
        text.detach()


def write_xlsx(
    stream: IO[bytes], fields: Sequence[str], rows: Iterable[Values[str, Value]], *, sheet: str = "Sheet1"
) -> int:
    """One sheet with a header row. Text is text whatever it starts with. Returns the count of rows.

    An amount that a spreadsheet's 15 digits can't hold exactly is written as text.
    """
    import xlsxwriter

    book = xlsxwriter.Workbook(
        stream,
        {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    page = book.add_worksheet(sheet)
    date_format = book.add_format({"num_format": "yyyy-mm-dd"})
    time_format = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    money_format = book.add_format({"num_format": "#,##0.00"})
    bold = book.add_format({"bold": True})
    quoted = book.add_format({"quote_prefix": True})  # stays text when the cell is edited
    for at, name in enumerate(fields):
        page.write_string(0, at, name, bold)
    count = 0
    for count, row in enumerate(rows, 1):
        for at, name in enumerate(fields):
            value = row.get(name)
            if value is None:
                continue
            if isinstance(value, Decimal | int):
                if len(Decimal(value).as_tuple().digits) <= 15:
                    page.write_number(count, at, value, money_format if isinstance(value, Decimal) else None)
                else:
                    page.write_string(count, at, _written(value))
            elif isinstance(value, dt.datetime):
                page.write_datetime(count, at, value, time_format)
            elif isinstance(value, dt.date):
                page.write_datetime(count, at, value, date_format)
            else:
                page.write_string(count, at, value, None if neutralise(value) == value else quoted)
    book.close()
    return count
