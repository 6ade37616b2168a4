"""Money is a `Decimal` with two decimals, never a float."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


def money(value: Decimal | int | str) -> Decimal:
    """`value` with exactly two decimals. Raises ValueError for a float, for anything that is no number, and where
    digits would be lost: rounding is a decision of a rule, see `round_half_up`."""
    if isinstance(value, float):
        raise ValueError(f"money from a float: {value!r}")
    try:
        exact = Decimal(value)
        if not exact.is_finite():
            raise ValueError(f"no amount of money: {value!r}")
        result = exact.quantize(CENT)
    except InvalidOperation as error:
        raise ValueError(f"no amount of money: {value!r}") from error
    if result != exact:
        raise ValueError(f"more than two decimals: {value!r}")
    return result + ZERO


def round_half_up(value: Decimal) -> Decimal:
    """Commercial rounding to cents, away from zero at the half."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def money_text(value: Decimal) -> str:
    """As documents show it: `-1234.50`."""
    return str(money(value))


def allocate(total: Decimal, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Shares of `total` by weight, in cents, summing to it exactly. Each is rounded towards zero; the residue goes to
    the largest weight, then to the lowest key, so that a rerun gives the same cents. Raises ValueError where there
    is no positive weight."""
    whole = sum(weights.values(), Decimal(0))
    if whole <= 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("weights must be positive to allocate by")
    cents = int(money(total).scaleb(2))
    sign = -1 if cents < 0 else 1
    shares = {key: sign * int(abs(cents) * weight // whole) for key, weight in weights.items()}
    largest = min(weights, key=lambda key: (-weights[key], key))
    shares[largest] += cents - sum(shares.values())
    return {key: Decimal(share).scaleb(-2) for key, share in shares.items()}
