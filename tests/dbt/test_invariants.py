"""Whatever comes, in whatever order: what must hold after every step of a random history of settlement does, and a
replay of all of it changes nothing."""

from __future__ import annotations

import random

import pytest
from random_histories import Invariants, World, replays_change_nothing
from shaped import ShapedWarehouse


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("seed", "shipments", "steps"),
    [(1, 40, 2), *(pytest.param(seed, 60, 5, marks=pytest.mark.long) for seed in (2, 3, 4, 5))],
)
def test_invariants_hold_over_random_histories(shaped: ShapedWarehouse, seed: int, shipments: int, steps: int) -> None:
    world = World(random.Random(seed)).make(shipments)
    invariants = Invariants(shaped, world)
    world.begin(shaped)
    for n, facts in enumerate(world.batches(steps)):
        if n == steps // 2:
            world.change_rules(shaped)
        world.play(shaped, facts)
        invariants.hold()
    said = world.say(shaped)
    invariants.hold()
    assert said > 0
    assert world.release(shaped) > 0
    invariants.hold()
    # what was said in some disputes lets others be said more in
    world.say(shaped)
    invariants.hold()
    replays_change_nothing(shaped, world)
    invariants.hold()

    # the history had something to hold for
    kinds = "select verdict from decisions.invoice_verdict union select verdict from decisions.invoice_line_verdict"
    verdicts = {row["verdict"] for row in shaped.rows(kinds)}
    assert {"exact", "in_tolerance", "out_of_tolerance", "no_candidate", "agreed", "audited"} <= verdicts
    assert verdicts & {"self_billed", "duplicate_self_bill"}
    assert shaped.rows("select 1 from effects.movement where debit_account = '5100' limit 1")
    made = {row["relation"] for row in shaped.rows("select distinct relation from effects.movement")}
    assert {f"movement__{name}" for name in ("accruals", "settlement", "claims", "accrual_releases")} <= made
    assert shaped.rows("select 1 from effects.movement where amount = 0 limit 1")
