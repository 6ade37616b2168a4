"""Carriers whose contracts are not like the others', each with shipments of its own beside the day's.

TALN has no channel: it mails its bills, and somebody of ours uploads them. Of linehaul from 1,500.00 on it may bill 1 %
over, of smaller one 5 % as anybody. It sells some bills to a factor, who bills in its stead. What the audit platform
says of a bill is to be paid is paid. A bill above 4,000.00 needs a person's yes; one that does not fit is talked about.

KESL's moves are billed by ourselves from delivery on; what it bills itself is a duplicate as far as we paid it.

Neither reports where its trucks are: their drivers have our app. And NRDF bills some shipments together that only its
lines name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freightsync.sandbox.scenario.bills import TODAY, TOMORROW, Billing
from freightsync.sandbox.scenario.freight import Bill, Shipment
from freightsync.sandbox.scenario.sums import money, percent_of
from freightsync.sandbox.scenario.truth import AUDITS
from freightsync.sandbox.scenario.world import CHARGES

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

BY_DRIVER = ("TALN", "KESL", "VAYU", "MRLN", "OSPR")
PORTAL = "carrier.invoice_portal"
LARGE = 150_000
"""Linehaul from here on has TALN's narrow tolerance."""
KINDS = {"": "", "BD": "Balance due", "SU": "Supplemental", "CR": "Credit", "RB": "Rebill"}

TALN_CASES = {
    # what becomes of the bill, by what it is made for: one of each a round
    "exact": 4,
    "in_tolerance": 1,
    "large_within": 1,
    "large_beyond": 1,
    "small_within": 1,
    "without_fuel": 3,
    "audit_approves": 1,
    "audit_cuts": 1,
    "audit_rejects": 1,
    "audit_comes_late": 1,
    "agreed": 3,
    "person_approves": 1,
    "person_rejects": 1,
    "nobody_approves": 1,
}
NRDF_CASES = {"named_by_line": 6}
KESL_CASES = {"we_bill": 2, "bills_the_same": 2, "bills_more": 2}


