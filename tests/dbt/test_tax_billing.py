# ruff: noqa: E501  (tables, one row a line)
"""Tax on what is billed: off until a policy charges it; then lines by category, tax to its own account, holds with a
name that end when what is missing comes, and corrections by difference."""

from __future__ import annotations

import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from receivables import balances, dispute, number_invoices, receivables
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, customer, master, order, plan, pod

from freightsync import rules

POLICY = """rule_id,rule_version,billing_entity,country,is_charged,seller_id,supply,tax_account,valid_from,recorded_at,recorded_by,note
tax.us,1,*,US,true,CHI,goods,2300,2020-01-01,2020-01-02T00:00:00+00:00,test,x
"""
SELLER = """rule_id,rule_version,seller_id,legal_name,country,region,valid_from,recorded_at,recorded_by,note
seller.chi,1,CHI,Chicago Works Inc,US,IL,2000-01-01,2000-01-01T00:00:00+00:00,test,x
"""
REGISTRATION = """rule_id,rule_version,seller_id,country,region,valid_from,recorded_at,recorded_by,note
reg.nj,1,CHI,US,NJ,2000-01-01,2000-01-01T00:00:00+00:00,test,x
reg.tx,1,CHI,US,TX,2000-01-01,2000-01-01T00:00:00+00:00,test,x
"""

FROM_CHICAGO = [
    {"sequence": 1, "kind": "pickup", "postal_code": "60601", "state": "IL", "country": "US"},
    {"sequence": 2, "kind": "delivery", "postal_code": "07001", "state": "NJ", "country": "US"},
]


