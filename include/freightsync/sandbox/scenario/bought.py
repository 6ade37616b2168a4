"""Goods that the month's company buys: their freight is landed cost, line by line, and what comes of it once some of
the goods were sold.

Two shipments, each of a purchase order with two lines. `landed` is billed while all of it is in stock, and credited
when some of it is sold and the rest of one line is lost; `landed_late` is billed when some of it is sold, and of its
second line the ERP tells nothing. The rule by which the truth is worked out: a bill's freight is shared by weight; of a
line's share the goods that were sold bear their part, rounded towards zero like the part of those in stock, and the
cents left go to the larger of the two. What was accrued stands on stock alone, and leaves it there.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from freightsync.sandbox.scenario.freight import Line, Order, Part, Shipment, Stop
from freightsync.sandbox.scenario.sums import money, percent_of, shares
from freightsync.sandbox.scenario.world import ORIGINS, Record

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.month import Round, _Maker

STOCK, SOLD = "1400", "5100"
SUPPLIERS: tuple[Stop, ...] = (
    ("SUP-TOL", "Toledo", "OH", "43604", "America/New_York"),
    ("SUP-WIC", "Wichita", "KS", "67202", "America/Chicago"),
)
RULE: Record = {
    "rule_id": "cost.landed",
    "direction": "inbound",
    "treatment": "landed_cost",
    "cost_account": STOCK,
    "sold_account": SOLD,
}


class Bought:
    def __init__(self, month: _Maker) -> None:
        self.month = month
        self.shipments: dict[str, tuple[Shipment, str]] = {}
        self.stock: dict[tuple[str, int], tuple[int, int]] = {}
        """On hand and sold of a line, as the ERP last told."""
        self.lines: dict[str, dict[str, int]] = defaultdict(lambda: {"stock": 0, "sold": 0})
        self.versions: dict[tuple[str, int], int] = defaultdict(int)
        for n, case in enumerate(("landed", "landed_late")):
            self.shipments[case] = (self._shipment(n), case)

    def _shipment(self, n: int) -> Shipment:
        rng = self.month.rng
        supplier: Record = {"customer_id": f"SUP{n + 1}", "invoice_per": "shipment"}
        order = Order(f"PO7{n:03d}", 0.0, supplier, {}, SUPPLIERS[n], [])
        for number in (1, 2):
            line = Line(number, rng.choice(self.month.items), 10 * rng.randint(6, 30), rng.randint(500, 9_000), 1, None)
            order.lines.append(line)
        linehaul = rng.randint(60_000, 160_000)
        tail = f"{700_900 + self.month.seed % 100 * 1_000 + n}"
        found = Shipment(
            id=f"SH{tail}",
            parts=[Part(order, line, line.quantity) for line in order.lines],
            stops=[SUPPLIERS[n], ORIGINS[n]],
            scac="NRDF",
            pro=f"N{tail}",
            bol=f"BOL{tail}",
            booking=f"BK{tail}",
            tare_lb=Decimal(rng.randint(100, 900)),
            charges={"LINEHAUL": linehaul, "FUEL": percent_of(linehaul, "21.3")},
            version=1,
            fate="delivered",
        )
        order.shipments.append(found)
        return found

    def holds(self, shipment: Shipment) -> bool:
        return any(shipment is mine for mine, _ in self.shipments.values())

    # -- what the ERP tells of the goods ------------------------------------------------------------------------------

    def order(self, to: Round, day: str) -> None:
        for shipment, case in self.shipments.values():
            [order] = shipment.orders
            document = {
                "order_number": order.number,
                "version": 1,
                "changed_at": f"{day}T06:00:00+00:00",
                "status": "open",
                "supplier_id": order.customer["customer_id"],
                "billing_entity": "US01",
                "currency": "USD",
                "lines": [
                    {
                        "line": line.number,
                        "item_id": line.item["item_id"],
                        "quantity": line.quantity,
                        "unit_price": money(line.price_cents),
                    }
                    for line in order.lines
                ],
            }
            self.month.act(to, "erp_put", collection="purchase-orders", document=document)
            if case == "landed":
                for line in order.lines:
                    self._tell(to, order, line, line.quantity, 0, day)

    def sell(self, to: Round, day: str) -> None:
        """Some of it is sold; what is left of the last line of the first order is lost."""
        for shipment, case in self.shipments.values():
            [order] = shipment.orders
            first, second = order.lines
            gone = self.month.rng.randint(first.quantity // 4, 3 * first.quantity // 4)
            self._tell(to, order, first, first.quantity - gone, gone, day)
            if case == "landed":
                self._tell(to, order, second, 0, 0, day)

    def _tell(self, to: Round, order: Order, line: Line, on_hand: int, sold: int, day: str) -> None:
        key = (order.number, line.number)
        self.stock[key] = (on_hand, sold)
        self.versions[key] += 1
        document = {
            "stock_id": f"{order.number}/{line.number}",
            "version": self.versions[key],
            "changed_at": f"{day}T07:00:00+00:00",
            "order_number": order.number,
            "order_line": line.number,
            "item_id": line.item["item_id"],
            "received_quantity": str(line.quantity),
            "on_hand_quantity": str(on_hand),
            "sold_quantity": str(sold),
        }
        self.month.act(to, "erp_put", collection="stock-positions", document=document)

    # -- where its freight goes ---------------------------------------------------------------------------------------

    def by_line(self, shipment: Shipment, cents: int) -> dict[str, int]:
        weights = {f"{p.order.number}/{p.line.number}": p.weight_lb for p in shipment.parts}
        sign = -1 if cents < 0 else 1
        return {key: sign * share for key, share in shares(abs(cents), weights).items()}

    def accrued(self, shipment: Shipment, cents: int) -> None:
        for key, share in self.by_line(shipment, cents).items():
            self.lines[key]["stock"] += share

    def billed(self, shipment: Shipment, cents: int, before: int, after: int) -> int:
        """What of a bill's charge goods bear that are no longer there; the bill takes the accrual from `before` back to
        `after`."""
        back_before, back_after = self.by_line(shipment, before), self.by_line(shipment, after)
        all_sold = 0
        for key, share in self.by_line(shipment, cents).items():
            number, _, line = key.rpartition("/")
            sold = self._sold(share, self.stock.get((number, int(line))))
            all_sold += sold
            self.lines[key]["sold"] += sold
            self.lines[key]["stock"] += share - sold - (back_after[key] - back_before[key])
        return all_sold

    @staticmethod
    def _sold(cents: int, known: tuple[int, int] | None) -> int:
        if known is None:
            return 0
        on_hand, gone = known
        if on_hand + gone == 0:
            return cents
        sign, whole = (-1, -cents) if cents < 0 else (1, cents)
        sold, kept = whole * gone // (on_hand + gone), whole * on_hand // (on_hand + gone)
        return sign * (sold + (whole - sold - kept if sold > kept else 0))

    def truth(self) -> dict[str, dict[str, Any]]:
        return {key: {name: money(cents) for name, cents in line.items()} for key, line in sorted(self.lines.items())}
