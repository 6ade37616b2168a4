"""What differs from partner to partner in X12, as data.

A profile is one row of settings; no code asks who the partner is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from freightsync.domain.errors import PermanentError

Decimals = Literal["auto", "implied", "explicit"]
Decision = Literal["accepted", "conditional", "countered", "declined", "cancelled"]
DECISIONS: tuple[Decision, ...] = ("accepted", "conditional", "countered", "declined", "cancelled")


class ProfileError(PermanentError):
    """A profile that says something this reader does not know: permanent until the profile is mended."""


@dataclass(frozen=True, slots=True)
class PartnerProfile:
    """Settings of one partner's X12.

    implied_decimals: how money is written.
        ``auto``: a value with a decimal point is read as written, any other has two implied decimals.
        ``implied``: as the standard's N2; a value with a point is still unambiguous, read as written, and reported.
        ``explicit``: a value without a point counts whole units, never cents.
    default_currency: of a 210 without C3; None leaves the currency unknown (null), it is never guessed.
    tender_responses: B1-04 of a 990 -> decision; empty means by release (see tx990).
    encoding: of free text; ``auto`` reads UTF-8 where it is valid, otherwise Windows-1252.
    """

    name: str = "default"
    implied_decimals: Decimals = "auto"
    default_currency: str | None = None
    tender_responses: Mapping[str, Decision] = field(default_factory=dict)
    encoding: Literal["auto", "utf-8", "latin-1", "cp1252"] = "auto"

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> PartnerProfile:
        """Raise ProfileError for a key or a value that is not known, naming it."""
        known = {f.name for f in fields(cls)} - {"name"}
        for key in values:
            if key not in known:
                raise ProfileError(f"partner {name}: unknown x12 setting {key!r}; known: {', '.join(sorted(known))}")
        decimals = values.get("implied_decimals", "auto")
        if decimals not in ("auto", "implied", "explicit"):
            raise ProfileError(f"partner {name}: implied_decimals is {decimals!r}, not auto, implied or explicit")
        encoding = values.get("encoding", "auto")
        if encoding not in ("auto", "utf-8", "latin-1", "cp1252"):
            raise ProfileError(f"partner {name}: encoding is {encoding!r}, not auto, utf-8, latin-1 or cp1252")
        currency = values.get("default_currency")
        if currency is not None and not (isinstance(currency, str) and len(currency) == 3 and currency.isupper()):
            raise ProfileError(f"partner {name}: default_currency is {currency!r}, not a three-letter code")
        responses: dict[str, Decision] = {}
        for code, decision in dict(values.get("tender_responses") or {}).items():
            if decision not in DECISIONS:
                raise ProfileError(
                    f"partner {name}: tender_responses[{code}] is {decision!r}, not one of {', '.join(DECISIONS)}"
                )
            responses[str(code)] = decision
        return cls(
            name=name,
            implied_decimals=cast(Decimals, decimals),
            default_currency=currency,
            tender_responses=responses,
            encoding=encoding,
        )


def profiles_from_dict(document: Mapping[str, Any]) -> dict[str, PartnerProfile]:
    """``{"partners": {"ABCD": {"x12": {…}, …}}}`` -> profiles by partner name. Other keys of a partner are not ours."""
    partners = document.get("partners")
    if not isinstance(partners, Mapping):
        raise ProfileError("no mapping 'partners' in the profile file")
    out: dict[str, PartnerProfile] = {}
    for name, settings in partners.items():
        x12 = (settings or {}).get("x12") or {}
        if not isinstance(x12, Mapping):
            raise ProfileError(f"partner {name}: x12 is not a mapping")
        out[str(name)] = PartnerProfile.from_dict(str(name), x12)
    return out


DEFAULT_PROFILE = PartnerProfile()
