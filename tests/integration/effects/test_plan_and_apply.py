"""The three kinds and their diff rules; scope, guards, fences."""

from __future__ import annotations

import re
import threading
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from psycopg.types.json import Jsonb

from freightsync import effects
from freightsync.domain.errors import ApprovalNeeded, ModelInvalid, ModelNotBuilt, PeriodClosed, StalePlan
from freightsync.effects import RetractionLimits

from .conftest import AS_OF, movement, new_world, once, state

KEY = ("S1", "accrual|S1|LINEHAUL", "delivery", "6100", "2150", "USD")


def money(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(amount) for amount in amounts)


# ------------------------------------------------------------------------------------------------ movements


def test_a_rerun_plans_nothing(world):
    world.desire("movement", [movement("S1", KEY[1], "100.00")])
    first, _ = world.run(touch=["S1"])
    assert first.line_count == 1
    again, applied = world.run(touch=["S1"])
    assert (again.line_count, applied.documents) == (0, 0)
    assert world.sums() == {KEY: money("100", "100")}


def test_a_change_posts_the_difference_either_way(world):
    for amount, posted in (("100.00", "100.00"), ("104.00", "4.00"), ("60.00", "44.00")):
        world.desire("movement", [movement("S1", KEY[1], amount)])
        plan, _ = world.run(touch=["S1"])
        (total,) = plan.totals()
        assert (total.count, total.amount) == (1, Decimal(posted))
        assert world.sums() == {KEY: money(amount, amount)}
    assert (total.debit_account, total.credit_account) == ("2150", "6100"), "a decrease swaps the accounts"
    lines = [line for document in world.documents() for line in document["lines"]]
    assert [(line["amount"], line["debit_account"], line["reverses"]) for line in lines] == [
        ("100.00", "6100", False),
        ("4.00", "6100", False),
        ("44.00", "2150", True),
    ]


def test_a_vanished_key_is_reversed_with_its_own_document_and_words(world):
    kept = movement("S1", "kept", "5.00")
    world.desire("movement", [kept, movement("S1", "gone", "7.00", attributes=Jsonb({"charge_code": "FUEL"}))])
    world.run(touch=["S1"])
    world.desire("movement", [kept])
    plan, _ = world.run(touch=["S1"])
    assert plan.retracted_keys == 1
    assert world.sums() == {("S1", "kept", "delivery", "6100", "2150", "USD"): money("5", "5")}
    (line,) = world.documents()[-1]["lines"]
    assert (line["charge_code"], line["amount"], line["reverses"]) == ("FUEL", "7.00", True)


def test_another_account_moves_the_whole_amount(world):
    world.desire("movement", [movement("S1", KEY[1], "100.00")])
    world.run(touch=["S1"])
    world.desire("movement", [movement("S1", KEY[1], "100.00", debit_account="6110")])
    world.run(touch=["S1"])
    assert world.sums() == {(*KEY[:3], "6110", *KEY[4:]): money("100", "100")}


def test_several_rows_of_one_key_count_by_their_sum(world, way):
    world.desire("movement", [movement("S1", KEY[1], "30.00"), movement("S1", KEY[1], "12.50")])
    assert world.run(touch=["S1"])[0].line_count == (2 if way == "at once, large" else 1)
    assert world.sums() == {KEY: money("42.50", "42.50")}
    assert world.run(touch=["S1"])[0].line_count == 0


def test_an_exchange_difference_alone_is_a_transfer_without_transaction_amount(world):
    def desire(amount: str, functional: str) -> None:
        row = movement("S1", KEY[1], amount, currency="EUR", functional_currency="USD", functional_amount=functional)
        world.desire("movement", [row])
        world.run(touch=["S1"])

    key = (*KEY[:5], "EUR")
    desire("100.00", "110.00")
    desire("100.00", "112.00")
    assert world.sums() == {key: money("100", "112")}
    desire("110.00", "109.00")  # more euros, fewer dollars: two transfers, each with a sign of its own
    assert world.sums() == {key: money("110", "109")}
    rows = world.query(
        "select amount, functional_amount, reverses from effects.movement where relation = %s order by movement_id",
        world.relation("movement"),
    )
    assert rows == [
        (*money("100", "110"), False),
        (*money("0", "2"), False),
        (*money("10", "0"), False),
        (*money("0", "3"), True),
    ]


