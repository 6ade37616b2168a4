"""Pacing by a clock of the test's own."""

from __future__ import annotations

import pytest

from freightsync.delivery import Backoff
from freightsync.delivery.pacing import TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_goes_at_once_then_the_rate_holds(clock):
    bucket = TokenBucket(10, 3, clock=clock, sleep=clock.sleep)
    for _ in range(6):
        bucket.take()
    assert clock.slept == [0.1, 0.1, 0.1]


def test_an_idle_bucket_fills_to_its_burst_only(clock):
    bucket = TokenBucket(10, 2, clock=clock, sleep=clock.sleep)
    clock.now = 60.0
    for _ in range(3):
        bucket.take()
    assert clock.slept == [0.1]


def test_closed_until_the_partner_said(clock):
    bucket = TokenBucket(1000, 10, clock=clock, sleep=clock.sleep)
    bucket.close_for(5.0)
    bucket.close_for(2.0)  # a shorter wait does not shorten a longer one
    assert bucket.closed_for() == 5.0
    bucket.take()
    assert clock.now == 5.0
    assert bucket.closed_for() == 0.0


def test_backoff_doubles_to_its_cap_and_spreads():
    backoff = Backoff(base=1, factor=2, cap=10, jitter=0.5)
    assert [backoff.seconds(attempt, 0.5) for attempt in (1, 2, 3, 4, 5, 4000)] == [1, 2, 4, 8, 10, 10]
    assert (backoff.seconds(3, 0.0), backoff.seconds(3, 0.999999)) == (2.0, pytest.approx(6.0, abs=1e-4))
