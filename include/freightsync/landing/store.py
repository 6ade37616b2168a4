"""Lands one document: its bytes, what the reader counted, its records, duplicates and rejects, in one transaction.

Nothing here looks at another feed or decides anything: admission is the gate's. A record's identity is its own
content (envelope excluded), so what comes twice, in whatever file, is one landing and one counted duplicate.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from freightsync.landing import encoding
from freightsync.landing.encoding import canonical, record_sha256
from freightsync.landing.feeds import Channel, Column, Feed
from freightsync.landing.feeds import feed as feed_named
from freightsync.landing.version import code_version
from freightsync.systems.parsed import Parsed, Record, Reject, Unreadable

__all__ = ["SMALL", "Landed", "announce", "canonical", "land", "record_sha256"]

SMALL = 200
"""Up to so many records travel as one JSON parameter; more by COPY into a temporary table (~2 ms to make)."""


@dataclass(frozen=True)
class Landed:
    """What one landing did. document_id is that of the first landing where the same document came before."""

    feed: str
    batch_id: int
    document_id: int
    received: int
    records: int
    duplicates: int
    rejects: int
    duplicate_document: bool
    readable: bool


def land(
    conn: psycopg.Connection[Any],
    *,
    feed: str,
    partner: str,
    channel: Channel,
    name: str,
    content: bytes,
    parsed: Parsed,
    run_id: str,
    received_at: dt.datetime | None = None,
    sent_by: str | None = None,
) -> Landed:
    """Lands a document that was parsed for one feed.

    Opens a transaction, or a savepoint where the caller has one open (so that a cursor can advance with it).
    parsed: records, rejects, and the reader's own count, which becomes the control total as it is.
    received_at: when the first byte reached us; the database's clock if not given.
    sent_by: the person who uploaded it, for a document of the portal.
    """
    spec = feed_named(feed)
    sha = hashlib.sha256(content).digest()
    with conn.transaction():
        row = conn.execute(
            _OPEN,
            {
                "feed": feed,
                "run_id": run_id,
                "code_version": code_version(),
                "partner": partner,
                "channel": channel,
                "name": name,
                "content": content,
                "sha": sha,
                "received_at": received_at,
                "sent_by": sent_by,
                "readable": parsed.unreadable is None,
                "error": _clean(parsed.unreadable.message) if parsed.unreadable else None,
            },
        ).fetchone()
        assert row is not None  # an insert … returning
        batch_id, document_id, correlation_id = row
        if document_id is None:
            return _duplicate_document(conn, spec, parsed, batch_id, partner, name, sha)
        if parsed.unreadable is not None:
            conn.execute(_TOTAL, (batch_id, document_id, feed, None, 1, None, True))
            _quarantine_document(conn, spec, parsed.unreadable, batch_id, document_id, partner, name)
            return Landed(feed, batch_id, document_id, 1, 0, 0, 1, False, False)
        for currency, units, amount in parsed.totals:
            conn.execute(_TOTAL, (batch_id, document_id, feed, currency, units, amount, False))
        for part in parsed.broken:
            conn.execute(_TOTAL, (batch_id, document_id, feed, None, 1, None, True))
            _quarantine_document(conn, spec, part, batch_id, document_id, partner, name)
        records = 0
        if parsed.records:
            given: dict[str, Any] = {
                "batch_id": batch_id,
                "document_id": document_id,
                "correlation_id": correlation_id,
                "partner": partner,
                "feed": feed,
                "name": name,
            }
            records = _insert_records(conn, spec, partner, parsed.records, given)
        if parsed.rejects:
            _quarantine_rejects(conn, spec, parsed.rejects, batch_id, document_id, partner, name)
        return Landed(
            feed,
            batch_id,
            document_id,
            parsed.units + len(parsed.broken),
            records,
            len(parsed.records) - records,
            len(parsed.rejects) + len(parsed.broken),
            False,
            True,
        )


def announce(conn: psycopg.Connection[Any], landed: Iterable[Landed]) -> None:
    """Tells who waits for records of these feeds that some came by themselves, when the
    caller's transaction commits."""
    for channel, feed in sorted({(channel, one.feed) for one in landed for channel in feed_named(one.feed).notify}):
        conn.execute("select pg_notify(%s, %s)", (channel, feed))


