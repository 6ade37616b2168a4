"""A world of random shipments and bills that touches every rule of settlement, landed in a warehouse and compared, bill
by bill, with what tests/support/settled.py makes of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
from policies import record_rule
from settled import (
    CENT,
    SOLD,
    STOCK,
    Alias,
    Audit,
    Bill,
    Books,
    Company,
    Goods,
    Judged,
    Keys,
    Outcome,
    Policy,
    Said,
    Shipment,
    Tolerance,
    half_up,
)
from shaped import Fact, ShapedWarehouse
from small_world import CODES, MASTERS, charge, event, exchange_rate, master, order, plan, pod, tender

D = Decimal
PARTNER_CODES = {**CODES, "LIFTGATE": "LFT", "DISCOUNT": "DSC", "UNMAPPED:ZZZ": "ZZZ"}
ACCOUNTS = {
    "LINEHAUL": "6100",
    "FUEL": "6110",
    "DETENTION": "6130",
    "LIFTGATE": "6120",
    "DISCOUNT": "6140",
    "UNMAPPED:ZZZ": None,
}
CARRIERS = ("NRDF", "SHRT", "CLMX", "OWNB")
SELF_BILLED, WHEN_PROVEN, LANDED = "OWNB", "OWNP", "LAND"
"""Whose moves we bill ourselves, at delivery and at the proof; and who brings what we buy."""
RECEIVED, LATE = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
SOON_LATE = datetime(2026, 4, 20, tzinfo=UTC)
TURN, BILLING_TURN = date(2026, 3, 5), date(2026, 3, 13)
LAST_DAY = TURN - timedelta(days=1)
"""In the middle of the days of shipping, and of those of billing: some rules change there."""

BOOTSTRAP = (
    Tolerance("tolerance.default", over_percent=D(5), over_amount=D(2)),
    Tolerance("tolerance.fuel", charge="FUEL", over_percent=D(10)),
    Tolerance("tolerance.nrdf_linehaul", scac="NRDF", charge="LINEHAUL", over_percent=D(3)),
)
OUR_TOLERANCES = (
    # bands, of which each begins where the one before ends; a charge beside them counts only outside of them
    Tolerance("t.small", scac="SHRT", value_to=D(100), over_percent=D(25)),
    Tolerance("t.a_middle", scac="SHRT", value_from=D(200), value_to=D(500), over_amount=D("7.77")),
    Tolerance("t.large", scac="SHRT", value_from=D(500), over_percent=D(1)),
    Tolerance("t.short_linehaul", scac="SHRT", charge="LINEHAUL", over_percent=D(12)),
    Tolerance(
        "t.liftgate",
        scac="SHRT",
        charge="LIFTGATE",
        value_to=D(100),
        mode="both",
        over_percent=D(10),
        over_amount=D(3),
        under_percent=D(20),
        under_amount=D(6),
    ),
    # lanes: the longer counts, and a charge before any lane
    Tolerance("t.any_lane", origin="606", over_percent=D(9)),
    Tolerance("t.lane", scac="CLMX", origin="606", over_percent=D(2)),
    Tolerance("t.longer_lane", scac="CLMX", origin="60601", destination="1", over_percent=D("2.5")),
    Tolerance("t.under", scac="CLMX", charge="FUEL", over_percent=D(8), under_percent=D(30), under_amount=D(5)),
    Tolerance("t.detention", scac="SHRT", charge="DETENTION", over_amount=D(1), unplanned=D(15)),
    # a rule that was changed, one that ended, and versions that nobody knew yet
    Tolerance("t.dated", scac="EURX", charge="LINEHAUL", over_percent=D(1)),
    Tolerance("t.dated", scac="EURX", charge="LINEHAUL", over_percent=D(6), version=2, valid_from=TURN),
    Tolerance("t.dated", scac="EURX", charge="LINEHAUL", over_percent=D(50), version=3, known=False),
    Tolerance("t.ended", scac="EURX", charge="FUEL", over_percent=D(20), valid_from=LAST_DAY, valid_to=LAST_DAY),
    # of two that are equally special the lower name counts
    Tolerance("t.twin_b", scac="PROF", charge="LINEHAUL", over_percent=D(30)),
    Tolerance("t.twin_a", scac="PROF", charge="LINEHAUL", over_percent=D(4)),
)
POLICIES = (
    Policy("settlement.default"),
    Policy("s.short", "SHRT", "short_pay", payable="2105"),
    Policy("s.claim", "CLMX", "pay_and_claim", payable="2102", claims="1355", extra_bill_days=30),
    Policy("s.hold", "NRDF", approve_up_to=D("960.00")),
    Policy("s.prof", "PROF", "short_pay", extra_bill_days=None),
    Policy("s.audited", "AUDH", audits_bind=True),
    Policy("s.claimed", "AUDC", "pay_and_claim", audits_bind=True),
    Policy("s.dated", "EURX", "short_pay", payable="2106"),
    Policy("s.dated", "EURX", "pay_and_claim", payable="2107", version=2, valid_from=BILLING_TURN),
    Policy("s.dated", "EURX", "hold", version=3, known=False),
)
KEYS = (
    Keys("match.default"),
    Keys("m.prof", "PROF", ("pro", "shipment_reference", "po")),
    Keys("m.prof", "PROF", ("bol", "pro"), version=2, valid_from=TURN),
    Keys("m.prof", "PROF", ("po",), version=3, known=False),
)
ALIASES = (
    Alias("a.factor", "FACT", "NRDF", valid_from=BILLING_TURN),
    Alias("a.factor", "FACT", "SHRT", version=2, known=False),
)
RATES = {
    ("EUR", date(2026, 3, 8)): D("1.0711"),
    ("EUR", date(2026, 3, 10)): D("1.0833"),
    ("EUR", date(2026, 3, 13)): D("1.0577"),
    ("EUR", date(2026, 3, 18)): D("1.0999"),
    ("MXN", date(2026, 3, 8)): D("0.0573"),
}
COMPANY = Company((*BOOTSTRAP, *OUR_TOLERANCES), POLICIES, KEYS, ALIASES, ACCOUNTS, RATES)
OWN_POLICIES = [policy for policy in POLICIES if policy.rule_id != "settlement.default"]
OWN_KEYS = [keys for keys in KEYS if keys.rule_id != "match.default"]

# carriers' own codes: theirs before everybody's, as of the day of the charge
EXTRA_MASTERS = [
    charge("4", "LFT", "LIFTGATE", "6120"),
    charge("5", "DSC", "DISCOUNT", "6140"),
    charge("6", "X9", "LINEHAUL", "6100"),
]


def own_code(name: str, meaning: str, version: int = 1, **more: Any) -> Fact:
    columns = {
        "charge_code_id": name,
        "version": version,
        "scac": "NRDF",
        "partner_code": "X9",
        "charge_code": meaning,
        "description": meaning,
        "ledger_account": ACCOUNTS[meaning],
        "valid_from": "2020-01-01",
        **more,
    }
    return master("erp.charge_code", "charge_code_id", **columns)


BEFORE: dict[str, Any]
FROM: dict[str, Any]
BEFORE, FROM = {"valid_to": LAST_DAY.isoformat()}, {"valid_from": TURN.isoformat()}
OWN_CODES = [
    # the row that is not valid on the day has the higher version, once this way and once the other
    own_code("7", "DISCOUNT", **BEFORE),
    own_code("8", "FUEL", version=5, **FROM),
    own_code("9", "DISCOUNT", partner_code="X7", version=5, **BEFORE),
    own_code("10", "FUEL", partner_code="X7", **FROM),
]
LATER_CODES = [
    own_code("8", "LIFTGATE", version=6, changed_at="2026-03-25T00:00:00Z", **FROM),
    own_code("4", "LIFTGATE", version=2, scac="*", partner_code="LFT", ledger_account="6121", changed_at="2026-03-02"),
]
"""Told after the bills came. What X9 means is for later bills; and a reversal credits the account that its accrual
debited."""

LATER_RATES = [exchange_rate("03-09", "1.2000"), exchange_rate("03-14", "1.3000")]
"""Published when everything was booked: they change nothing."""


def cents(rng: random.Random, least: int, most: int) -> Decimal:
    return D(rng.randint(least * 100, most * 100)) / 100


@dataclass(frozen=True)
class Kind:
    """How a shipment is billed; `of`: what the shipment must be for that."""

    bill: Callable[[World, Shipment], None]
    of: dict[str, Any] = field(default_factory=dict)


class World:
    """shipments, bills and what people say of them; `company` are its rules."""

    def __init__(self, seed: int, shipments: int) -> None:
        self.rng = random.Random(seed)
        self.company = COMPANY
        self.said = Said()
        self.turns: Counter[str] = Counter()
        self.claimed_on: dict[tuple[str, str], int] = {}
        self.shipments: list[Shipment] = []
        self.bills: list[Bill] = []
        for n in range(shipments):
            self.shipment(n, KINDS[n % len(KINDS)])
        for n, shipment in enumerate(self.shipments):
            KINDS[n % len(KINDS)].bill(self, shipment)

    # -- what was planned ---------------------------------------------------------------------------------------------

    def shipment(self, n: int, kind: Kind) -> None:
        rng = self.rng
        planned = {"LINEHAUL": cents(rng, 90, 900), "FUEL": cents(rng, 9, 90)}
        if rng.random() < 0.3:
            planned["LIFTGATE"] = cents(rng, 15, 60)
        if rng.random() < 0.15:
            planned["DISCOUNT"] = -cents(rng, 5, 40)
        plain = Shipment(
            number=f"S{n}",
            scac=rng.choice(CARRIERS),
            bol=f"B{n}",
            pro=f"PROS{n}",
            order=f"O{n}",
            origin=rng.choice(("60601", "60602", "90001")),
            destination=rng.choice(("10001", "10002", "33101")),
            ship_on=date(2026, 3, rng.randint(2, 8)),
            weight=D(1000 + n) / 10,
            planned=planned,
            delivered=rng.random() < 0.93,
            cancelled=rng.random() < 0.02,
            delivered_on=date(2026, 3, rng.randint(8, 11)),
        )
        more = {name: value(self, plain) if callable(value) else value for name, value in kind.of.items()}
        made = replace(plain, **more)
        self.shipments.append(replace(made, self_billed=made.scac in (SELF_BILLED, WHEN_PROVEN)))

    def turn(self, who: str, options: Sequence[Any]) -> Any:
        """One option after the other, so that a small world has all of them."""
        self.turns[who] += 1
        return options[self.turns[who] % len(options)]

    # -- what is billed -----------------------------------------------------------------------------------------------

    def references(self, shipment: Shipment) -> dict[str, str | None]:
        known: dict[str, str | None] = {
            "shipment_reference": shipment.number,
            "bol": shipment.bol,
            "pro": shipment.pro,
            "po": shipment.order,
        }
        how = self.rng.choice(("all", "all", "bol", "pro", "po", "slip"))
        if shipment.bol.startswith("BX") and how in ("bol", "slip"):
            how = "all"
        if how == "all":
            return known
        if how == "slip":
            return {**known, "shipment_reference": f"X{shipment.number}"}
        return {**dict.fromkeys(known), how: known[how]}

    def send(self, shipment: Shipment, lines: dict[str, Decimal], **more: Any) -> Bill:
        key = len(self.bills)
        given = {
            "scac": shipment.scac,
            "number": f"{shipment.scac[0]}{10_000 + key}",
            "correction": "",
            "on": date(2026, 3, 12) + timedelta(days=key % 3),
            "references": self.references(shipment),
            "received_at": RECEIVED,
            "currency": shipment.currency,
            "ship_on": shipment.ship_on,
            **more,
        }
        rows = given.pop("rows", tuple((name, amount, None) for name, amount in lines.items()))
        bill = Bill(
            key=key,
            lines=rows,
            origin=shipment.origin,
            destination=shipment.destination,
            weight=shipment.weight,
            **given,
        )
        self.bills.append(bill)
        return bill

    def later(self, bill: Bill, days: int = 5) -> dict[str, Any]:
        return {"on": bill.on + timedelta(days=days), "number": bill.number}

    def plain(self, s: Shipment) -> None:
        self.send(s, s.planned)

    def near_the_limit(self, s: Shipment) -> None:
        """Just what some rule allows, a cent more, or a cent less: of the rule that counts, or of another one."""
        name = self.rng.choice(list(s.planned))
        planned = s.planned[name]
        percent = self.rng.choice((1, 2, 3, 5, 8, 9, 10))
        limit = self.rng.choice((abs(planned) * percent / 100, D(2), D(3), D("7.77"))).quantize(CENT, "ROUND_DOWN")
        self.send(s, {**s.planned, name: planned + limit + self.rng.choice((-CENT, D(0), CENT))})

    def at_its_limit(self, s: Shipment) -> None:
        """At the limit of the rule that counts, over or under."""
        bill = self.send(s, s.planned)
        judge = Books([s], [bill], self.company, Said())
        name = self.rng.choice(list(s.planned))
        planned, rule = s.planned[name], judge.tolerance(bill, s, name)
        over, under = judge.allowed(rule, planned, "over"), judge.allowed(rule, planned, "under")
        step = self.rng.choice((-CENT, D(0), CENT))
        if under is not None and self.rng.random() < 0.6:
            amount = (planned - under).quantize(CENT, "ROUND_UP") + step
        else:
            amount = planned + (over or D(0)).quantize(CENT, "ROUND_DOWN") + step
        self.bills[-1] = replace(
            bill, lines=tuple((n, amount if n == name else was, None) for n, was in s.planned.items())
        )

    def far_off(self, s: Shipment) -> None:
        name = self.rng.choice(list(s.planned))
        self.send(s, {**s.planned, name: s.planned[name] + cents(self.rng, 10, 200)})

    def unplanned(self, s: Shipment) -> None:
        over = self.turn("unplanned", (0, 0, 120))
        lines = {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + over}
        self.send(s, {**lines, "DETENTION": cents(self.rng, 1, 80)})

    def less(self, s: Shipment) -> None:
        name = self.rng.choice(list(s.planned))
        self.send(s, {**s.planned, name: (s.planned[name] * self.rng.randint(40, 99) / 100).quantize(CENT)})

    def in_parts(self, s: Shipment) -> None:
        part = (s.planned["LINEHAUL"] * self.rng.randint(30, 70) / 100).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part})
        rest = s.planned["LINEHAUL"] - part + self.turn("rest", (D(0), D(1), D(0), D(90), D(90)))
        kind = self.turn("parts", ("BD", "SU", "CO", "AD"))
        bill = self.send(s, {"LINEHAUL": rest}, correction=kind, **self.later(first))
        if self.rng.random() < 0.5:  # and the same again, spelt otherwise
            number = f"{bill.number[0].lower()}-{bill.number[1:]}"
            again = self.turn("in_parts", (kind, kind, "CO" if kind != "CO" else "BD"))
            self.send(s, {"LINEHAUL": rest}, correction=again, on=bill.on + timedelta(days=1), number=number)

    def half_twice(self, s: Shipment) -> None:
        """More than half of a charge, and the same amount of it again."""
        part = (s.planned["LINEHAUL"] * self.rng.randint(55, 80) / 100).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part})
        self.send(s, {"LINEHAUL": part}, correction="CO", **self.later(first))

    def over_and_more(self, s: Shipment) -> None:
        """All that the tolerance allows, and then a further charge: nothing is expected of it any more."""
        self.at_its_limit(s)
        more = {name: D("50.00") for name in s.planned if name != "DISCOUNT"}
        self.send(s, more, correction="CO", **self.later(self.bills[-1]))

    def charge_by_charge(self, s: Shipment) -> None:
        """Each charge on a first bill of its own, under numbers of their own."""
        for name, amount in s.planned.items():
            self.send(s, {name: amount})

    def letters(self, s: Shipment) -> None:
        """A number without a digit is not a number without an end."""
        self.send(s, s.planned, number="".join(chr(65 + int(digit)) for digit in f"{len(self.bills):05}"))

    def one_day_one_number(self, s: Shipment) -> None:
        """Two bills that differ in nothing that they are ordered by but their content."""
        bill = self.send(s, s.planned)
        self.send(s, {**s.planned, "FUEL": s.planned["FUEL"] - CENT}, number=bill.number, on=bill.on)

    def twice(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        spelt = (
            f"00{first.number}",
            f"{first.number[0]} {first.number[1:]}",
            f"{first.number}A",
            first.number.lower(),
        )
        # another amount, so that only the number says that it is the same
        amounts = {**s.planned, "FUEL": s.planned["FUEL"] + self.rng.choice((D(0), -CENT))}
        days = timedelta(days=self.rng.randint(0, 3))
        self.send(s, amounts, on=first.on + days, number=self.turn("twice", spelt))

    def moved_again(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        strange = {"shipment_reference": None, "bol": None, "pro": f"Y{s.pro}", "po": None}
        references = self.rng.choice((strange, self.references(s)))
        self.send(s, s.planned, on=first.on + timedelta(days=2), references=references)

    def like_a_move(self, s: Shipment) -> None:
        """No reference fits, and one thing of the move differs, or none; or another service was billed."""
        pairs = (("LTL", "LTL"), ("LTL", "EXP"), (None, "LTL"), ("LTL", None), ("LTL", "EXP"))
        services = self.turn("services", pairs)
        first = self.send(s, s.planned, service=services[0])
        strange = {"shipment_reference": None, "bol": None, "pro": f"Y{s.pro}", "po": None}
        kind = self.turn("kind of move", ("",) * 8 + ("BD",))
        on = first.on + timedelta(days=2)
        bill = self.send(s, s.planned, on=on, references=strange, service=services[1], correction=kind)
        changes: tuple[dict[str, Any], ...] = (
            {},
            {},
            {"origin": "60699"},
            {"destination": "10099"},
            {},
            {"ship_on": s.ship_on + timedelta(days=1)},
            {},
            {"weight": s.weight + D("0.05")},
        )
        self.bills[-1] = replace(bill, **self.turn("like_a_move", changes))

    def move_not_billed(self, s: Shipment) -> None:
        strange = {"shipment_reference": None, "bol": None, "pro": f"Y{s.pro}", "po": None}
        self.send(s, s.planned, references=strange)

    def credited(self, s: Shipment) -> None:
        over = self.rng.choice((D(0), D(0), s.planned["LINEHAUL"] / 2)).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + over})
        for _ in range(self.rng.randint(1, 2)):
            amount = -cents(self.rng, 1, 70)
            self.send(s, {"LINEHAUL": amount}, correction=self.rng.choice(("CR", "AD")), **self.later(first))

    def credited_first(self, s: Shipment) -> None:
        """A credit on what was not billed yet: an accrual is not more than itself for it."""
        amount = self.rng.choice((D("20.00"), s.planned["LINEHAUL"] + 50))
        bill = self.send(s, {"LINEHAUL": -amount}, correction="CR")
        if self.rng.random() < 0.5:
            self.send(s, s.planned, on=bill.on + timedelta(days=3))

    def credited_and_billed_again(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        back = (s.planned["LINEHAUL"] / 2).quantize(CENT)
        self.send(s, {"LINEHAUL": -back}, correction="CR", **self.later(first))
        again = back + self.rng.choice((D(0), -D(5), D(200)))
        self.send(s, {"LINEHAUL": again}, correction=self.rng.choice(("CO", "BD")), **self.later(first, 8))

    def rebilled(self, s: Shipment) -> None:
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + self.rng.choice((0, 1, 200))})
        lines = {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] - cents(self.rng, 0, 30)}
        if self.turn("rebilled as", (0, 0, 1)):
            lines = {name: amount for name, amount, _ in first.lines}
        second = self.later(first)
        if self.turn("rebilled under", (0, 1)):
            second = {"on": second["on"], "number": f"{first.number}7", "corrects": first.number}
        bill = self.send(s, lines, correction="RB", **second)
        more = self.turn("rebilled and", ("nothing", "again", "the same", "again"))
        if more == "the same":
            spelt = {**second, "number": f"00{bill.number}", "on": bill.on + timedelta(days=1)}
            self.send(s, lines, correction="RB", **spelt)
        if more == "again":
            again = {"on": bill.on + timedelta(days=1), "number": f"{bill.number}9", "corrects": bill.number}
            self.send(s, s.planned, correction="RB", **again)
        if self.rng.random() < 0.2:  # a further charge of the shipment after a rebill
            lines = {"LINEHAUL": D("0.50")}
            self.send(s, lines, correction="CO", on=bill.on + timedelta(days=4), number=f"{first.number}5")

    def rebilled_too_early(self, s: Shipment) -> None:
        """A rebill or a cancellation of a bill that comes later."""
        kind = self.turn("too early", ("RB", "CA"))
        bill = self.send(s, {**s.planned, "FUEL": s.planned["FUEL"] - (CENT if kind == "RB" else 0)}, correction=kind)
        self.send(s, s.planned, **self.later(bill, 3))

    def cancelled(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        sign = self.rng.choice((1, -1))
        factor = self.turn("cancelled", (D(1), D(1), D("0.5")))
        lines = {name: (sign * amount * factor).quantize(CENT) for name, amount in s.planned.items()}
        own = {"on": first.on + timedelta(days=5), "number": f"{first.number}3", "corrects": first.number}
        self.send(s, lines, correction="CA", **self.turn("under", (self.later(first), own)))
        more = self.turn(
            "cancelled and", ("billed", "billed", "the other way round", "billed and cancelled", "cancelled")
        )
        if more.startswith("billed"):
            self.send(s, {**s.planned, "FUEL": s.planned["FUEL"] + 1}, **self.later(first, 9))
        if more.endswith("cancelled"):
            self.send(s, lines, correction="CA", **self.later(first, 12))
        if more == "the other way round":
            lines = {name: -amount for name, amount in lines.items()}
            self.send(s, lines, correction="CA", **self.later(first, 12))

    def rebilled_for_less(self, s: Shipment) -> None:
        """Less than the tolerance for less allows, on a bill that takes another one's place; then a credit."""
        over = self.turn("rebilled for less", (D(0), D(200)))
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + over})
        less = (s.planned["FUEL"] * D("0.4")).quantize(CENT)
        self.send(s, {**s.planned, "FUEL": less}, correction="RB", **self.later(first))
        self.send(s, {"LINEHAUL": D("-20.00")}, correction="CR", **self.later(first, 7))

    def half_by_half(self, s: Shipment) -> None:
        """A charge on two first bills, each of which alone would be too little."""
        half = (s.planned["FUEL"] / 2).quantize(CENT)
        bill = self.send(s, {**s.planned, "FUEL": half})
        self.send(s, {"FUEL": s.planned["FUEL"] - half}, on=bill.on + timedelta(days=1))

    def held_and_more(self, s: Shipment) -> None:
        """What was held was not approved: it is still expected on the next bill."""
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + 200})
        self.send(s, {"FUEL": s.planned["FUEL"]}, correction="CO", **self.later(first))

    def unplanned_given_back(self, s: Shipment) -> None:
        """Less than nothing of a charge that nobody planned."""
        first = self.send(s, s.planned)
        kind = self.turn("given back", ("AD", "CO", "SU", "", "CR"))
        self.send(s, {"DETENTION": D("-5.00")}, correction=kind, on=first.on + timedelta(days=4))

    def more_off(self, s: Shipment) -> None:
        """A larger discount than was planned is accepted; no more of it is taken back than was accrued."""
        self.send(s, {**s.planned, "DISCOUNT": s.planned["DISCOUNT"] - 20})

    def without_lines(self, s: Shipment) -> None:
        self.send(s, {})

    def undated(self, s: Shipment) -> None:
        """A bill without a day of shipping has its shipment's."""
        self.at_its_limit(s)
        bill = replace(self.bills[-1], ship_on=None)
        if self.turn("undated", (True, False, True)):  # as much as only the rule that ended allows
            more = {**s.planned, "FUEL": (s.planned["FUEL"] * D("1.15")).quantize(CENT)}
            bill = replace(bill, lines=tuple((name, amount, None) for name, amount in more.items()))
        self.bills[-1] = bill

    def unknown(self, s: Shipment) -> None:
        strange = {"shipment_reference": "NOBODY", "bol": None, "pro": None, "po": None}
        bill = self.send(s, s.planned, references=strange)
        self.bills[-1] = replace(bill, weight=D("9999.9"))

    def of_another(self, s: Shipment) -> None:
        """Right references, but of another carrier's shipment."""
        other = next(x for x in self.shipments if x.scac != s.scac and not x.cancelled and x.bol[:2] != "BX")
        key = self.turn("of_another", ("shipment_reference", "bol", "pro", "po"))
        value = {"shipment_reference": other.number, "bol": other.bol, "pro": other.pro, "po": other.order}[key]
        references = {**dict.fromkeys(("shipment_reference", "bol", "pro", "po")), key: value}
        bill = self.send(s, s.planned, references=references)
        self.bills[-1] = replace(bill, weight=D("9999.8"))

    def called_off(self, s: Shipment) -> None:
        """A shipment that did not go: by its own number it is found, by what belongs to another one it is not."""
        known = {"shipment_reference": s.number, "bol": s.bol, "pro": s.pro, "po": s.order}
        key = self.turn("called_off", tuple(known))
        self.send(s, s.planned, references={**dict.fromkeys(known), key: known[key]})
        if key == "shipment_reference":  # and the same move again
            strange = {"shipment_reference": None, "bol": None, "pro": f"Y{s.pro}", "po": None}
            self.send(s, s.planned, references=strange)

    def not_its_order_any_more(self, s: Shipment) -> None:
        only = {"shipment_reference": None, "bol": None, "pro": None, "po": s.left_order}
        bill = self.send(s, s.planned, references=only)
        self.bills[-1] = replace(bill, weight=D("9999.7"))

    def two_references(self, s: Shipment) -> None:
        """Each of the references is right, of another shipment: the carrier's first key decides."""
        others = [x for x in self.shipments if x.scac == s.scac and not x.cancelled and x.bol[:2] != "BX"]
        picked = self.rng.choices(others, k=3)
        references: dict[str, str | None] = {
            "shipment_reference": self.rng.choice((None, s.number)),
            "bol": self.rng.choice((None, picked[0].bol)),
            "pro": picked[1].pro,
            "po": picked[2].order,
        }
        self.send(s, s.planned, references=references)

    def consolidated(self, s: Shipment) -> None:
        mine = [
            x
            for x in self.shipments
            if x.scac == s.scac and x is not s and not x.cancelled and x.currency == s.currency and x.accrued
        ]
        other = self.rng.choice(mine)
        # what lines name their shipments by, what the head says (of the whole, not of one of its shipments), and a line
        # of neither of them
        nobodys, silent = (("FUEL", D("5.00"), "NOBODY"),), (("FUEL", D("6.00"), None),)
        cases: tuple[tuple[str, str | None, tuple[tuple[str, Decimal, str | None], ...]], ...] = (
            ("shipment_reference", "pro", nobodys),
            ("pro", "shipment_reference", nobodys),
            ("bol", None, ()),
            ("shipment_reference", "bol", nobodys),
            ("po", None, ()),
            ("shipment_reference", "po", nobodys),
            ("pro", "bol", silent),
            ("bol", "pro", nobodys),
            ("shipment_reference", "po", silent),
            ("po", "bol", ()),
            ("shipment_reference", None, ()),
            ("bol", "bol", ()),
            ("pro", "po", ()),
            ("po", "po", nobodys),
            ("shipment_reference", "bol", ()),
            ("pro", None, silent),
        )
        how, key, more = self.turn("consolidated", cases)
        names = [_named(x, how) for x in (s, other)]
        rows = [(name, amount, names[0]) for name, amount in s.planned.items()]
        rows += [(name, amount + self.rng.choice((0, 0, 1)), names[1]) for name, amount in other.planned.items()]
        head: dict[str, str | None] = dict.fromkeys(("shipment_reference", "bol", "pro", "po"))
        if key is not None:
            head[key] = _named(s, key)
        self.send(s, {}, rows=(*rows, *more), references=head, named_by=how)

    def named_by_its_lines(self, s: Shipment) -> None:
        # a head with another number makes each of its lines speak for itself
        cases = (
            ("shipment_reference", None),
            ("pro", None),
            ("shipment_reference", "OTHER"),
            ("bol", None),
            ("po", None),
            ("pro", "OTHER"),
            ("shipment_reference", s.number),
            ("bol", s.number),
            ("po", "OTHER"),
        )
        how, head = self.turn("named by", cases)
        rows = tuple((charge, amount, _named(s, how)) for charge, amount in s.planned.items())
        references = {"shipment_reference": head, "bol": None, "pro": None, "po": None}
        self.send(s, {}, rows=rows, references=references, named_by=how)

    def a_charge_on_two_lines(self, s: Shipment) -> None:
        part = (s.planned["LINEHAUL"] / 3).quantize(CENT)
        rows = [(name, amount, None) for name, amount in s.planned.items() if name != "LINEHAUL"]
        rows += [("LINEHAUL", part, None), ("LINEHAUL", s.planned["LINEHAUL"] - part, None)]
        self.send(s, {}, rows=tuple(rows))

    def shared_bol(self, s: Shipment) -> None:
        """The PRO would tell the two apart, but the first key that finds anything decides."""
        if self.turn("billed before", (0, 1)):
            self.send(s, s.planned, references={"shipment_reference": s.number, "bol": None, "pro": None, "po": None})
        pro = self.turn("shared_bol", (None, s.pro))
        self.send(s, s.planned, references={"shipment_reference": None, "bol": s.bol, "pro": pro, "po": None})

    def in_pesos(self, s: Shipment) -> None:
        self.send(s, s.planned, currency="MXN")
        if self.rng.random() < 0.3:
            self.send(s, {"LINEHAUL": D("-10.00")}, currency="MXN", correction="CR")

    def too_late(self, s: Shipment) -> None:
        part = (s.planned["LINEHAUL"] * D("0.6")).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part})
        kind = self.rng.choice(("BD", "SU", "CO"))
        received = self.rng.choice((LATE, LATE, SOON_LATE))
        lines = {"LINEHAUL": s.planned["LINEHAUL"] - part}
        self.send(s, lines, correction=kind, received_at=received, **self.later(first, 190))

    def second_unplanned(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        amount = self.turn("second_unplanned", (D("15.00"), D("15.01"), D("9.00"), cents(self.rng, 1, 30)))
        for n in range(2):
            lines = {"DETENTION": amount if n == 0 or self.rng.random() < 0.6 else amount + self.rng.choice((1, -1))}
            number = f"{first.number}{n}"
            kind = self.rng.choice(("SU", "SU", "BD", "CO", "AD"))
            self.send(s, lines, correction=kind, on=first.on + timedelta(days=3 + n), number=number)

    def odd(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        kind = self.turn("odd", ("RF", "ZZ", "RB", "RP", "ZZ", "CA"))
        number = first.number if kind in ("RF", "RP", "ZZ") else f"Z{first.number}8"
        self.send(s, s.planned, correction=kind, on=first.on + timedelta(days=4), number=number)

    def same_day(self, s: Shipment) -> None:
        """A first bill and its correction of one day: the first bill comes first, whatever their numbers."""
        part = (s.planned["LINEHAUL"] / 2).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part}, number=f"{s.scac[0]}9{len(self.bills):06}")
        more = s.planned["LINEHAUL"] - part + self.rng.choice((D(0), D(100)))
        self.send(s, {"LINEHAUL": more}, correction="CO", on=first.on, number=f"{s.scac[0]}1{len(self.bills):06}")

    def factored(self, s: Shipment) -> None:
        """A factoring company bills for the carrier, before and after we knew that it may."""
        first = self.send(s, s.planned)
        day = date(2026, 3, self.rng.choice((12, 15, 16)))
        number = self.rng.choice((first.number, f"F{first.number}"))
        lines = {**s.planned, "FUEL": s.planned["FUEL"] + self.rng.choice((D(0), CENT))}
        self.send(s, lines, scac="FACT", on=day, number=number)

    def in_euros(self, s: Shipment) -> None:
        how = self.turn("in_euros", ("near", "far", "parts", "credit", "near", "dollars", "old"))
        if how == "near":
            self.at_its_limit(s)
        elif how == "old":  # no rate is known any more
            first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] - 20})
            self.send(s, {"LINEHAUL": D("20.00")}, correction="CO", **self.later(first, 60))
        elif how == "far":
            self.far_off(s)
        elif how == "parts":
            self.in_parts(s)
        elif how == "credit":
            self.credited(s)
        else:
            self.send(s, s.planned, currency="USD")

    def in_pounds(self, s: Shipment) -> None:
        """Nobody publishes a rate for them."""
        self.send(s, s.planned)

    def without_a_meaning(self, s: Shipment) -> None:
        """A credit of a code that the map does not know fits, but has no account."""
        first = self.send(s, s.planned)
        self.send(s, {"UNMAPPED:ZZZ": D("-7.00")}, correction="CR", **self.later(first))

    def agreed_in_pesos(self, s: Shipment) -> None:
        """What is agreed in another currency than the plan's is paid, and takes no accrual back."""
        bill = self.send(s, s.planned, currency="MXN")
        for name, amount in s.planned.items():
            self.said.agreed[bill.key, s.number, name] = half_up(amount / 2)

    def agreed_on(self, s: Shipment) -> None:
        """Both sides agree on what does not fit: on all of it, or on one of two charges."""
        off = ["LINEHAUL", *(["FUEL"] if self.rng.random() < 0.4 else [])]
        lines = {**s.planned, **{name: s.planned[name] + cents(self.rng, 40, 120) for name in off}}
        if self.rng.random() < 0.3:
            off, lines = ["DETENTION"], {**s.planned, "DETENTION": D("70.00")}
        bill = self.send(s, lines, references={"shipment_reference": s.number, "bol": None, "pro": None, "po": None})
        for name in off if self.rng.random() < 0.7 else off[:1]:
            least = s.planned.get(name, D(0))
            amount = half_up(least + (lines[name] - least) * self.rng.choice((D(0), D("0.5"), D(1))))
            self.said.agreed[bill.key, s.number, name] = amount
        if self.rng.random() < 0.4:
            more = {"LINEHAUL": D("20.00")}
            self.send(s, more, correction="CO", **self.later(bill))

    def claimed_back(self, s: Shipment) -> None:
        """Paid and claimed; part of it comes back as money, then a credit comes."""
        over = cents(self.rng, 60, 120)
        first = self.send(s, {**s.planned, "LINEHAUL": half_up(s.planned["LINEHAUL"] * D("1.1")) + over})
        if self.rng.random() < 0.6:
            self.said.given_back[s.number, "LINEHAUL"] = half_up(over * self.rng.choice((D("0.3"), D("0.8"))))
            self.claimed_on[s.number, "LINEHAUL"] = first.key
        self.send(s, {"LINEHAUL": -cents(self.rng, 20, 90)}, correction="CR", **self.later(first))
        if self.rng.random() < 0.5:
            self.send(s, {"LINEHAUL": -cents(self.rng, 20, 200)}, correction="AD", **self.later(first, 7))
        self.send(s, {"LINEHAUL": D("15.00")}, correction="CO", **self.later(first, 9))

    def claimed_in_euros(self, s: Shipment) -> None:
        """Two claims, each at the rate of its day; the second credit takes what is left of the first, then more."""
        over, more = cents(self.rng, 60, 120), cents(self.rng, 30, 50)
        lines = {**s.planned, "LINEHAUL": half_up(s.planned["LINEHAUL"] * D("1.1")) + over}
        first = self.send(s, lines, on=BILLING_TURN)
        self.send(s, {"LINEHAUL": more}, correction="CO", **self.later(first))
        self.send(s, {"LINEHAUL": -half_up(over / 3)}, correction="CR", **self.later(first, 6))
        rest = lines["LINEHAUL"] - s.planned["LINEHAUL"]
        self.send(s, {"LINEHAUL": -rest}, correction="CR", **self.later(first, 7))

    def asked_about(self, s: Shipment) -> None:
        """More than a person must say yes to; who said it, said it of the amount that the bill had."""
        bill = self.send(s, s.planned)
        net = bill.net
        answers = (("rejected", net), ("approved", net), ("approved", net - 1), ("rejected", net - 1), None)
        answer = self.turn("asked_about", answers)
        if answer is not None:
            self.said.answers[bill.key] = answer

    def at_the_approval_limit(self, s: Shipment) -> None:
        limit = D("960.00") + self.rng.choice((D(0), CENT))
        fuel = limit - s.planned["LINEHAUL"]
        self.send(s, {"LINEHAUL": s.planned["LINEHAUL"], "FUEL": fuel})

    def given_up(self, s: Shipment) -> None:
        """Part of the accrual was released before the bill came."""
        part = half_up(s.planned["LINEHAUL"] * self.rng.choice((D("0.4"), D(1))))
        self.said.released[s.number, "LINEHAUL"] = part
        first = self.send(s, s.planned)
        if self.rng.random() < 0.4:
            self.send(s, {"LINEHAUL": -cents(self.rng, 5, 60)}, correction="CR", **self.later(first))

    def not_accrued_yet(self, s: Shipment) -> None:
        self.send(s, s.planned)

    def audited(self, s: Shipment) -> None:
        """Billed too much, or as planned; and what an audit platform says of it, or of another bill."""
        how = self.turn(
            "audited", ("less", "rejected", "less", "approved", "some", "of another amount", "agreed", "twice", "less")
        )
        over = self.turn("audited over", (D(0), D("30.00"), D("55.55")))
        bill = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + over})
        to_pay = {name: amount for name, amount, _ in bill.lines}
        to_pay["LINEHAUL"] = half_up(to_pay["LINEHAUL"] * D("0.9"))
        audited = sum(to_pay.values(), D(0))
        match how:
            case "rejected":
                audit = Audit("reject", bill.net, D("0.00"))
            case "approved":
                audit = Audit("approve", bill.net, bill.net)
            case "some":  # it does not say of what
                audit = Audit("short_pay", bill.net, audited, {"LINEHAUL": to_pay["LINEHAUL"] - 1})
            case "of another amount":
                audit = Audit("short_pay", bill.net + 1, audited, to_pay)
            case _:
                audit = Audit("short_pay", bill.net, audited, to_pay)
        self.said.audits[bill.key] = audit
        if how == "agreed":
            self.said.agreed[bill.key, s.number, "LINEHAUL"] = s.planned["LINEHAUL"] - 5
        if how == "twice":  # and a correction on top of what the audit left
            self.send(s, {"LINEHAUL": D("20.00")}, correction="CO", **self.later(bill))

    # -- as landed ----------------------------------------------------------------------------------------------------

    def facts(self) -> list[Fact]:
        found: list[Fact] = []
        for s in self.shipments:
            stops = [
                {"sequence": n, "kind": kind, "postal_code": code, "time_zone": "America/Chicago"}
                for n, kind, code in ((1, "pickup", s.origin), (2, "delivery", s.destination))
            ]
            charges = {name: str(amount) for name, amount in s.planned.items()}
            same: dict[str, Any] = {
                "bol": s.bol,
                "weight": str(s.weight),
                "pro_number": s.pro,
                "ship_on": s.ship_on.isoformat(),
                "stops": stops,
                "currency": s.currency,
            }
            if s.goods:
                found += bought(s)
                parts = [(s.order, one.line, 100, str(one.weight)) for one in s.goods]
                found.append(plan(s.number, s.scac, parts, charges, direction="inbound", **same))
                if s.delivered and not s.cancelled:
                    found.append(event("x12_214", "D1", s.number, f"{s.delivered_on.day:02}T10", scac=s.scac))
                continue
            found.append(order(s.order, "C2", [(1, "5.00")]))
            if s.left_order:
                found.append(order(s.left_order, "C2", [(1, "5.00")]))
                found.append(plan(s.number, s.scac, [(s.left_order, 1, 1, "5")], charges, **same))
            version = 2 if s.left_order else 1
            found.append(plan(s.number, s.scac, [(s.order, 1, 1, "5")], charges, version=version, **same))
            if s.cancelled:
                found.append(tender(s.number, "tender_sent", "05T10"))
                found.append(tender(s.number, "shipment_cancelled", "06T10"))
            elif not s.delivered:
                found.append(event("x12_214", "X6", s.number, "08T10", scac=s.scac))
            else:
                found.append(event("x12_214", "D1", s.number, f"{s.delivered_on.day:02}T10", scac=s.scac))
                if s.proven:
                    found.append(pod(s.number, 1, "11T12"))
        return found


