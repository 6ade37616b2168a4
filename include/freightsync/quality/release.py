"""A steward's move out of quarantine: dated, with name and note, and everything that waited behind the record looks
again by itself.

A record that still breaks a rule is not let through unless the steward insists. What could not be read has no record to
let through: its sender sends it again. Money is not corrected here: a wrong amount is billed again by its sender.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from freightsync.domain.errors import PermanentError
from freightsync.landing.feeds import Feed
from freightsync.landing.feeds import feed as feed_named
from freightsync.landing.store import record_sha256
from freightsync.quality.gate import touch
from freightsync.quality.rules import load
from freightsync.settings import Settings
from freightsync.settings import settings as current_settings
from freightsync.systems.parsed import Record


@dataclass(frozen=True)
class Released:
    """What a release did. record_id: the admitted record, a new one where it was corrected."""

    release_id: int
    feed: str
    record_id: int
    corrected: bool


class ReleaseRefused(PermanentError):
    """The record can't be let through as it is; the message says why."""


def release(
    conn: psycopg.Connection[Any],
    quarantine_id: int,
    by: str,
    note: str,
    corrected: Mapping[str, Any] | None = None,
    *,
    insist: bool = False,
    expectations: Path | None = None,
    settings: Settings | None = None,
) -> Released:
    """Admits a quarantined record, or a copy of it with some columns corrected, and touches its aggregates.

    corrected: column -> new value; the record as received stays as it is. insist: admit although it still breaks rules.
    Raises ReleaseRefused for what is not there, released already, unreadable, about money, or still breaking a rule.
    """
    if not by.strip() or not note.strip():
        raise ReleaseRefused("a release needs a name and a note", what_to_do="say who releases it and why")
    directory = expectations or (settings or current_settings()).expectations
    with conn.transaction():
        with conn.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(
                "select * from quality.quarantine where quarantine_id = %s", (quarantine_id,)
            ).fetchone()
        if found is None:
            raise ReleaseRefused(f"no quarantined record {quarantine_id}")
        # one release at a time: the loser finds it released
        conn.execute("select pg_advisory_xact_lock(hashtextextended('freightsync release', %s))", (quarantine_id,))
        if conn.execute("select 1 from quality.release where quarantine_id = %s", (quarantine_id,)).fetchone():
            raise ReleaseRefused(f"quarantined record {quarantine_id} was released before")
        feed = feed_named(found["feed"])
        record_id = found["record_id"]
        if record_id is None:
            raise ReleaseRefused(
                f"quarantined record {quarantine_id} could not be read ({', '.join(found['reasons'])})",
                partner=found["partner"],
                document=found["natural_key"] or "",
                what_to_do="ask the partner to send it again; the repaired one comes in by itself",
            )
        if corrected:
            record_id = _corrected_copy(conn, feed, found, corrected, by)
        breaking = _still_breaks(conn, feed, directory, record_id)
        if breaking and not insist:
            raise ReleaseRefused(
                f"it still breaks {', '.join(breaking)}",
                partner=found["partner"],
                document=found["natural_key"] or "",
                what_to_do="mend the cause first, correct the record, or insist",
            )
        row = conn.execute(
            """
            insert into quality.release (quarantine_id, new_record_id, released_by, note) values (%s, %s, %s, %s)
            returning release_id
            """,
            (quarantine_id, record_id if corrected else None, by, note),
        ).fetchone()
        assert row is not None
        conn.execute(
            """
            insert into quality.admission (feed, record_id, batch_id, origin) values (%s, %s, %s, 'release')
            on conflict (feed, record_id) do nothing
            """,
            (feed.name, record_id, found["batch_id"]),
        )
        touch(conn, feed, f"release {row[0]}", record_id=record_id)
        return Released(row[0], feed.name, record_id, bool(corrected))


