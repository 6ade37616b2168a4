"""Orders and shipments of the day, before anything happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from freightsync.sandbox.scenario.sums import money
from freightsync.sandbox.scenario.world import COUNTRY_OF, CURRENCY, Record

FEED_OF = {
    "210": "carrier.invoice_x12",
    "invoic": "carrier.invoice_edifact",
    "csv": "carrier.invoice_csv",
    "xlsx": "carrier.invoice_csv",
    "api": "carrier.invoice_api",
    "upload": "carrier.invoice_portal",
}
WAY_OF = {
    **{"BLUW": "csv", "HNSA": "invoic"},
    **dict.fromkeys(("TALN", "ANCH", "KESL", "VAYU", "MRLN", "OSPR"), "upload"),
}
"""How carriers send their bills; the others by 210."""
Stop = tuple[str, str, str, str, str]
"""id, city, state, postal code, time zone"""


@dataclass
class Line:
    """A line of a sales order. sizes: pallet length, width, height as the order gives them (None: it does not)."""

    number: int
    item: Record
    quantity: int
    price_cents: int
    pallets: int
    sizes: tuple[str, str, str] | None

    @property
    def cents(self) -> int:
        return self.quantity * self.price_cents

    @property
    def weight_lb(self) -> Decimal:
        return self.quantity * Decimal(self.item["unit_weight_lb"])

    @property
    def item_sizes(self) -> tuple[str, str, str] | None:
        length = self.item["pallet_length_in"]
        if length is None:
            return None
        return length, self.item["pallet_width_in"], self.item["pallet_height_in"]

    def document(self) -> Record:
        length, width, height = self.sizes or (None, None, None)
        return {
            "line": self.number,
            "item_id": self.item["item_id"],
            "quantity": self.quantity,
            "unit_price": money(self.price_cents),
            "amount": money(self.cents),
            "pallets": self.pallets,
            "pallet_length_in": length,
            "pallet_width_in": width,
            "pallet_height_in": height,
            "weight_lb": f"{self.weight_lb:.3f}",
        }


@dataclass
class Order:
    """A sales order. fate: normal, changed, cancelled, or quarantined (then `reasons` says why)."""

    number: str
    at: float
    customer: Record
    ship_to: Record
    origin: Stop
    lines: list[Line]
    fate: str = "normal"
    reasons: tuple[str, ...] = ()
    shipments: list[Shipment] = field(default_factory=list)
    currency: str = "USD"
    taxes: tuple[tuple[str, str], ...] = ()
    """Percent, and of what: `all`, or `goods` alone."""

    @property
    def per_order(self) -> bool:
        return bool(self.customer["invoice_per"] == "order")


@dataclass
class Part:
    """So many of an order line in a shipment."""

    order: Order
    line: Line
    quantity: int

    @property
    def weight_lb(self) -> Decimal:
        return self.quantity * Decimal(self.line.item["unit_weight_lb"])


@dataclass
class Shipment:
    """A shipment. fate: how far it gets, `tendered` … `delivered`, `pod`, or `cancelled`.

    `charges` is the latest plan: canonical charge -> cents. `facts` holds ids of the actions that others wait for.
    """

    id: str
    parts: list[Part]
    stops: list[Stop]
    scac: str
    pro: str
    bol: str
    booking: str
    tare_lb: Decimal
    charges: dict[str, int]
    fate: str = "pod"
    declined: bool = False
    version: int = 0
    actions: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    pod_trouble: str = ""
    pod_mended: bool = False
    held: bool = False
    late: bool = False
    shares_bol: bool = False
    case: str = ""
    """What this shipment is for; nothing else happens to it then. '': whatever the day deals out."""
    direction: str = "outbound"
    stock: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of goods that are bought: order line -> pieces on hand and sold when the freight is billed."""
    ready: Sequence[str] = ()
    """Facts without which it is not planned."""
    rated: dict[str, Any] = field(default_factory=dict)
    """What its plan says instead of charges; these are what the carrier's rate card makes of it."""

    @property
    def orders(self) -> list[Order]:
        return sorted({p.order.number: p.order for p in self.parts}.values(), key=lambda o: o.number)

    @property
    def two_legs(self) -> bool:
        return len(self.stops) == 3

    @property
    def weight_lb(self) -> Decimal:
        return sum((p.weight_lb for p in self.parts), Decimal(0)) + self.tare_lb

    @property
    def pieces(self) -> int:
        return sum(p.quantity for p in self.parts)

    @property
    def planned_cents(self) -> int:
        return sum(self.charges.values())

    @property
    def currency(self) -> str:
        return CURRENCY[self.scac]

    @property
    def delivered(self) -> bool:
        return self.fate in ("delivered", "pod")

    @property
    def final_stop(self) -> int:
        return len(self.stops)

    def plan(self, event_id: str, at: str, appointments: list[tuple[str, str]], ship_on: str) -> dict[str, Any]:
        """The TMS's event for the plan as it is now."""
        kinds = ("pickup", "transfer", "delivery") if self.two_legs else ("pickup", "delivery")
        return {
            "event_id": event_id,
            "event_type": "shipment_planned",
            "occurred_at": at,
            "data": {
                "shipment_id": self.id,
                "plan_version": self.version,
                "scac": self.scac,
                "pro_number": self.pro,
                "bol_number": self.bol,
                "booking_reference": self.booking,
                "equipment": "53FT",
                "ship_on": ship_on,
                "weight_lb": f"{self.weight_lb:.3f}",
                "pieces": self.pieces,
                "currency": self.currency,
                **({"direction": self.direction} if self.direction != "outbound" else {}),
                "order_lines": [
                    {
                        "order_number": p.order.number,
                        "line": p.line.number,
                        "quantity": p.quantity,
                        "weight_lb": f"{p.weight_lb:.3f}",
                    }
                    for p in self.parts
                ],
                "stops": [
                    {
                        "sequence": n,
                        "kind": kind,
                        "location_id": stop[0],
                        "city": stop[1],
                        "state": stop[2],
                        "postal_code": stop[3],
                        "country": COUNTRY_OF.get(stop[0], "US"),
                        "time_zone": stop[4],
                        "appointment_from": appointments[n - 1][0],
                        "appointment_to": appointments[n - 1][1],
                    }
                    for n, (kind, stop) in enumerate(zip(kinds, self.stops, strict=True), 1)
                ],
                "legs": [{"leg": n, "from_stop": n, "to_stop": n + 1} for n in range(1, len(self.stops))],
                "charges": [{"charge_code": c, "amount": money(a)} for c, a in self.charges.items() if not self.rated],
                **self.rated,
            },
        }


