"""One rule, two compilations: the suite and the quarantine statement agree row for row, on whatever data."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from freightsync.landing.feeds import FEEDS, MASTER_FEEDS, PAYMENT_FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.quality import gate
from freightsync.quality.rules import load
from freightsync.settings import find_project
from freightsync.systems.parsed import Parsed, Record

from .conftest import page, put, rows, synchronise

REFERENCES = ("shipment_reference", "bol_number", "pro_number", "po_number")


PARTS: dict[str, dict[str, list[Any]]] = {
    "legs": {"leg": [1, 2, 3], "from_stop": [1], "to_stop": [2]},
    "stops": {"sequence": [1, 2, 3], "time_zone": [None, "America/Chicago", "UTC", "Nowhere/At-All"]},
    "order_lines": {"order_number": ["A"], "line": [1], "quantity": [1, 2_000_000], "weight_lb": ["1", "1000000.1"]},
    "charges": {"charge_code": ["LINEHAUL"], "amount": ["10000000.00", "10000000.01"]},
}
"""Of a plan: parts that are right, and near what the rules ask about."""


def random_value(rng: random.Random, name: str, type_: str) -> Any:
    """Values near what the rules ask about, nulls included."""
    if rng.random() < (0.7 if name in REFERENCES else 0.25):
        return None
    if name == "lines":
        return [
            {
                "line": rng.choice([n, 7]),
                "item_id": rng.choice(["I1", "I2", "I9"]),
                "quantity": rng.choice([-1, 0, 3]),
                "unit_price": rng.choice(["5.00", "1000000", "1000000.01"]),
                **{f"pallet_{side}_in": rng.choice([None, "40"]) for side in ("length", "width", "height")},
            }
            for n in range(rng.randrange(3))
        ]
    if name in PARTS:
        return [{part: rng.choice(values) for part, values in PARTS[name].items()} for _ in range(rng.randrange(4))]
    known = {
        "customer_id": ["C1", "C9"],
        "ship_to_id": ["ST1", "ST9"],
        "scac": ["NRDF", "NRDF", "SAKU", "ZZZZ"],
        "code_set": ["bluw", "tms"],
        "details": [{}, {"round": 0}, {"round": 1}, {"round": 1000}, {"round": 1001}],
        "status": ["opened", "credited", "approved"],
        "status_code": ["DELIVERED", "tender_sent", "it's {odd} 100 %"],
        "reference_kind": ["pro", "shipment_id"],
        "freight_billing": ["pass_through", "other"],
        "invoice_per": ["shipment", "order"],
        "country": ["US", "USA"],
        "attributes": [{}, {"pickup_option": "yes"}, {"pickup_option": 1}, []],
        "certificates": [[], [{"kind": "resale", "country": "US", "valid_to": "2026-12-31"}], [{"valid_to": "x"}], {}],
        "lines_total": [Decimal("10.00"), Decimal("10.01")],
        "net_amount": [Decimal("10.00"), Decimal("10.00"), Decimal("10.50"), Decimal("-1000000000000.01")],
        "tax_amount": [Decimal("2.00"), Decimal("2.01")],
        "gross_amount": [Decimal("12.00"), Decimal("12.01")],
        "action": ["approve", "short_pay", "reject", "hold"],
        "billed_amount": [Decimal("10.00"), Decimal("11.00"), Decimal("1000000000000.01")],
        "audited_amount": [Decimal("10.00"), Decimal("10.00"), Decimal("0.00")],
        "invoice_number": ["INV-1", "--"],
        "from_currency": ["EUR", "USD", "eur", None],
        "to_currency": ["USD", "CAD"],
        "source": ["corporate"],
        "rate_on": [dt.date(1998, 12, 31), dt.date(2026, 3, 1), dt.date(2026, 3, 2)],
        "party_kind": ["customer", "supplier", "other"],
        "direction": ["credit", "debit", "sideways"],
        "value_on": [dt.date(2026, 3, 5), dt.date(1900, 1, 1)],
        "documents": [
            [],
            [{"number": "A", "amount": "5.00"}],
            [{"number": "A", "amount": "900000000000"}, {"number": "B", "amount": "-900000000000"}],
            [{"number": ""}],
            [{"number": "A", "amount": "five"}],
            "none",
        ],
        "document_type": ["journal_entry", "supplier_invoice", "other"],
        "origin": ["interface", "manual", "reversal"],
        "period": ["2026-03", "2026-13"],
        "debit_total": [Decimal("10.00"), Decimal("10.00"), Decimal("10.01")],
        "credit_total": [Decimal("10.00"), Decimal("10.00"), Decimal("10.01")],
    }
    if name in known:
        return rng.choice(known[name])
    if type_ == "integer":
        return rng.randrange(1, 5)
    if type_.startswith("numeric"):
        return Decimal(rng.choice(["-1", "0", "5", "150"]))
    if type_ == "date":
        return dt.date(2026, 3, rng.randrange(1, 20))
    if type_ == "timestamptz":
        return dt.datetime(2026, 3, 2, rng.randrange(24), tzinfo=dt.UTC)
    if type_ == "timestamp":
        return dt.datetime(2026, 3, 2, rng.randrange(24))  # noqa: DTZ001 (a wall clock)
    if type_ == "boolean":
        return rng.random() < 0.5
    if type_ == "jsonb":
        return [{"n": n} for n in range(rng.randrange(3))]
    return f"{name}{rng.randrange(3)}"


LINE_VALUES: dict[str, list[Any]] = {
    "partner_code": ["400", "FUE", "XX", None],
    "line_amount": [Decimal("1.00"), Decimal("1.00"), Decimal("1.50"), Decimal("1e12"), None],
    "shipment_reference": [None, "SH1"],
    "tax_amount": [Decimal("1.00"), Decimal("1.00"), Decimal("1.01"), None],
    "audited_amount": [Decimal("1.00"), Decimal("1.00"), None],
    "account": ["6100", "6100", "2150", "", None],
    "debit": [Decimal("0.00"), Decimal("5.00"), Decimal("5.00"), None],
    "credit": [Decimal("0.00"), Decimal("5.00")],
}

DAY = dt.date
RATES: dict[str, list[Any]] = {
    "version": [1, 1, 2, 0],
    "valid_from": [*[DAY(2026, 1, 1)] * 6, None, DAY(1980, 1, 1)],
    "valid_to": [None, None, DAY(2026, 12, 31), DAY(2025, 1, 1)],
    "side": ["buy", "buy", "sell", "lend"],
    "scac": ["NRDF", "NRDF", "NRDF", None],
    "customer_id": ["C1", "C1", None],
    "mode": ["LTL", "TL", "PARCEL", "AIR"],
    "rate_currency": ["USD", "USD", "EUR", "KWD", "usd"],
    "minimum_charge": [None, Decimal(10), Decimal(10), Decimal(-1)],
    "maximum_charge": [None, Decimal(90), Decimal(5)],
    "discount_percent": [None, Decimal(5), Decimal(5), Decimal(101)],
    "rounding": ["half_up", "half_up", "up", "sometimes"],
    "fuel_on": ["net_linehaul", "net_linehaul", "nothing"],
    "fuel_lag_weeks": [0, 1],
    "origin_kind": ["postal", "zone", "any", "street"],
    "origin_country": ["US", "US", "USA"],
    "origin": ["606", "606", None],
    "destination_kind": ["any"],
    "basis": ["flat", "flat", "per_mile", "per_unit", "per_smile"],
    "rate": [Decimal(5), Decimal(5), None],
    "charge_code": ["LINEHAUL", "LIFTGATE", "NOTHING"],
    "free_units": [None, Decimal(2)],
    "automatic": [False, True],
    "zone": ["Z1", "Z1", None],
    "country": ["US", "US", "USA"],
    "postal_prefix": ["606", "606", ""],
    "kind": ["class", "fuel_percent", "fuel_percent", "color"],
    "region": ["US"],
    "fuel_index": ["DOE"],
    "week_on": [DAY(2026, 3, 2), DAY(2026, 3, 9), DAY(2026, 3, 3)],
    "published_at": [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (2, 3, 10)],
    "price": [Decimal("3.51"), Decimal("3.62"), Decimal(0)],
}
"""Of rate cards: mostly right, each sometimes wrong; what is not here is not said."""
RATE_LINES: dict[str, list[Any]] = {
    "from_quantity": [Decimal(0), Decimal(5), Decimal(5), None],
    "rate": [Decimal(1), Decimal(2), Decimal(2)],
    "from_value": [Decimal(0), Decimal(5), Decimal(5), None],
    "value": [Decimal(50), Decimal(55)],
}


def rate_card(rng: random.Random, feed: str, ordinal: int) -> Record:
    """Two of each name, which are sometimes the same version, or of two contracts."""
    spec = feed_named(feed)
    values = {c.name: rng.choice(RATES[c.name]) if c.name in RATES else None for c in spec.columns}
    if feed != "rates.fuel_price":
        values[spec.columns[0].name] = f"{feed}-{ordinal // 2}"
    if feed == "rates.contract":
        terms = rng.choice([("T", "DOE", "US", 2), ("T", "DOE", "US", 2), (None, "DOE", "US", 2), (None,) * 4])
        values |= dict(zip(("fuel_table", "fuel_index", "fuel_region", "fuel_weekday"), terms, strict=True))
    if "contract_id" in values and feed != "rates.contract":
        values["contract_id"] = rng.choice([f"K{ordinal // 2}", f"K{ordinal // 2}", "K"])
    lines = [
        {"line": n + 1, **{c.name: rng.choice(RATE_LINES[c.name]) for c in spec.lines if c.name in RATE_LINES}}
        for n in range(rng.choice([1, 1, 2, 0]))
    ]
    for name in ("break_count", "band_count"):
        if name in values:
            values[name] = rng.choice([len(lines), len(lines), 3])
    return Record(ordinal, f"row {ordinal}", values, None, None, lines if spec.lines else ())


REQUIRED = {"version", "plan_version", "order_number", "shipment_id"}


def random_record(rng: random.Random, feed: str, ordinal: int) -> Record:
    if feed.startswith("rates."):
        return rate_card(rng, feed, ordinal)
    spec = feed_named(feed)
    values = {c.name: random_value(rng, c.name, c.type) for c in spec.columns}
    first = spec.columns[0].name
    for name in {first} | REQUIRED & set(values):
        values[name] = ordinal if name.endswith("version") else f"{feed}-{ordinal}"
    if feed == "erp.tax_profile":
        values["profile_id"] = rng.choice(["customer:C", "item:I", "C"]) + str(ordinal)
    if feed in ("driver.pod", "carrier.tender_response"):
        values["shipment_id"] = rng.choice([None, "SH1"])
    if feed == "carrier.edi_answer":
        values["kind"] = rng.choice(["997", "824"])
        values["code"] = rng.choice(["A", "E", "TA", "TR", None])
        if rng.random() < 0.2:
            values |= dict.fromkeys(("group_control_number", "control_number", "reference"))
    if "source" in values:
        values["source"] = feed
    if "correction" in values:
        values["correction"] = ""
    lines = [
        {
            "line": n + 1,
            **{c.name: rng.choice(LINE_VALUES[c.name]) for c in spec.lines if c.name in LINE_VALUES},
        }
        for n in range(rng.randrange(3))
    ]
    if feed == "erp.trial_balance":
        values["period"] = rng.choice(["2026-03", "2026-03", "2026-13"])
    if "line_count" in values and "debit_total" in values:
        values["line_count"] = rng.choice([len(lines), len(lines), 3])
    money: tuple[Decimal | None, str | None] = (Decimal("10.00"), "USD") if spec.money else (None, None)
    if spec.table in ("carrier_invoice", "audit_result"):
        money = (Decimal("10.00"), rng.choice(["USD", "USD", "JPY", "US$"])) if rng.random() < 0.8 else (None, None)
    if feed in PAYMENT_FEEDS:
        most = Decimal("1000000000000.01")
        money = rng.choice([money, money, (None, None), (most, "USD"), (Decimal("5.00"), "usd")])
    return Record(ordinal, f"row {ordinal}", values, *money, lines if spec.lines else ())


@pytest.mark.parametrize("feed", list(FEEDS))
def test_suite_and_quarantine_agree_row_for_row(conn: Any, feed: str) -> None:
    from freightsync.quality.suite import counts, rule_of, validate

    if feed not in MASTER_FEEDS:
        synchronise(conn)
    rng = random.Random(f"agree {feed}")
    parsed = Parsed()
    for n in range(1, 121):
        record = random_record(rng, feed, n)
        parsed.received(record.amount, record.currency)
        parsed.records.append(record)
    landed = put(conn, feed, parsed)
    conn.commit()
    rules = load(find_project() / "expectations", feed)
    with conn.transaction():
        document = validate(conn, feed_named(feed), rules, [landed.batch_id], shown_rows=1000)
    by_suite: dict[str, set[int]] = defaultdict(set)
    for one in document["results"]:
        result = one["result"]
        found = result.get("unexpected_index_list") or result.get("details", {}).get("unexpected_rows") or []
        by_suite[rule_of(one)] |= {row["record_id"] for row in found if "record_id" in row}
    (gated,) = gate(conn, [feed], "agree", great_expectations=False)
    by_gate: dict[str, set[int]] = defaultdict(set)
    for record_id, reasons in rows(conn, "select record_id, reasons from quality.quarantine where feed = %s", feed):
        for reason in reasons:
            by_gate[reason].add(record_id)
    for rule in rules.rules:
        if rule.severity == "warning":
            assert by_suite[rule.name] == by_gate[rule.name], rule.name
        assert counts(document)[rule.name] == gated.by_reason.get(rule.name, 0), rule.name
        assert 0 < len(by_suite[rule.name]) < 120, f"{rule.name}: the data does not try the rule"
    for rule in rules.batch_rules:
        assert counts(document)[rule.name] == 0


def test_the_verdict_is_kept_with_the_gates_own(conn: Any) -> None:
    synchronise(conn)
    page(
        conn,
        "erp.ship_to",
        {"ship_to_id": "ST5", "version": 1, "changed_at": "2026-03-01T00:00:00Z", "postal_code": None},
    )
    (result,) = gate(conn, ["erp.ship_to"], "run", great_expectations=True)
    assert (result.verdict, result.by_reason) == ("passed", {"missing_postal_code": 1})
    ((kept,),) = rows(conn, "select results from quality.gate where gate_id = %s", result.gate_id)
    document = kept["great_expectations"]["validation"]
    assert document["success"] is False
    assert kept["great_expectations"]["agrees"] is True


def test_a_rule_that_cannot_run_stops_the_gate_and_admits_nothing(conn: Any, tmp_path: Any) -> None:
    from freightsync.quality.suite import ValidationFailed

    (tmp_path / "_every_feed.yaml").write_text("batch: []\n")
    (tmp_path / "tms.lane.yaml").write_text(
        "feed: tms.lane\nrules:\n  - {name: broken, severity: warning, words: x, unexpected: r.nothing = 1}\n"
    )
    parsed = Parsed()
    parsed.received()
    parsed.records.append(random_record(random.Random(1), "tms.lane", 1))
    put(conn, "tms.lane", parsed)
    conn.commit()
    with pytest.raises(ValidationFailed, match="rule broken could not be evaluated"):
        gate(conn, ["tms.lane"], "run", great_expectations=True, expectations=tmp_path)
    assert rows(conn, "select count(*) from quality.admission where feed = 'tms.lane'") == [(0,)]
