"""What contracts say that shipments cost: examples worked by hand, each kind of rate and of exception; dates and
knowing; and a plain rater of one shipment at a time that must agree to the cent on thousands of random ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from plain_rater import Cards, Rater, Unratable
from rate_cards import (
    CLASSES_OF_2025,
    EARLIER_CLASSES,
    contract,
    fuel,
    lane,
    rated_plan,
    service,
    table,
    unit,
    zone,
)
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, charge, customer, exchange_rate, order, pod

from freightsync.cli import main
from freightsync.pipelines import build

D = Decimal

IL_606 = ("postal", "US", "606")
NY_100 = ("postal", "US", "100")
TABLES = [
    table("NMFC", "class", EARLIER_CLASSES),
    table("NMFC", "class", CLASSES_OF_2025, version=2, valid_from="2025-07-19"),
    table("DIESEL", "fuel_percent", [("3.00", "20.0"), ("4.00", "24.5"), ("4.20", "26.0")]),
    table("MILES", "fuel_per_mile", [("3.00", "0.30"), ("4.10", "0.46")]),
]
EIA = {"fuel_index": "EIA", "fuel_region": "US", "fuel_weekday": 3}
PRICES = [
    fuel("EIA", "US", "2026-02-23", "3.900", "2026-02-23T15:00:00Z"),
    fuel("EIA", "US", "2026-03-02", "4.129", "2026-03-02T15:00:00Z"),
    fuel("EIA", "US", "2026-03-09", "3.990", "2026-03-09T15:00:00Z"),
    # revised three days later
    fuel("EIA", "US", "2026-03-09", "4.200", "2026-03-12T15:00:00Z"),
]

Charges = list[tuple[str, str, str]]
"""charge, amount, and what its arithmetic says"""

CARDS: list[Fact] = [
    *TABLES,
    *PRICES,
    # a truck by the mile, with a minimum and fuel by the mile
    contract("HAUL", "TRKM", mode="TL", minimum_charge=D("500.00"), fuel_table="MILES", **EIA),
    lane("HAUL-1", "HAUL", "per_mile", "2.15", origin=("state", "US", "IL"), destination=("state", "US", "NY")),
    # dimensions count, by the shipment
    contract("AIR", "AIRX", dim_divisor=D(194), dim_per="shipment"),
    lane("AIR-1", "AIR", "per_cwt", [("0", "24.60"), ("500", "18.40"), ("1000", "12.00")], minimum_charge=D("110.00")),
    # classes, deficit weight, freight of all kinds for the middle of the scale
    contract(
        "LTL",
        "NRDF",
        class_table="NMFC",
        deficit_weight=True,
        fak_class=D(70),
        fak_from_class=D(50),
        fak_to_class=D(125),
        discount_percent=D("45.5"),
        fuel_table="DIESEL",
        **EIA,
    ),
    lane("LTL-70", "LTL", "per_cwt", [("0", "24.60"), ("500", "18.40"), ("1000", "12.00")], freight_class=D(70)),
    lane("LTL-175", "LTL", "per_cwt", [("0", "60.00")], freight_class=D(175), discount_percent=D(0)),
    # pallets
    contract("PAL", "PALT"),
    lane("PAL-1", "PAL", "per_pallet", [("1", "95.00"), ("5", "85.00")]),
    # parcels: each piece by itself, its weight and its volume up to whole pounds
    contract("BOX", "PRCL", mode="PARCEL", dim_divisor=D(139), dim_per="piece", weight_increment_lb=D(1)),
    zone("BOX", "Z2", "100"),
    zone("BOX", "Z5", "10"),
    lane("BOX-2", "BOX", "per_lb_dim", "0.95", destination=("zone", "", "Z2")),
    lane("BOX-5", "BOX", "per_lb_dim", "1.25", destination=("zone", "", "Z5")),
    # flat, discount shown, fuel on the gross amount a week late
    contract(
        "FLT",
        "FLAT",
        mode="TL",
        discount_as_line=True,
        discount_percent=D("7.5"),
        fuel_table="DIESEL",
        fuel_on="gross_linehaul",
        fuel_lag_weeks=1,
        **EIA,
    ),
    lane("FLT-1", "FLT", "flat", "333.33"),
    lane("FLT-2", "FLT", "flat", "450.00", equipment="REEFER"),
    # yen have no decimals
    contract("YEN", "JPNX", rate_currency="JPY"),
    lane("YEN-1", "YEN", "per_cwt", "1234.5"),
    # services
    contract("SVC", "SVCX"),
    lane("SVC-1", "SVC", "flat", "100.00"),
    service("SVC-LFT", "SVC", "LIFTGATE", "flat", "75.00"),
    service("SVC-DET", "SVC", "DETENTION", "per_hour", "60.00", free_units=D(2), maximum_charge=D("300.00")),
    service("SVC-FEE", "SVC", "HANDLING", "percent_of_linehaul", "1.25", minimum_charge=D("2.00"), automatic=True),
    # what a customer pays
    contract("CUST", "C1", side="sell"),
    lane("CUST-1", "CUST", "per_cwt", "40.00"),
]

UNIT = "12x12x12"
"""One cubic foot: its weight is its density."""

EXAMPLES: list[tuple[Fact, Charges]] = [
    # 790.5 × 2.15 = 1699.575
    (
        rated_plan("MILE", "TRKM", miles="790.5"),
        [
            ("LINEHAUL", "1699.58", "790.5 miles × 2.15 = 1699.58"),
            ("FUEL", "237.15", "EIA US 3.99 in the week of 2026-03-09; 790.5 miles × 0.3 = 237.15"),
        ],
    ),
    (
        rated_plan("MILEMIN", "TRKM", miles="100"),
        [
            ("LINEHAUL", "500.00", "100 miles × 2.15 = 215.00; minimum 500.00 applies"),
            ("FUEL", "30.00", "100 miles × 0.3"),
        ],
    ),
    # 48 × 42 × 50 = 100800; ÷ 194 = 519.6; 5.2 × 18.40 = 95.68
    (
        rated_plan("DIM", "AIRX", weight_lb="412.600", handling_units=[unit("48x42x50", "412.6")]),
        [
            (
                "LINEHAUL",
                "110.00",
                "412.6 lb → dimensional 520 lb; 5.2 cwt × 18.4 = 95.68; minimum 110.00 applies",
            )
        ],
    ),
    # heavier than large: 1200 lb at the break of 1000
    (
        rated_plan("HEAVY", "AIRX", weight_lb="1200", handling_units=[unit("48x42x50", "1200")]),
        [("LINEHAUL", "144.00", "12 cwt × 12 = 144.00")],
    ),
    # 950 lb: 9.5 × 18.40 = 174.80; as 1000 lb 120.00; less 45.5 % = 54.60 → 65.40; fuel 3.99 → 20 %
    (
        rated_plan("DEFICIT", "NRDF", weight_lb="950", freight_class="70"),
        [
            (
                "LINEHAUL",
                "65.40",
                "9.5 cwt × 18.4 = 174.80; cheaper as 1000 lb: 10 cwt × 12 = 120.00; less 45.5 % = 54.60 → 65.40",
            ),
            ("FUEL", "13.08", "20 % of 65.40 = 13.08"),
        ],
    ),
    # 600 lb: 110.40 against 120.00; less 45.5 % = 50.232 → 60.17; fuel 12.034
    (
        rated_plan("NODEFICIT", "NRDF", weight_lb="600", freight_class="85"),
        [
            (
                "LINEHAUL",
                "60.17",
                "class 70 for class 85 (freight of all kinds); 6 cwt × 18.4 = 110.40; less 45.5 % = 50.23 → 60.17",
            ),
            ("FUEL", "12.03", "20 % of 60.17 = 12.03"),
        ],
    ),
    # 5 lb/ft³ is class 175, outside the agreement: 100 lb at 60.00, no discount on this lane
    (
        rated_plan("CLASS", "NRDF", weight_lb="100", handling_units=[unit("48x36x20", "100")]),
        [
            ("LINEHAUL", "60.00", "100 lb ÷ 20 ft³ = 5 lb/ft³, class 175; 1 cwt × 60 = 60.00"),
            ("FUEL", "12.00", "20 % of 60.00"),
        ],
    ),
    # freight of all kinds up to its ends, and not beyond
    (
        rated_plan("KINDS50", "NRDF", weight_lb="600", freight_class="50"),
        [("LINEHAUL", "60.17", "class 70 for class 50 (freight of all kinds)"), ("FUEL", "12.03", "")],
    ),
    (
        rated_plan("KINDS125", "NRDF", weight_lb="600", freight_class="125"),
        [("LINEHAUL", "60.17", "class 70 for class 125 (freight of all kinds)"), ("FUEL", "12.03", "")],
    ),
    (rated_plan("PAL4", "PALT", pallets=4), [("LINEHAUL", "380.00", "4 pallets × 95 = 380.00")]),
    (rated_plan("PAL5", "PALT", pallets=5), [("LINEHAUL", "425.00", "5 pallets × 85 = 425.00")]),
    # 13 × 10 × 9 = 1170; ÷ 139 = 8.4 → 9 lb, more than 4.2 → 5 lb; two of them and one of 20 lb: 38 lb
    (
        rated_plan("PARCEL", "PRCL", handling_units=[unit("12.1x10x8.3", "4.2", 2), unit("10x10x10", "19.1")]),
        [("LINEHAUL", "36.10", "27.5 lb → 38 lb billed; 38 lb × 0.95 = 36.10")],
    ),
    # 10001 lies in both zones, 10901 only in the wider one
    (
        rated_plan(
            "PARCEL5", "PRCL", destination=("US", "NY", "10901"), handling_units=[unit("12.1x10x8.3", "4.2", 2)]
        ),
        [("LINEHAUL", "22.50", "18 lb × 1.25 = 22.50")],
    ),
    # 7.5 % of 333.33 = 24.99975; the week before: 4.129 → 24.5 % of 333.33 = 81.66585
    (
        rated_plan("FLAT", "FLAT"),
        [
            ("LINEHAUL", "333.33", "flat 333.33"),
            ("DISCOUNT", "-25.00", "7.5 % of 333.33 = 25.00, taken off"),
            ("FUEL", "81.67", "EIA US 4.129 in the week of 2026-03-02; 24.5 % of 333.33 before discount = 81.67"),
        ],
    ),
    (
        rated_plan("REEFER", "FLAT", equipment="REEFER"),
        [("LINEHAUL", "450.00", "flat 450.00"), ("DISCOUNT", "-33.75", ""), ("FUEL", "110.25", "")],
    ),
    # 3.5 × 1234.5 = 4320.75
    (rated_plan("YEN", "JPNX", weight_lb="350"), [("LINEHAUL", "4321.00", "3.5 cwt × 1234.5 = 4321.00")]),
    (
        rated_plan(
            "SERVICES",
            "SVCX",
            accessorials=[
                {"charge_code": "LIFTGATE", "quantity": None},
                {"charge_code": "DETENTION", "quantity": "3.5"},
            ],
        ),
        [
            ("LINEHAUL", "100.00", "flat 100.00"),
            ("DETENTION", "90.00", "3.5 hours less 2 free = 1.5; 1.5 × 60 = 90.00"),
            ("HANDLING", "2.00", "1.25 % of 100.00 = 1.25; minimum 2.00 applies"),
            ("LIFTGATE", "75.00", "flat 75.00"),
        ],
    ),
    (
        rated_plan("LONGWAIT", "SVCX", accessorials=[{"charge_code": "DETENTION", "quantity": "9"}]),
        [
            ("LINEHAUL", "100.00", ""),
            ("DETENTION", "300.00", "7 × 60 = 420.00; maximum 300.00 applies"),
            ("HANDLING", "2.00", ""),
        ],
    ),
    (
        rated_plan("SHORTWAIT", "SVCX", accessorials=[{"charge_code": "DETENTION", "quantity": "1"}]),
        [("LINEHAUL", "100.00", ""), ("DETENTION", "0.00", "1 hours less 2 free = 0"), ("HANDLING", "2.00", "")],
    ),
    # a Wednesday begins the week of its price, a Tuesday still has the one before
    (
        rated_plan("TUESDAY", "TRKM", miles="1000", ship_on="2026-03-10"),
        [("LINEHAUL", "2150.00", ""), ("FUEL", "460.00", "4.129 in the week of 2026-03-02; 1000 miles × 0.46")],
    ),
    (
        rated_plan("SUNDAY", "TRKM", miles="1000", ship_on="2026-03-01"),
        [("LINEHAUL", "2150.00", ""), ("FUEL", "300.00", "3.9 in the week of 2026-02-23")],
    ),
    # the revision was published on 12 March
    (
        rated_plan("REVISED", "TRKM", miles="1000", ship_on="2026-03-12"),
        [("LINEHAUL", "2150.00", ""), ("FUEL", "460.00", "4.2 in the week of 2026-03-09; 1000 miles × 0.46")],
    ),
]

EXCEPTIONS: list[tuple[Fact, str, str]] = [
    (rated_plan("NOBODY", "NONE"), "no_contract", "no buy contract with NONE holds on 2026-03-11"),
    (rated_plan("NODAY", "FLAT", ship_on=None), "no_ship_date", "day of pickup"),
    (rated_plan("NOLANE", "TRKM", miles="9", destination=("US", "TX", "75001")), "no_lane_rate", "to US TX 75001"),
    (rated_plan("NOMILES", "TRKM"), "miles_missing", "how far"),
    (rated_plan("NOPALLETS", "PALT"), "pallets_missing", "how many pallets"),
    (rated_plan("NOWEIGHT", "JPNX"), "weight_missing", "weighs"),
    (rated_plan("NODIMS", "NRDF", weight_lb="100"), "dimensions_missing", "dimensions"),
    (
        rated_plan("SOMEDIMS", "NRDF", weight_lb="100", handling_units=[unit(UNIT, "50"), unit("", "50")]),
        "dimensions_missing",
        "dimensions",
    ),
    (
        rated_plan(
            "CLASSES",
            "NRDF",
            weight_lb="100",
            handling_units=[unit(UNIT, "50", freight_class="70"), unit(UNIT, "50", freight_class="175")],
        ),
        "several_classes",
        "70 to 175",
    ),
    (rated_plan("FEWPALLETS", "PALT", pallets=0), "below_lowest_break", "0 is below the lowest break of rate PAL-1"),
    (
        rated_plan("NOFUEL", "TRKM", miles="9", ship_on="2026-04-01"),
        "no_fuel_price",
        "no price of EIA US is known for the week of 2026-03-30",
    ),
    (
        rated_plan("NOSERVICE", "SVCX", accessorials=[{"charge_code": "LAYOVER", "quantity": "1"}]),
        "no_accessorial_rate",
        "LAYOVER",
    ),
    (
        rated_plan("NOHOURS", "SVCX", accessorials=[{"charge_code": "DETENTION", "quantity": None}]),
        "accessorial_quantity_missing",
        "DETENTION",
    ),
    (rated_plan("TWO", "TWOX"), "several_lane_rates", "TWO-A version 1, TWO-B version 3"),
    (rated_plan("BOTH", "BOTH"), "several_contracts", "BOTH-L version 1, BOTH-T version 1"),
]
ALIKE = [
    contract("TWO", "TWOX"),
    lane("TWO-A", "TWO", "flat", "1.00", origin=IL_606),
    lane("TWO-B", "TWO", "flat", "1.00", origin=IL_606, version=3),
    lane("TWO-C", "TWO", "flat", "1.00", origin=("postal", "US", "60")),
    contract("BOTH-L", "BOTH"),
    contract("BOTH-T", "BOTH", mode="TL"),
]


def charges_of(shaped: ShapedWarehouse, number: str, side: str = "buy") -> list[tuple[str, Decimal, str]]:
    rows = shaped.rows(
        "select charge_code, amount, arithmetic from decisions.rated_charge"
        " where shipment_id = %s and side = %s order by sequence",
        f"tms:{number}",
        side,
    )
    return [(row["charge_code"], row["amount"], row["arithmetic"]) for row in rows]


def total(shaped: ShapedWarehouse, number: str, side: str = "buy") -> Decimal:
    return sum((amount for _, amount, _ in charges_of(shaped, number, side)), D(0))


def reason_of(shaped: ShapedWarehouse, number: str, side: str = "buy") -> tuple[str, str] | None:
    rows = shaped.rows(
        "select reason, words from decisions.rating_exception where shipment_id = %s and side = %s",
        f"tms:{number}",
        side,
    )
    return (rows[0]["reason"], rows[0]["words"]) if rows else None


@pytest.mark.timeout(900)
def test_examples_worked_by_hand(
    shaped: ShapedWarehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shaped.admit([*CARDS, *ALIKE])
    shaped.admit([plan for plan, _ in EXAMPLES])
    shaped.admit([plan for plan, _, _ in EXCEPTIONS])
    # every boundary of both class tables, on the last day of the one and the first of the other
    shaped.admit([contract("DENS", "DENS", class_table="NMFC"), lane("DENS-1", "DENS", "flat", "1.00")])
    densities = {}
    for day, bands in (("2025-07-18", EARLIER_CLASSES), ("2025-07-19", CLASSES_OF_2025)):
        for n, (start, freight_class) in enumerate(bands):
            densities[f"AT{start}{day}"] = (day, start, freight_class)
            if n:
                densities[f"UNDER{start}{day}"] = (day, str(D(start) - D("0.001")), bands[n - 1][1])
    shaped.admit(
        rated_plan(name, "DENS", ship_on=day, weight_lb=weight, handling_units=[unit(UNIT, weight)])
        for name, (day, weight, _) in densities.items()
        if D(weight) > 0
    )
    shaped.run("rate_shipments")

    found = {plan.columns["shipment_id"]: charges_of(shaped, plan.columns["shipment_id"]) for plan, _ in EXAMPLES}
    for plan, expected in EXAMPLES:
        number = plan.columns["shipment_id"]
        got = found[number]
        assert [(code, amount) for code, amount, _ in got] == [(c, D(a)) for c, a, _ in expected], (
            number,
            got,
            reason_of(shaped, number),
        )
        for (_, _, arithmetic), (_, _, words) in zip(got, expected, strict=True):
            assert words in arithmetic, number
    for plan, reason, words in EXCEPTIONS:
        number = plan.columns["shipment_id"]
        why = reason_of(shaped, number)
        assert why is not None, number
        assert why[0] == reason, (number, why)
        assert words in why[1]
        assert charges_of(shaped, number) == []
    classes = shaped.rows(
        "select substr(shipment_id, 5) as number, freight_class from decisions.rating where party = 'DENS'"
    )
    assert len(classes) == sum(1 for _, weight, _ in densities.values() if D(weight) > 0) == 2 * (10 + 12)
    for row in classes:
        assert row["freight_class"] == D(densities[row["number"]][2]), row

    # as people ask for it
    monkeypatch.setenv("FREIGHTSYNC_REPORT_DSN", shaped.settings.dsn("report"))
    assert main(["rate", "explain", "DIM"]) == 0
    printed = capsys.readouterr().out
    assert "tms:DIM, buy side, carrier AIRX: 110.00 USD" in printed
    assert "412.6 lb → dimensional 520 lb; 5.2 cwt × 18.4 = 95.68; minimum 110.00 applies" in printed
    assert "by contract AIR version 1, rate AIR-1 version 1, lane.any_any" in printed
    assert main(["rate", "explain", "tms:TWO"]) == 1
    assert "several rates fit equally well: TWO-A version 1, TWO-B version 3" in capsys.readouterr().out
    assert main(["rate", "explain", "NEVER"]) == 1
    assert "tms:NEVER was not rated" in capsys.readouterr().err

    # every charge names the rows that decided it, and a currency
    named = shaped.rows("select rules, inputs, currency from decisions.rated_charge where shipment_id = 'tms:MILE'")
    assert named[0]["rules"] == ["contract HAUL version 1", "rate HAUL-1 version 1", "lane.state_state"]
    assert named[1]["rules"][1:] == [
        "fuel table MILES version 1",
        "EIA US week of 2026-03-09 published 2026-03-09T15:00Z",
    ]
    assert {row["currency"] for row in named} == {"USD"}
    assert shaped.rows("select distinct currency from decisions.rated_charge where shipment_id = 'tms:YEN'") == [
        {"currency": "JPY"}
    ]


@pytest.mark.timeout(900)
def test_rates_are_of_their_day_and_of_what_was_known(shaped: ShapedWarehouse) -> None:
    shaped.admit(
        [
            contract("K", "KNOW"),
            lane("K-1", "K", "flat", "100.00"),
            lane("K-1", "K", "flat", "120.00", version=2, valid_from="2026-03-10"),
            lane("K-2", "K", "flat", "90.00", origin=("state", "US", "IL"), valid_to="2026-03-09"),
        ]
    )
    early = [
        rated_plan("STATE", "KNOW", ship_on="2026-03-09"),
        rated_plan("ENDED", "KNOW", ship_on="2026-03-10"),
        rated_plan("BEFORE", "KNOW", ship_on="2026-03-09", origin=("US", "WI", "53001")),
    ]
    waiting = rated_plan("WAITING", "LATER")
    shaped.admit([*early, waiting])
    shaped.run("rate_shipments")
    assert [total(shaped, name) for name in ("STATE", "ENDED", "BEFORE")] == [D(90), D(120), D(100)]
    assert reason_of(shaped, "WAITING") == ("no_contract", "no buy contract with LATER holds on 2026-03-11")

    # a correction and a more special rate, both learned later, also for days that were rated; and the missing contract
    shaped.admit(
        [
            lane("K-1", "K", "flat", "111.00", version=3, valid_from="2026-03-01"),
            lane("K-3", "K", "flat", "70.00", origin=IL_606),
            contract("L", "LATER"),
            lane("L-1", "L", "flat", "55.00"),
        ]
    )
    shaped.admit([rated_plan("AFTER", "KNOW", ship_on="2026-03-09", origin=("US", "WI", "53001"))])
    for name in ("STATE", "ENDED", "BEFORE"):
        shaped.touch("rate_shipments", "shipment", f"tms:{name}")
    shaped.run("rate_shipments")
    assert [total(shaped, name) for name in ("STATE", "ENDED", "BEFORE")] == [D(90), D(120), D(100)]
    assert total(shaped, "AFTER") == D(111)
    assert total(shaped, "WAITING") == D(55)

    # what came first rates it for good
    shaped.admit([lane("L-2", "L", "flat", "50.00", origin=IL_606), lane("L-1", "L", "flat", "56.00", version=2)])
    shaped.touch("rate_shipments", "shipment", "tms:WAITING")
    shaped.run("rate_shipments")
    assert total(shaped, "WAITING") == D(55)
    before = shaped.rows("select * from decisions.rated_charge order by shipment_id, side, sequence")
    build.run_dbt("build", ["tag:rating", "rated_charge"], shaped.settings, full_refresh=True)
    again = shaped.rows("select * from decisions.rated_charge order by shipment_id, side, sequence")
    assert before == again


@pytest.mark.timeout(900)
def test_a_plan_without_charges_is_accrued_by_contract(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, customer("C9", "embedded", "order", "0.00"), order("A", "C9", [(1, "9.00")])])
    shaped.admit([charge("9", "LFT", "LIFTGATE", "6140"), exchange_rate("11", "0.70", currency="CAD")])
    given = [{"charge_code": "LINEHAUL", "amount": "80.00"}]
    shaped.admit(
        [
            rated_plan("NONE", "SVCX", orders=["A"], accessorials=[{"charge_code": "LIFTGATE", "quantity": None}]),
            rated_plan("GIVEN", "SVCX", orders=["A"], charges=given),
            pod("NONE", 1, "12T10"),
            pod("GIVEN", 1, "12T10"),
        ]
    )
    shaped.settle_down()
    planned = "select charge_code, planned_amount, currency, basis from canonical.planned_charge where shipment_id = %s"
    assert shaped.rows(planned, "tms:NONE") == []
    # now the rate cards come
    shaped.admit(
        [
            contract("S", "SVCX", rate_currency="CAD"),
            lane("S-1", "S", "flat", "100.00"),
            service("S-LFT", "S", "LIFTGATE", "flat", "75.00"),
        ]
    )
    shaped.settle_down()
    assert sorted(tuple(row.values()) for row in shaped.rows(planned, "tms:NONE")) == [
        ("LIFTGATE", D("75.00"), "CAD", "rated"),
        ("LINEHAUL", D("100.00"), "CAD", "rated"),
    ]
    assert [tuple(row.values()) for row in shaped.rows(planned, "tms:GIVEN")] == [
        ("LINEHAUL", D("80.00"), "USD", "plan")
    ]
    accrued = shaped.rows(
        "select effect_key, amount, currency from effects.movement where effect_key like 'accrual|%' order by 1"
    )
    assert [tuple(row.values()) for row in accrued] == [
        ("accrual|tms:GIVEN|LINEHAUL", D("80.00"), "USD"),
        ("accrual|tms:NONE|LIFTGATE", D("75.00"), "CAD"),
        ("accrual|tms:NONE|LINEHAUL", D("100.00"), "CAD"),
    ]
    # the ERP was told of the plan when it came, and is told what it costs
    told = (
        "select state, payload ->> 'estimated_freight' as freight from effects.state where effect_key = %s"
        " order by state_id"
    )
    assert [tuple(row.values()) for row in shaped.rows(told, "erp|shipment|NONE|plan")] == [
        ("v1", "0.00"),
        ("v1 rated 175.00 CAD", "175.00"),
    ]
    assert [tuple(row.values()) for row in shaped.rows(told, "erp|shipment|GIVEN|plan")] == [("v1", "80.00")]
    freight = shaped.rows("select planned_freight, currency from canonical.shipment where shipment_id = 'tms:NONE'")
    assert freight == [{"planned_freight": D("175.00"), "currency": "CAD"}]
    # what the contract says of a shipment whose plan has charges is there for its bill
    says = shaped.rows(
        "select charge_code, contract_amount from decisions.contract_charge where shipment_id = 'tms:GIVEN'"
    )
    assert says == [{"charge_code": "LINEHAUL", "contract_amount": D("100.00")}]
    build.run_dbt("test", ["test_type:data"], shaped.settings, exclude_types=())


@pytest.mark.timeout(900)
@pytest.mark.long
def test_customers_are_rated_by_their_own_contracts(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, order("A", "C1", [(1, "9.00")]), order("B", "C2", [(1, "9.00")])])
    given = [{"charge_code": "LINEHAUL", "amount": "80.00"}]
    shaped.admit(
        [
            rated_plan("SELL", "XXXX", orders=["A"], charges=given, weight_lb="250"),
            rated_plan("SHARED", "XXXX", orders=["A", "B"], charges=given, weight_lb="250"),
            rated_plan("OTHER", "XXXX", orders=["B"], charges=given, weight_lb="250"),
        ]
    )
    shaped.settle_down()
    shaped.admit([contract("CUST", "C1", side="sell"), lane("CUST-1", "CUST", "per_cwt", "40.00")])
    shaped.settle_down()
    assert total(shaped, "SELL", "sell") == D(100)
    assert reason_of(shaped, "SHARED", "sell") == (
        "several_customers",
        "its orders are of several customers: nobody knows under whose contract it goes",
    )
    assert shaped.rows("select side from decisions.rating where shipment_id = 'tms:OTHER'") == []
    # the plan's own charges stay, and nobody asks what the carrier's contract is, while there is none
    assert shaped.rows("select side from decisions.rating where shipment_id = 'tms:SELL'") == [{"side": "sell"}]


@pytest.mark.timeout(900)
@pytest.mark.long
def test_dimensions_come_from_the_orders_lines_where_the_plan_has_none(shaped: ShapedWarehouse) -> None:
    # the item's pallet is 48 × 40 × 50 = 55.56 ft³; order lines have one pallet each
    shaped.admit([*MASTERS, order("A", "C2", [(10, "1.00"), (4, "1.00")]), *TABLES])
    shaped.admit([contract("DENS", "DENS", class_table="NMFC"), lane("DENS-1", "DENS", "per_pallet", "30.00")])
    whole = [
        {"order_number": "A", "line": 1, "quantity": 10, "weight_lb": "600"},
        {"order_number": "A", "line": 2, "quantity": 4, "weight_lb": "400"},
    ]
    shaped.admit(
        [
            rated_plan("WHOLE", "DENS", weight_lb="1000", order_lines=whole),
            rated_plan("PART", "DENS", weight_lb="500", order_lines=[{**whole[0], "quantity": 5}]),
        ]
    )
    shaped.settle_down()
    # 1000 lb in 111.11 ft³: 9 lb/ft³, class 100
    assert charges_of(shaped, "WHOLE") == [
        ("LINEHAUL", D(60), "1000 lb ÷ 111.111 ft³ = 9 lb/ft³, class 100; 2 pallets × 30 = 60.00")
    ]
    assert reason_of(shaped, "PART") is not None


# ---------------------------------------------------------------------------------------------- random cards and moves

PLACES = [
    ("US", "IL", "60601"),
    ("US", "IL", "61820"),
    ("US", "NY", "10001"),
    ("US", "NY", "10901"),
    ("US", "TX", "75001"),
    ("CA", "ON", "M5V 2T6"),
    ("CA", "QC", "H2Y1C6"),
]
DAYS = ["2025-07-10", "2025-07-18", "2025-07-19", "2025-08-06", "2025-08-12", "2025-08-13", "2025-09-01"]
SIDES = ["12x12x12", "48x40x50", "10.2x8.4x7.7", "30x30x30", "96x48x48"]
CODES = ["LIFTGATE", "DETENTION", "LAYOVER", "RESIDENTIAL"]


class World:
    """Random rate cards of a few contracts, told in three parts with plans in between."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.shipments = 0

    def pick(self, *choices: Any, some: float = 1.0) -> Any:
        """One of the choices; None with the rest of the probability."""
        return self.random.choice(choices) if self.random.random() < some else None

    def money(self, most: int) -> Decimal:
        return D(self.random.randrange(1, most * 100)) / 100

    def cards(self, part: int) -> list[Fact]:
        out: list[Fact] = []
        for n in range(8):
            name, basis = f"C{n}", ["per_cwt", "per_mile", "per_pallet", "flat", "per_lb_dim"][n % 5]
            if part == 2 and n == 7:
                continue  # never a third version of one
            if n == 6 and part == 0:
                continue  # its contract comes later
            out.append(self.contract(name, f"S{n}", part, basis))
            out += self.lanes(name, basis, part)
            for code in CODES:
                if self.random.random() < 0.5:
                    out.append(self.service(f"{name}-{code}", name, code, part + 1))
        out += [self.contract("D0", "S4", part, "per_lb_dim", mode="TL")] if part == 1 else []
        weeks = ["2025-06-30", "2025-07-07", "2025-07-14", "2025-07-21", "2025-08-04", "2025-08-11", "2025-08-25"]
        for week in weeks:
            if self.random.random() < 0.85:
                price = str(D(self.random.randrange(280, 500)) / 100)
                hour = self.random.randrange(24)
                published = date.fromisoformat(week) + timedelta(days=part)
                out.append(fuel("EIA", "US", week, price, f"{published}T{hour:02d}:00:00Z"))
        if part == 0:
            out += TABLES
        if part == 1:
            out.append(
                table(
                    "DIESEL", "fuel_percent", [("3.50", "19.5"), ("4.50", "30.0")], version=2, valid_from="2025-08-10"
                )
            )
        return out

    def contract(self, name: str, party: str, part: int, basis: str, **more: Any) -> Fact:
        dims = self.random.random() < (0.9 if basis == "per_lb_dim" else 0.3)
        fak = self.random.random() < 0.4
        ranged = fak and self.random.random() < 0.6
        fueled = name == "C5" or self.random.random() < 0.7
        terms = {
            "rate_currency": self.pick("USD", "USD", "CAD", "JPY"),
            "class_table": self.pick("NMFC", some=0.5),
            "fak_class": D(70) if fak else None,
            "fak_from_class": D(60) if ranged else None,
            "fak_to_class": D(125) if ranged else None,
            "minimum_charge": self.pick(self.money(80), some=0.5),
            "discount_percent": self.pick(D("12.5"), D("45.555"), some=0.5),
            "discount_as_line": self.pick(True, False, some=0.7),
            "deficit_weight": self.pick(True, False),
            "dim_divisor": self.pick(D(139), D("194"), D("166.5")) if dims else None,
            "dim_per": self.pick("piece", "shipment") if dims else None,
            "weight_increment_lb": self.pick(D(1), D("0.5"), some=0.4),
            "rounding": self.pick("half_up", "up", "down", some=0.6),
            "valid_from": self.pick("2025-01-01", "2025-07-15", "2025-08-01") if part else "2025-01-01",
            "valid_to": self.pick("2025-08-20", some=0.15),
            "mode": "LTL",
        }
        if fueled:
            terms |= {
                "fuel_table": "NOWHERE" if (name, part) == ("C5", 0) else self.pick("DIESEL", "MILES"),
                "fuel_index": "EIA",
                "fuel_region": "US",
                "fuel_weekday": self.random.randrange(1, 8),
                "fuel_lag_weeks": self.pick(0, 1, some=0.7),
                "fuel_on": self.pick("net_linehaul", "gross_linehaul", some=0.7),
            }
        return contract(name, party, version=part + 1, **{**terms, **more})

    def place(self, name: str) -> tuple[str, str, str]:
        country, state, postal = self.random.choice(PLACES)
        return self.random.choice(
            [
                *[("postal", country, postal.replace(" ", "")[:length]) for length in (1, 2, 3, 5)],
                ("state", country, state),
                ("country", country, ""),
                ("any", "", ""),
                ("any", "", ""),
                ("zone", "", self.random.choice(["Z1", "Z2"])),
            ]
        )

    def lanes(self, name: str, basis: str, part: int) -> list[Fact]:
        out = []
        if part == 0 and name == "C2":
            out += [lane(f"C2-twin{twin}", name, basis, "12.50") for twin in "ab"]
        elif part == 0 and (name in ("C3", "C4") or self.random.random() < 0.8):
            out.append(lane(f"{name}-all", name, basis, [("0", str(self.money(40))), ("1000", str(self.money(9)))]))
        for n in range(7):
            if self.random.random() < (0.2 if part == 0 else 0.7):
                continue
            kind = (
                basis
                if self.random.random() < 0.8
                else self.pick("per_cwt", "per_mile", "per_pallet", "flat", "per_lb_dim")
            )
            starts = sorted(self.random.sample([0, 1, 2, 5, 100, 500, 1000, 5000], self.random.randrange(1, 4)))
            if self.random.random() < 0.8:
                starts[0] = 0
            rates = [self.money(40) for _ in starts]
            if self.random.random() < 0.6:
                rates.sort(reverse=True)
            out.append(
                lane(
                    f"{name}-{n}",
                    name,
                    kind,
                    [(str(start), str(rate)) for start, rate in zip(starts, rates, strict=True)],
                    version=part + 1,
                    origin=self.place(name),
                    destination=self.place(name),
                    equipment=self.pick("VAN", "*", some=0.4),
                    freight_class=self.pick(D(70), D(100), D(175), some=0.35),
                    minimum_charge=self.pick(self.money(200), some=0.3),
                    discount_percent=self.pick(D(0), D("33.3"), some=0.3),
                    valid_from=self.pick("2025-01-01", "2025-07-19", "2025-08-10"),
                    valid_to=self.pick("2025-08-12", "2026-01-01", some=0.3),
                )
            )
        for zone_name, prefix, country in (
            ("Z1", "1", "US"),
            ("Z1", "606", "US"),
            ("Z2", "10", "US"),
            ("Z2", "M", "CA"),
        ):
            if self.random.random() < 0.6:
                out.append(
                    zone(
                        name,
                        zone_name,
                        prefix,
                        country=country,
                        version=part + 1,
                        valid_to=self.pick("2025-08-11", some=0.2),
                    )
                )
        return out

    def service(self, key: str, name: str, code: str, version: int) -> Fact:
        basis = self.pick(
            "flat", "per_hour", "per_unit", "per_hour", "per_cwt", "per_mile", "per_pallet", "percent_of_linehaul"
        )
        least = self.pick(self.money(20), some=0.4)
        return service(
            self.pick(key, key, key, f"{key}-B"),
            name,
            code,
            basis,
            str(self.money(30)),
            version=version,
            free_units=self.pick(D(1), D("0.5"), some=0.4),
            minimum_charge=least,
            maximum_charge=self.pick((least or D(0)) + self.money(60), some=0.4),
            automatic=basis not in ("per_hour", "per_unit") and self.random.random() < 0.2,
            valid_from=self.pick("2025-01-01", "2025-08-10"),
            valid_to=self.pick("2025-08-31", some=0.2),
        )

    def plans(self, count: int) -> Iterator[Fact]:
        for _ in range(count):
            self.shipments += 1
            units = [
                unit(
                    self.pick(*SIDES, some=0.97) or "",
                    self.pick("40", "812.5", "3.25", "1000", some=0.97),
                    self.random.randrange(1, 4),
                    freight_class=self.pick("70", "100", some=0.2),
                )
                for _ in range(self.random.randrange(1, 3))
            ]
            services = self.random.sample(CODES, self.random.choice([0, 0, 0, 0, 1, 2]))
            yield rated_plan(
                f"R{self.shipments}",
                f"S{self.random.randrange(9)}",
                origin=self.random.choice(PLACES),
                destination=self.random.choice(PLACES),
                ship_on=self.pick(*DAYS, some=0.99),
                mode=self.pick("LTL", some=0.5),
                equipment=self.pick("VAN", "REEFER", some=0.7),
                miles=self.pick("790.5", "12.345", "1500", some=0.9),
                pallets=self.pick(1, 4, 26, some=0.9),
                weight_lb=self.pick("950", "412.6", "4999.995", "80", some=0.8),
                freight_class=self.pick("60", "70", "125", "175", some=0.15),
                handling_units=units if self.random.random() < 0.9 else None,
                accessorials=[
                    {"charge_code": c, "quantity": self.pick("3.5", "1", "0.25", some=0.75)} for c in services
                ]
                or None,
            )


