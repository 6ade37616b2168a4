"""Whatever the order of arrival, the batches, the repetitions and the crashes: the same sums by key, cause, accounts
and currency, each movement in exactly one outbox document, and a last run that plans nothing.

A fact says what one key should be from a version on (or that it is no longer wanted). The model of the tests is: the
highest version received so far wins. So what must stand at the end follows from the facts alone, without the core.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freightsync import effects
from freightsync.domain.errors import FreightsyncError, StalePlan
from freightsync.effects import RetractionLimits

from .conftest import AS_OF, World, movement, new_world, state

NO_LIMITS = RetractionLimits(keys=10**9, amount=Decimal(10**12))
LADDER = ["planned", "tendered", "in_transit", "delivered"]
relaxed = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Fact:
    """`amount` None: the key is no longer desired."""

    aggregate: str
    key: str
    cause: str
    version: int
    amount: Decimal | None
    debit: str
    currency: str
    rate: Decimal


cents = st.integers(1, 10**7).map(lambda units: Decimal(units).scaleb(-2))
facts = st.lists(
    st.builds(
        Fact,
        aggregate=st.sampled_from(["S1", "S2", "S3"]),
        key=st.sampled_from(["k1", "k2"]),
        cause=st.sampled_from(["delivery", "invoice"]),
        version=st.integers(1, 10**6),
        amount=st.none() | cents,
        debit=st.sampled_from(["6100", "6110"]),
        currency=st.sampled_from(["USD", "EUR"]),
        rate=st.sampled_from([Decimal(1), Decimal("1.07"), Decimal("0.01")]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda fact: (fact.aggregate, fact.key, fact.cause, fact.version),
)


def latest(received: Sequence[Fact]) -> list[Fact]:
    found: dict[tuple[str, str, str], Fact] = {}
    for fact in received:
        place = (fact.aggregate, fact.key, fact.cause)
        if place not in found or found[place].version < fact.version:
            found[place] = fact
    return list(found.values())


def functional(fact: Fact) -> Decimal:
    assert fact.amount is not None
    return (fact.amount * fact.rate).quantize(Decimal("0.01"))


def desired(received: Sequence[Fact]) -> list[dict[str, Any]]:
    return [
        movement(
            fact.aggregate,
            fact.key,
            fact.amount,
            cause=fact.cause,
            debit_account=fact.debit,
            currency=fact.currency,
            functional_currency="USD",
            functional_amount=functional(fact),
        )
        for fact in latest(received)
        if fact.amount is not None
    ] + [movement("S0", "anchor", "1.00")]  # never in scope; keeps the model from being empty


def expected(received: Sequence[Fact]) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    return {
        (fact.aggregate, fact.key, fact.cause, fact.debit, "2150", fact.currency): (fact.amount, functional(fact))
        for fact in latest(received)
        if fact.amount is not None
    }


def check_books(world: World, received: Sequence[Fact]) -> None:
    assert world.sums() == expected(received)
    rows = world.query(
        """select debit_account, credit_account, amount, functional_amount from effects.movement where relation = %s""",
        world.relation("movement"),
    )
    balance: dict[str, Decimal] = {}
    for debit, credit, _, booked in rows:
        balance[debit] = balance.get(debit, Decimal(0)) + booked
        balance[credit] = balance.get(credit, Decimal(0)) - booked
    assert sum(balance.values()) == 0
    wrong = world.query(
        """select m.journal_id, o.outbox_id, m.lines, jsonb_array_length(o.payload->'lines')
           from (select journal_id, count(*) as lines, sum(amount) as amount from effects.movement
                 where relation = %(relation)s group by journal_id) m
           full join (select o.* from effects.outbox o join effects.plan p using (plan_id)
                      where p.consumer = %(consumer)s) o using (journal_id)
           where m.lines is distinct from jsonb_array_length(o.payload->'lines')
             or m.amount is distinct from (
               select sum((line->>'amount')::numeric) from jsonb_array_elements(o.payload->'lines') line)
             or not exists (select from ops.outbox_pending w where w.outbox_id = o.outbox_id)""".replace(
            "%(relation)s", f"'{world.relation('movement')}'"
        ).replace("%(consumer)s", f"'{world.name}'")
    )
    assert wrong == [], "a movement without its document, or a document without its movements"


def aggregates(received: Sequence[Fact]) -> list[str]:
    return sorted({fact.aggregate for fact in received})


def arrive(world: World, received: Sequence[Fact], batch: Sequence[Fact]) -> None:
    """The batch lands and touches its aggregates."""
    world.desire("movement", desired([*received, *batch]))
    world.touch(*aggregates(batch))


@st.composite
def deliveries(draw: Callable[..., Any]) -> tuple[list[Fact], list[list[Fact]]]:
    """The facts, and a way in which they come: any order, cut anywhere, some of them again."""
    known = draw(facts)
    coming = draw(st.permutations(known + draw(st.lists(st.sampled_from(known), max_size=4))))
    cuts = sorted(draw(st.sets(st.integers(1, len(coming)), max_size=4)) | {0, len(coming)})
    return known, [list(coming[start:end]) for start, end in itertools.pairwise(cuts) if start < end]


@relaxed
@given(deliveries())
def test_any_order_batching_and_repetition_gives_the_same_books(module_warehouse, way, delivery):
    known, batches = delivery
    world = new_world(module_warehouse.app, module_warehouse.dbt, way)
    received: list[Fact] = []
    for batch in batches:
        arrive(world, received, batch)
        received += batch
        world.run(limits=NO_LIMITS)
        check_books(world, received)
    check_books(world, known)
    assert world.run(touch=aggregates(known), limits=NO_LIMITS)[0].line_count == 0
    with world.connect() as conn:
        assert world.plan(conn, world.begin(conn), scope_relation=None, limits=NO_LIMITS).line_count == 1, "the anchor"


class Crash(Exception):
    """The process died here."""


class Fragile(psycopg.Connection[Any]):
    """Dies at its nth statement: before it, after it (its effect seen, no commit), or because the server ended the
    session, as after a kill of either side."""

    remaining = 10**9
    how = "before"

    def execute(self, query: Any, params: Any = None, **given: Any) -> Any:
        if self.remaining >= 0:
            self.remaining -= 1
            if self.remaining < 0:
                if self.how == "before":
                    raise Crash
                if self.how == "after":
                    super().execute(query, params, **given)
                    raise Crash
                with psycopg.connect(self.info.dsn, password=self.info.password) as other:
                    other.execute("select pg_terminate_backend(%s, 5000)", (self.info.backend_pid,))
        return super().execute(query, params, **given)


STATEMENTS = 80
"""More than a whole run executes, so that crashes after the commit, before the caller heard of it, are among them."""


def fragile_run(world: World, run_id: str, at: int, how: str) -> bool:
    """One run that dies at statement `at`; whether it came through."""
    conn = Fragile.connect(world.app, options="-c timezone=UTC")
    try:
        conn.remaining, conn.how = at, how
        effects.claim(conn, world.name, run_id, AS_OF)
        effects.mark_built(conn, world.name, run_id)
        world.make(conn, run_id, limits=NO_LIMITS)
        conn.execute("select 'the answer reaches the caller'")
        return True
    except (Crash, psycopg.OperationalError):
        return False
    finally:
        conn.close()


@relaxed
@given(
    deliveries(),
    st.lists(st.tuples(st.integers(0, STATEMENTS), st.sampled_from(["before", "after", "killed"])), max_size=12),
    st.booleans(),
)
def test_any_crash_is_cured_by_running_again(module_warehouse, way, delivery, crashes, same_run_again):
    known, batches = delivery
    world = new_world(module_warehouse.app, module_warehouse.dbt, way)
    received: list[Fact] = []
    for batch in batches:
        arrive(world, received, batch)
        received += batch
        run_id = f"run-{next(world.runs)}"
        while crashes and not fragile_run(world, run_id, *crashes.pop()):
            if not same_run_again:
                run_id = f"run-{next(world.runs)}"
    world.run(limits=NO_LIMITS)
    check_books(world, known)
    assert world.run(touch=aggregates(known), limits=NO_LIMITS)[0].line_count == 0


SHORTLY = pytest.mark.parametrize(
    "way",
    ["at once", *(pytest.param(way, marks=pytest.mark.long) for way in ("kept", "at once, large"))],
    indirect=True,
)
"""Tests of many seconds go the way that runs go in the normal run, and each way in the long one."""


@SHORTLY
@pytest.mark.parametrize("how", ["after", "killed"])
def test_every_single_crash_point_of_a_run(module_warehouse, way, how):
    """Statement by statement through claim, build mark, plan and apply, each first run dying there, until one lives."""
    world = new_world(module_warehouse.app, module_warehouse.dbt, way)
    received: list[Fact] = []
    made_at_crash = []
    for at in range(STATEMENTS):
        batch = [
            Fact(f"{side}{at}", "k1", "delivery", 1, Decimal("10.00"), "6100", "USD", Decimal(1)) for side in ("A", "B")
        ]
        arrive(world, received, batch)
        received += batch
        before = len(world.documents())
        lives = fragile_run(world, f"first-{at}", at, how)
        made_at_crash.append(len(world.documents()) - before)
        world.run(limits=NO_LIMITS)
        assert len(world.documents()) == before + 2
        assert effects.pending(world.looking, world.name) == {}
        if lives:
            break
    check_books(world, received)
    assert lives
    assert set(made_at_crash) == {0, 2}, "all or nothing; and a death after the commit is among the points"
    assert at > 20


@SHORTLY
@relaxed
@given(deliveries(), st.integers(2, 3))
def test_concurrent_planners_give_the_same_books(module_warehouse, way, delivery, planners):
    """Several processes run the same consumer over each batch at once, stealing each other's claims; who is stale or
    overtaken leaves it; one more run ends it."""
    known, batches = delivery
    world = new_world(module_warehouse.app, module_warehouse.dbt, way)
    received: list[Fact] = []
    unexpected: list[BaseException] = []
    for batch in batches:
        arrive(world, received, batch)
        received += batch
        barrier = threading.Barrier(planners)

        def work(run_id: str, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                with world.connect() as conn:
                    world.make(conn, world.begin(conn, run_id), limits=NO_LIMITS)
            except StalePlan:
                return
            except (FreightsyncError, psycopg.Error) as error:
                unexpected.append(error)

        threads = [threading.Thread(target=work, args=(f"run-{next(world.runs)}",)) for _ in range(planners)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert unexpected == []
    world.run(limits=NO_LIMITS)
    check_books(world, known)


@SHORTLY
@relaxed
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_states_climb_the_ladder_once_whatever_the_batches(module_warehouse, way, milestones, data):
    """Each batch desires the highest milestone so far or, where the model forgets, a lower one: every step up to the
    highest goes out once, in order."""
    world = new_world(module_warehouse.app, module_warehouse.dbt, way)
    highest = 0
    for milestone in milestones:
        highest = max(highest, milestone)
        said = data.draw(st.sampled_from([milestone, highest]))
        world.desire("state", [state("S1", LADDER[said], path=LADDER[: said + 1])])
        for _ in range(data.draw(st.integers(1, 2))):
            world.run("state", touch=["S1"])
    world.desire("state", [state("S1", LADDER[highest], path=LADDER[: highest + 1])])
    world.run("state", touch=["S1"])
    assert [value for _, value in world.states()] == LADDER[: highest + 1]