class Contracts:
    def __init__(self, day: Generator) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self.shipments: dict[str, list[Shipment]] = {}
        self._orders = 0
        self._uploads = 0
        self._audits = 0

    def make(self) -> None:
        for _ in range(self.day.some(0.004, 1)):
            for scac, cases in (("NRDF", NRDF_CASES), ("TALN", TALN_CASES), ("KESL", KESL_CASES)):
                for case, count in cases.items():
                    for _ in range(count):
                        self.shipments.setdefault(case, []).append(self.shipment(scac, case))

    def shipment(self, scac: str, case: str) -> Shipment:
        day, rng = self.day, self.rng
        self._orders += 1
        order = day.make_order(f"SO9{self._orders:05d}", rng.uniform(2, 250), "normal", ())
        day.orders.append(order)
        to = order.ship_to
        stop = (to["ship_to_id"], to["city"], to["state"], to["postal_code"], to["time_zone"])
        made = day.beside(order, [order.origin, stop], scac, case, 200_000 + self._orders)
        made.fate = "pod" if rng.random() < 0.7 else "delivered"
        if case in ("large_within", "large_beyond", "small_within", "in_tolerance"):
            least, most = (LARGE, LARGE + 90_000) if case.startswith("large") else (60_000, LARGE - 10_000)
            made.charges["LINEHAUL"] = rng.randint(least, most)
        elif case in ("person_approves", "person_rejects", "nobody_approves"):
            least, most = 410_000, 900_000
            made.charges["LINEHAUL"] = rng.randint(least, most)
        return made

    def bill(self, billing: Billing) -> None:
        self.billing = billing
        self.named_by_line()
        self.first_bills()
        self.value_bands()
        self.further_charges()
        self.audits()
        self.people()
        self.advice()
        self.self_billed()

    def named_by_line(self) -> None:
        """Bills of NRDF for two shipments each, whose lines name them by bill of lading or by order."""
        shipments = self.shipments["named_by_line"]
        for n, pair in enumerate(zip(shipments[::2], shipments[1::2], strict=True)):
            bill = self.made(pair[0], [], "exact")
            bill.groups = [(s, self.planned(s)) for s in pair]
            bill.net_cents = bill.lines_cents
            bill.weight_lb = f"{sum(s.weight_lb for s in pair):.3f}"
            by_order = n % 2 == 1
            bill.line_keys = ("po_number",) if by_order else ("bol_number",)
            bill.references = dict.fromkeys(bill.references)
            bill.references["pro_number"] = None if by_order else f"M{bill.number[-7:]}"
            self.billing.send(bill, *pair)
            self.truth.trouble["lines_name_shipments"] += 1

    # -- TALN ---------------------------------------------------------------------------------------------------------

    def first_bills(self) -> None:
        """Some as planned, one a little more, and one that nobody can read; a factor bills three of them once more."""
        bills = [self.made(s, self.planned(s), "exact") for s in self.shipments["exact"]]
        bills += [self.made(s, self.more(s, 15, 47), "in_tolerance") for s in self.shipments["in_tolerance"]]
        nonsense = {
            **self.rows(bills[0])[0],
            "Invoice number": f"TX{self.rng.randint(1000, 9999)}",
            "Amount": "see mail",
        }
        self.upload("TALN", bills, more=[nonsense])
        self.truth.record(PORTAL, "quarantined", bills[0].net_cents)
        self.truth.quarantine(PORTAL, nonsense["Invoice number"], "unreadable_value")
        self.truth.trouble["unreadable_value"] += 1
        again = []
        for first in bills[:3]:
            [(shipment, lines)] = first.groups
            assert shipment is not None
            bill = self.made(shipment, lines, "duplicate_move", on=TOMORROW, number=self.billing.next_number("ANCH"))
            bill.biller = "Anchor Factoring"
            again.append(bill)
            self.truth.trouble["factor_duplicate"] += 1
        self.upload("ANCH", again, after=bills[:3])

    def value_bands(self) -> None:
        bills = [self.made(s, self.more(s, 3, 8), "in_tolerance") for s in self.shipments["large_within"]]
        bills += [self.made(s, self.more(s, 20, 40), "out_of_tolerance") for s in self.shipments["large_beyond"]]
        bills += [self.made(s, self.more(s, 20, 40), "in_tolerance") for s in self.shipments["small_within"]]
        self.truth.trouble["value_band"] += len(bills)
        self.upload("TALN", bills)

    def further_charges(self) -> None:
        """Fuel comes on a list of its own once the freight is paid. The list of the freight is uploaded twice."""
        shipments = self.shipments["without_fuel"]
        bills = [self.made(s, [x for x in self.planned(s) if x[0] != "FUEL"], "exact") for s in shipments]
        first = self.upload("TALN", bills)
        again = {**first, "name": f"again_{first['name']}", "after": [f"done:{first['id']}"]}
        for name in ("id", "at", "do", "gap"):
            again.pop(name)
        self.day.act("upload", min(first["at"] + self.rng.uniform(20, 60), 930), **again)
        self.truth.record(PORTAL, "duplicate", sum(b.net_cents for b in bills), records=len(bills))
        self.truth.trouble["duplicate_file"] += 1
        later = []
        for shipment in shipments:
            bill = self.made(shipment, [x for x in self.planned(shipment) if x[0] == "FUEL"], "exact", on=TOMORROW)
            bill.correction = "SU"
            later.append(bill)
        self.upload("TALN", later, kind="accessorials", after=bills)

    def audits(self) -> None:
        """Bills that don't fit wait for the platform, whichever comes first; one that fits is paid before it speaks."""
        bills, results = [], []
        for case, verdict in (
            ("audit_approves", "agreed"),
            ("audit_cuts", "audited"),
            ("audit_rejects", "audited"),
            ("audit_comes_late", "audited"),
        ):
            for shipment in self.shipments[case]:
                planned = shipment.charges["LINEHAUL"]
                late = case == "audit_comes_late"
                bill = self.made(shipment, self.planned(shipment) if late else self.more(shipment, 90, 150), verdict)
                billed = {charge: cents for charge, _, cents in bill.groups[0][1]}
                bill.audited = {
                    "audit_approves": billed,
                    "audit_cuts": {**billed, "LINEHAUL": planned + percent_of(planned, "2.2")},
                    "audit_rejects": dict.fromkeys(billed, 0),
                    "audit_comes_late": {**billed, "LINEHAUL": planned - percent_of(planned, "7.5")},
                }[case]
                bill.paid_before = late
                bills.append(bill)
                results.append((bill, bill.audited))
        first = self.upload("TALN", bills)
        for bill, audited in results:
            paid = [f"erp_supplier_invoice:TALN/{bill.number}"] if bill.paid_before else []
            self.audit(bill, audited, first["at"] + self.rng.uniform(-15, 40), after=paid)
            self.truth.trouble["audited_bill"] += 1

    def people(self) -> None:
        """What does not fit is held until the carrier agrees to what is owed; what is above the limit waits for
        finance, who says yes, or no, or nothing."""
        bills = []
        for shipment in self.shipments["agreed"]:
            bill = self.made(shipment, self.more(shipment, 90, 150), "agreed")
            bill.audited = dict(shipment.charges)
            bills.append(bill)
            self.truth.trouble["dispute_agreed"] += 1
        for case, verdict in (
            ("person_approves", "exact"),
            ("person_rejects", "rejected"),
            ("nobody_approves", "needs_approval"),
        ):
            for shipment in self.shipments[case]:
                bills.append(self.made(shipment, self.planned(shipment), verdict))
                self.truth.trouble["needs_a_persons_yes"] += 1
        first = self.upload("TALN", bills)
        says = {"agreed": "agreed", "exact": "approved", "rejected": "rejected"}
        for bill in bills:
            if bill.verdict in says:
                self.day.act(
                    "person",
                    min(first["at"] + self.rng.uniform(10, 40), 900),
                    by="finance",
                    says=says[bill.verdict],
                    scac=bill.scac,
                    number=bill.number,
                    after=[f"done:{first['id']}"],
                    gap=10,
                )

    def advice(self) -> None:
        """Of others' bills the platform speaks, too, but its word does not bind us."""
        held = ("out_of_tolerance", "unplanned_charge")
        pool = [b for b in self.billing.bills if b.scac in ("NRDF", "BLUW") and b.verdict in held]
        for bill in self.day.sample(pool, min(len(pool), 3), "bills with an advice"):
            [(shipment, lines)] = bill.groups
            assert shipment is not None
            billed: dict[str, int] = {}
            for charge, _, cents in lines:
                billed[charge] = billed.get(charge, 0) + cents
            charge = max(billed, key=lambda c: billed[c])
            self.audit(bill, {**billed, charge: billed[charge] - percent_of(billed[charge], "2")}, 880)
            self.truth.trouble["audit_advice"] += 1

    def audit(self, bill: Bill, audited: dict[str, int], at: float, after: Sequence[str] = ()) -> None:
        """The platform's result on a bill, charge by charge."""
        self._audits += 1
        [(_, lines)] = bill.groups
        whole = sum(audited.values())
        action = "APPROVE" if whole == bill.net_cents else "SHORT-PAY" if whole else "REJECT"
        left, rows = dict(audited), []
        for charge, code, cents in lines:
            # a charge on two lines: what is to be paid of it stands on the first
            rows.append(
                {
                    "AuditRef": f"CB{self.day.seed:03d}{self._audits:05d}",
                    "Revision": "1",
                    "AuditDate": TODAY,
                    "SCAC": bill.scac,
                    "InvoiceNo": bill.number,
                    "InvoiceDate": bill.on,
                    "Action": action,
                    "Reason": {"APPROVE": "reweighed, as billed", "SHORT-PAY": "rate", "REJECT": "not our freight"}[
                        action
                    ],
                    "Billed": money(bill.net_cents),
                    "Audited": money(whole),
                    "Currency": "USD",
                    "ChargeCode": code,
                    "ChargeBilled": money(cents),
                    "ChargeAudited": money(left.pop(charge, 0)),
                }
            )
        self.truth.record(AUDITS, cents=whole)
        at = min(max(at, 200), 900)
        written = self.day.clock.written(at)
        self.day.act("audit", at, rows=rows, units={AUDITS: 1}, after=list(after), written_at=written, gap=10)

    # -- KESL ---------------------------------------------------------------------------------------------------------

    def self_billed(self) -> None:
        """Our own document of each move, and what the carrier bills all the same."""
        bills = []
        for case in KESL_CASES:
            for shipment in self.shipments[case]:
                ours = self.made(shipment, self.planned(shipment), "exact", number=f"SB-{shipment.id}")
                self.billing.owe(ours)
                self.truth.documents["carrier.self_bill"][f"KESL/{ours.number}"] = {
                    "total": money(ours.net_cents),
                    "lines": {
                        f"{shipment.id}/{charge}": money(cents) for charge, cents in sorted(shipment.charges.items())
                    },
                    "currency": "USD",
                    "documents": 1,
                }
                self.truth.trouble["self_billed"] += 1
                if case == "bills_the_same":
                    bills.append(self.made(shipment, self.planned(shipment), "duplicate_self_bill"))
                elif case == "bills_more":
                    # also where it is less than a tolerance: what we agreed to pay we have paid
                    bills.append(self.made(shipment, self.more(shipment, 12, 90), "self_billed"))
        self.truth.trouble["billed_beside_ours"] += len(bills)
        self.upload("KESL", bills, by="steward")

    # -- making and uploading bills -----------------------------------------------------------------------------------

    def planned(self, shipment: Shipment) -> list[tuple[str, str, int]]:
        return [(charge, CHARGES[charge][1][0], cents) for charge, cents in shipment.charges.items()]

    def more(self, shipment: Shipment, least: int, most: int) -> list[tuple[str, str, int]]:
        """The linehaul is billed this many tenths of a percent over its plan."""
        return self.billing.raised(self.planned(shipment), shipment, "LINEHAUL", least, most)

    def made(
        self,
        shipment: Shipment,
        lines: list[tuple[str, str, int]],
        verdict: str,
        *,
        on: str = TODAY,
        number: str = "",
    ) -> Bill:
        bill = self.billing.bill(shipment, lines, verdict=verdict)
        bill.references = self.billing.references(shipment, "all")
        bill.on, bill.number = on, number or bill.number
        return bill

    def upload(
        self,
        carrier: str,
        bills: Sequence[Bill],
        *,
        kind: str = "invoices",
        by: str = "finance",
        after: Sequence[Bill] = (),
        more: Sequence[dict[str, str]] = (),
    ) -> dict[str, Any]:
        """Somebody of ours uploads these bills as one table, once all that they are about is delivered (`after`: once
        those bills are paid). Gives the action."""
        self._uploads += 1
        shipments = [s for bill in bills for s, _ in bill.groups if s is not None]
        at = min(max(s.times["delivered"] for s in shipments) + self.rng.uniform(25, 90), 840)
        facts = {f"done:{s.actions['delivered']}" for s in shipments}
        if after:
            at = self.rng.uniform(640, 880)
            facts = {f"erp_supplier_invoice:{bill.scac}/{bill.number}" for bill in after}
        for bill in bills:
            self.billing.note(bill)
        made = self.accessorials if kind == "accessorials" else self.rows
        self.truth.trouble["bill_by_upload"] += 1
        self.day.act(
            "upload",
            at,
            by=by,
            carrier=carrier,
            kind=kind,
            name=f"{carrier.lower()}_{self._uploads:03d}.{('xlsx', 'csv')[self._uploads % 3 == 0]}",
            rows=[*(row for bill in bills for row in made(bill)), *more],
            units={PORTAL: len(bills) + len(more)},
            after=sorted(facts),
            gap=20,
            invoices=[f"{bill.scac}/{bill.number}" for bill in bills],
        )
        return self.day.actions[-1]

    def rows(self, bill: Bill) -> list[dict[str, str]]:
        return [
            {
                "Invoice number": bill.number,
                "Invoice date": bill.on,
                "Kind of bill": KINDS[bill.correction],
                "Payee": bill.biller,
                "Shipment": bill.references["shipment_id"] or "",
                "Bill of lading": bill.references["bol_number"] or "",
                "PRO": bill.references["pro_number"] or "",
                "Order": bill.references["po_number"] or "",
                "Ship date": bill.ship_on,
                "From postal code": bill.origin[3],
                "To postal code": bill.destination[3],
                "Weight lb": bill.weight_lb,
                "Charge code": code,
                "Charge": CHARGES[charge][3],
                "Amount": money(cents),
                "Invoice total without tax": money(bill.net_cents),
                "Currency": bill.currency,
            }
            for _, lines in bill.groups
            for charge, code, cents in lines
        ]

    def accessorials(self, bill: Bill) -> list[dict[str, str]]:
        return [
            {
                "Reference": bill.number,
                "Date": bill.on,
                "Shipment": bill.references["shipment_id"] or "",
                "Charge code": code,
                "What for": CHARGES[charge][3],
                "Amount": money(cents),
                "Currency": bill.currency,
            }
            for _, lines in bill.groups
            for charge, code, cents in lines
        ]
