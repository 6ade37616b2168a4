"""A seeded business month with its close, and the truth about how its books must end.

`month(seed, orders, weeks)` gives a `Month`: `steps`, each a business day on which our side works off what partners did
until then, in rounds (what is done, and of which kind, so that whoever plays it knows which of our pipelines have
work); and `truth`, written while the month is made. As in the day, the truth comes from what is decided here ("this
load is billed only in April, in euros") and from the wording of the contracts, never from the project's rules.

Kinds of rounds:
    masters   the ERP's records, among them the rates that were published since
    orders    sales orders in the ERP
    moves     plans, tenders, pick-ups, deliveries and proofs
    bills     carriers' bills of every channel
    bank      a statement; `fault`: what goes wrong at the ERP while what follows from it is delivered
    claims    what customers dispute, as the ERP records it
    people    what the ERP's own people do to its ledger
    talks     what the carrier and we say about a bill that does not fit
    settles   claims against a carrier that end otherwise than by its credit: money that came, or that is given up
    drift     the books are compared; `found`: what must come out, `decide`: what people answer, `left`: what must be
              left of it afterwards
    locks     the ERP refused what we posted in a period that its people had locked; it moves to the next
    close     open items are valued, and the month is closed by two people. `interrupted`: the ERP is away when it is to
              lock the period; `locked_there`: its people locked it before us
    release   what carriers never billed of what was accrued is proposed as no longer owed (`due`), and all but one
              (`refused`) approved

Money of the truth is in cents; `worth` is an amount in the currency of the books (USD).
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from freightsync.sandbox.scenario.bills import called, csv_rows, transaction_210
from freightsync.sandbox.scenario.bought import RULE, SOLD, STOCK, Bought
from freightsync.sandbox.scenario.freight import Bill, Line, Order, Part, Shipment, Stop
from freightsync.sandbox.scenario.sums import NoRoomError, money, percent_of, shares, with_markup
from freightsync.sandbox.scenario.world import ACCOUNT, CHARGES, CITIES, GOODS, NAMES, ORIGINS, Record

Action = dict[str, Any]
Lines = list[tuple[str, str, int]]

PERIOD, NEXT, AFTER_NEXT, LATE = "2026-03", "2026-04", "2026-05", "2026-10"
FIRST = dt.date(2026, 3, 2)
LAST = dt.date(2026, 3, 31)
CLOSING = dt.date(2026, 4, 4)
"""After every cut-off of March."""
AFTERWARDS = dt.date(2026, 4, 10)
LOCKED_THERE = dt.date(2026, 4, 28)
"""The ERP's people locked April, and told nobody."""
CLOSING_NEXT = dt.date(2026, 5, 5)
LONG_AFTER = dt.date(2026, 10, 1)
BILLABLE = dt.timedelta(days=180)
"""So long a carrier may bill what it carried."""
DAYS = {
    1: (LAST,),
    2: (dt.date(2026, 3, 13), LAST),
    4: (dt.date(2026, 3, 6), dt.date(2026, 3, 13), dt.date(2026, 3, 20), LAST),
}
BEFORE = "2026-02-27T18:00:00+00:00"
BANK, BANK_EUR = "US64SVBK0001", "DE02100500000024290661"
CURRENCY = {"NRDF": "USD", "BLUW": "USD", "HNSA": "EUR"}

SPECIAL = (
    # carrier and what comes of the shipment's freight; the first ones happen early in the month
    ("NRDF", "held_then_agreed"),
    ("NRDF", "part_then_balance"),
    ("NRDF", "credit"),
    ("NRDF", "duplicate"),
    ("HNSA", "part"),
    ("HNSA", "late_credit"),
    ("BLUW", "short_paid"),
    ("BLUW", "late_credit"),
    ("HNSA", "credit"),
    ("NRDF", "late_bill"),
    ("HNSA", "late_bill"),
    ("NRDF", "reversed_in_erp"),
    ("NRDF", "amended_in_erp"),
    ("HNSA", "open"),
    ("BLUW", "open"),
    ("BLUW", "late_delivery"),
    ("BLUW", "self_billed_same"),
    ("BLUW", "self_billed_more"),
    ("BLUW", "audited"),
    ("BLUW", "audit_rejects"),
    ("NRDF", "billed_after_lock"),
    ("HNSA", "billed_after_lock"),
    ("NRDF", "billed_in_may"),
    ("NRDF", "billed_after_release"),
    ("NRDF", "taxed"),
    ("BLUW", "taxed"),
    ("NRDF", "in_euros_paid"),
    ("BLUW", "in_euros_open"),
    ("HNSA", "claim_paid_back"),
    ("HNSA", "claim_given_up"),
    ("HNSA", "claim_open"),
)
CLAIMED = frozenset({"claim_paid_back", "claim_given_up", "claim_open"})
"""HNSA's contract lets nobody pay less than it bills: what is too much is claimed back."""
EARLY = frozenset({"held_then_agreed", "part_then_balance", "credit", "duplicate", "audit_rejects", *CLAIMED})
UNBILLED = frozenset(
    {
        *("open", "late_bill", "reversed_in_erp", "amended_in_erp", "billed_after_lock", "billed_in_may"),
        "billed_after_release",
    }
)
"""Cases of which no bill comes in March."""
ELSEWHERE = "US02"
"""The billing entity whose carriers we bill ourselves, where they are BLUW."""
CLAIM, GIVEN_BACK, GIVEN_UP = "1350", "1150", "6190"
"""Where claims stand, where the carrier's money for them is expected, and what it costs to give one up."""
TAXED, TAX, TAX_PERCENT = "US03", "2300", "6.625"
"""The billing entity that charges sales tax itself, its account, and what New Jersey takes of goods and freight."""
SELLER = "NORTH"
INPUT_TAX, VAT_PERCENT = "1450", "19"
"""What HNSA's bills add, and where it waits to come back."""
RULES: tuple[tuple[str, Record], ...] = (
    (
        "tax_policy",
        {
            **{"rule_id": "tax.north", "billing_entity": TAXED, "country": "US", "is_charged": True},
            **{"seller_id": SELLER, "supply": "goods", "tax_account": TAX},
        },
    ),
    (
        "tax_seller",
        {
            **{"rule_id": "seller.north", "seller_id": SELLER, "legal_name": "Northern Works Inc"},
            **{"country": "US", "region": "IL"},
        },
    ),
    ("tax_registration", {"rule_id": "reg.north", "seller_id": SELLER, "country": "US", "region": "NJ"}),
    ("cost_policy", RULE),
    (
        "input_tax_policy",
        {"rule_id": "input_tax.hnsa", "scac": "HNSA", "is_booked": True, "tax_account": INPUT_TAX},
    ),
    (
        "self_billing_policy",
        {"rule_id": "self.bluw", "scac": "BLUW", "business_unit": ELSEWHERE, "is_self_billed": True},
    ),
    (
        "settlement_policy",
        {
            **{"rule_id": "settlement.bluw", "rule_version": 2, "scac": "BLUW", "payable_account": "2100"},
            **{"dispute_mode": "short_pay", "audit_mode": "binding"},
        },
    ),
    (
        "settlement_policy",
        {
            **{"rule_id": "settlement.hnsa", "scac": "HNSA", "payable_account": "2100"},
            **{"dispute_mode": "pay_and_claim"},
        },
    ),
    (
        "payment_policy",
        {
            **{"rule_id": "payments.default", "rule_version": 2, "customer_id": "*"},
            **{"books": "ours", "unapplied_account": "2200"},
        },
    ),
)
"""What this company's finance decided, beyond what is delivered: by table of rules."""


