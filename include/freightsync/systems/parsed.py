"""What every parser returns: records, rejects beside them, and what the reader counted on the way.

A unit is one transaction: an invoice, an event, an order, a master record. A parser counts each unit with
`Parsed.received` when it meets it in the source, before it knows whether it can be read; then it is added as a record
or as a reject. Landing compares the two counts later, so the count must not be worked out from the records.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

UNREADABLE_VALUE = "unreadable_value"
TRUNCATED_TRANSACTION = "truncated_transaction"
UNREADABLE_INTERCHANGE = "unreadable_interchange"
UNREADABLE_FILE = "unreadable_file"


@dataclass(slots=True)
class Record:
    """One readable unit. `values`: column of the feed's table -> value; `lines`: rows of its line table, if it has one.

    position: where it stands in the document (`segment 12 byte 480`, `row 7`, `items[3]`).
    amount, currency: the unit's money for control totals; None where the feed has none.
    """

    ordinal: int
    position: str
    values: Mapping[str, Any]
    amount: Decimal | None = None
    currency: str | None = None
    lines: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Reject:
    """One unit that can't become a record: reason codes, the same in words (same order), and the raw text."""

    ordinal: int
    position: str
    reasons: tuple[str, ...]
    messages: tuple[str, ...]
    raw: str
    natural_key: str | None = None
    amount: Decimal | None = None
    currency: str | None = None


@dataclass(slots=True)
class Unreadable:
    """The whole document can't be read: reason code and words with what to do."""

    reason: str
    message: str


@dataclass(slots=True)
class Parsed:
    """The outcome of reading one document for one feed."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    unreadable: Unreadable | None = None
    broken: list[Unreadable] = field(default_factory=list)
    """Parts of the document that can't be read at all (an interchange among others): one unit each, money unknown."""
    _totals: dict[str | None, tuple[int, Decimal | None]] = field(default_factory=dict)

    @classmethod
    def nothing(cls, reason: str, message: str) -> Parsed:
        """An unreadable document: one unit with unknown money."""
        return cls(unreadable=Unreadable(reason, message))

    def received(self, amount: Decimal | None = None, currency: str | None = None) -> None:
        """Counts one unit met in the source. Money without a currency can't be summed: it is left out."""
        if amount is None or currency is None:
            amount = currency = None
        count, total = self._totals.get(currency, (0, None))
        self._totals[currency] = (count + 1, total if amount is None else (total or Decimal(0)) + amount)

    @property
    def totals(self) -> list[tuple[str | None, int, Decimal | None]]:
        """(currency, units, money) as counted, by currency; None is the currency of units without money."""
        return [(currency, *self._totals[currency]) for currency in sorted(self._totals, key=lambda c: c or "")]

    @property
    def units(self) -> int:
        return sum(count for count, _ in self._totals.values())


