"""Thousands of random bills, judged by the models and, by another route, in plain Python (tests/support/settled.py):
the same verdict for each bill, the same verdict, rule, and place of every cent for each charge on it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from policies import record_rule
from settled import Bill, Books, Shipment, Tolerance
from shaped import Fact, ShapedWarehouse
from small_world import CODES, MASTERS, charge, event, order, plan, tender

D = Decimal
CENT = D("0.01")
CHARGES = {**CODES, "LIFTGATE": "LFT", "DISCOUNT": "DSC"}
CARRIERS = ("NRDF", "SHRT", "CLMX", "OWNB")
SELF_BILLED = "OWNB"
MODES = {"SHRT": "short_pay", "CLMX": "pay_and_claim"}
APPROVE_UP_TO = {"NRDF": D("960.00")}
RECEIVED, LATE = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)

BOOTSTRAP = (
    Tolerance("tolerance.default", over_percent=D(5), over_amount=D(2)),
    Tolerance("tolerance.fuel", charge="FUEL", over_percent=D(10)),
    Tolerance("tolerance.nrdf_linehaul", scac="NRDF", charge="LINEHAUL", over_percent=D(3)),
)
OURS = (
    Tolerance("t.large", scac="SHRT", value_from=D(500), over_percent=D(1)),
    Tolerance("t.middle", scac="SHRT", value_from=D(200), value_to=D(500), over_amount=D("7.77")),
    Tolerance("t.liftgate", scac="SHRT", charge="LIFTGATE", mode="both", over_percent=D(10), over_amount=D(3)),
    Tolerance("t.lane", scac="CLMX", origin="606", over_percent=D(2)),
    Tolerance("t.longer_lane", scac="CLMX", origin="60601", destination="1", over_percent=D("2.5")),
    Tolerance("t.under", scac="CLMX", charge="FUEL", over_percent=D(8), under_percent=D(30), under_amount=D(5)),
    Tolerance("t.detention", scac="SHRT", charge="DETENTION", over_amount=D(1), unplanned=D(15)),
)
COLUMNS = (
    "rule_id, rule_version, scac, charge_code, origin, destination, value_from, value_to, over_mode, over_percent,"
    " over_amount, under_percent, under_amount, unplanned_amount, valid_from, recorded_at, recorded_by, note"
)


def cents(rng: random.Random, least: int, most: int) -> Decimal:
    return D(rng.randint(least * 100, most * 100)) / 100


class World:
    def __init__(self, seed: int, shipments: int) -> None:
        self.rng = random.Random(seed)
        self.shipments: list[Shipment] = []
        self.bills: list[Bill] = []
        for n in range(shipments):
            self.shipment(n)
        for n, shipment in enumerate(self.shipments):
            self.bill_for(n, shipment)

    # -- what was planned ---------------------------------------------------------------------------------------------

    def shipment(self, n: int) -> None:
        rng = self.rng
        planned = {"LINEHAUL": cents(rng, 90, 900), "FUEL": cents(rng, 9, 90)}
        if rng.random() < 0.3:
            planned["LIFTGATE"] = cents(rng, 15, 60)
        if rng.random() < 0.15:
            planned["DISCOUNT"] = -cents(rng, 5, 40)
        shares = n % 25 in (3, 4)  # two neighbours on one bill of lading
        scac = "NRDF" if shares else rng.choice(CARRIERS)
        self.shipments.append(
            Shipment(
                number=f"S{n}",
                scac=scac,
                self_billed=scac == SELF_BILLED,
                bol=f"BX{n // 25}" if shares else f"B{n}",
                pro=f"PROS{n}1",
                order=f"O{n}",
                origin=rng.choice(("60601", "60602", "90001")),
                destination=rng.choice(("10001", "10002", "33101")),
                ship_on=date(2026, 3, rng.randint(2, 8)),
                weight=D(1000 + n) / 10,
                planned=planned,
                delivered=rng.random() < 0.93,
                cancelled=not shares and rng.random() < 0.02,
            )
        )

    # -- what is billed -----------------------------------------------------------------------------------------------

    def bill_for(self, n: int, shipment: Shipment) -> None:
        kinds = (
            self.plain,
            self.plain,
            self.near_the_limit,
            self.near_the_limit,
            self.far_off,
            self.unplanned,
            self.less,
            self.in_parts,
            self.twice,
            self.moved_again,
            self.credited,
            self.rebilled,
            self.cancelled,
            self.unknown,
            self.consolidated,
            self.shared_bol,
            self.in_pesos,
            self.too_late,
            self.second_unplanned,
            self.odd,
        )
        kinds[n % len(kinds)](shipment)

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
            "number": f"{shipment.scac[0]}{10_000 + key}",
            "correction": "",
            "on": date(2026, 3, 12) + timedelta(days=key % 3),
            "references": self.references(shipment),
            "received_at": RECEIVED,
            **more,
        }
        rows = given.pop("rows", tuple((name, amount, None) for name, amount in lines.items()))
        bill = Bill(
            key=key,
            scac=shipment.scac,
            lines=rows,
            origin=shipment.origin,
            destination=shipment.destination,
            ship_on=shipment.ship_on,
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
        name = self.rng.choice(list(s.planned))
        planned = s.planned[name]
        percent = self.rng.choice((1, 2, 3, 5, 8, 10))
        limit = self.rng.choice((abs(planned) * percent / 100, D(2), D(3), D("7.77"))).quantize(CENT, "ROUND_DOWN")
        self.send(s, {**s.planned, name: planned + limit + self.rng.choice((-CENT, D(0), CENT))})

    def far_off(self, s: Shipment) -> None:
        name = self.rng.choice(list(s.planned))
        self.send(s, {**s.planned, name: s.planned[name] + cents(self.rng, 10, 200)})

    def unplanned(self, s: Shipment) -> None:
        self.send(s, {**s.planned, "DETENTION": cents(self.rng, 1, 80)})

    def less(self, s: Shipment) -> None:
        name = self.rng.choice(list(s.planned))
        self.send(s, {**s.planned, name: (s.planned[name] * self.rng.randint(40, 99) / 100).quantize(CENT)})

    def in_parts(self, s: Shipment) -> None:
        part = (s.planned["LINEHAUL"] * self.rng.randint(30, 70) / 100).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part})
        rest = s.planned["LINEHAUL"] - part + self.rng.choice((D(0), D(0), D(1), D(90)))
        kind = self.rng.choice(("BD", "SU", "CO"))
        bill = self.send(s, {"LINEHAUL": rest}, correction=kind, **self.later(first))
        if self.rng.random() < 0.5:  # and the same again, spelt otherwise
            number = f"{bill.number[0].lower()}-{bill.number[1:]}"
            self.send(s, {"LINEHAUL": rest}, correction=kind, on=bill.on + timedelta(days=1), number=number)

    def twice(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        number = self.rng.choice((f"00{first.number}", f"{first.number[0]} {first.number[1:]}", f"{first.number}A"))
        self.send(s, s.planned, on=first.on + timedelta(days=self.rng.randint(0, 3)), number=number)

    def moved_again(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        strange = {"shipment_reference": None, "bol": None, "pro": f"Y{s.pro}", "po": None}
        references = self.rng.choice((strange, self.references(s)))
        self.send(s, s.planned, on=first.on + timedelta(days=2), references=references)

    def credited(self, s: Shipment) -> None:
        over = self.rng.choice((D(0), D(0), s.planned["LINEHAUL"] / 2)).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + over})
        for _ in range(self.rng.randint(1, 2)):
            amount = -cents(self.rng, 1, 70)
            self.send(s, {"LINEHAUL": amount}, correction=self.rng.choice(("CR", "AD")), **self.later(first))

    def rebilled(self, s: Shipment) -> None:
        first = self.send(s, {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] + self.rng.choice((0, 1, 200))})
        lines = {**s.planned, "LINEHAUL": s.planned["LINEHAUL"] - cents(self.rng, 0, 30)}
        second = self.later(first)
        if self.rng.random() < 0.4:
            second = {"on": second["on"], "number": f"{first.number}7", "corrects": first.number}
        bill = self.send(s, lines, correction="RB", **second)
        if self.rng.random() < 0.3:
            again = {"on": bill.on + timedelta(days=1), "number": f"{bill.number}9", "corrects": bill.number}
            self.send(s, s.planned, correction="RB", **again)

    def cancelled(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        sign = self.rng.choice((1, -1))
        factor = self.rng.choice((D(1), D(1), D(1), D("0.5")))
        lines = {name: (sign * amount * factor).quantize(CENT) for name, amount in s.planned.items()}
        self.send(s, lines, correction="CA", **self.later(first))
        if self.rng.random() < 0.5:
            self.send(s, {**s.planned, "FUEL": s.planned["FUEL"] + 1}, **self.later(first, 9))
        if self.rng.random() < 0.3:
            self.send(s, {**lines, "FUEL": lines["FUEL"]}, correction="CA", **self.later(first, 12))

    def unknown(self, s: Shipment) -> None:
        strange = {"shipment_reference": "NOBODY", "bol": None, "pro": None, "po": None}
        bill = self.send(s, s.planned, references=strange)
        self.bills[-1] = replace(bill, weight=D("9999.9"))

    def consolidated(self, s: Shipment) -> None:
        mine = [x for x in self.shipments if x.scac == s.scac and x is not s and not x.cancelled]
        other = self.rng.choice(mine)
        rows = [(name, amount, s.number) for name, amount in s.planned.items()]
        rows += [(name, amount + self.rng.choice((0, 0, 1)), other.number) for name, amount in other.planned.items()]
        if self.rng.random() < 0.1:
            rows.append(("FUEL", D("5.00"), "NOBODY"))
        master = {"shipment_reference": None, "bol": None, "pro": f"M{s.pro}", "po": None}
        self.send(s, {}, rows=tuple(rows), references=master)

    def shared_bol(self, s: Shipment) -> None:
        pair = next(x for x in self.shipments if x.bol.startswith("BX") and x.number != s.number)
        only = {"shipment_reference": None, "bol": pair.bol, "pro": None, "po": None}
        self.send(pair, pair.planned, references=only)
        self.send(s, s.planned)

    def in_pesos(self, s: Shipment) -> None:
        self.send(s, s.planned, currency="MXN")

    def too_late(self, s: Shipment) -> None:
        part = (s.planned["LINEHAUL"] * D("0.6")).quantize(CENT)
        first = self.send(s, {**s.planned, "LINEHAUL": part})
        kind = self.rng.choice(("BD", "SU", "CO"))
        self.send(
            s, {"LINEHAUL": s.planned["LINEHAUL"] - part}, correction=kind, received_at=LATE, **self.later(first, 190)
        )

    def second_unplanned(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        amount = cents(self.rng, 1, 30)
        for n in range(2):
            lines = {"DETENTION": amount if n == 0 or self.rng.random() < 0.7 else amount + 1}
            number = f"{first.number}{n}"
            self.send(s, lines, correction="SU", on=first.on + timedelta(days=3 + n), number=number)

    def odd(self, s: Shipment) -> None:
        first = self.send(s, s.planned)
        kind = self.rng.choice(("RF", "RP", "ZZ", "RB", "CA"))
        number = first.number if kind in ("RF", "RP", "ZZ") else f"Z{first.number}8"
        self.send(s, s.planned, correction=kind, on=first.on + timedelta(days=4), number=number)

    # -- as landed ----------------------------------------------------------------------------------------------------

    def facts(self) -> list[Fact]:
        found: list[Fact] = []
        for s in self.shipments:
            stops = [
                {"sequence": n, "kind": kind, "postal_code": code, "time_zone": "America/Chicago"}
                for n, kind, code in ((1, "pickup", s.origin), (2, "delivery", s.destination))
            ]
            charges = {name: str(amount) for name, amount in s.planned.items()}
            found += [
                order(s.order, "C2", [(1, "5.00")]),
                plan(
                    s.number,
                    s.scac,
                    [(s.order, 1, 1, "5")],
                    charges,
                    bol=s.bol,
                    weight=str(s.weight),
                    ship_on=s.ship_on.isoformat(),
                    stops=stops,
                ),
            ]
            if s.cancelled:
                found.append(tender(s.number, "tender_sent", "05T10"))
                found.append(tender(s.number, "shipment_cancelled", "06T10"))
            elif s.delivered:
                found.append(event("x12_214", "D1", s.number, "09T10", scac=s.scac))
        return found


def landed(bill: Bill) -> Fact:
    columns = {
        "source": "carrier.invoice_x12",
        "scac": bill.scac,
        "invoice_number": bill.number,
        "correction": bill.correction,
        "corrects_number": bill.corrects,
        "invoice_on": bill.on,
        "ship_on": bill.ship_on,
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
        {"line": n, "partner_code": CHARGES[name], "line_amount": amount, "shipment_reference": reference}
        for n, (name, amount, reference) in enumerate(bill.lines, 1)
    ]
    touches = [("settle_freight", "carrier_invoice", f"{bill.scac}:{{record}}")]
    return Fact("carrier.invoice_x12", "carrier_invoice", columns, touches, lines)


def settle(shaped: ShapedWarehouse, world: World) -> dict[int, str]:
    """Lands everything, runs the pipelines; bill -> its canonical id."""
    shaped.conn.execute(
        """insert into rules.settlement_policy (rule_id, rule_version, scac, payable_account, dispute_mode,
             auto_approve_amount, valid_from, recorded_at, recorded_by, note)
           values ('s.short', 1, 'SHRT', '2100', 'short_pay', null, '2020-01-01', '2020-01-01', 'test', ''),
             ('s.claim', 1, 'CLMX', '2100', 'pay_and_claim', null, '2020-01-01', '2020-01-01', 'test', ''),
             ('s.hold', 1, 'NRDF', '2100', 'hold', 960.00, '2020-01-01', '2020-01-01', 'test', '')"""
    )
    record_rule(shaped, "self_billing_policy", "own", scac=SELF_BILLED, is_self_billed=True)
    for t in OURS:
        shaped.conn.execute(
            f"insert into rules.tolerance ({COLUMNS}) values ({', '.join(['%s'] * 18)})",  # type: ignore[arg-type]
            (
                t.rule_id,
                1,
                t.scac,
                t.charge,
                t.origin,
                t.destination,
                t.value_from,
                t.value_to,
                t.mode,
                t.over_percent,
                t.over_amount,
                t.under_percent,
                t.under_amount,
                t.unplanned,
                "2020-01-01",
                "2020-01-01",
                "test",
                "",
            ),
        )
    extra = [charge("4", "LFT", "LIFTGATE", "6120"), charge("5", "DSC", "DISCOUNT", "6140")]
    shaped.admit_many([*MASTERS, *extra, *world.facts()])
    ids: dict[int, str] = {}
    for received in sorted({bill.received_at for bill in world.bills}):
        mine = [bill for bill in world.bills if bill.received_at == received]
        records = shaped.admit_many([landed(bill) for bill in mine], received_at=received)
        ids |= {bill.key: f"{bill.scac}:{record}" for bill, record in zip(mine, records, strict=True)}
    shaped.settle_down()
    return ids


def agree(shaped: ShapedWarehouse, seed: int, shipments: int, least: int) -> None:
    world = World(seed, shipments)
    ids = settle(shaped, world)
    contents = {
        f"{row['scac']}:{row['record_id']}": row["content"]
        for row in shaped.rows(
            "select scac, record_id, encode(record_sha256, 'hex') as content from landing.carrier_invoice"
        )
    }
    bills = [replace(bill, content=contents[ids[bill.key]]) for bill in world.bills]
    judge = Books(world.shipments, bills, (*BOOTSTRAP, *OURS), MODES, APPROVE_UP_TO)
    expected = judge.judge()

    own = [bill for bill in judge.bills if bill.ours]
    ids |= {bill.key: f"SELF:{bill.number}" for bill in own}
    by_id = {ids[key]: outcome for key, outcome in expected.items()}
    found = shaped.rows("select carrier_invoice_id, verdict, reason from decisions.invoice_verdict")
    differing = [
        (row["carrier_invoice_id"], row["verdict"], by_id[row["carrier_invoice_id"]].verdict, row["reason"])
        for row in found
        if row["verdict"] != by_id[row["carrier_invoice_id"]].verdict
    ]
    assert differing == []
    assert len(found) == len(bills) + len(own)

    names = ("verdict", "rule_id", "paid", "claimed", "recovered", "disputed", "rejected", "pending", "reversal")
    lines = shaped.rows(
        """select carrier_invoice_id, substr(shipment_id, 5) as shipment, charge_code, verdict, rule_id,
             paid_amount as paid, claimed_amount as claimed, recovered_amount as recovered, disputed_amount as disputed,
             rejected_amount as rejected, pending_amount as pending, reversal_amount as reversal
           from decisions.invoice_line_verdict"""
    )
    seen = {(row["carrier_invoice_id"], row["shipment"], row["charge_code"]): row for row in lines}
    wanted = {(bill, *at): judged for bill, outcome in by_id.items() for at, judged in outcome.charges.items()}
    assert set(seen) == set(wanted)
    wrong = [
        (at, {n: (seen[at][n], getattr(judged, n)) for n in names if seen[at][n] != getattr(judged, n)})
        for at, judged in wanted.items()
        if any(seen[at][n] != getattr(judged, n) for n in names)
    ]
    assert wrong == []
    kinds = Counter(outcome.verdict for outcome in expected.values())
    kinds += Counter(f"{judged.verdict} charge" for judged in wanted.values())
    assert min(kinds.values()) >= least, kinds
    assert len(kinds) >= 28, kinds


@pytest.mark.timeout(1200)
def test_models_and_plain_python_judge_alike(shaped: ShapedWarehouse) -> None:
    agree(shaped, seed=1, shipments=1000, least=3)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_bills_each_kind_fifty_times(shaped: ShapedWarehouse) -> None:
    agree(shaped, seed=2, shipments=7500, least=50)
