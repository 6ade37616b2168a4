"""The steward's queue: what waits in quarantine, with plain reasons, and the batches that are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class Quarantined:
    """One record, or one document that can't be read. released_at: when a steward let it go, None while it waits.

    document: name of the file, call or page that it came in; payload: the record, or what could not be read.
    """

    quarantine_id: int
    feed: str
    partner: str
    natural_key: str | None
    position: str | None
    document: str | None
    is_document: bool
    reasons: list[str]
    messages: list[str]
    amount: Decimal | None
    currency: str | None
    quarantined_at: datetime
    released_at: datetime | None
    released_by: str | None
    note: str | None
    payload: Mapping[str, Any] | None


@dataclass(frozen=True)
class Held:
    """A batch of which nothing is admitted, since when, and why."""

    batch_id: int
    feed: str
    held_at: datetime
    reasons: list[str]
    messages: list[str]


_SELECT = """
    select q.quarantine_id, q.feed, q.partner, q.natural_key, q.position, d.name as document, q.is_document, q.reasons,
           q.messages, q.amount, q.currency, q.quarantined_at, r.released_at, r.released_by, r.note, q.payload
    from quality.quarantine q
    left join landing.document d using (document_id)
    left join quality.release r using (quarantine_id)
"""


def waiting(
    conn: psycopg.Connection[Any],
    *,
    feed: str | None = None,
    reason: str | None = None,
    released: bool = False,
    limit: int = 100,
) -> list[Quarantined]:
    """What waits (or, with `released`, all), newest first."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(
            _SELECT
            + """
            where (%(feed)s::text is null or q.feed = %(feed)s)
            and (%(reason)s::text is null or %(reason)s = any(q.reasons))
            and (%(released)s or r.quarantine_id is null)
            order by q.quarantine_id desc limit %(limit)s
            """,
            {"feed": feed, "reason": reason, "released": released, "limit": limit},
        ).fetchall()


def one(conn: psycopg.Connection[Any], quarantine_id: int) -> Quarantined | None:
    with conn.transaction(), conn.cursor(row_factory=class_row(Quarantined)) as cursor:
        return cursor.execute(_SELECT + " where q.quarantine_id = %s", (quarantine_id,)).fetchone()


def counts(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Reason -> how many wait for it, the most frequent first; a record with two reasons counts for both."""
    with conn.transaction():
        return dict(
            conn.execute(
                """
                select reason, count(*) from quality.quarantine q cross join lateral unnest(q.reasons) as reason
                where not exists (select from quality.release r where r.quarantine_id = q.quarantine_id)
                group by 1 order by 2 desc, 1
                """
            ).fetchall()
        )


def held(conn: psycopg.Connection[Any]) -> list[Held]:
    """Batches that are held now, by the latest verdict about each."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Held)) as cursor:
        return cursor.execute(
            """
            select distinct on (u.batch_id) u.batch_id, u.feed, g.gated_at as held_at,
                   array(select jsonb_array_elements_text(h -> 'reasons')) as reasons,
                   array(select jsonb_array_elements_text(h -> 'messages')) as messages
            from ops.ungated_batch u
            join quality.gate g on g.feed = u.feed and g.verdict = 'held'
            cross join lateral jsonb_array_elements(g.results -> 'held') h
            where (h ->> 'batch_id')::bigint = u.batch_id
            order by u.batch_id, g.gate_id desc
            """
        ).fetchall()