def _named(shipment: Shipment, how: str) -> str:
    names = {"shipment_reference": shipment.number, "bol": shipment.bol, "pro": shipment.pro, "po": shipment.order}
    return names[how]


def bought(shipment: Shipment) -> list[Fact]:
    """Its purchase order, and what became of the goods."""
    lines = [{"line": one.line, "item_id": "I1", "quantity": 100, "unit_price": "2.00"} for one in shipment.goods]
    head = {"order_number": shipment.order, "status": "open", "billing_entity": "US", "currency": "USD"}
    found = [master("erp.purchase_order", "order_number", lines=lines, **head)]
    for one in shipment.goods:
        if one.stock is not None:
            there, sold = one.stock
            found.append(
                master(
                    "erp.stock_position",
                    "stock_id",
                    stock_id=f"{shipment.order}/{one.line}",
                    order_number=shipment.order,
                    order_line=one.line,
                    received_quantity=D(100),
                    on_hand_quantity=D(there),
                    sold_quantity=D(sold),
                )
            )
    return found


def _goods(world: World, s: Shipment) -> tuple[Goods, ...]:
    stocks = ((60, 40), None, (0, 100), (0, 0), (50, 50), (33, 19), (100, 0))
    weights = (D(30), D(10), D("7.5"), D(12))
    return tuple(
        Goods(line, world.turn("weight", weights), world.turn("stock", stocks))
        for line in range(1, world.turn("goods", (2, 3)) + 1)
    )


