"""A carrier whose tariff forbids paying less than it bills. MRLN is paid in full; what is in its bills beyond the plan
is no cost but a claim on the carrier, on an account of its own, and what it credits comes off the claim first.

Some claims are closed by a credit within the day, one comes back in part, some are still open at its end. One credit is
for more than was claimed: the rest of it makes the freight cheaper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.bills import TOMORROW, Billing
from freightsync.sandbox.scenario.freight import Bill, Shipment
from freightsync.sandbox.scenario.sums import money, percent_of
from freightsync.sandbox.scenario.world import CHARGES

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.contracts import Contracts
    from freightsync.sandbox.scenario.generator import Generator

CARRIER = "MRLN"
CASES = {
    # what becomes of what is billed beyond the plan: one of each a round
    "as_planned": 1,
    "credited": 3,
    "half_credited": 1,
    "credited_beyond": 1,
    "open": 2,
    "open_unplanned": 1,
}


class Claims:
    def __init__(self, day: Generator, contracts: Contracts) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.contracts = contracts
        self.shipments: list[tuple[str, Shipment]] = []

    def make(self) -> None:
        for _ in range(self.day.some(0.004, 1)):
            for case, count in CASES.items():
                for _ in range(count):
                    self.shipments.append((case, self.shipment(case)))

    def shipment(self, case: str) -> Shipment:
        day, number = self.day, len(self.shipments) + 1
        order = day.make_order(f"SO6{number:05d}", self.rng.uniform(2, 220), "normal", ())
        day.orders.append(order)
        to = order.ship_to
        stop = (to["ship_to_id"], to["city"], to["state"], to["postal_code"], to["time_zone"])
        made = day.beside(order, [order.origin, stop], CARRIER, case, 500_000 + number)
        made.fate = "pod" if self.rng.random() < 0.7 else "delivered"
        return made

    def bill(self, billing: Billing) -> None:
        bills, credits = [], []
        for case, shipment in self.shipments:
            bill = self.first(billing, case, shipment)
            bills.append(bill)
            claimed = sum(bill.claimed.values())
            back = {
                "credited": claimed,
                "half_credited": claimed // 2,
                "credited_beyond": claimed + percent_of(shipment.charges["LINEHAUL"], "1.5"),
            }.get(case, 0)
            if back:
                credits.append(self.credit(bill, shipment, claimed, back))
            if claimed:
                left = max(claimed - back, 0)
                self.truth.documents["ours.claim"][f"{CARRIER}/{bill.number}"] = {
                    "claimed": money(claimed),
                    "open": money(left),
                    "state": "open" if left else "settled",
                }
                self.truth.trouble["paid_and_claimed"] += 1
                self.truth.trouble["claim_open" if left else "claim_settled"] += 1
        self.contracts.upload(CARRIER, bills)
        self.contracts.upload(CARRIER, credits, after=bills)

    def first(self, billing: Billing, case: str, shipment: Shipment) -> Bill:
        """What the carrier bills, with what of it is claimed back."""
        if case == "as_planned":
            return self.contracts.made(shipment, self.contracts.planned(shipment), "exact")
        if case == "open_unplanned":
            amount = self.rng.randint(4_000, 12_000)
            lines = [*self.contracts.planned(shipment), ("DETENTION", CHARGES["DETENTION"][1][0], amount)]
            bill = self.contracts.made(shipment, lines, "unplanned_charge")
            bill.claimed = {"DETENTION": amount}
            return bill
        bill = self.contracts.made(shipment, self.contracts.more(shipment, 80, 140), "out_of_tolerance")
        bill.claimed = {"LINEHAUL": bill.net_cents - shipment.planned_cents}
        return bill

    def credit(self, bill: Bill, shipment: Shipment, claimed: int, back: int) -> Bill:
        code = CHARGES["LINEHAUL"][1][0]
        credit = self.contracts.made(
            shipment, [("LINEHAUL", code, -back)], "in_tolerance", on=TOMORROW, number=f"{bill.number}CR"
        )
        credit.correction = "CR"
        credit.claimed = {"LINEHAUL": -min(back, claimed)}
        return credit
