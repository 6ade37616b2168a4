"""What must come of carriers' bills, worked out in plain Python from the wording of docs/decisions.md.

It shares no code and no order of thought with the models: bills are taken one after the other as business would, with
what was approved so far in a dictionary. `judge` gives for each bill its verdict and for each charge on it verdict,
rule, where every cent of it goes, and what is posted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol, TypeVar

D = Decimal
ZERO = D("0.00")
CENT = D("0.01")
FIRST = ("", "RB")
KEYS = ("shipment_reference", "bol", "pro", "po")
BOOKS = "USD"
ACCRUED, GAIN, LOSS = "2150", "7100", "7150"
FITTING = ("exact", "in_tolerance", "approved")
Charge = tuple[str, str]
Posting = tuple[str, str, str, Decimal, Decimal]
"""what it is, debit, credit, amount, amount in the currency of the books"""


class Dated(Protocol):
    """A version of a rule. `known`: recorded before any of the bills came."""

    @property
    def rule_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def valid_from(self) -> date: ...
    @property
    def valid_to(self) -> date | None: ...
    @property
    def known(self) -> bool: ...


Rule = TypeVar("Rule", bound=Dated)
ALWAYS = date(2020, 1, 1)


@dataclass(frozen=True)
class Tolerance:
    rule_id: str
    scac: str = "*"
    charge: str = "*"
    origin: str = "*"
    destination: str = "*"
    value_from: Decimal | None = None
    value_to: Decimal | None = None
    mode: str = "either"
    over_percent: Decimal | None = None
    over_amount: Decimal | None = None
    under_percent: Decimal | None = None
    under_amount: Decimal | None = None
    unplanned: Decimal | None = None
    version: int = 1
    valid_from: date = ALWAYS
    valid_to: date | None = None
    known: bool = True


@dataclass(frozen=True)
class Policy:
    """How a carrier is settled."""

    rule_id: str
    scac: str = "*"
    mode: str = "hold"
    payable: str = "2100"
    claims: str = "1350"
    approve_up_to: Decimal | None = None
    audits_bind: bool = False
    extra_bill_days: int | None = 180
    version: int = 1
    valid_from: date = ALWAYS
    valid_to: date | None = None
    known: bool = True


@dataclass(frozen=True)
class Keys:
    """Which references of a carrier's bills are tried, in this order."""

    rule_id: str
    scac: str = "*"
    keys: tuple[str, ...] = KEYS
    version: int = 1
    valid_from: date = ALWAYS
    valid_to: date | None = None
    known: bool = True


@dataclass(frozen=True)
class Alias:
    """Who bills in a carrier's name."""

    rule_id: str
    alias: str
    scac: str
    version: int = 1
    valid_from: date = ALWAYS
    valid_to: date | None = None
    known: bool = True


@dataclass(frozen=True)
class Goods:
    """A line of goods that we buy. stock: how many are there and how many were sold; None: nothing is known."""

    line: int
    weight: Decimal
    stock: tuple[int, int] | None


STOCK, SOLD = "1400", "5100"


@dataclass(frozen=True)
class Audit:
    """What an audit platform said of a bill last. billed: the net amount that it saw; charges: what is to be paid."""

    action: str
    billed: Decimal
    audited: Decimal
    charges: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Shipment:
    number: str
    scac: str
    bol: str
    pro: str
    order: str
    origin: str
    destination: str
    ship_on: date
    weight: Decimal
    planned: dict[str, Decimal]
    delivered: bool
    cancelled: bool = False
    currency: str = BOOKS
    delivered_on: date = date(2026, 3, 9)
    left_order: str | None = None
    """an order that an earlier version of its plan had"""
    accrued: bool = True
    """else its accrual is not made yet"""
    self_billed: bool = False
    proven: bool | None = None
    """null: our own document does not wait for a proof"""
    goods: tuple[Goods, ...] = ()
    """lines of the purchase order whose landed cost its freight is"""

    @property
    def has_self_bill(self) -> bool:
        due = self.delivered and not self.cancelled and self.proven is not False
        return self.self_billed and due and bool(self.planned)


