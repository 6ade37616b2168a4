"""Makes the day. Order of work: orders and shipments, who gets which trouble, what happens to each shipment, what
carriers bill for it, calls and files of special kinds, and what all books show at the end."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from freightsync.sandbox.scenario import world as masters
from freightsync.sandbox.scenario.advised import advise, contest
from freightsync.sandbox.scenario.answers import write_answers
from freightsync.sandbox.scenario.bills import Billing
from freightsync.sandbox.scenario.claims import Claims
from freightsync.sandbox.scenario.clock import MINUTES, START, Clock
from freightsync.sandbox.scenario.complaints import complain
from freightsync.sandbox.scenario.contracts import BY_DRIVER, Contracts
from freightsync.sandbox.scenario.freight import Line, Order, Part, Shipment, Stop
from freightsync.sandbox.scenario.inbound import Inbound
from freightsync.sandbox.scenario.rated import Rated
from freightsync.sandbox.scenario.special import special_files
from freightsync.sandbox.scenario.sums import NoRoomError, money, percent_of, shares, with_markup
from freightsync.sandbox.scenario.taxed import Taxed
from freightsync.sandbox.scenario.truth import Truth
from freightsync.sandbox.scenario.world import COUNTRY_OF, HUBS, ORIGINS, Record

LEAST_ORDERS = 40
MASTER = (
    *("customers", "ship-tos", "items", "carriers", "charge-codes", "exchange-rates"),
    *("tax-profiles", "tax-rates", "purchase-orders", "stock-positions"),
)
MASTER_FEED = {
    "tax-profiles": "erp.tax_profile",
    "tax-rates": "erp.tax_rate",
    "purchase-orders": "erp.purchase_order",
    "stock-positions": "erp.stock_position",
    "customers": "erp.customer",
    "ship-tos": "erp.ship_to",
    "items": "erp.item",
    "carriers": "erp.carrier",
    "charge-codes": "erp.charge_code",
    "exchange-rates": "erp.exchange_rate",
}
ERP_STATUS = {
    "tendered": "tendered",
    "accepted": "tendered",
    "dispatched": "in_transit",
    "picked_up": "in_transit",
    "in_transit": "in_transit",
    "delivered": "delivered",
    "pod_received": "delivered",
    "cancelled": "cancelled",
}
LADDER = ("planned", "tendered", "in_transit", "delivered", "cancelled")
RIDING = ("picked_up", "in_transit", "delivered", "pod")
FAULTS = (
    ("429", "/api/v1/status-updates"),
    ("503", "/api/v1/customer-invoices"),
    ("commit_then_drop", "/api/v1/customer-invoices"),
    ("429", "/api/v1/customer-invoices"),
    ("503", "/api/v1/status-updates"),
    ("commit_then_drop", "/api/v1/journal-entries"),
    ("429", "/api/v1/supplier-invoices"),
    ("503", "/api/v1/supplier-invoices"),
    ("commit_then_drop", "/api/v1/supplier-invoices"),
    ("commit_then_drop", "/api/v1/status-updates"),
)

BANK = "US64SVBK0001"
TMS_HEAD = (
    "customer_id",
    "ship_to_id",
    "requested_from",
    "requested_to",
    "shipping_conditions",
    "service_requirements",
)
"""What the TMS is told of an order beside its lines, as the ERP has it."""
EVERY_DAY = (
    "answer_that_the_tms_does_not_share",
    "balance_due",
    "bad_webhook_signature",
    "broken_isa",
    "consolidated_invoice",
    "credit_bill",
    "duplicate_event",
    "duplicate_file",
    "duplicate_invoice_move",
    "duplicate_invoice_number",
    "erp_429",
    "erp_503",
    "erp_commit_then_drop",
    "file_still_being_written",
    "invoice_for_unknown_shipment",
    "late_event",
    "lines_do_not_sum",
    "missing_pallet_dimensions",
    "order_cancelled_after_planning",
    "order_changed_after_planning",
    "out_of_order_event",
    "pod_before_delivery_event",
    "reference_fits_two_shipments",
    "tender_answered_by_990",
    "tender_declined",
    "truncated_file",
    "unknown_charge_code",
    "unknown_ship_to",
    "unplanned_charge",
    "variance_in_tolerance",
    "variance_out_of_tolerance",
)
"""Trouble that no day may lack: each at least three times."""

Action = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """A day: what happens (`head`, `actions`, `expected_orders`) and how it must end (`truth`). All plain JSON."""

    head: dict[str, Any]
    actions: list[Action]
    expected_orders: dict[str, Any]
    truth: dict[str, Any]

    def write(self, directory: Path) -> None:
        """`scenario.json` and `truth.json`."""
        directory.mkdir(parents=True, exist_ok=True)
        scenario = {**self.head, "expected_orders": self.expected_orders, "actions": self.actions}
        for name, document in (("scenario.json", scenario), ("truth.json", self.truth)):
            (directory / name).write_text(json.dumps(document, indent=None, separators=(",", ":")), encoding="utf-8")


def generate(seed: int, orders: int = 500) -> Scenario:
    """The day of this seed. Raises ValueError for fewer than 40 orders: every kind of trouble needs its place."""
    if orders < LEAST_ORDERS:
        raise ValueError(f"a day needs at least {LEAST_ORDERS} orders, not {orders}: there is no room for its troubles")
    for attempt in range(50):
        try:
            return Generator(seed, orders, attempt).run()
        except NoRoomError as error:
            # chance dealt too few of something; the next deal is as much this seed's as the first
            last = error
    raise last


class Generator:
    def __init__(self, seed: int, orders: int, attempt: int = 0) -> None:
        self.seed, self.size = seed, orders
        self.rng = random.Random(f"freightsync day {seed} {orders} {attempt}")
        self.clock = Clock()
        self.truth = Truth()
        self.world = masters.build(self.rng)
        self.actions: list[Action] = []
        self.expected_orders: dict[str, Any] = {}
        self.orders: list[Order] = []
        self.shipments: list[Shipment] = []
        self.sharing_bol: list[tuple[Shipment, Shipment]] = []
        self.files = 0
        self._weights: set[tuple[str, str, str, str]] = set()
        self._acts = self._events = 0
        self._numbers = {name: self.rng.randint(1, 8) * 100_000 for name in ("pro", "bol", "booking")}

    def run(self) -> Scenario:
        self.make_orders()
        self.make_shipments()
        self.deal_out_trouble()
        contracts = Contracts(self)
        taxed = Taxed(self, contracts)
        beside = (contracts, Inbound(self), taxed, Claims(self, contracts), Rated(self, contracts))
        for made in beside:
            made.make()
        self.put_master_data()
        for order in self.orders:
            self.release(order)
        for shipment in self.shipments:
            self.execute(shipment)
        billing = Billing(self)
        billing.run()
        for made in beside:
            made.bill(billing)
        self.loose_events()
        self.faults()
        advise(self, billing)
        special_files(self)
        write_answers(self)
        contested = contest(self)
        self.write_final_truth(billing)
        taxed.write_truth()
        complain(self, self.bank())
        for kind in EVERY_DAY:
            self.insist(self.truth.trouble[kind] >= 3, f"three of {kind}")
        self.actions.sort(key=lambda a: (a["at"], a["id"]))
        head = {
            "seed": self.seed,
            "orders": self.size,
            "business_date": START.date().isoformat(),
            "day_start": START.isoformat(),
            "minutes": MINUTES,
            # who says that it read what we left for it
            "acknowledges": ["nrdf"],
            # and says of some of it that it is wrong: by bill
            "contests": {"nrdf": contested},
        }
        truth = self.truth.document(seed=self.seed, orders=self.size, business_date=head["business_date"])
        return Scenario(head, self.actions, self.expected_orders, truth)

    # -- helpers ------------------------------------------------------------

    def some(self, rate: float, least: int = 3) -> int:
        """How many of a kind a day of this size has: at least three."""
        return max(least, round(self.size * rate))

    def insist(self, there: bool, what: str) -> None:
        """Raises NoRoomError where this deal of the day has no room for something."""
        if not there:
            raise NoRoomError(f"seed {self.seed} with {self.size} orders has no room for {what}")

    def sample(self, pool: Sequence[T], count: int, what: str) -> list[T]:
        """That many of a pool, which keeps them. Raises NoRoomError if there are fewer."""
        self.insist(len(pool) >= count, f"{count} x {what}")
        return self.rng.sample(pool, count)

    def pick(self, pool: list[T], count: int, what: str) -> list[T]:
        """Takes that many out of a pool. Raises NoRoomError if there are fewer."""
        chosen = self.sample(pool, count, what)
        ids = {id(c) for c in chosen}
        pool[:] = [p for p in pool if id(p) not in ids]
        return chosen

    def act(self, do: str, at: float, **more: Any) -> str:
        """Adds an action; gives its id."""
        self._acts += 1
        action_id = f"a{self._acts:06d}"
        self.actions.append({"id": action_id, "at": round(at, 3), "do": do, **more})
        return action_id

    def event_id(self, prefix: str) -> str:
        self._events += 1
        return f"{prefix}{self.seed:03d}{self._events:07d}"

    def event(
        self,
        partner: str,
        at: float,
        event: dict[str, Any],
        feed: str,
        *,
        after: Sequence[str] = (),
        gap: float = 0,
        outcome: Any = "accepted",
        cents: int = 0,
        pod: dict[str, Any] | None = None,
    ) -> str:
        """An event that a partner sends by webhook, counted in the truth."""
        self.truth.record(feed, outcome, cents)
        more: dict[str, Any] = {"pod": pod} if pod else {}
        if gap:
            more["gap"] = round(gap, 3)
        return self.act("event", at, partner=partner, event=event, units={feed: 1}, after=list(after), **more)

    # -- orders ------------------------------------------------------------

    def make_orders(self) -> None:
        fates: list[tuple[str, tuple[str, ...]]] = []
        small = self.size < 150
        rejected: list[tuple[str, ...]] = [("unknown_ship_to",)] * self.some(0.008)
        rejected += [("missing_pallet_dimensions",)] * self.some(0.008)
        if small:
            rejected[0] = ("negative_quantity", "unknown_ship_to")
            rejected[-1] = ("missing_pallet_dimensions", "unknown_item")
        else:
            for reason in ("negative_quantity", "unknown_item", "unknown_customer"):
                rejected += [(reason,)] * 3
            rejected.append(("negative_quantity", "unknown_ship_to"))
        fates += [("quarantined", reasons) for reasons in rejected]
        fates += [("changed", ())] * self.some(0.016) + [("cancelled", ())] * self.some(0.014)
        fates += [("normal", ())] * (self.size - len(fates))
        self.rng.shuffle(fates)
        releases = sorted(self.rng.uniform(2, 290) for _ in fates)
        for n, (at, (fate, reasons)) in enumerate(zip(releases, fates, strict=True)):
            if fate in ("changed", "cancelled"):
                # these go to and fro between the systems: early enough to be settled within the day
                at = self.rng.uniform(2, 60)
            self.orders.append(self.make_order(f"SO{100_001 + n}", at, fate, reasons))
        normal = [o for o in self.orders if o.fate == "normal"]
        for order in self.sample(normal, self.some(0.13, 6), "orders billed as a whole"):
            order.customer = self.rng.choice(self.world.per_order)
            order.ship_to = self.rng.choice(self.world.ship_tos_of(order.customer["customer_id"]))
        for order in self.sample(normal, self.some(0.03), "orders without dimensions"):
            # the order gives no dimensions; the item master does
            line = self.rng.choice(order.lines)
            line.sizes = None
            self.truth.trouble["missing_pallet_dimensions_enriched"] += 1
        for order in self.orders:
            for reason in order.reasons:
                self.truth.trouble[reason] += 1
            if order.fate in ("changed", "cancelled"):
                self.truth.trouble[f"order_{order.fate}_after_planning"] += 1
        self.truth.trouble = type(self.truth.trouble)({k: v for k, v in self.truth.trouble.items() if v >= 3})

    def make_order(self, number: str, at: float, fate: str, reasons: tuple[str, ...]) -> Order:
        rng = self.rng
        customer = rng.choice(self.world.per_shipment)
        ship_to = rng.choice(self.world.ship_tos_of(customer["customer_id"]))
        lines = [self.make_line(n) for n in range(1, rng.choice((1, 1, 2, 2, 3, 4)) + 1)]
        if "missing_pallet_dimensions" in reasons:
            lines[-1].item, lines[-1].sizes = rng.choice(self.world.bare_items), None
        if "unknown_item" in reasons:
            if len(lines) == 1:
                lines.insert(0, Line(1, lines[0].item, rng.randint(4, 40), 1_999, 1, ("48.00", "40.00", "50.00")))
                lines[-1].number = 2
            lines[0].item = {**lines[0].item, "item_id": f"I9{number[-3:]}"}
            lines[0].sizes = ("48.00", "40.00", "50.00")
        if "negative_quantity" in reasons:
            lines[0].quantity = -lines[0].quantity
        if "unknown_ship_to" in reasons:
            ship_to = {**ship_to, "ship_to_id": f"T9{number[-4:]}"}
        if "unknown_customer" in reasons:
            customer = {**customer, "customer_id": f"C9{number[-4:]}"}
        return Order(number, at, customer, ship_to, rng.choice(ORIGINS), lines, fate, reasons)

    def make_line(self, number: int) -> Line:
        rng = self.rng
        item = rng.choice(self.world.plain_items)
        length, width, height = item["pallet_length_in"], item["pallet_width_in"], item["pallet_height_in"]
        if rng.random() < 0.3:
            height = f"{rng.randint(38, 98)}.{rng.choice(('00', '50'))}"
        quantity = rng.randint(4, 90)
        price = rng.randint(199, 24_999)
        return Line(number, item, quantity, price, rng.randint(1, 6), (length, width, height))

    # -- shipments ------------------------------------------------------------

    def make_shipments(self) -> None:
        rng = self.rng
        shipped = [o for o in self.orders if o.fate != "quarantined"]
        together = self.pairs([o for o in shipped if o.fate == "normal" and not o.per_order])
        for order in shipped:
            if any(order is second for _, second in together):
                continue
            first_of = next((second for first, second in together if first is order), None)
            if first_of is not None:
                # two orders of a customer to the same place travel together
                self.add_shipment([Part(o, line, line.quantity) for o in (order, first_of) for line in o.lines])
                self.truth.volumes["shipments_of_two_orders"] += 1
                continue
            # small days need shipments for every kind of trouble
            count = rng.choices((1, 2, 3), (8, 47, 45) if self.size < 80 else (38, 43, 19))[0]
            if order.per_order and order.lines[0].quantity >= 6:
                count = max(count, 2)
            self.split(order, count)
        for n, shipment in enumerate(sorted(self.shipments, key=lambda s: (s.orders[0].number, s.id))):
            shipment.id = f"SH{100_001 + n}"
        self.shipments.sort(key=lambda s: s.id)
        for shipment in self.shipments:
            for order in shipment.orders:
                order.shipments.append(shipment)

    def pairs(self, orders: list[Order]) -> list[tuple[Order, Order]]:
        """Orders that can share a shipment: the second takes over customer, place and origin of the first."""
        chosen = self.sample(orders, 2 * self.some(0.025), "orders that travel together")
        found = []
        for first, second in zip(chosen[::2], chosen[1::2], strict=True):
            if first.number > second.number:
                first, second = second, first
            second.customer, second.ship_to, second.origin = first.customer, first.ship_to, first.origin
            found.append((first, second))
        return found

    def split(self, order: Order, count: int) -> None:
        """Shares an order's lines out to `count` shipments; long lines are cut."""
        bins: list[list[Part]] = [[] for _ in range(count)]
        for n, line in enumerate(order.lines):
            if count > 1 and (line.quantity >= 2 * count) and (n == 0 or self.rng.random() < 0.4):
                left = line.quantity
                for m in range(count):
                    take = left if m == count - 1 else max(1, left * self.rng.randint(25, 60) // 100)
                    bins[m].append(Part(order, line, take))
                    left -= take
            else:
                bins[self.rng.randrange(count)].append(Part(order, line, line.quantity))
        for parts in bins:
            if parts:
                self.add_shipment(parts)

    def add_shipment(self, parts: list[Part]) -> None:
        rng, order = self.rng, parts[0].order
        to = order.ship_to
        stops = [order.origin, (to["ship_to_id"], to["city"], to["state"], to["postal_code"], to["time_zone"])]
        if rng.random() < 0.11:
            stops.insert(1, rng.choice(HUBS))
        self.shipments.append(
            Shipment(
                id=f"{len(self.shipments):06d}",
                parts=parts,
                stops=stops,
                scac=rng.choices(("NRDF", "BLUW"), (54, 46))[0],
                pro="",
                bol="",
                booking="",
                tare_lb=Decimal(0),
                charges={},
            )
        )

    def number(self, name: str) -> int:
        self._numbers[name] += self.rng.randint(1, 9)
        return self._numbers[name]

    def plan(self, shipment: Shipment) -> None:
        """A new version of the shipment's plan: numbers of the carrier, weight, and what it should cost."""
        rng = self.rng
        shipment.version += 1
        shipment.pro = f"{shipment.scac[0]}{self.number('pro'):08d}"
        shipment.bol = f"BL{self.number('bol'):08d}"
        shipment.booking = f"BK{self.number('booking'):08d}"
        while True:
            # no two loads of a carrier are the same move by accident
            shipment.tare_lb = Decimal(rng.randint(60, 1800)) / 2
            move = (shipment.scac, shipment.stops[0][3], shipment.stops[-1][3], f"{shipment.weight_lb:.3f}")
            if move not in self._weights:
                self._weights.add(move)
                break
        linehaul = rng.randint(28_000, 198_000)
        shipment.charges = {"LINEHAUL": linehaul, "FUEL": percent_of(linehaul, f"{rng.randint(180, 265) / 10:.1f}")}
        if rng.random() < 0.22:
            shipment.charges["LIFTGATE"] = rng.randint(3_500, 8_500)
        if rng.random() < 0.10:
            shipment.charges["RESIDENTIAL"] = rng.randint(2_500, 6_000)

    # -- who gets which trouble ------------------------------------------------------------

    def deal_out_trouble(self) -> None:
        in_euros = self.carry_in_euros()
        for shipment in self.shipments:
            self.plan(shipment)
            if any(o.fate == "cancelled" for o in shipment.orders):
                shipment.fate = "cancelled"
        together = [
            o
            for o in self.orders
            if o.per_order and len(o.shipments) > 1 and not any(id(s) in in_euros for s in o.shipments)
        ]
        # some orders that are billed as a whole get all their PODs
        complete = {
            id(s) for o in self.pick(together, self.some(0.04), "orders billed as a whole") for s in o.shipments
        }
        free = [s for s in self.shipments if s.fate == "pod" and id(s) not in complete | in_euros]
        simple = [s for s in free if not s.two_legs]
        for fate, rate, least in (
            ("tendered", 0.01, 1),
            ("accepted", 0.01, 1),
            ("dispatched", 0.02, 1),
            ("picked_up", 0.025, 1),
            ("in_transit", 0.075, 4),
        ):
            for shipment in self.pick(simple, self.some(rate, least), fate):
                shipment.fate = fate
        running = [s for s in free if s.fate == "pod"]
        for shipment in self.pick(running, self.some(0.46), "delivered without POD"):
            shipment.fate = "delivered"
        unchanged = [s for s in free if all(o.fate == "normal" for o in s.orders)]
        for shipment in self.pick(unchanged, self.some(0.016), "tender_declined"):
            shipment.declined = True
            self.truth.trouble["tender_declined"] += 1
        on_time = [s for s in free if s.delivered and not s.two_legs]
        for shipment in self.pick(on_time, self.some(0.016), "late_event"):
            shipment.late = True
        self.share_bols(unchanged)
        held = [s for s in free if s.fate == "pod" and not s.late and not any(o.per_order for o in s.orders)]
        for trouble, rate in (
            ("pod_without_delivery_event", 0.008),
            ("pod_signature_missing", 0.010),
            ("pod_piece_count_differs", 0.010),
            ("pod_osd_reported", 0.010),
            ("pod_before_delivery_event", 0.030),
        ):
            pool = [s for s in held if not s.two_legs] if trouble == "pod_without_delivery_event" else held
            for n, shipment in enumerate(self.pick(pool, self.some(rate), trouble)):
                shipment.pod_trouble = trouble
                shipment.pod_mended = n % 4 == 0
                self.truth.trouble[trouble] += 1
            held = [s for s in held if not s.pod_trouble]

    def carry_in_euros(self) -> set[int]:
        """A carrier whose contract is in euros takes some loads, whose freight is not passed on to customers."""
        pool = [
            s
            for s in self.shipments
            if len(s.orders) == 1
            and not s.two_legs
            and all(o.fate == "normal" and o.customer["freight_billing"] == "embedded" for o in s.orders)
            and not s.orders[0].per_order
        ]
        chosen = self.sample(pool, self.some(0.008), "loads in euros")
        for shipment in chosen:
            shipment.scac = "HNSA"
        return {id(s) for s in chosen}

    def share_bols(self, shipments: list[Shipment]) -> None:
        """Two shipments of an order with the same carrier travel under one bill of lading."""
        ids = {id(s) for s in shipments}
        pairs = []
        for order in self.orders:
            mine = [s for s in order.shipments if id(s) in ids and not s.declined and s.fate in RIDING]
            for scac in ("NRDF", "BLUW"):
                both = [s for s in mine if s.scac == scac and len(s.orders) == 1]
                if len(both) >= 2:
                    pairs.append((both[0], both[1]))
                    break
        self.sharing_bol = self.pick(pairs, self.some(0.010), "shipments that share a BOL")
        for first, second in self.sharing_bol:
            second.bol = first.bol
            first.shares_bol = second.shares_bol = True

    # -- master data ------------------------------------------------------------

    def put_master_data(self) -> None:
        """First versions before the day; during the day some change in ways that no open order may notice."""
        world, rng = self.world, self.rng
        for name, records in (
            ("customers", world.customers),
            ("ship-tos", world.ship_tos),
            ("items", world.items),
            ("carriers", world.carriers),
            ("charge-codes", world.charge_codes),
            ("exchange-rates", world.exchange_rates),
        ):
            for record in records:
                self.put(name, -10, record)
        for lane in world.lanes:
            self.put("lanes", -10, lane)

        # renamed, moved house, another term of payment: nothing that a decision rests on
        def some_of(records: list[Record], rate: float) -> list[Record]:
            # there are only so many, however long the day
            return rng.sample(records, min(self.some(rate), len(records)))

        for record in some_of(world.ship_tos, 0.02):
            self.change("ship-tos", record, name=record["name"] + " (dock 2)")
        for record in some_of(world.items, 0.012):
            self.change("items", record, description=record["description"] + ", new pack")
        for lane in some_of(world.lanes, 0.008):
            self.change("lanes", lane, transit_days=lane["transit_days"] + 1)
        # a markup agreed after the day's last order was released holds for later orders only
        for record in some_of(world.per_shipment, 0.01):
            self.change("customers", record, payment_terms="NET90", markup_percent="22.50", at=rng.uniform(400, 700))
            self.truth.trouble["customer_terms_changed_later"] += 1
        self.change("carriers", world.carriers[2], name="Talon Transport Group")
        code = world.charge_codes[-1]
        fresh = {
            "charge_code_id": "CC-ANY-LAY",
            "partner_code": "LAY",
            "description": "Layover",
            "ledger_account": "6150",
        }
        self.put("charge-codes", rng.uniform(100, 400), {**code, "scac": "*", "charge_code": "LAYOVER", **fresh})

    def put(self, collection: str, at: float, record: Record, after: Sequence[str] = ()) -> None:
        if collection == "lanes":
            self.truth.record("tms.lane")
            self.act("tms_lane", at, document=record)
            return
        self.truth.record(MASTER_FEED[collection])
        self.act("erp_put", at, collection=collection, document=record, after=list(after))

    def change(self, collection: str, record: Record, at: float | None = None, **changes: Any) -> None:
        at = self.rng.uniform(30, 600) if at is None else at
        self.put(collection, at, {**record, **changes, "version": 2, "changed_at": self.clock.utc(at)})

    def beside(self, order: Order, stops: list[Stop], scac: str, case: str, number: int) -> Shipment:
        """A shipment of all of an order, to which nothing is dealt out: whoever makes it says what happens to it."""
        parts = [Part(order, line, line.quantity) for line in order.lines]
        shipment = Shipment(f"SH{number}", parts, stops, scac, "", "", "", Decimal(0), {}, case=case)
        self.plan(shipment)
        self.shipments.append(shipment)
        order.shipments.append(shipment)
        return shipment

    # -- from the order to its plan ------------------------------------------------------------

    def release(self, order: Order) -> None:
        ready = [f"read:{name}" for name in (*MASTER, "lanes")]
        document = self.put_order(order, 1, "approved", order.at, ready)
        if order.fate == "quarantined":
            return
        self.expect(order, 1, "released", document)
        if order.fate == "cancelled":
            # a cancellation names the order and its version; what was released stays as it was
            self.expect(order, 2, "cancelled", document)

    def put_order(self, order: Order, version: int, status: str, at: float, after: Sequence[str]) -> Record:
        """The ERP's order changes; gives it as the ERP has it then."""
        rng = self.rng
        cents = sum(line.cents for line in order.lines)
        first = self.clock.utc(order.at + 24 * 60)
        document = {
            "order_number": order.number,
            "version": version,
            "changed_at": self.clock.utc(at),
            "status": status,
            "customer_id": order.customer["customer_id"],
            "ship_to_id": order.ship_to["ship_to_id"],
            "currency": order.currency,
            "requested_from": first,
            "requested_to": self.clock.utc(order.at + 30 * 60),
            "shipping_conditions": rng.choice(("LTL", "FTL", "LTL-APPT")),
            "service_requirements": rng.choice((None, "LIFTGATE", "INSIDE")),
            "total_amount": money(cents),
            "lines": [line.document() for line in order.lines],
        }
        self.act("erp_put", at, collection="sales-orders", document=document, after=list(after))
        if order.reasons:
            self.truth.record("erp.sales_order", "quarantined", cents)
            self.truth.quarantine("erp.sales_order", f"{order.number}/v{version}", *order.reasons)
        else:
            self.truth.record("erp.sales_order", "accepted", cents)
        return document

    def expect(self, order: Order, version: int, status: str, document: Record) -> None:
        """What the TMS is to be sent: missing dimensions are the item's."""
        lines = []
        for line in order.lines:
            length, width, height = line.sizes or line.item_sizes or ("", "", "")
            lines.append(
                {
                    "line": line.number,
                    "item_id": line.item["item_id"],
                    "quantity": line.quantity,
                    "pallets": line.pallets,
                    "pallet_length_in": length,
                    "pallet_width_in": width,
                    "pallet_height_in": height,
                    "weight_lb": f"{line.weight_lb:.3f}",
                    "hazmat": line.item["hazmat"],
                    "un_number": line.item["un_number"],
                }
            )
        head = {name: document[name] for name in TMS_HEAD}
        self.expected_orders[f"{order.number}/{version}"] = {"status": status, **head, "lines": lines}
        self.truth.documents["tms.order"][order.number] = {
            "version": version,
            "status": status,
            **head,
            "lines": [list(line.values()) for line in lines],
        }

    def send_plan(self, shipment: Shipment, at: float, after: Sequence[str]) -> str:
        appointments = []
        for n in range(len(shipment.stops)):
            opens = at + 120 + 180 * n
            appointments.append((self.clock.utc(opens), self.clock.utc(opens + 120)))
        plan = shipment.plan(self.event_id("TP"), self.clock.utc(at), appointments, START.date().isoformat())
        cents = 0 if shipment.rated else shipment.planned_cents
        return self.event("tms", at, plan, "tms.shipment_plan", after=after, cents=cents)

    def tms_event(self, shipment: Shipment, kind: str, at: float, after: Sequence[str], **more: Any) -> str:
        gap = more.pop("gap", 0)
        event = {
            "event_id": self.event_id("TE"),
            "event_type": kind,
            "occurred_at": self.clock.utc(at),
            "data": {"shipment_id": shipment.id, "scac": shipment.scac, **more},
        }
        return self.event("tms", at, event, "tms.shipment_event", after=after, gap=gap)

    # -- what happens to a shipment ------------------------------------------------------------

    def execute(self, shipment: Shipment) -> None:
        """Plan, tender, dispatch, pick-up, way, delivery, POD: each after what it rests on."""
        rng = self.rng
        at = max(o.at for o in shipment.orders) + rng.uniform(8, 15)
        known = [*(f"tms:{o.number}/1" for o in shipment.orders), *shipment.ready]
        if shipment.direction == "inbound":
            known = ["read:purchase-orders", "read:stock-positions"]
        planned = self.send_plan(shipment, at, known)
        shipment.actions["plan"] = planned
        changed = [o for o in shipment.orders if o.fate == "changed"]
        if changed and self.change_order(changed[0], shipment):
            at += rng.uniform(45, 60)
            planned = self.send_plan(shipment, at, [f"done:{planned}", f"tms:{changed[0].number}/2"])
        elif changed:
            # another shipment of the order changed; this one goes on once the order is settled
            at += rng.uniform(45, 60)
        at += rng.uniform(4, 9)
        last = self.tms_event(shipment, "tender_sent", at, [f"done:{planned}"], round=1)
        if shipment.fate == "cancelled":
            self.cancel(shipment, at, last)
            return
        if shipment.declined:
            at += rng.uniform(6, 20)
            reason = rng.choice(("no_capacity", "equipment", "rate"))
            sent = last
            last = self.tms_event(shipment, "tender_declined", at, [f"done:{last}"], round=1, reason=reason)
            self.carrier_answers(shipment, "D", at, sent)
            shipment.scac = "BLUW" if shipment.scac == "NRDF" else "NRDF"
            self.plan(shipment)
            at += rng.uniform(2, 6)
            last = self.send_plan(shipment, at, [f"done:{last}"])
            at += rng.uniform(2, 6)
            last = self.tms_event(shipment, "tender_sent", at, [f"done:{last}"], round=2)
        tender_round = 2 if shipment.declined else 1
        if shipment.fate == "tendered":
            return
        at += rng.uniform(5, 15)
        sent = last
        last = self.tms_event(shipment, "tender_accepted", at, [f"done:{last}"], round=tender_round)
        if rng.random() < 0.4:
            self.carrier_answers(shipment, "A", at, sent)
        if shipment.fate == "accepted":
            return
        at += rng.uniform(8, 20)
        ready = [f"done:{last}"]
        if shipment.rated:
            ready.append(f"erp_freight:{shipment.id}/{money(shipment.planned_cents)}")
        if shipment.version > 1:
            ready.append(f"erp_plan:{shipment.id}/{shipment.version}")
        last = self.tms_event(shipment, "dispatched", at, ready, round=tender_round)
        shipment.actions["dispatched"] = last
        if shipment.fate == "dispatched":
            return
        self.move(shipment, at + rng.uniform(15, 60), last)

    def carrier_answers(self, shipment: Shipment, action: str, at: float, sent: str) -> None:
        """NRDF answers by 990, too; a slip of its own now and then is not what the TMS says."""
        if shipment.scac != "NRDF" or shipment.case:
            return
        differs = self.truth.trouble["answer_that_the_tms_does_not_share"] < 3 and action == "A"
        said = "D" if differs else action
        response = {
            "scac": "NRDF",
            "shipment_id": shipment.id,
            "action": said,
            "on": START.date().isoformat(),
            "pro_number": shipment.pro if said == "A" else None,
        }
        self.truth.record("carrier.tender_response")
        self.truth.documents["ours.tender_answer"][f"{shipment.id}/{said}"] = {
            "decision": {"A": "accepted", "D": "declined"}[said],
            "state": "tms_differs" if differs else "agrees",
        }
        self.truth.trouble["answer_that_the_tms_does_not_share" if differs else "tender_answered_by_990"] += 1
        self.act(
            "990",
            at,
            partner="nrdf",
            transaction=response,
            written_at=self.clock.written(at),
            units={"carrier.tender_response": 1},
            after=[f"done:{sent}"],
        )

    def change_order(self, order: Order, shipment: Shipment) -> bool:
        """The customer wants more of a line. Only the shipment that carries it (the first) is planned anew."""
        if shipment is not order.shipments[0]:
            return False
        part = shipment.parts[0]
        extra = self.rng.randint(2, 12)
        part.line.quantity += extra
        part.quantity += extra
        settled = [f"tms:{order.number}/1", *(f"erp_plan:{s.id}/1" for s in order.shipments)]
        document = self.put_order(order, 2, "approved", order.at + 40, settled)
        self.expect(order, 2, "released", document)
        pro, bol, booking = shipment.pro, shipment.bol, shipment.booking
        self.plan(shipment)
        shipment.pro, shipment.bol, shipment.booking = pro, bol, booking
        return True

    def cancel(self, shipment: Shipment, at: float, last: str) -> None:
        order = shipment.orders[0]
        cancelled_at = order.at + 75
        if shipment is order.shipments[0]:
            settled = [f"tms:{order.number}/1", *(f"erp_plan:{s.id}/1" for s in order.shipments)]
            self.put_order(order, 2, "cancelled", cancelled_at, settled)
        self.tms_event(
            shipment,
            "shipment_cancelled",
            max(at, cancelled_at) + self.rng.uniform(5, 15),
            [f"done:{last}", f"tms:{order.number}/2"],
            reason="order_cancelled",
        )

    def move(self, shipment: Shipment, at: float, dispatched: str) -> None:
        """On the road: the warehouse, the carrier and the driver each say what they see."""
        rng, fate = self.rng, shipment.fate
        after = [f"done:{dispatched}"]
        shipment.times["picked_up"] = at
        if shipment.direction != "inbound":
            self.leave(shipment, at, after)
        if shipment.scac in BY_DRIVER:
            self.drive(shipment, at, after)
            return
        calls: list[tuple[str, float, int]] = (
            [("arrived_pickup", at - rng.uniform(10, 14), 1)] if rng.random() < 0.45 else []
        )
        calls.append(("picked_up", at, 1))
        picked_up = shipment.actions["picked_up"] = self.carrier_says(shipment, calls, at, after, 15)
        if fate == "picked_up":
            return
        hours = rng.uniform(60, 330) * (0.8 if shipment.two_legs else 1)
        arrival = min(at + hours, 700 + rng.uniform(0, 40))
        arrival = max(arrival, at + 60)
        way: list[tuple[str, float, int]] = []
        if shipment.two_legs:
            hub = at + (arrival - at) * 0.45
            way += [("delivered", hub, 2), ("picked_up", hub + rng.uniform(8, 20), 2)]
        else:
            way.append(("en_route", at + (arrival - at) * rng.uniform(0.2, 0.6), 0))
        if rng.random() < 0.06:
            way.append(("delayed", at + (arrival - at) * 0.7, 0))
        if rng.random() < 0.06 and shipment.scac == "NRDF":
            way.append(("estimated", at + (arrival - at) * 0.75, 0))
        way.sort(key=lambda w: w[1])
        on_way = [w for w in way if not (shipment.late and w[0] == "en_route")]
        if on_way:
            self.carrier_says(shipment, on_way, on_way[-1][1], [f"done:{picked_up}"], 10)
        if fate == "in_transit":
            if not on_way:
                self.carrier_says(shipment, way, way[-1][1], [f"done:{picked_up}"], 10)
            return
        shipment.times["delivered"] = arrival
        self.deliver(shipment, arrival, picked_up, [w for w in way if w not in on_way])

    def leave(self, shipment: Shipment, at: float, after: Sequence[str]) -> None:
        """Our warehouse confirms what it loaded."""
        self.truth.record("wms.ship_confirmation")
        confirmation = {
            "confirmation_id": self.event_id("WC"),
            "shipment_id": shipment.id,
            "shipped_at": self.clock.utc(at - self.rng.uniform(1, 9)),
            "pieces": shipment.pieces,
            "weight_lb": f"{shipment.weight_lb:.3f}",
        }
        self.act("wms_confirmation", at, document=confirmation, after=list(after), gap=15)

    def drive(self, shipment: Shipment, at: float, after: Sequence[str]) -> None:
        """A carrier that reports nothing itself: its drivers have our app."""
        arrival = max(min(at + self.rng.uniform(60, 330), 700 + self.rng.uniform(0, 40)), at + 60)
        hours = (arrival - at) * 0.5
        head = {"shipment_id": shipment.id, "stop_sequence": shipment.final_stop}
        last, gap = "", hours
        for kind, minutes in (("arrived", 0), ("unloading_started", 7), ("unloading_ended", 18)):
            event = {"event_id": self.event_id("DE"), "type": kind, **head, "at": self.clock.utc(arrival + minutes)}
            due = [f"done:{last}"] if last else after
            last = self.event("driver", arrival + minutes, event, "driver.event", after=due, gap=gap)
            gap = 2
        shipment.times["delivered"] = arrival + 18
        shipment.actions["delivered"] = last
        if shipment.fate == "pod":
            self.prove(shipment, arrival + 18, last, 2)

    def deliver(self, shipment: Shipment, arrival: float, picked_up: str, late: list[tuple[str, float, int]]) -> None:
        rng, last_stop = self.rng, shipment.final_stop
        hours = (arrival - shipment.times["picked_up"]) * 0.5
        done = arrival + rng.uniform(10, 40)
        calls: list[tuple[str, float, int]] = [("delivered", done, last_stop)]
        if rng.random() < 0.5:
            calls.insert(0, ("arrived", arrival, last_stop))
        if rng.random() < 0.4:
            calls.append(("departed", done + rng.uniform(4, 9), last_stop))
        if rng.random() < 0.04:
            calls.append(("exception", done + 1, last_stop))
        if shipment.pod_trouble == "pod_before_delivery_event":
            # the carrier reports when the proof is here, however the day lags
            proved = self.prove(shipment, done, picked_up, hours)
            sent = min(done + rng.uniform(60, 150), 860)
            shipment.actions["delivered"] = self.carrier_says(shipment, calls, sent, [f"done:{proved}"], 20)
            return
        if shipment.pod_trouble != "pod_without_delivery_event":
            said = self.carrier_says(shipment, calls, done, [f"done:{picked_up}"], hours)
            shipment.actions["delivered"] = said
            if late:
                self.truth.trouble["late_event"] += len(late)
                self.carrier_says(shipment, late, min(done + rng.uniform(60, 150), 900), [f"done:{said}"], 30)
        if shipment.fate == "pod":
            self.prove(shipment, done, picked_up, hours)

    def carrier_says(
        self,
        shipment: Shipment,
        calls: list[tuple[str, float, int]],
        at: float,
        after: Sequence[str],
        gap: float,
    ) -> str:
        """The carrier reports these events together; gives the action that carries the last of them."""
        if shipment.scac in ("NRDF", "HNSA"):
            return self.send_214(shipment, calls, at, after, gap)
        codes = {
            "arrived_pickup": "PU_ARR",
            "picked_up": "PU_DEP",
            "en_route": "ENROUTE",
            "arrived": "DLV_ARR",
            "delivered": "DELIVERED",
            "departed": "DLV_DEP",
            "delayed": "DELAYED",
            "exception": "REFUSED",
        }
        last = ""
        for kind, occurred, stop in calls:
            place = shipment.stops[stop - 1] if stop else shipment.stops[0]
            event: dict[str, Any] = {"event_id": self.event_id("BE")}
            if self.rng.random() < 0.12:
                event["pro_number"] = shipment.pro
            else:
                event["shipment_id"] = shipment.id
            if stop and (shipment.two_legs or self.rng.random() < 0.5):
                event["stop_sequence"] = stop
            event |= {
                "code": codes[kind],
                "reason": "WEATHER" if kind == "delayed" else None,
                "occurred_local": self.clock.local(occurred, place[4]),
                "time_zone": place[4],
                "city": place[1],
                "state": place[2],
                "country": "US",
            }
            last = self.event("bluw", at, event, "carrier.status_webhook", after=after, gap=gap)
        return last

    def send_214(
        self,
        shipment: Shipment,
        calls: list[tuple[str, float, int]],
        at: float,
        after: Sequence[str],
        gap: float,
    ) -> str:
        codes = {
            "arrived_pickup": "X3",
            "picked_up": "AF",
            "en_route": "X6",
            "arrived": "X1",
            "delivered": "D1",
            "departed": "CD",
            "delayed": "SD",
            "estimated": "AG",
            "exception": "A9",
        }
        events = []
        for kind, occurred, stop in calls:
            place = shipment.stops[stop - 1] if stop else shipment.stops[0]
            local = self.clock.moment(occurred).astimezone(ZoneInfo(place[4]))
            events.append(
                {
                    "status": codes[kind],
                    "reason": "NS" if kind != "delayed" else "WT",
                    "on": local.date().isoformat(),
                    "time": local.strftime("%H:%M"),
                    "time_code": "LT",
                    "city": place[1].replace(".", ""),
                    "state": place[2],
                    "country": COUNTRY_OF.get(place[0], "US"),
                    "stop": stop if stop and (shipment.two_legs or self.rng.random() < 0.6) else None,
                }
            )
        transaction = {"shipment_id": shipment.id, "pro_number": shipment.pro, "scac": shipment.scac, "events": events}
        return self.status_file(transaction, at, after, gap)

    def status_file(
        self, transaction: dict[str, Any], at: float, after: Sequence[str], gap: float = 0, outcome: Any = "accepted"
    ) -> str:
        count = len(transaction["events"])
        self.truth.record("carrier.status_x12", outcome, records=count)
        return self.act(
            "214",
            at,
            partner=transaction["scac"].lower(),
            transaction=transaction,
            written_at=self.clock.written(at),
            units={"carrier.status_x12": count},
            after=list(after),
            gap=round(gap, 3),
        )

    def prove(self, shipment: Shipment, done: float, picked_up: str, hours: float) -> str:
        """The driver's app: arrival and unloading of some, a POD of all; bad ones are held, some of them mended. Gives
        the action that carries the first POD."""
        rng, trouble = self.rng, shipment.pod_trouble
        head = {"shipment_id": shipment.id, "stop_sequence": shipment.final_stop}
        after = [f"done:{picked_up}"]
        if rng.random() < 0.28:
            for kind, minutes in (("arrived", -12), ("unloading_started", -6), ("unloading_ended", -1)):
                event = {"event_id": self.event_id("DE"), "type": kind, **head, "at": self.clock.utc(done + minutes)}
                self.event("driver", done + minutes, event, "driver.event", after=after, gap=hours)
        at = done + rng.uniform(2, 12)
        good: dict[str, Any] = {
            "signed_by": rng.choice(("J. Ortiz", "M. Chen", "A. Novak", "R. Singh", "L. Brown")),
            "osd": [],
        }
        good |= {"pieces_delivered": shipment.pieces}
        pod: dict[str, Any] = dict(good)
        if trouble == "pod_signature_missing":
            pod["signed_by"] = None
        elif trouble == "pod_piece_count_differs":
            pod["pieces_delivered"] = shipment.pieces - rng.randint(1, min(3, shipment.pieces))
        elif trouble == "pod_osd_reported":
            pod["osd"] = [{"kind": rng.choice(("over", "short", "damaged")), "pieces": rng.randint(1, 4)}]
        held = pod != good
        mended = held and shipment.pod_mended
        if held and not mended:
            shipment.held = True
            self.truth.documents["ours.hold"][shipment.id] = {"reasons": [trouble]}
        sent = self.send_pod(shipment, head, pod, at, after, hours, good=not held)
        if mended:
            self.truth.trouble["pod_mended"] += 1
            self.send_pod(shipment, head, good, at + rng.uniform(30, 80), [f"done:{sent}"], 20, good=True)
        return sent

    def send_pod(
        self,
        shipment: Shipment,
        head: dict[str, Any],
        pod: dict[str, Any],
        at: float,
        after: Sequence[str],
        gap: float,
        *,
        good: bool,
    ) -> str:
        event_id = self.event_id("DP")
        event = {
            "event_id": event_id,
            "type": "pod_captured",
            **head,
            "at": self.clock.utc(at),
            **pod,
            "document": {"name": f"pod_{shipment.id}.txt", "content_base64": self.clock.paper(shipment.id, event_id)},
        }
        invoices = []
        if good and shipment.direction != "inbound":
            invoices = [o.number if o.per_order else f"{o.number}/{shipment.id}" for o in shipment.orders]
        note = {"event_id": event_id, "shipment_id": shipment.id, "invoices": invoices}
        return self.event("driver", at, event, "driver.pod", after=after, gap=gap, pod=note)

    # -- trouble with events that belong to nothing or come twice ------------------------------------------------------

    def loose_events(self) -> None:
        rng = self.rng
        sent = [a for a in self.actions if a["do"] == "event" and "shipment_id" in a["event"] and not a.get("pod")]
        bluw = [a for a in sent if a["partner"] == "bluw"]
        pods = [a for a in self.actions if a.get("pod") and a["pod"]["invoices"]]
        tms = [
            a for a in self.actions if a["do"] == "event" and a["partner"] == "tms" and "round" in a["event"]["data"]
        ]
        files = [a for a in self.actions if a["do"] == "214" and a["partner"] == "nrdf"]
        # the same event once more, in another call or file
        again = self.pick(bluw, self.some(0.008), "duplicate_event")
        again += self.sample(pods, 2, "duplicate POD") + self.sample(tms, 2, "duplicate event of the TMS")
        for action in again:
            at = min(action["at"] + rng.uniform(10, 120), 930)
            self.event(
                action["partner"],
                at,
                action["event"],
                next(iter(action["units"])),
                after=[f"done:{action['id']}"],
                outcome="duplicate",
            )
            self.truth.trouble["duplicate_event"] += 1
        for action in self.sample(files, self.some(0.006), "duplicate_event in a file"):
            at = min(action["at"] + rng.uniform(10, 120), 930)
            self.status_file(action["transaction"], at, [f"done:{action['id']}"], outcome="duplicate")
            self.truth.trouble["duplicate_event"] += len(action["transaction"]["events"])
        self.events_nobody_can_use(bluw)
        self.refused_calls(bluw, pods, tms)
        self.repeated_calls()
        self.out_of_order(bluw)

    def events_nobody_can_use(self, bluw: list[Action]) -> None:
        rng = self.rng
        for n in range(self.some(0.01)):
            like = rng.choice(bluw)
            event = {**like["event"], "event_id": self.event_id("BE"), "code": rng.choice(("YARD", "GEOFENCE", "PING"))}
            self.odd_event(event, like, "unknown_status_code")
            if n % 2:
                continue
            event = {**like["event"], "event_id": self.event_id("BE")}
            del event["shipment_id"]
            self.odd_event(event, like, "no_reference")
        while self.truth.trouble["no_reference"] < 3:
            like = rng.choice(bluw)
            event = {**like["event"], "event_id": self.event_id("BE")}
            del event["shipment_id"]
            self.odd_event(event, like, "no_reference")
        for _ in range(3):
            like = rng.choice(bluw)
            event = {**like["event"], "event_id": self.event_id("BE"), "occurred_local": "yesterday noon"}
            self.odd_event(event, like, "unreadable_value")
        nrdf = [a for a in self.actions if a["do"] == "214" and a["partner"] == "nrdf"]
        for action in self.sample(nrdf, 3, "unknown_status_code in a file"):
            old = action["transaction"]
            minute = dt.time(rng.randint(0, 22), rng.randint(0, 59)).strftime("%H:%M")
            event = {**old["events"][0], "status": "ZZ", "time": minute, "stop": None}
            transaction = {**old, "events": [event]}
            at = min(action["at"] + rng.uniform(5, 60), 930)
            self.status_file(transaction, at, [f"done:{action['id']}"], outcome="quarantined")
            key = f"{old['shipment_id']}/ZZ/{event['on']}T{minute}:00"
            self.truth.quarantine("carrier.status_x12", key, "unknown_status_code")
            self.truth.trouble["unknown_status_code"] += 1
        for _ in range(3):
            event_id = self.event_id("DP")
            at = rng.uniform(300, 800)
            event = {
                "event_id": event_id,
                "type": "pod_captured",
                "stop_sequence": 2,
                "at": self.clock.utc(at),
                "signed_by": "J. Doe",
                "pieces_delivered": 10,
                "osd": [],
            }
            self.event("driver", at, event, "driver.pod", outcome="quarantined")
            self.truth.quarantine("driver.pod", event_id, "no_shipment_reference")
            self.truth.trouble["no_shipment_reference"] += 1

    def odd_event(self, event: dict[str, Any], like: Action, reason: str) -> None:
        feed = "carrier.status_webhook"
        at = min(like["at"] + self.rng.uniform(1, 40), 930)
        self.event("bluw", at, event, feed, after=[f"done:{like['id']}"], outcome="quarantined")
        self.truth.quarantine(feed, event["event_id"], reason)
        self.truth.trouble[reason] += 1

    def refused_calls(self, bluw: list[Action], pods: list[Action], tms: list[Action]) -> None:
        """Somebody who does not know the secret claims deliveries; or repeats an old call; or does not sign at all."""
        rng = self.rng
        chosen = [("bluw", bluw, "signature")] * 3 + [("driver", pods, "signature"), ("tms", tms, "signature")]
        chosen += [("bluw", bluw, ("stale", "unsigned")[n % 2]) for n in range(self.some(0.004, 2))]
        for partner, pool, kind in chosen:
            event = {**rng.choice(pool)["event"], "event_id": self.event_id("XX")}
            self.act("call", rng.uniform(250, 850), partner=partner, bad=kind, body={"events": [event]})
            self.truth.refused_call(partner)
            self.truth.trouble["bad_webhook_signature"] += kind == "signature" and partner == "bluw"
            self.truth.trouble["refused_webhook"] += 1

    def repeated_calls(self) -> None:
        """A call of several events that is made twice, byte for byte."""
        feed = "carrier.status_webhook"
        late = [s for s in self.shipments if s.scac == "BLUW" and s.delivered and "delivered" in s.actions]
        for shipment in self.sample(late, 3, "repeated_webhook"):
            at = min(shipment.times["delivered"] + self.rng.uniform(60, 100), 880)
            place = shipment.stops[-1]
            events = [
                {
                    "event_id": self.event_id("BE"),
                    "shipment_id": shipment.id,
                    "code": "DELAYED",
                    "reason": "TRAFFIC",
                    "occurred_local": self.clock.local(at - 40 + n, place[4]),
                    "time_zone": place[4],
                    "city": place[1],
                    "state": place[2],
                    "country": "US",
                }
                for n in range(2)
            ]
            body = {"events": events}
            self.truth.record(feed, records=2)
            self.truth.record(feed, "duplicate", records=2)
            done = f"done:{shipment.actions['delivered']}"
            first = self.act("call", at, partner="bluw", body=body, units={feed: 2}, after=[done])
            self.act("call", at + 20, partner="bluw", body=body, units={feed: 2}, after=[f"done:{first}"])
            self.truth.trouble["repeated_webhook"] += 1

    def out_of_order(self, bluw: list[Action]) -> None:
        """Deliveries that are reported before the events that came first: two reports change places in time."""
        chains: dict[str, list[Action]] = defaultdict(list)
        for action in self.actions:
            if action["do"] == "214":
                chains[action["transaction"]["shipment_id"]].append(action)
        wanted = self.some(0.012)
        known = [s for s in self.shipments if s.scac == "NRDF" and s.delivered and not s.two_legs and not s.pod_trouble]
        for shipment in known:
            if self.truth.trouble["out_of_order_event"] >= wanted:
                return
            chain = [a for a in chains[shipment.id] if a["id"] != shipment.actions["delivered"]]
            way = [a for a in chain if any(e["status"] == "X6" for e in a["transaction"]["events"])]
            if not way or way[0]["at"] > shipment.times["delivered"]:
                continue
            # the report from the road comes after the one from the door, minutes later
            delivered = next(a for a in chains[shipment.id] if a["id"] == shipment.actions["delivered"])
            way[0]["at"] = round(delivered["at"] + self.rng.uniform(3, 15), 3)
            way[0]["after"] = [f"done:{delivered['id']}"]
            way[0]["gap"] = 2
            self.truth.trouble["out_of_order_event"] += 1

    def faults(self) -> None:
        """The ERP has bad minutes, spread over the day."""
        names = {"429": "erp_429", "503": "erp_503", "commit_then_drop": "erp_commit_then_drop"}
        for n, (kind, path) in enumerate(FAULTS * max(1, self.size // 250)):
            at = 200 + (n * 61) % 520
            count = 2 if kind == "429" else 1
            self.act("fault", at, kind=kind, path_prefix=path, count=count, retry_after=1)
            self.truth.trouble[names[kind]] += count

    def bank(self) -> list[str]:
        """In the evening the bank's statement: what customers paid at once, one of them a quarter less, and money that
        nobody can place. The ERP books it; here invoices' statuses follow. Gives the invoices that are paid."""
        billed = self.truth.documents["erp.customer_invoice"]
        paid = self.sample(
            sorted(key for key in self.truth.billable if billed[key]["currency"] == "USD"),
            self.some(0.012),
            "invoices that are paid at once",
        )
        entries, payments = [], self.truth.documents["ours.payment"]
        day = START.date().isoformat()
        for n, key in enumerate([*paid, ""], 1):
            cents = int(billed[key]["total"].replace(".", "")) if key else 77_700
            if n == 1:
                cents -= cents // 4
            detail: dict[str, Any] = {"amount": money(cents), "end_to_end_id": f"E{self.seed}-{n}"}
            if key:
                detail["documents"] = [{"invoice": key, "amount": money(cents)}]
            else:
                detail["text"] = "thank you"
            entries.append({"reference": f"B{n:05d}", "direction": "credit", "booked_on": day, "details": [detail]})
            payments[f"bank:{BANK}/B{n:05d}/{day}/{money(cents)}/1"] = {
                "verdict": "applied" if key else "no_reference",
                "applied": {key: money(cents)} if key else {},
            }
            self.truth.record("bank.statement_entry", cents=cents)
        statement = {
            "statement_id": f"S{self.seed}",
            "account": BANK,
            "currency": "USD",
            "made_at": self.clock.utc(945),
            "opening": "250000.00",
            "entries": entries,
        }
        self.act(
            "statement",
            945,
            statement=statement,
            units={"bank.statement_entry": len(entries)},
            after=[f"erp_customer_invoice:{key}" for key in paid],
        )
        return paid

    # -- how all books must look at the end ------------------------------------------------------------

    def write_final_truth(self, billing: Billing) -> None:
        documents, volumes = self.truth.documents, self.truth.volumes
        for shipment in self.shipments:
            milestone = {"pod": "pod_received"}.get(shipment.fate, shipment.fate)
            documents["ours.shipment"][shipment.id] = {"milestone": milestone}
            documents["erp.shipment_status"][shipment.id] = {"status": ERP_STATUS[milestone]}
            documents["erp.freight_plan"][shipment.id] = {
                "scac": shipment.scac,
                "estimated_freight": money(shipment.planned_cents),
                "order_numbers": [o.number for o in shipment.orders],
                "booking_reference": shipment.booking,
                "plan_version": shipment.version,
                "currency": shipment.currency,
            }
        for order in self.orders:
            if order.fate == "quarantined":
                continue
            found = [documents["erp.shipment_status"][s.id]["status"] for s in order.shipments]
            documents["erp.order_status"][order.number] = {"status": min(found, key=LADDER.index)}
            self.bill_customer(order)
        billing.write_truth()
        volumes["orders"] = len(self.orders)
        volumes["shipments"] = len(self.shipments)
        volumes["legs"] = sum(len(s.stops) - 1 for s in self.shipments)
        volumes["deliveries_proved"] = sum(s.fate == "pod" for s in self.shipments)

    def bill_customer(self, order: Order) -> None:
        """One invoice a shipment, or one an order once all its shipments are proved."""
        good = [s for s in order.shipments if s.fate == "pod" and not s.held]
        if order.per_order:
            if len(good) == len(order.shipments):
                self.customer_invoice(order, order.number, good)
                (self.truth.waiting if len(good) > 1 else self.truth.billable).add(order.number)
                self.truth.trouble["pod_waits_for_others"] += len(good) > 1
            else:
                for shipment in good:
                    held = self.truth.documents["ours.hold"].setdefault(shipment.id, {"reasons": []})
                    held["reasons"] = ["waiting_for_other_pods"]
            return
        for shipment in good:
            key = f"{order.number}/{shipment.id}"
            self.customer_invoice(order, key, [shipment])
            self.truth.billable.add(key)

    def customer_invoice(self, order: Order, key: str, shipments: list[Shipment]) -> None:
        goods = freight = 0
        for shipment in shipments:
            for part in shipment.parts:
                if part.order is order:
                    goods += part.quantity * part.line.price_cents
                    self.truth.post("1200", "4000", part.quantity * part.line.price_cents, order.currency)
            if order.customer["freight_billing"] == "pass_through":
                weights: dict[str, Decimal] = defaultdict(Decimal)
                for part in shipment.parts:
                    weights[part.order.number] += part.weight_lb
                share = shares(shipment.planned_cents, weights)[order.number]
                freight += with_markup(share, order.customer["markup_percent"])
        self.truth.post("1200", "4100", freight, order.currency)
        # each tax is rounded by itself, once an invoice
        taxes = [percent_of(goods + freight if of == "all" else goods, percent) for percent, of in order.taxes]
        for tax in taxes:
            self.truth.post("1200", "2300", tax, order.currency)
        self.truth.documents["erp.customer_invoice"][key] = {
            "customer_id": order.customer["customer_id"],
            "total": money(goods + freight + sum(taxes)),
            "goods": money(goods),
            "freight": money(freight),
            **({"tax": money(sum(taxes))} if taxes else {}),
            "currency": order.currency,
            "documents": 1,
        }
        self.truth.volumes["customer_invoices"] += 1
