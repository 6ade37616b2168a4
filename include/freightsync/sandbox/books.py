"""A partner's books: one SQLite file that outlives the process.

`entry` is a log: a new version of a thing is a new row, so a delta read is "what came after this row" and a cursor
can be read again later. Documents are stored as the JSON text that callers are given.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_DDL = """
create table if not exists entry (
  seq integer primary key autoincrement, collection text not null, id text not null, reference text,
  body text not null);
create index if not exists entry_by_collection on entry (collection, seq);
create index if not exists entry_by_id on entry (collection, id);
create index if not exists entry_by_reference on entry (collection, reference) where reference is not null;
create table if not exists idempotency (
  key text primary key, digest blob not null, status integer not null, body text not null);
create table if not exists posting (
  seq integer primary key autoincrement, document text not null, account text not null, currency text not null,
  debit_cents integer not null, credit_cents integer not null,
  functional_debit_cents integer not null default 0, functional_credit_cents integer not null default 0);
create table if not exists ledger (
  number text primary key, document_type text not null, origin text not null, reference text, reverses text,
  posted_on text not null, period text not null, currency text not null, entered_by text not null, note text not null,
  version integer not null);
create table if not exists period (period text primary key, status text not null, at real not null, by text not null);
create index if not exists posting_by_document on posting (document);
create table if not exists current_status (
  object_type text not null, object_id text not null, status text not null, primary key (object_type, object_id));
create table if not exists fault (
  seq integer primary key autoincrement, kind text not null, path_prefix text not null, count integer not null,
  retry_after real not null, method text not null);
create table if not exists log (
  seq integer primary key autoincrement, kind text not null, at real not null, body text not null);
create index if not exists log_by_kind on log (kind, seq);
create table if not exists delivery (
  seq integer primary key autoincrement, partner text not null, channel text not null, body blob not null,
  actions text not null, note text not null, attempts integer not null default 0,
  first_sent_at real, done_at real);
create index if not exists delivery_open on delivery (partner, seq) where done_at is null;
create table if not exists fact (name text primary key, at real not null);
create table if not exists value (name text primary key, body text not null);
"""


@dataclass(frozen=True, slots=True)
class Page:
    items: list[str]
    next_cursor: str
    more: bool


def wall_clock() -> float:
    """Seconds since 1970, as partners' clocks show them."""
    return datetime.now(UTC).timestamp()


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def dumps(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


class Books:
    """`on_entry(collection, id, document)` is called after each entry is written, `on_read_up(collection)` when a
    delta read reached the collection's end (the day waits for some of both)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        # the process may be killed at any moment, the machine may not: WAL without fsync keeps what was written
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=off")
        self._connection.executescript(_DDL)
        self._depth = 0
        self.on_entry: Callable[[str, str, dict[str, Any]], None] | None = None
        self.on_read_up: Callable[[str], None] | None = None

    def close(self) -> None:
        self._connection.close()

    # -- plain access ------------------------------------------------------------

    def one(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return found

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Runs a statement; gives the row number that it made."""
        return self._connection.execute(sql, values).lastrowid or 0

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All or nothing; may be nested."""
        if self._depth:
            yield
            return
        self._connection.execute("begin immediate")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        else:
            self._connection.execute("commit")
        finally:
            self._depth = 0

    def clear(self) -> None:
        """Empties everything and starts counting anew."""
        names = [
            n for (n,) in self.all("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
        ]
        with self.together():
            for name in names:
                self.run(f"delete from {name}")  # noqa: S608 - names of our own tables
            self.run("delete from sqlite_sequence")

    # -- entries ------------------------------------------------------------

    def add(self, collection: str, id: str, document: dict[str, Any], reference: str | None = None) -> int:
        seq = self.run(
            "insert into entry (collection, id, reference, body) values (?, ?, ?, ?)",
            (collection, id, reference, dumps(document)),
        )
        if self.on_entry is not None:
            self.on_entry(collection, id, document)
        return seq

    def latest(self, collection: str, id: str) -> dict[str, Any] | None:
        row = self.one(
            "select body from entry where collection = ? and id = ? order by seq desc limit 1", (collection, id)
        )
        found: dict[str, Any] | None = None if row is None else json.loads(row[0])
        return found

    def holds(self, collection: str, id: str) -> bool:
        return self.one("select 1 from entry where collection = ? and id = ? limit 1", (collection, id)) is not None

    def any(self, collection: str) -> bool:
        return self.one("select 1 from entry where collection = ? limit 1", (collection,)) is not None

    def size(self, collection: str) -> int:
        row = self.one("select count(*) from entry where collection = ?", (collection,))
        return int(row[0]) if row else 0

    def by_reference(self, collection: str, reference: str) -> list[str]:
        rows = self.all(
            "select body from entry where collection = ? and reference = ? order by seq", (collection, reference)
        )
        return [body for (body,) in rows]

    def page(self, collection: str, cursor: str, limit: int) -> Page | None:
        """What came after `cursor`; None if that is no cursor of this collection."""
        after = 0
        if cursor:
            try:
                name, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().rpartition(":")
                after = int(number)
            except ValueError:
                return None
            if name != collection:
                return None
        rows = self.all(
            "select seq, body from entry where collection = ? and seq > ? order by seq limit ?",
            (collection, after, limit + 1),
        )
        more = len(rows) > limit
        rows = rows[:limit]
        last = rows[-1][0] if rows else after
        following = base64.urlsafe_b64encode(f"{collection}:{last}".encode()).decode() if last else ""
        return Page([body for _, body in rows], following, more)

    # -- small things ------------------------------------------------------------

    def log(self, kind: str, body: dict[str, Any], at: float | None = None) -> None:
        self.run(
            "insert into log (kind, at, body) values (?, ?, ?)", (kind, wall_clock() if at is None else at, dumps(body))
        )

    def logged(self, kind: str) -> list[dict[str, Any]]:
        rows = self.all("select at, body from log where kind = ? order by seq", (kind,))
        return [{"at": iso(at), **json.loads(body)} for at, body in rows]

    def keep(self, name: str, value: Any) -> None:
        self.run("insert or replace into value (name, body) values (?, ?)", (name, dumps(value)))

    def kept(self, name: str) -> Any:
        row = self.one("select body from value where name = ?", (name,))
        return None if row is None else json.loads(row[0])