_OPEN = """
with opened as (
    insert into landing.batch (feed, run_id, code_version) values (%(feed)s, %(run_id)s, %(code_version)s)
    returning batch_id
), queued as (
    insert into ops.ungated_batch (batch_id, feed) select batch_id, %(feed)s from opened
), kept as (
    insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256, correlation_id,
                                  received_at, readable, error, sent_by)
    select batch_id, %(feed)s, %(partner)s, %(channel)s, %(name)s, %(content)b, %(sha)b, uuidv7()::text,
           coalesce(%(received_at)s::timestamptz, clock_timestamp()), %(readable)s, %(error)s,
           %(sent_by)s
    from opened
    on conflict (feed, content_sha256) do nothing
    returning document_id, correlation_id
)
select opened.batch_id, kept.document_id, kept.correlation_id from opened left join kept on true
"""

_TOTAL = """
insert into landing.control_total (batch_id, document_id, feed, currency, records, amount, is_document)
values (%s, %s, %s, %s, %s, %s, %s)
"""


def _duplicate_document(
    conn: psycopg.Connection[Any], spec: Feed, parsed: Parsed, batch_id: int, partner: str, name: str, sha: bytes
) -> Landed:
    """The same bytes again: every unit in it was received and is a duplicate."""
    first = conn.execute(
        "select document_id from landing.document where feed = %s and content_sha256 = %s", (spec.name, sha)
    ).fetchone()
    assert first is not None  # the insert met it
    documents = len(parsed.broken) + (parsed.unreadable is not None)
    totals = [(*total, False) for total in parsed.totals]
    if documents:
        totals.append((None, documents, None, True))
    for currency, units, amount, is_document in totals:
        conn.execute(_TOTAL, (batch_id, first[0], spec.name, currency, units, amount, is_document))
        conn.execute(
            """
            insert into landing.duplicate (batch_id, feed, kind, partner, name, first_document_id, currency, records,
                                           amount)
            values (%s, %s, 'document', %s, %s, %s, %s, %s, %s)
            """,
            (batch_id, spec.name, partner, name, first[0], currency, units, amount),
        )
    units = parsed.units + documents
    return Landed(spec.name, batch_id, first[0], units, 0, units, 0, True, parsed.unreadable is None)


def _quarantine_document(
    conn: psycopg.Connection[Any],
    spec: Feed,
    unreadable: Unreadable,
    batch_id: int,
    document_id: int,
    partner: str,
    name: str,
) -> None:
    conn.execute(
        """
        insert into quality.quarantine (feed, batch_id, document_id, is_document, partner, natural_key, position,
                                        reasons, messages, payload)
        values (%s, %s, %s, true, %s, %s, 'document', %s, %s, %s)
        """,
        (
            spec.name,
            batch_id,
            document_id,
            partner,
            name,
            [unreadable.reason],
            [_clean(unreadable.message)],
            Jsonb({"document_id": document_id, "name": name}),
        ),
    )


def _quarantine_rejects(
    conn: psycopg.Connection[Any],
    spec: Feed,
    rejects: Sequence[Reject],
    batch_id: int,
    document_id: int,
    partner: str,
    name: str,
) -> None:
    rows = [
        {
            "natural_key": _clean(reject.natural_key) or f"{name}#{reject.ordinal}",
            "position": reject.position,
            "reasons": list(reject.reasons),
            "messages": [_clean(message) for message in reject.messages],
            "payload": {"raw": _clean(reject.raw)},
            "amount": None if reject.amount is None else str(reject.amount),
            "currency": None if reject.amount is None else reject.currency,
        }
        for reject in rejects
    ]
    conn.execute(
        """
        insert into quality.quarantine (feed, batch_id, document_id, partner, natural_key, position, reasons, messages,
                                        payload, amount, currency)
        select %s, %s, %s, %s, natural_key, position, reasons, messages, payload, amount, currency
        from jsonb_to_recordset(%s) as s (natural_key text, position text, reasons text[], messages text[],
                                          payload jsonb, amount numeric(18,2), currency text)
        """,
        (spec.name, batch_id, document_id, partner, Jsonb(rows)),
    )


def _clean(text: str | None) -> str:
    """PostgreSQL's text has no NUL; the bytes as they came are in landing.document."""
    return (text or "").replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


# ---------------------------------------------------------------------------------------------------- records


_HEAD = (
    Column("ordinal", "integer"),
    Column("record_sha256", "bytea"),
    Column("position"),
    Column("amount", "numeric(18,2)"),
    Column("currency"),
)
_LINE_HEAD = (Column("ordinal", "integer"),)


@dataclass(frozen=True)
class _Statements:
    """The SQL of one feed, for a staged relation that is either a JSON parameter or a temporary table. insert: the new
    records and their lines; gives how many records were new."""

    insert: sql.Composed
    duplicates: sql.Composed
    stage_columns: tuple[Column, ...]
    line_columns: tuple[Column, ...]