@pytest.fixture
def charging(shaped: ShapedWarehouse, tmp_path: Path) -> ShapedWarehouse:
    for name, text in (("tax_policy", POLICY), ("tax_seller", SELLER), ("tax_registration", REGISTRATION)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    rules.load(shaped.settings.dsn("owner"), tmp_path)
    return shaped


def profile(name: str, **more: Any) -> Fact:
    return master("erp.tax_profile", "profile_id", profile_id=name, **more)


def ship_to(state: str | None, postal: str) -> Fact:
    return master(
        "erp.ship_to",
        "ship_to_id",
        ship_to_id="T1",
        customer_id="C1",
        name="T1",
        postal_code=postal,
        state=state,
        country="US",
    )


WORLD = [
    *[fact for fact in MASTERS if fact.feed not in ("erp.ship_to", "erp.item")],
    master("erp.item", "item_id", item_id="I1", description="thing"),
    profile("item:I1", tax_class="standard"),
    profile("customer:C1", country="US", region="NJ", status="business"),
]


def facts(number: str = "A", quantity: int = 10, price: str = "33.33", **more: Any) -> list[Fact]:
    return [
        order(number, "C1", [(quantity, price)]),
        plan(f"S{number}", "NRDF", [(number, 1, quantity, "100")], {"LINEHAUL": "100.00"}, stops=FROM_CHICAGO, **more),
        pod(f"S{number}", quantity, "09T12"),
    ]


def made(shaped: ShapedWarehouse) -> dict[tuple[str, str], D]:
    rows = shaped.rows(
        """select aggregate_id, credit_account, sum(amount) as amount from effects.movement_by_key
           where aggregate_type = 'customer_invoice' group by 1, 2 having sum(amount) <> 0"""
    )
    return {(row["aggregate_id"], row["credit_account"]): row["amount"] for row in rows}


def holds(shaped: ShapedWarehouse) -> dict[str, list[str]]:
    return {row["shipment_id"]: row["reasons"] for row in shaped.rows("select * from decisions.billing_hold")}


@pytest.mark.timeout(600)
def test_no_policy_no_tax(shaped: ShapedWarehouse) -> None:
    shaped.admit([*WORLD, ship_to("NJ", "07001"), *facts()])
    shaped.settle_down()
    assert made(shaped) == {("erp:A/tms:SA", "4000"): D("333.30"), ("erp:A/tms:SA", "4100"): D("110.00")}
    (document,) = shaped.rows("select payload from effects.outbox where operation = 'customer_invoice'")
    assert all("tax_category" not in line for line in document["payload"]["lines"])


@pytest.mark.timeout(600)
def test_tax_of_the_state_of_delivery_and_a_correction_by_difference(charging: ShapedWarehouse) -> None:
    charging.admit([*WORLD, ship_to("NJ", "07001"), *facts()])
    charging.settle_down()
    # (333.30 + 110.00) × 6.625 % = 29.368…
    assert made(charging) == {
        ("erp:A/tms:SA", "4000"): D("333.30"),
        ("erp:A/tms:SA", "4100"): D("110.00"),
        ("erp:A/tms:SA", "2300"): D("29.37"),
    }
    (document,) = charging.rows("select payload from effects.outbox where operation = 'customer_invoice'")
    (tax,) = [line for line in document["payload"]["lines"] if line["kind"] == "tax"]
    assert (tax["taxable_base"], tax["tax_rate_percent"], tax["tax_jurisdiction"]) == ("443.30", "6.6250", "US-NJ")
    assert tax["credit_account"] == "2300"
    assert {line["tax_category"] for line in document["payload"]["lines"]} == {"S"}

    # the price is corrected: what differs goes out, tax with it; (320.00 + 110.00) × 6.625 % = 28.4875
    charging.admit([order("A", "C1", [(10, "32.00")], version=2)])
    charging.settle_down()
    assert made(charging)[("erp:A/tms:SA", "2300")] == D("28.49")
    assert made(charging)[("erp:A/tms:SA", "4000")] == D("320.00")
    assert charging.rows("select 1 from effects.movement where not (amount > 0)") == []


@pytest.mark.timeout(900)
def test_what_can_not_be_taxed_is_held_by_name_and_goes_when_it_can(charging: ShapedWarehouse) -> None:
    charging.admit([*[fact for fact in WORLD if "profile_id" not in fact.columns], ship_to("TX", "75201"), *facts()])
    charging.settle_down()
    assert made(charging) == {}
    assert holds(charging) == {"tms:SA": ["tax_not_decided"]}
    reasons = charging.rows("select distinct refusal, reason from decisions.billing_tax order by 1, 2")
    assert any("line.tax_class" in row["reason"] for row in reasons)

    charging.admit([fact for fact in WORLD if "profile_id" in fact.columns])
    charging.settle_down()
    assert made(charging) == {}
    (reason,) = charging.rows("select distinct reason from decisions.billing_tax where refusal = 'no_local_rate'")
    assert "75201" in reason["reason"]

    charging.admit(
        [
            master(
                "erp.tax_rate",
                "rate_id",
                rate_id="R1",
                country="US",
                region="TX",
                postal_code="75201",
                jurisdiction="Dallas",
                rate_class="standard",
                rate_percent=D("2.0"),
                valid_from="2020-01-01",
            )
        ]
    )
    charging.settle_down()
    assert holds(charging) == {}
    # Texas taxes the delivery with the goods: 443.30 at 6.25 % and at 2 %
    assert made(charging)[("erp:A/tms:SA", "2300")] == D("27.71") + D("8.87")


def sent_to_texas(version: int, price: str = "33.33") -> Fact:
    """Order A goes to Dallas instead, whose local rate nobody has told us."""
    to_nj = order("A", "C1", [(10, price)], version=version)
    return Fact(to_nj.feed, to_nj.table, {**to_nj.columns, "ship_to_id": "T2"}, to_nj.touches)


TEXAS = master(
    "erp.ship_to",
    "ship_to_id",
    ship_to_id="T2",
    customer_id="C1",
    name="T2",
    postal_code="75201",
    state="TX",
    country="US",
)
DALLAS = master(
    "erp.tax_rate",
    "rate_id",
    rate_id="R1",
    country="US",
    region="TX",
    postal_code="75201",
    jurisdiction="Dallas",
    rate_class="standard",
    rate_percent=D("2.0"),
    valid_from="2020-01-01",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["difference", "credit_and_rebill"])
@pytest.mark.long
def test_what_was_billed_stays_until_its_correction_can_be_taxed(charging: ShapedWarehouse, mode: str) -> None:
    correct(charging, mode)
    charging.admit([*WORLD, ship_to("NJ", "07001"), TEXAS, *facts()])
    charging.settle_down()
    billed = {
        ("erp:A/tms:SA", "4000"): D("333.30"),
        ("erp:A/tms:SA", "4100"): D("110.00"),
        ("erp:A/tms:SA", "2300"): D("29.37"),
    }
    assert made(charging) == billed
    standing = charging.rows("select count(*) from effects.movement")

    charging.admit([sent_to_texas(2, "30.00")])
    charging.settle_down()
    assert made(charging) == billed
    assert charging.rows("select count(*) from effects.movement") == standing
    assert holds(charging) == {"tms:SA": ["tax_not_decided"]}
    # what is desired of it is what stands, row by row
    assert (
        charging.rows(
            """select effect_key, cause, debit_account, credit_account, currency, amount, functional_amount
           from desired.movement__customer_invoices
           except select effect_key, cause, debit_account, credit_account, currency, amount, functional_amount
           from effects.movement_by_key"""
        )
        == []
    )
    charging.rebuild()
    charging.settle_down()
    assert made(charging) == billed

    charging.admit([DALLAS])
    charging.settle_down()
    assert holds(charging) == {}
    # 300.00 and 110.00 at 6.25 % and at 2 %
    assert made(charging) == {
        ("erp:A/tms:SA", "4000"): D("300.00"),
        ("erp:A/tms:SA", "4100"): D("110.00"),
        ("erp:A/tms:SA", "2300"): D("25.63") + D("8.20"),
    }


def correct(shaped: ShapedWarehouse, mode: str) -> None:
    """How invoices of all customers are corrected."""
    shaped.conn.execute(
        """insert into rules.correction_policy (rule_id, rule_version, customer_id, mode, valid_from, recorded_at,
             recorded_by, note) values ('correction.c1', 1, 'C1', %s, '2020-01-01', '2020-01-01', 'finance', 'so')""",
        (mode,),
    )


def documents(shaped: ShapedWarehouse, operation: str = "customer_invoice") -> list[dict[str, D]]:
    """What each document says by account, taken back below zero."""
    found = []
    for row in shaped.rows("select payload from effects.outbox where operation = %s order by outbox_id", operation):
        said: dict[str, D] = {}
        for line in row["payload"]["lines"]:
            sign = -1 if line["reverses"] else 1
            said[line["ledger_account"]] = said.get(line["ledger_account"], D(0)) + sign * D(line["amount"])
        found.append(said)
    return found


@pytest.mark.timeout(600)
@pytest.mark.long
def test_billed_anew_tax_and_all(charging: ShapedWarehouse) -> None:
    """The whole invoice is taken back and the whole of it billed, each with its tax."""
    correct(charging, "credit_and_rebill")
    charging.admit([*WORLD, ship_to("NJ", "07001"), *facts()])
    charging.settle_down()
    charging.admit([order("A", "C1", [(10, "32.00")], version=2)])
    charging.settle_down()
    first, *others = documents(charging)
    assert first == {"4000": D("333.30"), "4100": D("110.00"), "2300": D("29.37")}
    assert sorted(others, key=lambda said: said["4000"]) == sorted(
        [
            {account: -amount for account, amount in first.items()},
            {"4000": D("320.00"), "4100": D("110.00"), "2300": D("28.49")},
        ],
        key=lambda said: said["4000"],
    )


@pytest.mark.timeout(600)
def test_a_credit_takes_its_tax_with_it(charging: ShapedWarehouse) -> None:
    """What is owed is gross; what is credited of it is, too."""
    charging.admit([*WORLD, ship_to("NJ", "07001"), *facts()])
    charging.settle_down()
    number_invoices(charging, {"erp:A/tms:SA": "CI1"})
    assert receivables(charging) == {"erp:A/tms:SA": D("472.67")}
    charging.admit([dispute("D1", "CI1", "credited", "47.27", reason_code="DAMAGE")])
    charging.settle_down()
    # a tenth: 33.33 of 333.30, 11.00 of 110.00, 2.937 of 29.37; to the allowance account, but tax is tax
    assert balances(charging) == {
        "1200": D("425.40"),
        "2300": D("-26.44"),
        "4000": D("-333.30"),
        "4100": D("-110.00"),
        "4900": D("44.34"),
    }
    (status,) = charging.rows("select status, invoiced_amount, open_amount from decisions.customer_invoice_status")
    assert tuple(status.values()) == ("credited", D("472.67"), D("425.40"))
    (memo,) = charging.rows("select payload from effects.outbox where operation = 'credit_memo'")
    (tax,) = [line for line in memo["payload"]["lines"] if line["kind"] == "tax"]
    assert (tax["amount"], tax["taxable_base"], tax["tax_rate_percent"]) == ("2.93", "44.34", "6.6250")


@pytest.mark.timeout(600)
@pytest.mark.long
def test_an_order_billed_as_one_is_taxed_as_one(charging: ShapedWarehouse) -> None:
    """Two shipments whose tax, rounded apart, would be a cent more than of their sum."""
    charging.admit(
        [
            *WORLD,
            customer("C9", "embedded", "order", "0"),
            profile("customer:C9", country="US", region="NJ", status="business"),
            ship_to("NJ", "07001"),
            order("K", "C9", [(2, "0.83")]),
            plan("K1", "NRDF", [("K", 1, 1, "5")], {"LINEHAUL": "1.00"}, stops=FROM_CHICAGO),
            plan("K2", "NRDF", [("K", 1, 1, "5")], {"LINEHAUL": "1.00"}, stops=FROM_CHICAGO),
            pod("K1", 1, "09T12"),
            pod("K2", 1, "10T12"),
        ]
    )
    charging.settle_down()
    # 0.83 × 6.625 % = 0.0549… twice; 1.66 × 6.625 % = 0.1099…
    assert made(charging) == {("erp:K", "4000"): D("1.66"), ("erp:K", "2300"): D("0.11")}


@pytest.mark.timeout(600)
def test_the_hot_path_taxes_only_its_own_invoices(charging: ShapedWarehouse) -> None:
    """With a thousand proven shipments stored, the plan for one invoice goes by index, tax included."""
    numbers = range(1000)
    charging.admit([*WORLD, ship_to("NJ", "07001")])
    charging.admit(order(f"Z{n}", "C1", [(1, "5.00")]) for n in numbers)
    charging.admit(
        plan(f"Z{n}", "NRDF", [(f"Z{n}", 1, 1, "5")], {"LINEHAUL": "10.00"}, stops=FROM_CHICAGO) for n in numbers
    )
    charging.admit(pod(f"Z{n}", 1, "09T12") for n in numbers)
    for consumer in ("sync_master_data", "release_orders", "ingest_shipment_events"):
        charging.run(consumer, apply=False)
    charging.conn.execute("analyze")
    found = charging.rows(
        """explain (analyze, format json) select * from desired.movement__customer_invoices d
           where d.aggregate_type = any('{customer_invoice}') and d.aggregate_id = any('{erp:Z7/tms:Z7,erp:Z9/tms:Z9}')"""
    )
    root = found[0]["QUERY PLAN"][0]["Plan"]
    assert root["Actual Rows"] == 6
    assert most_rows(root) < 200, json.dumps(root, indent=1)


def most_rows(node: dict[str, Any]) -> float:
    """The most rows that any step read of a table that grows with what is billed."""
    here = 0.0
    name = str(node.get("Relation Name", ""))
    if name and not name.startswith("tax_") and not name.endswith("policy"):
        here = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return max([here, *(most_rows(child) for child in node.get("Plans", []))])
