"""Payloads of a carrier's webhook in, records and rejects out."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from freightsync.systems.carrier_api.parse import parse_events

EVENT = {
    "event_id": "B-1",
    "pro_number": "77001",
    "stop_sequence": 2,
    "code": "DELIVERED",
    "occurred_local": "2026-07-01T14:05:00",
    "time_zone": "America/Chicago",
    "city": "Joliet",
    "state": "IL",
    "country": "US",
}


def read(*events: Any) -> Any:
    return parse_events(json.dumps({"events": events}).encode(), scac="BLUW")["carrier.status_webhook"]


def test_a_local_time_with_its_zone_is_a_moment_and_keeps_both() -> None:
    (record,) = read(EVENT).records
    assert record.values["occurred_local"] == dt.datetime(2026, 7, 1, 14, 5)  # noqa: DTZ001 (a wall clock)
    assert record.values["occurred_at"] == dt.datetime(2026, 7, 1, 19, 5, tzinfo=dt.UTC)
    assert (record.values["reference_kind"], record.values["reference"]) == ("pro", "77001")


def test_an_hour_that_the_zone_has_twice_is_no_moment() -> None:
    (record,) = read({**EVENT, "occurred_local": "2026-11-01T01:30:00"}).records
    assert record.values["occurred_at"] is None
    assert record.values["occurred_local"].hour == 1


def test_without_a_zone_there_is_only_the_local_time() -> None:
    (record,) = read({k: v for k, v in EVENT.items() if k != "time_zone"}).records
    assert record.values["occurred_at"] is None


def test_the_shippers_id_is_the_better_reference_and_none_is_left_to_the_gate() -> None:
    both, neither = read({**EVENT, "shipment_id": "SH9"}, {**EVENT, "pro_number": None}).records
    assert (both.values["reference_kind"], both.values["reference"]) == ("shipment_id", "SH9")
    assert (neither.values["reference_kind"], neither.values["reference"]) == (None, None)


def test_unknown_codes_are_records_and_unknown_zones_rejects() -> None:
    parsed = read({**EVENT, "code": "LOST"}, {**EVENT, "time_zone": "Mars/Olympus"}, "no object")
    assert [r.values["status_code"] for r in parsed.records] == ["LOST"]
    assert [r.position for r in parsed.rejects] == ["events[1]", "events[2]"]
    assert parsed.totals == [(None, 3, None)]