def test_only_what_is_in_scope_is_planned(world):
    world.desire("movement", [movement("S1", "a", "1.00"), movement("S2", "b", "2.00")])
    world.run(touch=["S1"])
    assert {key[0] for key in world.sums()} == {"S1"}
    with world.connect() as conn:
        plan = world.plan(conn, world.begin(conn), scope_relation=None)
        effects.apply(conn, plan.plan_id)
    assert {key[0] for key in world.sums()} == {"S1", "S2"}, "no scope relation: everything"


def test_relations_on_one_aggregate_leave_each_other_alone(module_warehouse, world):
    other = new_world(module_warehouse.app, module_warehouse.dbt)
    for each in (world, other):
        each.desire("movement", [movement("S1", KEY[1], "100.00")])
        each.run(touch=["S1"])
    assert world.run(touch=["S1"])[0].line_count == 0
    assert world.sums() == other.sums() == {KEY: money("100", "100")}


def test_a_scope_beyond_the_array_limit_gives_the_same(world):
    rows = [movement(f"S{n}", f"k{n}", f"{n}.00") for n in range(1, 702)]
    world.desire("movement", rows)
    plan, applied = world.run(touch=[row["aggregate_id"] for row in rows])
    assert (plan.line_count, applied.documents) == (701, 701)
    assert sum(total.amount for total in plan.totals()) == Decimal(701 * 702 // 2)
    assert world.run(touch=[row["aggregate_id"] for row in rows])[0].line_count == 0


def test_what_changed_and_what_is_new_come_in_one_plan(world):
    kept = movement("S3", "c", "3.00")
    world.desire("movement", [movement("S1", "a", "10.00"), kept])
    world.run(touch=["S1", "S3"])
    world.desire("movement", [movement("S1", "a", "7.00"), movement("S2", "b", "5.00"), kept])
    plan, applied = world.run(touch=["S1", "S2", "S3"])
    assert (plan.line_count, plan.aggregates, applied.documents, plan.retracted_keys) == (2, 2, 2, 1)
    lines = "select effect_key, amount, reverses from effects.planned where plan_id = %s order by 1"
    assert world.query(lines, plan.plan_id) == [("a", Decimal(3), True), ("b", Decimal(5), False)]
    assert sorted(amount for amount, _ in world.sums().values()) == [3, 5, 7]


def test_documents_group_by_type_currency_and_lane(world):
    world.desire(
        "movement",
        [
            movement("S1", "a", "1.00"),
            movement("S1", "b", "2.00"),
            movement("S1", "c", "3.00", currency="CAD"),
            movement("S1", "d", "4.00", document_type="supplier_invoice"),
            movement("S1", "e", "5.00", lane="hot"),
            movement("S2", "f", "6.00"),
        ],
    )
    _, applied = world.run(touch=["S1", "S2"])
    assert applied.documents == 5
    documents = [[line["effect_key"] for line in document["lines"]] for document in world.documents()]
    assert sorted(documents) == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]
    mismatches = world.query(
        """select journal_id from effects.outbox o full join (
             select journal_id, sum(amount) from effects.movement group by journal_id) m using (journal_id)
           where o.kind = 'movement' and m.sum is distinct from (
             select sum((line->>'amount')::numeric) from jsonb_array_elements(o.payload->'lines') line)"""
    )
    assert mismatches == []


def test_the_plan_prints_what_it_would_do(world):
    world.desire("movement", [movement("S1", KEY[1], "1234.50")])
    with world.connect() as conn:
        world.touch("S1")
        printed = str(world.plan(conn, world.begin(conn)))
    assert "movement erp journal 6100 ← 2150: 1 1,234.50 USD" in printed


