"""Desired − made = plan.

The planner reads desired relations (dbt's) and the log of effects made, for the aggregates in a run's scope, and stores
what differs. It changes nothing else, and the same desired and made rows give the same plan. Three kinds, one diff rule
each; a relation's name begins with its kind (`movement__accruals`). Effects made are compared per relation, so that two
relations may speak about one aggregate without taking back each other's effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, Cursor, sql
from psycopg.types.json import Jsonb

from freightsync.domain.errors import ModelInvalid, ModelNotBuilt, StalePlan
from freightsync.effects.approvals import approval_needed, is_approved

SMALL_SCOPE = 500
"""Up to here the ids are written into the query."""
INDEXED_SCOPE = 20_000
"""Up to here they are an array that PostgreSQL makes first and pushes down into views, to ask their tables by index;
beyond, a join."""


@dataclass(frozen=True)
class RetractionLimits:
    """How much a plan may take back before a person must approve: more than `keys` keys that are also more than
    `share` of the keys made in its scope, or more than `amount` in functional currency."""

    keys: int = 100
    share: Decimal = Decimal("0.10")
    amount: Decimal = Decimal("100000.00")


DEFAULT_LIMITS = RetractionLimits()


@dataclass(frozen=True)
class Total:
    """One line of a plan's summary. `amount` is None where the kind has no money."""

    kind: str
    target: str
    operation: str
    debit_account: str | None
    credit_account: str | None
    currency: str | None
    count: int
    amount: Decimal | None


