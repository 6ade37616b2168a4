"""The gate's pass: all batches of a feed that have not been gated yet, in one transaction, set by set.

Safe to repeat, to crash and to run twice at once: a feed is gated by one at a time (an advisory lock that ends with the
transaction), and a batch is gated in the same transaction in which its records are admitted, quarantined and touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from freightsync.landing.feeds import Feed, Touch, feeds_of
from freightsync.quality.rules import FeedRules, Rule, load, quoted, words_sql
from freightsync.settings import Settings
from freightsync.settings import settings as current_settings


@dataclass(frozen=True)
class GateResult:
    """One verdict: a feed, the batches of this pass, and what became of their records.

    verdict: `passed` (all admitted), `failed` (some quarantined), `held` (nothing of these batches admitted; they are
    looked at again by the next pass). by_reason: rule -> rows that broke it, `info` rules included.
    """

    feed: str
    gate_id: int
    verdict: str
    batches: tuple[int, ...]
    received: int
    accepted: int
    quarantined: int
    by_reason: Mapping[str, int] = field(default_factory=dict)
    held_because: tuple[str, ...] = ()


def gate(
    conn: psycopg.Connection[Any],
    feeds: Sequence[str],
    run_id: str,
    *,
    great_expectations: bool,
    expectations: Path | None = None,
    settings: Settings | None = None,
) -> list[GateResult]:
    """Gates what is ungated of these feeds, one feed after the other in the order given.

    conn: without a transaction open; each feed is committed by itself. A feed without ungated batches gives no result.
    great_expectations: also validate with the feed's suite, before the lock is taken; its verdict is kept with the
    gate's. False never imports it.
    """
    directory = expectations or (settings or current_settings()).expectations
    results: list[GateResult] = []
    for feed in feeds_of(feeds):
        rules = load(directory, feed.name)
        seen: dict[str, Any] | None = None
        with conn.transaction():
            if _received(conn, _ungated(conn, feed)) >= LARGE:
                # it came faster than autovacuum looks; planned for the few rows of before, the rules take minutes
                lines = f", landing.{feed.table}_line" if feed.lines else ""
                conn.execute(f"analyze landing.{feed.table}{lines}".encode())
        if great_expectations:
            with conn.transaction():
                batches = _ungated(conn, feed)
            if batches:
                from freightsync.quality.suite import counts, validate  # the import alone takes seconds

                document = validate(conn, feed, rules, batches)
                seen = {"batches": batches, "validation": document, "counts": counts(document)}
        with conn.transaction():
            results += _gate_feed(conn, feed, rules, run_id, seen)
    return results


def _ungated(conn: psycopg.Connection[Any], feed: Feed) -> list[int]:
    return [
        row[0]
        for row in conn.execute(
            "select batch_id from ops.ungated_batch where feed = %s order by batch_id", (feed.name,)
        )
    ]


def _received(conn: psycopg.Connection[Any], batches: Sequence[int]) -> int:
    row = conn.execute(
        "select coalesce(sum(records), 0)::bigint from landing.control_total where batch_id = any(%s)", (list(batches),)
    ).fetchone()
    assert row is not None
    return int(row[0])


def _gate_feed(
    conn: psycopg.Connection[Any], feed: Feed, rules: FeedRules, run_id: str, seen: dict[str, Any] | None
) -> list[GateResult]:
    conn.execute("select pg_advisory_xact_lock(hashtextextended('freightsync gate ' || %s, 0))", (feed.name,))
    batches = _ungated(conn, feed)
    if not batches:
        return []
    received = dict(
        conn.execute(
            "select batch_id, sum(records)::bigint from landing.control_total where batch_id = any(%s) group by 1",
            (batches,),
        ).fetchall()
    )
    held = _held(conn, feed, rules, batches)
    results: list[GateResult] = []
    if held:
        conn.execute(
            "update ops.ungated_batch set held_at = clock_timestamp() where batch_id = any(%s) and held_at is null",
            (list(held),),
        )
        result = _record_held(conn, feed, run_id, held, received, seen)
        if result is not None:
            results.append(result)
    passing = [batch for batch in batches if batch not in held]
    if passing:
        results.append(_admit(conn, feed, rules, run_id, passing, received, seen))
    return results


# ---------------------------------------------------------------------------------------------------- held batches


BATCHES = "{batches}"
"""Stands for the array of batch ids in a compiled statement."""


def bound(text: str) -> bytes:
    """A compiled statement as the driver takes it, with the parameter `batches`."""
    return text.replace("%", "%%").replace(BATCHES, "%(batches)s").encode()


def batch_statistics(feed: Feed) -> str:
    """SELECT of one row a batch, as batch rules see it (alias `b`), over the batches of `BATCHES`."""
    return f"""
        select batch_id,
               coalesce(sum(records) filter (where part = 'received'), 0)::bigint as received,
               coalesce(sum(records) filter (where part = 'landed'), 0)::bigint as landed,
               coalesce(sum(records) filter (where part = 'rejected'), 0)::bigint as rejected,
               coalesce(sum(records) filter (where part = 'duplicate'), 0)::bigint as duplicates,
               coalesce(bool_or(off), false)::int as currencies_off
        from (
            select batch_id, part, records,
                   sum(case part when 'received' then amount else -amount end)
                       over (partition by batch_id, currency) <> 0 as off
            from (
                select batch_id, currency, 'received' as part, records, amount
                from landing.control_total where batch_id = any({BATCHES})
                union all
                select batch_id, currency, 'duplicate', records, amount
                from landing.duplicate where batch_id = any({BATCHES})
                union all
                select batch_id, currency, 'rejected', 1, amount
                from quality.quarantine where batch_id = any({BATCHES}) and record_id is null
                union all
                select batch_id, currency, 'landed', count(*), sum(amount)
                from landing.{feed.table} where batch_id = any({BATCHES}) group by 1, 2
            ) parts
        ) compared group by batch_id"""


def _held(
    conn: psycopg.Connection[Any], feed: Feed, rules: FeedRules, batches: list[int]
) -> dict[int, list[tuple[str, str]]]:
    """Batch -> why it may not be used: (reason code, words)."""
    held: dict[int, list[tuple[str, str]]] = {}
    for need in rules.needs:
        row = conn.execute(
            "select exists (select from quality.admission where feed = %s), exists (select from landing."
            + feed.table
            + " where batch_id = any(%s))",
            (need, batches),
        ).fetchone()
        assert row is not None
        if not row[0] and row[1]:
            words = (
                f"Nothing of {need} has been admitted yet, so every record would look unknown. Synchronise it first; "
                "these batches are then looked at again by themselves."
            )
            for batch in batches:
                held.setdefault(batch, []).append((f"waiting_for_{need.replace('.', '_')}", words))
    checks = [
        f"select b.batch_id, {quoted(rule.name)}, {words_sql(rule.words, 'b', rule.shows)}"
        f" from ({batch_statistics(feed)}) b where ({rule.predicate('')})"
        for rule in rules.batch_rules
        if rule.severity == "critical"
    ]
    checks += [
        f"select r.batch_id, {quoted(rule.name)}, min({words_sql(rule.words, 'r', rule.shows)})"
        f" from landing.{feed.table} r where r.batch_id = any({BATCHES}) and ({rule.predicate(_rows_of(feed))})"
        " group by 1"
        for rule in rules.rules
        if rule.severity == "critical"
    ]
    for check in checks:
        for batch, name, words in conn.execute(bound(check), {"batches": batches}):
            held.setdefault(batch, []).append((name, words))
    return held


def _record_held(
    conn: psycopg.Connection[Any],
    feed: Feed,
    run_id: str,
    held: Mapping[int, list[tuple[str, str]]],
    received: Mapping[int, int],
    seen: dict[str, Any] | None,
) -> GateResult | None:
    """Keeps the verdict, once: a batch that is still held for the same reasons gives no new one."""
    shown = [
        {"batch_id": batch, "reasons": [code for code, _ in why], "messages": [words for _, words in why]}
        for batch, why in sorted(held.items())
    ]
    last = conn.execute(
        "select results -> 'held' from quality.gate where feed = %s and verdict = 'held' order by gate_id desc limit 1",
        (feed.name,),
    ).fetchone()
    total = sum(received.get(batch, 0) for batch in held)
    counts: dict[str, int] = {}
    for why in held.values():
        for code, _ in why:
            counts[code] = counts.get(code, 0) + 1
    if last is not None and last[0] == shown:
        return None
    gate_id = _insert_gate(
        conn, feed.name, run_id, "held", total, 0, 0, {"held": shown, "reasons": counts, **_validation(seen, held)}
    )
    because = tuple(dict.fromkeys(words for why in held.values() for _, words in why))
    return GateResult(feed.name, gate_id, "held", tuple(sorted(held)), total, 0, 0, counts, because)


# ---------------------------------------------------------------------------------------------------- the pass


LARGE = 5_000
"""From so many records on, what breaks the rules is worked out apart: PostgreSQL reads in parallel only where nothing
is written. Below, one statement is sooner done."""

BROKEN = "broken_row"


def _rows_of(feed: Feed) -> str:
    return f"(select * from landing.{feed.table} where batch_id = any({BATCHES}))"


def broken_rows(feed: Feed, rules: Sequence[Rule]) -> str:
    """SELECT (see `bound`) of a row for each rule that a record of the batches breaks: record_id, number of the rule.

    A query a predicate, and not all of them over each row: so that PostgreSQL may join and hash what a rule looks up
    for all rows at once.
    """
    queries = [
        f"select r.record_id, {n} as rule from {_rows_of(feed)} r where ({predicate})"
        for n, rule in enumerate(rules)
        for predicate in rule.predicates(_rows_of(feed))
    ]
    # a rule with several predicates may find a row twice
    union = " union " if len(queries) > len(rules) else " union all "
    return union.join(queries) or "select null::bigint as record_id, 0 as rule where false"


def pass_statement(feed: Feed, rules: Sequence[Rule], broken: str | None = None) -> str:
    """One statement (see `bound`): looks at the rows of the batches, quarantines those that break a `warning` rule with
    all their reasons and the words for each, and gives (name of a rule, how many rows broke it).

    broken: a relation that holds `broken_rows` already.
    """
    breaking = [(n, rule) for n, rule in enumerate(rules) if rule.severity == "warning"]
    reasons = ", ".join(f"case when {n} = any(f.broken) then {quoted(rule.name)} end" for n, rule in breaking)
    messages = ", ".join(
        f"case when {n} = any(f.broken) then {words_sql(rule.words, 'r', rule.shows)} end" for n, rule in breaking
    )
    numbers = ", ".join(str(n) for n, _ in breaking)
    names = ", ".join(f"({n}, {quoted(rule.name)})" for n, rule in enumerate(rules)) or "(0, '')"
    lines = (
        " || jsonb_build_object('charges',"
        " (select coalesce(jsonb_agg(to_jsonb(l) - 'record_id' order by l.line), '[]')"
        f" from landing.{feed.table}_line l where l.record_id = r.record_id))"
        if feed.lines
        else ""
    )
    quarantine = (
        f"""
        , quarantined as (
            insert into quality.quarantine (feed, batch_id, document_id, record_id, partner, natural_key, position,
                                            reasons, messages, payload, amount, currency)
            select {quoted(feed.name)}, r.batch_id, r.document_id, r.record_id, r.partner, {feed.natural_key},
                   r.position,
                   array_remove(array[{reasons}]::text[], null), array_remove(array[{messages}]::text[], null),
                   (to_jsonb(r) - 'record_sha256'){lines}, r.amount, r.currency
            from (select record_id, array_agg(rule) as broken from flagged where rule in ({numbers}) group by 1) f
            join landing.{feed.table} r using (record_id)
            on conflict (feed, record_id) do nothing
        )"""
        if breaking
        else ""
    )
    return f"""
        with flagged as materialized (
            {f"select record_id, rule from {broken}" if broken else broken_rows(feed, rules)}
        ){quarantine}
        select named.name, count(*) from flagged join (values {names}) as named (rule, name) using (rule) group by 1
        """


def _run_pass(
    conn: psycopg.Connection[Any], feed: Feed, rules: Sequence[Rule], given: dict[str, Any], rows: int
) -> Any:
    if rows < LARGE:
        return conn.execute(bound(pass_statement(feed, rules)), given).fetchall()
    conn.execute("set local work_mem = '64MB'")
    conn.execute(bound(f"create temporary table {BROKEN} on commit drop as {broken_rows(feed, rules)}"), given)
    conn.execute(f"analyze {BROKEN}".encode())
    found = conn.execute(bound(pass_statement(feed, rules, BROKEN)), given).fetchall()
    conn.execute(f"drop table {BROKEN}".encode())
    return found


def _admit(
    conn: psycopg.Connection[Any],
    feed: Feed,
    rules: FeedRules,
    run_id: str,
    batches: list[int],
    received: Mapping[int, int],
    seen: dict[str, Any] | None,
) -> GateResult:
    row_rules = [rule for rule in rules.rules if rule.severity != "critical"]
    total = sum(received.get(batch, 0) for batch in batches)
    found = dict(_run_pass(conn, feed, row_rules, {"batches": batches}, total))
    broken = {rule.name: found[rule.name] for rule in row_rules if rule.name in found}
    admitted = conn.execute(
        f"""
        insert into quality.admission (feed, record_id, batch_id, origin)
        select %(feed)s, r.record_id, r.batch_id, 'gate' from landing.{feed.table} r
        where r.batch_id = any(%(batches)s) and not exists (
            select from quality.quarantine q where q.feed = %(feed)s and q.record_id = r.record_id)
        on conflict (feed, record_id) do nothing
        """.encode(),
        {"feed": feed.name, "batches": batches},
    ).rowcount
    quarantined = conn.execute(
        "select count(*) from quality.quarantine where feed = %s and batch_id = any(%s)", (feed.name, batches)
    ).fetchone()
    assert quarantined is not None
    verdict = "failed" if quarantined[0] else "passed"
    gate_id = _insert_gate(
        conn,
        feed.name,
        run_id,
        verdict,
        total,
        admitted,
        quarantined[0],
        {"reasons": broken, "batches": batches, **_validation(seen, batches, broken)},
    )
    conn.execute(
        "insert into quality.gated_batch (batch_id, gate_id) select unnest(%s::bigint[]), %s", (batches, gate_id)
    )
    conn.execute("delete from ops.ungated_batch where batch_id = any(%s)", (batches,))
    if admitted:
        touch(conn, feed, f"gate {gate_id}", batches=batches)
    return GateResult(feed.name, gate_id, verdict, tuple(batches), total, admitted, quarantined[0], broken)


def _insert_gate(
    conn: psycopg.Connection[Any],
    feed: str,
    run_id: str,
    verdict: str,
    received: int,
    accepted: int,
    quarantined: int,
    results: dict[str, Any],
) -> int:
    row = conn.execute(
        """
        insert into quality.gate (feed, run_id, verdict, received, accepted, quarantined, results)
        values (%s, %s, %s, %s, %s, %s, %s) returning gate_id
        """,
        (feed, run_id, verdict, received, accepted, quarantined, Jsonb(results)),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _validation(
    seen: dict[str, Any] | None, batches: Iterable[int], broken: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The suite's verdict, where it was asked for over any of these batches. agrees: whether it counted the same rows
    by rule as the pass did; null where they did not look at the same batches. Master data that was admitted between the
    two may make them differ; the pass is what counts."""
    if seen is None or not set(batches) & set(seen["batches"]):
        return {}
    agrees = None
    if broken is not None and set(batches) == set(seen["batches"]):
        agrees = broken == {rule: count for rule, count in seen["counts"].items() if count}
    return {"great_expectations": {**seen, "agrees": agrees}}


