"""A record's text for COPY says what the record says, whatever is in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from freightsync.landing.encoding import NULL, Rows, canonical, record_sha256
from freightsync.landing.feeds import Column
from freightsync.systems.parsed import Record

COLUMNS = (Column("a"), Column("b"), Column("n", "numeric(18,2)"), Column("j", "jsonb"))
LINES = (Column("line", "integer"), Column("text"))

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=6)
AWKWARD = st.sampled_from(["", "\\", "\\N", "\t", "\n", "\r", "\x01", "\x01N", "a\tb", "é", "\\x01"])
VALUE = st.none() | TEXT | AWKWARD


def read_copy(text: bytes, width: int) -> list[list[str | None]]:
    """COPY text by its definition: null is compared before escapes are undone."""
    escapes = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    rows = []
    for line in text.decode().split("\n")[:-1]:
        row: list[str | None] = []
        for field in line.split("\t"):
            if field == "\x01N":
                row.append(None)
                continue
            out, at = "", 0
            while at < len(field):
                if field[at] != "\\":
                    out, at = out + field[at], at + 1
                elif field[at + 1] == "x" and field[at + 2 : at + 4] == "01":
                    out, at = out + "\x01", at + 4
                else:
                    out, at = out + escapes[field[at + 1]], at + 2
            row.append(out)
        assert len(row) == width
        rows.append(row)
    return rows


@given(VALUE, VALUE, st.none() | st.decimals(-999, 999, places=2), VALUE, TEXT | AWKWARD)
def test_every_value_comes_back(
    a: str | None, b: str | None, n: Decimal | None, line: str | None, position: str
) -> None:
    values = {"a": a, "b": b, "n": n, "j": {"k": a} if a is not None else None}
    record = Record(7, position, values, n, "USD", [{"line": 1, "text": line}, {"line": 2}])
    rows, lines = Rows("f", "p", COLUMNS, LINES).encode([record])
    # the identity is hexadecimal behind a backslash that COPY undoes
    (row,) = read_copy(rows.replace(b"\\\\x", b"sha:", 1), 9)
    assert row[0] == "7"
    assert row[1] == "sha:" + record_sha256("f", "p", record).hex()
    assert row[2] == position
    assert (row[3], row[4]) == ((None, None) if n is None else (f"{n:f}", "USD"))
    assert row[5:7] == [a, b]
    assert (None if row[7] is None else Decimal(row[7])) == n
    assert (None if row[8] is None else json.loads(row[8])) == values["j"]
    assert read_copy(lines, 3) == [["7", "1", line], ["7", "2", None]]


def identity(feed: str, partner: str, record: Record) -> bytes:
    """The identity as it was always made: stored records must be found again by it."""

    def content(values: Mapping[str, Any]) -> str:
        return "\x1e".join(f"{k}\x1f{text}" for k in sorted(values) if (text := canonical(values[k])) is not None)

    text = content(record.values)
    if record.lines:
        text += "\x1d" + "\x1d".join(content(line) for line in record.lines)
    head = f"{feed}\x1c{partner}\x1c{canonical(record.amount) or ''}\x1c{record.currency or ''}\x1c"
    return hashlib.sha256((head + text).encode("utf-8", "surrogatepass")).digest()


MIXED = st.dictionaries(
    st.sampled_from("abcdef"),
    VALUE | st.decimals(-999, 999, places=2) | st.integers() | st.booleans() | st.dates() | st.lists(st.integers()),
)


@given(MIXED, st.lists(MIXED, max_size=3), st.none() | st.decimals(-999, 999, places=3))
def test_the_identity_of_a_record_never_changes(
    values: dict[str, Any], lines: list[dict[str, Any]], amount: Decimal | None
) -> None:
    record = Record(1, "", values, amount, "USD", lines)
    assert record_sha256("f", "p", record) == identity("f", "p", record)


def test_an_identity_worked_out_once_and_for_all() -> None:
    values = {"number": "N-1", "on": dt.date(2026, 3, 2), "net": Decimal("10.50"), "absent": None}
    record = Record(1, "row 1", values, Decimal("10.50"), "USD", [{"line": 1, "code": "400"}])
    text = "f\x1cp\x1c10.5\x1cUSD\x1cnet\x1f10.5\x1enumber\x1fN-1\x1eon\x1f2026-03-02\x1dcode\x1f400\x1eline\x1f1"
    assert record_sha256("f", "p", record) == hashlib.sha256(text.encode()).digest()


def test_null_is_no_value() -> None:
    record = Record(1, "", {"a": "\x01N", "b": None})
    rows, _ = Rows("f", "p", COLUMNS[:2], ()).encode([record])
    assert rows.endswith(b"\t\\x01N\t" + NULL.encode() + b"\n")
