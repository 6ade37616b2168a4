"""A carrier whose freight nobody plans by hand: OSPR's plans have no charges, and what its loads cost stands in the
rate card that the pricing team leaves on our server.

The card as people read it: less than a truckload by hundredweight and class, 62.5 % off, 118.00 at least; goods of
class 60 to 100 go as class 70; what is cheaper as the next break's weight is billed so; loads without a class have that
of their density. A full truck by the mile, 1,150.00 at least. Fuel by the index's price of the week, which holds from
Tuesday to Monday. Beside what holds there are things that must not be used: a rate that begins in December, the classes
of before, the new week's price, a revision that was published later, and a rate that nobody can read.

What each load costs is worked out here from its case: what it weighs is made for the line of the card that it is to be
rated by. The truck leaves when the ERP knows what it will cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.bills import Billing
from freightsync.sandbox.scenario.freight import Shipment
from freightsync.sandbox.scenario.sums import money, percent_of

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.contracts import Contracts
    from freightsync.sandbox.scenario.generator import Generator

CARRIER = "OSPR"
MINIMUM, TL_MINIMUM = 11_800, 115_000
DISCOUNT, FUEL_PERCENT, FUEL_A_MILE = "62.5", "23.0", "0.46"
Row = dict[str, str]


@dataclass(frozen=True)
class Case:
    """pounds: least and most of what it weighs, `pallets` of 60 cubic feet each; or miles. rate: for a hundredweight,
    or a mile. billed_lb: what it is billed as, if not as what it weighs. services: what is asked for, and how many."""

    name: str
    rate: str
    pounds: tuple[int, int] = (0, 0)
    pallets: int = 1
    freight_class: str | None = "85"
    billed_lb: int = 0
    miles: tuple[int, int] | None = None
    to_texas: bool = False
    services: dict[str, str | None] = field(default_factory=dict)
    count: int = 1


# up to 1,660 lb it is cheaper to be billed by weight than as the 2,000 lb of the next break
CASES = (
    Case("by_class", "44.80", (1_010, 1_650)),
    # a rate for that state alone goes before the one for any place
    Case("to_texas", "40.15", (1_010, 1_650), freight_class="92.5", to_texas=True),
    Case("by_density", "118.65", (505, 710), 2, None, services={"LIFTGATE": None}),
    # a class that only the newer table knows
    Case("dense", "31.10", (2_110, 2_980), 1, None),
    Case("least", "68.40", (120, 200), freight_class="70"),
    Case("as_more", "44.80", (930, 985), freight_class="70", billed_lb=1_000),
    Case("over", "44.80", (1_010, 1_650), count=2),
    Case("service_over", "44.80", (1_010, 1_650), services={"RESIDENTIAL": None}),
    Case("within", "44.80", (1_010, 1_650)),
    Case("by_miles", "2.735", miles=(520, 1_900), services={"DETENTION": "3.5"}),
    Case("few_miles", "2.735", miles=(120, 400)),
    Case("not_billed", "40.15", (1_010, 1_650), freight_class="92.5", to_texas=True),
)

HOLDS = {"Version": "1", "ValidFrom": "2026-01-01"}
_FUEL = {"FuelIndex": "DIESEL", "FuelRegion": "US", "FuelWeekday": "2", "FuelLagWeeks": "0", "FuelOn": "net_linehaul"}
_BOUGHT = {"Side": "buy", "SCAC": CARRIER, "Currency": "USD", **HOLDS, **_FUEL}
CONTRACTS: list[Row] = [
    {
        **{"Contract": "OSPR-LTL", "Mode": "LTL", **_BOUGHT, "FuelTable": "OSPR-FSC", "ClassTable": "DENSITY"},
        **{"FAKClass": "70", "FAKFrom": "60", "FAKTo": "100", "Minimum": "118.00", "DiscountPercent": DISCOUNT},
        "DeficitWeight": "yes",
    },
    {"Contract": "OSPR-TL", "Mode": "TL", **_BOUGHT, "FuelTable": "OSPR-MILE", "DeficitWeight": "no"},
]
_LTL: dict[str, list[tuple[str, str]]] = {
    "70": [("0", "68.40"), ("500", "52.15"), ("1000", "44.80"), ("2000", "37.35"), ("5000", "29.9025")],
    "125": [("0", "104.90"), ("500", "86.30"), ("1000", "73.55")],
    "175": [("0", "142.10"), ("500", "118.65"), ("1000", "101.20")],
    "55": [("0", "58.00"), ("1000", "36.80"), ("2000", "31.10"), ("5000", "24.20")],
}


def _lane(rate_id: str, start: str, rate: str, **more: str) -> Row:
    anywhere = {"OriginKind": "any", "DestKind": "any"}
    return {"Rate ID": rate_id, "Contract": "OSPR-LTL", **HOLDS, **anywhere, "From": start, "Rate": rate, **more}


LANES: list[Row] = [
    *(
        _lane(f"OSPR-{name}", start, rate, Class=name, Basis="per_cwt")
        for name, breaks in _LTL.items()
        for start, rate in breaks
    ),
    *(
        _lane("OSPR-70", start, rate, Class="70", Basis="per_cwt", Version="2", ValidFrom="2026-12-01")
        for start, rate in (("0", "71.80"), ("1000", "47.05"))
    ),
    *(
        _lane("OSPR-TX", start, rate, Class="70", Basis="per_cwt", DestKind="state", DestCountry="US", Dest="TX")
        for start, rate in (("0", "61.75"), ("1000", "40.15"), ("2000", "35.00"))
    ),
    _lane("OSPR-MILES", "0", "2.735", Contract="OSPR-TL", Basis="per_mile", Minimum="1150.00"),
]
UNREADABLE: Row = _lane("OSPR-ASK", "0", "see tariff", Basis="flat")
SERVICES: list[Row] = [
    {
        "Accessorial ID": "OSPR-LG",
        "Contract": "OSPR-LTL",
        "Charge": "LIFTGATE",
        "Basis": "flat",
        "Rate": "85.00",
        **HOLDS,
    },
    {
        **{"Accessorial ID": "OSPR-RES", "Contract": "OSPR-LTL", "Charge": "RESIDENTIAL", "Basis": "per_cwt"},
        **{"Rate": "4.25", "Minimum": "60.00", "Maximum": "180.00", **HOLDS},
    },
    {
        **{"Accessorial ID": "OSPR-DET", "Contract": "OSPR-TL", "Charge": "DETENTION", "Basis": "per_hour"},
        **{"Rate": "75.00", "Free": "2", **HOLDS},
    },
]
_DENSITY = (
    *(("0", "400"), ("1", "300"), ("2", "250"), ("4", "175"), ("6", "125"), ("8", "100"), ("10", "92.5")),
    *(("12", "85"), ("15", "70"), ("22.5", "65"), ("30", "60")),
)
_TABLES = (
    ("DENSITY", "1", "class", "2015-01-01", _DENSITY),
    ("DENSITY", "2", "class", "2025-07-19", (*_DENSITY, ("35", "55"), ("50", "50"))),
    (
        "OSPR-FSC",
        "1",
        "fuel_percent",
        "2026-01-01",
        (("3.00", "20.0"), ("3.20", "21.5"), ("3.40", "23.0"), ("3.60", "24.5")),
    ),
    ("OSPR-MILE", "1", "fuel_per_mile", "2026-01-01", (("3.00", "0.40"), ("3.40", "0.46"), ("3.60", "0.50"))),
)
BANDS: list[Row] = [
    {"Table": name, "Version": version, "Kind": kind, "ValidFrom": since, "From": start, "Value": value}
    for name, version, kind, since, bands in _TABLES
    for start, value in bands
]
PRICES: list[Row] = [
    {"Index": "DIESEL", "Region": "US", "Week": week, "Price": price, "Published": published}
    for week, price, published in (
        ("2026-11-02", "3.381", "2026-11-02T17:00:00-0500"),
        ("2026-11-09", "3.412", "2026-11-09T17:00:00-0500"),
        # holds from the day after
        ("2026-11-16", "3.655", "2026-11-16T05:30:00-0500"),
        ("2026-11-09", "3.644", "2026-11-18T09:00:00-0500"),
    )
]


def per(quantity: Decimal, rate: str) -> int:
    """So many of what a rate is for, in cents, halves up."""
    return int((quantity * Decimal(rate) * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


class Rated:
    def __init__(self, day: Generator, contracts: Contracts) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.contracts = contracts
        self.shipments: list[tuple[Case, Shipment]] = []

    def make(self) -> None:
        card = self.publish()
        for _ in range(self.day.some(0.004, 1)):
            for case in CASES:
                for _ in range(case.count):
                    self.shipments.append((case, self.shipment(case, card)))

    # -- the card -----------------------------------------------------------------------------------------------------

    def publish(self) -> list[str]:
        """The pricing team's files; gives what is true when all of them are there."""
        # a charge has to be known before somebody may say what it costs
        first = min((o for o in self.day.orders if o.fate == "normal"), key=lambda o: o.at)
        known = [f"tms:{first.number}/1"]
        files = [
            self.file("contracts_2026.csv", "rates.contract", CONTRACTS, len(CONTRACTS)),
            self.file("lane_rates_2026.csv", "rates.lane_rate", [*LANES, UNREADABLE], len(_LTL) + 4),
            self.file("band_tables_2026.csv", "rates.band_table", BANDS, len(_TABLES)),
            self.file("fuel_prices_2026-11-16.csv", "rates.fuel_price", PRICES, len(PRICES)),
            self.file("accessorials_2026.xlsx", "rates.accessorial", SERVICES, len(SERVICES), after=known),
        ]
        for feed, records in (
            ("rates.contract", len(CONTRACTS)),
            ("rates.lane_rate", len(_LTL) + 3),
            ("rates.band_table", len(_TABLES)),
            ("rates.fuel_price", len(PRICES)),
            ("rates.accessorial", len(SERVICES)),
        ):
            self.truth.record(feed, records=records)
        self.truth.record("rates.lane_rate", "quarantined")
        self.truth.quarantine("rates.lane_rate", "OSPR-ASK/1", "unreadable_value")
        self.truth.trouble["unreadable_value"] += 1
        return [f"done:{file}" for file in files]

    def file(self, name: str, feed: str, rows: list[Row], records: int, after: list[str] | None = None) -> str:
        return self.day.act("rates", 1, name=name, rows=rows, units={feed: records}, after=after or [])

    # -- its loads ----------------------------------------------------------------------------------------------------

    def shipment(self, case: Case, card: list[str]) -> Shipment:
        day, rng, number = self.day, self.rng, len(self.shipments) + 1
        order = day.make_order(f"SO5{number:05d}", rng.uniform(2, 120), "normal", ())
        places = [
            (customer, to)
            for customer in day.world.per_shipment
            for to in day.world.ship_tos_of(customer["customer_id"])
            if (to["state"] == "TX") == case.to_texas
        ]
        day.insist(bool(places), "a place in Texas")
        order.customer, order.ship_to = rng.choice(places)
        to = order.ship_to
        del order.lines[1:]
        day.orders.append(order)
        stop = (to["ship_to_id"], to["city"], to["state"], to["postal_code"], to["time_zone"])
        made = day.beside(order, [order.origin, stop], CARRIER, case.name, 600_000 + number)
        made.fate = "pod" if rng.random() < 0.7 else "delivered"
        made.ready = card
        if case.miles:
            miles = rng.randint(*case.miles)
            made.rated = {"mode": "TL", "miles": str(miles)}
            self.by_the_mile(case, made, miles)
        else:
            self.weigh(case, made)
            made.rated = {"mode": "LTL"}
            if case.freight_class:
                made.rated["freight_class"] = case.freight_class
            sides = {"length_in": "48.00", "width_in": "40.00", "height_in": "54.00"}
            made.rated["handling_units"] = [{"count": case.pallets, **sides}]
            self.by_weight(case, made)
        if case.services:
            made.rated["accessorials"] = [
                {"charge_code": charge, **({"quantity": count} if count else {})}
                for charge, count in case.services.items()
            ]
        self.truth.documents["ours.rated"][made.id] = {c: money(cents) for c, cents in made.charges.items()}
        self.truth.trouble["rated_plan"] += 1
        return made

    def weigh(self, case: Case, made: Shipment) -> None:
        """The goods and what they are packed in weigh what the case asks for."""
        [part] = made.parts
        least, most = case.pounds
        wanted = Decimal(self.rng.randint(least * 1000, most * 1000)) / 1000
        unit = part.weight_lb / part.quantity
        part.quantity = part.line.quantity = max(int(wanted * 9 / 10 / unit), 1)
        made.tare_lb = wanted - part.weight_lb

    def by_weight(self, case: Case, made: Shipment) -> None:
        billed = Decimal(case.billed_lb) if case.billed_lb else made.weight_lb
        gross = per(billed / 100, case.rate)
        net = max(gross - percent_of(gross, DISCOUNT), MINIMUM)
        made.charges = {"LINEHAUL": net, "FUEL": percent_of(net, FUEL_PERCENT)}
        if "LIFTGATE" in case.services:
            made.charges["LIFTGATE"] = 8_500
        if "RESIDENTIAL" in case.services:
            made.charges["RESIDENTIAL"] = min(max(per(made.weight_lb / 100, "4.25"), 6_000), 18_000)

    def by_the_mile(self, case: Case, made: Shipment, miles: int) -> None:
        made.charges = {
            "LINEHAUL": max(per(Decimal(miles), case.rate), TL_MINIMUM),
            "FUEL": per(Decimal(miles), FUEL_A_MILE),
        }
        if "DETENTION" in case.services:
            # three hours and a half, of which two are free
            made.charges["DETENTION"] = 11_250

    # -- what the carrier bills ---------------------------------------------------------------------------------------

    def bill(self, billing: Billing) -> None:
        bills = []
        for case, shipment in self.shipments:
            lines, verdict = self.contracts.planned(shipment), "exact"
            match case.name:
                case "not_billed":
                    continue
                case "over":
                    lines, verdict = self.contracts.more(shipment, 90, 140), "out_of_tolerance"
                case "service_over":
                    dearer = shipment.charges["RESIDENTIAL"] + 2_500
                    lines, verdict = billing.with_amount(lines, "RESIDENTIAL", dearer), "out_of_tolerance"
                case "within":
                    lines, verdict = self.contracts.more(shipment, 15, 47), "in_tolerance"
            self.truth.trouble["rated_bill" if verdict == "exact" else "rated_bill_differs"] += 1
            bills.append(self.contracts.made(shipment, lines, verdict))
        self.contracts.upload(CARRIER, bills)
