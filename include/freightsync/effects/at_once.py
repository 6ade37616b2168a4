"""Plan and apply in one: what differs goes from the models straight into the log; each movement is written once.

For everything that nobody has to look at first. What takes back more than the limits is left to `plan` and `apply`,
which keep the lines of a plan that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, sql

from freightsync.domain.errors import StalePlan
from freightsync.effects import periods, planner
from freightsync.effects.applier import NOTHING, Appended, Applied, advance_heads, append, finish, read_documents
from freightsync.effects.planner import DEFAULT_LIMITS, Plan, Relation, RetractionLimits, Run, Total
from freightsync.effects.runs import serialise

BULK = 100_000
"""Aggregates in a scope from which on the server may use more memory: joins of whole models then stay in it instead of
being written out and read again."""


def plan_and_apply(
    conn: Connection[Any],
    *,
    consumer: str,
    run_id: str,
    relations: Sequence[str],
    scope_relation: str | None,
    limits: RetractionLimits = DEFAULT_LIMITS,
    attempt: int | None = None,
) -> tuple[Plan, Applied] | None:
    """What `plan` and then `apply` do, in one transaction and with the same sums, documents and errors. None where the
    plan takes back more than the limits: nothing was appended then, and it is to be made by `plan`, to be seen."""
    parsed = [Relation.parse(text, order) for order, text in enumerate(relations)]
    try:
        with conn.transaction():
            serialise(conn, consumer)
            run = planner.built_run(conn, consumer, run_id, attempt)
            return _make(conn, consumer, run_id, run, parsed, scope_relation, limits)
    except _ToBeSeen:
        return None


class _ToBeSeen(Exception):
    """The plan takes back more than the limits."""


@dataclass
class _Movements:
    """One relation's movements on their way into the log. Its temporary tables bear its number: `desired`, what the
    model says; `line`, transfers of the aggregates that have movements in the log (`known`)."""

    relation: Relation
    first: int
    desired: int = 0
    known: int = 0
    changed: int = 0

    def table(self, name: str) -> sql.Identifier:
        return sql.Identifier(f"fs_{name}_{self.relation.order}")

    def lines(self) -> list[sql.Composed]:
        """Queries that together give the lines. Those of new aggregates have one number: keys put them in order."""
        found: list[sql.Composed] = []
        if self.changed:
            found.append(sql.SQL(_CHANGED).format(line=self.table("line")))
        if self.desired:
            statement: LiteralString = _NEW + (_UNKNOWN if self.known else "")
            found.append(
                sql.SQL(statement).format(
                    first=self.first,
                    relation=self.relation.name,
                    desired=self.table("desired"),
                    known=self.table("known"),
                )
            )
        return found


_CHANGED: LiteralString = """
select line, relation, aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency, amount,
  functional_currency, functional_amount, reverses, target, operation, lane, payload, rule_id, rule_version, reason,
  correlation_id
from {line}"""
_NEW: LiteralString = """
select {first} as line, {relation} as relation, d.aggregate_type, d.aggregate_id, effect_key, cause, debit_account,
  credit_account, currency, amount, coalesce(functional_currency, currency) as functional_currency,
  coalesce(functional_amount, amount) as functional_amount, false as reverses, target, document_type as operation, lane,
  coalesce(attributes, '{{}}') as payload, rule_id, rule_version, reason, correlation_id
