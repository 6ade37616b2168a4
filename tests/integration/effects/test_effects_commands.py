"""`freightsync effects`, as finance types it after a task was refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from freightsync import effects
from freightsync.cli import main
from freightsync.domain.errors import ApprovalNeeded
from freightsync.effects import RetractionLimits

from .conftest import movement, new_world

STRICT = RetractionLimits(keys=0, share=Decimal(0))


def test_a_refused_plan_is_seen_approved_and_applied_by_the_next_run(warehouse, monkeypatch, capsys):
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    world = new_world(warehouse.app, warehouse.dbt)
    kept = movement("S1", "kept", "5.00")
    world.desire("movement", [kept, movement("S1", "gone", "7.00")])
    world.run(touch=["S1"])
    assert main(["effects", "waiting"]) == 0
    assert capsys.readouterr().out == "No plan waits for approval.\n"

    world.desire("movement", [kept])
    with pytest.raises(ApprovalNeeded) as caught:
        world.run(touch=["S1"], limits=STRICT)
    main(["effects", "waiting"])
    printed = capsys.readouterr().out
    assert "takes back 7.00 on 1 of 2 keys" in printed
    assert caught.value.fingerprint in printed

    assert main(["effects", "show", printed.split()[0]]) == 0
    assert "takes back 2150 ← 6100 7.00 USD" in capsys.readouterr().out
    assert main(["effects", "approve", caught.value.fingerprint, "--note", "withdrawn", "--by", "anna"]) == 0

    world.run(limits=STRICT)
    assert [amount for amount, _ in world.sums().values()] == [5]
    capsys.readouterr()
    main(["effects", "waiting"])
    assert capsys.readouterr().out == "No plan waits for approval.\n"
    assert effects.pending(world.looking) == {}