def _even(amount: str) -> Callable[[World, Shipment], dict[str, Decimal]]:
    """A plan whose linehaul is this; `near`: or a cent less."""
    return lambda world, s: {**s.planned, "LINEHAUL": D(amount) - world.rng.choice((D(0), D(0), CENT))}


def _pair(world: World, s: Shipment) -> str:
    """One bill of lading for it and its neighbour."""
    return f"BX{int(s.number[1:]) // len(KINDS)}"


GOES = {"delivered": True, "cancelled": False}
NOT_OURS = {"scac": lambda world, s: world.turn("not ours", CARRIERS[:3]), **GOES}
"""Of a carrier that bills its moves itself."""
SURE = {"scac": "NRDF", **GOES}
KINDS = (
    Kind(World.plain),
    Kind(World.plain),
    Kind(World.near_the_limit),
    Kind(World.near_the_limit),
    Kind(World.at_its_limit, {"scac": "CLMX", **GOES}),
    Kind(World.at_its_limit),
    Kind(World.at_its_limit, {"scac": "PROF", **GOES}),
    Kind(
        World.at_its_limit,
        {"scac": "SHRT", "planned": lambda world, s: {"LIFTGATE": cents(world.rng, 15, 60)}, **GOES},
    ),
    Kind(World.at_its_limit, {"scac": "SHRT", "planned": _even("500.00"), **GOES}),
    Kind(World.at_its_limit, {"scac": "SHRT", "planned": _even("200.00"), **GOES}),
    Kind(
        World.at_its_limit,
        {"scac": "SHRT", "planned": lambda world, s: {"DISCOUNT": -cents(world.rng, 110, 150)}, **GOES},
    ),
    Kind(World.half_twice, GOES),
    Kind(World.over_and_more, {"scac": "SHRT", **GOES}),
    Kind(World.over_and_more, {"scac": "CLMX", **GOES}),
    Kind(World.charge_by_charge),
    Kind(World.rebilled_for_less, {"scac": "CLMX", **GOES}),
    Kind(World.half_by_half, {"scac": "CLMX", **GOES}),
    Kind(World.held_and_more, SURE),
    Kind(World.unplanned_given_back, GOES),
    Kind(World.unplanned_given_back, {**NOT_OURS, "delivered": False}),
    Kind(
        World.more_off,
        {
            **NOT_OURS,
            "planned": lambda world, s: {"LINEHAUL": cents(world.rng, 200, 400), "DISCOUNT": -cents(world.rng, 5, 40)},
        },
    ),
    Kind(World.without_lines),
    Kind(World.letters),
    Kind(World.one_day_one_number, GOES),
    Kind(World.credited_first, GOES),
    Kind(World.rebilled_too_early),
    Kind(World.agreed_in_pesos, NOT_OURS),
    Kind(World.far_off),
    Kind(World.unplanned),
    Kind(World.less),
    Kind(World.in_parts),
    Kind(World.twice),
    Kind(World.moved_again),
    Kind(World.like_a_move, {"cancelled": False}),
    Kind(World.move_not_billed),
    Kind(World.credited),
    Kind(World.credited_and_billed_again),
    Kind(World.rebilled),
    Kind(World.cancelled),
    Kind(World.unknown),
    Kind(World.of_another),
    Kind(World.called_off, {"cancelled": True}),
    Kind(World.not_its_order_any_more, {"left_order": lambda world, s: f"W{s.order}", **GOES}),
    Kind(World.two_references, {"scac": "PROF", **GOES}),
    Kind(World.two_references, {"scac": "SHRT", **GOES}),
    Kind(World.consolidated),
    Kind(World.consolidated),
    Kind(World.named_by_its_lines),
    Kind(World.a_charge_on_two_lines),
    Kind(World.shared_bol, {"scac": "NRDF", "bol": _pair, "cancelled": False}),
    Kind(World.plain, {"scac": "NRDF", "bol": _pair, "cancelled": False}),
    Kind(World.in_pesos),
    Kind(World.too_late),
    Kind(World.too_late, {"scac": "CLMX", **GOES}),
    Kind(World.too_late, {"scac": "PROF", **GOES}),
    Kind(World.second_unplanned),
    Kind(World.second_unplanned, {"scac": "SHRT", **GOES}),
    Kind(World.odd),
    Kind(World.odd),
    Kind(World.same_day),
    Kind(World.factored, SURE),
    Kind(World.in_euros, {"scac": "EURX", "currency": "EUR", **GOES}),
    Kind(World.in_euros, {"scac": "EURX", "currency": "EUR", **GOES}),
    Kind(World.undated, {"scac": "EURX", "currency": "EUR", "ship_on": LAST_DAY, **GOES}),
    Kind(World.undated, {"scac": "EURX", "currency": "EUR", "ship_on": TURN, **GOES}),
    Kind(World.in_pounds, {"scac": "GBPX", "currency": "GBP", **GOES}),
    Kind(World.without_a_meaning),
    *(
        # codes of the carrier's own on the days on which they change their meaning
        Kind(
            World.plain,
            {
                **{"scac": "NRDF", "ship_on": day, **GOES},
                "planned": lambda world, s: {
                    "LINEHAUL": cents(world.rng, 200, 400),
                    "DISCOUNT": -cents(world.rng, 5, 40),
                    "FUEL": D("31.00"),
                },
            },
        )
        for day in (LAST_DAY, LAST_DAY, TURN)
    ),
    Kind(World.agreed_on, NOT_OURS),
    Kind(World.agreed_on, NOT_OURS),
    Kind(World.claimed_back, {"scac": "CLMX", **GOES}),
    Kind(World.claimed_in_euros, {"scac": "EURX", "currency": "EUR", **GOES}),
    Kind(World.asked_about, {**SURE, "planned": lambda world, s: {"LINEHAUL": cents(world.rng, 970, 1500)}}),
    Kind(World.asked_about, {**SURE, "planned": lambda world, s: {"LINEHAUL": cents(world.rng, 970, 1500)}}),
    Kind(World.asked_about, {**SURE, "planned": lambda world, s: {"LINEHAUL": cents(world.rng, 970, 1500)}}),
    Kind(
        World.at_the_approval_limit,
        {**SURE, "planned": lambda world, s: {"LINEHAUL": D("900.00"), "FUEL": D("60.00")}},
    ),
    Kind(World.given_up, NOT_OURS),
    Kind(World.not_accrued_yet, {"accrued": False, **NOT_OURS}),
    Kind(World.audited, {"scac": "AUDH", **GOES}),
    Kind(World.audited, {"scac": "AUDH", **GOES}),
    Kind(World.audited, {"scac": "AUDC", **GOES}),
    Kind(World.audited, NOT_OURS),
    Kind(World.plain, {"scac": WHEN_PROVEN, "proven": lambda world, s: world.turn("proven", (False, True)), **GOES}),
    Kind(World.plain, {"scac": WHEN_PROVEN, "proven": False, **GOES}),
    Kind(World.in_parts, {"scac": LANDED, "goods": _goods, **GOES}),
    Kind(World.credited, {"scac": LANDED, "goods": _goods, **GOES}),
    Kind(World.rebilled, {"scac": LANDED, "goods": _goods, **GOES}),
)


