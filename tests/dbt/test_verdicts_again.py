"""Thousands of random bills, judged by the models and, by another route, in plain Python (tests/support/settled.py):
the same verdict for each bill; the same verdict, rule, place of every cent and postings for each charge on it."""

from __future__ import annotations

import pytest
from billed_world import OUR_TOLERANCES, Settled, World, differences, judge, kinds, rules_used, settle
from settled import Outcome
from shaped import ShapedWarehouse

from freightsync.effects import planner
from freightsync.pipelines import build

KINDS = 36
"""Of bills and of charges: all that the models give"""


def touched(expected: dict[str, Outcome], least: int) -> None:
    """The world is wide enough: each kind of verdict so many times, each rule once."""
    found = kinds(expected)
    assert len(found) == KINDS, found
    assert min(found.values()) >= least, found
    rules = {rule.rule_id for rule in OUR_TOLERANCES}
    assert rules - rules_used(expected) == {"t.twin_b"}  # it always gives way to its twin


def test_models_and_plain_python_judge_alike(settled_world: Settled) -> None:
    assert "\n".join(map(str, settled_world.differences[:20])) == ""
    touched(settled_world.expected, least=5)


def test_large_scopes_are_judged_alike(shaped: ShapedWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements over large scopes ask tables by index or join them; nothing else about them changes."""
    monkeypatch.setitem(build.SIZES, "few_in_scope", 0)
    monkeypatch.setitem(build.SIZES, "indexed_scope_ratio", 0)
    monkeypatch.setitem(build.SIZES, "outworn_scope_bytes", 0)
    monkeypatch.setattr(planner, "SMALL_SCOPE", 0)
    world = World(seed=3, shipments=80)
    assert differences(shaped, judge(shaped, world, settle(shaped, world))) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_bills_each_kind_fifty_times(shaped: ShapedWarehouse) -> None:
    world = World(seed=2, shipments=7700)
    expected = judge(shaped, world, settle(shaped, world))
    assert differences(shaped, expected) == []
    assert len(expected) >= 10_000
    touched(expected, least=50)