def test_planning_twice_gives_the_same_lines(world):
    world.desire("movement", [movement(f"S{n}", f"k{n}", "1.00") for n in (3, 1, 2)])
    world.touch("S1", "S2", "S3")
    with world.connect() as conn:
        run = world.begin(conn)
        plans = [world.plan(conn, run).plan_id for _ in range(2)]
        one, two = (
            conn.execute(
                "select line, effect_key, amount from effects.plan_line where plan_id = %s order by line", (plan,)
            ).fetchall()
            for plan in plans
        )
    assert one == two
    assert [key for _, key, _ in one] == ["k1", "k2", "k3"]


# ------------------------------------------------------------------------------------------------ states, once

LADDER = ["planned", "tendered", "in_transit", "delivered"]


def test_mandatory_steps_go_out_in_order(world):
    world.desire("state", [state("S1", "tendered", path=LADDER[:2])])
    world.run("state", touch=["S1"])
    world.desire("state", [state("S1", "delivered", path=LADDER)])
    world.run("state", touch=["S1"])
    assert world.states() == [("S1", step) for step in LADDER]
    assert [document["state"] for document in world.documents()] == LADDER
    assert world.documents()[0] == {
        "object_type": "shipment",
        "object_id": "S1",
        "aspect": "status",
        "state": "planned",
        "at": "2026-11-20T10:00:00Z",
    }


def test_a_path_may_name_the_whole_ladder(world):
    world.desire("state", [state("S1", "tendered", path=LADDER)])
    world.run("state", touch=["S1"])
    assert world.states() == [("S1", "planned"), ("S1", "tendered")]


def test_a_ladder_never_goes_back(world):
    world.desire("state", [state("S1", "in_transit", path=LADDER[:3])])
    world.run("state", touch=["S1"])
    world.desire("state", [state("S1", "tendered", path=LADDER[:2])])
    assert world.run("state", touch=["S1"])[0].line_count == 0


def test_a_state_outside_the_ladder_goes_out_alone_and_ends_it(world):
    world.desire("state", [state("S1", "tendered", path=LADDER[:2])])
    world.run("state", touch=["S1"])
    world.desire("state", [state("S1", "cancelled")])
    world.run("state", touch=["S1"])
    world.desire("state", [state("S1", "planned", path=LADDER[:1])])
    world.run("state", touch=["S1"])
    assert world.states() == [("S1", "planned"), ("S1", "tendered"), ("S1", "cancelled")]


def test_without_a_path_any_change_goes_out(world):
    for version in ("v1:released", "v2:released", "v2:released", "v1:released"):
        world.desire("state", [state("S1", version)])
        world.run("state", touch=["S1"])
    assert [value for _, value in world.states()] == ["v1:released", "v2:released", "v1:released"]


def test_a_state_that_requires_a_prior_one_waits_for_it(world):
    world.desire("state", [state("S1", "cancelled", requires_prior=True)])
    assert world.run("state", touch=["S1"])[0].line_count == 0
    world.desire("state", [state("S1", "released")])
    world.run("state", touch=["S1"])
    world.desire("state", [state("S1", "cancelled", requires_prior=True)])
    world.run("state", touch=["S1"])
    assert [value for _, value in world.states()] == ["released", "cancelled"]


def test_a_state_that_is_no_longer_desired_is_not_taken_back(world):
    world.desire("state", [state("S1", "planned"), state("S2", "planned")])
    world.run("state", touch=["S1", "S2"])
    world.desire("state", [state("S2", "planned")])
    assert world.run("state", touch=["S1", "S2"])[0].line_count == 0


def test_once_happens_once_and_is_never_taken_back(world):
    world.desire("once", [once(f"{world.name}:late:S1"), once(f"{world.name}:late:S2", "S2")])
    world.run("once", touch=["S1", "S2"])
    world.desire("once", [once(f"{world.name}:late:S1", payload=Jsonb({"text": "other words"}))])
    assert world.run("once", touch=["S1", "S2"])[0].line_count == 0
    assert [document["text"] for document in world.documents()] == [f"{world.name}:late:S{n}" for n in (1, 2)]


