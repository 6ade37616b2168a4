"""kill -9 at the worst moments of a day, then `up`: the day still ends as its truth said, to the cent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import kills
import pytest
from played_day import PlayedDay, command, start_demo

from freightsync.proof.day import PLAYING
from freightsync.settings import Settings

pytestmark = [pytest.mark.timeout(900)]

Kill = tuple[kills.Point, kills.Victim]


def play_with(home: Path, planned: Sequence[Kill], *, seed: int, orders: int) -> tuple[PlayedDay, list[str]]:
    """A day in which these kills happen one after the other, each healed by `up`."""
    process = start_demo(home, seed=seed, orders=orders, seconds=40, patience=600)
    hit: list[str] = []
    try:
        _wait_for_play(home)
        settings = Settings.load(home=home)
        for point, victim in planned:
            hit.append(kills.kill_at(settings, point, victim))
            healed = command(home, "up")
            assert healed.returncode == 0, healed.stdout + healed.stderr
        output, _ = process.communicate(timeout=700)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return PlayedDay(home=home, code=process.returncode, output=output), hit


def _wait_for_play(home: Path) -> None:
    deadline = time.monotonic() + 240
    while not (home / "demo" / PLAYING).exists():
        assert time.monotonic() < deadline, "the day did not start"
        time.sleep(0.2)


def agreed(day: PlayedDay, hit: Sequence[str]) -> None:
    assert day.code == 0, "\n".join([*hit, day.output])
    assert day.summary["truth_mismatches"] == 0
    assert day.summary["control_totals_balanced"] is True


@pytest.mark.long
def test_task_and_database_killed_at_the_worst_moments(stack_home: Path) -> None:
    planned: list[Kill] = [("inside_apply", "postgresql"), ("committed_not_acknowledged", "task")]
    agreed(*play_with(stack_home, planned, seed=12, orders=40))


@pytest.mark.long
@pytest.mark.parametrize("victim", ["task", "scheduler", "postgresql"])
def test_killed_at_every_point(stack_home: Path, victim: kills.Victim) -> None:
    planned: list[Kill] = [
        ("during_dbt", victim),
        ("inside_apply", victim),
        ("committed_not_acknowledged", victim),
    ]
    agreed(*play_with(stack_home, planned, seed=13, orders=80))