def moments(shaped: ShapedWarehouse, facts: Sequence[Fact], records: Sequence[int]) -> list[Any]:
    admitted = {
        (row["feed"], row["record_id"]): row["admitted_at"]
        for row in shaped.rows("select feed, record_id, admitted_at from quality.admission")
    }
    return [admitted[fact.feed, record] for fact, record in zip(facts, records, strict=True)]


@pytest.mark.timeout(1800)
def test_a_plain_rater_agrees_to_the_cent(shaped: ShapedWarehouse) -> None:
    world, cards = World(20260311), Cards()
    told: list[tuple[Fact, Any]] = []
    for part in range(3):
        facts = world.cards(part)
        cards.learn(facts, moments(shaped, facts, shaped.admit(facts)))
        plans = list(world.plans(1100))
        told += zip(plans, moments(shaped, plans, shaped.admit(plans)), strict=True)
        shaped.run("rate_shipments")
    rater = Rater(cards)
    rows = shaped.rows("select shipment_id, charge_code, amount from decisions.rated_charge order by sequence")
    rated: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        assert row["charge_code"] not in rated.setdefault(row["shipment_id"], {})
        rated[row["shipment_id"]][row["charge_code"]] = row["amount"]
    refused = {row["shipment_id"]: row["reason"] for row in shaped.rows("select * from decisions.rating_exception")}
    seen: Counter[str] = Counter()
    wrong = []
    for plan, known_at in told:
        name = f"tms:{plan.columns['shipment_id']}"
        expected: Any
        try:
            expected = rater.rate(plan.columns, known_at, "buy", plan.columns["scac"])
        except Unratable as reason:
            expected = str(reason)
        got = rated.get(name) or refused.get(name)
        seen[expected if isinstance(expected, str) else "rated"] += 1
        if got != expected:
            wrong.append((name, plan.columns["scac"], expected, got))
    assert not wrong, (len(wrong), wrong[:10], seen)
    assert len(told) >= 3000
    assert seen["rated"] > 600
    bases = {
        row["basis"]: row["n"]
        for row in shaped.rows("select basis, count(*) as n from decisions.rating where reason is null group by basis")
    }
    assert set(bases) == {"per_cwt", "per_mile", "per_pallet", "flat", "per_lb_dim"}
    assert min(bases.values()) >= 20, bases
    kinds = shaped.rows(
        """
        select count(*) filter (where deficit_lb is not null) as deficits,
          count(*) filter (where minimum_charge = net_amount) as minimums,
          count(*) filter (where discount_amount > 0) as discounts,
          count(*) filter (where class_rule is not null) as classed,
          count(*) filter (where freight_class <> actual_class) as all_kinds,
          count(*) filter (where fuel_kind = 'fuel_percent') as fuel_percent,
          count(*) filter (where fuel_kind = 'fuel_per_mile') as fuel_per_mile,
          count(*) filter (where billable_lb = dim_lb) as dimensional,
          count(*) filter (where currency = 'JPY') as yen,
          count(*) filter (where jsonb_array_length(schedules) > 0) as services
        from decisions.rating where reason is null
        """
    )[0]
    assert min(kinds.values()) >= 10, kinds
    assert set(seen) >= {
        "no_ship_date",
        "no_contract",
        "several_contracts",
        "no_lane_rate",
        "several_lane_rates",
        "dimensions_missing",
        "weight_missing",
        "miles_missing",
        "pallets_missing",
        "below_lowest_break",
        "no_fuel_table",
        "no_fuel_price",
        "no_accessorial_rate",
        "accessorial_quantity_missing",
    }, seen
    # in whatever order they came, and also when everything is built anew
    before = shaped.rows("select * from decisions.rating order by shipment_id, side")
    build.run_dbt("build", ["tag:rating", "rated_charge"], shaped.settings, full_refresh=True)
    again = shaped.rows("select * from decisions.rating order by shipment_id, side")
    assert [{**row, "changed_in_run": ""} for row in before] == again
