"""What the carriers bill, what must come of each bill, and what the books show of it at the end.

Each bill is made for its outcome: "this linehaul is billed 4 % over where 3 % are allowed" is written down as
out_of_tolerance, not found out. Allowed over the plan (contract terms): linehaul of NRDF 3 %, fuel of both 10 %,
anything else 5 % or 2.00, whichever is more. Some bills go exactly to the limit, some a cent beyond; the others stay
well away from it. A bill that goes beyond is held as a whole where it is NRDF's; BLUW is paid short: what was planned,
and nothing for a charge that was not.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freightsync.sandbox.scenario.clock import START
from freightsync.sandbox.scenario.freight import Bill, Shipment
from freightsync.sandbox.scenario.sums import money, percent_of, reversals, shares, sold_part
from freightsync.sandbox.scenario.world import ACCOUNT, CHARGES, CURRENCY, ORIGINS

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

TODAY = START.date().isoformat()
TOMORROW = START.date().replace(day=START.day + 1).isoformat()
DAY_AFTER = START.date().replace(day=START.day + 2).isoformat()
Lines = list[tuple[str, str, int]]
APPROVED = ("exact", "in_tolerance")
SHORT_PAID = "BLUW"
STOCK, SOLD = "1400", "5100"
"""Where freight of goods that are bought goes: into what they cost; of those that are sold, into the cost of sales."""
CLAIMS = "1350"
"""What was paid and has to come back from carriers."""


class Billing:
    def __init__(self, day: Generator) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.bills: list[Bill] = []
        self.again = (
            self.balance_due,
            self.supplemental,
            self.credit,
            self.same_number,
            self.same_move,
            self.rebill,
            self.cancelled,
        )
        self._number = {scac: self.rng.randint(20_000, 80_000) for scac in (*CURRENCY, "ANCH")}

    def run(self) -> None:
        day = self.day
        pool = [s for s in day.shipments if s.delivered and not s.case and s.scac != "HNSA"]
        self.rng.shuffle(pool)
        self.consolidated(pool, day.some(0.012))
        kinds = (
            (self.balance_due, 0.014, "balance_due"),
            (self.supplemental, 0.008, "supplemental_bill"),
            (self.rebill, 0.014, "rebill"),
            (self.cancelled, 0.010, "cancelled_bill"),
            (self.credit, 0.014, "credit_bill"),
            (self.same_number, 0.012, "duplicate_invoice_number"),
            (self.same_move, 0.014, "duplicate_invoice_move"),
            (self.in_tolerance, 0.060, "variance_in_tolerance"),
            (self.out_of_tolerance, 0.030, "variance_out_of_tolerance"),
            (self.unplanned, 0.020, "unplanned_charge"),
            (self.unknown_charge, 0.010, "unknown_charge_code"),
            (self.wrong_sum, 0.010, "lines_do_not_sum"),
        )
        for make, rate, trouble in kinds:
            # what is billed again later has to be paid by then: of the loads that arrive in the first half of the day
            early = sorted(pool, key=lambda s: (s.version > 1, s.times["delivered"], s.id))[: max(len(pool) // 2, 12)]
            choice = early if make in self.again else pool
            if make == self.supplemental:  # a kind that X12's 210 has no sign for
                choice = [s for s in choice if s.scac == "BLUW"] or [s for s in pool if s.scac == "BLUW"]
            chosen = day.pick(choice, day.some(rate), trouble)
            ids = {s.id for s in chosen}
            pool[:] = [s for s in pool if s.id not in ids]
            for n, shipment in enumerate(chosen):
                make(shipment, n)
                self.truth.trouble[trouble] += 1
        self.other_channels(pool)
        self.in_euros()
        for shipment in pool:
            if self.rng.random() < 0.88:
                self.plain(shipment)
        on_way = [s for s in day.shipments if s.fate == "in_transit"]
        for shipment in day.pick(on_way, day.some(0.012), "invoice_before_delivery"):
            self.send(self.bill(shipment, self.as_planned(shipment), verdict="not_delivered"), shipment)
            self.truth.trouble["invoice_not_delivered"] += 1
        self.unknown_shipments(day.some(0.010))
        self.fits_two()
        self.unknown_carrier(3)

    # -- kinds of bills ---------------------------------------------------------------------------------------------

    def plain(self, shipment: Shipment) -> Bill:
        bill = self.bill(shipment, self.as_planned(shipment), verdict="exact")
        self.send(bill, shipment, plain=True)
        return bill

    def other_channels(self, pool: list[Shipment]) -> None:
        """Some of NRDF's bills are INVOICs, some of BLUW's are workbooks or calls to our API."""
        for scac, channel in (("NRDF", "invoic"), ("BLUW", "xlsx"), ("BLUW", "api")):
            mine = [s for s in pool if s.scac == scac]
            for n, shipment in enumerate(self.day.pick(mine, self.day.some(0.008), f"bills by {channel}")):
                pool.remove(shipment)
                over = n % 3 == 2
                lines = self.as_planned(shipment)
                if over:
                    lines = self.raised(lines, shipment, "LINEHAUL", 9, 27)
                bill = self.bill(shipment, lines, verdict="in_tolerance" if over else "exact")
                bill.channel = channel
                self.send(bill, shipment)
                self.truth.trouble[f"bill_by_{channel}"] += 1

    def in_euros(self) -> None:
        """HNSA's INVOICs: as planned, a little more, a little less; and a credit note."""
        mine = [s for s in self.day.shipments if s.scac == "HNSA" and not s.case]
        for n, shipment in enumerate(mine):
            self.truth.trouble["bill_in_euros"] += 1
            if n % 3 == 0:
                self.credit(shipment, 0)
                continue
            lines = self.as_planned(shipment)
            if n % 3 == 1:
                lines = self.raised(lines, shipment, "LINEHAUL", *((15, 47), (-90, -10))[n // 3 % 2])
            self.send(self.bill(shipment, lines, verdict="in_tolerance" if n % 3 == 1 else "exact"), shipment)

    def in_tolerance(self, shipment: Shipment, n: int) -> None:
        lines, small = self.as_planned(shipment), [c for c in shipment.charges if c in ("LIFTGATE", "RESIDENTIAL")]
        how = ("linehaul", "fuel", "limit", "under", "small at its limit", "flat")[n % 6]
        if how == "limit":
            lines = self.beyond(lines, shipment, ("LINEHAUL", "FUEL")[n // 6 % 2], 0)
        elif how == "small at its limit" and small:
            lines = self.beyond(lines, shipment, small[0], 0)
        elif how == "flat" and small:
            lines = self.with_amount(lines, small[0], shipment.charges[small[0]] + self.rng.randint(101, 199))
        elif how == "fuel":
            lines = self.raised(lines, shipment, "FUEL", 55, 92)
        elif how == "under":
            lines = self.raised(lines, shipment, "LINEHAUL", -90, -10)
        else:
            lines = self.raised(lines, shipment, "LINEHAUL", *((9, 27) if shipment.scac == "NRDF" else (15, 47)))
        self.send(self.bill(shipment, lines, verdict="in_tolerance"), shipment, plain=True)

    def out_of_tolerance(self, shipment: Shipment, n: int) -> None:
        lines, small = self.as_planned(shipment), [c for c in shipment.charges if c in ("LIFTGATE", "RESIDENTIAL")]
        how = ("linehaul", "fuel", "a cent", "small", "linehaul")[n % 5]
        charge = "LINEHAUL"
        if how == "a cent":
            charge = ("LINEHAUL", "FUEL")[n // 5 % 2]
            lines = self.beyond(lines, shipment, charge, 1)
        elif how == "small" and small:
            charge = small[0]
            lines = self.beyond(lines, shipment, charge, (1, 350)[n // 5 % 2])
        elif how == "fuel":
            charge = "FUEL"
            lines = self.raised(lines, shipment, "FUEL", 120, 190)
        else:
            # between 3 and 5 %: too much for NRDF's linehaul, fine for most others
            lines = self.raised(lines, shipment, "LINEHAUL", *((34, 48) if shipment.scac == "NRDF" else (58, 95)))
        bill = self.bill(shipment, lines, verdict="out_of_tolerance")
        bill.owed = {charge: shipment.charges[charge]}
        self.send(bill, shipment)

    def unplanned(self, shipment: Shipment, n: int) -> None:
        lines = self.as_planned(shipment)
        # even a charge of little money has to be planned
        amount = 150 if n % 3 == 2 else self.rng.randint(6_000, 18_000)
        lines.append(("DETENTION", self.code(shipment.scac, "DETENTION"), amount))
        bill = self.bill(shipment, lines, verdict="unplanned_charge")
        bill.owed = {"DETENTION": 0}
        self.send(bill, shipment)

    def balance_due(self, shipment: Shipment, n: int) -> None:
        """The first bill is short of linehaul (or whole); a second asks for the rest, a little less, or too much."""
        planned = shipment.charges["LINEHAUL"]
        how = ("rest", "less", "too_much")[n % 3]
        first = planned if how == "too_much" else percent_of(planned, str(self.rng.randint(55, 75)))
        lines = self.with_amount(self.as_planned(shipment), "LINEHAUL", first)
        original = self.bill(shipment, lines, verdict="exact" if how == "too_much" else "in_tolerance")
        self.send(original, shipment, plain=True)
        amount = {
            "rest": planned - first,
            "less": planned - first - self.rng.randint(500, 2_000),
            "too_much": percent_of(planned, str(self.rng.randint(12, 25))),
        }[how]
        verdict = {"rest": "exact", "less": "in_tolerance", "too_much": "out_of_tolerance"}[how]
        second: Lines = [("LINEHAUL", self.code(shipment.scac, "LINEHAUL"), amount)]
        # of what is asked beyond the plan nothing is owed
        owed = {"LINEHAUL": 0} if how == "too_much" else None
        self.follow(original, shipment, second, "BD", original.number + "BD", TOMORROW, verdict, owed=owed)

    def supplemental(self, shipment: Shipment, n: int) -> None:
        """Fuel is billed apart from the rest, a day later, under the same number."""
        lines = [line for line in self.as_planned(shipment) if line[0] != "FUEL"]
        original = self.bill(shipment, lines, verdict="exact")
        self.send(original, shipment, plain=True)
        fuel: Lines = [("FUEL", self.code(shipment.scac, "FUEL"), shipment.charges["FUEL"])]
        self.follow(original, shipment, fuel, "SU", original.number, TOMORROW, "exact")

    def rebill(self, shipment: Shipment, n: int) -> None:
        """A bill that was paid is replaced by a lower one; one that was held, by a right one."""
        if n % 2 == 0 or shipment.scac == SHORT_PAID:
            original = self.plain(shipment)
            original.undone = True
            lines = self.raised(self.as_planned(shipment), shipment, "LINEHAUL", -80, -30)
            verdict = "in_tolerance"
        else:
            lines = self.raised(self.as_planned(shipment), shipment, "LINEHAUL", 110, 190)
            original = self.bill(shipment, lines, verdict="exact")
            self.send(original, shipment, plain=True)
            lines, verdict = self.as_planned(shipment), "exact"
        self.now(original, "replaced")
        self.follow(original, shipment, lines, "RB", original.number, TOMORROW, verdict, waits=original.undone)

    def cancelled(self, shipment: Shipment, n: int) -> None:
        """A paid bill is called off, its amount with or without a sign; some are billed anew under the same number."""
        original = self.plain(shipment)
        original.undone = True
        self.now(original, "cancelled")
        sign = (-1, 1)[n % 2]
        back = [(charge, code, sign * cents) for charge, code, cents in original.groups[0][1]]
        self.follow(original, shipment, back, "CA", original.number, TOMORROW, "cancellation")
        if n % 3 == 2:
            self.follow(original, shipment, self.as_planned(shipment), "", original.number, DAY_AFTER, "exact")

    def credit(self, shipment: Shipment, n: int) -> None:
        """The carrier gives some of its linehaul back."""
        original = self.plain(shipment)
        back = -percent_of(shipment.charges["LINEHAUL"], str(self.rng.randint(4, 15)))
        lines: Lines = [("LINEHAUL", self.code(shipment.scac, "LINEHAUL"), back)]
        correction = "AD" if n % 3 == 2 else "CR"
        self.follow(original, shipment, lines, correction, original.number + "CR", TOMORROW, "in_tolerance")

    def same_number(self, shipment: Shipment, n: int) -> None:
        """The same number again, written another way, a day later."""
        original = self.plain(shipment)
        digits = original.number[2:] if shipment.scac == "NRDF" else original.number
        if shipment.scac == "NRDF":
            number = (f"NR-{digits}", f"nr{digits}A", f"NR {digits}")[n % 3]
        else:
            number = (digits.lstrip("0"), f"{digits}B", f"{digits[:4]}-{digits[4:]}")[n % 3]
        self.follow(original, shipment, original.groups[0][1], "", number, TOMORROW, "duplicate_number")

    def same_move(self, shipment: Shipment, n: int) -> None:
        """The same transport again under a new number: with another PRO and nothing else, or with its shipment id."""
        original = self.plain(shipment)
        known = self.references(shipment, "all")
        strange = {**dict.fromkeys(known), "pro_number": f"{shipment.pro[0]}7{shipment.pro[2:]}X"}
        references = known if n % 4 == 3 else strange
        self.follow(
            original,
            shipment,
            original.groups[0][1],
            "",
            self.next_number(shipment.scac),
            TOMORROW,
            "duplicate_move",
            references,
        )

    def unknown_charge(self, shipment: Shipment, n: int) -> None:
        lines = self.as_planned(shipment)
        lines.append(("", ("ZZZ", "SOC", "PLX")[n % 3], self.rng.randint(1_000, 9_000)))
        bill = self.bill(shipment, lines)
        self.send(bill, shipment, reasons=("unknown_charge_code",))

    def wrong_sum(self, shipment: Shipment, n: int) -> None:
        bill = self.bill(shipment, self.as_planned(shipment))
        bill.net_cents += (1, -1_000, 9_000)[n % 3]
        self.send(bill, shipment, reasons=("lines_do_not_sum",))

    def consolidated(self, pool: list[Shipment], count: int) -> None:
        """One bill for two or three shipments, each line with its own reference."""
        for n in range(count):
            scac = ("NRDF", "BLUW")[n % 2]
            size = 3 if self.day.size >= 150 and n % 3 == 2 else 2
            mine = [s for s in pool if s.scac == scac]
            chosen = sorted(self.day.pick(mine, size, "consolidated_invoice"), key=lambda s: s.id)
            pool[:] = [s for s in pool if s not in chosen]
            groups: list[tuple[Shipment | None, Lines]] = [(s, self.as_planned(s)) for s in chosen]
            bill = self.bill(chosen[0], [], verdict="exact")
            bill.groups = groups
            bill.net_cents = bill.lines_cents
            bill.weight_lb = f"{sum(s.weight_lb for s in chosen):.3f}"
            bill.references = {**dict.fromkeys(bill.references), "pro_number": f"M{bill.number[-7:]}"}
            self.send(bill, *chosen, plain=True)
            self.truth.trouble["consolidated_invoice"] += 1

    def unknown_shipments(self, count: int) -> None:
        """Loads that nobody here knows, from places where nobody here is."""
        for n in range(count):
            scac = ("NRDF", "BLUW")[n % 2]
            number = self.next_number(scac)
            amount = self.rng.randint(20_000, 90_000)
            lines: Lines = [
                ("LINEHAUL", self.code(scac, "LINEHAUL"), amount),
                ("FUEL", self.code(scac, "FUEL"), percent_of(amount, "21")),
            ]
            references = {
                "shipment_id": f"SH9{self.rng.randint(10_000, 99_999)}",
                "bol_number": f"BLX{number[-5:]}",
                "pro_number": f"X{number[-6:]}",
                "po_number": None,
            }
            weight = f"{self.rng.randint(1_000, 30_000)}.{self.rng.randint(100, 999)}"
            away = ("", "Holtsville", "NY", f"005{n % 90 + 10:02d}", "America/New_York")
            bill = Bill(
                scac,
                number,
                "",
                TODAY,
                [(None, lines)],
                references,
                ORIGINS[n % 3],
                away,
                TODAY,
                weight,
                0,
                "no_candidate",
            )
            bill.net_cents = bill.lines_cents
            self.send(bill)
            self.truth.trouble["invoice_for_unknown_shipment"] += 1

    def fits_two(self) -> None:
        """A bill that names only what two shipments of the carrier share: a BOL, or the order."""
        for n, pair in enumerate(self.day.sharing_bol):
            first = pair[0]
            by_order = n % 3 == 2
            lines = self.as_planned(first)
            bill = self.bill(first, lines, verdict="several_candidates")
            bill.references = {
                "shipment_id": None,
                "bol_number": None if by_order else first.bol,
                "pro_number": None,
                "po_number": first.orders[0].number if by_order else None,
            }
            self.send(bill, *pair)
            self.truth.trouble["reference_fits_two_shipments"] += 1

    def unknown_carrier(self, count: int) -> None:
        """A file of NRDF with a carrier code that nobody knows."""
        mine = [s for s in self.day.shipments if s.delivered and s.scac == "NRDF" and not s.case]
        for shipment in self.day.sample(mine, count, "unknown_carrier"):
            bill = self.bill(shipment, self.as_planned(shipment))
            bill.scac = "QQXZ"
            self.send(bill, shipment, reasons=("unknown_carrier",))
            self.truth.trouble["unknown_carrier"] += 1

    # -- making and sending -------------------------------------------------------------------------------------------

    def next_number(self, scac: str) -> str:
        self._number[scac] += self.rng.randint(1, 9)
        return f"{ {'NRDF': 'NR', 'HNSA': 'HN'}.get(scac, '') }{self._number[scac]:07d}"

    def code(self, scac: str, charge: str) -> str:
        _, x12_codes, bluw_code, _ = CHARGES[charge]
        return bluw_code if scac == "BLUW" else self.rng.choice(x12_codes)

    def as_planned(self, shipment: Shipment) -> Lines:
        lines: Lines = []
        for charge, cents in shipment.charges.items():
            if charge == "LINEHAUL" and self.rng.random() < 0.04:
                # one charge on two lines: only their sum can be compared
                first = cents * self.rng.randint(30, 70) // 100
                lines.append((charge, self.code(shipment.scac, charge), first))
                cents -= first
            lines.append((charge, self.code(shipment.scac, charge), cents))
        return lines

    def with_amount(self, lines: Lines, charge: str, cents: int) -> Lines:
        """The lines with one charge at this amount, on one line."""
        code = next(code for name, code, _ in lines if name == charge)
        return [(charge, code, cents), *(line for line in lines if line[0] != charge)]

    def raised(self, lines: Lines, shipment: Shipment, charge: str, least: int, most: int) -> Lines:
        """The lines with one charge this many tenths of a percent over its plan."""
        planned = shipment.charges[charge]
        change = percent_of(planned, f"{self.rng.randint(least, most) / 10:.1f}")
        return self.with_amount(lines, charge, planned + change)

    def beyond(self, lines: Lines, shipment: Shipment, charge: str, cents: int) -> Lines:
        """The lines with one charge at the most that the contract allows, and so many cents beyond."""
        planned = shipment.charges[charge]
        if charge == "FUEL":
            allowed = planned * 10 // 100
        elif charge == "LINEHAUL" and shipment.scac == "NRDF":
            allowed = planned * 3 // 100
        else:
            allowed = max(planned * 5 // 100, 200)
        return self.with_amount(lines, charge, planned + allowed + cents)

    def references(self, shipment: Shipment, how: str) -> dict[str, str | None]:
        """How a bill names its shipment: by everything it has, by one key, or with a slip in the first key."""
        known: dict[str, str | None] = {
            "shipment_id": shipment.id,
            "bol_number": shipment.bol,
            "pro_number": shipment.pro,
            "po_number": shipment.orders[0].number if len(shipment.orders) == 1 else None,
        }
        if how == "all":
            return known
        if how == "slip":
            return {**known, "shipment_id": f"SH8{shipment.id[3:]}"}
        return {**dict.fromkeys(known), how: known[how]}

    def bill(self, shipment: Shipment, lines: Lines, verdict: str = "") -> Bill:
        how = self.rng.choices(("all", "bol_number", "pro_number", "po_number", "slip"), (64, 12, 12, 7, 5))[0]
        alone = len(shipment.orders) == 1 and sum(s.scac == shipment.scac for s in shipment.orders[0].shipments) == 1
        if (how == "po_number" and not alone) or (how in ("bol_number", "slip") and shipment.shares_bol):
            how = "all"
        bill = Bill(
            shipment.scac,
            self.next_number(shipment.scac),
            "",
            TODAY,
            [(shipment, lines)],
            self.references(shipment, how),
            shipment.stops[0],
            shipment.stops[-1],
            TODAY,
            f"{shipment.weight_lb:.3f}",
            0,
            verdict,
        )
        bill.net_cents = bill.lines_cents
        return bill

    def follow(
        self,
        original: Bill,
        shipment: Shipment,
        lines: Lines,
        correction: str,
        number: str,
        on: str,
        verdict: str,
        references: dict[str, str | None] | None = None,
        *,
        owed: dict[str, int] | None = None,
        waits: bool = True,
    ) -> None:
        """A bill that builds on another one: sent when the ERP shows the payable of the first, if it has one."""
        bill = self.bill(shipment, lines, verdict=verdict)
        bill.number, bill.correction, bill.on, bill.owed = number, correction, on, owed
        bill.references = references or self.references(shipment, "all")
        paid = f"erp_supplier_invoice:{original.scac}/{original.number}"
        self.send(bill, at=self.rng.uniform(640, 880), after=[paid] if waits else [])

    def key(self, bill: Bill) -> str:
        return f"{bill.scac}/{bill.number}/{money(bill.net_cents)}/{bill.on}"

    def now(self, bill: Bill, verdict: str) -> None:
        """What comes of a bill in the end, because of a later one."""
        bill.verdict = verdict
        self.truth.documents["ours.verdict"][self.key(bill)] = {"verdict": verdict}

    def send(
        self,
        bill: Bill,
        *shipments: Shipment,
        at: float | None = None,
        after: Sequence[str] = (),
        plain: bool = False,
        reasons: Sequence[str] = (),
    ) -> None:
        """Sends a bill and writes down what must come of it."""
        gap = 0.0
        if shipments:
            last = max(s.times.get("delivered", s.times["picked_up"]) for s in shipments)
            at = min(last + self.rng.uniform(25, 130), 840)
            after = sorted({f"done:{s.actions.get('delivered') or s.actions['picked_up']}" for s in shipments})
            gap = 20
        elif at is None:
            at = self.rng.uniform(300, 800)
        self.note(bill, reasons)
        content: dict[str, Any]
        if bill.way in ("csv", "xlsx"):
            content = {"rows": csv_rows(bill)}
        elif bill.way == "api":
            content = {"bill": called(bill)}
        else:
            content = {"transaction": transaction_210(bill)}
        self.day.act(
            bill.way,
            at,
            written_at=self.day.clock.written(at),
            units={bill.feed: 1},
            cents=bill.net_cents,
            after=list(after),
            gap=gap,
            **({"partner": "hnsa"} if bill.scac == "HNSA" else {}),
            # a file of trouble takes only bills that nothing else is special about
            plain=plain,
            invoice=f"{bill.scac}/{bill.number}",
            **content,
        )

    def note(self, bill: Bill, reasons: Sequence[str] = ()) -> None:
        """Writes down what must come of a bill that is sent."""
        self.truth.record(bill.feed, "quarantined" if reasons else "accepted", bill.net_cents)
        self.truth.volumes["carrier_invoices"] += 1
        if reasons:
            self.truth.quarantine(bill.feed, bill.number, *reasons)
        else:
            self.owe(bill)

    def owe(self, bill: Bill) -> None:
        self.truth.documents["ours.verdict"][self.key(bill)] = {"verdict": bill.verdict}
        self.bills.append(bill)

    # -- what the books show at the end -------------------------------------------------------------------------------

    def accounts(self, shipment: Shipment, charge: str, cents: int) -> dict[str, int]:
        """Where the cost of a bill goes: to the charge's account; for goods that are bought, line by line, into stock,
        and into the cost of goods sold as far as they are."""
        if shipment.direction != "inbound":
            return {ACCOUNT[charge]: cents}
        found = {STOCK: 0, SOLD: 0}
        weights = {f"{part.line.number:03d}": part.weight_lb for part in shipment.parts}
        for line, share in shares(cents, weights).items():
            # of goods that are neither there nor sold nothing is left that could bear it
            on_hand, sold = shipment.stock.get(int(line), (1, 0))
            gone = sold_part(share, on_hand, sold) if on_hand + sold else share
            found[SOLD] += gone
            found[STOCK] += share - gone
        return found

    def write_truth(self) -> None:
        by_id = {s.id: s for s in self.day.shipments}
        documents, post = self.truth.documents, self.truth.post
        approved: dict[tuple[str, str], list[tuple[tuple[str, bool, str], int]]] = defaultdict(list)
        payables: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        posted: Counter[str] = Counter()
        for bill in self.bills:
            short = (bill.owed is not None and bill.scac == SHORT_PAID) or bill.audited is not None
            if not (bill.verdict in APPROVED or bill.undone or short or bill.claimed):
                continue
            sums: dict[tuple[str, str], int] = defaultdict(int)
            expected: dict[tuple[str, str], int] = {}
            for shipment, lines in bill.groups:
                assert shipment is not None
                for charge, _, cents in lines:
                    sums[shipment.id, charge] += cents
                    expected[shipment.id, charge] = shipment.charges.get(charge, 0)
            asked = dict(sums)
            owed = bill.audited if bill.audited is not None else bill.owed
            if short and owed is not None:
                sums.update({(shipment_id, c): owed[c] for shipment_id, c in sums if c in owed})
            number = f"{bill.scac}/{bill.number}"
            for (shipment_id, charge), cents in sums.items():
                if cents or not short:
                    payables[number][f"{shipment_id}/{charge}"] += 0 if bill.undone else cents
                claimed = bill.claimed.get(charge, 0)
                post(CLAIMS, "2100", claimed, bill.currency)
                for account, part in self.accounts(by_id[shipment_id], charge, cents - claimed).items():
                    post(account, "2100", part, bill.currency)
                if bill.paid_before:
                    first, planned = asked[shipment_id, charge], expected[shipment_id, charge]
                    back = min(first, planned) - min(cents, planned)
                    for debit, credit, there in (
                        (ACCOUNT[charge], "2100", first - cents),
                        ("2150", ACCOUNT[charge], back),
                    ):
                        post(debit, credit, there, bill.currency)
                        post(credit, debit, there, bill.currency)
                if bill.undone:
                    back = min(cents, expected[shipment_id, charge])
                    post("2100", ACCOUNT[charge], cents, bill.currency)
                    post("2150", ACCOUNT[charge], back, bill.currency)
                    post(ACCOUNT[charge], "2150", back, bill.currency)
                else:
                    cost = cents - claimed
                    approved[shipment_id, charge].append(((bill.on, bill.correction != "", bill.number), cost))
            if any(sums.values()):
                # what is taken back is a document of its own
                posted[number] += 2 if bill.undone or bill.paid_before else 1
                self.truth.volumes["payables"] += not bill.undone
        for number, count in posted.items():
            documents["erp.supplier_invoice"][number] = {
                "total": money(sum(payables[number].values())),
                "lines": {name: money(cents) for name, cents in sorted(payables[number].items())},
                "currency": CURRENCY[number.split("/")[0]],
                "documents": count,
            }
        for shipment in self.day.shipments:
            if not shipment.delivered:
                continue
            for charge, planned in shipment.charges.items():
                # an accrual of goods that are bought is an estimate of what they cost, sold or not
                account = STOCK if shipment.direction == "inbound" else ACCOUNT[charge]
                post(account, "2150", planned, shipment.currency)
                billed = [cents for _, cents in sorted(approved[shipment.id, charge])]
                steps = reversals(planned, billed)
                for step in steps:
                    post("2150", account, step, shipment.currency)
                back = sum(steps)
                documents["erp.accrued"][f"{shipment.id}/{charge}"] = {
                    "accrued": money(planned),
                    "reversed": money(back),
                    "open": money(planned - back),
                }


def transaction_210(bill: Bill) -> dict[str, Any]:
    """The bill as `edi.invoice_210` takes it."""
    places = {
        name: {"name": stop[0] or stop[1], "city": stop[1].replace(".", ""), "state": stop[2], "postal_code": stop[3]}
        for name, stop in (("origin", bill.origin), ("destination", bill.destination))
    }
    groups = [
        {
            **named(bill, shipment),
            "weight_lb": (f"{shipment.weight_lb:.3f}" if len(bill.groups) > 1 else bill.weight_lb)
            if shipment
            else bill.weight_lb,
            "lines": [
                {
                    "code": code,
                    "description": CHARGES[charge][3] if charge else "Special service",
                    "amount": money(cents),
                }
                for charge, code, cents in lines
            ],
        }
        for shipment, lines in bill.groups
    ]
    return {
        "invoice_number": bill.number,
        "scac": bill.scac,
        "correction": bill.correction,
        "currency": bill.currency,
        "invoice_on": bill.on,
        "ship_on": bill.ship_on,
        "net_amount": money(bill.net_cents),
        "weight_lb": bill.weight_lb,
        **({"payee": bill.biller} if bill.biller else {}),
        **({"tax_amount": money(bill.tax_cents)} if bill.tax_cents else {}),
        **bill.references,
        **places,
        "groups": groups,
    }


def named(bill: Bill, shipment: Shipment | None) -> dict[str, str | None]:
    """What a consolidated bill's lines say about whose they are."""
    if shipment is None:
        return {}
    known = {
        "shipment_id": shipment.id,
        "pro_number": shipment.pro,
        "bol_number": shipment.bol,
        "po_number": shipment.orders[0].number,
    }
    return {name: known[name] for name in bill.line_keys}


def called(bill: Bill) -> dict[str, Any]:
    """The bill as BLUW sends it to our API."""
    [(_, lines)] = bill.groups
    references = {
        "shipment_reference": bill.references["shipment_id"],
        **{name: bill.references[name] for name in ("bol_number", "pro_number", "po_number")},
    }
    return {
        "invoice_number": bill.number,
        "invoice_on": bill.on,
        "ship_on": bill.ship_on,
        "net_amount": money(bill.net_cents),
        "currency": "USD",
        "weight_lb": bill.weight_lb,
        "origin_postal": bill.origin[3],
        "destination_postal": bill.destination[3],
        **{name: value for name, value in references.items() if value},
        "lines": [{"code": code, "amount": money(cents)} for _, code, cents in lines],
    }


def csv_rows(bill: Bill) -> list[dict[str, str]]:
    """The bill as rows of BLUW's file."""

    def american(on: str) -> str:
        year, month, day = on.split("-")
        return f"{month}/{day}/{year}"

    rows = []
    for shipment, (charge, code, cents) in itertools.chain.from_iterable(
        ((shipment, line) for line in lines) for shipment, lines in bill.groups
    ):
        own = shipment.id if shipment and len(bill.groups) > 1 else bill.references["shipment_id"] or ""
        rows.append(
            {
                "InvoiceNo": bill.number,
                "InvoiceDate": american(bill.on),
                "Type": bill.correction,
                "ShipmentRef": own,
                "BOL": bill.references["bol_number"] or "",
                "PRO": bill.references["pro_number"] or "",
                "PO": bill.references["po_number"] or "",
                "ShipDate": american(bill.ship_on),
                "OriginZip": bill.origin[3],
                "DestZip": bill.destination[3],
                "WeightLb": bill.weight_lb,
                "ChargeCode": code,
                "Description": CHARGES[charge][3] if charge else "Special service",
                "Amount": money(cents),
                "InvoiceTotal": money(bill.net_cents),
                "Currency": "USD",
            }
        )
    return rows
