"""The arithmetic of the truth, against worked examples."""

from __future__ import annotations

from decimal import Decimal

import pytest

from freightsync.sandbox.scenario.sums import money, percent_of, reversals, shares, with_markup


def test_money_is_written_with_two_places() -> None:
    assert [money(c) for c in (0, 5, 123_456, -7, -250)] == ["0.00", "0.05", "1234.56", "-0.07", "-2.50"]


def test_a_markup_is_rounded_once_half_up() -> None:
    assert with_markup(10_000, "4.50") == 10_450
    assert with_markup(50, "5.00") == 53  # 52.5
    assert with_markup(333, "3.33") == 344  # 344.0889
    assert percent_of(-1_050, "5") == -53  # -52.5, away from zero


def test_shares_are_rounded_down_and_the_rest_goes_to_the_largest_then_the_lowest_key() -> None:
    thirds = {"SO3": Decimal(1), "SO1": Decimal(1), "SO2": Decimal(1)}
    assert shares(100, thirds) == {"SO1": 34, "SO2": 33, "SO3": 33}
    assert shares(100, {"SO1": Decimal(1), "SO2": Decimal(2)}) == {"SO1": 33, "SO2": 67}
    assert sum(shares(99_999, {"a": Decimal("0.001"), "b": Decimal("7.77"), "c": Decimal(3)}).values()) == 99_999


@pytest.mark.parametrize(
    ("billed", "steps"),
    [
        ([10_400], [10_000]),  # more than planned takes back what was planned
        ([6_000], [6_000]),  # a part invoice leaves the rest open
        ([6_000, 4_000], [6_000, 4_000]),
        ([6_000, 5_000], [6_000, 4_000]),
        ([10_400, -1_000], [10_000, -600]),  # a credit reopens what lies below the plan
        ([10_000, -12_000], [10_000, -10_000]),
        ([-500, 10_000], [0, 9_500]),
    ],
)
def test_reversals_are_cumulative_and_stay_between_nothing_and_the_plan(billed: list[int], steps: list[int]) -> None:
    assert reversals(10_000, billed) == steps