@dataclass(frozen=True)
class Bill:
    """lines: charge, amount and, where the line says so itself, its shipment. content: what sorts last."""

    key: int
    scac: str
    number: str
    correction: str
    on: date
    lines: tuple[tuple[str, Decimal, str | None], ...]
    references: dict[str, str | None]
    origin: str
    destination: str
    ship_on: date | None
    weight: Decimal
    received_at: datetime
    currency: str = BOOKS
    corrects: str | None = None
    service: str | None = None
    named_by: str = "shipment_reference"
    """what its lines name shipments by"""
    content: str = ""
    ours: bool = False

    @property
    def own_references(self) -> set[str]:
        """What its lines say of whose they are: bills of lading and orders only where the head leaves room for that."""
        above = {"bol": ("shipment_reference", "bol"), "po": ("shipment_reference", "bol", "pro")}
        if any(self.references.get(key) is not None for key in above.get(self.named_by, ())):
            return set()
        return {reference for *_, reference in self.lines if reference is not None}

    @property
    def net(self) -> Decimal:
        return sum((amount for _, amount, _ in self.lines), ZERO)

    @property
    def order(self) -> tuple[str, str, str, str]:
        # what we bill ourselves comes before all that the carrier bills
        return (
            "" if self.ours else self.on.isoformat(),
            "0" if self.correction == "" else "1",
            self.number,
            self.content,
        )


@dataclass
class Said:
    """What people said about bills, by bill, or by shipment and charge."""

    agreed: dict[tuple[int, str, str], Decimal] = field(default_factory=dict)
    given_back: dict[Charge, Decimal] = field(default_factory=dict)
    released: dict[Charge, Decimal] = field(default_factory=dict)
    answers: dict[int, tuple[str, Decimal]] = field(default_factory=dict)
    """bill -> the last yes or no and the amount that it was said of"""
    audits: dict[int, Audit] = field(default_factory=dict)


@dataclass
class Judged:
    """Of one charge of a bill."""

    verdict: str
    rule: Tolerance | None
    over: Decimal | None
    under: Decimal | None
    invoiced: Decimal
    variance: Decimal
    owed: Decimal = ZERO
    is_posted: bool = False
    paid: Decimal = ZERO
    claimed: Decimal = ZERO
    recovered: Decimal = ZERO
    disputed: Decimal = ZERO
    rejected: Decimal = ZERO
    reversal: Decimal = ZERO
    postings: list[Posting] = field(default_factory=list)

    def book(self, what: str, debit: str, credit: str, amount: Decimal, in_books: Decimal) -> None:
        if amount < 0 or (amount == 0 and in_books < 0):
            debit, credit, amount, in_books = credit, debit, -amount, -in_books
        if amount or in_books:
            self.postings.append((what, debit, credit, amount, in_books))

    @property
    def rule_id(self) -> str | None:
        return self.rule.rule_id if self.rule else None

    @property
    def rule_version(self) -> int | None:
        return self.rule.version if self.rule else None

    @property
    def pending(self) -> Decimal:
        return self.invoiced - self.paid - self.disputed - self.rejected


@dataclass
class Outcome:
    scac: str
    currency: str
    net: Decimal
    verdict: str = ""
    charges: dict[Charge, Judged] = field(default_factory=dict)


@dataclass(frozen=True)
class Company:
    """Its rules, accounts and rates, beside the bills. rates: (currency, day) -> books."""

    tolerances: Sequence[Tolerance]
    policies: Sequence[Policy]
    keys: Sequence[Keys]
    aliases: Sequence[Alias]
    accounts: Mapping[str, str | None]
    rates: Mapping[tuple[str, date], Decimal] = field(default_factory=dict)


def normalized(number: str) -> str:
    kept = re.sub("[^A-Z0-9]", "", number.upper())
    return re.sub("[A-Z]+$", "", kept.lstrip("0")) or kept


