"""A small world for the effects core: one consumer whose desired relations the test writes itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from freightsync import effects
from freightsync.effects import Applied, Plan, at_once, planner
from freightsync.warehouse.connection import connect

AS_OF = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
_numbers = itertools.count(1)

MOVEMENT = """effect_key text, cause text, aggregate_type text, aggregate_id text, debit_account text, credit_account
  text, currency text, amount numeric(18,2), functional_currency text, functional_amount numeric(18,2), target text,
  document_type text, lane text, rule_id text, rule_version text, reason text, correlation_id text, attributes jsonb"""
STATE = """effect_key text, target text, object_type text, object_id text, aspect text, state text, path text[],
  requires_prior boolean, aggregate_type text, aggregate_id text, lane text, payload jsonb, rule_id text,
  rule_version text, reason text, correlation_id text"""
ONCE = """occurrence_key text, target text, operation text, aggregate_type text, aggregate_id text, lane text,
  payload jsonb, rule_id text, rule_version text, reason text, correlation_id text"""


def movement(aggregate: str, key: str, amount: str | Decimal, **given: Any) -> dict[str, Any]:
    """One desired movement, the rest filled in."""
    return {
        "effect_key": key,
        "cause": "delivery",
        "aggregate_type": "shipment",
        "aggregate_id": aggregate,
        "debit_account": "6100",
        "credit_account": "2150",
        "currency": "USD",
        "amount": Decimal(amount),
        "functional_currency": None,
        "functional_amount": None,
        "target": "erp",
        "document_type": "journal",
        "lane": "bulk",
        "rule_id": "accrual",
        "rule_version": "1",
        "reason": "delivered",
        "correlation_id": "c-1",
        "attributes": Jsonb({"shipment_id": aggregate}),
    } | given


def state(object_id: str, value: str, **given: Any) -> dict[str, Any]:
    return {
        "effect_key": f"erp|shipment|{object_id}|status",
        "target": "erp",
        "object_type": "shipment",
        "object_id": object_id,
        "aspect": "status",
        "state": value,
        "path": None,
        "requires_prior": False,
        "aggregate_type": "shipment",
        "aggregate_id": object_id,
        "lane": "bulk",
        "payload": Jsonb({"at": "2026-11-20T10:00:00Z"}),
        "rule_id": "status",
        "rule_version": "1",
        "reason": "event",
        "correlation_id": "c-1",
    } | given


def once(key: str, aggregate: str = "S1", **given: Any) -> dict[str, Any]:
    return {
        "occurrence_key": key,
        "target": "mail",
        "operation": "notify",
        "aggregate_type": "shipment",
        "aggregate_id": aggregate,
        "lane": "hot",
        "payload": Jsonb({"text": key}),
        "rule_id": "notify",
        "rule_version": "1",
        "reason": "late",
        "correlation_id": "c-1",
    } | given


@dataclass
class World:
    """`name` keeps worlds of one database apart. Relations are tables owned by dbt's role, as in the real thing. Its
    runs keep their plan and apply it then, or do both at once."""

    app: str
    dbt: str
    name: str
    at_once: bool = False
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def connect(self) -> psycopg.Connection:
        return connect(self.app)

    @cached_property
    def looking(self) -> psycopg.Connection:
        """Kept open for looking and touching, so that a test with many steps opens few connections."""
        return psycopg.connect(self.app, autocommit=True)

    @cached_property
    def modelling(self) -> psycopg.Connection:
        return psycopg.connect(self.dbt, autocommit=True)

    def relation(self, kind: str) -> str:
        return f"{kind}__{self.name}"

    @property
    def scope(self) -> str:
        return f"decisions.scope_{self.name}"

    def create(self) -> None:
        conn = self.modelling
        with conn.transaction():
            conn.execute("create schema if not exists desired; create schema if not exists decisions")
            for kind, columns in (("movement", MOVEMENT), ("state", STATE), ("once", ONCE)):
                conn.execute(f"create table desired.{self.relation(kind)} ({columns})")
            conn.execute(
                f"""create view {self.scope} as select distinct run_id, aggregate_type, aggregate_id from ops.touched
                    where consumer = '{self.name}'"""
            )

    def desire(self, kind: str, rows: Iterable[dict[str, Any]]) -> None:
        """What the model says now, instead of what it said before."""
        table = sql.Identifier("desired", self.relation(kind))
        conn = self.modelling
        with conn.transaction():
            conn.execute(sql.SQL("delete from {}").format(table))
            for row in rows:
                if kind == "state":  # what a partner was told is one history, whichever relation said it
                    row = row | {"effect_key": f"{self.name}|{row['effect_key']}"}
                conn.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        table,
                        sql.SQL(", ").join(map(sql.Identifier, row)),
                        sql.SQL(", ").join(map(sql.Placeholder, row)),
                    ),
                    row,
                )

    def touch(self, *aggregates: str, kind: str = "shipment") -> None:
        effects.touch(self.looking, self.name, kind, list(aggregates))

    def begin(self, conn: psycopg.Connection, run_id: str | None = None) -> str:
        """A run that has claimed and is built."""
        run_id = run_id or f"run-{next(self.runs)}"
        effects.claim(conn, self.name, run_id, AS_OF)
        effects.mark_built(conn, self.name, run_id)
        return run_id

    def plan(self, conn: psycopg.Connection, run_id: str, *kinds: str, **given: Any) -> Plan:
        given.setdefault("scope_relation", self.scope)
        return effects.plan(
            conn,
            consumer=self.name,
            run_id=run_id,
            relations=[f"desired.{self.relation(kind)}" for kind in kinds or ("movement",)],
            **given,
        )

    def make(self, conn: psycopg.Connection, run_id: str, *kinds: str, **given: Any) -> tuple[Plan, Applied]:
        """Plan and apply, in the way of this world."""
        if self.at_once:
            relations = [f"desired.{self.relation(kind)}" for kind in kinds or ("movement",)]
            made = effects.plan_and_apply(
                conn,
                consumer=self.name,
                run_id=run_id,
                relations=relations,
                **{"scope_relation": self.scope} | given,
            )
            if made is not None:
                return made
        plan = self.plan(conn, run_id, *kinds, **given)
        return plan, effects.apply(conn, plan.plan_id)

    def run(self, *kinds: str, touch: Iterable[str] = (), **given: Any) -> tuple[Plan, Applied]:
        """Touch, claim, plan, apply: one whole run."""
        with self.connect() as conn:
            effects.touch(conn, self.name, "shipment", list(touch))
            return self.make(conn, self.begin(conn), *kinds, **given)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.looking.execute(statement, parameters).fetchall()

    def sums(self) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
        """What stands, by key: added up here from single transfers, not by the view."""
        found: dict[tuple[str, ...], tuple[Decimal, Decimal]] = {}
        for *key, debit, credit, currency, amount, functional, reverses in self.query(
            """select aggregate_id, effect_key, cause, debit_account, credit_account, currency, amount,
                 functional_amount, reverses from effects.movement where relation = %s""",
            self.relation("movement"),
        ):
            if reverses:
                debit, credit, amount, functional = credit, debit, -amount, -functional
            full = (*key, debit, credit, currency)
            before = found.get(full, (Decimal(0), Decimal(0)))
            found[full] = (before[0] + amount, before[1] + functional)
        return {key: value for key, value in found.items() if any(value)}

    def states(self) -> list[tuple[str, str]]:
        return self.query(
            "select object_id, state from effects.state where relation = %s order by state_id", self.relation("state")
        )

    def documents(self) -> list[dict[str, Any]]:
        return [
            payload
            for (payload,) in self.query(
                """select payload from effects.outbox o join effects.plan p using (plan_id)
                   where p.consumer = %s order by outbox_id""",
                self.name,
            )
        ]


def new_world(app: str, dbt: str, way: str = "kept") -> World:
    made = World(app, dbt, f"w{next(_numbers)}", at_once=way != "kept")
    made.create()
    return made


@pytest.fixture(params=["kept", "at once", "at once, large"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """How runs of a world go: the plan kept and then applied, both at once, or at once as if the scope were large."""
    if request.param == "at once, large":
        monkeypatch.setattr(planner, "SMALL_SCOPE", 0)
        monkeypatch.setattr(at_once, "BULK", 1)
    return str(request.param)


@pytest.fixture
def world(module_warehouse: Any, way: str) -> World:
    return new_world(module_warehouse.app, module_warehouse.dbt, way)
