"""Rate cards and plans as facts, and the class tables of the trade."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from shaped import Fact, Touch

D = Decimal
Places = tuple[str, str, str]
"""kind, country, value"""

DENSITY_CLASSES = [
    ("0", "400"),
    ("1", "300"),
    ("2", "250"),
    ("4", "175"),
    ("6", "125"),
    ("8", "100"),
    ("10", "92.5"),
    ("12", "85"),
    ("15", "70"),
    ("22.5", "65"),
]
EARLIER_CLASSES = [*DENSITY_CLASSES, ("30", "60")]
"""The density scale of LTL freight until 18 July 2025: eleven steps."""
CLASSES_OF_2025 = [*DENSITY_CLASSES, ("30", "60"), ("35", "55"), ("50", "50")]
"""The same from 19 July 2025: thirteen."""

_numbers = itertools.count(1)


def contract(
    contract_id: str, party: str, *, side: str = "buy", version: int = 1, mode: str = "LTL", **more: Any
) -> Fact:
    who = {"scac": party} if side == "buy" else {"customer_id": party}
    columns = {
        "contract_id": contract_id,
        "version": version,
        "side": side,
        **who,
        "mode": mode,
        "rate_currency": "USD",
        "valid_from": "2025-01-01",
        **more,
    }
    touches: list[Touch] = [
        ("rate_shipments", "contract", contract_id),
        ("rate_shipments", "contract_party", f"{side}:{party}"),
    ]
    return Fact("rates.contract", "rate_contract", columns, touches)


def lane(
    rate_id: str,
    contract_id: str,
    basis: str,
    breaks: Sequence[tuple[str, str]] | str,
    *,
    version: int = 1,
    origin: Places = ("any", "", ""),
    destination: Places = ("any", "", ""),
    **more: Any,
) -> Fact:
    """breaks: [(from, rate)], or one rate."""
    steps = [("0", breaks)] if isinstance(breaks, str) else list(breaks)
    columns = {
        "rate_id": rate_id,
        "version": version,
        "contract_id": contract_id,
        "origin_kind": origin[0],
        "origin_country": origin[1] or None,
        "origin": origin[2] or None,
        "destination_kind": destination[0],
        "destination_country": destination[1] or None,
        "destination": destination[2] or None,
        "basis": basis,
        "valid_from": "2025-01-01",
        "break_count": len(steps),
        **more,
    }
    lines = [{"line": n, "from_quantity": D(start), "rate": D(rate)} for n, (start, rate) in enumerate(steps, 1)]
    return Fact("rates.lane_rate", "rate_lane", columns, [("rate_shipments", "contract", contract_id)], lines)


def service(name: str, contract_id: str, charge_code: str, basis: str, rate: str, **more: Any) -> Fact:
    columns = {
        "accessorial_id": name,
        "version": 1,
        "contract_id": contract_id,
        "charge_code": charge_code,
        "basis": basis,
        "rate": D(rate),
        "valid_from": "2025-01-01",
        **more,
    }
    return Fact("rates.accessorial", "rate_accessorial", columns, [("rate_shipments", "contract", contract_id)])


def zone(contract_id: str, name: str, prefix: str, *, country: str = "US", **more: Any) -> Fact:
    columns = {
        "zone_id": f"{contract_id} {name} {country}{prefix}",
        "version": 1,
        "contract_id": contract_id,
        "zone": name,
        "country": country,
        "postal_prefix": prefix,
        "valid_from": "2025-01-01",
        **more,
    }
    return Fact("rates.zone", "rate_zone", columns, [("rate_shipments", "contract", contract_id)])


def table(table_id: str, kind: str, bands: Sequence[tuple[str, str]], **more: Any) -> Fact:
    columns = {
        "table_id": table_id,
        "version": 1,
        "kind": kind,
        "valid_from": "2020-01-01",
        "band_count": len(bands),
        **more,
    }
    lines = [{"line": n, "from_value": D(start), "value": D(value)} for n, (start, value) in enumerate(bands, 1)]
    touches: list[Touch] = [("rate_shipments", "band_table", table_id)]
    return Fact("rates.band_table", "rate_band_table", columns, touches, lines)


def fuel(index: str, region: str, week_on: str, price: str, published_at: str) -> Fact:
    columns = {
        "fuel_index": index,
        "region": region,
        "week_on": week_on,
        "price": D(price),
        "published_at": published_at,
    }
    return Fact("rates.fuel_price", "fuel_price", columns, [("rate_shipments", "fuel_index", f"{index}/{region}")])


def unit(sides: str, weight: str | None, count: int = 1, **more: Any) -> dict[str, Any]:
    """sides: as 48x40x50; empty: unknown."""
    length, width, height = sides.split("x") if sides else (None, None, None)
    return {"count": count, "length_in": length, "width_in": width, "height_in": height, "weight_lb": weight, **more}


def rated_plan(
    number: str,
    scac: str,
    *,
    origin: tuple[str, str, str] = ("US", "IL", "60601"),
    destination: tuple[str, str, str] = ("US", "NY", "10001"),
    charges: Sequence[dict[str, str]] = (),
    orders: Sequence[str] = (),
    **more: Any,
) -> Fact:
    """A plan that has no charges unless they are given. Places: country, state, postal code."""
    columns = {
        "shipment_id": number,
        "plan_version": 1,
        "event_id": f"plan {number} {next(_numbers)}",
        "occurred_at": "2026-03-01T00:00:00Z",
        "scac": scac,
        "pro_number": f"PRO{number}",
        "bol_number": f"BOL{number}",
        "ship_on": "2026-03-11",
        "pieces": 1,
        "currency": "USD",
        "amount": sum((D(part["amount"]) for part in charges), D(0)),
        "order_lines": [{"order_number": order, "line": 1, "quantity": 1, "weight_lb": "10"} for order in orders],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "stops": [
            {
                "sequence": n,
                "kind": kind,
                "country": place[0],
                "state": place[1],
                "postal_code": place[2],
                "time_zone": "America/Chicago",
            }
            for n, kind, place in ((1, "pickup", origin), (2, "delivery", destination))
        ],
        "charges": list(charges),
        **more,
    }
    touches: list[Touch] = [
        ("rate_shipments", "shipment", f"tms:{number}"),
        ("ingest_shipment_events", "shipment", f"tms:{number}"),
    ]
    return Fact("tms.shipment_plan", "shipment_plan", columns, touches)
