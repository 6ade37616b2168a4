"""`freightsync outbox`, as a person types it."""

from __future__ import annotations

import json

import pytest

from freightsync.cli import main

from .partner import HttpSender


@pytest.fixture
def dead(outbox, partner, monkeypatch):
    """Two dead letters and one message waiting behind the first; returns their ids."""
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", outbox.app)
    partner.refuse_states = {"wrong"}
    outbox.put("S1", "wrong", "planned")
    outbox.put("S2", "wrong")
    outbox.deliver(HttpSender(partner.url, {"document": "key"}))
    partner.refuse_states = set()
    return [letter.outbox_id for letter in outbox.letters(status="dead")]


def test_list_says_what_is_dead_and_what_to_do(dead, capsys):
    assert main(["outbox", "list"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("0 ready, 0 leased, 1 blocked, 2 dead")
    assert "refused: no such state here" in printed
    assert f"freightsync outbox retry {dead[0]}" in printed
    assert f"waits for {dead[0]}" in printed


def test_list_as_json(dead, capsys):
    assert main(["outbox", "list", "--dead", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [letter["outbox_id"] for letter in found["letters"]] == dead
    assert found["counts"]["dead"] == 2


def test_retry_one_or_all(dead, outbox, capsys):
    assert main(["outbox", "retry", str(dead[0]), "--by", "anna"]) == 0
    assert outbox.counts() == {"ready": 2, "dead": 1}
    assert main(["outbox", "retry", str(dead[0])]) == 1
    assert "no dead letters" in capsys.readouterr().err
    assert main(["outbox", "retry", "--all"]) == 0
    assert outbox.counts() == {"ready": 3}


def test_retry_wants_to_know_which(dead):
    with pytest.raises(SystemExit) as caught:
        main(["outbox", "retry"])
    assert caught.value.code == 2


def test_accept_unblocks_what_waits_behind(dead, outbox, partner, capsys):
    assert main(["outbox", "accept", str(dead[0]), "--reference", "INV-7", "--by", "anna", "--note", "by phone"]) == 0
    assert outbox.counts() == {"ready": 1, "dead": 1}
    with outbox.connect() as conn:
        row = conn.execute(
            "select reference, decided_by, message from effects.outcome where outbox_id = %s order by outcome_id desc",
            (dead[0],),
        ).fetchone()
    assert row == ("INV-7", "anna", "by phone")
    assert main(["outbox", "accept", str(dead[0]), "--reference", "INV-7"]) == 1