def test_one_plan_may_hold_all_kinds_in_the_order_asked(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.desire("state", [state("S1", "planned")])
    world.desire("once", [once(f"{world.name}:x")])
    plan, applied = world.run("once", "state", "movement", touch=["S1"])
    assert (applied.movements, applied.states, applied.onces, applied.documents) == (1, 1, 1, 3)
    assert ["text" in document for document in world.documents()] == [True, False, False]
    assert plan.line_count == 3


# ------------------------------------------------------------------------------------------------ not built, empty


def test_no_plan_before_the_build_is_complete(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        with pytest.raises(ModelNotBuilt, match="not known"):
            world.plan(conn, "never claimed")
        effects.claim(conn, world.name, "r", AS_OF)
        with pytest.raises(ModelNotBuilt, match="no completed build"):
            world.plan(conn, "r")


def test_a_claim_after_the_build_asks_for_another_build(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        world.begin(conn, "r")
        world.touch("S2")
        effects.claim(conn, world.name, "r", AS_OF)
        with pytest.raises(ModelNotBuilt, match="no completed build"):
            world.plan(conn, "r")


def test_rows_claimed_behind_the_build_are_noticed(world):
    """Somebody hands the run more aggregates without claiming: the build did not see them."""
    world.touch("S1")
    with world.connect() as conn:
        world.begin(conn, "r")
        world.touch("S2")
        conn.execute("update ops.touched set run_id = 'r' where consumer = %s", (world.name,))
        with pytest.raises(ModelNotBuilt, match="was built up to"):
            world.plan(conn, "r")


@pytest.mark.parametrize("kind", ["movement", "state"])
def test_an_empty_model_plans_nothing(world, kind):
    row = movement("S1", KEY[1], "100.00") if kind == "movement" else state("S1", "planned")
    world.desire(kind, [row])
    world.run(kind, touch=["S1"])
    world.desire(kind, [])
    world.touch("S1")
    with world.connect() as conn:
        run = world.begin(conn)
        with pytest.raises(ModelNotBuilt, match="no row at all") as caught:
            world.plan(conn, run, kind)
        assert effects.pending(conn, world.name) == {world.name: 1}, "the work is still there"
        fingerprint = re.search(r"approve (empty:\S+)`", caught.value.what_to_do)[1]
        effects.approve(conn, fingerprint, by="finance", note="really nothing left")
        assert world.plan(conn, run, kind).line_count == (1 if kind == "movement" else 0)


def test_a_missing_or_unlogged_relation_plans_nothing(world):
    world.touch("S1")
    with world.connect() as conn:
        run = world.begin(conn)
        with pytest.raises(ModelNotBuilt, match="does not exist"):
            world.plan(conn, run, "movement", scope_relation="decisions.scope_nowhere")
        with pytest.raises(ModelNotBuilt, match="does not exist"):
            effects.plan(
                conn, consumer=world.name, run_id=run, relations=["movement__nowhere"], scope_relation=world.scope
            )
        with psycopg.connect(world.dbt) as dbt:
            dbt.execute(f"alter table desired.{world.relation('movement')} set unlogged")
        with pytest.raises(ModelNotBuilt, match="unlogged"):
            world.plan(conn, run)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": Decimal("-1.00")},
        {"amount": Decimal("0.00")},
        {"cause": None},
        {"credit_account": "6100"},
        {"lane": "slow"},
        {"functional_currency": "USD"},
    ],
)
def test_a_desired_movement_that_breaks_the_contract_plans_nothing(world, wrong):
    world.desire("movement", [movement("S1", "good", "1.00"), movement("S1", "bad", "1.00") | wrong])
    world.touch("S1")
    with world.connect() as conn:
        with pytest.raises(ModelInvalid, match="'bad'"):
            world.plan(conn, world.begin(conn))
        assert conn.execute("select count(*) from effects.plan where consumer = %s", (world.name,)).fetchone() == (0,)


def test_two_states_for_one_key_are_refused(world):
    world.desire("state", [state("S1", "planned"), state("S1", "tendered")])
    world.touch("S1")
    with world.connect() as conn, pytest.raises(ModelInvalid, match="2 times"):
        world.plan(conn, world.begin(conn), "state")


def test_a_large_retraction_waits_for_a_person(world):
    """Half of a model is gone: ten keys of twenty."""
    rows = [movement(f"S{n}", f"k{n:02}", "10.00") for n in range(20)]
    names = [row["aggregate_id"] for row in rows]
    world.desire("movement", rows)
    world.run(touch=names)
    world.desire("movement", rows[:10])
    with world.connect() as conn:
        effects.touch(conn, world.name, "shipment", names)
        run = world.begin(conn)
        for generous in (RetractionLimits(keys=10), RetractionLimits(keys=9, share=Decimal("0.5"))):
            assert world.plan(conn, run, limits=generous).approval_fingerprint is None
        by_amount = world.plan(conn, run, limits=RetractionLimits(keys=10, amount=Decimal("99.99")))
        with pytest.raises(ApprovalNeeded) as by_share:
            world.plan(conn, run, limits=RetractionLimits(keys=9, share=Decimal("0.49")))
        assert by_amount.approval_fingerprint == by_share.value.fingerprint is not None
        found = (by_amount.retracted_keys, by_amount.retracted_amount, by_amount.made_keys)
        assert found == (10, Decimal("100.00"), 20)
        with pytest.raises(ApprovalNeeded) as caught:
            effects.apply(conn, by_amount.plan_id)
        assert len(world.sums()) == 20
        effects.approve(conn, caught.value.fingerprint, by="finance", note="carrier withdrew its bills")
        effects.apply(conn, by_amount.plan_id)
        assert len(world.sums()) == 10


STRICT = RetractionLimits(keys=4, share=Decimal("0.1"))


def stored(world) -> tuple[int, ...]:
    """Plans and lines of plans."""
    (found,) = world.query(
        """select count(distinct plan_id), count(line) from effects.plan left join effects.plan_line using (plan_id)
           where consumer = %s""",
        world.name,
    )
    return found


def test_a_plan_that_waits_for_a_person_is_stored_once(world):
    rows = [movement(f"S{n}", f"k{n}", "10.00") for n in range(6)]
    world.desire("movement", rows)
    world.run(touch=[row["aggregate_id"] for row in rows])
    world.desire("movement", rows[:1])
    with pytest.raises(ApprovalNeeded) as first:
        world.run(touch=[row["aggregate_id"] for row in rows], limits=STRICT)
    before = stored(world)
    for _ in range(3):  # the sweeps
        with pytest.raises(ApprovalNeeded) as again:
            world.run(limits=STRICT)
        assert (again.value.fingerprint, again.value.what_to_do) == (first.value.fingerprint, first.value.what_to_do)
    assert stored(world) == before


def test_a_yes_holds_when_other_rows_come_and_covers_no_more(world):
    rows = [movement(f"S{n}", f"k{n}", "10.00") for n in range(20)]
    world.desire("movement", rows)
    world.run(touch=[row["aggregate_id"] for row in rows])
    names = [row["aggregate_id"] for row in rows]
    world.desire("movement", rows[5:])
    with pytest.raises(ApprovalNeeded) as caught:
        world.run(touch=names, limits=STRICT)
    with world.connect() as conn:
        effects.approve(conn, caught.value.fingerprint, by="finance", note="withdrawn")
    # before the next run one more is taken back, and one is new: what was approved stays so, one more is few
    world.desire("movement", [*rows[6:], movement("T1", "new", "1.00")])
    plan, _ = world.run(touch=["T1"], limits=STRICT)
    assert (plan.retracted_keys, plan.line_count) == (6, 7)
    # five others are five too many, approved or not before
    world.desire("movement", [*rows[11:], movement("T1", "new", "1.00")])
    with pytest.raises(ApprovalNeeded) as other:
        world.run(touch=names, limits=STRICT)
    assert other.value.fingerprint != caught.value.fingerprint


# ------------------------------------------------------------------------------------------------ stale plans, fences


def test_a_stale_plan_is_refused_whole(world):
    world.desire("movement", [movement("S1", "a", "1.00"), movement("S2", "b", "2.00")])
    world.touch("S1", "S2")
    with world.connect() as conn:
        run = world.begin(conn)
        old = world.plan(conn, run)
        effects.apply(conn, world.plan(conn, run).plan_id)
        with pytest.raises(StalePlan):
            effects.apply(conn, old.plan_id)
    assert sorted(amount for amount, _ in world.sums().values()) == [1, 2]


def test_a_plan_on_an_older_head_is_stale_where_effects_were_there_before(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.run(touch=["S1"])
    world.desire("movement", [movement("S1", "a", "3.00")])
    world.touch("S1")
    with world.connect() as conn:
        run = world.begin(conn)
        one, two = world.plan(conn, run), world.plan(conn, run)
        effects.apply(conn, two.plan_id)
        with pytest.raises(StalePlan, match="1 of its 1 aggregates"):
            effects.apply(conn, one.plan_id)
    assert [amount for amount, _ in world.sums().values()] == [3]


def test_lost_heads_post_nothing_again(world):
    """After a restore of the append-only schemas alone: what was made is in the log."""
    world.desire("movement", [movement("S1", "a", "1.00"), movement("S1", "b", "5.00")])
    world.run(touch=["S1"])
    with world.connect() as conn:
        conn.execute("delete from ops.aggregate_head where relation = %s", (world.relation("movement"),))
    assert world.run(touch=["S1"])[0].line_count == 0
    world.desire("movement", [movement("S1", "a", "3.00")])
    plan, _ = world.run(touch=["S1"])
    assert (plan.line_count, plan.made_keys) == (2, 2)
    assert {key[1]: amount for key, (amount, _) in world.sums().items()} == {"a": 3}


def test_lost_heads_can_be_restored_as_they_were(world):
    for amount in ("1.00", "2.00", "3.00"):
        world.desire("movement", [movement("S1", "a", amount), movement("S2", "b", "7.00")])
        world.desire("state", [state("S1", f"v{amount}")])
        world.desire("once", [once(f"{world.name}:late|S1")])
        world.run("movement", "state", "once", touch=["S1", "S2"])
    heads = """select relation, aggregate_id, version, plan_id from ops.aggregate_head where relation like '%%' || %s
               order by 1, 2"""
    before = world.query(heads, world.name)
    assert sorted(row[2] for row in before) == [1, 1, 3, 3]
    with world.connect() as conn:
        conn.execute("delete from ops.aggregate_head where relation like '%%' || %s", (world.name,))
        assert effects.restore_heads(conn) == 4
        assert effects.restore_heads(conn) == 0
    assert world.query(heads, world.name) == before


def test_two_planners_at_once_apply_once(world):
    """Both plan the same difference, then apply at the same moment from two threads, many times over."""
    names = [f"S{n}" for n in range(8)]
    for turn in range(1, 6):
        world.desire("movement", [movement(name, f"k{name}", f"{turn}.00") for name in names])
        world.touch(*names)
        with world.connect() as conn:
            run = world.begin(conn)
            plans = [world.plan(conn, run), world.plan(conn, run)]
        barrier, results = threading.Barrier(2), []

        def work(plan_id, barrier=barrier, results=results):
            with world.connect() as mine:
                barrier.wait()
                try:
                    results.append(effects.apply(mine, plan_id).movements)
                except StalePlan:
                    results.append("stale")

        threads = [threading.Thread(target=work, args=(plan.plan_id,)) for plan in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["8", "stale"]
        assert {amount for amount, _ in world.sums().values()} == {Decimal(turn)}


def test_consumers_that_share_aggregates_do_not_deadlock(module_warehouse, world):
    """Two consumers, one relation, the same aggregates: heads are locked in one order whatever the order of lines."""
    names = [f"S{n}" for n in range(40)]
    failures = []

    def work(consumer):
        with world.connect() as conn:
            for turn in range(6):
                effects.touch(conn, consumer, "shipment", names)
                run = f"{consumer}-{turn}"
                effects.claim(conn, consumer, run, AS_OF)
                effects.mark_built(conn, consumer, run)
                plan = effects.plan(
                    conn,
                    consumer=consumer,
                    run_id=run,
                    relations=[f"desired.{world.relation('movement')}"],
                    scope_relation=None,
                    limits=RetractionLimits(keys=10**6),
                )
                try:
                    effects.apply(conn, plan.plan_id)
                except StalePlan:
                    continue
                except Exception as error:
                    failures.append(error)
                    raise

    world.desire("movement", [movement(name, f"k{name}", "1.00") for name in names])
    threads = [threading.Thread(target=work, args=(f"{world.name}-{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(world.sums()) == 40
    assert {amount for amount, _ in world.sums().values()} == {1}


def test_applying_again_changes_nothing(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        plan = world.plan(conn, world.begin(conn))
        first = effects.apply(conn, plan.plan_id)
        again = effects.apply(conn, plan.plan_id)
    assert (first.already, again.already, again.movements) == (False, True, 1)
    assert len(world.documents()) == 1


def test_a_zombie_of_an_earlier_attempt_is_fenced(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        run = world.begin(conn)
        token = effects.attempt(conn, world.name, run)
        zombie = world.plan(conn, run, attempt=token)
        effects.claim(conn, world.name, run, AS_OF)
        with pytest.raises(StalePlan):
            effects.mark_built(conn, world.name, run, attempt=token)
        effects.mark_built(conn, world.name, run)
        with pytest.raises(StalePlan):
            world.plan(conn, run, attempt=token)
        with pytest.raises(StalePlan, match="claimed or built again"):
            effects.apply(conn, zombie.plan_id)
    assert world.sums() == {}


def test_an_orphaned_claim_is_taken_over_and_the_dead_runs_plan_refused(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        dead = world.plan(conn, world.begin(conn, "dead"))
        assert effects.claim(conn, world.name, "alive", AS_OF) == 1
        effects.mark_built(conn, world.name, "alive")
        effects.apply(conn, world.plan(conn, "alive").plan_id)
        with pytest.raises(StalePlan):
            effects.apply(conn, dead.plan_id)
        assert effects.pending(conn, world.name) == {}
    assert len(world.documents()) == 1


def test_a_touch_that_comes_during_the_run_survives_it(world):
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.touch("S1")
    with world.connect() as conn:
        plan = world.plan(conn, world.begin(conn))
        world.touch("S1")
        effects.apply(conn, plan.plan_id)
        assert effects.pending(conn, world.name) == {world.name: 1}
        (finished,) = conn.execute(
            "select finished_at is not null from ops.run where consumer = %s", (world.name,)
        ).fetchone()
    assert finished


def test_apply_wakes_the_deliverers_of_the_lanes_it_wrote(world):
    world.desire("movement", [movement("S1", "a", "1.00", lane="hot"), movement("S1", "b", "1.00", lane="hot")])
    with psycopg.connect(world.app, autocommit=True) as listener:
        listener.execute("listen freightsync_outbox")
        world.run(touch=["S1"])
        assert [note.payload for note in listener.notifies(timeout=2, stop_after=1)] == ["hot"]


# ------------------------------------------------------------------------------------------------ periods


def test_posting_goes_to_the_next_open_period_and_is_never_compared(warehouse):
    world = new_world(warehouse.app, warehouse.dbt)
    world.desire("movement", [movement("S1", "a", "1.00")])
    world.run(touch=["S1"])
    with world.connect() as conn:
        effects.change_period(conn, "2026-11", "closed", by="finance")
        effects.change_period(conn, "2026-12", "closed", by="finance")
    assert world.run(touch=["S1"])[0].line_count == 0, "closing a period asks for no posting"
    world.desire("movement", [movement("S1", "a", "3.00")])
    _, applied = world.run(touch=["S1"])
    assert (applied.posted_on, applied.period) == (date(2027, 1, 1), "2027-01")
    assert [document["posted_on"] for document in world.documents()] == ["2026-11-20", "2027-01-01"]
    with world.connect() as conn:
        effects.change_period(conn, "2026-11", "open", by="finance", note="late bill")
    world.desire("movement", [movement("S1", "a", "4.00")])
    assert world.run(touch=["S1"])[1].period == "2026-11"


def test_no_open_period_posts_nothing(warehouse):
    world = new_world(warehouse.app, warehouse.dbt)
    with world.connect() as conn:
        for month in range(24):
            period = f"{2026 + (10 + month) // 12}-{(10 + month) % 12 + 1:02}"
            effects.change_period(conn, period, "closed", by="finance")
    world.desire("movement", [movement("S1", "a", "1.00")])
    with pytest.raises(PeriodClosed):
        world.run(touch=["S1"])
    assert world.sums() == {}
