"""What must come of carriers' bills, worked out in plain Python from the wording of docs/decisions.md.

It shares no code and no order of thought with the models: bills are taken one after the other as business would, with
what was approved so far in a dictionary. `judge` gives for each bill its verdict and for each charge on it verdict,
rule, and where every cent of it goes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

D = Decimal
ZERO = D("0.00")
FIRST = ("", "RB")
KEYS = ("shipment_reference", "bol", "pro", "po")
Charge = tuple[str, str]


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
    self_billed: bool = False

    @property
    def has_self_bill(self) -> bool:
        return self.self_billed and self.delivered and not self.cancelled and bool(self.planned)


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
    ship_on: date
    weight: Decimal
    received_at: datetime
    currency: str = "USD"
    corrects: str | None = None
    content: str = ""
    ours: bool = False

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
class Judged:
    """Of one charge of a bill."""

    verdict: str
    rule_id: str | None
    invoiced: Decimal
    paid: Decimal = ZERO
    claimed: Decimal = ZERO
    recovered: Decimal = ZERO
    disputed: Decimal = ZERO
    rejected: Decimal = ZERO
    reversal: Decimal = ZERO

    @property
    def pending(self) -> Decimal:
        return self.invoiced - self.paid - self.disputed - self.rejected


@dataclass
class Outcome:
    verdict: str = ""
    charges: dict[Charge, Judged] = field(default_factory=dict)


def normalized(number: str) -> str:
    kept = re.sub("[^A-Z0-9]", "", number.upper())
    return re.sub("[A-Z]+$", "", kept.lstrip("0")) or kept


class Books:
    """One company's bills, shipments and rules."""

    def __init__(
        self,
        shipments: Sequence[Shipment],
        bills: Sequence[Bill],
        tolerances: Sequence[Tolerance],
        modes: dict[str, str],
        approve_up_to: dict[str, Decimal],
        extra_bill_days: int = 180,
    ) -> None:
        self.shipments = {shipment.number: shipment for shipment in shipments}
        own = [self.self_bill(-n, s) for n, s in enumerate(shipments, 1) if s.has_self_bill]
        self.bills = sorted([*own, *bills], key=lambda bill: bill.order)
        self.tolerances, self.modes, self.approve_up_to = tolerances, modes, approve_up_to
        self.extra_bill_days = extra_bill_days
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
        own = {ref for *_, ref in bill.lines if ref is not None}
        header = bill.references.get("shipment_reference")
        if len(own) > 1 or (len(own) == 1 and header is not None and own != {header}):
            units: dict[str | None, list[tuple[str, Decimal, str | None]]] = defaultdict(list)
            for line in bill.lines:
                units[line[2] or ""].append(line)
            return units
        return {None: list(bill.lines)}

    def candidates(self, bill: Bill, unit: str | None) -> set[str]:
        if unit is not None:
            return self.by["shipment_reference"][bill.scac, unit] if unit else set()
        references = dict(bill.references)
        own = {ref for *_, ref in bill.lines if ref is not None}
        if len(own) == 1 and references.get("shipment_reference") is None:
            references["shipment_reference"] = own.pop()
        for key in KEYS:
            value = references.get(key)
            if value is not None and (found := self.by[key].get((bill.scac, value))):
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
            self.same_move[bill.key] = (
                self.moves.get((bill.scac, bill.origin, bill.destination, bill.ship_on, bill.weight), set())
                if "no_candidate" in faults
                else set()
            )

    # -- does it stand ------------------------------------------------------------------------------------------------

    def stand(self) -> None:
        self.exception: dict[int, str] = {}
        seen: set[object] = set()
        roots: dict[tuple[str, str], str] = {}
        for bill in self.bills:
            if bill.correction == "RB" and bill.corrects and normalized(bill.corrects) != normalized(bill.number):
                roots[bill.scac, normalized(bill.number)] = normalized(bill.corrects)
        stories: dict[tuple[str, str], list[Bill]] = defaultdict(list)
        for bill in self.bills:
            if bill.correction in ("RF", "RP"):
                self.exception[bill.key] = "rebuttal"
                continue
            if bill.correction not in ("", "SU", "BD", "CO", "AD", "CR", "RB", "CA"):
                self.exception[bill.key] = "correction_not_supported"
                continue
            charges = tuple(sorted(self.charges[bill.key].items()))
            if bill.correction and charges:
                again = (bill.scac, normalized(bill.number), bill.correction, charges)
                if again in seen:
                    self.exception[bill.key] = "duplicate_number"
                    continue
                seen.add(again)
            if bill.correction in ("", "RB", "CA"):
                spoken_of = bill.number if bill.correction == "" else bill.corrects or bill.number
                number = bill.number if bill.ours else normalized(spoken_of)
                while (bill.scac, number) in roots:
                    number = roots[bill.scac, number]
                stories[bill.scac, number].append(bill)
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
            for number, charges in parts.items():
                billed[number].append((bill.key, tuple(sorted(charges))))
                first_received[number] = min(first_received.get(number, bill.received_at), bill.received_at)
        again: set[int] = set()
        for number, found in billed.items():
            seen: set[tuple[str, object]] = set()
            for key, charges in found:
                if by_key[key].ours:
                    continue
                mark = (by_key[key].scac, charges)
                if mark in seen:
                    again.add(key)
                seen.add(mark)
            del number
        for bill in self.bills:
            if bill.key in self.exception:
                continue
            known = [n for n in self.same_move[bill.key] if any(by_key[k].scac == bill.scac for k, _ in billed[n])]
            if bill.correction == "" and known:
                self.exception[bill.key] = "duplicate_move"
            elif "no_candidate" in self.unmatched[bill.key]:
                self.exception[bill.key] = "no_candidate"
            elif "several_candidates" in self.unmatched[bill.key]:
                self.exception[bill.key] = "several_candidates"
            elif bill.key in again:
                self.exception[bill.key] = "duplicate_move"
            elif bill.correction in ("BD", "SU"):
                limit = timedelta(days=self.extra_bill_days)
                numbers = {number for number, _ in self.charges[bill.key]}
                if any(n in first_received and bill.received_at > first_received[n] + limit for n in numbers):
                    self.exception[bill.key] = "billed_too_late"

    # -- what of it is owed -------------------------------------------------------------------------------------------

    def tolerance(self, bill: Bill, shipment: Shipment, charge: str) -> Tolerance | None:
        planned = shipment.planned.get(charge)

        def fits(rule: Tolerance) -> bool:
            if rule.scac not in ("*", bill.scac) or rule.charge not in ("*", charge):
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

        return min(filter(fits, self.tolerances), key=special, default=None)

    @staticmethod
    def paid_by_us(bill: Bill, shipment: Shipment) -> bool:
        return shipment.has_self_bill and not bill.ours and bill.correction in FIRST and bill.scac == shipment.scac

    @staticmethod
    def allowed(rule: Tolerance | None, planned: Decimal, side: str) -> Decimal | None:
        if rule is None:
            return None
        percent = getattr(rule, f"{side}_percent")
        limits = [abs(planned) * percent / 100] if percent is not None else []
        amount = getattr(rule, f"{side}_amount")
        if amount is not None:
            limits.append(amount)
        if not limits:
            return None
        return max(limits) if rule.mode == "either" else min(limits)

    def compare(
        self, bill: Bill, shipment: Shipment, charge: str, invoiced: Decimal, before: Decimal
    ) -> tuple[str, str | None]:
        rule = self.tolerance(bill, shipment, charge)
        rule_id = rule.rule_id if rule else None
        planned = shipment.planned.get(charge)
        if self.paid_by_us(bill, shipment):
            return "self_billed", rule_id
        if bill.currency != "USD":
            return "out_of_tolerance", rule_id
        if invoiced < 0 and bill.correction in ("CR", "AD"):
            return "in_tolerance", rule_id
        twice = invoiced > 0 and invoiced == before
        if planned is None:
            if twice:
                return "duplicate_charge", rule_id
            may = rule.unplanned if rule and rule.unplanned is not None else ZERO
            if bill.correction in ("SU", "BD", "CO", "AD") and before + invoiced <= may:
                return "approved", rule_id
            return "unplanned_charge", rule_id
        in_all = before + invoiced
        if in_all > planned + (self.allowed(rule, planned, "over") or 0):
            return ("duplicate_charge" if twice else "out_of_tolerance"), rule_id
        under = self.allowed(rule, planned, "under")
        if bill.correction in FIRST and under is not None and in_all < planned - under:
            return "out_of_tolerance", rule_id
        return ("exact" if in_all == planned else "in_tolerance"), rule_id

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
            outcome = outcomes[bill.key] = Outcome()
            mode = self.modes.get(bill.scac, "hold")
            stands = bill.key not in self.exception
            owed: dict[Charge, Decimal] = {}
            for (number, charge), invoiced in self.charges[bill.key].items():
                shipment = self.shipments[number]
                before = approved[number, charge]
                verdict, rule_id = self.compare(bill, shipment, charge, invoiced, before)
                outcome.charges[number, charge] = Judged(verdict, rule_id, invoiced)
                planned = shipment.planned.get(charge)
                if verdict in ("exact", "in_tolerance", "approved"):
                    owed[number, charge] = invoiced
                elif planned is None or bill.currency != "USD" or verdict in ("duplicate_charge", "self_billed"):
                    owed[number, charge] = ZERO
                elif planned < 0:
                    owed[number, charge] = min(invoiced, planned - before)
                else:
                    owed[number, charge] = max(min(invoiced, planned - before), ZERO)
            misfits = {c for c, j in outcome.charges.items() if j.verdict not in ("exact", "in_tolerance", "approved")}
            delivered = all(self.shipments[n].delivered and not self.shipments[n].cancelled for n, _ in outcome.charges)
            needs_yes = bill.scac in self.approve_up_to and bill.net > self.approve_up_to[bill.scac]
            # what our own document paid holds nothing up: the rest of the bill is judged by itself
            held = {c for c in misfits if outcome.charges[c].verdict != "self_billed"}
            is_approved = stands and not (held and mode == "hold") and bool(outcome.charges)
            awaits = any(
                self.shipments[n].self_billed
                and self.shipments[n].scac == bill.scac
                and not (self.shipments[n].has_self_bill or bill.ours)
                for n, _ in outcome.charges
            )
            is_posted = is_approved and delivered and not needs_yes and bill.currency == "USD" and not awaits
            bill_mode = mode
            for at, judged in outcome.charges.items():
                due = owed[at]
                mode = "short_pay" if judged.verdict == "self_billed" else bill_mode
                recovered = min(max(-due, ZERO), max(claims[at], ZERO))
                if is_posted:
                    judged.recovered = recovered
                    judged.paid = judged.invoiced if mode == "pay_and_claim" else due
                    judged.claimed = judged.invoiced - due if mode == "pay_and_claim" else ZERO
                    planned = self.shipments[at[0]].planned.get(at[1], ZERO)
                    low, high = min(planned, ZERO), max(planned, ZERO)
                    was = min(max(posted[at], low), high)
                    posted[at] += due + recovered
                    judged.reversal = min(max(posted[at], low), high) - was
                if not stands:
                    judged.rejected = ZERO if self.exception[bill.key] in waiting else judged.invoiced
                elif at in misfits and not (mode == "pay_and_claim" and is_approved):
                    judged.disputed = judged.invoiced - due
                    if judged.verdict == "self_billed" and bill.currency == "USD":
                        ours, asked = approved[at], judged.invoiced
                        paid_before = min(asked, max(ours, ZERO)) if asked >= 0 else max(asked, min(ours, ZERO))
                        judged.rejected = paid_before
                        judged.disputed -= paid_before
                if is_approved:
                    approved[at] += due + recovered
                    claims[at] += (judged.invoiced - due if mode == "pay_and_claim" else ZERO) - recovered
            verdicts = {judged.verdict for judged in outcome.charges.values()}
            judged_here = list(outcome.charges.values())
            outcome.verdict = self.exception.get(bill.key) or next(
                (
                    name
                    for name, holds in (
                        ("no_candidate", not outcome.charges),
                        ("out_of_tolerance", "out_of_tolerance" in verdicts),
                        ("unplanned_charge", "unplanned_charge" in verdicts),
                        ("duplicate_charge", "duplicate_charge" in verdicts),
                        ("self_billed", any(j.verdict == "self_billed" and j.disputed for j in judged_here)),
                        ("duplicate_self_bill", "self_billed" in verdicts),
                        ("not_delivered", not delivered),
                        ("awaits_self_bill", awaits),
                        ("needs_approval", needs_yes),
                        ("approved", "approved" in verdicts),
                        ("in_tolerance", "in_tolerance" in verdicts),
                    )
                    if holds
                ),
                "exact",
            )
        return outcomes
