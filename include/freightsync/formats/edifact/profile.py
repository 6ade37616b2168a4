"""What differs from partner to partner in EDIFACT, as data: one row of settings, no code asks who the partner is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from freightsync.domain.errors import PermanentError

CHARGE_CODES = ("lin", "pia", "imd")


class EdifactProfileError(PermanentError):
    """A profile that says something this reader does not know: permanent until the profile is mended."""


@dataclass(frozen=True, slots=True)
class EdifactProfile:
    """Settings of one partner's EDIFACT.

    net, gross, tax: qualifiers of MOA (5025) for a bill's totals, the first that is there counts. Of a bill without
    any for `net`, the net amount is gross less tax.
    charge_code: where a line's charge code stands: `lin` (LIN item number), `pia`, `imd` (coded description); the first
    that is there counts.
    references: RFF qualifier (1153) -> the bill's reference that it is (names of `systems.bill.BillLine`, `po_number`
    for `order_number` too, or `corrects_number`); beside the usual ones, before them.
    kinds: BGM document code (1001) -> kind of bill (`domain.invoices`), beside the usual ones, before them.
    """

    name: str = "default"
    net: tuple[str, ...] = ("125",)
    gross: tuple[str, ...] = ("77", "39", "86", "9")
    tax: tuple[str, ...] = ("176", "124", "150")
    charge_code: tuple[str, ...] = CHARGE_CODES
    references: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> EdifactProfile:
        """Raise EdifactProfileError for a key or a value that is not known, naming it."""
        known = {f.name for f in fields(cls)} - {"name"}
        for key in values:
            if key not in known:
                raise EdifactProfileError(
                    f"partner {name}: unknown edifact setting {key!r}; known: {', '.join(sorted(known))}"
                )
        given: dict[str, Any] = {}
        for key in ("net", "gross", "tax", "charge_code"):
            if key in values:
                found = values[key]
                found = [found] if isinstance(found, str | int) else found
                if not isinstance(found, list) or not found:
                    raise EdifactProfileError(f"partner {name}: {key} is a list of codes, not {found!r}")
                given[key] = tuple(str(code) for code in found)
        for place in given.get("charge_code", ()):
            if place not in CHARGE_CODES:
                raise EdifactProfileError(f"partner {name}: charge_code is of {', '.join(CHARGE_CODES)}, not {place!r}")
        for key in ("references", "kinds"):
            if key in values:
                if not isinstance(values[key], Mapping):
                    raise EdifactProfileError(f"partner {name}: {key} is a mapping, not {values[key]!r}")
                given[key] = {str(code): str(meaning or "") for code, meaning in values[key].items()}
        return cls(name=name, **given)


def edifact_profiles_from_dict(document: Mapping[str, Any]) -> dict[str, EdifactProfile]:
    """``{"partners": {"ABCD": {"edifact": {…}, …}}}`` -> profiles by partner name."""
    out: dict[str, EdifactProfile] = {}
    for name, settings in dict(document.get("partners") or {}).items():
        found = (settings or {}).get("edifact") or {}
        if not isinstance(found, Mapping):
            raise EdifactProfileError(f"partner {name}: edifact is not a mapping")
        out[str(name)] = EdifactProfile.from_dict(str(name), found)
    return out


DEFAULT_PROFILE = EdifactProfile()
