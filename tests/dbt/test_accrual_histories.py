"""Random histories of many shipments, in random order and batches: the ledger is what a recomputation in plain Python
says, to the cent in both currencies, and looking again changes nothing."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest
from policies import accrual_policy as policy
from shaped import CONSUMERS, Fact, ShapedWarehouse
from small_world import charge, customer, event, exchange_rate, order, plan, pod

D = Decimal
CENT = D("0.01")
CODES = {"LINEHAUL": "6100", "FUEL": "6110", "DETENTION": "6130", "LAYOVER": None}
RATES = {"EUR": {2: "1.0812", 5: "1.10", 6: "1.1234567891", 9: "1.09", 20: "1.2"}, "CAD": {5: "0.7", 16: "0.73125"}}
WITHIN_DAYS = 7
RANKS = {"dispatched": 40, "picked_up": 50, "delivered": 70, "pod_received": 80}


@dataclass(frozen=True)
class Policy:
    rule: str
    milestone: str
    account: str
    charge: str = "*"
    scac: str = "*"
    unit: str = "*"
    percent: str | None = None
    minimum: str | None = None

    @property
    def specificity(self) -> tuple[bool, bool, bool]:
        return (self.charge != "*", self.scac != "*", self.unit != "*")


POLICIES = [
    Policy("accrual.default", "delivered", "2150"),
    Policy("linehaul", "dispatched", "2150", charge="LINEHAUL"),
    Policy("bluw", "picked_up", "2151", scac="BLUW"),
    Policy("eu", "pod_received", "2152", unit="EU", percent="87.5"),
    Policy("fuel_bluw", "dispatched", "2153", charge="FUEL", scac="BLUW", percent="33.3333", minimum="5.00"),
    Policy("linehaul_eu", "delivered", "2154", charge="LINEHAUL", unit="EU"),
]
MASTERS: list[Fact] = [
    customer("CU", "embedded", "shipment", "0.00", billing_entity="US"),
    customer("CE", "embedded", "shipment", "0.00", billing_entity="EU"),
    *(charge(code, code[:3], code, account) for code, account in CODES.items() if account),
    *(order(f"O{unit}", f"C{unit}", [(10, "5.00"), (3, "7.00")]) for unit in "UE"),
]


@dataclass
class Shipment:
    """What the world knows of one shipment, whatever came first."""

    number: str
    scac: str
    weights: list[str]
    plans: list[tuple[str, dict[str, str]]]
    events: list[tuple[int, dt.datetime]] = field(default_factory=list)
    cancelled: bool = False

    def facts(self) -> list[Fact]:
        found = [
            plan(
                self.number,
                self.scac,
                [(f"O{unit}", line, 1, weight) for (unit, line), weight in zip(LINES, self.weights, strict=True)],
                charges,
                version=version,
                currency=currency,
            )
            for version, (currency, charges) in enumerate(self.plans, 1)
        ]
        for rank, at in self.events:
            moment = f"{at:%dT%H}"
            if rank == 40:
                found.append(event("tms", "dispatched", self.number, moment))
            elif rank == 80:
                found.append(pod(self.number, 4, moment))
            else:
                code = {50: "AF", 60: "X6", 70: "D1"}[rank]
                found.append(event("x12_214", code, self.number, moment))
        if self.cancelled:
            found.append(event("tms", "shipment_cancelled", self.number, "06T01"))
        return found

    @property
    def unit(self) -> str:
        """By weight, then by name."""
        weighed = {name: sum(D(w) for (u, _), w in zip(LINES, self.weights, strict=True) if u == name) for name in "UE"}
        return (min(weighed, key=lambda name: (-weighed[name], {"U": "US", "E": "EU"}[name])) == "U" and "US") or "EU"

    def reached(self, rank: int) -> dt.datetime | None:
        return min((at for found, at in self.events if found >= rank), default=None)

    def accruals(self) -> dict[tuple[str, str], tuple[str, str, Decimal, Decimal]]:
        """(shipment, charge) → account, currency, amount, amount in USD; only what must stand."""
        furthest = max((rank for rank, _ in self.events), default=0)
        if furthest < 40 or (self.cancelled and furthest < 50):
            return {}
        currency, charges = self.plans[-1]
        found = {}
        for code, planned in charges.items():
            rule = max(
                (
                    one
                    for one in POLICIES
                    if one.charge in (code, "*") and one.scac in (self.scac, "*") and one.unit in (self.unit, "*")
                ),
                key=lambda one: one.specificity,
            )
            at = self.reached(RANKS[rule.milestone])
            if at is None or CODES[code] is None:
                continue
            amount = D(planned)
            if rule.percent is not None:
                amount = half_up(Fraction(amount) * Fraction(rule.percent) / 100)
            rate = rate_of(currency, at.day)
            if rate is None:
                continue
            functional = half_up(Fraction(amount) * rate)
            if rule.minimum is not None and abs(functional) < D(rule.minimum):
                continue
            if amount:
                found[self.number, code] = (rule.account, currency, amount, functional)
        return found


LINES = (("U", 1), ("U", 2), ("E", 1), ("E", 2))


def half_up(amount: Fraction) -> Decimal:
    """Away from zero at the half, as an accountant rounds."""
    return (D(amount.numerator) / D(amount.denominator)).quantize(CENT, ROUND_HALF_UP)


def rate_of(currency: str, day: int) -> Fraction | None:
    if currency == "USD":
        return Fraction(1)
    days = [known for known in RATES[currency] if day - WITHIN_DAYS <= known <= day]
    return Fraction(RATES[currency][max(days)]) if days else None


def shipments(chance: random.Random, count: int) -> list[Shipment]:
    found = []
    for n in range(count):
        plans = []
        for _ in range(chance.choice([1, 1, 2, 3])):
            codes = chance.sample(sorted(CODES), chance.randint(1, 4))
            amounts = {code: f"{D(chance.choice([-999, 1, 1499, 10001, 33333, 123457])) / 100:.2f}" for code in codes}
            plans.append((chance.choice(["USD", "EUR", "EUR", "CAD"]), amounts))
        ranks = sorted(chance.sample([40, 50, 60, 70, 80], chance.randint(0, 5)))
        hours = sorted(chance.sample(range(24 * 4, 24 * 28), len(ranks)))
        found.append(
            Shipment(
                number=f"H{n}",
                scac=chance.choice(["NRDF", "BLUW"]),
                weights=[chance.choice(["0", "1", "2.5", "100"]) for _ in LINES],
                plans=plans,
                events=[
                    (rank, dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour))
                    for rank, hour in zip(ranks, hours, strict=True)
                ],
                cancelled=chance.random() < 0.3,
            )
        )
    return found


def standing(warehouse: ShapedWarehouse) -> dict[tuple[str, str], tuple[str, str, Decimal, Decimal]]:
    rows = warehouse.rows(
        """select shipment, charge, account, currency, sum(amount) as amount, sum(functional) as functional from (
             select attributes ->> 'shipment_id' as shipment, attributes ->> 'charge_code' as charge,
               credit_account as account, currency, amount, functional_amount as functional
             from effects.movement where credit_account like '215%'
             union all
             select attributes ->> 'shipment_id', attributes ->> 'charge_code', debit_account, currency, -amount,
               -functional_amount
             from effects.movement where debit_account like '215%') as sides
           group by 1, 2, 3, 4 having sum(amount) <> 0 or sum(functional) <> 0"""
    )
    return {
        (row["shipment"], row["charge"]): (row["account"], row["currency"], row["amount"], row["functional"])
        for row in rows
    }


def run(warehouse: ShapedWarehouse, chance: random.Random, facts: Sequence[Fact], batches: int) -> None:
    cuts = sorted(chance.sample(range(1, len(facts)), batches - 1))
    for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True):
        warehouse.admit(facts[start:end])
        warehouse.settle_down(chance.sample(CONSUMERS, len(CONSUMERS)))


def exchange_rates() -> list[Fact]:
    return [
        exchange_rate(f"{day:02}", value, currency=currency)
        for currency, days in RATES.items()
        for day, value in days.items()
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4))])
def test_random_histories_end_in_the_recomputed_ledger(shaped: ShapedWarehouse, seed: int) -> None:
    chance = random.Random(seed)
    for one in POLICIES[1:]:
        more: dict[str, Any] = {} if one.percent is None else {"basis": "percent_of_planned", "percent": D(one.percent)}
        policy(
            shaped,
            one.rule,
            charge_code=one.charge,
            scac=one.scac,
            business_unit=one.unit,
            from_milestone=one.milestone,
            accrued_account=one.account,
            minimum_amount=one.minimum and D(one.minimum),
            **more,
        )
    shaped.admit([*MASTERS, *exchange_rates()])
    shaped.settle_down()
    world = shipments(chance, 100)
    facts = [fact for one in world for fact in one.facts()]
    chance.shuffle(facts)
    run(shaped, chance, facts, batches=3)

    expected = {item: values for one in world for item, values in one.accruals().items()}
    assert standing(shaped) == expected
    assert len(expected) > 50
    assert {account for account, *_ in expected.values()} == {one.account for one in POLICIES}
    statuses = {row["status"] for row in shaped.rows("select distinct status from decisions.accrual")}
    assert statuses == {"accrued", "below_minimum", "no_account", "no_exchange_rate"}

    # debits are credits, in each currency and in the books
    sides = shaped.rows(
        """select currency, sum(d) as d, sum(f) as f from (
             select currency, debit_account as account, amount as d, functional_amount as f from effects.movement
             union all select currency, credit_account, -amount, -functional_amount from effects.movement) as both_sides
           group by 1"""
    )
    assert all((row["d"], row["f"]) == (0, 0) for row in sides)
    shares = shaped.rows(
        """select shipment_id, charge_code, sum(accrued_share) as accrued, sum(functional_share) as functional
           from decisions.freight_allocation group by 1, 2"""
    )
    shared = {
        (row["shipment_id"].removeprefix("tms:"), row["charge_code"]): (row["accrued"], row["functional"])
        for row in shares
        if row["accrued"] or row["functional"]
    }
    assert shared == {item: values[2:] for item, values in expected.items()}

    before = shaped.rows("select count(*) from effects.movement")
    decided = shaped.rows("select to_jsonb(a) - 'changed_in_run' as row from decisions.accrual a order by 1")
    for one in world:
        shaped.touch("post_accruals", "shipment", f"tms:{one.number}")
    shaped.rebuild()
    shaped.settle_down()
    assert shaped.rows("select count(*) from effects.movement") == before
    assert shaped.rows("select to_jsonb(a) - 'changed_in_run' as row from decisions.accrual a order by 1") == decided