from {desired} d"""
_UNKNOWN: LiteralString = """
where not exists (
  select from {known} k where k.aggregate_id = d.aggregate_id and k.aggregate_type = d.aggregate_type)"""


def _make(
    conn: Connection[Any],
    consumer: str,
    run_id: str,
    run: Run,
    relations: Sequence[Relation],
    scope_relation: str | None,
    limits: RetractionLimits,
) -> tuple[Plan, Applied]:
    plan_id, scope = planner.open_scope(conn, run_id, relations, scope_relation)
    if scope is None and _row(conn, "select count(*) from fs_scope") >= (BULK,):
        conn.execute("set local work_mem = '256MB'")
    conn.execute(
        """create temp table fs_aggregate (plan_id uuid, relation text, aggregate_type text, aggregate_id text,
             version bigint) on commit drop"""
    )
    offset, others = 0, 0
    keys, amount = 0, Decimal("0.00")
    parts: list[_Movements] = []
    for relation in relations:
        desired = planner.read_desired(conn, relation, scope)
        if relation.kind == "movement":
            part = _Movements(relation, offset + 1)
            _difference(conn, part, desired, split=scope is None)
            parts.append(part)
            offset += part.desired + part.changed
            if part.changed:
                taken = _row(
                    conn,
                    "select count(*), coalesce(sum(functional_amount), 0) from {} where reverses and step = 1",
                    part.table("line"),
                )
                keys, amount = keys + taken[0], amount + taken[1]
                if keys > limits.keys or amount > limits.amount:
                    raise _ToBeSeen
        else:
            count = planner.diff_others(conn, relation, plan_id, offset, _AGGREGATES)
            conn.execute("drop table fs_desired")
            offset, others = offset + count, others + count
    parts = [part for part in parts if part.lines()]
    made_keys = planner.standing_keys(conn, relations) if keys else 0
    wanted = run.as_of.astimezone(UTC).date()
    posting = periods.posting_date(conn, wanted)
    appended, between, aggregates = NOTHING, None, 0
    totals: tuple[Total, ...] = ()
    if parts or others:
        appended, between, aggregates = _append(conn, plan_id, parts, others, wanted, posting)
        totals = planner.totals(conn, plan_id, between)
    plan = Plan(
        *(plan_id, consumer, run_id, run.as_of, appended.effects, aggregates, keys, amount, made_keys, None, totals)
    )
    planner.record(conn, plan, run, relations)
    applied = finish(conn, plan_id, consumer, run_id, run.watermark, posting, appended, between)
    for name in ("fs_scope", "fs_head", "fs_aggregate"):
        conn.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))
    for relation in relations:
        for name in ("desired", "known", "line"):
            conn.execute(sql.SQL("drop table if exists {}").format(_Movements(relation, 0).table(name)))
    return plan, applied


_AGGREGATES = sql.Identifier("fs_aggregate")


def _difference(conn: Connection[Any], part: _Movements, desired: int, *, split: bool) -> None:
    """Compares with the log what is in it already; `split`: looks for it first, so that what is new, which is most of a
    large scope, is neither added up nor sorted. Several desired rows of one new key stay several: their sum counts."""
    within = sql.Identifier("fs_scope")
    if split:
        within = part.table("known")
        part.known = conn.execute(
            sql.SQL(
                """create temp table {} on commit drop as
                   select s.aggregate_type, s.aggregate_id from fs_scope s cross join lateral (
                     select from effects.movement m where m.aggregate_id = s.aggregate_id and m.relation = {}
                       and m.aggregate_type = s.aggregate_type limit 1) as known"""
            ).format(within, part.relation.name)
        ).rowcount
        part.desired = desired
        conn.execute(sql.SQL("analyze {}").format(within))
    if part.known or not split:
        planner.read_delta(conn, part.relation, within)
        part.changed = conn.execute(
            sql.SQL("create temp table {} on commit drop as {}").format(
                part.table("line"),
                sql.SQL(planner.TRANSFERS).format(offset=part.first - 1 + part.desired, relation=part.relation.name),
            )
        ).rowcount
        conn.execute("drop table fs_delta")
    conn.execute(sql.SQL("alter table fs_desired rename to {}").format(part.table("desired")))


def _append(
    conn: Connection[Any],
    plan_id: UUID,
    parts: Sequence[_Movements],
    others: int,
    wanted: date,
    posting: tuple[date, str],
) -> tuple[Appended, tuple[int, int], int]:
    """Also gives the ids between which the movements lie, and the number of aggregates that changed."""
    lines = _together(parts) if parts else _NO_LINES
    moved = read_documents(conn, plan_id, lines, wanted, posting)
    for part in parts:
        # where all are of one relation, the documents know their aggregates: fewer rows, read sooner
        changed = (
            sql.SQL("fs_document where kind = 'movement'")
            if len(parts) == 1
            else sql.SQL("({}) as line").format(_together([part]))
        )
        planner.note_aggregates(conn, plan_id, part.relation, changed, _AGGREGATES)
    conn.execute("analyze fs_aggregate")
    advance_heads(conn, plan_id, _AGGREGATES)
    (before,) = _row(conn, _LAST)
    appended = append(conn, plan_id, lines)
    if appended.effects != moved + others:
        raise StalePlan(f"plan {plan_id}: {moved + others} lines planned, {appended.effects} could be appended")
    (after,) = _row(conn, _LAST)
    return appended, (before + 1, after), _row(conn, "select count(*) from fs_aggregate")[0]


def _together(parts: Sequence[_Movements]) -> sql.Composed:
    return sql.SQL(" union all ").join([query for part in parts for query in part.lines()])


_NO_LINES = sql.SQL(
    """select line, relation, aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency,
         amount, functional_currency, functional_amount, reverses, target, operation, lane, payload, rule_id,
         rule_version, reason, correlation_id
       from effects.plan_line where false"""
)
_LAST: LiteralString = (
    "select case when is_called then last_value else last_value - 1 end from effects.movement_movement_id_seq"
)


def _row(conn: Connection[Any], statement: LiteralString, *names: sql.Composable) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = conn.execute(sql.SQL(statement).format(*names)).fetchone()
    assert row is not None
    return row
