"""Records as text, once: the same text of a value makes a record's identity and goes into COPY."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any

from freightsync.landing.feeds import Column
from freightsync.systems.parsed import Record


def canonical(value: Any) -> str | None:
    """A value as the one text that stands for it: equal values give equal text. None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dt.datetime):
        return (value.astimezone(dt.UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, (list, tuple, Mapping)):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=canonical, ensure_ascii=False)
    return str(value)


def record_sha256(feed: str, partner: str, record: Record) -> bytes:
    """Over the record's own content: feed, partner, every value that is there by its column's name, its lines.

    Absent values don't count, so that a column added later changes no record's identity.
    """
    return sha256_of(feed, partner, record, texts(record.values), [texts(line) for line in record.lines])


def sha256_of(
    feed: str, partner: str, record: Record, values: Mapping[str, str], lines: Sequence[Mapping[str, str]]
) -> bytes:
    """`record_sha256` of a record whose values and lines are texts already (`texts`)."""
    amount = canonical(record.amount) or ""
    parts = [f"{feed}\x1c{partner}\x1c{amount}\x1c{record.currency or ''}\x1c{_content(values)}"]
    parts += map(_content, lines)
    return hashlib.sha256("\x1d".join(parts).encode("utf-8", "surrogatepass")).digest()


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The values that are there, each as its canonical text."""
    out: dict[str, str] = {}
    for name, value in values.items():
        if value is None:
            continue
        kind = type(value)
        if kind is str:
            out[name] = value
        elif kind is int:
            out[name] = str(value)
        elif kind is Decimal:
            text = str(value)  # a third of the time of normalising it, and the same but for zeros and exponents
            if "." in text and "E" not in text:
                out[name] = text.rstrip("0").rstrip(".")
            else:
                out[name] = text if "E" not in text else format(value.normalize(), "f")
        elif (other := canonical(value)) is not None:
            out[name] = other
    return out


_order: dict[tuple[str, ...], tuple[str, Callable[[Mapping[str, str]], Any]]] = {}


def _content(values: Mapping[str, str]) -> str:
    names = tuple(values)
    known = _order.get(names)
    if known is None:
        if len(_order) > 4096:  # absent values make many combinations, but not so many
            _order.clear()
        ordered = sorted(names)
        template = "\x1e".join(name.replace("%", "%%") + "\x1f%s" for name in ordered)
        known = _order[names] = (template, itemgetter(*ordered) if ordered else lambda _: ())
    text: str = known[0] % known[1](values)
    return text


def dumps(value: Any) -> str:
    """JSON as it is stored: exact numbers as text with their digits."""
    return json.dumps(value, default=_json_value)


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


# ---------------------------------------------------------------------------------------------------- COPY

NULL = "".join(("\x01", "N"))
"""Stands for null in COPY text, known by being this very object: a value with the same text is escaped."""

OPTIONS = "(format text, null E'\\x01N')"

_SPECIAL = re.compile("[\\\\\n\r\t\x01]")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x01": "\\x01"}


class Rows:
    """COPY text of a feed's staged records and lines.

    A row of `records`: ordinal, identity, position, amount, currency, then the feed's columns. A row of `lines`: the
    ordinal of its record, then the line's columns.
    """

    def __init__(self, feed: str, partner: str, columns: Sequence[Column], lines: Sequence[Column]) -> None:
        self.feed = feed
        self.partner = partner
        self._columns = [column.name for column in columns]
        self._json = [column.name for column in columns if column.type == "jsonb"]
        self._lines = [column.name for column in lines]

    def encode(self, records: Sequence[Record]) -> tuple[bytes, bytes]:
        """The rows of these records, and of their lines."""
        out: list[str] = []
        line_out: list[str] = []
        columns, line_columns = self._columns, self._lines
        for record in records:
            values = texts(record.values)
            lines = [texts(line) for line in record.lines]
            sha = sha256_of(self.feed, self.partner, record, values, lines).hex()
            for name in self._json:
                if name in values:
                    values[name] = dumps(record.values[name])
            nulls = len(columns) - len(values)
            amount = currency = NULL
            if record.amount is None:
                nulls += 2
            else:
                amount, currency = format(record.amount, "f"), record.currency or NULL
                nulls += currency is NULL
            fields = [record.position, amount, currency]
            fields += [values.get(name, NULL) for name in columns]
            ordinal = str(record.ordinal)
            out.append(f"{ordinal}\t\\\\x{sha}\t{_row(fields, nulls)}\n")
            for line in lines:
                fields = [line.get(name, NULL) for name in line_columns]
                line_out.append(f"{ordinal}\t{_row(fields, len(line_columns) - len(line))}\n")
        return "".join(out).encode(), "".join(line_out).encode()


def _row(fields: list[str], nulls: int) -> str:
    """Fields as COPY text, of which so many should be null. Looked at as a whole first: hardly ever is there anything
    to escape."""
    text = "\t".join(fields)
    if (
        "\\" in text
        or "\n" in text
        or "\r" in text
        or text.count("\t") != len(fields) - 1
        or text.count("\x01") != nulls
    ):
        return "\t".join([field if field is NULL else _SPECIAL.sub(_escape, field) for field in fields])
    return text


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES[found.group()]
