"""Reading a request's fields, each failure naming the field."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from freightsync.sandbox.books import Books, dumps
from freightsync.sandbox.http import Problem, Reply, Request, refuse

_MONEY = re.compile(r"-?\d{1,15}\.\d{2}")


def text(document: dict[str, Any], name: str, at: str = "") -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value.strip():
        raise refuse(at + name, "a text that is not empty is needed")
    return value


def whole(document: dict[str, Any], name: str, at: str = "") -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise refuse(at + name, "a whole number is needed")
    return value


def cents(document: dict[str, Any], name: str, at: str = "") -> int:
    """Money as a decimal text with two places, in cents."""
    value = document.get(name)
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise refuse(at + name, 'money as a text with two decimals is needed, e.g. "123.45"')
    return int(value.replace(".", ""))


def decimal(document: dict[str, Any], name: str, at: str = "") -> Decimal | None:
    """A number, given as text or number; null stays None."""
    value = document.get(name)
    if value is None:
        return None
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise refuse(at + name, "a decimal number is needed") from None


def day(document: dict[str, Any], name: str, at: str = "") -> str:
    value = text(document, name, at)
    try:
        date.fromisoformat(value)
    except ValueError:
        raise refuse(at + name, "a date as YYYY-MM-DD is needed") from None
    return value


def moment(document: dict[str, Any], name: str, at: str = "") -> str:
    value = text(document, name, at)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise refuse(at + name, "an ISO 8601 time is needed") from None
    if found.tzinfo is None:
        raise refuse(at + name, "the time must carry its offset")
    return value


def currency(document: dict[str, Any], name: str = "currency", at: str = "") -> str:
    value = text(document, name, at)
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise refuse(at + name, "an ISO 4217 code is needed")
    return value


def texts(document: dict[str, Any], name: str, at: str = "") -> list[str]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise refuse(at + name, "a list of texts is needed")
    return value


def objects(
    document: dict[str, Any], name: str, at: str = "", *, least: int = 1, most: int = 10_000
) -> list[dict[str, Any]]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise refuse(at + name, "a list of objects is needed")
    if not least <= len(value) <= most:
        raise refuse(at + name, f"{least} to {most} are allowed, {len(value)} were given")
    return value


def one_of(document: dict[str, Any], name: str, allowed: tuple[str, ...], at: str = "") -> str:
    value = text(document, name, at)
    if value not in allowed:
        raise refuse(at + name, f"one of {', '.join(allowed)} is needed, not {value!r}")
    return value


def digest(*parts: Any) -> bytes:
    return hashlib.sha256(dumps(parts).encode()).digest()


def once(books: Books, request: Request, write: Callable[[], tuple[int, dict[str, Any]]]) -> Reply:
    """Does a write once per Idempotency-Key.

    The same key with the same body is answered with the first document and 200; with another body 409. A refused
    write leaves its key free.
    """
    key = request.headers.get("idempotency-key", "")
    if not key:
        raise Problem(400, "idempotency key missing", "this write needs the header Idempotency-Key", "Idempotency-Key")
    mark = digest(request.method, request.path, request.body.decode("utf-8", "replace"))
    row = books.one("select digest, body from idempotency where key = ?", (key,))
    if row is not None:
        if row[0] != mark:
            raise Problem(
                409, "idempotency key reused", f"the key {key} came with another body before", "Idempotency-Key"
            )
        books.log("replayed", {"path": request.path, "key": key})
        return Reply(200, row[1].encode())
    with books.together():
        status, document = write()
        body = dumps(document)
        books.run("insert into idempotency (key, digest, status, body) values (?, ?, ?, ?)", (key, mark, status, body))
    return Reply(status, body.encode())
