"""Customers whose invoices bear tax, or a reason why they bear none: units of the company that charge tax themselves.

ABE sells from Pennsylvania and is registered in New Jersey, Texas and Michigan; HAM sells in Hamburg; BLR carries goods
in Bangalore and has declared that its customers pay the tax. What the tax of each case is stands here as a figure, with
what it is taken of; where something is missing the invoice waits by name. HAM's customers want e-invoices, and its
carrier bills with VAT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.bills import Billing
from freightsync.sandbox.scenario.freight import Shipment, Stop
from freightsync.sandbox.scenario.sums import money, percent_of
from freightsync.sandbox.scenario.world import CHANGED_AT, ORIGINS, Record

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.contracts import Contracts
    from freightsync.sandbox.scenario.generator import Generator

HAMBURG: Stop = ("DC-HAM", "Hamburg", "", "20457", "Europe/Berlin")
BANGALORE: Stop = ("DC-BLR", "Bangalore", "KA", "560001", "Asia/Kolkata")


@dataclass(frozen=True)
class Case:
    """taxes: percent, and of what (`all`, `goods`). held: what is needed to say the tax is missing. buyer: the
    customer's tax profile. e_invoice: the profile that the customer wants its invoice in."""

    name: str
    unit: str
    to: Stop
    country: str
    buyer: Record
    taxes: tuple[tuple[str, str], ...] = ()
    held: bool = False
    e_invoice: str = ""

    @property
    def customer(self) -> str:
        return f"C9{self.name}"


def _us(name: str, city: str, state: str, postal: str, zone: str, *taxes: tuple[str, str], **buyer: object) -> Case:
    held = bool(buyer.pop("held", False))
    profile = {"country": "US", "region": state, "status": "business", **buyer}
    return Case(name, "US09", (f"T9{name}", city, state, postal, zone), "US", profile, taxes, held)


CASES = (
    _us("NJ", "Newark", "NJ", "07102", "America/New_York", ("6.625", "all")),
    # the state's tax, and the city's
    _us("TX", "Dallas", "TX", "75201", "America/Chicago", ("6.25", "all"), ("2.0", "all")),
    # freight that is stated separately is not taxed there
    _us("MI", "Detroit", "MI", "48201", "America/Detroit", ("6", "goods")),
    _us(
        *("TXR", "Dallas", "TX", "75201", "America/Chicago"),
        certificates=[
            {"kind": "resale", "country": "US", "region": "TX", "valid_from": "2020-01-01", "valid_to": None}
        ],
    ),
    # not registered there: the buyer owes use tax
    _us("GA", "Atlanta", "GA", "30303", "America/New_York"),
    # nobody has told us the city's rate
    _us("TXH", "Houston", "TX", "77002", "America/Chicago", held=True),
    *(
        Case(
            f"DE{n}",
            "DE01",
            (f"T9DE{n}", "Bonn", "", "53111", "Europe/Berlin"),
            "DE",
            {
                **{"country": "DE", "city": "Bonn", "postal_code": "53111", "street": "Markt 1", "status": "business"},
                **{"tax_id": f"DE11111112{n}", "legal_name": f"Rhein Handel {n} GmbH", "endpoint": f"DE11111112{n}"},
                **{"endpoint_scheme": "9930", "buyer_reference": f"04011000-{n}"},
            },
            (("19", "all"),),
            e_invoice="xrechnung",
        )
        for n in (5, 6)
    ),
    Case(
        "FR",
        "DE01",
        ("T9FR", "Lyon", "", "69001", "Europe/Paris"),
        "FR",
        {
            **{"country": "FR", "city": "Lyon", "postal_code": "69001", "street": "Rue 1", "status": "business"},
            **{"tax_id": "FR40303265045", "legal_name": "Rhone Commerce SA", "endpoint": "FR40303265045"},
            **{"endpoint_scheme": "9957", "buyer_reference": "B-17"},
        },
        e_invoice="peppol",
    ),
    # without its VAT number nobody may leave the VAT out
    Case(
        "FRX",
        "DE01",
        ("T9FRX", "Lille", "", "59000", "Europe/Paris"),
        "FR",
        {"country": "FR", "city": "Lille", "postal_code": "59000", "status": "business", "legal_name": "Nord SARL"},
        held=True,
    ),
    # the recipient pays the tax of a goods transport agency
    Case(
        "INR",
        "IN01",
        ("T9INR", "Mysore", "KA", "570001", "Asia/Kolkata"),
        "IN",
        {"country": "IN", "region": "KA", "status": "business", "tax_id": "29ABCDE1234F1Z5"},
    ),
    Case(
        "INU",
        "IN01",
        ("T9INU", "Hubli", "KA", "580020", "Asia/Kolkata"),
        "IN",
        {"country": "IN", "region": "KA", "status": "consumer", "attributes": {"recipient_kind": "individual"}},
    ),
    Case(
        "INX",
        "IN01",
        ("T9INX", "Mangalore", "KA", "575001", "Asia/Kolkata"),
        "IN",
        {"country": "IN", "region": "KA", "status": "business", "tax_id": "29ABC"},
        held=True,
    ),
)
CURRENCY_OF = {"US09": "USD", "DE01": "EUR", "IN01": "INR"}
SCAC_OF = {"DE01": "HNSA", "IN01": "VAYU"}


