"""Whatever landing can hold of rate cards, prices and plans: what the gate lets in of it, rating can build. One row
that no model can keep would stop every run."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from rate_cards import contract, fuel, lane, rated_plan, service, table, unit, zone
from shaped import Fact, ShapedWarehouse
from small_world import charge

from freightsync.landing import land
from freightsync.landing.feeds import RATE_FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.quality import gate
from freightsync.systems.parsed import Parsed, Record
from freightsync.warehouse.connection import connect

D = Decimal
EXTREMES: dict[str, list[Any]] = {
    "text": [None, "", " ", "-", "é" * 300, "zone", "postal", "percent_of_linehaul", "fuel_per_mile"],
    "date": [None, dt.date.min, dt.date.max, dt.date(2026, 1, 1)],
    "timestamptz": [None, dt.datetime(1, 1, 2, tzinfo=dt.UTC), dt.datetime(9999, 12, 30, tzinfo=dt.UTC)],
    "boolean": [None, True, False],
    "integer": [None, -1, 0, 2**31 - 1],
}


def extremes(kind: str) -> list[Any]:
    if not kind.startswith("numeric"):
        return EXTREMES.get(kind, [])
    digits, decimals = map(int, kind[8:-1].split(","))
    largest = D(10) ** (digits - decimals) - D(1).scaleb(-decimals)
    return [None, D(0), D(1).scaleb(-decimals), D(-1), D(1), largest]


SOUND: list[Fact] = [
    contract(
        "G", "GOOD", class_table="T", minimum_charge=D(5), dim_divisor=D(139), dim_per="shipment", deficit_weight=True
    ),
    lane("G-1", "G", "per_cwt", [("0", "10"), ("500", "8")]),
    service("G-2", "G", "LIFTGATE", "flat", "75.00"),
    zone("G", "Z1", "606"),
    table("T", "class", [("0", "400"), ("50", "50")]),
    fuel("EIA", "US", "2026-03-09", "3.99", "2026-03-09T15:00:00Z"),
]
KEYS = {
    "rates.contract": "contract_id",
    "rates.lane_rate": "rate_id",
    "rates.accessorial": "accessorial_id",
    "rates.zone": "zone_id",
    "rates.band_table": "table_id",
    "rates.fuel_price": "region",
}
NEVER_NULL = {"version", "week_on", "fuel_index", *KEYS.values()}
"""What landing itself refuses to be without."""


def odd(sound: Fact) -> Iterator[Record]:
    """A sound record, then the same under a key of its own with one value changed to each extreme of its type."""
    spec = feed_named(sound.feed)
    key = KEYS[sound.feed]
    number = 0

    def record(changes: dict[str, Any], line_changes: dict[str, Any]) -> Record:
        nonlocal number
        number += 1
        odd_one = str(number) if number > 1 else ""
        # each odd contract with a carrier of its own, each odd rate in the odd contract of its number
        values = {**sound.columns, key: f"{sound.columns[key]}{odd_one}"}
        values |= {
            name: f"{values[name]}{odd_one}" for name in ("scac", "contract_id") if values.get(name) and name != key
        }
        values |= changes
        lines = [{**line, **(line_changes if line["line"] == 1 else {})} for line in copy.deepcopy(list(sound.lines))]
        return Record(number, f"row {number}", values, lines=lines)

    yield record({}, {})
    for column in spec.columns:
        for value in extremes(column.type):
            if value is not None or column.name not in NEVER_NULL:
                yield record({column.name: value}, {})
    for column in spec.lines[1:]:
        for value in extremes(column.type):
            yield record({}, {column.name: value})
    # the same version twice, with other content
    again = record({}, {})
    yield again
    other = "price" if sound.feed == "rates.fuel_price" else "valid_to"
    value: Any = D("4.5") if other == "price" else dt.date(2027, 1, 1)
    yield Record(again.ordinal + 1, "again", {**again.values, other: value}, lines=again.lines)
    yield Record(again.ordinal + 2, "no lines", {**again.values, key: "nothing"})


def put(conn: Any, feed: str, records: list[Record]) -> None:
    parsed = Parsed()
    for ordinal, record in enumerate(records, 1):
        record.ordinal = ordinal
        parsed.received(record.amount, record.currency)
        parsed.records.append(record)
    land(
        conn,
        feed=feed,
        partner="pricing",
        channel="sftp",
        name=feed,
        content=feed.encode(),
        parsed=parsed,
        run_id="test",
    )


@pytest.mark.timeout(900)
def test_what_the_gate_admits_rating_can_build(shaped: ShapedWarehouse) -> None:
    shaped.admit([charge("1", "LFT", "LIFTGATE", "6100")])
    plans = []
    moved = rated_plan(
        "M",
        "GOOD",
        orders=["A"],
        weight_lb="400",
        miles="10",
        pallets=2,
        handling_units=[unit("48x40x50", "200", 2)],
        accessorials=[{"charge_code": "LIFTGATE", "quantity": "1"}],
    ).columns
    for column in feed_named("tms.shipment_plan").columns[-6:]:
        for value in extremes(column.type):
            plans.append({column.name: value})
    plans += (
        [{"handling_units": [unit("48x40x50", "200", count)]} for count in (-1, 0, 2**31 - 1)]
        + [
            {"handling_units": [unit(sides, weight)]}
            for sides, weight in (
                ("0x40x50", "1"),
                ("99999999x1x1", "1"),
                ("", "1"),
                ("0.001x1x1", "1"),
                ("1x1x1", "9e15"),
            )
        ]
        + [{"accessorials": [{"charge_code": "LIFTGATE", "quantity": value}]} for value in ("-1", "1e15", None, "0")]
        + [
            {"accessorials": [{"charge_code": "LIFTGATE", "quantity": "1"}] * 2},
            {"weight_lb": D("999999999.999")},
            {"weight_lb": D(0)},
            {"ship_on": dt.date.max},
            {"ship_on": dt.date.min},
            {"ship_on": None},
        ]
    )
    with connect(shaped.settings.dsn("app")) as conn:
        for sound in SOUND:
            put(conn, sound.feed, list(odd(sound)))
        plans += [{"scac": f"GOOD{n}"} for n in range(2, 160)]
        for n, changes in enumerate(plans, 1):
            values = {**moved, "shipment_id": f"M{n}", **changes}
            values.pop("amount"), values.pop("currency")
            plans[n - 1] = values
        put(
            conn,
            "tms.shipment_plan",
            [Record(n, f"row {n}", values, D(0), "USD") for n, values in enumerate(plans, 1)],
        )
        conn.commit()
        results = {
            result.feed: result
            for result in gate(conn, [*RATE_FEEDS, "tms.shipment_plan"], "test", great_expectations=False)
        }
        conn.commit()
    for feed, result in results.items():
        assert result.verdict == "failed", feed
        assert result.accepted > 5, feed
        assert result.quarantined > 5, feed
    shaped.run("rate_shipments")
    judged = shaped.rows("select count(*) as n from decisions.rating")[0]["n"]
    assert judged == results["tms.shipment_plan"].accepted
    assert shaped.rows("select count(*) as n from decisions.rating where reason is null")[0]["n"] > 5