class Unreadables(Exception):
    """Values of one unit that could not be read; `problems` names each by field."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Reader:
    """Reads the fields of one JSON object or CSV row by type, collecting what is wrong instead of stopping.

    Each method returns None for an absent value; a required one that is absent, and any that is unreadable, is a
    problem. `check` raises Unreadables when there were any.
    """

    def __init__(self, source: Mapping[str, Any], path: str = "") -> None:
        self.source = source
        self.path = path
        self.problems: list[str] = []

    def check(self) -> None:
        if self.problems:
            raise Unreadables(self.problems)

    def _read(self, name: str, required: bool, kind: str, read: Callable[[Any], Any]) -> Any:
        value = self.source.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.problems.append(f"{self.path}{name} is missing")
            return None
        try:
            return read(value)
        except (ValueError, TypeError, InvalidOperation, OverflowError):
            shown = json.dumps(value, default=str)
            self.problems.append(f"{self.path}{name} {shown if len(shown) <= 60 else shown[:60] + '…'} is not {kind}")
            return None

    def text(self, name: str, *, required: bool = False) -> str | None:
        value: str | None = self._read(name, required, "text", _as_text)
        return value

    def integer(self, name: str, *, required: bool = False) -> int | None:
        value: int | None = self._read(name, required, "a whole number", _as_integer)
        return value

    def number(self, name: str, *, required: bool = False) -> Decimal | None:
        """A decimal, exact. A JSON float is refused: money and measures travel as strings or whole numbers."""
        value: Decimal | None = self._read(name, required, "a decimal number", as_decimal)
        return value

    def money(self, name: str, *, required: bool = False) -> Decimal | None:
        """A decimal with at most two decimals and 16 digits before the point."""
        value: Decimal | None = self._read(name, required, "an amount of money", as_money)
        return value

    def boolean(self, name: str, *, required: bool = False) -> bool | None:
        value: bool | None = self._read(name, required, "true or false", _as_boolean)
        return value

    def date(self, name: str, *, required: bool = False) -> dt.date | None:
        value: dt.date | None = self._read(name, required, "a date (YYYY-MM-DD)", _as_date)
        return value

    def moment(self, name: str, *, required: bool = False) -> dt.datetime | None:
        """A point in time: ISO 8601 with an offset; without one it is no point in time, and refused."""
        value: dt.datetime | None = self._read(name, required, "a time with offset (ISO 8601)", _as_moment)
        return value

    def local_time(self, name: str, *, required: bool = False) -> dt.datetime | None:
        """A wall-clock time, ISO 8601; an offset, if the source gives one, is refused here."""
        value: dt.datetime | None = self._read(name, required, "a local time (ISO 8601 without offset)", _as_local)
        return value

    def objects(self, name: str, *, required: bool = False) -> list[Mapping[str, Any]]:
        """A list of JSON objects; [] when absent."""
        value: list[Mapping[str, Any]] | None = self._read(name, required, "a list of objects", _as_objects)
        return value or []


_CENT = Decimal("0.01")


def as_decimal(value: Any) -> Decimal:
    if type(value) is Decimal:
        number = value
    elif isinstance(value, (bool, float)):
        raise ValueError("a float is not exact")
    else:
        number = Decimal(str(value).strip())
    if not number.is_finite() or number.adjusted() > 15 or number.adjusted() < -12:
        raise ValueError("out of range")
    return number


def as_money(value: Any) -> Decimal:
    number = as_decimal(value)
    cents = number.quantize(_CENT)
    if cents != number:
        raise ValueError("more than two decimals")
    return cents


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a NUL is no text")
        value.encode()  # a lone surrogate is no text either: UnicodeEncodeError is a ValueError
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError


def _as_integer(value: Any) -> int:
    number = as_decimal(value)
    if number != number.to_integral_value() or math.fabs(number) > 2_147_483_647:
        raise ValueError
    return int(number)


def _as_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError


def _as_date(value: Any) -> dt.date:
    return dt.date.fromisoformat(value.strip())


def _as_moment(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value.strip())
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _as_local(value: Any) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value.strip())
    if moment.tzinfo is not None:
        raise ValueError
    return moment


def _as_objects(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise TypeError
    return value


def load_json(content: bytes) -> Any:
    """JSON with exact numbers: a number with a fraction becomes Decimal, never float. Raises ValueError."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def load_list(content: bytes, name: str) -> list[Any]:
    """The list under `name` of a JSON object. Raises ValueError saying what is there instead."""
    document = load_json(content)
    items = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(items, list):
        raise ValueError(f"no list {name!r} in it")
    return items


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def parse_each(
    items: Sequence[Any],
    read: Callable[[Mapping[str, Any], int, str], Record],
    *,
    parsed: Parsed,
    path: str,
    natural_key: Callable[[Mapping[str, Any]], str | None],
    money: Callable[[Mapping[str, Any]], tuple[Decimal | None, str | None]] | None = None,
    start: int = 0,
) -> None:
    """Reads every item of a JSON list: counts it, then a record or, where a value can't be read, a reject.

    money: reads (amount, currency) of an item straight from the source, for the count.
    start: place of the first item in its list.
    """
    for index, item in enumerate(items):
        position = f"{path}[{start + index}]"
        number = start + index + 1
        if not isinstance(item, Mapping):
            parsed.received()
            parsed.rejects.append(
                Reject(
                    number,
                    position,
                    (UNREADABLE_VALUE,),
                    (f"{position} is not an object: ask the partner to send it again",),
                    json.dumps(item, default=str),
                )
            )
            continue
        amount, currency = money(item) if money else (None, None)
        parsed.received(amount, currency)
        try:
            parsed.records.append(read(item, number, position))
        except Unreadables as error:
            parsed.rejects.append(
                Reject(
                    number,
                    position,
                    (UNREADABLE_VALUE,),
                    (f"{error}: ask the partner to correct and send it again",),
                    json.dumps(item, default=str),
                    natural_key(item),
                    amount if currency else None,
                    currency if amount is not None else None,
                )
            )


def json_money(amount: str, currency: str) -> Callable[[Mapping[str, Any]], tuple[Decimal | None, str | None]]:
    """A reader of an item's money by field names: (None, None) where either can't be read."""

    def read(item: Mapping[str, Any]) -> tuple[Decimal | None, str | None]:
        code = item.get(currency)
        if not isinstance(code, str) or not code.strip():
            return None, None
        try:
            return as_money(item.get(amount)), code.strip()
        except (ValueError, TypeError, InvalidOperation):
            return None, None

    return read


def plain_key(*fields: str) -> Callable[[Mapping[str, Any]], str | None]:
    """The natural key of an item that may be unreadable: its fields as text, joined with '/'."""

    def read(item: Mapping[str, Any]) -> str | None:
        found = [str(item[name]) for name in fields if item.get(name) not in (None, "")]
        return "/".join(found) or None

    return read
