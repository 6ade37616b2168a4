"""When a played day counts as quiet, and what is said when it never gets there. Time is a fake's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freightsync.proof.day import LOOK_SECONDS, PLAYING, STILL_SECONDS, Look, Played, Seen, play

DONE = {"quiet": True, "actions": 9, "done": 9, "state": "finished"}
GOING = {"quiet": False, "actions": 9, "done": 4, "state": "running", "waiting_for": {"tms": 2}, "problems": {}}


class Stage:
    """Player, view and clock in one: gives the looks one after the other, the last one for ever."""

    def __init__(self, looks: Sequence[Seen], unread: Sequence[Sequence[str]] = ()) -> None:
        self.looks = list(looks)
        self.unread_answers = list(unread)
        self.now = 0.0
        self.started: float | None = None
        self.asked_unread_at: list[float] = []

    def load(self, scenario: Path) -> None:
        assert self.started is None

    def start(self, seconds: float) -> None:
        self.started = seconds

    def look(self) -> Seen:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def unread(self) -> Sequence[str]:
        self.asked_unread_at.append(self.now)
        return self.unread_answers.pop(0) if self.unread_answers else ()

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def play(self, directory: Path, patience: float = 60) -> tuple[Played, list[Look]]:
        seen: list[Look] = []
        played = play(
            self,
            self,
            directory / "scenario.json",
            seconds=20,
            patience=patience,
            watch=seen.append,
            clock=lambda: self.now,
            pause=self.pause,
        )
        assert not (directory / PLAYING).exists()
        return played, seen


def seen(day: dict[str, object], mark: object, *left: str) -> Seen:
    return Seen(day, left, mark, {})


def test_quiet_only_after_nothing_moved_for_a_while(tmp_path: Path) -> None:
    stage = Stage([seen(GOING, 1), seen(DONE, 2), seen(DONE, 3), seen(DONE, 4)])
    played, looks = stage.play(tmp_path)
    assert played.not_quiet == []
    assert looks[-1].phase == "quiet"
    # the last move was seen at the fourth look
    assert stage.now == 3 * LOOK_SECONDS + STILL_SECONDS
    assert stage.started == 20


def test_work_left_is_not_quiet_however_still_it_is(tmp_path: Path) -> None:
    stage = Stage([seen(DONE, 1, "to deliver: erp journal: 1")])
    played, looks = stage.play(tmp_path, patience=30)
    assert played.not_quiet == ["to deliver: erp journal: 1"]
    assert looks[-1].phase == "what is left is settled"


def test_what_nobody_read_yet_is_waited_for(tmp_path: Path) -> None:
    stage = Stage([seen(DONE, 1)], unread=[["not read yet: erp customers"], ["not read yet: erp customers"], []])
    played, _ = stage.play(tmp_path)
    assert played.not_quiet == []
    assert len(stage.asked_unread_at) == 3


def test_a_warehouse_that_does_not_answer_is_not_quiet(tmp_path: Path) -> None:
    gone = seen(DONE, None, "the warehouse does not answer (killed)")
    stage = Stage([seen(DONE, 1), *[gone] * 20, seen(DONE, 1)])
    played, _ = stage.play(tmp_path)
    assert played.not_quiet == []
    assert stage.asked_unread_at[0] >= 21 * LOOK_SECONDS + STILL_SECONDS


def test_a_day_that_never_ends_says_what_it_waits_for(tmp_path: Path) -> None:
    stage = Stage([seen(GOING, 1, "not gated yet: driver.pod: 3")])
    played, _ = stage.play(tmp_path, patience=10)
    assert played.not_quiet[0] == "the day: 4 of 9 actions done, state running"
    assert "the day waits for tms: 2, e.g. " in played.not_quiet
    assert played.not_quiet[-1] == "not gated yet: driver.pod: 3"


def test_something_that_moves_for_ever_is_not_quiet(tmp_path: Path) -> None:
    stage = Stage([seen(DONE, number) for number in range(200)])
    played, _ = stage.play(tmp_path, patience=20)
    assert played.not_quiet == ["something still moves"]
