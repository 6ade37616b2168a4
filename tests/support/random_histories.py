"""Random histories of settlement: plans that change, deliveries, bills of every kind, credits and corrections, what is
said in disputes, rules that change, rates, releases; in random order and batches. And what must hold at any moment,
whatever came: `Invariants`, worked out from the log and from the facts, not from what the models say of themselves."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
from policies import accrual_policy, record_rule
from shaped import CONSUMERS, Fact, ShapedWarehouse
from small_world import CODES, MASTERS, bill, event, exchange_rate, master, order, plan, pod

from freightsync.cases import disputes
from freightsync.pipelines import reconciling, releases

D = Decimal
CENT = D("0.01")
ACCOUNTS = {"LINEHAUL": "6100", "FUEL": "6110", "DETENTION": "6130"}
CARRIERS = {
    **{"NRDF": "USD", "SHRT": "USD", "CLMX": "USD", "HNSA": "EUR", "CLME": "EUR"},
    **{"AUDT": "USD", "OWNB": "EUR", "LAND": "EUR"},
}
SELF_BILLED, LANDED = "OWNB", "LAND"
STOCK, SOLD = "1400", "5100"
MODES = """
    insert into rules.settlement_policy (rule_id, rule_version, scac, payable_account, dispute_mode, audit_mode,
      valid_from, recorded_at, recorded_by, note)
    values ('settlement.short', 1, 'SHRT', '2100', 'short_pay', 'advise', '2020-01-01', '2020-01-01', 'test', ''),
      ('settlement.claim', 1, 'CLMX', '2100', 'pay_and_claim', 'advise', '2020-01-01', '2020-01-01', 'test', ''),
      ('settlement.euro', 1, 'CLME', '2100', 'pay_and_claim', 'binding', '2020-01-01', '2020-01-01', 'test', ''),
      ('settlement.audit', 1, 'AUDT', '2100', 'hold', 'binding', '2020-01-01', '2020-01-01', 'test', '')
