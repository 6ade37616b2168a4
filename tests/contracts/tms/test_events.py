"""TMS payloads in, records and rejects out."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

from freightsync.systems.tms.parse import parse_events, parse_lanes

PLAN: dict[str, Any] = {
    "event_id": "T-1",
    "event_type": "shipment_planned",
    "occurred_at": "2026-03-02T08:00:00+00:00",
    "data": {
        "shipment_id": "SH100001",
        "plan_version": 1,
        "scac": "NRDF",
        "pro_number": "P1",
        "bol_number": "B1",
        "booking_reference": "BK1",
        "equipment": "LTL",
        "ship_on": "2026-03-02",
        "weight_lb": "1200.5",
        "pieces": 10,
        "currency": "USD",
        "order_lines": [{"order_number": "SO1", "line": 1, "quantity": 10, "weight_lb": "1200.5"}],
        "stops": [
            {
                "sequence": 1,
                "kind": "pickup",
                "location_id": "DC1",
                "city": "Reno",
                "state": "NV",
                "postal_code": "89501",
                "country": "US",
                "time_zone": "America/Los_Angeles",
                "appointment_from": None,
                "appointment_to": None,
            },
            {"sequence": 2, "kind": "delivery", "appointment_from": "2026-03-04T08:00:00-05:00"},
        ],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "charges": [
            {"charge_code": "LINEHAUL", "amount": "400.10"},
            {"charge_code": "DISCOUNT", "amount": "-10.05"},
        ],
    },
}
TENDER = {
    "event_id": "T-2",
    "event_type": "tender_declined",
    "occurred_at": "2026-03-02T09:00:00+00:00",
    "data": {"shipment_id": "SH100001", "scac": "NRDF", "round": 1, "reason": "no capacity"},
}


def body(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()


def test_one_body_is_parted_into_plans_and_statuses_each_with_its_place() -> None:
    found = parse_events(body(TENDER, PLAN))
    (plan,) = found["tms.shipment_plan"].records
    (status,) = found["tms.shipment_event"].records
    assert (status.position, plan.position) == ("events[0]", "events[1]")
    assert (plan.amount, plan.currency) == (Decimal("390.05"), "USD")
    assert found["tms.shipment_plan"].totals == [("USD", 1, Decimal("390.05"))]
    assert plan.values["stops"][1]["appointment_from"] == "2026-03-04T08:00:00-05:00"
    assert plan.values["charges"][1] == {"charge_code": "DISCOUNT", "amount": "-10.05"}
    assert status.values["status_code"] == "tender_declined"
    assert status.values["reason_code"] == "no capacity"
    assert status.values["details"] == {"round": 1}


def test_a_charge_that_cannot_be_read_rejects_the_plan_with_unknown_money() -> None:
    bad = copy.deepcopy(PLAN)
    bad["data"]["charges"][0]["amount"] = "4OO.10"
    parsed = parse_events(body(bad))["tms.shipment_plan"]
    (reject,) = parsed.rejects
    assert reject.natural_key == "SH100001"
    assert 'data.charges[0].amount "4OO.10" is not an amount of money' in reject.messages[0]
    assert parsed.totals == [(None, 1, None)]
    assert reject.amount is None


def test_a_fraction_of_a_cent_is_no_amount() -> None:
    bad = copy.deepcopy(PLAN)
    bad["data"]["charges"][0]["amount"] = "400.101"
    assert parse_events(body(bad))["tms.shipment_plan"].rejects


def test_an_unknown_event_type_is_kept_for_the_gate_to_refuse() -> None:
    (record,) = parse_events(body({**TENDER, "event_type": "teleported"}))["tms.shipment_event"].records
    assert record.values["status_code"] == "teleported"


def test_a_body_that_is_no_list_is_unreadable() -> None:
    for content in (b"", b"null", b'{"events": {}}', b'{"events": [NaN]}', b"[" * 100_000):
        found = parse_events(content)["tms.shipment_event"]
        assert found.unreadable is not None
        assert found.unreadable.reason == "unreadable_file"


def test_lanes() -> None:
    page = {"items": [{"lane_id": "L1", "version": 2, "changed_at": "2026-03-01T00:00:00Z", "transit_days": 3}]}
    (lane,) = parse_lanes(json.dumps(page).encode()).records
    assert (lane.values["version"], lane.values["transit_days"]) == (2, 3)


def test_what_rating_needs_is_read_where_a_plan_says_it() -> None:
    plan = copy.deepcopy(PLAN)
    plan["data"] |= {
        "mode": "LTL",
        "miles": "790.5",
        "pallets": 4,
        "freight_class": "92.5",
        "handling_units": [
            {"count": 2, "length_in": "48", "width_in": "40", "height_in": "50.5", "weight_lb": "600.25"}
        ],
        "accessorials": [{"charge_code": "LIFTGATE"}, {"charge_code": "DETENTION", "quantity": "3.5"}],
        "charges": [],
    }
    (record,) = parse_events(body(plan))["tms.shipment_plan"].records
    assert record.values["handling_units"] == [
        {
            "count": 2,
            "length_in": "48",
            "width_in": "40",
            "height_in": "50.5",
            "weight_lb": "600.25",
            "freight_class": None,
        }
    ]
    assert record.values["accessorials"] == [
        {"charge_code": "LIFTGATE", "quantity": None},
        {"charge_code": "DETENTION", "quantity": "3.5"},
    ]
    assert (record.values["mode"], record.values["miles"], record.values["pallets"]) == ("LTL", Decimal("790.5"), 4)
    assert record.values["freight_class"] == Decimal("92.5")
    assert record.amount == 0
    # what it doesn't say is absent, so that plans of before keep their identity
    (before,) = parse_events(body(PLAN))["tms.shipment_plan"].records
    asked = ("mode", "miles", "pallets", "freight_class", "handling_units", "accessorials")
    assert {before.values[name] for name in asked} == {None}
    # nothing is rounded without a word
    plan["data"] |= {"miles": "790.1234", "handling_units": [{"length_in": "48"}]}
    (reject,) = parse_events(body(plan))["tms.shipment_plan"].rejects
    assert "data.miles 790.1234 has too many digits" in reject.messages[0]
    assert "data.handling_units[0].count is missing" in reject.messages[0]