class Taxed:
    def __init__(self, day: Generator, contracts: Contracts) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.contracts = contracts
        self.shipments: list[tuple[Case, Shipment]] = []
        self._orders = 0

    def make(self) -> None:
        for item in self.day.world.plain_items:
            self.profile(f"item:{item['item_id']}", {"tax_class": "standard"})
        rate = {
            **{"rate_id": "US-TX-75201", "version": 1, "changed_at": CHANGED_AT, "country": "US", "region": "TX"},
            **{"postal_code": "75201", "jurisdiction": "Dallas", "rate_class": "standard", "rate_percent": "2.0"},
            **{"valid_from": "2020-01-01", "valid_to": None},
        }
        self.day.put("tax-rates", -10, rate)
        for case in CASES:
            self.put_customer(case)
        for _ in range(self.day.some(0.004, 1)):
            for case in CASES:
                self.shipments.append((case, self.shipment(case)))

    def profile(self, name: str, more: Record) -> None:
        self.day.put("tax-profiles", -10, {"profile_id": name, "version": 1, "changed_at": CHANGED_AT, **more})

    def put_customer(self, case: Case) -> None:
        head: Record = {"version": 1, "changed_at": CHANGED_AT}
        name = case.buyer.get("legal_name", f"{case.to[1]} Trading")
        self.day.put(
            "customers",
            -10,
            {
                "customer_id": case.customer,
                **head,
                "name": name,
                "billing_entity": case.unit,
                "payment_terms": "NET30",
                "billing_currency": CURRENCY_OF[case.unit],
                "freight_billing": "pass_through",
                "invoice_per": "shipment",
                "markup_percent": "0.00",
            },
        )
        place = {"city": case.to[1], "state": case.to[2], "postal_code": case.to[3], "country": case.country}
        self.day.put(
            "ship-tos",
            -10,
            {
                "ship_to_id": case.to[0],
                **head,
                "customer_id": case.customer,
                "name": name,
                **place,
                "time_zone": case.to[4],
            },
        )
        wants = {"einvoice": case.e_invoice} if case.e_invoice else {}
        said = {**case.buyer.get("attributes", {}), **wants}
        self.profile(f"customer:{case.customer}", {**case.buyer, **({"attributes": said} if said else {})})

    def shipment(self, case: Case) -> Shipment:
        day = self.day
        self._orders += 1
        order = day.make_order(f"SO8{self._orders:05d}", self.rng.uniform(2, 220), "normal", ())
        order.customer = {
            "customer_id": case.customer,
            "invoice_per": "shipment",
            "freight_billing": "pass_through",
            "markup_percent": "0.00",
        }
        order.ship_to = {"ship_to_id": case.to[0]}
        order.currency, order.taxes = CURRENCY_OF[case.unit], case.taxes
        if case.unit == "IN01":
            for line in order.lines:
                # the goods are somebody else's: only their carriage is sold
                line.price_cents = 0
        day.orders.append(order)
        origin = {"DE01": HAMBURG, "IN01": BANGALORE}.get(case.unit, ORIGINS[self._orders % len(ORIGINS)])
        scac = SCAC_OF.get(case.unit, ("NRDF", "BLUW")[self._orders % 2])
        made = day.beside(order, [origin, case.to], scac, "taxed", 400_000 + self._orders)
        if case.held:
            made.held = True
            self.truth.documents["ours.hold"][made.id] = {"reasons": ["tax_not_decided"]}
            self.truth.trouble["tax_not_decided"] += 1
        else:
            self.truth.trouble["taxed_invoice" if case.taxes else "invoice_without_tax_for_a_reason"] += 1
        return made

    def bill(self, billing: Billing) -> None:
        """Carriers bill as planned; HAM's with VAT, which stands beside what is settled."""
        inr = []
        for case, shipment in self.shipments:
            bill = billing.bill(shipment, billing.as_planned(shipment), verdict="exact")
            if case.unit == "IN01":
                bill.references = billing.references(shipment, "all")
                inr.append(bill)
                continue
            if case.unit == "DE01":
                bill.tax_cents = percent_of(bill.net_cents, "19")
                self.truth.trouble["bill_with_tax"] += 1
            billing.send(bill, shipment)
        self.contracts.upload("VAYU", inr)

    def write_truth(self) -> None:
        """What each e-invoice says, as it lies at the access point."""
        billed = self.truth.documents["erp.customer_invoice"]
        for case, shipment in self.shipments:
            if not case.e_invoice:
                continue
            key = f"{shipment.orders[0].number}/{shipment.id}"
            cents = {name: int(billed[key].get(name, "0.00").replace(".", "")) for name in ("goods", "freight", "tax")}
            self.truth.documents["customers.einvoice"][key] = {
                "type": "380",
                "profile": case.e_invoice,
                "buyer": case.buyer["legal_name"],
                "currency": "EUR",
                "net": money(cents["goods"] + cents["freight"]),
                "tax": money(cents["tax"]),
                "total": billed[key]["total"],
                "broken_rules": 0,
            }
            self.truth.trouble["e_invoice"] += 1