"""
OLD = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
"""By when what nobody billed is a leftover."""


@dataclass
class Shipment:
    number: str
    scac: str
    weights: list[str]
    plans: list[dict[str, str]]
    delivered: bool
    cancelled: bool

    @property
    def is_inbound(self) -> bool:
        return self.scac == LANDED

    @property
    def orders(self) -> tuple[str, str]:
        return (f"P{self.number}A", f"P{self.number}B") if self.is_inbound else ("RA", "RB")

    @property
    def planned(self) -> dict[str, Decimal]:
        return {code: D(amount) for code, amount in self.plans[-1].items()}


@dataclass
class World:
    chance: random.Random
    shipments: list[Shipment] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    _bills: int = 0
    _minutes: int = 0

    # -- what happens -------------------------------------------------------------------------------------------------

    def make(self, count: int) -> World:
        for n in range(count):
            self.shipment(n)
        for shipment in self.shipments:
            self.bills_of(shipment)
        for day in (3, 6, 9, 12, 16, 20, 25):
            self.facts.append(exchange_rate(f"{day:02}", f"1.{self.chance.randint(500, 1500):04}"))
        # published anew, and for a day before
        self.facts.append(exchange_rate("09", "1.2345", version=2))
        self.chance.shuffle(self.facts)
        return self

    def amount(self, least: int, most: int) -> Decimal:
        return D(self.chance.randint(least * 100, most * 100)) / 100

    def shipment(self, n: int) -> None:
        chance = self.chance
        plans = []
        for _ in range(chance.choice((1, 1, 1, 2))):
            codes = ["LINEHAUL", *chance.sample(["FUEL", "DETENTION"], chance.randint(0, 2))]
            plans.append({code: str(self.amount(20, 900)) for code in codes})
        made = Shipment(
            number=f"R{n}",
            scac=list(CARRIERS)[n % len(CARRIERS)],
            weights=[chance.choice(("0", "1", "2.5", "7", "333.333")) for _ in range(3)],
            plans=plans,
            delivered=chance.random() < 0.85,
            cancelled=chance.random() < 0.06,
        )
        self.shipments.append(made)
        orders = made.orders
        parts = [
            (orders[0], 1, 3, made.weights[0]),
            (orders[0], 2, 1, made.weights[1]),
            (orders[1], 1, 2, made.weights[2]),
        ]
        if made.is_inbound:
            self.facts += goods(made, chance)
        for version, charges in enumerate(plans, 1):
            self.facts.append(
                plan(
                    made.number,
                    made.scac,
                    parts,
                    charges,
                    version=version,
                    currency=CARRIERS[made.scac],
                    weight=f"{1000 + n}.000",
                    **({"direction": "inbound"} if made.is_inbound else {}),
                )
            )
        day = chance.randint(7, 11)
        if chance.random() < 0.8:
            self.facts.append(event("tms", "dispatched", made.number, f"{day - 1:02}T10"))
        if made.delivered:
            self.facts.append(event("x12_214", "D1", made.number, f"{day:02}T10"))
            if chance.random() < 0.5:
                self.facts.append(pod(made.number, 6, f"{day:02}T12"))
        if made.cancelled:
            self.facts.append(event("tms", "shipment_cancelled", made.number, "06T05"))

    def send(
        self, shipment: Shipment, lines: dict[str, Decimal], on: int, kind: str = "", number: str = "", **more: Any
    ) -> str:
        self._bills += 1
        number = number or f"{shipment.scac[0]}{5000 + self._bills}"
        references = more or {"shipment_reference": shipment.number}
        made = bill(
            shipment.scac,
            number,
            f"{on:02}",
            [(code, str(amount)) for code, amount in lines.items()],
            correction=kind,
            weight=shipment_weight(shipment),
            **references,
        )
        self.facts.append(replace(made, columns={**made.columns, "currency": CARRIERS[shipment.scac]}))
        return number

    def bills_of(self, s: Shipment) -> None:
        chance, planned = self.chance, s.planned
        kind = chance.choice(
            (
                *("none", "exact", "over", "far_over", "under", "unplanned", "parts", "credit", "rebill", "cancel"),
                *("twice", "moved", "unknown", "consolidated", "credit_more", "second_unplanned"),
            )
        )
        self.kinds.add(kind)
        on = chance.randint(10, 14)
        if kind == "none":
            return
        if kind == "unknown":
            self.send(s, planned, on, shipment_reference=f"X{s.number}")
            return
        if kind == "consolidated":
            other = chance.choice([o for o in self.shipments if o.scac == s.scac])
            if other is not s:
                self.consolidated(s, other, on)
                return
        first = dict(planned)
        code = chance.choice(list(planned))
        match kind:
            case "over":
                first[code] = (planned[code] * D("1.02")).quantize(CENT)
            case "far_over":
                first[code] = planned[code] + self.amount(30, 300)
            case "under" | "parts":
                first[code] = (planned[code] * chance.randint(30, 90) / 100).quantize(CENT)
            case "unplanned":
                first["DETENTION" if "DETENTION" not in planned else "FUEL"] = self.amount(5, 90)
        number = self.send(s, first, on)
        if s.scac in ("AUDT", "CLME", "NRDF") and chance.random() < 0.7:
            self.audit(s, number, first)
        later = on + chance.randint(1, 6)
        match kind:
            case "parts":
                rest = planned[code] - first[code] + chance.choice((D(0), D(0), D(1), D(55)))
                self.send(s, {code: rest}, later, chance.choice(("BD", "SU", "CO")), number)
            case "credit":
                self.send(s, {code: -(first[code] / 3).quantize(CENT)}, later, "CR", number + "CR")
                if chance.random() < 0.5:
                    self.send(s, {code: -(first[code] / 4).quantize(CENT)}, later + 1, "AD", number + "AD")
            case "credit_more":
                self.send(s, {code: -(first[code] + self.amount(1, 40))}, later, "CR", number + "CR")
            case "rebill":
                self.send(s, {**first, code: (first[code] / 2).quantize(CENT)}, later, "RB", number)
            case "cancel":
                self.send(s, first, later, "CA", number)
                if chance.random() < 0.5:
                    self.send(s, first, later + 1, "", number)
            case "twice":
                self.send(s, first, later, "", f"{number[0].lower()}-{number[1:]}")
            case "moved":
                self.send(s, first, later, "", "", pro_number=f"Y{s.number}")
            case "second_unplanned":
                self.send(s, {"DETENTION": self.amount(5, 90)}, later, "BD", number)

    def audit(self, s: Shipment, number: str, billed: dict[str, Decimal]) -> None:
        """Where the carrier's policy binds us to it, it decides; whether it comes before or after its bill."""
        chance, net = self.chance, sum(billed.values(), D(0))
        action = chance.choice(("approve", "reject", "short_pay", "short_pay", "short_pay"))
        self.kinds.add(f"audit {action}")
        charges = {
            code: (amount * chance.randint(50, 99) / 100).quantize(CENT) if action == "short_pay" else amount
            for code, amount in billed.items()
        }
        to_pay = D(0) if action == "reject" else sum(charges.values(), D(0))
        columns = {
            "source": "audit.invoice_result",
            "platform_reference": f"R{number}",
            "revision": 1,
            "audited_on": "2026-03-20",
            "scac": s.scac,
            "invoice_number": number,
            "correction": "",
            "action": action,
            "currency": CARRIERS[s.scac],
            "amount": to_pay,
            "billed_amount": net,
            "audited_amount": to_pay,
        }
        lines = [
            {"line": n, "partner_code": CODES[code], "audited_amount": amount}
            for n, (code, amount) in enumerate(charges.items(), 1)
            if action == "short_pay"
        ]
        touches = [("settle_freight", "shipment", f"tms:{s.number}")]
        self.facts.append(Fact("audit.invoice_result", "audit_result", columns, touches, lines))

    def consolidated(self, s: Shipment, other: Shipment, on: int) -> None:
        self._bills += 1
        lines = [(code, str(amount), each.number) for each in (s, other) for code, amount in each.planned.items()]
        made = bill(s.scac, f"M{self._bills}", f"{on:02}", lines, pro_number=f"M{self._bills}")  # type: ignore[arg-type]
        self.facts.append(replace(made, columns={**made.columns, "currency": CARRIERS[s.scac]}))

    # -- what people do -----------------------------------------------------------------------------------------------

    def begin(self, warehouse: ShapedWarehouse) -> None:
        warehouse.conn.execute(MODES)
        record_rule(warehouse, "self_billing_policy", "own", scac=SELF_BILLED, is_self_billed=True)
        landed_cost = {"treatment": "landed_cost", "cost_account": STOCK, "sold_account": SOLD}
        record_rule(warehouse, "cost_policy", "landed", direction="inbound", scac=LANDED, **landed_cost)
        warehouse.admit([*MASTERS, order("RA", "C1", [(9, "5.00"), (4, "7.00")]), order("RB", "C2", [(9, "3.00")])])
        warehouse.settle_down()

    def batches(self, count: int) -> Iterable[list[Fact]]:
        cuts = sorted(self.chance.sample(range(1, len(self.facts)), count - 1))
        for start, end in zip([0, *cuts], [*cuts, len(self.facts)], strict=True):
            yield self.facts[start:end]

    def play(self, warehouse: ShapedWarehouse, facts: list[Fact]) -> None:
        warehouse.admit(facts)
        warehouse.settle_down(self.chance.sample(CONSUMERS, len(CONSUMERS)))

    def say(self, warehouse: ShapedWarehouse) -> int:
        """Something is said in the disputes that are open; gives how often."""
        said = 0
        chance = self.chance
        # the same said again at the same time is the same
        self._minutes += 1
        at = dt.datetime(2026, 3, 26, 12, self._minutes, tzinfo=dt.UTC)
        with psycopg.connect(warehouse.settings.dsn("app"), autocommit=True) as conn:
            for case in disputes.cases(conn):
                contested = disputes.lines(conn, case.carrier_invoice_id)
                ours = disputes.Saying(by="anna", channel="cli", at=at, approved_by="controller")
                theirs = disputes.Saying(by=case.scac, channel="api", at=at)
                open_claims = [line for line in contested if line.claim_open_amount > 0]
                undecided = [line for line in contested if line.is_undecided and line.invoiced_amount > 0]
                if open_claims and chance.random() < 0.7:
                    line = chance.choice(open_claims)
                    part = max((line.claim_open_amount * chance.randint(1, 4) / 4).quantize(CENT, "ROUND_DOWN"), CENT)
                    given_up = chance.random() < 0.4
                    disputes.settle_claim(
                        conn,
                        case.carrier_invoice_id,
                        {line.charge: part},
                        ours,
                        write_off=given_up,
                        reason_code="overcharge" if given_up else None,
                    )
                    said += 1
                elif undecided and chance.random() < 0.8:
                    line = chance.choice(undecided)
                    # beside our own document only what it did not pay is open
                    whole = line.disputed_amount if line.verdict == "self_billed" else line.invoiced_amount
                    least = min(max(line.owed_amount, D(0)), whole)
                    between = least + ((whole - least) * chance.randint(0, 4) / 4).quantize(CENT, "ROUND_DOWN")
                    asked = disputes.propose(conn, case.carrier_invoice_id, "carrier", {line.charge: between}, theirs)
                    disputes.answer(conn, asked, "us", ours, accept=chance.random() < 0.8)
                    said += 1
        warehouse.settle_down()
        return said

    def change_rules(self, warehouse: ShapedWarehouse) -> None:
        """From now on freight is accrued in part and at dispatch, and more is tolerated."""
        accrual_policy(
            warehouse,
            "accrual.half",
            scac="CLMX",
            from_milestone="dispatched",
            basis="percent_of_planned",
            percent=D("50"),
            recorded_at="now",
        )
        warehouse.conn.execute(
            """insert into rules.tolerance (rule_id, rule_version, scac, charge_code, over_mode, over_percent,
                 over_amount, valid_from, recorded_at, recorded_by, note)
               values ('tolerance.default', 2, '*', '*', 'either', 12.00, 30.00, '2026-03-01', now(), 'finance',
                 'more')"""
        )

    def release(self, warehouse: ShapedWarehouse) -> int:
        """What nobody billed for half a year is given up, some of it; gives how many accruals."""
        reconciling.compare(warehouse.settings, as_of=OLD)
        with psycopg.connect(warehouse.settings.dsn("app")) as conn:
            releases.propose(conn, by="olga", run_id="leftovers")
            found = [row[0] for row in conn.execute("select proposal_id from effects.accrual_release_proposal")]
            chosen = sorted(self.chance.sample(found, (len(found) + 1) // 2))
            releases.approve(conn, chosen, by="controller", at=OLD)
            conn.commit()
        warehouse.settle_down()
        return len(chosen)


def goods(shipment: Shipment, chance: random.Random) -> list[Fact]:
    """What it brings was bought, and some of it is sold, at one time or another."""
    found = []
    for number, lines in zip(shipment.orders, (2, 1), strict=True):
        wanted = [{"line": n, "item_id": "I1", "quantity": 100, "unit_price": "2.00"} for n in range(1, lines + 1)]
        head = {"order_number": number, "status": "open", "billing_entity": "US", "currency": "USD"}
        found.append(master("erp.purchase_order", "order_number", lines=wanted, **head))
        for line in range(1, lines + 1):
            for version in range(1, chance.randint(0, 2) + 1):
                sold = chance.randint(0, 100)
                found.append(
                    master(
                        "erp.stock_position",
                        "stock_id",
                        stock_id=f"{number}/{line}",
                        version=version,
                        order_number=number,
                        order_line=line,
                        received_quantity=D(100),
                        on_hand_quantity=D(chance.randint(0, 100 - sold)),
                        sold_quantity=D(sold),
                    )
                )
    return found


def shipment_weight(shipment: Shipment) -> str:
    return f"{1000 + int(shipment.number[1:])}.000"


class Invariants:
    """What must hold at any moment."""

    def __init__(self, warehouse: ShapedWarehouse, world: World) -> None:
        self.warehouse, self.world = warehouse, world
        self.by_number = {shipment.number: shipment for shipment in world.shipments}

    def hold(self) -> None:
        self.debits_are_credits()
        self.made_is_desired()
        self.accruals_are_what_is_owed_still()
        self.claims_leave_nothing_behind()
        self.no_charge_takes_from_another()
        self.every_cent_is_in_one_place()
        self.what_is_owed_is_what_is_paid()
        self.shares_are_exact()
        self.landed_cost_is_what_was_paid()

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.warehouse.rows(query)

    def debits_are_credits(self) -> None:
        """In each currency and in the books, in the log and in every document that goes to the ERP."""
        sums = self.rows(
            """select journal_id, currency, sum(d) as d, sum(f) as f, min(least(amount, functional_amount)) as least
               from (
                 select journal_id, currency, debit_account, amount as d, functional_amount as f, amount,
                   functional_amount from effects.movement
                 union all select journal_id, currency, credit_account, -amount, -functional_amount, amount,
                   functional_amount from effects.movement) as sides group by 1, 2"""
        )
        assert all((row["d"], row["f"]) == (0, 0) and row["least"] >= 0 for row in sums)
        apart = self.rows(
            """select o.journal_id from effects.outbox o
               cross join lateral (select sum((line ->> 'amount')::numeric) as amount,
                 sum((line ->> 'functional_amount')::numeric) as worth, count(*) as lines
                 from jsonb_array_elements(o.payload -> 'lines') as line) as sent
               join lateral (select sum(m.amount) as amount, sum(m.functional_amount) as worth, count(*) as lines
                 from effects.movement m where m.journal_id = o.journal_id) as made on true
               where o.kind = 'movement'
                 and (sent.amount, sent.worth, sent.lines) is distinct from (made.amount, made.worth, made.lines)"""
        )
        assert apart == []

    def made_is_desired(self) -> None:
        relations = ("accruals", "settlement", "claims", "customer_invoices", "accrual_releases")
        for name in relations:
            differs = self.rows(
                f"""select effect_key, cause, debit_account, credit_account from (
                      select effect_key, cause, least(debit_account, credit_account) as debit_account,
                        greatest(debit_account, credit_account) as credit_account, currency,
                        case when debit_account < credit_account then amount else -amount end as amount,
                        case when debit_account < credit_account then functional_amount else -functional_amount end as f
                      from desired.movement__{name}
                      union all
                      select effect_key, cause, least(debit_account, credit_account),
                        greatest(debit_account, credit_account), currency,
                        case when debit_account < credit_account then -amount else amount end,
                        case when debit_account < credit_account then -functional_amount else functional_amount end
                      from effects.movement where relation = 'movement__{name}') as both_sides
                    group by effect_key, cause, debit_account, credit_account, currency
                    having sum(amount) <> 0 or sum(f) <> 0"""
            )
            assert differs == [], name

    def accruals(self) -> dict[tuple[str, str], dict[str, Decimal]]:
        """By shipment and charge what the log says that was accrued, released and taken back, and what is left; in the
        carrier's currency and in that of the books."""
        found: dict[tuple[str, str], dict[str, Decimal]] = {}
        for row in self.rows(
            """select attributes ->> 'shipment_id' as shipment, attributes ->> 'charge_code' as charge,
                 replace(relation, 'movement__', '') as relation,
                 sum(case when credit_account = '2150' then amount else -amount end) as amount,
                 sum(case when credit_account = '2150' then functional_amount else -functional_amount end) as worth
               from effects.movement where '2150' in (debit_account, credit_account) group by 1, 2, 3"""
        ):
            sums = found.setdefault((row["shipment"], row["charge"]), defaultdict(Decimal))
            sums[row["relation"]] += row["amount"]
            sums["left"] += row["amount"]
            sums["worth"] += row["worth"]
        return found

    def accruals_are_what_is_owed_still(self) -> None:
        """Accrued, less what was given up, less what bills were approved for as far as it was accrued: no more and no
        less, however many bills and corrections there were."""
        approved: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in self.rows("select * from decisions.invoice_line_verdict where is_posted"):
            key = (row["shipment_id"].removeprefix("tms:"), row["charge_code"])
            approved[key] += row["paid_amount"] - row["claimed_amount"] + row["recovered_amount"]
        for key, sums in self.accruals().items():
            shipment = self.by_number[key[0]]
            accrued = sums["accruals"]
            if accrued:
                assert shipment.delivered or not shipment.cancelled
            stands = accrued + sums["accrual_releases"]
            back = min(max(approved[key], D(0)), stands)
            assert sums["left"] == stands - back, (key, dict(sums), approved[key])
            assert sums["settlement"] == -back
            assert D(0) <= sums["left"] <= accrued
            # nothing is left in the books of what is even in its own currency
            assert sums["left"] or not sums["worth"], (key, dict(sums))

    def claims_leave_nothing_behind(self) -> None:
        """What is claimed of a charge stands at the rates of the bills that claim it: where nothing is claimed any
        more, nothing is left in the books; and what is left is worth what its lowest to its highest rate make of it."""
        rates = {
            row["charge"]: (row["low"], row["high"])
            for row in self.rows(
                """select shipment_id || '|' || charge_code as charge, min(exchange_rate) as low,
                     max(exchange_rate) as high from decisions.invoice_line_verdict where claimed_amount <> 0
                     or recovered_amount <> 0 group by 1"""
            )
        }
        for row in self.rows(
            """select 'tms:' || (attributes ->> 'shipment_id') || '|' || (attributes ->> 'charge_code') as charge,
                 sum(case when debit_account = '1350' then amount else -amount end) as amount,
                 sum(case when debit_account = '1350' then functional_amount else -functional_amount end) as worth
               from effects.movement where '1350' in (debit_account, credit_account)
                 and relation <> 'movement__revaluation' group by 1"""
        ):
            low, high = (row["amount"] * rate for rate in rates.get(row["charge"], (D(1), D(1))))
            assert min(low, high) - D("0.02") <= row["worth"] <= max(low, high) + D("0.02"), row
            assert row["amount"] or not row["worth"], row

    def no_charge_takes_from_another(self) -> None:
        wrong = self.rows(
            """select effect_key from (
                 -- landed cost names the order line behind its charge
                 select *, regexp_replace(effect_key, '[|]erp:po:.*$', '') as own_key from effects.movement) as made
               where relation in ('movement__accruals', 'movement__settlement',
                 'movement__claims', 'movement__accrual_releases')
               and (own_key not like '%|tms:' || (attributes ->> 'shipment_id') || '|'
                   || (attributes ->> 'charge_code')
                 or (own_key like 'accrual|%' and own_key <> 'accrual|tms:' || (attributes ->> 'shipment_id')
                   || '|' || (attributes ->> 'charge_code')))"""
        )
        assert wrong == []
        for row in self.rows(
            """select attributes ->> 'charge_code' as charge, attributes ->> 'scac' as scac, debit_account,
                 credit_account from effects.movement where relation in ('movement__accruals', 'movement__settlement')
               and '2150' in (debit_account, credit_account) group by 1, 2, 3, 4"""
        ):
            cost = STOCK if row["scac"] == LANDED else ACCOUNTS[row["charge"]]
            assert {row["debit_account"], row["credit_account"]} == {"2150", cost}

    def every_cent_is_in_one_place(self) -> None:
        """Of each charge of a bill: paid, disputed, rejected and pending add up, and none of them is more than there
        was. Of each bill likewise; and the charges of a bill are its lines."""
        billed = {
            (row["scac"], row["record_id"]): row["amount"]
            for row in self.rows(
                """select i.scac, i.record_id, sum(l.line_amount) as amount from landing.carrier_invoice i
                   join landing.carrier_invoice_line l using (record_id) group by 1, 2"""
            )
        }
        known: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
        # our own documents pay what was planned
        planned = {
            (shipment.number, code, D(amount))
            for shipment in self.world.shipments
            for plan_ in shipment.plans
            for code, amount in plan_.items()
        }
        for row in self.rows("select * from decisions.invoice_line_verdict"):
            places = [row[f"{name}_amount"] for name in ("paid", "disputed", "rejected", "pending")]
            total = row["invoiced_amount"]
            assert sum(places) == total, row
            assert all(min(total, D(0)) <= place <= max(total, D(0)) for place in places), row
            scac, record = row["carrier_invoice_id"].rsplit(":", 1)
            if scac == "SELF":
                assert (record.removeprefix("SB-"), row["charge_code"], total) in planned
                continue
            known[scac.split(":")[-1], int(record)] += total
        # what fits no shipment, or several, waits as a part of its bill: nobody could say of which shipment's charges
        for row in self.rows("select * from decisions.invoice_link where shipment_id is null"):
            scac, record = row["carrier_invoice_id"].rsplit(":", 1)
            known[scac.split(":")[-1], int(record)] += row["invoiced_amount"]
        assert known == billed
        seen = 0
        for row in self.rows("select * from decisions.invoice_verdict where carrier_invoice_id not like 'SELF:%'"):
            waits = row["net_amount"] - row["paid_amount"] - row["disputed_amount"] - row["rejected_amount"]
            total = row["net_amount"]
            assert min(total, D(0)) <= waits <= max(total, D(0)), row
            seen += 1
        assert seen == len(billed)

    def what_is_owed_is_what_is_paid(self) -> None:
        """On the payable account and on that of claims, by bill and charge."""
        expected: dict[tuple[str, str, str], Decimal] = {}
        for row in self.rows("select * from decisions.invoice_line_verdict where is_posted and paid_amount <> 0"):
            record = row["carrier_invoice_id"].rsplit(":", 1)[1]
            expected[record, row["shipment_id"], row["charge_code"]] = row["paid_amount"]
        found = {
            tuple(row["cause"].split("|")[1:]): row["owed"]
            for row in self.rows(
                """select cause, sum(case when credit_account = '2100' then amount else -amount end) as owed
                   from effects.movement where '2100' in (debit_account, credit_account) group by 1
                   having sum(case when credit_account = '2100' then amount else -amount end) <> 0"""
            )
        }
        assert found == expected
        below = self.rows(
            """select attributes ->> 'shipment_id', attributes ->> 'charge_code',
                 sum(case when debit_account = '1350' then amount else -amount end) from effects.movement
               where '1350' in (debit_account, credit_account) group by 1, 2
               having sum(case when debit_account = '1350' then amount else -amount end) < 0"""
        )
        assert below == []

    def landed_cost_is_what_was_paid(self) -> None:
        """Of freight on what we buy: what stands on stock and on goods sold is what is accrued still and what bills
        cost, in euros and in the books but for what the rate did; by order line the accrual is gone when it is gone."""
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in self.rows(
            """select attributes ->> 'shipment_id' as shipment, attributes ->> 'charge_code' as charge,
                 sum(case when debit_account in ('1400', '5100') then amount else -amount end) as amount
               from effects.movement where (debit_account in ('1400', '5100')) <> (credit_account in ('1400', '5100'))
               group by 1, 2"""
        ):
            found[row["shipment"], row["charge"]] = row["amount"]
        expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for key, sums in self.accruals().items():
            if self.by_number[key[0]].is_inbound:
                # what was given up leaves the accrual for an account of its own
                expected[key] += sums["accruals"] + sums["settlement"]
        for row in self.rows(
            "select * from decisions.invoice_line_verdict where is_posted and treatment = 'landed_cost'"
        ):
            key = (row["shipment_id"].removeprefix("tms:"), row["charge_code"])
            expected[key] += row["paid_amount"] - row["claimed_amount"] + row["recovered_amount"]
        assert {key: amount for key, amount in found.items() if amount} == {
            key: amount for key, amount in expected.items() if amount
        }
        assert all(self.by_number[number].is_inbound for number, _ in found)
        lines = self.rows(
            """select attributes ->> 'shipment_id' as shipment, attributes ->> 'charge_code' as charge,
                 sum(case when credit_account = '2150' then amount else -amount end) as amount
               from effects.movement where '2150' in (debit_account, credit_account)
                 and attributes ->> 'scac' = 'LAND' and relation <> 'movement__accrual_releases'
               group by 1, 2, attributes ->> 'order_number', attributes ->> 'order_line'"""
        )
        for row in lines:
            sums = self.accruals()[row["shipment"], row["charge"]]
            if not sums["accruals"] + sums["settlement"]:
                assert row["amount"] == 0, row

    def shares_are_exact(self) -> None:
        """What a charge costs is what its order lines bear, to the cent; each bears its exact share by weight (by
        pieces where nothing weighs anything) within a cent, but the one that takes what is left over."""
        by_charge: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows("select * from decisions.freight_allocation"):
            by_charge[row["shipment_id"].removeprefix("tms:"), row["charge_code"]].append(row)
        accrued = self.accruals()
        for key, rows in by_charge.items():
            shipment = self.by_number[key[0]]
            weights = [Fraction(weight) for weight in shipment.weights]
            parts = weights if any(weights) else [Fraction(3), Fraction(1), Fraction(2)]
            rows.sort(key=lambda row: (row["order_id"], row["order_line"]))
            first, second = (f"erp:{'po:' if shipment.is_inbound else ''}{name}" for name in shipment.orders)
            assert [(row["order_id"], row["order_line"]) for row in rows] == [(first, 1), (first, 2), (second, 1)]
            assert sum(row["accrued_share"] for row in rows) == accrued.get(key, {}).get("accruals", D(0))
            for name in ("planned_share", "accrued_share", "functional_share"):
                total = sum(row[name] for row in rows)
                exact = [Fraction(total) * part / sum(parts) for part in parts]
                residue = parts.index(max(parts))
                for n, row in enumerate(rows):
                    off = abs(Fraction(row[name]) - exact[n])
                    assert off < Fraction(1, 100) or (n == residue and off < Fraction(len(rows), 100)), (
                        key,
                        name,
                        rows,
                    )


def decided(warehouse: ShapedWarehouse) -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = warehouse.rows("select to_jsonb(v) - 'changed_in_run' as row from decisions.invoice_line_verdict v")
    return {
        (row["row"]["carrier_invoice_id"], row["row"]["shipment_id"], row["row"]["charge_code"]): row["row"]
        for row in rows
    }


def replays_change_nothing(warehouse: ShapedWarehouse, world: World) -> None:
    """Everybody looks at everything again, and everything is built anew."""
    movements = "select count(*), max(movement_id) from effects.movement"
    made, before = warehouse.rows(movements), decided(warehouse)
    for shipment in world.shipments:
        for consumer in ("ingest_shipment_events", "post_accruals", "invoice_on_pod"):
            warehouse.touch(consumer, "shipment", f"tms:{shipment.number}")
    for row in warehouse.rows("select carrier_invoice_id from canonical.carrier_invoice"):
        warehouse.touch("settle_freight", "carrier_invoice", row["carrier_invoice_id"])
    warehouse.settle_down()
    warehouse.rebuild()
    assert warehouse.rows(movements) == made
    after = decided(warehouse)
    assert after.keys() == before.keys()
    changed = {
        key: {name: (old[name], after[key][name]) for name in old if old[name] != after[key][name]}
        for key, old in before.items()
    }
    assert {key: names for key, names in changed.items() if names} == {}