def _still_breaks(conn: psycopg.Connection[Any], feed: Feed, directory: Path, record_id: int) -> list[str]:
    rules = [rule for rule in load(directory, feed.name).rules if rule.severity != "info"]
    if not rules:
        return []
    rows = f"(select * from landing.{feed.table} where record_id = {int(record_id)})"
    flags = ", ".join(f"(({rule.predicate(rows)}) is true)" for rule in rules).replace("%", "%%")
    row = conn.execute(
        f"select {flags} from landing.{feed.table} r where r.record_id = %s".encode(), (record_id,)
    ).fetchone()
    assert row is not None
    return [rule.name for rule, broken in zip(rules, row, strict=True) if broken]


_MONEY = frozenset({"amount", "currency", "net_amount", "lines_total", "charges"})


def _corrected_copy(
    conn: psycopg.Connection[Any],
    feed: Feed,
    found: Mapping[str, Any],
    corrected: Mapping[str, Any],
    by: str,
) -> int:
    """A new record like the quarantined one but for some columns, landed as a document of the portal. Its batch is that
    of the record it replaces, so that totals of what was received stay as they were."""
    unknown = set(corrected) - set(feed.column_names)
    if unknown or _MONEY & set(corrected):
        named = ", ".join(sorted(unknown | (_MONEY & set(corrected))))
        raise ReleaseRefused(
            f"{named} can't be corrected here",
            what_to_do=f"columns that can: {', '.join(c for c in feed.column_names if c not in _MONEY)}",
        )
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"select * from landing.{feed.table} where record_id = %s".encode(), (found["record_id"],)
        ).fetchone()
        assert row is not None
        lines = (
            cursor.execute(
                f"select * from landing.{feed.table}_line where record_id = %s order by line".encode(),
                (found["record_id"],),
            ).fetchall()
            if feed.lines
            else []
        )
    content = json.dumps(
        {"quarantine_id": found["quarantine_id"], "corrected_by": by, "corrected": corrected},
        default=str,
        sort_keys=True,
    ).encode()
    values = {name: corrected.get(name, row[name]) for name in feed.column_names}
    own = [{column.name: line[column.name] for column in feed.lines} for line in lines]
    sha = record_sha256(feed.name, row["partner"], Record(1, "", values, row["amount"], row["currency"], own))
    document = conn.execute(
        """
        insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256, correlation_id,
                                      received_at, readable)
        values (%s, %s, %s, 'portal', %s, %s, %s, %s, clock_timestamp(), true)
        on conflict (feed, content_sha256) do nothing returning document_id
        """,
        (
            found["batch_id"],
            feed.name,
            row["partner"],
            f"correction of quarantined record {found['quarantine_id']}",
            content,
            hashlib.sha256(content).digest(),
            row["correlation_id"],
        ),
    ).fetchone()
    columns = ", ".join(feed.column_names)
    marks = ", ".join(["%s"] * len(feed.columns))
    made = (
        document
        and conn.execute(
            f"""
        insert into landing.{feed.table} (batch_id, document_id, ordinal, position, record_sha256, correlation_id,
                                          partner, amount, currency, {columns})
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, {marks})
        on conflict (record_sha256) do nothing returning record_id
        """.encode(),
            (
                found["batch_id"],
                document[0],
                row["ordinal"],
                row["position"],
                sha,
                row["correlation_id"],
                row["partner"],
                row["amount"],
                row["currency"],
                *(_sent(values[column.name], column.type) for column in feed.columns),
            ),
        ).fetchone()
    )
    if not made:
        raise ReleaseRefused("a record with this very content is here already", what_to_do="release that one")
    if own:
        names = [column.name for column in feed.lines]
        with conn.cursor() as cursor:
            cursor.executemany(
                f"insert into landing.{feed.table}_line (record_id, {', '.join(names)})"
                f" values (%s, {', '.join(['%s'] * len(names))})".encode(),
                [(made[0], *(line[name] for name in names)) for line in own],
            )
    return int(made[0])


def _sent(value: Any, type_: str) -> Any:
    if type_ == "jsonb" and value is not None:
        return Jsonb(value)
    if isinstance(value, (str, int, Decimal, dt.date, type(None))):
        return value
    return str(value)
