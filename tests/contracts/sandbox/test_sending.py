"""What partners send by themselves: signed webhooks until they are taken, files in every manner carriers know."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freightsync.sandbox.config import SftpTarget

from .conftest import Partners, Receiver


def event(n: int, partner: str = "driver", **more: Any) -> dict[str, Any]:
    return {
        "id": f"a{n}",
        "at": 0,
        "do": "event",
        "partner": partner,
        "event": {"event_id": f"E{n}", "shipment_id": f"SH{n}"},
        "units": {"driver.pod": 1},
        **more,
    }


def test_a_webhook_is_signed_and_sent_again_byte_for_byte_until_taken(
    start_partners: Callable[..., Partners], receiver: Receiver
) -> None:
    partners = start_partners(inbound_url=receiver.url)
    receiver.answers = [503, 500]
    before = time.time()
    pod = {"event_id": "E1", "shipment_id": "SH1", "invoices": ["SO1/SH1"]}
    partners.control("act", {"actions": [event(1, pod=pod)]})
    partners.wait(lambda: receiver.calls)
    assert receiver.refused == []
    assert len(receiver.bodies) == 3
    assert len(set(receiver.bodies)) == 1
    sent = partners.control("log?kind=pod_sent")["items"]
    assert [(s["event_id"], s["invoices"]) for s in sent] == [("E1", ["SO1/SH1"])]
    # the clock of a POD starts at the first attempt, not at the one that worked
    assert receiver.calls[0][2] - before >= 0.9
    partners.wait(lambda: partners.control("day")["waiting"]["driver"] == 0)
    assert len(partners.control("log?kind=resent")["items"]) == 2
    kept = partners.call("driver", "GET", "/api/v1/events").json()["items"]
    assert [e["event_id"] for e in kept] == ["E1"]


def test_calls_of_one_system_keep_their_order_and_share_calls(
    start_partners: Callable[..., Partners], receiver: Receiver
) -> None:
    partners = start_partners(inbound_url=receiver.url)
    receiver.answers = [503]
    for start in (0, 50):
        partners.control("act", {"actions": [event(n, "tms") for n in range(start, start + 50)]})
    partners.wait(lambda: partners.control("day")["waiting"]["tms"] == 0 and receiver.calls)
    found = [e["event_id"] for _, body, _ in receiver.calls for e in body["events"]]
    assert found == [f"E{n}" for n in range(100)]
    assert len(receiver.calls) <= 6


def test_calls_that_must_be_refused_are_refused_and_not_repeated(
    start_partners: Callable[..., Partners], receiver: Receiver
) -> None:
    partners = start_partners(inbound_url=receiver.url)
    bad = [
        {"id": f"b{n}", "at": 0, "do": "call", "partner": "bluw", "bad": kind, "body": {"events": [{"event_id": "X"}]}}
        for n, kind in enumerate(("signature", "stale", "unsigned"))
    ]
    partners.control("act", {"actions": bad})
    partners.wait(lambda: partners.control("day")["waiting"]["bluw"] == 0)
    assert receiver.refused == ["bluw"] * 3
    assert receiver.calls == []


def test_what_waits_is_sent_after_a_restart(start_partners: Callable[..., Partners], receiver: Receiver) -> None:
    first = start_partners(inbound_url="http://127.0.0.1:9")
    first.control("act", {"actions": [event(1)]})
    first.thread.stop()
    second = start_partners(inbound_url=receiver.url)
    second.wait(lambda: receiver.calls)
    assert [b["events"][0]["event_id"] for _, b, _ in receiver.calls] == ["E1"]


def test_files_arrive_whole_by_rename_in_place_and_slowly(
    start_partners: Callable[..., Partners], sftp: tuple[SftpTarget, Path]
) -> None:
    target, root = sftp
    partners = start_partners(sftp=target)
    content = "".join(f"line {n}\n" for n in range(500))
    for manner in ("slow", "rename", "direct"):
        file = {"id": manner, "at": 0, "do": "file", "partner": "nrdf", "name": f"210_{manner}.edi", "content": content}
        partners.control("act", {"actions": [{**file, "manner": manner, "units": {}}]})
    inbound = root / "nrdf" / "inbound"
    slow = inbound / "210_slow.edi"
    partners.wait(lambda: (inbound / "210_direct.edi").exists() and (inbound / "210_rename.edi").exists())
    partners.wait(lambda: slow.exists() and slow.stat().st_size > 0)
    # the files behind a slow one do not wait for it
    assert slow.stat().st_size < len(content)
    partners.wait(lambda: partners.control("day")["waiting"]["nrdf_files"] == 0)
    assert {p.name: p.read_text() for p in inbound.iterdir()} == {
        f"210_{manner}.edi": content for manner in ("slow", "rename", "direct")
    }


def test_a_server_with_another_host_key_is_not_trusted(
    start_partners: Callable[..., Partners], sftp: tuple[SftpTarget, Path]
) -> None:
    target, root = sftp
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    partners = start_partners(sftp=target.model_copy(update={"host_key": other}))
    file = {
        "id": "f",
        "at": 0,
        "do": "file",
        "partner": "nrdf",
        "name": "214_1.edi",
        "content": "x",
        "manner": "direct",
        "units": {},
    }
    partners.control("act", {"actions": [file]})
    partners.wait(lambda: "nrdf_files" in partners.control("day")["problems"])
    assert list((root / "nrdf" / "inbound").iterdir()) == []


def day(path: Path, actions: list[dict[str, Any]], **more: Any) -> str:
    path.write_text(json.dumps({"seed": 1, "minutes": 100, "expected_orders": {}, "actions": actions, **more}))
    return str(path)


def test_what_depends_on_us_waits_and_the_rest_goes_on(
    start_partners: Callable[..., Partners], receiver: Receiver, tmp_path: Path
) -> None:
    partners = start_partners(inbound_url=receiver.url)
    line = {"line": 1, "item_id": "I1", "quantity": 5}
    sizes = {"pallet_length_in": "48.00", "pallet_width_in": "40.00", "pallet_height_in": "50.00"}
    expected = {"SO1/1": {"status": "released", "ship_to_id": "T1", "lines": [line | sizes]}}
    actions = [
        {
            "id": "m",
            "at": -1,
            "do": "erp_put",
            "collection": "carriers",
            "document": {"carrier_id": "NRDF", "scac": "NRDF"},
        },
        event(1, "tms", after=["tms:SO1/1"]),
        event(2, "driver", at=50, after=["done:a1"]),
        event(3, "driver", at=60),
    ]
    path = day(tmp_path / "scenario.json", actions, expected_orders=expected)
    partners.control("scenario", {"path": path})
    assert len(partners.call("erp", "GET", "/api/v1/carriers").json()["items"]) == 1
    partners.control("start", {"seconds": 0.5})
    partners.wait(lambda: receiver.calls)
    progress = partners.control("day")
    assert [b["events"][0]["event_id"] for _, b, _ in receiver.calls] == ["E3"]
    assert (progress["state"], progress["waiting_for"]) == ("running", {"tms": 1, "done": 1})

    def release(key: str, **changes: Any) -> tuple[int, str]:
        sent = {"order_number": "SO1", "version": 1, "ship_to_id": "T1", "lines": [line | sizes | changes]}
        answer = partners.call("tms", "POST", "/api/v1/orders", key=key, json=sent)
        return answer.status_code, answer.json().get("field", "")

    assert release("a", quantity=6) == (422, "lines[0].quantity")
    assert release("b", pallet_height_in=None) == (422, "lines[0].pallet_height_in")
    assert release("c", pallet_height_in="51") == (422, "lines[0].pallet_height_in")
    assert release("d", pallet_height_in="50.0") == (201, "")
    partners.wait(lambda: partners.control("day")["quiet"])
    assert [b["events"][0]["event_id"] for _, b, _ in receiver.calls] == ["E3", "E1", "E2"]


def test_a_day_goes_on_after_a_restart(
    start_partners: Callable[..., Partners], receiver: Receiver, tmp_path: Path
) -> None:
    first = start_partners(inbound_url=receiver.url)
    later = [event(n, "driver", at=n, after=["read:customers"] if n > 30 else []) for n in range(60)]
    first.control("scenario", {"path": day(tmp_path / "scenario.json", later)})
    first.control("start", {"seconds": 1.0})
    first.wait(lambda: len(receiver.calls) > 5)
    first.thread.stop()
    second = start_partners(inbound_url=receiver.url)
    assert second.call("erp", "GET", "/api/v1/customers").status_code == 200
    second.wait(lambda: second.control("day")["quiet"])
    seen = [b["events"][0]["event_id"] for _, b, _ in receiver.calls]
    assert set(seen) == {f"E{n}" for n in range(60)}


def test_a_reset_forgets_what_waits_and_what_is_on_its_way(
    start_partners: Callable[..., Partners], receiver: Receiver
) -> None:
    partners = start_partners(inbound_url=receiver.url)
    receiver.answers = [503] * 2
    partners.control("act", {"actions": [event(1), event(2)]})
    partners.wait(lambda: len(receiver.bodies) >= 2)
    partners.control("reset", {})
    partners.control("act", {"actions": [event(3)]})
    partners.wait(lambda: partners.control("day")["waiting"]["driver"] == 0)
    assert [b["events"][0]["event_id"] for _, b, _ in receiver.calls] == ["E3"]
    kept = partners.call("driver", "GET", "/api/v1/events").json()["items"]
    assert [e["event_id"] for e in kept] == ["E3"]


def test_events_are_listed_once_they_arrived_or_were_missed(
    start_partners: Callable[..., Partners], receiver: Receiver
) -> None:
    partners = start_partners(inbound_url=receiver.url)

    def listed() -> list[str]:
        return [e["event_id"] for e in partners.call("tms", "GET", "/api/v1/events").json()["items"]]

    receiver.answers = [503] * 2
    partners.control("act", {"actions": [event(1, "tms")]})
    partners.wait(lambda: receiver.bodies)
    assert listed() == []
    partners.wait(lambda: receiver.calls)
    partners.wait(lambda: listed() == ["E1"])
    receiver.answers = [503] * 7
    partners.control("act", {"actions": [event(2, "tms")]})
    partners.wait(lambda: listed() == ["E1", "E2"], 30)
    assert len(receiver.calls) == 1
