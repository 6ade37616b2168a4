"""Money: exact or refused; shares that sum to the whole, the same every time."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freightsync.domain.money import allocate, money, money_text, round_half_up


@pytest.mark.parametrize("bad", [0.1, "1.005", "abc", "NaN", "Infinity", Decimal("0.001")])
def test_refuses_what_is_not_exact_money(bad):
    with pytest.raises(ValueError, match=r"money|decimals"):
        money(bad)


def test_text_form_has_two_decimals_and_no_negative_zero():
    assert [money_text(Decimal(text)) for text in ("1", "-2.5", "-0.00")] == ["1.00", "-2.50", "0.00"]


def test_half_rounds_away_from_zero():
    assert [round_half_up(Decimal(text)) for text in ("0.125", "-0.125", "0.124")] == [
        Decimal("0.13"),
        Decimal("-0.13"),
        Decimal("0.12"),
    ]


def test_residue_goes_to_the_largest_then_the_lowest_key():
    assert allocate(Decimal("10.00"), {"b": Decimal(1), "a": Decimal(1), "c": Decimal(1)}) == {
        "b": Decimal("3.33"),
        "a": Decimal("3.34"),
        "c": Decimal("3.33"),
    }
    assert allocate(Decimal("-0.05"), {"a": Decimal(1), "b": Decimal(2)}) == {
        "a": Decimal("-0.01"),
        "b": Decimal("-0.04"),
    }


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=2),
    st.dictionaries(st.text(min_size=1), st.decimals(min_value="0.001", max_value=10**6, places=3), min_size=1),
)
def test_shares_sum_to_the_whole_and_do_not_depend_on_order(total, weights):
    shares = allocate(total, weights)
    assert sum(shares.values()) == total
    assert shares == allocate(total, dict(reversed(weights.items())))
