"""Master data: who buys, where it goes, what it is, who carries it, and what charges are called."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

CHANGED_AT = "2026-11-13T18:00:00+00:00"
"""When the master data were last worked on before the day."""

ORIGINS = (
    ("DC-MEM", "Memphis", "TN", "38118", "America/Chicago"),
    ("DC-RNO", "Reno", "NV", "89502", "America/Los_Angeles"),
    ("DC-ABE", "Allentown", "PA", "18106", "America/New_York"),
)
HUBS = (
    ("HUB-IND", "Indianapolis", "IN", "46241", "America/Indiana/Indianapolis"),
    ("HUB-DEN", "Denver", "CO", "80239", "America/Denver"),
    ("HUB-CLT", "Charlotte", "NC", "28208", "America/New_York"),
)
CITIES = (
    ("Atlanta", "GA", "303", "America/New_York"),
    ("Austin", "TX", "787", "America/Chicago"),
    ("Baltimore", "MD", "212", "America/New_York"),
    ("Boise", "ID", "837", "America/Boise"),
    ("Boston", "MA", "021", "America/New_York"),
    ("Buffalo", "NY", "142", "America/New_York"),
    ("Chicago", "IL", "606", "America/Chicago"),
    ("Cincinnati", "OH", "452", "America/New_York"),
    ("Cleveland", "OH", "441", "America/New_York"),
    ("Columbus", "OH", "432", "America/New_York"),
    ("Dallas", "TX", "752", "America/Chicago"),
    ("Des Moines", "IA", "503", "America/Chicago"),
    ("Detroit", "MI", "482", "America/Detroit"),
    ("El Paso", "TX", "799", "America/Denver"),
    ("Fresno", "CA", "937", "America/Los_Angeles"),
    ("Hartford", "CT", "061", "America/New_York"),
    ("Houston", "TX", "770", "America/Chicago"),
    ("Jacksonville", "FL", "322", "America/New_York"),
    ("Kansas City", "MO", "641", "America/Chicago"),
    ("Las Vegas", "NV", "891", "America/Los_Angeles"),
    ("Louisville", "KY", "402", "America/Kentucky/Louisville"),
    ("Milwaukee", "WI", "532", "America/Chicago"),
    ("Minneapolis", "MN", "554", "America/Chicago"),
    ("Nashville", "TN", "372", "America/Chicago"),
    ("New Orleans", "LA", "701", "America/Chicago"),
    ("Oklahoma City", "OK", "731", "America/Chicago"),
    ("Omaha", "NE", "681", "America/Chicago"),
    ("Orlando", "FL", "328", "America/New_York"),
    ("Phoenix", "AZ", "850", "America/Phoenix"),
    ("Pittsburgh", "PA", "152", "America/New_York"),
    ("Portland", "OR", "972", "America/Los_Angeles"),
    ("Raleigh", "NC", "276", "America/New_York"),
    ("Richmond", "VA", "232", "America/New_York"),
    ("Sacramento", "CA", "958", "America/Los_Angeles"),
    ("Salt Lake City", "UT", "841", "America/Denver"),
    ("San Antonio", "TX", "782", "America/Chicago"),
    ("Seattle", "WA", "981", "America/Los_Angeles"),
    ("Spokane", "WA", "992", "America/Los_Angeles"),
    ("St. Louis", "MO", "631", "America/Chicago"),
    ("Tampa", "FL", "336", "America/New_York"),
    ("Tucson", "AZ", "857", "America/Phoenix"),
    ("Tulsa", "OK", "741", "America/Chicago"),
)
NAMES = (
    "Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ironwood", "Juniper", "Larch", "Maple",
    "Oak", "Pine", "Redwood", "Spruce", "Tamarack", "Walnut", "Willow", "Yew",
)  # fmt: skip
TRADES = ("Hardware", "Home", "Market", "Medical", "Outfitters", "Supply")
GOODS = (
    "Fasteners", "Paper towels", "Shelving", "Light fixtures", "Garden hose", "Pumps", "Valves", "Ceramic tile",
    "Batteries", "Cookware", "Work gloves", "Tape", "Paint", "Filters", "Cable", "Brackets",
)  # fmt: skip

CHARGES = {
    # canonical charge: ledger account, code in X12, code of BLUW, words
    "LINEHAUL": ("6100", ("400", "LHS"), "BASE", "Linehaul"),
    "FUEL": ("6110", ("405", "FUE"), "FSC", "Fuel surcharge"),
    "LIFTGATE": ("6120", ("LFT",), "LG", "Lift gate"),
    "DETENTION": ("6130", ("DET",), "DETN", "Detention"),
    "RESIDENTIAL": ("6140", ("RES",), "RESI", "Residential delivery"),
    "DISCOUNT": ("6100", ("DSC",), "DISC", "Discount"),
}
ACCOUNT = {charge: row[0] for charge, row in CHARGES.items()}
CURRENCY = {
    "NRDF": "USD",
    "BLUW": "USD",
    "HNSA": "EUR",
    "TALN": "USD",
    "KESL": "USD",
    "VAYU": "INR",
    **dict.fromkeys(("MRLN", "OSPR"), "USD"),
}
"""What each carrier's contract is in."""
COUNTRY_OF = {
    **{"DC-HAM": "DE", "T9DE5": "DE", "T9DE6": "DE", "T9FR": "FR", "T9FRX": "FR"},
    **{"DC-BLR": "IN", "T9INR": "IN", "T9INU": "IN", "T9INX": "IN"},
}
"""Of stops elsewhere than in the United States, by their id."""

Record = dict[str, Any]