# ---------------------------------------------------------------------------------------------------- touches


def touch(
    conn: psycopg.Connection[Any],
    feed: Feed,
    cause: str,
    *,
    batches: Sequence[int] = (),
    record_id: int | None = None,
) -> None:
    """Tells the feed's consumers which aggregates to look at again, and wakes those that wait: for what the gate let in
    of these batches, or for one record."""
    given = {"feed": feed.name, "cause": cause, "batches": list(batches), "record": record_id}
    for one in feed.touches:
        if batches and one.batch_type:
            statement = batch_touch_statement(one)
        else:
            statement = touch_statement(feed, one, ADMITTED if batches else "r.record_id = %(record)s")
        conn.execute(statement.encode(), given)
    for channel in feed.notify:
        conn.execute("select pg_notify(%s, %s)", (channel, feed.name))


ADMITTED = """r.batch_id = any(%(batches)s) and exists (
    select from quality.admission a where a.feed = %(feed)s and a.record_id = r.record_id and a.origin = 'gate')"""


def touch_statement(feed: Feed, one: Touch, which: str) -> str:
    join, _, where = one.source.partition("where ")
    condition = f" and ({where})" if where else ""
    return f"""
        insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
        select distinct {quoted(one.consumer)}, {quoted(one.aggregate_type)}, {one.aggregate_id}, %(cause)s
        from landing.{feed.table} r {join}
        where {which}{condition}
        """


def batch_touch_statement(one: Touch) -> str:
    """Of a feed that comes by the hundred thousand, whole batches are touched: a row an invoice would be written,
    claimed and deleted again, which costs as much as landing it."""
    return f"""
        insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
        select {quoted(one.consumer)}, {quoted(one.batch_type)}, batch_id::text, %(cause)s
        from unnest(%(batches)s::bigint[]) as batch_id
        """


def as_json(results: Sequence[GateResult]) -> str:
    """For logs: one line a feed."""
    return json.dumps([{"feed": r.feed, "verdict": r.verdict, "accepted": r.accepted, **r.by_reason} for r in results])