LINE_NAMES = {
    "shipment_reference": "shipment_reference",
    "pro": "pro_number",
    "bol": "bol_number",
    "po": "order_number",
}


def landed(bill: Bill) -> Fact:
    columns = {
        "source": "carrier.invoice_x12",
        "scac": bill.scac,
        "invoice_number": bill.number,
        "correction": bill.correction,
        "corrects_number": bill.corrects,
        "invoice_on": bill.on,
        "ship_on": bill.ship_on,
        "service_level": bill.service,
        "shipment_reference": bill.references["shipment_reference"],
        "bol_number": bill.references["bol"],
        "pro_number": bill.references["pro"],
        "po_number": bill.references["po"],
        "origin_postal": bill.origin,
        "destination_postal": bill.destination,
        "weight_lb": bill.weight,
        "currency": bill.currency,
        "amount": bill.net,
        "net_amount": bill.net,
        "lines_total": bill.net,
        "line_count": len(bill.lines),
    }
    lines = [
        {
            "line": n,
            "partner_code": _code(bill, name),
            "line_amount": amount,
            LINE_NAMES[bill.named_by]: reference,
        }
        for n, (name, amount, reference) in enumerate(bill.lines, 1)
    ]
    touches = [("settle_freight", "carrier_invoice", f"{bill.scac}:{{record}}")]
    return Fact("carrier.invoice_x12", "carrier_invoice", columns, touches, lines)