def _recordset(parameter: str, columns: Sequence[Column]) -> sql.Composable:
    return sql.SQL("jsonb_to_recordset({}) as s ({})").format(
        sql.Placeholder(parameter),
        sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in columns),
    )


@lru_cache(maxsize=64)
def _statements(spec: Feed, staged: bool) -> _Statements:
    stage_columns = _HEAD + spec.columns
    line_columns = _LINE_HEAD + spec.lines
    source: sql.Composable = sql.SQL("landing_stage s") if staged else _recordset("rows", stage_columns)
    line_source: sql.Composable = sql.SQL("landing_stage_line s") if staged else _recordset("lines", line_columns)
    own = sql.SQL(", ").join(sql.Identifier(c.name) for c in stage_columns)
    insert = sql.SQL(
        """
        with landed as (
            insert into {table} (batch_id, document_id, correlation_id, partner, {own})
            select %(batch_id)s, %(document_id)s, %(correlation_id)s, %(partner)s, {own} from {source} order by ordinal
            on conflict (record_sha256) do nothing
            returning record_id, ordinal
        ){lines}
        select count(*) from landed
        """
    ).format(
        table=spec.relation,
        own=own,
        source=source,
        # a record that comes twice in one document has its lines once: its second ordinal was not landed
        lines=sql.SQL(
            """, landed_line as (
            insert into {line_table} (record_id, {own})
            select landed.record_id, {s_own} from {source} join landed using (ordinal)
        )"""
        ).format(
            line_table=spec.line_relation,
            own=sql.SQL(", ").join(sql.Identifier(c.name) for c in spec.lines),
            s_own=sql.SQL(", ").join(sql.Identifier("s", c.name) for c in spec.lines),
            source=line_source,
        )
        if spec.lines
        else sql.SQL(""),
    )
    # whatever of this document is not there under its own ordinal was there before it
    duplicates = sql.SQL(
        """
        insert into landing.duplicate (batch_id, feed, kind, partner, name, ordinal, first_document_id, first_record_id,
                                       currency, records, amount)
        select %(batch_id)s, %(feed)s, 'record', %(partner)s, %(name)s, s.ordinal, r.document_id, r.record_id,
               s.currency, 1, s.amount
        from {source} join {table} r using (record_sha256)
        where r.document_id <> %(document_id)s or r.ordinal <> s.ordinal
        """
    ).format(table=spec.relation, source=source)
    return _Statements(insert, duplicates, stage_columns, line_columns)


def _insert_records(
    conn: psycopg.Connection[Any], spec: Feed, partner: str, records: Sequence[Record], given: dict[str, Any]
) -> int:
    """Inserts what is new, counts what is not. Gives the number of new records."""
    staged = len(records) > SMALL
    statements = _statements(spec, staged)
    if staged:
        rows, lines = encoding.Rows(spec.name, partner, spec.columns, spec.lines).encode(records)
        _stage(conn, "landing_stage", statements.stage_columns, rows)
        if spec.lines:
            _stage(conn, "landing_stage_line", statements.line_columns, lines)
    else:
        names = [c.name for c in statements.stage_columns]
        given = {
            **given,
            "rows": Jsonb(
                [dict(zip(names, row, strict=True)) for row in _rows(spec, partner, records)], encoding.dumps
            ),
        }
        if spec.lines:
            names = [c.name for c in statements.line_columns]
            given["lines"] = Jsonb(
                [
                    {"ordinal": record.ordinal, **{name: line.get(name) for name in names[1:]}}
                    for record in records
                    for line in record.lines
                ],
                encoding.dumps,
            )
    row = conn.execute(statements.insert, given).fetchone()
    assert row is not None  # a count
    inserted = int(row[0])
    if inserted < len(records):
        conn.execute(statements.duplicates, given)
    return inserted


def _rows(spec: Feed, partner: str, records: Sequence[Record]) -> Iterator[tuple[Any, ...]]:
    names = spec.column_names
    for record in records:
        yield (
            record.ordinal,
            "\\x" + record_sha256(spec.name, partner, record).hex(),
            record.position,
            record.amount,
            None if record.amount is None else record.currency,
            *(record.values.get(name) for name in names),
        )


def _stage(conn: psycopg.Connection[Any], table: str, columns: Sequence[Column], rows: bytes) -> None:
    """A temporary table with these rows of COPY text."""
    name = sql.Identifier(table)
    conn.execute(sql.SQL("drop table if exists pg_temp.{}").format(name))
    conn.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            name,
            sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in columns),
        )
    )
    names = sql.SQL(", ").join(sql.Identifier(c.name) for c in columns)
    statement = sql.SQL("copy pg_temp.{} ({}) from stdin " + encoding.OPTIONS).format(name, names)
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows)