def half_up(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def in_force(rules: Iterable[Rule], day: date) -> list[Rule]:
    """Of each rule the newest version that had begun, unless it has ended."""
    newest: dict[str, Rule] = {}
    for rule in sorted(rules, key=lambda rule: rule.version):
        if rule.known and rule.valid_from <= day:
            newest[rule.rule_id] = rule
    return [rule for rule in newest.values() if rule.valid_to is None or day <= rule.valid_to]


def shared(amount: Decimal, goods: Sequence[Goods]) -> list[Decimal]:
    """By weight, rounded towards zero; the cents left over go to the largest share, then to the first line."""
    whole = sum(one.weight for one in goods)
    parts = [int(amount * 100 * one.weight / whole) for one in goods]
    largest = max(range(len(parts)), key=lambda n: (abs(parts[n]), -n))
    parts[largest] += int(amount * 100) - sum(parts)
    return [D(part) / 100 for part in parts]


def of_goods_sold(share: Decimal, goods: Goods) -> Decimal:
    """Both parts rounded towards zero; the cents left over go to the larger one, to the goods in stock where they are
    alike. Goods that are neither there nor sold bear nothing."""
    if goods.stock is None:
        return ZERO
    there, sold = goods.stock
    if there + sold == 0:
        return share
    cents = int(share * 100)
    gone, kept = int(D(cents) * sold / (there + sold)), int(D(cents) * there / (there + sold))
    return D(gone + (cents - gone - kept if abs(gone) > abs(kept) else 0)) / 100


class Books:
    """One company's bills, shipments and rules."""

    def __init__(self, shipments: Sequence[Shipment], bills: Sequence[Bill], company: Company, said: Said) -> None:
        self.shipments = {shipment.number: shipment for shipment in shipments}
        self.company, self.said = company, said
        own = [self.self_bill(-n, s) for n, s in enumerate(shipments, 1) if s.has_self_bill]
        self.bills = sorted([*own, *bills], key=lambda bill: bill.order)
        self.carrier = {
            bill.key: next(
                (rule.scac for rule in in_force(company.aliases, bill.on) if rule.alias == bill.scac), bill.scac
            )
            for bill in self.bills
        }
        self.by: dict[str, dict[tuple[str, str], set[str]]] = {key: defaultdict(set) for key in KEYS}
        self.moves: dict[tuple[object, ...], set[str]] = defaultdict(set)
        for s in shipments:
            self.by["shipment_reference"][s.scac, s.number].add(s.number)
            if s.cancelled:
                continue
            for key, value in (("bol", s.bol), ("pro", s.pro), ("po", s.order)):
                self.by[key][s.scac, value].add(s.number)
            self.moves[s.scac, s.origin, s.destination, s.ship_on, s.weight].add(s.number)

    @staticmethod
    def self_bill(key: int, shipment: Shipment) -> Bill:
        """Our own document of a move that the contract lets us bill ourselves: what was planned, as planned."""
        return Bill(
            key=key,
            scac=shipment.scac,
            number=f"SB-{shipment.number}",
            correction="",
            on=shipment.ship_on,
            lines=tuple((charge, amount, None) for charge, amount in sorted(shipment.planned.items())),
            references={"shipment_reference": shipment.number},
            origin=shipment.origin,
            destination=shipment.destination,
            ship_on=shipment.ship_on,
            weight=shipment.weight,
            # known later than any bill is received: the law's days count from the carrier's own first bill
            received_at=datetime(2100, 1, 1, tzinfo=UTC),
            ours=True,
        )

    # -- whose bill is it ---------------------------------------------------------------------------------------------

    def units(self, bill: Bill) -> dict[str | None, list[tuple[str, Decimal, str | None]]]:
        """None: the whole bill; else the lines of each shipment that a consolidated bill names."""
        own = bill.own_references
        header = bill.references.get("shipment_reference")
        by_number = bill.named_by == "shipment_reference"
        if len(own) > 1 or (len(own) == 1 and header is not None and by_number and own != {header}):
            units: dict[str | None, list[tuple[str, Decimal, str | None]]] = defaultdict(list)
            for line in bill.lines:
                units[line[2] or ""].append(line)
            return units
        return {None: list(bill.lines)} if bill.lines else {}

    def tried(self, bill: Bill) -> tuple[str, ...]:
        carrier = self.carrier[bill.key]
        found = [rule for rule in in_force(self.company.keys, bill.ship_on or bill.on) if rule.scac in ("*", carrier)]
        return min(found, key=lambda rule: (rule.scac == "*", rule.rule_id)).keys

    def candidates(self, bill: Bill, unit: str | None) -> set[str]:
        said_by_lines = bill.named_by
        own = bill.own_references
        # a line that says nothing itself is about what the head names
        references: dict[str, str | None] = {said_by_lines: unit} if unit else {**bill.references}
        if unit is None and len(own) == 1 and references.get(said_by_lines) is None:
            references[said_by_lines] = own.pop()
        for key in self.tried(bill):
            value = references.get(key)
            if value is not None and (found := self.by[key].get((self.carrier[bill.key], value))):
                return found
        return set()

    def match(self) -> None:
        self.charges: dict[int, dict[Charge, Decimal]] = {}
        self.unmatched: dict[int, set[str]] = {}
        self.same_move: dict[int, set[str]] = {}
        for bill in self.bills:
            charges: dict[Charge, Decimal] = defaultdict(lambda: ZERO)
            faults: set[str] = set()
            for unit, lines in self.units(bill).items():
                found = self.candidates(bill, unit)
                if len(found) == 1:
                    (number,) = found
                    for charge, amount, _ in lines:
                        charges[number, charge] += amount
                else:
                    faults.add("several_candidates" if found else "no_candidate")
            self.charges[bill.key] = dict(charges)
            self.unmatched[bill.key] = faults
            move = (self.carrier[bill.key], bill.origin, bill.destination, bill.ship_on, bill.weight)
            self.same_move[bill.key] = self.moves.get(move, set()) if "no_candidate" in faults else set()

    # -- does it stand ------------------------------------------------------------------------------------------------

    def stand(self) -> None:
        self.exception: dict[int, str] = {}
        seen: set[object] = set()
        roots: dict[tuple[str, str], str] = {}
        for bill in self.bills:
            if bill.correction == "RB" and bill.corrects and normalized(bill.corrects) != normalized(bill.number):
                roots[self.carrier[bill.key], normalized(bill.number)] = normalized(bill.corrects)
        stories: dict[tuple[str, str], list[Bill]] = defaultdict(list)
        for bill in self.bills:
            carrier = self.carrier[bill.key]
            if bill.correction in ("RF", "RP"):
                self.exception[bill.key] = "rebuttal"
                continue
            if bill.correction not in ("", "SU", "BD", "CO", "AD", "CR", "RB", "CA"):
                self.exception[bill.key] = "correction_not_supported"
                continue
            charges = tuple(sorted(self.charges[bill.key].items()))
            if bill.correction and charges:
                again = (carrier, normalized(bill.number), bill.correction, charges)
                if again in seen:
                    self.exception[bill.key] = "duplicate_number"
                    continue
                seen.add(again)
            if bill.correction in ("", "RB", "CA"):
                spoken_of = bill.number if bill.correction == "" else bill.corrects or bill.number
                number = bill.number if bill.ours else normalized(spoken_of)
                while (carrier, number) in roots:
                    number = roots[carrier, number]
                stories[carrier, number].append(bill)
        for story in stories.values():
            self.tell(story)

    def tell(self, story: Iterable[Bill]) -> None:
        current: Bill | None = None
        amounts: set[Decimal] = set()
        for bill in story:
            if bill.correction == "CA":
                if abs(bill.net) not in amounts:
                    self.exception[bill.key] = "cancellation_differs"
                elif current is None:
                    self.exception[bill.key] = "corrected_bill_unknown"
                else:
                    self.exception[current.key] = "cancelled"
                    self.exception[bill.key] = "cancellation"
                    current = None
                continue
            if bill.correction == "" and current is not None:
                self.exception[bill.key] = "duplicate_number"
            elif bill.correction == "RB" and current is None:
                self.exception[bill.key] = "corrected_bill_unknown"
            else:
                if current is not None:
                    self.exception[current.key] = "replaced"
                current = bill
            amounts.add(abs(bill.net))

    def moves_and_times(self) -> None:
        by_key = {bill.key: bill for bill in self.bills}
        billed: dict[str, list[tuple[int, tuple[tuple[str, Decimal], ...]]]] = defaultdict(list)
        first_received: dict[str, datetime] = {}
        for bill in self.bills:
            if bill.correction not in FIRST or bill.key in self.exception:
                continue
            parts: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
            for (number, charge), amount in self.charges[bill.key].items():
                parts[number].append((charge, amount))
            for number, part in parts.items():
                billed[number].append((bill.key, tuple(sorted(part))))
                first_received[number] = min(first_received.get(number, bill.received_at), bill.received_at)
        again: set[int] = set()
        for found in billed.values():
            seen: set[tuple[str, object]] = set()
            for key, charges in found:
                if by_key[key].ours:
                    continue
                mark = (self.carrier[key], charges)
                if mark in seen:
                    again.add(key)
                seen.add(mark)

        def known(bill: Bill) -> bool:
            others = [by_key[key] for number in self.same_move[bill.key] for key, _ in billed[number]]
            return any(
                other.key != bill.key
                and self.carrier[other.key] == self.carrier[bill.key]
                and (bill.service is None or other.service is None or bill.service == other.service)
                for other in others
            )

        for bill in self.bills:
            if bill.key in self.exception:
                continue
            if bill.correction == "" and known(bill):
                self.exception[bill.key] = "duplicate_move"
            elif "no_candidate" in self.unmatched[bill.key]:
                self.exception[bill.key] = "no_candidate"
            elif "several_candidates" in self.unmatched[bill.key]:
                self.exception[bill.key] = "several_candidates"
            elif bill.key in again:
                self.exception[bill.key] = "duplicate_move"
            elif bill.correction in ("BD", "SU") and self.too_late(bill, first_received):
                self.exception[bill.key] = "billed_too_late"
            elif self.said.answers.get(bill.key) == ("rejected", bill.net):
                self.exception[bill.key] = "rejected"

    def too_late(self, bill: Bill, first_received: Mapping[str, datetime]) -> bool:
        days = self.policy(bill).extra_bill_days
        if days is None:
            return False
        numbers = {number for number, _ in self.charges[bill.key]}
        limit = timedelta(days=days)
        return any(n in first_received and bill.received_at > first_received[n] + limit for n in numbers)

    # -- what of it is owed -------------------------------------------------------------------------------------------

    def policy(self, bill: Bill) -> Policy:
        carrier = self.carrier[bill.key]
        found = [rule for rule in in_force(self.company.policies, bill.on) if rule.scac in ("*", carrier)]
        return min(found, key=lambda rule: (rule.scac == "*", rule.rule_id))

    def tolerance(self, bill: Bill, shipment: Shipment, charge: str) -> Tolerance | None:
        planned = shipment.planned.get(charge)

        def fits(rule: Tolerance) -> bool:
            if rule.scac not in ("*", self.carrier[bill.key]) or rule.charge not in ("*", charge):
                return False
            if rule.origin != "*" and not shipment.origin.startswith(rule.origin):
                return False
            if rule.destination != "*" and not shipment.destination.startswith(rule.destination):
                return False
            if rule.value_from is None and rule.value_to is None:
                return True
            if planned is None:
                return False
            return (rule.value_from is None or abs(planned) >= rule.value_from) and (
                rule.value_to is None or abs(planned) < rule.value_to
            )

        def special(rule: Tolerance) -> tuple[object, ...]:
            lane = sum(len(part) for part in (rule.origin, rule.destination) if part != "*")
            banded = rule.value_from is not None or rule.value_to is not None
            return rule.scac == "*", not banded, rule.charge == "*", -lane, rule.rule_id

        speaking = in_force(self.company.tolerances, bill.ship_on or shipment.ship_on)
        return min(filter(fits, speaking), key=special, default=None)

    def paid_by_us(self, bill: Bill, shipment: Shipment) -> bool:
        carrier = self.carrier[bill.key]
        return shipment.has_self_bill and not bill.ours and bill.correction in FIRST and carrier == shipment.scac

    @staticmethod
    def allowed(rule: Tolerance | None, planned: Decimal | None, side: str) -> Decimal | None:
        if rule is None:
            return None
        percent: Decimal | None = getattr(rule, f"{side}_percent")
        amount: Decimal | None = getattr(rule, f"{side}_amount")
        limits: list[Decimal] = [abs(planned) * percent / 100] if percent is not None and planned is not None else []
        if amount is not None:
            limits.append(amount)
        if not limits:
            return None
        return max(limits) if rule.mode == "either" else min(limits)

    def compare(
        self, bill: Bill, shipment: Shipment, charge: str, invoiced: Decimal, before: Decimal, rule: Tolerance | None
    ) -> str:
        planned = shipment.planned.get(charge)
        if self.paid_by_us(bill, shipment):
            return "self_billed"
        if (audited := self.audited(bill).get(charge)) is not None and audited != invoiced:
            agreed = (bill.key, shipment.number, charge) in self.said.agreed
            if not agreed:
                return "audited"
        if bill.currency != shipment.currency:
            return "out_of_tolerance"
        if invoiced < 0 and bill.correction in ("CR", "AD"):
            return "in_tolerance"
        twice = invoiced > 0 and invoiced == before
        if planned is None:
            if twice:
                return "duplicate_charge"
            may = rule.unplanned if rule and rule.unplanned is not None else ZERO
            if bill.correction in ("SU", "BD", "CO", "AD") and before + invoiced <= may:
                return "approved"
            return "unplanned_charge"
        in_all = before + invoiced
        if in_all > planned + (self.allowed(rule, planned, "over") or 0):
            return "duplicate_charge" if twice else "out_of_tolerance"
        under = self.allowed(rule, planned, "under")
        if bill.correction in FIRST and under is not None and in_all < planned - under:
            return "out_of_tolerance"
        return "exact" if in_all == planned else "in_tolerance"

    def audited(self, bill: Bill) -> dict[str, Decimal]:
        """By charge what an audit that binds us says is to be paid; nothing of a bill that it saw otherwise, of one of
        several shipments, and where it does not say all."""
        audit = self.said.audits.get(bill.key)
        if audit is None or not self.policy(bill).audits_bind or audit.billed != bill.net:
            return {}
        if len({number for number, _ in self.charges[bill.key]}) != 1:
            return {}
        billed = {charge: amount for (_, charge), amount in self.charges[bill.key].items()}
        if audit.action == "approve":
            return billed
        if audit.action == "reject":
            return dict.fromkeys(billed, ZERO)
        if not audit.charges or sum(audit.charges.values()) != audit.audited:
            return {}
        return {charge: audit.charges.get(charge, ZERO) for charge in billed}

    # -- what is posted -----------------------------------------------------------------------------------------------

    def rate(self, currency: str, day: date) -> Decimal | None:
        if currency == BOOKS:
            return D(1)
        days = (day - timedelta(days=n) for n in range(8))
        return next((self.company.rates[currency, d] for d in days if (currency, d) in self.company.rates), None)

    def accrual(self, shipment: Shipment, charge: str, currency: str) -> tuple[Decimal, Decimal]:
        """What of a charge can be taken back, as it was booked: nothing in another currency than the bill's."""
        planned = shipment.planned.get(charge, ZERO)
        rate = self.rate(shipment.currency, shipment.delivered_on)
        if currency != shipment.currency or not shipment.delivered or not shipment.accrued or rate is None:
            return ZERO, ZERO
        gone = self.said.released.get((shipment.number, charge), ZERO)
        return planned - gone, half_up(planned * rate) - half_up(gone * rate)

    def post(self, bill: Bill, at: Charge, judged: Judged, was: Decimal, now: Decimal) -> None:
        """was, now: how much of the accrual bills have taken back, before this one and with it."""
        policy, shipment = self.policy(bill), self.shipments[at[0]]
        rate = self.rate(bill.currency, bill.on)
        expense = self.company.accounts[at[1]]
        accrued, functional = self.accrual(shipment, at[1], bill.currency)
        assert rate is not None
        assert expense is not None

        booked = judged.book
        cost = judged.paid - judged.claimed + judged.recovered
        claim = judged.claimed - judged.recovered
        booked("claim", policy.claims, policy.payable, claim, half_up(claim * rate))
        if shipment.goods:
            assert rate == 1, "landed cost in another currency is not worked out here"
            costs, back, stood = (shared(amount, shipment.goods) for amount in (cost, now, was))
            for n, goods in enumerate(shipment.goods):
                sold = of_goods_sold(costs[n], goods)
                booked("payable", STOCK, policy.payable, costs[n] - sold, costs[n] - sold)
                booked("payable", SOLD, policy.payable, sold, sold)
                booked("accrual", ACCRUED, STOCK, back[n] - stood[n], back[n] - stood[n])
            return
        booked("payable", expense, policy.payable, cost, half_up(cost * rate))
        step = half_up(functional * now / accrued) - half_up(functional * was / accrued) if accrued else ZERO
        booked("accrual", ACCRUED, expense, judged.reversal, step)
        moved = half_up(judged.reversal * rate) - step
        booked("exchange", LOSS if moved > 0 else GAIN, expense, ZERO, moved)

    def end_claims(self, outcomes: Mapping[int, Outcome]) -> None:
        """A credit takes claims out of the books at the rates of their own bills, the oldest first; what the rate did
        since is a gain or a loss."""
        claims: dict[tuple[Charge, str], list[list[Decimal]]] = defaultdict(list)
        credits: dict[tuple[Charge, str], list[tuple[Bill, Judged, Decimal]]] = defaultdict(list)
        for bill in self.bills:
            for at, judged in outcomes[bill.key].charges.items():
                rate = self.rate(bill.currency, bill.on)
                if judged.claimed > 0:
                    assert rate is not None
                    claims[at, bill.currency].append([judged.claimed, half_up(judged.claimed * rate), ZERO])
                if judged.recovered:
                    assert rate is not None
                    credits[at, bill.currency].append((bill, judged, rate))
        for key, came in credits.items():
            for bill, judged, rate in came:
                left, stood = judged.recovered, ZERO
                for claim in claims[key]:
                    amount, worth, gone = claim
                    part = min(left, amount - gone)
                    stood += half_up(worth * (gone + part) / amount) - half_up(worth * gone / amount)
                    claim[2], left = gone + part, left - part
                stood += half_up(left * rate)
                moved = half_up(judged.recovered * rate) - stood
                judged.book("exchange", self.policy(bill).claims, GAIN if moved > 0 else LOSS, ZERO, moved)

    def judge(self) -> dict[int, Outcome]:
        self.match()
        self.stand()
        self.moves_and_times()
        approved: dict[Charge, Decimal] = defaultdict(lambda: ZERO)
        claims: dict[Charge, Decimal] = defaultdict(lambda: ZERO)
        posted: dict[Charge, Decimal] = defaultdict(lambda: ZERO)
        outcomes: dict[int, Outcome] = {}
        waiting = {
            "no_candidate",
            "several_candidates",
            "corrected_bill_unknown",
            "cancellation_differs",
            "rebuttal",
            "correction_not_supported",
            "billed_too_late",
        }
        for bill in self.bills:
            outcome = outcomes[bill.key] = Outcome(self.carrier[bill.key], bill.currency, bill.net)
            policy = self.policy(bill)
            by_policy = policy.mode == "pay_and_claim"
            stands = bill.key not in self.exception
            owed: dict[Charge, Decimal] = {}
            agreed: dict[Charge, Decimal] = {}
            for (number, charge), invoiced in self.charges[bill.key].items():
                shipment = self.shipments[number]
                before = approved[number, charge]
                planned = shipment.planned.get(charge)
                rule = self.tolerance(bill, shipment, charge)
                verdict = self.compare(bill, shipment, charge, invoiced, before, rule)
                over, under = (self.allowed(rule, planned, side) for side in ("over", "under"))
                variance = invoiced - ((planned or ZERO) - before)
                outcome.charges[number, charge] = Judged(verdict, rule, over, under, invoiced, variance)
                if verdict in FITTING:
                    owed[number, charge] = invoiced
                elif (bill.key, number, charge) in self.said.agreed:
                    owed[number, charge] = agreed[number, charge] = self.said.agreed[bill.key, number, charge]
                elif verdict != "self_billed" and charge in (audited := self.audited(bill)):
                    owed[number, charge] = agreed[number, charge] = audited[charge]
                elif (
                    planned is None
                    or bill.currency != shipment.currency
                    or verdict in ("duplicate_charge", "self_billed")
                ):
                    owed[number, charge] = ZERO
                elif planned < 0:
                    owed[number, charge] = min(invoiced, planned - before)
                else:
                    owed[number, charge] = max(min(invoiced, planned - before), ZERO)
            misfits = {at for at, judged in outcome.charges.items() if judged.verdict not in FITTING}
            open_misfits = misfits - set(agreed)
            ours = [self.shipments[number] for number, _ in outcome.charges]
            delivered = all(s.delivered and not s.cancelled for s in ours)
            no_account = any(
                self.company.accounts.get(charge) is None and not self.shipments[number].goods
                for number, charge in outcome.charges
            ) or (bool(ours) and self.rate(bill.currency, bill.on) is None)
            not_accrued = any(
                not self.shipments[number].accrued and charge in self.shipments[number].planned
                for number, charge in outcome.charges
            )
            needs_yes = (
                bool(ours)
                and policy.approve_up_to is not None
                and bill.net > policy.approve_up_to
                and self.said.answers.get(bill.key) != ("approved", bill.net)
            )
            # what our own document paid holds nothing up: the rest of the bill is judged by itself
            held = {at for at in open_misfits if outcome.charges[at].verdict != "self_billed"}
            is_approved = stands and not (held and policy.mode == "hold") and bool(outcome.charges)
            awaits = any(
                s.self_billed and s.scac == self.carrier[bill.key] and not (s.has_self_bill or bill.ours) for s in ours
            )
            is_posted = is_approved and delivered and not (needs_yes or no_account or not_accrued or awaits)
            for at, judged in outcome.charges.items():
                due = judged.owed = owed[at]
                claiming = by_policy and judged.verdict != "self_billed"
                recovered = min(max(-due, ZERO), max(claims[at] - self.said.given_back.get(at, ZERO), ZERO))
                judged.is_posted = is_posted
                if is_posted:
                    judged.recovered = recovered
                    judged.paid = judged.invoiced if claiming else due
                    judged.claimed = judged.invoiced - due if claiming else ZERO
                    whole, _ = self.accrual(self.shipments[at[0]], at[1], bill.currency)
                    low, high = min(whole, ZERO), max(whole, ZERO)
                    was = min(max(posted[at], low), high)
                    posted[at] += due + recovered
                    now = min(max(posted[at], low), high)
                    judged.reversal = now - was
                    self.post(bill, at, judged, was, now)
                if not stands:
                    judged.rejected = ZERO if self.exception[bill.key] in waiting else judged.invoiced
                elif at in open_misfits and not (claiming and is_approved):
                    judged.disputed = judged.invoiced - due
                    if judged.verdict == "self_billed" and bill.currency == self.shipments[at[0]].currency:
                        ours_paid, asked = approved[at], judged.invoiced
                        judged.rejected = (
                            min(asked, max(ours_paid, ZERO)) if asked >= 0 else max(asked, min(ours_paid, ZERO))
                        )
                        judged.disputed -= judged.rejected
                elif at in agreed and not claiming:
                    judged.rejected = judged.invoiced - due
                if is_approved:
                    approved[at] += due + recovered
                    claims[at] += (judged.invoiced - due if claiming else ZERO) - recovered
            verdicts = {judged.verdict for judged in outcome.charges.values()}
            own_paid = [judged for judged in outcome.charges.values() if judged.verdict == "self_billed"]
            still_open = {outcome.charges[at].verdict for at in open_misfits}
            outcome.verdict = self.exception.get(bill.key) or next(
                (
                    name
                    for name, holds in (
                        ("no_candidate", not outcome.charges),
                        ("out_of_tolerance", "out_of_tolerance" in still_open),
                        ("unplanned_charge", "unplanned_charge" in still_open),
                        ("duplicate_charge", "duplicate_charge" in still_open),
                        ("self_billed", any(judged.disputed for judged in own_paid)),
                        ("duplicate_self_bill", bool(own_paid)),
                        ("not_delivered", not delivered),
                        ("awaits_self_bill", awaits),
                        ("no_account", no_account),
                        ("not_accrued", not_accrued),
                        ("needs_approval", needs_yes),
                        ("audited", "audited" in verdicts),
                        ("agreed", bool(misfits)),
                        ("approved", "approved" in verdicts),
                        ("in_tolerance", "in_tolerance" in verdicts),
                    )
                    if holds
                ),
                "exact",
            )
        self.end_claims(outcomes)
        return outcomes