def _code(bill: Bill, name: str) -> str:
    """Now and then the carrier's own code, which means one thing before a day and another from it on."""
    if bill.key % 2 == 0:
        before = (bill.ship_on or bill.on) < TURN
        if bill.scac == "NRDF" and name == ("DISCOUNT" if before else "FUEL"):
            return "X9" if bill.key % 4 == 0 else "X7"
        if bill.scac not in ("NRDF", "FACT") and name == "LINEHAUL":
            return "X9"
    return PARTNER_CODES[name]


def _record(
    shaped: ShapedWarehouse, table: str, rules: Iterable[Any], columns: Callable[[Any], dict[str, Any]]
) -> None:
    for rule in rules:
        known = "2020-01-01" if rule.known else "2099-01-01"
        values = {
            "rule_id": rule.rule_id,
            "rule_version": rule.version,
            "valid_from": rule.valid_from,
            "valid_to": rule.valid_to,
            "recorded_at": known,
            "recorded_by": "test",
            "note": "",
            **columns(rule),
        }
        statement = f"insert into rules.{table} ({', '.join(values)}) values ({', '.join(['%s'] * len(values))})"
        shaped.conn.execute(statement.encode(), list(values.values()))


def record_rules(shaped: ShapedWarehouse) -> None:
    _record(
        shaped,
        "tolerance",
        OUR_TOLERANCES,
        lambda t: {
            "scac": t.scac,
            "charge_code": t.charge,
            "origin": t.origin,
            "destination": t.destination,
            "value_from": t.value_from,
            "value_to": t.value_to,
            "over_mode": t.mode,
            "over_percent": t.over_percent,
            "over_amount": t.over_amount,
            "under_percent": t.under_percent,
            "under_amount": t.under_amount,
            "unplanned_amount": t.unplanned,
        },
    )
    _record(
        shaped,
        "settlement_policy",
        OWN_POLICIES,
        lambda p: {
            "scac": p.scac,
            "payable_account": p.payable,
            "claim_account": p.claims,
            "dispute_mode": p.mode,
            "auto_approve_amount": p.approve_up_to,
            "extra_bill_days": p.extra_bill_days,
            "audit_mode": "binding" if p.audits_bind else "advise",
        },
    )
    _record(shaped, "match_profile", OWN_KEYS, lambda k: {"scac": k.scac, "reference_keys": list(k.keys)})
    _record(shaped, "carrier_alias", ALIASES, lambda a: {"alias": a.alias, "scac": a.scac})