def worth(cents: int, rate: str) -> int:
    """In the currency of the books, rounded once, halves away from zero."""
    return int((Decimal(cents) * Decimal(rate)).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def part_of(whole: int, numerator: int, denominator: int) -> int:
    return int((Decimal(whole) * numerator / denominator).quantize(Decimal(1), rounding=ROUND_HALF_UP))


@dataclass
class Round:
    kind: str
    actions: list[Action] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Step:
    """A day of ours: everything that is done then is posted under it."""

    day: dt.date
    rounds: list[Round] = field(default_factory=list)

    @property
    def period(self) -> str:
        return f"{self.day:%Y-%m}"


@dataclass
class Month:
    seed: int
    steps: list[Step]
    truth: dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """What a bill over so much of a charge takes back of its accrual, and what that is worth at the accrual's rate."""

    cents: int
    rate: str
    back: int = 0
    back_worth: int = 0

    @property
    def moved(self) -> int:
        """What the rate did between accrual and bill: above zero a loss."""
        return worth(self.back, self.rate) - self.back_worth


@dataclass
class Charge:
    """Freight of one charge of a shipment as it develops. accrued, billed: cents in the carrier's currency."""

    planned: int
    accrued: int = 0
    accrued_worth: int = 0
    billed: int = 0
    reversed: int = 0
    reversed_worth: int = 0
    accrued_on: dt.date = FIRST
    released: int = 0
    released_worth: int = 0
    taken: list[Taken] = field(default_factory=list)


@dataclass
class Claim:
    """What HNSA billed too much of a charge: cents and what they are worth at the rate of its bill."""

    bill: str
    cents: int
    worth: int
    gone: int = 0

    def take(self, cents: int) -> int:
        """So much of it ends; what that stood at."""
        before = part_of(self.worth, self.gone, self.cents)
        self.gone += cents
        return part_of(self.worth, self.gone, self.cents) - before

    @property
    def left(self) -> tuple[int, int]:
        return self.cents - self.gone, self.worth - part_of(self.worth, self.gone, self.cents)


class Ledger:
    """Debits and credits by period, account and currency, and over all periods what they are worth."""

    def __init__(self) -> None:
        self.by_period: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.worth: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def post(
        self, period: str, debit: str, credit: str, cents: int, currency: str = "USD", worth: int | None = None
    ) -> None:
        """A transfer; a negative one the other way round. `worth`: in USD, where that is another amount."""
        worth = cents if worth is None else worth
        if cents < 0 or (not cents and worth < 0):
            debit, credit, cents, worth = credit, debit, -cents, -worth
        for side, account in ((0, debit), (1, credit)):
            self.by_period[period, account, currency][side] += cents
            self.worth[account, currency][side] += worth


def month(seed: int, orders: int = 48, weeks: int = 4) -> Month:
    """`weeks`: on how many days of the month we work (1, 2 or 4). Raises NoRoomError where there are too few orders."""
    if orders < len(SPECIAL) + 2:
        raise NoRoomError(f"a month needs {len(SPECIAL) + 2} orders for its cases, not {orders}")
    return _Maker(seed, orders, DAYS[weeks]).run()


class _Maker:
    def __init__(self, seed: int, orders: int, days: Sequence[dt.date]) -> None:
        self.rng = random.Random(f"month {seed}")
        self.seed, self.size, self.days = seed, orders, days
        self.ledger = Ledger()
        self.documents: dict[str, dict[str, Any]] = defaultdict(dict)
        self.steps: list[Step] = []
        self.shipments: list[tuple[Shipment, str, int]] = []
        self.delivered_on: dict[str, dt.date] = {}
        self.charges: dict[tuple[str, str], Charge] = {}
        self.payables: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.invoices: dict[str, int] = {}
        self.receivable: dict[str, tuple[str, int]] = {}
        self.bills: dict[str, Bill] = {}
        self.found: list[dict[str, Any]] = []
        self.decide: list[dict[str, Any]] = []
        self.late: list[tuple[Shipment, str]] = []
        self._ids = 0
        self._files = 0
        self.rates = self._rates()
        self.world()
        self.bought = Bought(self)
        self.in_euros: dict[str, tuple[int, int]] = {}
        """A customer's invoice in euros: what is open of it, and what it is worth in the books."""
        self.claims: dict[str, Claim] = {}
        """By shipment, of its linehaul."""
        self.billed: dict[str, tuple[Record, int, int]] = {}
        """A customer invoice's customer, goods and freight."""

    # -- small things -------------------------------------------------------------------------------------------------

    def name(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}{self._ids:06d}"

    def act(self, to: Round, do: str, **more: Any) -> None:
        to.actions.append({"id": self.name("m"), "do": do, **more})

    def _rates(self) -> dict[dt.date, str]:
        """Published on business days; of other days the last one holds."""
        found, value = {}, 10_900 + self.rng.randint(-200, 200)
        day = dt.date(2026, 2, 27)
        while day <= LOCKED_THERE:
            if day.weekday() < 5:
                value += self.rng.randint(-60, 60)
                found[day] = f"{value / 10_000:.4f}"
            day += dt.timedelta(days=1)
        return found

    def rate(self, currency: str, day: dt.date) -> str:
        if currency == "USD":
            return "1"
        while day not in self.rates:
            day -= dt.timedelta(days=1)
        return self.rates[day]

    # -- who there is -------------------------------------------------------------------------------------------------

    def world(self) -> None:
        head: Record = {"version": 1, "changed_at": BEFORE}
        self.customers: list[Record] = []
        self.ship_tos: dict[str, Record] = {}
        for n in range(11):
            embedded = n % 2 == 1 or n == 10
            customer = {
                "customer_id": f"C{7001 + n}",
                **head,
                "name": f"{NAMES[n]} Trading",
                "billing_entity": {8: ELSEWHERE, 9: TAXED}.get(n, "US01"),
                "payment_terms": "NET30",
                "billing_currency": "EUR" if n == 10 else "USD",
                "freight_billing": "embedded" if embedded else "pass_through",
                "invoice_per": "shipment",
                "markup_percent": "0.00" if embedded else ("0.00", "3.33", "7.25", "10.00", "5.00")[n // 2 % 5],
            }
            self.customers.append(customer)
            city, state, prefix, zone = CITIES[(n * 5 + self.seed) % len(CITIES)]
            if n == 9:
                city, state, prefix, zone = "Newark", "NJ", "071", "America/New_York"
            self.ship_tos[customer["customer_id"]] = {
                "ship_to_id": f"T{7001 + n}",
                **head,
                "customer_id": customer["customer_id"],
                "name": f"{NAMES[n]} Trading {city}",
                "city": city,
                "state": state,
                "postal_code": f"{prefix}{10 + n}",
                "country": "US",
                "time_zone": zone,
            }
        self.items = [
            {
                "item_id": f"I{8001 + n}",
                **head,
                "description": GOODS[n],
                "unit_weight_lb": f"{self.rng.randint(1, 40)}.{self.rng.choice(('125', '250', '500'))}",
                "pallet_length_in": "48.00",
                "pallet_width_in": "40.00",
                "pallet_height_in": "50.00",
                "hazmat": False,
                "un_number": None,
            }
            for n in range(6)
        ]
        self.carriers = [
            {
                "carrier_id": f"V{scac}",
                **head,
                "scac": scac,
                "name": name,
                "channel": channel,
                "carrier_currency": CURRENCY[scac],
            }
            for scac, name, channel in (
                ("NRDF", "Northern Road Freight", "edi"),
                ("BLUW", "Bluewater Logistics", "api"),
                ("HNSA", "Hansa Spedition", "edi"),
            )
        ]
        self.charge_codes = [
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
            for charge, (account, x12_codes, bluw_code, words) in CHARGES.items()
            for scac, code in [*(("*", code) for code in x12_codes), ("BLUW", bluw_code)]
        ]

        taxed = next(c for c in self.customers if c["billing_entity"] == TAXED)["customer_id"]
        self.tax_profiles = [
            {"profile_id": f"customer:{taxed}", **head, "country": "US", "region": "NJ", "status": "business"},
            *({"profile_id": f"item:{i['item_id']}", **head, "tax_class": "standard"} for i in self.items),
        ]

    # -- the month ----------------------------------------------------------------------------------------------------

    def run(self) -> Month:
        self.make_shipments()
        since = FIRST - dt.timedelta(days=4)
        for n, day in enumerate(self.days):
            self.march(n, day, since)
            since = day
        self.close()
        self.afterwards()
        self.locked_there()
        self.close_next()
        self.long_after()
        self.write_truth()
        return Month(
            self.seed, self.steps, {"documents": {k: dict(sorted(d.items())) for k, d in self.documents.items()}}
        )

    def make_shipments(self) -> None:
        """Each with the part of the month in which it is ordered, carried and delivered."""
        rng, last = self.rng, len(self.days) - 1
        cases = [(scac, case, 0 if case in EARLY else rng.randint(0, last)) for scac, case in SPECIAL]
        # what is still open at the end was delivered late, what is billed late long ago
        cases = [(s, c, last if c in ("reversed_in_erp", "amended_in_erp", "audited") else n) for s, c, n in cases]
        while len(cases) < self.size:
            scac = ("NRDF", "HNSA", "BLUW")[len(cases) % 3]
            cases.append((scac, rng.choice(("exact", "exact", "in_tolerance", "open")), rng.randint(0, last)))
        # two pairs of orders travel together
        joined = set(range(len(SPECIAL), min(len(SPECIAL) + 2, len(cases))))
        for n, (scac, case, part) in enumerate(cases):
            self.shipments.append((self.shipment(n, scac, case, two=n in joined), case, part))

    def shipment(self, n: int, scac: str, case: str, *, two: bool) -> Shipment:
        rng = self.rng
        # freight in another currency than the order's is not passed on
        pool = [c for c in self.customers if scac != "HNSA" or c["freight_billing"] == "embedded"]
        for mark, these in (
            ("self_billed", [c for c in self.customers if c["billing_entity"] == ELSEWHERE]),
            ("taxed", [c for c in self.customers if c["billing_entity"] == TAXED]),
            ("in_euros", [c for c in self.customers if c["billing_currency"] == "EUR"]),
        ):
            pool = these if case.startswith(mark) else [c for c in pool if c not in these]
        customer = pool[n % len(pool)]
        ship_to = self.ship_tos[customer["customer_id"]]
        origin = ORIGINS[n % len(ORIGINS)]
        parts = []
        for k in range(2 if two else 1):
            order = Order(f"SO7{n:03d}{k}", 0.0, customer, ship_to, origin, [])
            for number in range(1, rng.randint(1, 2) + 1):
                line = Line(number, rng.choice(self.items), rng.randint(5, 60), rng.randint(500, 9_000), 1, None)
                order.lines.append(line)
                parts.append(Part(order, line, line.quantity))
        destination: Stop = (
            ship_to["ship_to_id"],
            ship_to["city"],
            ship_to["state"],
            ship_to["postal_code"],
            ship_to["time_zone"],
        )
        linehaul = rng.randint(40_000, 180_000)
        charges = {"LINEHAUL": linehaul, "FUEL": percent_of(linehaul, f"{rng.randint(180, 260) / 10:.1f}")}
        if n % 4 == 1:
            charges["LIFTGATE"] = rng.randint(4_000, 9_000)
        tail = f"{700_000 + self.seed % 100 * 1_000 + n}"
        found = Shipment(
            id=f"SH{tail}",
            parts=parts,
            stops=[origin, destination],
            scac=scac,
            pro=f"{scac[0]}{tail}",
            bol=f"BOL{tail}",
            booking=f"BK{tail}",
            tare_lb=Decimal(rng.randint(100, 900)),
            charges=charges,
            version=1,
        )
        if case not in ("late_delivery", "reversed_in_erp", "taxed", "in_euros_paid", "in_euros_open") and n % 7 == 3:
            found.fate = "delivered"  # the driver's app was off: nothing proves it, so the customer is not billed
        for order in found.orders:
            order.shipments.append(found)
        return found

    def march(self, n: int, day: dt.date, since: dt.date) -> None:
        step = Step(day)
        self.steps.append(step)
        masters = self.masters(step, since, first=n == 0)
        mine = [(s, case) for s, case, part in self.shipments if part == n]
        moving = [(s, case) for s, case in mine if case != "late_delivery"]
        orders, moves, bills = Round("orders"), Round("moves"), Round("bills")
        step.rounds += [orders, moves, bills]
        window = [d for d in self.rates if since < d < day and d >= FIRST] or [day]
        for shipment, case in mine:
            for order in shipment.orders:
                self.put_order(orders, order, window[0])
            self.plan(moves, shipment, window[0])
            if case == "late_delivery":
                self.late.append((shipment, case))
        for shipment, _ in moving:
            delivered = self.rng.choice(window)
            self.deliver(moves, shipment, delivered, step)
            self.accrue(shipment, delivered, step)
        if n == 0:
            self.bought.order(masters, BEFORE[:10])
            for shipment, _ in self.bought.shipments.values():
                self.plan(moves, shipment, window[0])
                self.deliver(moves, shipment, window[-1], step)
                self.accrue(shipment, window[-1], step)
            landed, _ = self.bought.shipments["landed"]
            moving.append((landed, "landed"))
        for shipment, case in moving:
            self.first_bills(bills, shipment, case, step)
        if n == 0:
            self.unknown_shipment(bills, step)
        if n == min(1, len(self.days) - 1):
            # of what was billed first on this very day, too: then in files of their own
            more = Round("bills") if n == 0 else bills
            step.rounds += [more] if n == 0 else []
            self.second_bills(step, more)
            self.talk(step)
            self.settle_claims(step, {"claim_paid_back": lambda claim: claim.cents // 2})
        if n == len(self.days) - 1:
            self.claim(step)
            self.pay(step)
            self.meddle(step)

    def masters(self, step: Step, since: dt.date, *, first: bool = False) -> Round:
        found = Round("masters")
        step.rounds.append(found)
        if first:
            for collection, records in (
                ("customers", self.customers),
                ("ship-tos", list(self.ship_tos.values())),
                ("items", self.items),
                ("carriers", self.carriers),
                ("charge-codes", self.charge_codes),
                ("tax-profiles", self.tax_profiles),
            ):
                for record in records:
                    self.act(found, "erp_put", collection=collection, document=record)
        for day, value in self.rates.items():
            if since <= day <= step.day and not (day == since and not first):
                document = {
                    "exchange_rate_id": f"EUR/USD/corporate/{day}",
                    "version": 1,
                    "changed_at": f"{day}T06:00:00+00:00",
                    "from_currency": "EUR",
                    "to_currency": "USD",
                    "rate": value,
                    "source": "corporate",
                    "rate_on": day.isoformat(),
                }
                self.act(found, "erp_put", collection="exchange-rates", document=document)
        return found

    # -- from the order to the door -----------------------------------------------------------------------------------

    def put_order(self, to: Round, order: Order, day: dt.date) -> None:
        document = {
            "order_number": order.number,
            "version": 1,
            "changed_at": f"{day}T08:00:00+00:00",
            "status": "approved",
            "customer_id": order.customer["customer_id"],
            "ship_to_id": order.ship_to["ship_to_id"],
            "currency": order.customer["billing_currency"],
            "requested_from": f"{day}T12:00:00+00:00",
            "requested_to": f"{day + dt.timedelta(days=6)}T22:00:00+00:00",
            "shipping_conditions": "LTL",
            "service_requirements": None,
            "total_amount": money(sum(line.cents for line in order.lines)),
            "lines": [line.document() for line in order.lines],
        }
        self.act(to, "erp_put", collection="sales-orders", document=document)

    def event(self, to: Round, partner: str, feed: str, event: Record, **more: Any) -> None:
        self.act(to, "event", partner=partner, event=event, units={feed: 1}, **more)

    def plan(self, to: Round, shipment: Shipment, day: dt.date) -> None:
        at = f"{day}T13:00:00+00:00"
        windows = [(f"{day}T14:00:00+00:00", f"{day}T16:00:00+00:00")] * 2
        plan = shipment.plan(self.name("TP"), at, windows, day.isoformat())
        plan["data"]["currency"] = CURRENCY[shipment.scac]
        if self.bought.holds(shipment):
            plan["data"]["direction"] = "inbound"
        self.event(to, "tms", "tms.shipment_plan", plan)
        for kind, minute in (("tender_sent", 10), ("tender_accepted", 30), ("dispatched", 50)):
            data = {"shipment_id": shipment.id, "scac": shipment.scac, "round": 1}
            occurred = f"{day}T13:{minute}:00+00:00"
            event = {"event_id": self.name("TE"), "event_type": kind, "occurred_at": occurred, "data": data}
            self.event(to, "tms", "tms.shipment_event", event)

    def deliver(self, to: Round, shipment: Shipment, day: dt.date, step: Step) -> None:
        """At half past two of the place, which is the same date in UTC; the proof a little later."""
        self.delivered_on[shipment.id] = day
        place = shipment.stops[-1]
        if shipment.scac == "BLUW":
            event = {
                "event_id": self.name("BE"),
                "shipment_id": shipment.id,
                "code": "DELIVERED",
                "reason": None,
                "occurred_local": f"{day}T14:30:00",
                "time_zone": place[4],
                "city": place[1],
                "state": place[2],
                "country": "US",
            }
            self.event(to, "bluw", "carrier.status_webhook", event)
        else:
            told = {"status": "D1", "reason": "NS", "on": day.isoformat(), "time": "14:30", "time_code": "LT"}
            where = {"city": place[1].replace(".", ""), "state": place[2], "country": "US", "stop": None}
            transaction = {
                "shipment_id": shipment.id,
                "pro_number": shipment.pro,
                "scac": shipment.scac,
                "events": [told | where],
            }
            self.act(
                to,
                "214",
                partner=shipment.scac.lower(),
                transaction=transaction,
                written_at=f"{day}T23:00:00",
                units={"carrier.status_x12": 1},
            )
        if shipment.fate != "pod":
            return
        local = dt.datetime.combine(day, dt.time(14, 40), ZoneInfo(place[4]))
        proof = {
            "event_id": self.name("DP"),
            "type": "pod_captured",
            "shipment_id": shipment.id,
            "stop_sequence": 2,
            "at": local.astimezone(dt.UTC).isoformat(),
            "signed_by": self.rng.choice(("J. Ortiz", "M. Chen", "A. Novak")),
            "osd": [],
            "pieces_delivered": shipment.pieces,
        }
        self.event(to, "driver", "driver.pod", proof)
        self.bill_customers(shipment, day, step)

    def bill_customers(self, shipment: Shipment, day: dt.date, step: Step) -> None:
        weights: dict[str, Decimal] = defaultdict(Decimal)
        for part in shipment.parts:
            weights[part.order.number] += part.weight_lb
        passed_on = shares(sum(shipment.charges.values()), weights)
        for order in shipment.orders:
            goods = sum(line.cents for line in order.lines)
            freight = 0
            if order.customer["freight_billing"] == "pass_through":
                freight = with_markup(passed_on[order.number], order.customer["markup_percent"])
            key = f"{order.number}/{shipment.id}"
            currency = order.customer["billing_currency"]
            taxed = order.customer["billing_entity"] == TAXED
            tax = percent_of(goods + freight, TAX_PERCENT) if taxed else 0
            total = goods + freight + tax
            # in the books line by line, at the rate of the day on which it was proven
            value = sum(worth(line.cents, self.rate(currency, day)) for line in order.lines)
            self.ledger.post(step.period, "1200", "4000", goods, currency, value)
            self.ledger.post(step.period, "1200", "4100", freight)
            self.ledger.post(step.period, "1200", TAX, tax)
            if currency == "EUR":
                self.in_euros[key] = (total, value)
            else:
                self.invoices[key] = total
            self.billed[key] = (order.customer, goods, freight)
            self.documents["erp.customer_invoice"][key] = {
                "customer_id": order.customer["customer_id"],
                "total": money(total),
                "goods": money(goods),
                "freight": money(freight),
                **({"tax": money(tax)} if taxed else {}),
                "currency": currency,
                "documents": 1,
            }
            self.receivable[key] = ("invoiced", total)

    def accrue(self, shipment: Shipment, day: dt.date, step: Step) -> None:
        currency = CURRENCY[shipment.scac]
        for charge, planned in shipment.charges.items():
            value = worth(planned, self.rate(currency, day))
            self.charges[shipment.id, charge] = Charge(planned, planned, value, accrued_on=step.day)
            self.ledger.post(step.period, self.account(shipment, charge), "2150", planned, currency, value)
            if self.bought.holds(shipment):
                self.bought.accrued(shipment, planned)
        if shipment.orders[0].customer.get("billing_entity") == ELSEWHERE:
            self.bill_ourselves(shipment, day, step)

    def account(self, shipment: Shipment, charge: str) -> str:
        """Where freight goes: what it takes to have goods is a part of what they cost."""
        return STOCK if self.bought.holds(shipment) else ACCOUNT[charge]

    def bill_ourselves(self, shipment: Shipment, day: dt.date, step: Step) -> None:
        """By contract it is paid as planned from its delivery on, by our own document of that day."""
        own = self.make_bill(shipment, self.as_planned(shipment), day, "", f"SB-{shipment.id}")
        key = f"{own.scac}/{own.number}/{money(own.net_cents)}/{own.on}"
        self.documents["ours.verdict"][key] = {"verdict": "exact"}
        self.approve(own, {}, step)

    # -- carriers' bills ----------------------------------------------------------------------------------------------

    def as_planned(self, shipment: Shipment, **changed: int) -> Lines:
        return [
            (charge, self.code(shipment.scac, charge), changed.get(charge, cents))
            for charge, cents in shipment.charges.items()
        ]

    def code(self, scac: str, charge: str) -> str:
        _, x12_codes, bluw_code, _ = CHARGES[charge]
        return bluw_code if scac == "BLUW" else self.rng.choice(x12_codes)

    def first_bills(self, to: Round, shipment: Shipment, case: str, step: Step) -> None:
        linehaul = shipment.charges["LINEHAUL"]
        on = step.day - dt.timedelta(days=1)
        match case:
            case _ if case in UNBILLED:
                return
            case "self_billed_same":
                lines = self.as_planned(shipment)
                self.bill(to, shipment, lines, step, "duplicate_self_bill", owed=None, on=on)
            case "self_billed_more":
                lines = self.as_planned(shipment, LINEHAUL=linehaul + percent_of(linehaul, "8"))
                self.bill(to, shipment, lines, step, "self_billed", owed=None, on=on)
                self.documents["ours.dispute"][f"BLUW/{self.bills[shipment.id].number}"] = {"state": "open"}
            case "audited":
                # the platform's word binds: of 12 % too much it lets 8 % pass, where we would have paid none
                lines = self.as_planned(shipment, LINEHAUL=linehaul + percent_of(linehaul, "12"))
                passed = linehaul + percent_of(linehaul, "8")
                self.bill(to, shipment, lines, step, "audited", owed={"LINEHAUL": passed}, on=on)
                self.audit(to, self.bills[shipment.id], step, {"LINEHAUL": passed})
            case "audit_rejects":
                # paid as it fits; what the platform says of it comes later
                self.bill(to, shipment, self.as_planned(shipment), step, "audited", owed={}, on=on)
            case "held_then_agreed":
                over = linehaul + percent_of(linehaul, "9.5")
                self.bill(to, shipment, self.as_planned(shipment, LINEHAUL=over), step, "agreed", owed=None, on=on)
                return
            case "short_paid":
                over = linehaul + percent_of(linehaul, "12")
                lines = self.as_planned(shipment, LINEHAUL=over)
                self.bill(to, shipment, lines, step, "out_of_tolerance", owed={"LINEHAUL": linehaul}, on=on)
                self.documents["ours.dispute"][f"BLUW/{self.bills[shipment.id].number}"] = {"state": "open"}
            case _ if case in CLAIMED:
                over = percent_of(linehaul, "11")
                lines = self.as_planned(shipment, LINEHAUL=linehaul + over)
                self.bill(to, shipment, lines, step, "out_of_tolerance", owed={}, on=on, claimed={"LINEHAUL": over})
                state = "open" if case == "claim_open" else "settled"
                self.documents["ours.dispute"][f"HNSA/{self.bills[shipment.id].number}"] = {"state": state}
            case "part_then_balance" | "part":
                less = percent_of(linehaul, str(self.rng.randint(40, 70)))
                self.bill(to, shipment, self.as_planned(shipment, LINEHAUL=less), step, "in_tolerance", owed={}, on=on)
            case "in_tolerance":
                change = percent_of(linehaul, f"{self.rng.choice((-30, -12, 11, 24)) / 10:.1f}")
                lines = self.as_planned(shipment, LINEHAUL=linehaul + change)
                self.bill(to, shipment, lines, step, "in_tolerance", owed={}, on=on)
            case _:
                self.bill(to, shipment, self.as_planned(shipment), step, "exact", owed={}, on=on)

    def second_bills(self, step: Step, to: Round) -> None:
        """What builds on a bill of the month's first part comes in the second, and bears its date."""
        for shipment, case, _ in self.shipments:
            known = self.bills.get(shipment.id)
            if known is None or case not in EARLY:
                continue
            linehaul = shipment.charges["LINEHAUL"]
            code = self.code(shipment.scac, "LINEHAUL")
            if case == "part_then_balance":
                rest = linehaul - self.charges[shipment.id, "LINEHAUL"].billed
                lines: Lines = [("LINEHAUL", code, rest)]
                self.bill(to, shipment, lines, step, "exact", owed={}, correction="BD", number=known.number + "BD")
            elif case == "credit":
                lines = [("LINEHAUL", code, -percent_of(linehaul, "6.5"))]
                number = known.number + "CR"
                self.bill(to, shipment, lines, step, "in_tolerance", owed={}, correction="CR", number=number)
            elif case == "claim_given_up":
                back = self.claims[shipment.id].cents * 2 // 3
                claimed = {"LINEHAUL": -back}
                lines, number = [("LINEHAUL", code, -back)], known.number + "CR"
                more: dict[str, Any] = {"correction": "CR", "number": number, "claimed": claimed}
                self.bill(to, shipment, lines, step, "in_tolerance", owed={}, **more)
            elif case == "duplicate":
                number = f"NR-{known.number[2:]}"
                self.bill(to, shipment, known.groups[0][1], step, "duplicate_number", owed=None, number=number)
            elif case == "audit_rejects":
                self.audit(to, known, step, None)
                self.approve(known, {}, step, sign=-1)

    def unknown_shipment(self, to: Round, step: Step) -> None:
        """A load that nobody here knows, from a place where nobody here is."""
        template = next(s for s, _, _ in self.shipments if s.scac == "NRDF")
        bill = self.make_bill(template, [("LINEHAUL", "400", 55_500)], step.day, "", "NR0000777")
        bill.groups = [(None, bill.groups[0][1])]
        bill.references = {"shipment_id": "SH990001", "bol_number": None, "pro_number": "X990001", "po_number": None}
        bill.destination = ("", "Holtsville", "NY", "00544", "America/New_York")
        bill.weight_lb, bill.verdict = "777.000", "no_candidate"
        self.send(to, bill)

    def bill(
        self,
        to: Round,
        shipment: Shipment,
        lines: Lines,
        step: Step,
        verdict: str,
        *,
        owed: dict[str, int] | None,
        on: dt.date | None = None,
        correction: str = "",
        number: str = "",
        period: str = "",
        claimed: dict[str, int] | None = None,
    ) -> None:
        """owed: what is paid of charges that are billed beyond it (the others are paid as billed); None: nothing.
        claimed: what of a charge is paid, and claimed back; of a credit, what comes for a claim."""
        self._files += 1
        prefix = {"NRDF": "NR", "HNSA": "HN", "BLUW": ""}[shipment.scac]
        number = number or f"{prefix}{7_000_000 + self.seed * 1_000 + self._files}"
        bill = self.make_bill(shipment, lines, on or step.day, correction, number)
        bill.verdict, bill.owed = verdict, owed
        self.bills.setdefault(shipment.id, bill)
        self.send(to, bill)
        if owed is not None:
            self.approve(bill, owed, step, period=period, claimed=claimed)

    def audit(self, to: Round, bill: Bill, step: Step, passed: dict[str, int] | None) -> None:
        """What the audit platform says of a bill: so much of these charges, and all of the others; None: nothing."""
        [(_, lines)] = bill.groups
        audited = {code: 0 if passed is None else passed.get(charge, cents) for charge, code, cents in lines}
        result = {
            "platform_reference": f"A{bill.number}",
            "audited_on": step.day.isoformat(),
            "scac": bill.scac,
            "invoice_number": bill.number,
            "action": "reject" if passed is None else "short_pay",
            "reason": "not our freight" if passed is None else "rate of another lane",
            "billed_amount": money(bill.net_cents),
            "audited_amount": money(sum(audited.values())),
            "currency": CURRENCY[bill.scac],
            "charges": [{"code": code, "audited_amount": money(cents)} for code, cents in audited.items()],
        }
        self.act(to, "audit_call", result=result, units={"audit.invoice_result": 1})
        # it did not fit what was billed, and is decided
        self.documents["ours.dispute"][f"{bill.scac}/{bill.number}"] = {"state": "settled"}

    def make_bill(self, shipment: Shipment, lines: Lines, on: dt.date, correction: str, number: str) -> Bill:
        bill = Bill(
            shipment.scac,
            number,
            correction,
            on.isoformat(),
            [(shipment, lines)],
            {
                "shipment_id": shipment.id,
                "bol_number": shipment.bol,
                "pro_number": shipment.pro,
                "po_number": shipment.orders[0].number if len(shipment.orders) == 1 else None,
            },
            shipment.stops[0],
            shipment.stops[-1],
            self.delivered_on.get(shipment.id, on).isoformat(),
            f"{shipment.weight_lb:.3f}",
            0,
        )
        bill.net_cents = bill.lines_cents
        bill.channel = {"NRDF": "210", "HNSA": "invoic", "BLUW": ("csv", "xlsx", "api")[self._files % 3]}[bill.scac]
        return bill

    def send(self, to: Round, bill: Bill) -> None:
        content: dict[str, Any]
        if bill.channel in ("csv", "xlsx"):
            content = {"rows": csv_rows(bill)}
        elif bill.channel == "api":
            # our API takes kinds by their names in X12
            content = {"bill": called(bill) | ({"kind": bill.correction} if bill.correction else {})}
        else:
            content = {"transaction": {**transaction_210(bill), "currency": CURRENCY[bill.scac]}}
            if tax := self.input_tax(bill, bill.net_cents):
                content["transaction"]["tax_amount"] = money(tax)
            content["partner"] = bill.scac.lower()
        key = f"{bill.scac}/{bill.number}/{money(bill.net_cents)}/{bill.on}"
        self.documents["ours.verdict"][key] = {"verdict": bill.verdict}
        self.act(to, bill.channel, units={bill.feed: 1}, written_at=f"{bill.on}T20:00:00", **content)

    @staticmethod
    def input_tax(bill: Bill, cents: int) -> int:
        """What HNSA adds to so much of its freight; ours to get back."""
        return percent_of(cents, VAT_PERCENT) if bill.scac == "HNSA" else 0

    def approve(
        self,
        bill: Bill,
        owed: dict[str, int],
        step: Step,
        *,
        sign: int = 1,
        period: str = "",
        claimed: dict[str, int] | None = None,
    ) -> None:
        """What of the bill is owed, and what of the accrual it takes back, at the rates of their own days. sign: -1
        where what was approved is not owed after all. period: where it is posted, if that is not the step's own."""
        period = period or step.period
        currency = CURRENCY[bill.scac]
        rate = self.rate(currency, dt.date.fromisoformat(bill.on))
        number = f"{bill.scac}/{bill.number}"
        document = self.documents["erp.supplier_invoice"].setdefault(
            number, {"total": 0, "lines": {}, "currency": currency, "documents": 0}
        )
        document["documents"] += 1
        for shipment, lines in bill.groups:
            assert shipment is not None
            for charge, _, billed in lines:
                claim = (claimed or {}).get(charge, 0)
                cents = sign * owed.get(charge, billed) - claim
                account = self.account(shipment, charge)
                value = worth(cents, rate)
                self.payables[number, currency][0] += cents + claim
                self.payables[number, currency][1] += value + worth(claim, rate)
                document["total"] += cents + claim
                item = f"{shipment.id}/{charge}"
                document["lines"][item] = document["lines"].get(item, 0) + cents + claim
                self.ledger.post(period, CLAIM, "2100", claim, currency, worth(claim, rate))
                if claim > 0:
                    self.claims[shipment.id] = Claim(bill.number, claim, worth(claim, rate))
                elif claim < 0:
                    self.claim_ends(shipment.id, -claim, worth(-claim, rate), period)
                at = self.charges[shipment.id, charge]
                at.billed += cents
                before, after = at.reversed, min(max(at.billed, 0), at.accrued - at.released)
                sold = self.bought.billed(shipment, cents, before, after) if account == STOCK else 0
                self.ledger.post(period, account, "2100", cents - sold, currency, value - sold)
                if sold:
                    self.ledger.post(period, SOLD, "2100", sold, currency)
                back = after - before
                back_worth = part_of(at.accrued_worth, after, at.accrued) - at.reversed_worth
                at.reversed, at.reversed_worth = after, at.reversed_worth + back_worth
                self.take_back(period, account, currency, Taken(cents, rate), Taken(cents, rate, back, back_worth))
                if sign < 0:  # it stands as if it had never taken anything
                    at.taken.pop()
                else:
                    at.taken.append(Taken(cents, rate, back, back_worth))
        owed_cents = sum(sign * owed.get(charge, billed) for _, lines in bill.groups for charge, _, billed in lines)
        if tax := self.input_tax(bill, owed_cents):
            first = min(shipment.id for shipment, _ in bill.groups if shipment is not None)
            self.ledger.post(period, INPUT_TAX, "2100", tax, currency, worth(tax, rate))
            self.payables[number, currency][0] += tax
            self.payables[number, currency][1] += worth(tax, rate)
            document["total"] += tax
            document["lines"][f"{first}/TAX"] = document["lines"].get(f"{first}/TAX", 0) + tax

    def take_back(self, period: str, account: str, currency: str, was: Taken, now: Taken) -> None:
        """What a bill takes of an accrual is another amount than before: the difference, at the accrual's rate; and
        what the bill's rate makes of it."""
        self.ledger.post(period, "2150", account, now.back - was.back, currency, now.back_worth - was.back_worth)
        for debit, credit, sign in (("7150", account, 1), (account, "7100", -1)):
            difference = max(sign * now.moved, 0) - max(sign * was.moved, 0)
            if difference:
                self.ledger.post(period, debit, credit, 0, currency, difference)

    def claim_ends(self, shipment_id: str, cents: int, came: int, period: str) -> None:
        """What came for so much of a claim was worth more or less than it stood at: the rate has moved."""
        moved = came - self.claims[shipment_id].take(cents)
        debit, credit = (CLAIM, "7100") if moved > 0 else ("7150", CLAIM)
        self.ledger.post(period, debit, credit, 0, "EUR", abs(moved))

    def settle_claims(self, step: Step, what: Mapping[str, Callable[[Claim], int]], *, give_up: str = "") -> None:
        """By case how much of its claim the carrier pays back; of `give_up` the rest is given up."""
        said = []
        for shipment, case, _ in self.shipments:
            if case not in what and case != give_up:
                continue
            claim = self.claims[shipment.id]
            cents = what[case](claim) if case in what else claim.left[0]
            event = {"invoice_number": claim.bill, "shipment_id": shipment.id, "amount": money(cents)}
            said.append({**event, "give_up": case == give_up})
            if case == give_up:
                self.ledger.post(step.period, GIVEN_UP, CLAIM, cents, "EUR", claim.take(cents))
            else:
                came = worth(cents, self.rate("EUR", step.day))
                self.ledger.post(step.period, GIVEN_BACK, CLAIM, cents, "EUR", came)
                self.claim_ends(shipment.id, cents, came, step.period)
        step.rounds.append(Round("settles", more={"said": said}))

    def give_up(self, key: tuple[str, str], at: Charge, step: Step) -> None:
        """What is left of an accrual goes; bills then had less to take from, so that a credit has nothing to give back:
        neither it nor the bill before it takes what it took."""
        at.released, at.released_worth = at.accrued - at.reversed, at.accrued_worth - at.reversed_worth
        shipment = self.find(key[0])
        account, currency = self.account(shipment, key[1]), CURRENCY[shipment.scac]
        self.ledger.post(step.period, "2150", "4900", at.released, currency, at.released_worth)
        whole, whole_worth = at.accrued - at.released, at.accrued_worth - at.released_worth
        billed = before = before_worth = 0
        for n, was in enumerate(at.taken):
            billed += was.cents
            after = min(max(billed, 0), whole)
            after_worth = part_of(whole_worth, after, whole) if whole else 0
            now = Taken(was.cents, was.rate, after - before, after_worth - before_worth)
            self.take_back(step.period, account, currency, was, now)
            at.taken[n], before, before_worth = now, after, after_worth

    def talk(self, step: Step) -> None:
        """NRDF billed too much and was held; we propose what is owed, the carrier accepts, and it is paid."""
        [shipment] = [s for s, case, _ in self.shipments if case == "held_then_agreed"]
        bill = self.bills[shipment.id]
        found = Round("talks", more={"scac": bill.scac, "invoice_number": bill.number, "propose": "owed"})
        step.rounds.append(found)
        self.approve(bill, {"LINEHAUL": shipment.charges["LINEHAUL"]}, step)
        self.documents["ours.dispute"][f"{bill.scac}/{bill.number}"] = {"state": "settled"}

    # -- money of customers -------------------------------------------------------------------------------------------

    def claim(self, step: Step) -> None:
        """Invoices that are not paid are disputed: one that the ERP credits itself, before we hear of it; one that it
        leaves to us; one for the freight alone, agreed only in April; one that stays open."""
        keys = [
            key for key in sorted(self.invoices)[self.paid_count :] if self.billed[key][0]["billing_entity"] != TAXED
        ]
        both = [key for key in keys if self.billed[key][2] >= 5_000]
        goods = [key for key in keys if not self.billed[key][2] and self.billed[key][1] >= 20_000]
        if not both or len(goods) < 3:
            raise NoRoomError("too few invoices are left unpaid to be disputed")
        self.disputed = dict(zip(("theirs", "ours", "open"), goods, strict=False)) | {"freight": both[0]}
        claims = Round("claims")
        step.rounds.append(claims)
        memo = {"credited_amount": "50.00", "credit_memo_number": "CM0000001", "reason_code": "DAMAGE"}
        short = {"credited_amount": "35.50", "reason_code": "SHORT"}
        self.dispute(claims, "theirs", 5_000, step, {"status": "credited", **memo})
        self.dispute(claims, "ours", 3_550, step, {"status": "credited", **short})
        self.dispute(claims, "open", 7_700, step, {"status": "opened", "reason_code": "SERVICE"})
        price = {"status": "opened", "reason_code": "PRICE", "line_kind": "freight"}
        self.dispute(claims, "freight", 2_025, step, price)
        self.credit(step, "ours", 3_550, "4900", "goods")
        self.receivable[self.disputed["open"]] = ("disputed", self.invoices[self.disputed["open"]])

    def dispute(self, to: Round, name: str, cents: int, step: Step, said: Record, *, version: int = 1) -> None:
        key = self.disputed[name]
        document = {
            "dispute_id": f"D{name}",
            "version": version,
            "changed_at": f"{step.day}T15:00:00+00:00",
            "customer_id": self.billed[key][0]["customer_id"],
            "invoice": key,
            "currency": "USD",
            "disputed_amount": money(cents),
            "opened_on": self.days[-1].isoformat(),
            "resolved_on": step.day.isoformat() if said["status"] == "credited" else None,
            **said,
        }
        self.act(to, "dispute", document=document)

    def credit(self, step: Step, name: str, cents: int, account: str, kind: str) -> None:
        """A credit memo of ours."""
        key = self.disputed[name]
        self.ledger.post(step.period, account, "1200", cents)
        invoice = self.documents["erp.customer_invoice"][key]
        _, goods, freight = self.billed[key]
        goods, freight = (goods - cents, freight) if kind == "goods" else (goods, freight - cents)
        amounts = {"goods": money(goods), "freight": money(freight), "total": money(goods + freight)}
        self.documents["erp.customer_invoice"][key] = {**invoice, **amounts, "documents": 2}
        self.receivable[key] = ("credited", self.invoices[key] - cents)

    @property
    def paid_count(self) -> int:
        return max(4, len(self.invoices) // 2)

    def pay(self, step: Step) -> None:
        """Two statements: what customers paid, one of them short; and money that nobody can place, whose posting the
        ERP takes and loses."""
        invoices = sorted(self.invoices)
        chosen = invoices[: self.paid_count]
        large = max(chosen, key=lambda key: self.invoices[key])
        short = next(key for key in chosen if key != large)
        day, entries, opening = step.day, [], 1_000_000
        for n, key in enumerate(chosen, 1):
            total = self.invoices[key]
            less = {large: 200, short: total // 4}.get(key, 0)
            paid = total - less
            entries.append(self.entry(f"R{n:04d}", paid, day, documents=[{"invoice": key, "amount": money(paid)}]))
            self.payment(f"R{n:04d}", paid, day, "applied")
            self.ledger.post(step.period, "1000", "2200", paid)
            self.ledger.post(step.period, "2200", "1200", paid)
            if key == large:  # within half a percent and 5.00
                self.ledger.post(step.period, "6900", "1200", less)
                self.receivable[key] = ("paid", 0)
            else:
                self.receivable[key] = ("invoiced" if less else "paid", less)
        statement: Record = {
            "statement_id": f"S{self.seed}A",
            "account": BANK,
            "currency": "USD",
            "opening": money(opening),
        }
        made = {"made_at": f"{day}T18:00:00+00:00"}
        first = Round("bank", more={"fault": "commit_then_drop"})
        units = {"bank.statement_entry": len(entries)}
        self.act(first, "statement", statement={**statement, **made, "entries": entries}, units=units)
        opening += sum(self.invoices[key] for key in chosen) - 200 - self.invoices[short] // 4
        lone = self.entry("R9000", 77_700, day, text="thank you", name="Somebody Else")
        self.payment("R9000", 77_700, day, "no_reference")
        self.ledger.post(step.period, "1000", "2200", 77_700)
        second = Round("bank", more={"fault": "answer_then_lose"})
        statement |= {"statement_id": f"S{self.seed}B", "opening": money(opening), "entries": [lone], **made}
        self.act(second, "statement", statement=statement, units={"bank.statement_entry": 1})
        self.pay_in_euros(step)
        # the second first: the ERP loses the only journal that is sent then
        step.rounds += [second, first]
        self.found.append({"reason": "missing_there", "amount": "777.00", "period": PERIOD})
        self.found.append({"reason": "lost_answer", "amount": "0.00", "period": PERIOD})
        self.decide.append({"reason": "missing_there", "amount": "777.00", "decision": "repost"})

    def pay_in_euros(self, step: Step) -> None:
        """One of two invoices in euros, into a bank account in euros; the rate has moved since it was billed."""
        [paid] = [s for s, case, _ in self.shipments if case == "in_euros_paid"]
        key = next(key for key in self.in_euros if key.endswith(paid.id))
        total, value = self.in_euros.pop(key)
        came = worth(total, self.rate("EUR", step.day))
        entry = self.entry("R8001", total, step.day, documents=[{"invoice": key, "amount": money(total)}])
        statement: Record = {
            "statement_id": f"S{self.seed}E",
            "account": BANK_EUR,
            "currency": "EUR",
            "opening": money(2_000_000),
            "made_at": f"{step.day}T18:00:00+00:00",
            "entries": [entry],
        }
        found = Round("bank")
        self.act(found, "statement", statement=statement, units={"bank.statement_entry": 1})
        step.rounds.append(found)
        self.payment("R8001", total, step.day, "applied", BANK_EUR)
        self.ledger.post(step.period, "1000", "2200", total, "EUR", came)
        self.ledger.post(step.period, "2200", "1200", total, "EUR", value)
        if came > value:
            self.ledger.post(step.period, "2200", "7100", 0, "EUR", came - value)
        elif came < value:
            self.ledger.post(step.period, "7150", "2200", 0, "EUR", value - came)
        self.receivable[key] = ("paid", 0)

    def entry(self, reference: str, cents: int, day: dt.date, **detail: Any) -> Record:
        details = [{"amount": money(cents), "end_to_end_id": f"E2E{reference}", **detail}]
        return {"reference": reference, "direction": "credit", "booked_on": day.isoformat(), "details": details}

    def payment(self, reference: str, cents: int, day: dt.date, verdict: str, account: str = BANK) -> None:
        self.documents["ours.payment"][f"bank:{account}/{reference}/{day}/{money(cents)}/1"] = {"verdict": verdict}

    # -- the ERP's people ---------------------------------------------------------------------------------------------

    def meddle(self, step: Step) -> None:
        people = Round("people")
        step.rounds.append(people)
        manual = [
            {"account": "6100", "debit": "12.34", "credit": "0.00"},
            {"account": "2150", "debit": "0.00", "credit": "12.34"},
        ]
        entered = {"posted_on": "2026-03-27", "currency": "USD", "lines": manual, "note": "pallet fees"}
        people.actions.append({"do": "manual", "by": "ann", **entered})
        self.ledger.post(PERIOD, "6100", "2150", 1_234)
        self.found.append({"reason": "manual_journal", "amount": "12.34", "period": PERIOD})
        self.decide.append({"reason": "manual_journal", "amount": "12.34", "decision": "adopt"})

        # the credit memo of a dispute that the ERP closed by itself
        memo = [
            {"account": "4900", "debit": "50.00", "credit": "0.00"},
            {"account": "1200", "debit": "0.00", "credit": "50.00"},
        ]
        entered = {"posted_on": step.day.isoformat(), "currency": "USD", "lines": memo, "note": "CM0000001"}
        people.actions.append({"do": "manual", "by": "ann", **entered})
        self.ledger.post(PERIOD, "4900", "1200", 5_000)
        key = self.disputed["theirs"]
        self.receivable[key] = ("credited", self.invoices[key] - 5_000)
        self.found.append({"reason": "manual_journal", "amount": "50.00", "period": PERIOD})
        self.decide.append({"reason": "manual_journal", "amount": "50.00", "decision": "adopt"})

        [reversed_one] = [s for s, case, _ in self.shipments if case == "reversed_in_erp"]
        people.actions.append(
            {"do": "reverse", "by": "ann", "accrual_of": reversed_one.id, "posted_on": step.day.isoformat()}
        )
        for charge, cents in reversed_one.charges.items():
            self.ledger.post(PERIOD, "2150", ACCOUNT[charge], cents)
            # it must stand: made once more on the day of the decision
            self.ledger.post(NEXT, ACCOUNT[charge], "2150", cents)
        total = money(reversed_one.planned_cents)
        self.found.append({"reason": "reversed_in_erp", "amount": total, "period": PERIOD})
        self.decide.append({"reason": "reversed_in_erp", "amount": total, "decision": "repost"})

        [amended] = [s for s, case, _ in self.shipments if case == "amended_in_erp"]
        sides: dict[str, int] = defaultdict(int)
        for charge, cents in amended.charges.items():
            sides[ACCOUNT[charge]] += cents
        sides["6100"] += 1
        lines = [{"account": a, "debit": money(c), "credit": "0.00"} for a, c in sorted(sides.items())]
        lines.append({"account": "2150", "debit": "0.00", "credit": money(amended.planned_cents + 1)})
        people.actions.append({"do": "amend", "by": "ann", "accrual_of": amended.id, "lines": lines})
        self.ledger.post(PERIOD, "6100", "2150", 1)
        self.found.append({"reason": "amount_differs", "amount": "0.01", "period": PERIOD})
        self.decide.append({"reason": "amount_differs", "amount": "0.01", "decision": "adopt"})

    # -- the close, and what comes after it ---------------------------------------------------------------------------

    def close(self) -> None:
        step = Step(CLOSING)
        self.steps.append(step)
        left = [
            {"reason": "manual_journal", "state": "adopted"},
            {"reason": "manual_journal", "state": "adopted"},
            {"reason": "reversed_in_erp", "state": "reposted"},
            {"reason": "amount_differs", "state": "adopted"},
        ]
        step.rounds.append(Round("drift", more={"found": self.found, "decide": self.decide, "left": left}))
        people = {"asked_by": "olga", "signed_by": "finance"}
        step.rounds.append(Round("close", more={"period": PERIOD, **people, "interrupted": True}))
        self.documents["erp.period"][PERIOD] = {"status": "locked"}
        closing = self.rate("EUR", LAST)
        open_items = [
            (at.accrued - at.reversed, at.accrued_worth - at.reversed_worth)
            for (shipment_id, _), at in self.charges.items()
            if self.scac_of(shipment_id) == "HNSA"
        ]
        # what customers owe us, and carriers: the other way round
        open_items += [(-cents, -value) for cents, value in self.in_euros.values()]
        open_items += [(-cents, -value) for cents, value in (claim.left for claim in self.claims.values())]
        open_items += [(cents, value) for (_, currency), (cents, value) in self.payables.items() if currency == "EUR"]
        for cents, value in open_items:
            difference = worth(cents, closing) - value
            if not cents or not difference:
                continue
            gain_or_loss = "7250" if difference > 0 else "7200"
            for period, sign in ((PERIOD, 1), (NEXT, -1)):
                self.ledger.post(period, gain_or_loss, "2159", 0, "EUR", sign * difference)

    def find(self, shipment_id: str) -> Shipment:
        everyone = [s for s, _, _ in self.shipments] + [s for s, _ in self.bought.shipments.values()]
        return next(s for s in everyone if s.id == shipment_id)

    def scac_of(self, shipment_id: str) -> str:
        return self.find(shipment_id).scac

    def afterwards(self) -> None:
        """After the lock: a truck that nobody reported, late bills, late credits. All of it is April's."""
        step = Step(AFTERWARDS)
        self.steps.append(step)
        self.bought.sell(self.masters(step, LAST), step.day.isoformat())
        moves, bills, claims = Round("moves"), Round("bills"), Round("claims")
        step.rounds += [moves, bills, claims]
        agreed = {"status": "credited", "credited_amount": "20.25", "reason_code": "PRICE", "line_kind": "freight"}
        self.dispute(claims, "freight", 2_025, step, agreed, version=2)
        self.credit(step, "freight", 2_025, "4100", "freight")
        late, _ = self.bought.shipments["landed_late"]
        self.bill(bills, late, self.as_planned(late), step, "exact", owed={}, on=dt.date(2026, 4, 8))
        landed, _ = self.bought.shipments["landed"]
        known = self.bills[landed.id]
        lines: Lines = [("LINEHAUL", "400", -percent_of(landed.charges["LINEHAUL"], "6"))]
        self.bill(bills, landed, lines, step, "in_tolerance", owed={}, correction="CR", number=f"{known.number}CR")
        for shipment, _ in self.late:
            day = dt.date(2026, 3, 30)
            self.deliver(moves, shipment, day, step)
            self.accrue(shipment, day, step)
        for shipment, case, _ in self.shipments:
            if case == "late_bill":
                # dated in March, and for March; but March is locked
                lines = self.as_planned(shipment)
                self.bill(bills, shipment, lines, step, "exact", owed={}, on=dt.date(2026, 3, 27))
            elif case == "late_credit" or (case == "credit" and shipment.scac == "HNSA"):
                known = self.bills[shipment.id]
                back = -percent_of(shipment.charges["LINEHAUL"], "7.5")
                lines = [("LINEHAUL", self.code(shipment.scac, "LINEHAUL"), back)]
                number = known.number + ("C2" if case == "credit" else "CR")
                self.bill(bills, shipment, lines, step, "in_tolerance", owed={}, correction="CR", number=number)
        paid_back: dict[str, Callable[[Claim], int]] = {"claim_paid_back": lambda claim: claim.left[0]}
        self.settle_claims(step, paid_back, give_up="claim_given_up")
        self.nothing_drifts(step)

    def nothing_drifts(self, step: Step) -> None:
        step.rounds.append(Round("drift", more={"found": [], "decide": [], "left": []}))

    def late_bills(self, to: Round, step: Step, which: str, on: dt.date, period: str = "") -> None:
        for shipment, case, _ in self.shipments:
            if case == which:
                lines = self.as_planned(shipment)
                self.bill(to, shipment, lines, step, "exact", owed={}, on=on, period=period)

    def locked_there(self) -> None:
        """The ERP's people lock April, and nobody tells us: what we post in it is refused, and stands in May."""
        step = Step(LOCKED_THERE)
        self.steps.append(step)
        self.masters(step, AFTERWARDS)
        people = Round("people", actions=[{"do": "lock", "by": "ann", "period": NEXT}])
        refused, known = Round("bills", more={"refused": True}), Round("bills")
        step.rounds += [people, refused, Round("locks", more={"period": NEXT}), known]
        self.late_bills(refused, step, "billed_after_lock", dt.date(2026, 4, 27), AFTER_NEXT)
        # now we know
        self.late_bills(known, step, "billed_in_may", dt.date(2026, 4, 27), AFTER_NEXT)
        self.nothing_drifts(step)

    def close_next(self) -> None:
        step = Step(CLOSING_NEXT)
        self.steps.append(step)
        more = {"period": NEXT, "asked_by": "olga", "signed_by": "finance", "locked_there": True}
        step.rounds.append(Round("close", more=more))
        self.documents["erp.period"][NEXT] = {"status": "locked"}

    def long_after(self) -> None:
        """Carriers may bill no longer what they carried in March: what nobody billed is given up, but for one charge. A
        bill that comes all the same finds nothing accrued."""
        step = Step(LONG_AFTER)
        self.steps.append(step)
        due = {
            (shipment_id, charge): at
            for (shipment_id, charge), at in sorted(self.charges.items())
            if at.accrued != at.reversed and step.day - at.accrued_on >= BILLABLE
        }
        refused = next(key for key in due if self.scac_of(key[0]) == "BLUW")
        amounts = {}
        for key, at in due.items():
            amounts["/".join(key)] = money(at.accrued - at.reversed)
            if key != refused:
                self.give_up(key, at, step)
        found = {
            "due": amounts,
            "refused": "/".join(refused),
        }
        bills = Round("bills")
        step.rounds += [Round("release", more=found), bills]
        self.late_bills(bills, step, "billed_after_release", dt.date(2026, 9, 30))
        self.nothing_drifts(step)

    # -- how the books must end ---------------------------------------------------------------------------------------

    def write_truth(self) -> None:
        documents = self.documents
        for document in documents["erp.supplier_invoice"].values():
            document["total"] = money(document["total"])
            document["lines"] = {item: money(cents) for item, cents in sorted(document["lines"].items())}
        for (period, account, currency), (debit, credit) in self.ledger.by_period.items():
            if debit or credit:
                sides = {"debit": money(debit), "credit": money(credit)}
                documents[f"ledger {period}"][f"{account}/{currency}"] = sides
        for (account, currency), (debit, credit) in self.ledger.worth.items():
            if debit or credit:
                sides = {"debit": money(debit), "credit": money(credit)}
                documents["ledger in USD"][f"{account}/{currency}"] = sides
        for (shipment_id, charge), at in self.charges.items():
            documents["ours.accrued"][f"{shipment_id}/{charge}"] = {
                "accrued": money(at.accrued),
                "reversed": money(at.reversed),
                "open": money(at.accrued - at.reversed - at.released),
                "open_in_usd": money(at.accrued_worth - at.reversed_worth - at.released_worth),
            }
        documents["erp.landed"] = self.bought.truth()
        for key, (status, cents) in self.receivable.items():
            documents["ours.receivable"][key] = {"status": status, "open": money(cents)}


def actions(made: Month) -> Iterator[Action]:
    """All that partners do."""
    for step in made.steps:
        for one in step.rounds:
            yield from one.actions