@dataclass(frozen=True)
class Plan:
    """A stored plan. `approval_fingerprint` is not None where a person must approve before it is applied."""

    plan_id: UUID
    consumer: str
    run_id: str
    as_of: datetime
    line_count: int
    aggregates: int
    retracted_keys: int
    retracted_amount: Decimal
    made_keys: int
    approval_fingerprint: str | None
    summary: tuple[Total, ...]

    def totals(self) -> tuple[Total, ...]:
        """Effects by kind, target, operation, accounts and currency, in that order."""
        return self.summary

    def __str__(self) -> str:
        head = f"plan {self.plan_id} of {self.consumer}, run {self.run_id}, as of {self.as_of.isoformat()}"
        if not self.line_count:
            return f"{head}: nothing to do"
        lines = [f"{head}: {self.line_count} effects on {self.aggregates} aggregates"]
        for total in self.summary:
            accounts = f" {total.debit_account} ← {total.credit_account}" if total.debit_account else ""
            money = f" {total.amount:,.2f} {total.currency}" if total.amount is not None else ""
            lines.append(f"  {total.kind:<8} {total.target} {total.operation}{accounts}: {total.count}{money}")
        if self.retracted_keys:
            lines.append(f"  takes back {self.retracted_amount:,.2f} on {self.retracted_keys} of {self.made_keys} keys")
        if self.approval_fingerprint:
            lines.append(f"  NEEDS APPROVAL: {self.approval_fingerprint}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Relation:
    schema: str
    name: str
    order: int

    @property
    def kind(self) -> str:
        return self.name.split("_", 1)[0]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @classmethod
    def parse(cls, text: str, order: int = 0) -> Relation:
        schema, _, name = text.rpartition(".")
        return cls(schema or "desired", name, order)


def plan(
    conn: Connection[Any],
    *,
    consumer: str,
    run_id: str,
    relations: Sequence[str],
    scope_relation: str | None,
    limits: RetractionLimits = DEFAULT_LIMITS,
    attempt: int | None = None,
) -> Plan:
    """Plans the effects of a built run.

    `relations`: `[schema.]name`, schema `desired` unless said; their order is the order of effects within an aggregate.
    `scope_relation`: rows (run_id, aggregate_type, aggregate_id); None plans everything that is desired or made.
    Raises ModelNotBuilt where the run is not built for what it has claimed, or a relation is missing, unlogged, or
    empty although effects of it stand in the scope; ModelInvalid where desired rows break their contract; StalePlan
    where `attempt` was overtaken; ApprovalNeeded where a plan that takes back the same waits for its approval already.
    """
    parsed = [Relation.parse(text, order) for order, text in enumerate(relations)]
    with conn.transaction():
        run = built_run(conn, consumer, run_id, attempt)
        plan_id, scope = open_scope(conn, run_id, parsed, scope_relation)
        count = 0
        for relation in parsed:
            read_desired(conn, relation, scope)
            if relation.kind == "movement":
                count += _diff_movements(conn, relation, plan_id, count)
            else:
                count += diff_others(conn, relation, plan_id, count, STORED_AGGREGATES)
            conn.execute("drop table fs_desired")
        stored = _store(conn, plan_id, consumer, run_id, run, parsed, count, limits)
        conn.execute("drop table fs_scope, fs_head")
        return stored


def open_scope(
    conn: Connection[Any], run_id: str, relations: Sequence[Relation], scope_relation: str | None
) -> tuple[UUID, tuple[list[str], list[str]] | None]:
    """Temporary tables fs_scope and fs_head of what is to be planned; a new plan's id, and the scope itself where it is
    small."""
    for relation in relations:
        _check_relation(conn, relation)
    conn.execute("set local work_mem = '64MB'")
    _make_scope(conn, run_id, relations, scope_relation)
    # The heads come first: what is appended after this statement makes the plan stale, never wrong.
    conn.execute(
        """create temp table fs_head on commit drop as
           select h.relation, h.aggregate_type, h.aggregate_id, h.version
           from fs_scope s cross join lateral (
             select * from ops.aggregate_head h
             where h.aggregate_id = s.aggregate_id and h.aggregate_type = s.aggregate_type and h.relation = any(%s)
             offset 0) as h""",
        ([relation.name for relation in relations],),
    )
    conn.execute("analyze fs_head")
    return _scalar(conn.execute("select uuidv7()")), _small_scope(conn)


def _scalar(cursor: Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]


@dataclass(frozen=True)
class Run:
    attempt: int
    as_of: datetime
    built_at: datetime
    watermark: int


def built_run(conn: Connection[Any], consumer: str, run_id: str, attempt: int | None) -> Run:
    row = conn.execute(
        """select attempt, as_of, built_at, built_watermark,
             (select coalesce(max(touch_id), 0) from ops.touched t where t.consumer = r.consumer and t.run_id =
           r.run_id) from ops.run r where consumer = %s and run_id = %s for share of r""",
        (consumer, run_id),
    ).fetchone()
    if row is None:
        raise ModelNotBuilt(f"run {run_id} of {consumer} is not known", what_to_do="claim, build, then plan")
    current, as_of, built_at, built_watermark, watermark = row
    if attempt is not None and attempt != current:
        raise StalePlan(f"attempt {attempt} of run {run_id} was overtaken by attempt {current}")
    if built_at is None:
        raise ModelNotBuilt(
            f"run {run_id} of {consumer} has no completed build: a plan from a half-built model could take back what "
            "rightly stands",
            what_to_do="run the build of this run again; planning follows by itself",
        )
    if watermark > built_watermark:
        raise ModelNotBuilt(
            f"run {run_id} of {consumer} was built up to touch {built_watermark}, but has claimed up to {watermark}",
            what_to_do="run the build of this run again",
        )
    return Run(current, as_of, built_at, built_watermark)


def _check_relation(conn: Connection[Any], relation: Relation) -> None:
    full_name = f"{relation.schema}.{relation.name}"
    if relation.kind not in ("movement", "state", "once"):
        raise ModelInvalid(
            f"{full_name} is no relation of effects", what_to_do="name it movement__…, state__… or once__…"
        )
    row = conn.execute(
        "select relpersistence from pg_class where oid = to_regclass(%s)",
        (relation.identifier.as_string(conn),),
    ).fetchone()
    if row is None:
        raise ModelNotBuilt(f"{full_name} does not exist", what_to_do="build the models, then plan again")
    if row[0] == "u":
        raise ModelNotBuilt(
            f"{full_name} is unlogged: after a crash of the server it would be empty and look complete",
            what_to_do="make it a logged table or a view",
        )


def _make_scope(conn: Connection[Any], run_id: str, relations: Sequence[Relation], scope_relation: str | None) -> None:
    if scope_relation is not None:
        scope = Relation.parse(scope_relation)
        if conn.execute("select to_regclass(%s)", (scope.identifier.as_string(conn),)).fetchone() == (None,):
            raise ModelNotBuilt(f"{scope_relation} does not exist", what_to_do="build the models, then plan again")
        query = sql.SQL("select distinct aggregate_type, aggregate_id from {} where run_id = {}").format(
            scope.identifier, sql.Literal(run_id)
        )
    else:
        parts = [sql.SQL("select aggregate_type, aggregate_id from {}").format(each.identifier) for each in relations]
        parts.append(
            sql.SQL("select aggregate_type, aggregate_id from ops.aggregate_head where relation = any({})").format(
                sql.Literal([each.name for each in relations])
            )
        )
        query = sql.SQL(" union ").join(parts)
    conn.execute(sql.SQL("create temp table fs_scope on commit drop as {}").format(query))
    conn.execute("analyze fs_scope")


def _small_scope(conn: Connection[Any]) -> tuple[list[str], list[str]] | None:
    rows = conn.execute("select aggregate_type, aggregate_id from fs_scope limit %s", (SMALL_SCOPE + 1,)).fetchall()
    if len(rows) > SMALL_SCOPE:
        return None
    return sorted({kind for kind, _ in rows}), sorted({name for _, name in rows})


_COLUMNS: dict[str, LiteralString] = {
    "movement": """effect_key, cause, debit_account, credit_account, currency, amount, functional_currency,
      functional_amount, target, document_type, lane, rule_id, rule_version, reason, correlation_id, attributes""",
    "state": """effect_key, target, object_type, object_id, aspect, state, path, requires_prior, lane, payload, rule_id,
      rule_version, reason, correlation_id""",
    "once": """occurrence_key, target, operation, lane, payload, rule_id, rule_version, reason, correlation_id""",
}


def read_desired(conn: Connection[Any], relation: Relation, scope: tuple[list[str], list[str]] | None) -> int:
    """Once, into a temporary table fs_desired: a relation may be a view, and all later statements must see the same
    rows. Checked; returns how many."""
    few: sql.Composable = sql.SQL("")
    if scope is None and _scalar(conn.execute("select count(*) from fs_scope")) <= INDEXED_SCOPE:
        few = sql.SQL("d.aggregate_id = any(array(select aggregate_id from fs_scope)) and")
    if scope is not None:
        types, ids = scope
        few = sql.SQL("d.aggregate_type = any({}::text[]) and d.aggregate_id = any({}::text[]) and").format(
            sql.Literal(types), sql.Literal(ids)
        )
    count = conn.execute(
        sql.SQL(
            """create temp table fs_desired on commit drop as
               select row_number() over () as pick, aggregate_type, aggregate_id, {} from {} d
               where {} exists (select from fs_scope s
                 where s.aggregate_type = d.aggregate_type and s.aggregate_id = d.aggregate_id)"""
        ).format(sql.SQL(_COLUMNS[relation.kind]), relation.identifier, few)
    ).rowcount
    conn.execute("analyze fs_desired (pick)")
    _check_desired(conn, relation)
    _guard_emptiness(conn, relation)
    return count


_CHECKS: dict[str, LiteralString] = {
    "movement": """effect_key is null or cause is null or debit_account is null or credit_account is null
      or currency is null or amount is null or amount < 0 or functional_amount < 0
      or (amount = 0 and coalesce(functional_amount, 0) = 0) or debit_account = credit_account
      or amount <> round(amount, 2) or functional_amount <> round(functional_amount, 2)
      or (functional_currency is null) <> (functional_amount is null)
      or target is null or document_type is null or lane is null or lane not in ('hot', 'bulk')""",
    "state": """effect_key is null or target is null or object_type is null or object_id is null or aspect is null
      or state is null or lane is null or lane not in ('hot', 'bulk')""",
    "once": """occurrence_key is null or target is null or operation is null or lane is null
      or lane not in ('hot', 'bulk')""",
}


def _check_desired(conn: Connection[Any], relation: Relation) -> None:
    key = "occurrence_key" if relation.kind == "once" else "effect_key"
    bad = conn.execute(
        sql.SQL("select {key}, count(*) over () from fs_desired where {check} order by {key} limit 1").format(
            key=sql.Identifier(key),
            check=sql.SQL(_CHECKS[relation.kind]),
        )
    ).fetchone()
    if bad is not None:
        raise ModelInvalid(
            f"{bad[1]} desired effects of {relation.schema}.{relation.name} break its contract, first {bad[0]!r}: a "
            "missing key, account, target or lane, a negative or unrounded amount, or one account on both sides",
            what_to_do="mend the model; nothing was planned",
        )
    if relation.kind == "movement":
        return
    twice = conn.execute(
        sql.SQL(
            "select {key}, count(*) from fs_desired group by {key} having count(*) > 1 order by {key} limit 1"
        ).format(key=sql.Identifier(key))
    ).fetchone()
    if twice is not None:
        raise ModelInvalid(
            f"{relation.schema}.{relation.name} gives {twice[0]!r} {twice[1]} times; one key has one {relation.kind}",
            what_to_do="mend the model; nothing was planned",
        )


def _guard_emptiness(conn: Connection[Any], relation: Relation) -> None:
    """An empty relation while effects of it stand means that the model was lost, not that nothing is desired. A person
    may say otherwise; that holds until effects of the relation are made again."""
    if conn.execute("select 1 from fs_desired limit 1").fetchone():
        return
    if relation.kind == "movement":
        stands = standing_keys(conn, [relation]) > 0
    else:
        stands = (
            conn.execute("select 1 from fs_head where relation = %s limit 1", (relation.name,)).fetchone() is not None
        )
    if not stands:
        return
    if conn.execute(sql.SQL("select 1 from {} limit 1").format(relation.identifier)).fetchone():
        return
    made = _scalar(
        conn.execute("select coalesce(sum(version), 0) from ops.aggregate_head where relation = %s", (relation.name,))
    )
    fingerprint = f"empty:{relation.name}:{made}"
    if not is_approved(conn, fingerprint):
        raise ModelNotBuilt(
            f"{relation.schema}.{relation.name} has no row at all although effects of it stand: the model is empty",
            what_to_do=f"build it again; if it is rightly empty, `freightsync effects approve {fingerprint}`",
        )


def standing_keys(conn: Connection[Any], relations: Sequence[Relation]) -> int:
    """Movement keys in the scope whose made sum is not zero. Not by the view of sums: it would add up the whole log."""
    count: int = _scalar(
        conn.execute(
            """select count(*) from (
                 select from fs_scope s cross join lateral (
                   select * from effects.movement m
                   where m.aggregate_id = s.aggregate_id and m.aggregate_type = s.aggregate_type
                     and m.relation = any(%s) offset 0) as m
                 group by relation, m.aggregate_type, m.aggregate_id, effect_key, cause, currency,
                   functional_currency,
                   case when reverses then credit_account else debit_account end,
                   case when reverses then debit_account else credit_account end
                 having sum(case when reverses then -amount else amount end) <> 0
                   or sum(case when reverses then -functional_amount else functional_amount end) <> 0) as standing""",
            ([relation.name for relation in relations],),
        )
    )
    return count


def read_delta(conn: Connection[Any], relation: Relation, within: sql.Composable) -> None:
    """Sums by key, desired minus made, of the aggregates in `within`, into a temporary table fs_delta. What was made is
    what the log says, not the heads: they may be lost, and then everything would be posted again.

    The log is asked aggregate by aggregate, here and elsewhere (`offset 0` keeps it so): before its statistics have
    heard of a relation, PostgreSQL expects none of its rows, and would read the whole log once for each aggregate."""
    conn.execute(
        sql.SQL(
            """create temp table fs_delta on commit drop as
               select aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency,
                 functional_currency, sum(amount) as amount, sum(functional_amount) as functional_amount,
                 min(pick) as pick, max(movement_id) as movement_id, count(pick) as picks
               from (
                 select aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency,
                   amount, coalesce(functional_currency, currency) as functional_currency,
                   coalesce(functional_amount, amount) as functional_amount, pick, null::bigint as movement_id
                 from fs_desired join {within} as within using (aggregate_type, aggregate_id)
                 union all
                 select m.aggregate_type, m.aggregate_id, effect_key, cause,
                   case when reverses then credit_account else debit_account end,
                   case when reverses then debit_account else credit_account end,
                   currency, case when reverses then amount else -amount end, functional_currency,
                   case when reverses then functional_amount else -functional_amount end, null, movement_id
                 from {within} as within cross join lateral (
                   select * from effects.movement m
                   where m.aggregate_id = within.aggregate_id and m.aggregate_type = within.aggregate_type
                     and m.relation = {relation} offset 0) as m
               ) as both_sides
               group by aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency,
                 functional_currency
               having sum(amount) <> 0 or sum(functional_amount) <> 0"""
        ).format(within=within, relation=relation.name)
    )
    if conn.execute("select 1 from fs_delta where picks > 1 limit 1").fetchone():
        # Several desired rows of one key: the sum is what counts; the words come from the row that sorts first.
        conn.execute(
            """update fs_delta x set pick = first.pick
               from (select distinct on (aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account,
                       currency, coalesce(functional_currency, currency)) d.*,
                       coalesce(functional_currency, currency) as books_in
                     from fs_desired d
                     order by aggregate_type, aggregate_id, effect_key, cause, debit_account, credit_account, currency,
                       coalesce(functional_currency, currency), attributes::text, correlation_id, reason) as first
               where x.picks > 1
                 and (x.aggregate_type, x.aggregate_id, x.effect_key, x.cause, x.debit_account, x.credit_account,
                      x.currency, x.functional_currency)
                   = (first.aggregate_type, first.aggregate_id, first.effect_key, first.cause, first.debit_account,
                      first.credit_account, first.currency, first.books_in)"""
        )
    conn.execute("analyze fs_delta (pick, movement_id)")


TRANSFERS: LiteralString = """
select {offset} + x.line as line, {relation} as relation, x.aggregate_type, x.aggregate_id, x.effect_key, x.cause,
  case when x.reverses then x.credit_account else x.debit_account end as debit_account,
  case when x.reverses then x.debit_account else x.credit_account end as credit_account,
  x.currency, abs(x.part) as amount, x.functional_currency, abs(x.functional_part) as functional_amount, x.reverses,
  x.step, coalesce(d.target, m.target) as target, coalesce(d.document_type, m.document_type) as operation,
  coalesce(d.lane, m.lane) as lane,
  coalesce(case when d.pick is not null then d.attributes else m.attributes end, '{{}}') as payload,
  case when d.pick is not null then d.rule_id else m.rule_id end as rule_id,
  case when d.pick is not null then d.rule_version else m.rule_version end as rule_version,
  case when d.pick is not null then d.reason else concat_ws(': ', 'no longer desired', m.reason) end as reason,
  case when d.pick is not null then d.correlation_id else m.correlation_id end as correlation_id
from (  -- numbered while the rows are narrow
  select x.*, t.*, row_number() over (order by x.aggregate_type, x.aggregate_id, x.effect_key, x.cause,
    x.debit_account, x.credit_account, x.currency, x.functional_currency, t.step) as line
  from fs_delta x cross join lateral (
    select 1, x.amount, case when x.amount * x.functional_amount < 0 then 0 else x.functional_amount end,
      x.amount < 0 or (x.amount = 0 and x.functional_amount < 0)
    union all
    select 2, 0, x.functional_amount, x.functional_amount < 0 where x.amount * x.functional_amount < 0
  ) as t (step, part, functional_part, reverses)
) as x
left join fs_desired d on d.pick = x.pick
left join effects.movement m on m.movement_id = x.movement_id and x.pick is null"""
"""What differs, as transfers. A key that vanished takes its document, lane and attributes from the last effect made.
Amounts whose signs differ (an exchange rate that moved against the change) become two transfers."""


def _diff_movements(conn: Connection[Any], relation: Relation, plan_id: UUID, offset: int) -> int:
    read_delta(conn, relation, sql.Identifier("fs_scope"))
    count = conn.execute(
        sql.SQL(
            """insert into effects.plan_line (plan_id, line, relation, kind, aggregate_type, aggregate_id, effect_key,
                 target, operation, lane, cause, debit_account, credit_account, currency, amount, functional_currency,
                 functional_amount, reverses, step, payload, rule_id, rule_version, reason, correlation_id)
               select {plan}, line, relation, 'movement', aggregate_type, aggregate_id, effect_key, target, operation,
                 lane, cause, debit_account, credit_account, currency, amount, functional_currency, functional_amount,
                 reverses, step, payload, rule_id, rule_version, reason, correlation_id
               from ({transfers}) as transfer"""
        ).format(plan=plan_id, transfers=sql.SQL(TRANSFERS).format(offset=offset, relation=relation.name))
    ).rowcount
    note_aggregates(conn, plan_id, relation, sql.SQL("fs_delta"), STORED_AGGREGATES)
    conn.execute("drop table fs_delta")
    return count


def _diff_states(conn: Connection[Any], relation: Relation, plan_id: UUID, offset: int) -> int:
    """Compared with the latest made for the key. A path is a ladder: every step after the latest made goes out, and a
    state that was announced before is never announced again. Without a path any change goes out."""
    count = conn.execute(
        """insert into effects.plan_line (plan_id, line, relation, kind, aggregate_type, aggregate_id, effect_key,
             target, operation, lane, object_type, object_id, aspect, state, step, payload, rule_id, rule_version,
             reason, correlation_id)
           select %s, %s + row_number() over (order by d.aggregate_type, d.aggregate_id, d.effect_key, s.position),
             %s, 'state', d.aggregate_type, d.aggregate_id, d.effect_key, d.target,
             d.object_type || '.' || d.aspect, d.lane, d.object_type, d.object_id, d.aspect, s.state, s.position,
             coalesce(d.payload, '{}'), d.rule_id, d.rule_version, d.reason, d.correlation_id
           from fs_desired d
           left join lateral (
             select e.state from effects.state e where e.effect_key = d.effect_key order by e.state_id desc limit 1
           ) as latest on true
           cross join lateral (
             select p.state, p.position
             from unnest(d.path) with ordinality as p (state, position)
             where p.position < coalesce(array_position(d.path, d.state), cardinality(d.path) + 1)
               and (latest.state is null or p.position > array_position(d.path, latest.state))
             union all
             select d.state, coalesce(cardinality(d.path), 0) + 1
           ) as s
           where latest.state is distinct from d.state
             and not (coalesce(d.requires_prior, false) and latest.state is null)
             and not (d.path is not null and exists (
               select from effects.state e where e.effect_key = d.effect_key and e.state = d.state))""",
        (plan_id, offset, relation.name),
    ).rowcount
    return count


def _diff_once(conn: Connection[Any], relation: Relation, plan_id: UUID, offset: int) -> int:
    """By occurrence key; never taken back."""
    count = conn.execute(
        """insert into effects.plan_line (plan_id, line, relation, kind, aggregate_type, aggregate_id, effect_key,
             target, operation, lane, step, payload, rule_id, rule_version, reason, correlation_id)
           select %s, %s + row_number() over (order by d.aggregate_type, d.aggregate_id, d.occurrence_key),
             %s, 'once', d.aggregate_type, d.aggregate_id, d.occurrence_key, d.target, d.operation, d.lane, 1,
             coalesce(d.payload, '{}'), d.rule_id, d.rule_version, d.reason, d.correlation_id
           from fs_desired d
           where not exists (select from effects.once o where o.occurrence_key = d.occurrence_key)""",
        (plan_id, offset, relation.name),
    ).rowcount
    return count


def diff_others(
    conn: Connection[Any], relation: Relation, plan_id: UUID, offset: int, aggregates: sql.Composable
) -> int:
    """States and occurrences, into the plan's lines; returns how many."""
    count = (_diff_states if relation.kind == "state" else _diff_once)(conn, relation, plan_id, offset)
    lines = sql.SQL("effects.plan_line where plan_id = {} and line > {}").format(plan_id, offset)
    note_aggregates(conn, plan_id, relation, lines, aggregates)
    return count


STORED_AGGREGATES = sql.SQL("effects.plan_aggregate")


def note_aggregates(
    conn: Connection[Any], plan_id: UUID, relation: Relation, changed: sql.Composable, aggregates: sql.Composable
) -> None:
    """The head versions that the plan was made from, of the aggregates that it changes, into the table `aggregates`."""
    conn.execute(
        sql.SQL(
            """insert into {aggregates} (plan_id, relation, aggregate_type, aggregate_id, version)
               select {}, {relation}, aggregate_type, aggregate_id, coalesce(h.version, 0)
               from (select distinct aggregate_type, aggregate_id from {}) as changed
               left join (select * from fs_head where relation = {relation}) as h
                 using (aggregate_type, aggregate_id)"""
        ).format(sql.Literal(plan_id), changed, relation=sql.Literal(relation.name), aggregates=aggregates)
    )


def _needs_approval(
    conn: Connection[Any], plan_id: UUID, consumer: str, limits: RetractionLimits, made_keys: int
) -> str | None:
    """The fingerprint of what nobody has approved yet among a plan's retractions; None where that is within the limits.

    A yes covers the retractions of the plan that it was given to, until they are made: what came since is judged by
    itself, so that one more shipment in the scope does not ask for all of it again."""
    keys, amount, fingerprint = conn.execute(
        """select count(*) filter (where step = 1), coalesce(sum(functional_amount) filter (where step = 1), 0),
             'retract:' || encode(sha256(convert_to(string_agg(concat_ws('|', relation, aggregate_id, effect_key, cause,
               debit_account, credit_account, currency, amount, functional_amount), E'\n' order by line), 'UTF8')),
               'hex')
           from effects.plan_line l
           where plan_id = %s and reverses and not exists (
             select from effects.approval a
             join effects.plan approved on approved.approval_fingerprint = a.fingerprint
             join effects.plan_line known on known.plan_id = approved.plan_id
             where approved.consumer = %s and known.reverses
               and (known.relation, known.aggregate_type, known.aggregate_id, known.effect_key, known.cause,
                    known.debit_account, known.credit_account, known.currency, known.amount, known.functional_amount)
                 = (l.relation, l.aggregate_type, l.aggregate_id, l.effect_key, l.cause, l.debit_account,
                    l.credit_account, l.currency, l.amount, l.functional_amount)
               and not exists (
                 select from effects.movement made
                 where made.relation = l.relation and made.aggregate_type = l.aggregate_type
                   and made.aggregate_id = l.aggregate_id and made.effect_key = l.effect_key and made.cause = l.cause
                   and made.reverses and made.made_at > approved.planned_at))""",
        (plan_id, consumer),
    ).fetchone() or (0, 0, None)
    too_many = keys > limits.keys and keys > limits.share * made_keys
    return fingerprint if too_many or amount > limits.amount else None


def _refuse_again(conn: Connection[Any], fingerprint: str, consumer: str, run_id: str) -> None:
    """A plan that waits for its yes is stored once, not at each sweep: plans are never deleted."""
    waiting = conn.execute(
        """select plan_id, retracted_keys, retracted_amount from effects.plan
           where approval_fingerprint = %s order by planned_at desc limit 1""",
        (fingerprint,),
    ).fetchone()
    if waiting is not None:
        raise approval_needed(*waiting, consumer=consumer, run_id=run_id, fingerprint=fingerprint)


def _store(
    conn: Connection[Any],
    plan_id: UUID,
    consumer: str,
    run_id: str,
    run: Run,
    relations: Sequence[Relation],
    count: int,
    limits: RetractionLimits,
) -> Plan:
    summary: tuple[Total, ...] = ()
    aggregates, keys, amount, made_keys, fingerprint = 0, 0, Decimal("0.00"), 0, None
    if count:
        aggregates = _scalar(conn.execute("select count(*) from effects.plan_aggregate where plan_id = %s", (plan_id,)))
        summary = totals(conn, plan_id)
        keys, amount = conn.execute(
            """select count(*), coalesce(sum(functional_amount), 0) from effects.plan_line
               where plan_id = %s and reverses and step = 1""",
            (plan_id,),
        ).fetchone() or (0, amount)
    if keys:
        made_keys = standing_keys(conn, relations)
        if (keys > limits.keys and keys > limits.share * made_keys) or amount > limits.amount:
            fingerprint = _needs_approval(conn, plan_id, consumer, limits, made_keys)
    if fingerprint is not None and not is_approved(conn, fingerprint):
        _refuse_again(conn, fingerprint, consumer, run_id)
    made = Plan(plan_id, consumer, run_id, run.as_of, count, aggregates, keys, amount, made_keys, fingerprint, summary)
    record(conn, made, run, relations)
    return made


def totals(conn: Connection[Any], plan_id: UUID, between: tuple[int, int] = (1, 0)) -> tuple[Total, ...]:
    """Of a plan's lines, and of its movements that were made at once: those between two ids."""
    return tuple(
        Total(*row)
        for row in conn.execute(
            """select kind, target, operation, debit_account, credit_account, currency, count(*), sum(amount)
               from (
                 select kind, target, operation, debit_account, credit_account, currency, amount
                 from effects.plan_line where plan_id = %(plan)s
                 union all
                 select 'movement', target, document_type, debit_account, credit_account, currency, amount
                 from effects.movement where plan_id = %(plan)s and movement_id between %(first)s and %(last)s) as line
               group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6""",
            {"plan": plan_id, "first": between[0], "last": between[1]},
        )
    )


def record(conn: Connection[Any], plan: Plan, run: Run, relations: Sequence[Relation]) -> None:
    conn.execute(
        """insert into effects.plan (plan_id, consumer, run_id, attempt, as_of, built_at, input_watermark, relations,
             line_count, retracted_keys, retracted_amount, made_keys, approval_fingerprint, totals)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            *(plan.plan_id, plan.consumer, plan.run_id, run.attempt, run.as_of, run.built_at, run.watermark),
            [f"{relation.schema}.{relation.name}" for relation in relations],
            *(plan.line_count, plan.retracted_keys, plan.retracted_amount, plan.made_keys, plan.approval_fingerprint),
            Jsonb(
                [
                    {**vars(total), "amount": None if total.amount is None else str(total.amount)}
                    for total in plan.summary
                ]
            ),
        ),
    )