@dataclass
class Bill:
    """A carrier's invoice. groups: (shipment or None, charge lines as (canonical charge, code sent, cents)).

    `references` are what is written in the header; `verdict` is what must come of it ('' if it never gets so far).
    `owed`: what is paid of a charge that is billed beyond what is owed (by a carrier that is paid short); None: the
    bill is paid as it is, or not at all. `undone`: it was paid, and another bill takes that back. `channel`: how it is
    sent; '': the carrier's usual way. `audited`: what an audit that binds us says is to be paid of each charge;
    `paid_before`: all of the bill was paid before the audit said so. `line_keys`: by what the lines of a consolidated
    bill name their shipments. `biller`: who asks for the money, if not the carrier. `claimed`: what is paid of each
    charge and claimed back; below zero on a credit: what comes for a claim.
    """

    scac: str
    number: str
    correction: str
    on: str
    groups: list[tuple[Shipment | None, list[tuple[str, str, int]]]]
    references: dict[str, str | None]
    origin: Stop
    destination: Stop
    ship_on: str
    weight_lb: str
    net_cents: int
    verdict: str = ""
    owed: dict[str, int] | None = None
    undone: bool = False
    channel: str = ""
    audited: dict[str, int] | None = None
    paid_before: bool = False
    line_keys: tuple[str, ...] = ("shipment_id", "pro_number")
    biller: str = ""
    tax_cents: int = 0
    claimed: dict[str, int] = field(default_factory=dict)

    @property
    def way(self) -> str:
        """210, invoic; csv, xlsx, api or upload: an action of that name sends it."""
        return self.channel or WAY_OF.get(self.scac, "210")

    @property
    def currency(self) -> str:
        return CURRENCY.get(self.scac, "USD")

    @property
    def feed(self) -> str:
        return FEED_OF[self.way]

    @property
    def lines_cents(self) -> int:
        return sum(cents for _, lines in self.groups for _, _, cents in lines)