def settle(shaped: ShapedWarehouse, world: World) -> dict[int, str]:
    """Lands everything, runs the pipelines; bill -> its canonical id."""
    record_rules(shaped)
    record_rule(shaped, "self_billing_policy", "own", scac=SELF_BILLED, is_self_billed=True)
    proven = {"is_self_billed": True, "from_milestone": "pod_received"}
    record_rule(shaped, "self_billing_policy", "proven", scac=WHEN_PROVEN, **proven)
    landed_cost = {"treatment": "landed_cost", "cost_account": STOCK, "sold_account": SOLD}
    record_rule(shaped, "cost_policy", "landed", direction="inbound", scac=LANDED, **landed_cost)
    rates = [
        exchange_rate(f"{day:%m-%d}", str(rate), currency=currency)
        for (currency, day), rate in world.company.rates.items()
    ]
    shaped.admit_many([*MASTERS, *EXTRA_MASTERS, *OWN_CODES, *rates])
    shaped.admit_many(world.facts())
    shaped.settle_down()
    _release(shaped, world)
    ids: dict[int, str] = {}
    for received in sorted({bill.received_at for bill in world.bills}):
        mine = [bill for bill in world.bills if bill.received_at == received]
        records = shaped.admit_many([landed(bill) for bill in mine], received_at=received)
        ids |= {bill.key: f"{bill.scac}:{record}" for bill, record in zip(mine, records, strict=True)}
    shaped.admit_many(audits(world, ids))
    shaped.settle_down()
    _say(shaped, world, ids)
    shaped.admit([*LATER_CODES, *LATER_RATES])
    shaped.settle_down()
    _forget_accruals(shaped, world, ids)
    return ids


