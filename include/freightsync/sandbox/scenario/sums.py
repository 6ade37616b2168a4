"""The little arithmetic that the truth needs, in whole cents, from the wording of the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction


class NoRoomError(ValueError):
    """A day of this size, as chance dealt it, has no place for a kind of trouble."""


def money(cents: int) -> str:
    """`123456` -> "1234.56"."""
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{cents // 100}.{cents % 100:02d}"


def percent_of(cents: int, percent: str) -> int:
    """So many percent of an amount, to the nearest cent, halves away from zero."""
    exact = Decimal(cents) * Decimal(percent) / 100
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def with_markup(cents: int, percent: str) -> int:
    """An amount raised by so many percent, rounded half up once, at the end."""
    exact = Decimal(cents) * (100 + Decimal(percent)) / 100
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def shares(cents: int, weights: Mapping[str, Decimal]) -> dict[str, int]:
    """Splits an amount by weight. Each gets its share rounded towards nothing; the cents left over go to the largest
    share, of several to the lowest key."""
    whole = sum(Fraction(w) for w in weights.values())
    found = {key: int(cents * Fraction(w) / whole) for key, w in weights.items()}
    first = min(found, key=lambda key: (-abs(found[key]), key))
    found[first] += cents - sum(found.values())
    return found


def reversals(planned: int, approved: Sequence[int]) -> list[int]:
    """What each approved bill of a charge takes back of its accrual, in the order of business.

    All bills together never take back more than was planned, nor less than nothing: a bill beyond the plan takes
    nothing more, a credit below it gives back.
    """
    steps, before, total = [], 0, 0
    for amount in approved:
        total += amount
        after = min(max(total, 0), planned)
        steps.append(after - before)
        before = after
    return steps


def sold_part(cents: int, on_hand: int, sold: int) -> int:
    """What goods that are sold bear of an amount: both parts rounded towards nothing, and what is left goes to the
    larger one, to the goods on hand where they are alike."""
    kept, gone = (int(Fraction(cents * part, on_hand + sold)) for part in (on_hand, sold))
    return gone + (cents - kept - gone if abs(gone) > abs(kept) else 0)
