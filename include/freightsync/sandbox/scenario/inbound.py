"""Goods that the company buys, and what it costs to have them brought: freight that is part of what the goods cost.

Each purchase order comes on a truck of its own. Its freight is shared among its lines by weight; when the bill comes,
some goods are sold already, and their share is cost of goods sold. How many of a line are there and how many are sold
stands before the day begins; what is sold after the bill changes nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.bills import TOMORROW, Billing
from freightsync.sandbox.scenario.freight import Order, Shipment, Stop
from freightsync.sandbox.scenario.sums import percent_of
from freightsync.sandbox.scenario.world import CHANGED_AT, ORIGINS

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

SUPPLIERS: tuple[Stop, ...] = (
    ("SUP-TOL", "Toledo", "OH", "43604", "America/New_York"),
    ("SUP-TUL", "Tulsa", "OK", "74103", "America/Chicago"),
    ("SUP-FRE", "Fremont", "CA", "94538", "America/Los_Angeles"),
)
STOCK: dict[str, tuple[tuple[int, int] | None, ...]] = {
    # of each line's 100 pieces: on hand, sold; None: the ERP says nothing of it
    "nothing_sold": ((100, 0), (100, 0)),
    "partly_sold": ((60, 40), (37, 63), None),
    "half_sold": ((50, 50),),
    "all_sold": ((0, 100), (0, 100)),
    "lost": ((0, 0), (100, 0)),
    "credited": ((33, 67), (80, 20)),
    "not_billed": ((20, 80), None),
    "more_than_planned": ((13, 87), (45, 55), (90, 10)),
}


class Inbound:
    def __init__(self, day: Generator) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.shipments: list[Shipment] = []
        self._orders = 0

    def make(self) -> None:
        for _ in range(self.day.some(0.004, 1)):
            for case, stock in STOCK.items():
                self.shipments.append(self.shipment(case, stock))

    def shipment(self, case: str, stock: tuple[tuple[int, int] | None, ...]) -> Shipment:
        day = self.day
        self._orders += 1
        number = f"PO9{self._orders:05d}"
        like = day.make_order(number, self.rng.uniform(2, 200), "normal", ())
        lines = [day.make_line(n) for n in range(1, len(stock) + 1)]
        for line in lines:
            line.quantity = 100
        # nobody is billed for goods that we buy: the day's orders don't have it
        buyer = {"customer_id": "", "invoice_per": "shipment", "freight_billing": "embedded"}
        order = Order(number, like.at, buyer, {}, like.origin, lines)
        origin, dock = SUPPLIERS[self._orders % len(SUPPLIERS)], ORIGINS[self._orders % len(ORIGINS)]
        made = day.beside(order, [origin, dock], ("NRDF", "BLUW")[self._orders % 2], case, 300_000 + self._orders)
        made.direction, made.fate = "inbound", ("pod", "delivered")[self._orders % 2]
        made.stock = {line.number: there for line, there in zip(lines, stock, strict=True) if there is not None}
        day.put(
            "purchase-orders",
            -10,
            {
                "order_number": number,
                "version": 1,
                "changed_at": CHANGED_AT,
                "status": "open",
                "supplier_id": origin[0],
                "billing_entity": "US01",
                "currency": "USD",
                "lines": [
                    {
                        "line": line.number,
                        "item_id": line.item["item_id"],
                        "quantity": line.quantity,
                        "unit_price": f"{line.price_cents / 100:.2f}",
                    }
                    for line in lines
                ],
            },
        )
        for line_number, (on_hand, sold) in made.stock.items():
            day.put("stock-positions", -10, self.position(number, line_number, on_hand, sold))
        self.truth.trouble["bought_goods"] += 1
        return made

    def position(self, order: str, line: int, on_hand: int, sold: int) -> dict[str, object]:
        return {
            "stock_id": f"{order}/{line}",
            "version": 1,
            "changed_at": CHANGED_AT,
            "order_number": order,
            "order_line": line,
            "received_quantity": "100.000",
            "on_hand_quantity": f"{on_hand}.000",
            "sold_quantity": f"{sold}.000",
        }

    def bill(self, billing: Billing) -> None:
        for n, shipment in enumerate(self.shipments):
            if shipment.case == "not_billed":
                continue
            lines = [(charge, billing.code(shipment.scac, charge), cents) for charge, cents in shipment.charges.items()]
            verdict = "exact"
            if shipment.case == "more_than_planned":
                lines, verdict = billing.raised(lines, shipment, "LINEHAUL", 9, 27), "in_tolerance"
            bill = billing.bill(shipment, lines, verdict=verdict)
            # found by its purchase order alone, where it names nothing else
            bill.references = billing.references(shipment, "po_number" if n % 3 == 0 else "all")
            billing.send(bill, shipment)
            if any(sold for _, sold in shipment.stock.values()):
                self.truth.trouble["late_freight_on_sold_goods"] += 1
            paid = [f"erp_supplier_invoice:{bill.scac}/{bill.number}"]
            if shipment.case == "credited":
                # it takes from stock and from what is sold as the bill brought it
                back = -percent_of(shipment.charges["LINEHAUL"], "8")
                code = next(code for charge, code, _ in lines if charge == "LINEHAUL")
                credit = [("LINEHAUL", code, back)]
                billing.follow(bill, shipment, credit, "CR", bill.number + "CR", TOMORROW, "in_tolerance")
            elif shipment.case == "partly_sold":
                at = self.rng.uniform(700, 900)
                for line, (on_hand, sold) in shipment.stock.items():
                    later = self.position(shipment.orders[0].number, line, on_hand // 2, sold + on_hand - on_hand // 2)
                    later |= {"version": 2, "changed_at": self.day.clock.utc(at)}
                    self.day.put("stock-positions", at, later, after=paid)