def audits(world: World, ids: dict[int, str]) -> list[Fact]:
    """What an audit platform says of bills; before that it said something else."""
    found = []
    for bill in world.bills:
        if (last := world.said.audits.get(bill.key)) is None:
            continue
        # of the bill as it was billed only the newest counts, so it had seen the same amount
        action, audited = ("reject", D("0.00")) if last.action == "approve" else ("approve", last.billed)
        before = Audit(action, last.billed, audited)
        for revision, audit in ((2, last), (1, before)):
            columns = {
                "source": "audit.invoice_result",
                "platform_reference": f"R{bill.number}",
                "revision": revision,
                "audited_on": "2026-03-20",
                "scac": bill.scac,
                "invoice_number": bill.number,
                "correction": bill.correction,
                "action": audit.action,
                "currency": bill.currency,
                "amount": audit.audited,
                "billed_amount": audit.billed,
                "audited_amount": audit.audited,
            }
            lines = [
                {"line": n, "partner_code": _code(bill, name), "audited_amount": amount}
                for n, (name, amount) in enumerate(audit.charges.items(), 1)
            ]
            touches = [("settle_freight", "carrier_invoice", ids[bill.key])]
            found.append(Fact("audit.invoice_result", "audit_result", columns, touches, lines))
    return found


def _forget_accruals(shaped: ShapedWarehouse, world: World, ids: dict[int, str]) -> None:
    """Some bills are judged before the run that makes the accruals of their shipments has come to them."""
    late = [f"tms:{s.number}" for s in world.shipments if not s.accrued]
    with psycopg.connect(shaped.settings.dsn("dbt")) as models:
        models.execute("delete from decisions.accrual where shipment_id = any(%s)", (late,))
    for bill in world.bills:
        if any(s.weight == bill.weight for s in world.shipments if not s.accrued):
            shaped.touch("settle_freight", "carrier_invoice", ids[bill.key])
    shaped.run("settle_freight")


def _release(shaped: ShapedWarehouse, world: World) -> None:
    judge = Books(world.shipments, [], world.company, Said())
    released = [(*at, amount, "approved") for at, amount in world.said.released.items()]
    released += [(number, "FUEL", D("1.00"), "refused") for number, *_ in released]
    for number, name, amount, verdict in released:
        shipment = judge.shipments[number]
        rate = judge.rate(shipment.currency, shipment.delivered_on)
        assert rate is not None
        row = shaped.conn.execute(
            """insert into effects.accrual_release_proposal (run_id, shipment_id, charge_code, scac, account,
                 release_account, currency, open_amount, functional_currency, functional_amount, accrued_on, age_days,
                 rule_id, rule_version, reason, proposed_by)
               values ('test', %s, %s, %s, '2150', '6195', %s, %s, 'USD', %s, '2026-03-09', 1, 'r', '1', '', 'anna')
               returning proposal_id""",
            (f"tms:{number}", name, shipment.scac, shipment.currency, amount, half_up(amount * rate)),
        ).fetchone()
        assert row is not None
        shaped.conn.execute(
            """insert into effects.decision_approval (subject, subject_id, verdict, approved_by)
               values ('accrual_release', %s, %s, 'bert')""",
            (row["proposal_id"], verdict),
        )


