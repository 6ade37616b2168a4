"""Carrier bills: the one vocabulary for what kind of bill one is, whatever the channel that brought it.

Named after X12's correction indicator (B3-08), with what other channels add: SU for a supplemental bill and CR for a
credit. A channel's own codes are mapped to it by the channel's reader or a partner's mapping; what is not mapped is
shown as it was sent, and no rule settles it.
"""

from __future__ import annotations

from typing import Final

FIRST_BILL: Final = ""
BALANCE_DUE: Final = "BD"
SUPPLEMENTAL: Final = "SU"
CORRECTION: Final = "CO"
ADJUSTMENT: Final = "AD"
CREDIT: Final = "CR"
REBILL: Final = "RB"
CANCELLED: Final = "CA"

KINDS: Final[dict[str, str]] = {
    FIRST_BILL: "first bill",
    BALANCE_DUE: "balance due: what a first bill left out, as it was agreed",
    SUPPLEMENTAL: "supplemental: further charges that came up later",
    CORRECTION: "correction: the difference to an earlier bill",
    ADJUSTMENT: "adjustment of an earlier bill",
    CREDIT: "credit: takes back all or a part of an earlier bill; its amounts are negative",
    REBILL: "rebill: replaces an earlier bill as a whole",
    CANCELLED: "cancelled: the earlier bill is void",
    "RF": "rebuttal: the carrier insists on what was refused",
    "RP": "rebuttal, in part",
}
"""kind, as it stands in `correction` → what it means"""

WHOLE_UNIT_CURRENCIES: Final = frozenset(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    )
)
"""Currencies without a smaller unit (ISO 4217)."""


def decimals_of(currency: str | None) -> int:
    """How many decimals an amount may have in the books: those of its currency, two at most."""
    return 0 if currency in WHOLE_UNIT_CURRENCIES else 2
