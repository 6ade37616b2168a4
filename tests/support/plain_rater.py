"""A rater in plain Python, one shipment at a time, that shares nothing with the models: it asks every version of every
rate what it says on a day, to somebody who knew what was known at a moment, and works with fractions.

Facts come as the tests admit them (columns and lines) with the moment from which each is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction as F
from typing import Any, TypeVar

from shaped import Fact

T = TypeVar("T")

IDS = {
    "rates.contract": "contract_id",
    "rates.lane_rate": "rate_id",
    "rates.accessorial": "accessorial_id",
    "rates.zone": "zone_id",
    "rates.band_table": "table_id",
}
RANK = {"postal": 4, "zone": 3, "state": 2, "country": 1, "any": 0}
WHOLE_UNITS = {"JPY", "KRW", "CLP"}


@dataclass
class Known:
    """One version of something, and since when it is known."""

    fact: Mapping[str, Any]
    steps: Sequence[tuple[F, F]]
    since: datetime

    def __getitem__(self, name: str) -> Any:
        return self.fact.get(name)


class Unratable(Exception):
    """The reason, as the models name it."""


@dataclass
class Cards:
    versions: dict[str, dict[str, list[Known]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    prices: list[Known] = field(default_factory=list)
    moments: dict[str, set[datetime]] = field(default_factory=lambda: defaultdict(set))

    def learn(self, facts: Iterable[Fact], moments: Iterable[datetime]) -> None:
        for fact, since in zip(facts, moments, strict=True):
            steps = []
            for line in fact.lines:
                start, value = list(line.values())[1:]
                steps.append((F(start), F(value)))
            known = Known(fact.columns, sorted(steps), since)
            self.moments[fact.feed].add(since)
            if fact.feed == "rates.fuel_price":
                self.prices.append(known)
            else:
                self.versions[fact.feed][str(known[IDS[fact.feed]])].append(known)

    def says(self, feed: str, name: str, day: date, moment: datetime) -> Known | None:
        """What the newest begun version says that somebody knew at the moment."""
        heard = [v for v in self.versions[feed][name] if v.since <= moment and a_day(v["valid_from"]) <= day]
        newest = max(heard, key=lambda v: v["version"], default=None)
        if newest is None or (newest["valid_to"] and a_day(newest["valid_to"]) < day):
            return None
        return newest

    def spoken(self, feed: str, day: date, moment: datetime) -> list[Known]:
        return [said for name in self.versions[feed] if (said := self.says(feed, name, day, moment))]

    def first(self, known_at: datetime, look: Callable[[datetime], T], *feeds: str) -> tuple[datetime, T] | None:
        """What was found with what was known, else with what was learned first afterwards."""
        later = {moment for name in feeds for moment in self.moments[name] if moment > known_at}
        for moment in [known_at, *sorted(later)]:
            if found := look(moment):
                return moment, found
        return None


def a_day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def step_of(steps: Sequence[tuple[F, F]], value: F) -> int:
    """How many steps begin at or before the value."""
    return sum(1 for start, _ in steps if start <= value)


class Money:
    """Rounding by a contract."""

    def __init__(self, terms: Known) -> None:
        self.unit = F(1) if terms["rate_currency"] in WHOLE_UNITS else F(1, 100)
        self.rule = terms["rounding"] or "half_up"

    def __call__(self, value: F) -> F:
        units = value / self.unit
        if self.rule == "up":
            return math.ceil(units) * self.unit
        if self.rule == "down":
            return math.floor(units) * self.unit
        return math.floor(units + F(1, 2)) * self.unit


def fraction(value: Any) -> F | None:
    return None if value is None else F(str(value))


@dataclass
class Rater:
    cards: Cards

    def rate(self, plan: Mapping[str, Any], known_at: datetime, side: str, party: str) -> dict[str, Decimal]:
        """Charge → amount. Raises Unratable."""
        if not plan.get("ship_on"):
            raise Unratable("no_ship_date")
        day = a_day(plan["ship_on"])
        terms = self.contract(plan, day, known_at, side, party)
        money = Money(terms)
        billed, freight_class = self.measured(plan, terms, day, known_at)
        moment, rate = self.lane(plan, terms, freight_class, day, known_at)

        miles, pallets = fraction(plan.get("miles")), fraction(plan.get("pallets"))
        asked = {"per_mile": miles, "per_pallet": pallets}.get(rate["basis"], billed)
        if rate["basis"] == "flat" and len(rate.steps) == 1 and rate.steps[0][0] == 0:
            asked = F(0)
        if asked is None:
            raise Unratable(
                {"per_mile": "miles_missing", "per_pallet": "pallets_missing"}.get(rate["basis"], "weight_missing")
            )
        at = step_of(rate.steps, asked)
        if at == 0:
            raise Unratable("below_lowest_break")
        hundred = 100 if rate["basis"] == "per_cwt" else 1
        quantity = F(1) if rate["basis"] == "flat" else asked / hundred
        gross = money(quantity * rate.steps[at - 1][1])
        if terms["deficit_weight"] and rate["basis"] in ("per_cwt", "per_lb_dim") and at < len(rate.steps):
            start, cheaper = rate.steps[at]
            gross = min(gross, money(start * cheaper / hundred))
        off = rate["discount_percent"] if rate["discount_percent"] is not None else terms["discount_percent"]
        discount = money(gross * F(off or 0) / 100)
        least = rate["minimum_charge"] if rate["minimum_charge"] is not None else terms["minimum_charge"]
        net = max(gross - discount, F(least or 0))

        charges: dict[str, F] = {"LINEHAUL": net}
        if terms["discount_as_line"] and discount and net == gross - discount:
            charges = {"LINEHAUL": gross, "DISCOUNT": -discount}
        if terms["fuel_table"]:
            charges["FUEL"] = self.fuel(terms, day, known_at, gross, net, miles, money)
        charges |= self.services(plan, terms, day, moment, net, billed, miles, pallets, money)
        return {code: Decimal(amount.numerator) / Decimal(amount.denominator) for code, amount in charges.items()}

    def contract(self, plan: Mapping[str, Any], day: date, known_at: datetime, side: str, party: str) -> Known:
        def fitting(moment: datetime) -> list[Known]:
            return [
                terms
                for terms in self.cards.spoken("rates.contract", day, moment)
                if terms["side"] == side
                and (terms["scac"] if side == "buy" else terms["customer_id"]) == party
                and plan.get("mode") in (None, terms["mode"])
            ]

        found = self.cards.first(known_at, fitting, "rates.contract")
        if found is None:
            raise Unratable("no_contract")
        if len(found[1]) > 1:
            raise Unratable("several_contracts")
        return found[1][0]

    def measured(
        self, plan: Mapping[str, Any], terms: Known, day: date, known_at: datetime
    ) -> tuple[F | None, F | None]:
        """The weight that is billed, and the class."""
        units = plan.get("handling_units") or []
        sides = [[fraction(one[f"{name}_in"]) for name in ("length", "width", "height")] for one in units]
        weights = [fraction(one["weight_lb"]) for one in units]
        counts = [one["count"] for one in units]
        has_sides = bool(units) and all(side is not None for three in sides for side in three)
        has_weights = bool(units) and all(one is not None for one in weights)
        weight = fraction(plan.get("weight_lb"))
        if weight is None and has_weights:
            weight = sum((n * w for n, w in zip(counts, weights, strict=True)), F(0))

        def stepped(value: F | None) -> F | None:
            step = fraction(terms["weight_increment_lb"])
            return value if step is None or value is None else math.ceil(value / step) * step

        # the class: as stated, else by density, then freight of all kinds
        stated = {fraction(one.get("freight_class")) for one in units} or {None}
        if plan.get("freight_class") is not None:
            stated = {fraction(plan["freight_class"])}
        fak, lowest, highest = (fraction(terms[f"fak_{name}class"]) for name in ("", "from_", "to_"))
        everything = fak is not None and lowest is None

        def of_all_kinds(classes: set[F]) -> bool:
            return fak is not None and (everything or (min(classes) >= lowest and max(classes) <= highest))

        freight_class: F | None = None
        known_classes = {one for one in stated if one is not None}
        density_needed = False
        if everything:
            freight_class = fak
        elif None not in stated:
            if of_all_kinds(known_classes):
                freight_class = fak
            elif len(known_classes) > 1:
                raise Unratable("several_classes")
            else:
                (freight_class,) = known_classes
        elif terms["class_table"]:
            density_needed = True
        dims = terms["dim_divisor"]
        if (density_needed or dims) and not has_sides:
            raise Unratable("dimensions_missing")
        if density_needed and weight is None:
            raise Unratable("weight_missing")
        dimensional = each = None
        if dims:
            by_size = [math.ceil(F(math.prod(math.ceil(side) for side in three)) / F(dims)) for three in sides]
            dimensional = F(sum(n * one for n, one in zip(counts, by_size, strict=True)))
            if terms["dim_per"] == "piece":
                if not has_weights:
                    raise Unratable("weight_missing")
                each = sum(n * max(stepped(w), F(one)) for n, w, one in zip(counts, weights, by_size, strict=True))
        if density_needed:
            cubic_feet = sum(n * math.prod(three) for n, three in zip(counts, sides, strict=True)) / F(1728)
            freight_class = self.band(terms["class_table"], ("class",), day, known_at, weight / cubic_feet, "class")[1]
            if of_all_kinds({freight_class}):
                freight_class = fak
        if each is not None:
            return each, freight_class
        if dims:
            return None if weight is None else max(stepped(weight), dimensional), freight_class
        return stepped(weight), freight_class

    def band(
        self, name: str, kinds: Sequence[str], day: date, known_at: datetime, value: F | None, word: str
    ) -> tuple[str, F]:
        def look(moment: datetime) -> Known | None:
            return self.cards.says("rates.band_table", name, day, moment)

        found = self.cards.first(known_at, look, "rates.band_table")
        if found is None or found[1]["kind"] not in kinds:
            raise Unratable(f"no_{word}_table")
        if value is None:
            raise Unratable("no_fuel_price")
        at = step_of(found[1].steps, value)
        if at == 0:
            raise Unratable(f"no_{word}_band")
        return found[1]["kind"], found[1].steps[at - 1][1]

    def lane(
        self, plan: Mapping[str, Any], terms: Known, freight_class: F | None, day: date, known_at: datetime
    ) -> tuple[datetime, Known]:
        ends = {"origin": plan["stops"][0], "destination": plan["stops"][-1]}

        def prefix(rate: Known, part: str, moment: datetime) -> int | None:
            """How long the piece of the postal code is by which the rate's end fits; None: it does not."""
            stop, kind, value = ends[part], rate[f"{part}_kind"], rate[part]
            postal = str(stop["postal_code"] or "").replace(" ", "").upper()
            if kind == "any":
                return 0
            if kind == "zone":
                lengths = [
                    len(one["postal_prefix"])
                    for one in self.cards.spoken("rates.zone", day, moment)
                    if one["contract_id"] == terms["contract_id"]
                    and one["zone"] == value
                    and one["country"] == stop["country"]
                    and postal.startswith(one["postal_prefix"])
                ]
                return max(lengths, default=None)
            if stop["country"] != rate[f"{part}_country"]:
                return None
            if kind == "country":
                return 0
            if kind == "state":
                return 0 if stop["state"] == value else None
            return len(value) if postal.startswith(value) else None

        def fitting(moment: datetime) -> list[tuple[tuple[int, ...], Known]]:
            out = []
            for rate in self.cards.spoken("rates.lane_rate", day, moment):
                if rate["contract_id"] != terms["contract_id"]:
                    continue
                if rate["equipment"] not in (None, "*", plan.get("equipment")):
                    continue
                if rate["freight_class"] is not None and fraction(rate["freight_class"]) != freight_class:
                    continue
                start, end = prefix(rate, "origin", moment), prefix(rate, "destination", moment)
                if start is None or end is None:
                    continue
                first, last = RANK[rate["origin_kind"]], RANK[rate["destination_kind"]]
                order = (
                    first + last,
                    first,
                    start,
                    end,
                    rate["equipment"] not in (None, "*"),
                    rate["freight_class"] is not None,
                )
                out.append((order, rate))
            return out

        found = self.cards.first(known_at, fitting, "rates.lane_rate", "rates.zone")
        if found is None:
            raise Unratable("no_lane_rate")
        best = max(order for order, _ in found[1])
        alike = [rate for order, rate in found[1] if order == best]
        if len(alike) > 1:
            raise Unratable("several_lane_rates")
        return found[0], alike[0]

    def fuel(self, terms: Known, day: date, known_at: datetime, gross: F, net: F, miles: F | None, money: Money) -> F:
        ship_on = day
        # back to the last day on which a week's price began to hold, then to that week's Monday
        while day.isoweekday() != terms["fuel_weekday"]:
            day -= timedelta(days=1)
        week = day - timedelta(days=day.weekday()) - timedelta(weeks=terms["fuel_lag_weeks"] or 0)

        def look(moment: datetime) -> list[Known]:
            return [
                one
                for one in self.cards.prices
                if (one["fuel_index"], one["region"]) == (terms["fuel_index"], terms["fuel_region"])
                and a_day(one["week_on"]) == week
                and one.since <= moment
            ]

        found = self.cards.first(known_at, look, "rates.fuel_price")
        price = None
        if found:
            midnight = datetime.combine(ship_on + timedelta(days=1), datetime.min.time(), UTC)
            published = sorted(found[1], key=lambda one: datetime.fromisoformat(one["published_at"]))
            out = [one for one in published if datetime.fromisoformat(one["published_at"]) < midnight]
            price = F((out[-1] if out else published[0])["price"])
        kind, value = self.band(
            terms["fuel_table"], ("fuel_percent", "fuel_per_mile"), ship_on, known_at, price, "fuel"
        )
        if kind == "fuel_per_mile":
            if miles is None:
                raise Unratable("miles_missing")
            return money(miles * value)
        return money((gross if terms["fuel_on"] == "gross_linehaul" else net) * value / 100)

    def services(
        self,
        plan: Mapping[str, Any],
        terms: Known,
        day: date,
        moment: datetime,
        net: F,
        billed: F | None,
        miles: F | None,
        pallets: F | None,
        money: Money,
    ) -> dict[str, F]:
        def schedules(at: datetime) -> list[Known]:
            return [
                one
                for one in self.cards.spoken("rates.accessorial", day, at)
                if one["contract_id"] == terms["contract_id"]
            ]

        asked: dict[str, Any] = {one["charge_code"].upper(): one["quantity"] for one in plan.get("accessorials") or []}
        for one in schedules(moment):
            if one["automatic"]:
                asked.setdefault(one["charge_code"], None)
        found: dict[str, Known] = {}
        problems: list[str] = []
        for code in asked:
            alike = self.cards.first(
                moment,
                lambda at, code=code: [s for s in schedules(at) if s["charge_code"] == code],
                "rates.accessorial",
            )
            if alike is None:
                problems.append("no_accessorial_rate")
            elif len(alike[1]) > 1:
                problems.append("several_accessorial_rates")
            else:
                found[code] = alike[1][0]
                if found[code]["basis"] in ("per_unit", "per_hour") and asked[code] is None:
                    problems.append("accessorial_quantity_missing")
        for reason in ("no_accessorial_rate", "several_accessorial_rates", "accessorial_quantity_missing"):
            if reason in problems:
                raise Unratable(reason)
        bases = {one["basis"] for one in found.values()}
        for basis, fact, reason in (
            ("per_mile", miles, "miles_missing"),
            ("per_pallet", pallets, "pallets_missing"),
            ("per_cwt", billed, "weight_missing"),
        ):
            if basis in bases and fact is None:
                raise Unratable(reason)
        out = {}
        for code, one in found.items():
            free = F(one["free_units"] or 0)
            if one["basis"] == "flat":
                count, free = F(1), F(0)
            elif one["basis"] == "percent_of_linehaul":
                count, free = net / 100, F(0)
            else:
                count = {
                    "per_mile": miles,
                    "per_pallet": pallets,
                    "per_cwt": None if billed is None else billed / 100,
                }.get(one["basis"], fraction(asked[code]))
            count = max(count - free, F(0))
            amount = F(0)
            if count:
                amount = max(money(count * F(one["rate"])), F(one["minimum_charge"] or 0))
                if one["maximum_charge"] is not None:
                    amount = min(amount, F(one["maximum_charge"]))
            out[code] = amount
        return out