def _say(shaped: ShapedWarehouse, world: World, ids: dict[int, str]) -> None:
    """Everything that people say of bills, and at once who must look again."""
    by_key = {bill.key: bill for bill in world.bills}
    numbers = iter(range(1_000_000))

    def said(
        bill: str, kind: str, party: str, lines: dict[tuple[str, str], Decimal], answers: int | None = None
    ) -> int:
        row = shaped.conn.execute(
            """insert into cases.dispute_event
                 (carrier_invoice_id, kind, party, answers_event_id, reason_code, currency, channel, said_by,
                  event_sha256, said_at)
               values (%s, %s, %s, %s, 'overcharge', 'USD', 'cli', 'anna', sha256(%s::text::bytea), '2026-03-20')
               returning event_id""",
            (bill, kind, party, answers, str(next(numbers))),
        ).fetchone()
        assert row is not None
        for (number, name), amount in lines.items():
            shaped.conn.execute(
                "insert into cases.dispute_event_line values (%s, %s, %s, %s)",
                (row["event_id"], f"tms:{number}", name, amount),
            )
        shaped.touch("settle_freight", "carrier_invoice", bill)
        return int(row["event_id"])

    for (key, number, name), amount in world.said.agreed.items():
        # a first proposal that was refused, or accepted and then bettered: the last that was accepted counts
        lines = {(number, name): amount + 3}
        first = said(ids[key], "proposal", "us", lines)
        if key % 2:
            said(ids[key], "acceptance", "carrier", {}, first)
        else:
            said(ids[key], "refusal", "carrier", {}, first)
        last = said(ids[key], "proposal", "carrier", {(number, name): amount})
        said(ids[key], "acceptance", "us", {}, last)
        refused = said(ids[key], "proposal", "us", {(number, name): amount + 9})
        said(ids[key], "refusal", "carrier", {}, refused)
    for (number, name), amount in world.said.given_back.items():
        half = half_up(amount / 2)
        said(ids[world.claimed_on[number, name]], "recovery", "us", {(number, name): half})
        said(ids[world.claimed_on[number, name]], "write_off", "us", {(number, name): amount - half})
    for key, (verdict, amount) in world.said.answers.items():
        other = "approved" if verdict == "rejected" else "rejected"
        for word, of in ((other, by_key[key].net), (verdict, amount)):
            shaped.conn.execute(
                """insert into cases.invoice_approval
                     (carrier_invoice_id, verdict, amount, currency, channel, decided_by)
                   values (%s, %s, %s, 'USD', 'cli', 'anna')""",
                (ids[key], word, of),
            )
        shaped.touch("settle_freight", "carrier_invoice", ids[key])


def judge(shaped: ShapedWarehouse, world: World, ids: dict[int, str]) -> dict[str, Outcome]:
    """What must come of it; by canonical id."""
    contents = {
        f"{row['scac']}:{row['record_id']}": row["content"]
        for row in shaped.rows(
            "select scac, record_id, encode(record_sha256, 'hex') as content from landing.carrier_invoice"
        )
    }
    bills = [replace(bill, content=contents[ids[bill.key]]) for bill in world.bills]
    books = Books(world.shipments, bills, world.company, world.said)
    ids = ids | {bill.key: f"SELF:{bill.number}" for bill in books.bills if bill.ours}
    return {ids[key]: outcome for key, outcome in books.judge().items()}


@dataclass(frozen=True)
class Settled:
    """The database of a world that the models have judged, what must come of it, and where it did not."""

    database: str
    expected: dict[str, Outcome]
    differences: list[Any]
    touched: set[str]
    """those of which a person of ours said a word"""


NAMES = (
    "verdict",
    "rule_id",
    "rule_version",
    "over",
    "under",
    "paid",
    "claimed",
    "recovered",
    "disputed",
    "rejected",
    "pending",
    "reversal",
)


def differences(shaped: ShapedWarehouse, expected: dict[str, Outcome]) -> list[Any]:
    """Where the models' verdicts, amounts and postings are not those expected."""
    found = shaped.rows("select carrier_invoice_id, verdict, reason from decisions.invoice_verdict")
    verdicts = {row["carrier_invoice_id"]: row["verdict"] for row in found}
    differing: list[Any] = [
        (bill, verdicts.get(bill), outcome.verdict)
        for bill, outcome in expected.items()
        if verdicts.get(bill) != outcome.verdict
    ]
    differing += [(bill, "not expected") for bill in verdicts if bill not in expected]

    lines = shaped.rows(
        """select carrier_invoice_id, substr(shipment_id, 5) as shipment, charge_code, verdict, rule_id,
             rule_version::int as rule_version, tolerance_amount as over, under_tolerance_amount as under,
             paid_amount as paid, claimed_amount as claimed, recovered_amount as recovered,
             disputed_amount as disputed, rejected_amount as rejected, pending_amount as pending,
             reversal_amount as reversal
           from decisions.invoice_line_verdict"""
    )
    seen = {(row["carrier_invoice_id"], row["shipment"], row["charge_code"]): row for row in lines}
    wanted = {(bill, *at): judged for bill, outcome in expected.items() for at, judged in outcome.charges.items()}
    differing += [(at, "only here" if at in seen else "not here") for at in set(seen) ^ set(wanted)]

    def due(judged: Judged, name: str) -> Any:
        value = getattr(judged, name)
        # limits are kept to four decimals, and cents are compared with them
        return value.quantize(D("0.0001"), ROUND_HALF_UP) if name in ("over", "under") and value is not None else value

    differing += [
        (at, {n: (seen[at][n], due(judged, n)) for n in NAMES if seen[at][n] != due(judged, n)})
        for at, judged in wanted.items()
        if at in seen and any(seen[at][n] != due(judged, n) for n in NAMES)
    ]

    rejected = shaped.rows(
        """select carrier_invoice_id, rejected_amount, net_amount, verdict from decisions.invoice_verdict
           where carrier_invoice_id not in (select carrier_invoice_id from decisions.invoice_line_verdict)"""
    )
    stands_not = ("duplicate_move", "duplicate_number", "replaced", "cancelled", "cancellation", "rejected")
    differing += [
        (row["carrier_invoice_id"], row["rejected_amount"])
        for row in rejected
        if row["rejected_amount"] != (row["net_amount"] if row["verdict"] in stands_not else 0)
    ]

    posted = Counter(
        (
            row["aggregate_id"],
            row["effect_key"].split("|")[0],
            row["debit_account"],
            row["credit_account"],
            row["currency"],
            row["amount"],
            row["functional_amount"],
            row["attributes"]["shipment_id"],
            row["attributes"]["charge_code"],
        )
        for row in shaped.rows("select * from desired.movement__settlement")
    )
    currencies = {
        row["carrier_invoice_id"]: row["currency"]
        for row in shaped.rows("select carrier_invoice_id, currency from decisions.invoice_verdict")
    }
    must = Counter(
        (bill, what, debit, credit, currencies.get(bill), amount, in_books, number, name)
        for (bill, number, name), judged in wanted.items()
        for what, debit, credit, amount, in_books in judged.postings
    )
    differing += [("posted", *row) for row in posted - must] + [("not posted", *row) for row in must - posted]
    return differing


def touched(shaped: ShapedWarehouse) -> set[str]:
    rows = shaped.rows(
        """select carrier_invoice_id from cases.dispute_event where party = 'us'
           union select carrier_invoice_id from cases.invoice_approval"""
    )
    return {row["carrier_invoice_id"] for row in rows}


def kinds(expected: dict[str, Outcome]) -> Counter[str]:
    """How often each kind of verdict is due, of bills and of charges."""
    found = Counter(outcome.verdict for outcome in expected.values())
    return found + Counter(
        f"{judged.verdict} charge" for outcome in expected.values() for judged in outcome.charges.values()
    )


def rules_used(expected: dict[str, Outcome]) -> set[str]:
    return {
        judged.rule_id
        for outcome in expected.values()
        for judged in outcome.charges.values()
        if judged.rule_id is not None
    }