@dataclass
class World:
    """The master records as the ERP and the TMS hold them before the day, each in its first version.

    `plain_items` have pallet dimensions, `bare_items` have none. `per_order` customers get one invoice an order.
    """

    customers: list[Record] = field(default_factory=list)
    ship_tos: list[Record] = field(default_factory=list)
    items: list[Record] = field(default_factory=list)
    carriers: list[Record] = field(default_factory=list)
    charge_codes: list[Record] = field(default_factory=list)
    lanes: list[Record] = field(default_factory=list)
    exchange_rates: list[Record] = field(default_factory=list)

    @property
    def plain_items(self) -> list[Record]:
        return [i for i in self.items if i["pallet_length_in"] is not None]

    @property
    def bare_items(self) -> list[Record]:
        return [i for i in self.items if i["pallet_length_in"] is None]

    @property
    def per_order(self) -> list[Record]:
        return [c for c in self.customers if c["invoice_per"] == "order"]

    @property
    def per_shipment(self) -> list[Record]:
        return [c for c in self.customers if c["invoice_per"] == "shipment"]

    def ship_tos_of(self, customer_id: str) -> list[Record]:
        return [s for s in self.ship_tos if s["customer_id"] == customer_id]


def build(rng: random.Random) -> World:
    world = World()
    head: Record = {"version": 1, "changed_at": CHANGED_AT}
    for n in range(60):
        per_order = n % 8 == 5
        passed_on = n % 3 != 1
        # one invoice an order adds up shares of several shipments: without a markup there is nothing to round twice
        markup = (
            "0.00" if per_order or not passed_on else rng.choice(("0.00", "3.33", "4.50", "7.25", "10.00", "12.50"))
        )
        world.customers.append(
            {
                "customer_id": f"C{1001 + n}",
                **head,
                "name": f"{NAMES[n % len(NAMES)]} {TRADES[n // 10]}",
                "billing_entity": f"US{1 + n % 3:02d}",
                "payment_terms": rng.choice(("NET30", "NET45", "NET60")),
                "billing_currency": "USD",
                "freight_billing": "pass_through" if passed_on else "embedded",
                "invoice_per": "order" if per_order else "shipment",
                "markup_percent": markup,
            }
        )
        for m in range(rng.randint(3, 6)):
            city, state, prefix, zone = rng.choice(CITIES)
            world.ship_tos.append(
                {
                    "ship_to_id": f"T{1001 + n}{m:02d}",
                    **head,
                    "customer_id": f"C{1001 + n}",
                    "name": f"{NAMES[n % len(NAMES)]} {TRADES[n // 10]} {city}",
                    "city": city,
                    "state": state,
                    "postal_code": f"{prefix}{rng.randint(1, 99):02d}",
                    "country": "US",
                    "time_zone": zone,
                }
            )
    for n in range(80):
        bare = n % 16 == 15
        hazmat = n % 20 == 12
        sizes = (
            "48.00",
            rng.choice(("40.00", "42.00", "48.00")),
            f"{rng.randint(40, 96)}.{rng.choice(('00', '25', '50'))}",
        )
        world.items.append(
            {
                "item_id": f"I{2001 + n}",
                **head,
                "description": f"{GOODS[n % len(GOODS)]} {rng.randint(2, 60)} ct",
                "unit_weight_lb": f"{rng.randint(1, 60)}.{rng.choice(('125', '250', '333', '500', '667', '875'))}",
                "pallet_length_in": None if bare else sizes[0],
                "pallet_width_in": None if bare else sizes[1],
                "pallet_height_in": None if bare else sizes[2],
                "hazmat": hazmat,
                "un_number": "UN1263" if hazmat else None,
            }
        )
    for scac, name, channel in (
        ("NRDF", "Northern Road Freight", "edi"),
        ("BLUW", "Bluewater Logistics", "api"),
        ("TALN", "Talon Transport", "portal"),
        ("KESL", "Kestrel Lines", "portal"),
        ("HNSA", "Hansa Spedition", "edi"),
        ("ANCH", "Anchor Factoring", "portal"),
        ("VAYU", "Vayu Roadways", "portal"),
        ("MRLN", "Merlin Haulage", "portal"),
        ("OSPR", "Osprey Freight Lines", "portal"),
    ):
        world.carriers.append(
            {
                "carrier_id": f"V{scac}",
                **head,
                "scac": scac,
                "name": name,
                "channel": channel,
                "carrier_currency": CURRENCY.get(scac, "USD"),
            }
        )
    for charge, (account, x12_codes, bluw_code, words) in CHARGES.items():
        for scac, code in [("*", code) for code in x12_codes] + [("BLUW", bluw_code)]:
            world.charge_codes.append(
                {
                    "charge_code_id": f"CC-{'ANY' if scac == '*' else scac}-{code}",
                    **head,
                    "scac": scac,
                    "partner_code": code,
                    "charge_code": charge,
                    "description": words,
                    "ledger_account": account,
                    "valid_from": "2020-01-01",
                    "valid_to": None,
                }
            )
    for n, (origin, place) in enumerate((o, c) for o in ORIGINS for c in CITIES[::3]):
        world.lanes.append(
            {
                "lane_id": f"L{3001 + n}",
                **head,
                "origin_postal": origin[3],
                "destination_postal": place[2] + "01",
                "scac": ("NRDF", "BLUW")[n % 2],
                "equipment": "53FT",
                "transit_days": rng.randint(1, 4),
            }
        )
    for currency, rate in (("EUR", "1.0837"), ("INR", "0.0113")):
        world.exchange_rates.append(
            {
                "exchange_rate_id": f"{currency}/USD/corporate/2026-11-16",
                **head,
                "from_currency": currency,
                "to_currency": "USD",
                "rate": rate,
                "source": "corporate",
                "rate_on": "2026-11-16",
            }
        )
    return world
