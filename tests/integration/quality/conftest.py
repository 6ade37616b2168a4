"""Warehouses as the gate meets them, and documents to put into them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from freightsync.landing import Landed, land
from freightsync.quality import gate
from freightsync.systems.carrier_api.parse import parse_events as parse_bluw
from freightsync.systems.driver.parse import parse_events as parse_driver
from freightsync.systems.erp.parse import parse_page
from freightsync.systems.parsed import Parsed
from freightsync.systems.tms.parse import parse_events as parse_tms
from freightsync.warehouse.connection import connect

_number = itertools.count(1)

CODES = [
    ("tms", "tender_sent"),
    ("tms", "tender_accepted"),
    ("bluw", "DELIVERED"),
    ("driver", "arrived"),
    ("wms", "shipped"),
    ("x12_214", "D1"),
]


@pytest.fixture
def conn(warehouse: Any) -> Iterator[psycopg.Connection[Any]]:
    with connect(warehouse.dbt) as owner:
        owner.execute("create schema if not exists seeds")
        owner.execute("create table if not exists seeds.status_code_map (code_set text, status_code text)")
        with owner.cursor() as cursor:
            cursor.executemany("insert into seeds.status_code_map values (%s, %s)", CODES)
    with connect(warehouse.app) as connection:
        yield connection


def put(conn: psycopg.Connection[Any], feed: str, parsed: Parsed, partner: str = "erp") -> Landed:
    number = next(_number)
    return land(
        conn,
        feed=feed,
        partner=partner,
        channel="api",
        name=f"document {number}",
        content=f"document {number}".encode(),
        parsed=parsed,
        run_id="test",
    )


def page(conn: psycopg.Connection[Any], feed: str, *items: dict[str, Any]) -> Landed:
    landed = put(conn, feed, parse_page(feed, json.dumps({"items": items}).encode()))
    conn.commit()
    return landed


def call(conn: psycopg.Connection[Any], partner: str, *events: dict[str, Any]) -> list[Landed]:
    body = json.dumps({"events": events}).encode()
    parsed = {
        "tms": parse_tms,
        "driver": parse_driver,
        "bluw": lambda b: parse_bluw(b, scac="BLUW"),
    }[partner](body)
    landed = [put(conn, feed, one, partner) for feed, one in parsed.items()]
    conn.commit()
    return landed


def rows(conn: psycopg.Connection[Any], query: str, *params: Any) -> list[tuple[Any, ...]]:
    with conn.transaction():
        return conn.execute(query.encode(), params or None).fetchall()


def touched(conn: psycopg.Connection[Any]) -> set[tuple[str, str, str]]:
    return set(rows(conn, "select consumer, aggregate_type, aggregate_id from ops.touched"))  # type: ignore[arg-type]


MASTER = {
    "erp.customer": [
        {
            "customer_id": "C1",
            "version": 1,
            "changed_at": "2026-03-01T00:00:00Z",
            "name": "Acme",
            "freight_billing": "pass_through",
            "invoice_per": "shipment",
            "markup_percent": "5",
        }
    ],
    "erp.ship_to": [{"ship_to_id": "ST1", "version": 1, "changed_at": "2026-03-01T00:00:00Z", "customer_id": "C1"}],
    "erp.item": [
        {
            "item_id": "I1",
            "version": 1,
            "changed_at": "2026-03-01T00:00:00Z",
            "pallet_length_in": "48",
            "pallet_width_in": "40",
            "pallet_height_in": "50",
        },
        {"item_id": "I2", "version": 1, "changed_at": "2026-03-01T00:00:00Z"},
    ],
    "erp.carrier": [
        {"carrier_id": "K1", "version": 1, "changed_at": "2026-03-01T00:00:00Z", "scac": "NRDF"},
        {
            "carrier_id": "K2",
            "version": 1,
            "changed_at": "2026-03-01T00:00:00Z",
            "scac": "SAKU",
            "carrier_currency": "JPY",
        },
    ],
    "erp.charge_code": [
        {
            "charge_code_id": f"CC-{code}",
            "version": 1,
            "changed_at": "2026-03-01T00:00:00Z",
            "scac": scac,
            "partner_code": code,
            "charge_code": canonical,
            "ledger_account": "6100",
        }
        for scac, code, canonical in (("NRDF", "400", "LINEHAUL"), ("*", "FUE", "FUEL"), ("*", "LFT", "LIFTGATE"))
    ],
}


def synchronise(conn: psycopg.Connection[Any]) -> None:
    """Lands and gates the master data above."""
    for feed, items in MASTER.items():
        page(conn, feed, *items)
    gate(conn, list(MASTER), "masters", great_expectations=False)
