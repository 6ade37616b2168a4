"""Signed calls: what is believed, what is kept, what is told to whom."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any

import pytest

from freightsync.domain.errors import BadSignature, PermanentError
from freightsync.landing import inbound
from freightsync.landing.inbound import Receipt, receive
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
SECRET = "s3cret"


@pytest.fixture
def settings(warehouse: Any) -> Settings:
    found: Settings = warehouse.settings(
        partners={name: {"webhook_secret": SECRET} for name in ("tms", "bluw", "driver")}
    )
    return found


@pytest.fixture
def conn(warehouse: Any) -> Any:
    with connect(warehouse.app) as connection:
        yield connection


def signed(body: bytes, at: dt.datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Freightsync-Timestamp": stamp, "X-Freightsync-Signature": f"v1={digest}"}


def body_of(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events}).encode()


STOP = {
    "event_id": "D-1",
    "type": "arrived",
    "shipment_id": "SH1",
    "stop_sequence": 2,
    "at": "2026-03-02T08:00:00-05:00",
}
POD = {
    "event_id": "D-2",
    "type": "pod_captured",
    "shipment_id": "SH1",
    "stop_sequence": 2,
    "at": "2026-03-02T09:00:00-05:00",
    "signed_by": "J. Doe",
    "pieces_delivered": 12,
    "osd": [{"kind": "short", "pieces": 1}],
    "document": {"name": "pod.pdf", "content_base64": base64.b64encode(b"%PDF-1").decode()},
}


def test_a_drivers_call_lands_events_and_pod_in_their_own_feeds(conn: Any, settings: Settings) -> None:
    body = body_of(STOP, POD)
    receipt = receive(conn, "driver", body, signed(body), NOW, settings=settings)
    assert (receipt.records, receipt.duplicates, receipt.rejects) == (2, 0, 0)
    assert conn.execute("select source, status_code, reference, occurred_at from landing.status_event").fetchall() == [
        ("driver.event", "arrived", "SH1", dt.datetime(2026, 3, 2, 13, tzinfo=dt.UTC))
    ]
    (pod,) = conn.execute(
        "select shipment_id, signed_by, pieces_delivered, osd, document_sha256, position from landing.proof_of_delivery"
    ).fetchall()
    assert pod == (
        "SH1",
        "J. Doe",
        12,
        [{"kind": "short", "pieces": 1}],
        hashlib.sha256(b"%PDF-1").hexdigest(),
        "events[1]",
    )


def test_a_retry_of_the_same_call_counts_and_changes_nothing(conn: Any, settings: Settings) -> None:
    body = body_of(STOP, POD)
    receive(conn, "driver", body, signed(body), NOW, settings=settings)
    later = NOW + dt.timedelta(seconds=5)
    again = receive(conn, "driver", body, signed(body, later), later, settings=settings)
    assert (again.records, again.duplicates) == (0, 2)
    alone = body_of(STOP)
    assert receive(conn, "driver", alone, signed(alone), NOW, settings=settings).duplicates == 1
    assert conn.execute("select count(*) from landing.record").fetchone() == (2,)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        (signed(body_of(STOP), secret="other"), "signature_wrong"),
        (signed(b"another body"), "signature_wrong"),
        (signed(body_of(STOP), NOW - dt.timedelta(seconds=301)), "timestamp_too_old"),
        (signed(body_of(STOP), NOW + dt.timedelta(seconds=301)), "timestamp_too_old"),
    ],
)
def test_a_call_that_is_not_believed_is_kept_and_becomes_no_record(
    warehouse: Any, settings: Settings, headers: dict[str, str], reason: str
) -> None:
    with connect(warehouse.app) as conn, pytest.raises(BadSignature):
        receive(conn, "driver", body_of(STOP), headers, NOW, settings=settings)
    with connect(warehouse.app) as conn:  # kept for good, though the call failed
        assert conn.execute("select partner, reason, content from landing.refused_call").fetchall() == [
            ("driver", reason, body_of(STOP))
        ]
        assert conn.execute("select count(*) from landing.document").fetchone() == (0,)


def test_of_a_large_refused_body_the_beginning_is_kept(warehouse: Any, settings: Settings) -> None:
    body = bytes(range(256)) * 400
    with connect(warehouse.app) as conn:
        with pytest.raises(BadSignature):
            receive(conn, "driver", body, signed(body, secret="other"), NOW, settings=settings)
        assert conn.execute("select content, content_sha256, content_length from landing.refused_call").fetchall() == [
            (body[:2048], hashlib.sha256(body).digest(), 102_400)
        ]


def test_a_flood_of_refused_calls_is_counted_and_not_kept(
    warehouse: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "KEPT_A_MINUTE", 3)
    with connect(warehouse.app) as conn:
        for partner, calls in (("driver", 8), ("bluw", 2)):
            for _ in range(calls):
                with pytest.raises(BadSignature):
                    receive(conn, partner, b"{}", {}, NOW, settings=settings)
        kept = "select partner, count(*) from landing.refused_call group by 1 order by 1"
        assert conn.execute(kept).fetchall() == [("bluw", 2), ("driver", 3)]
        assert conn.execute("select partner, calls from ops.refused_call_count").fetchall() == [("driver", 5)]


def test_a_timestamp_of_any_length_is_only_unreadable(conn: Any, settings: Settings) -> None:
    for stamp in ("9" * 400, "9" * 5000, "soon"):
        headers = {"X-Freightsync-Timestamp": stamp, "X-Freightsync-Signature": "v1=00"}
        with pytest.raises(BadSignature, match="timestamp_unreadable"):
            receive(conn, "driver", b"{}", headers, NOW, settings=settings)


def test_a_partner_without_settings_is_a_stranger(conn: Any, warehouse: Any) -> None:
    with pytest.raises(PermanentError, match="no partner 'tms'"):
        receive(conn, "tms", b"{}", {}, NOW, settings=warehouse.settings(partners={"driver": {}}))


def test_headers_of_any_case_are_read(conn: Any, settings: Settings) -> None:
    body = body_of(STOP)
    headers = {name.upper(): value for name, value in signed(body).items()}
    assert receive(conn, "driver", body, headers, NOW, settings=settings).records == 1


def test_waiting_consumers_are_told_with_the_commit(warehouse: Any, settings: Settings) -> None:
    with connect(warehouse.app) as listener, connect(warehouse.app) as conn:
        listener.autocommit = True
        listener.execute("listen freightsync_pod")
        listener.execute("listen freightsync_events")
        body = body_of(STOP, POD)
        receive(conn, "driver", body, signed(body), NOW, settings=settings)
        told = {(n.channel, n.payload) for n in listener.notifies(timeout=5, stop_after=3)}
    assert told == {
        ("freightsync_events", "driver.event"),
        ("freightsync_events", "driver.pod"),
        ("freightsync_pod", "driver.pod"),
    }


def test_a_signed_body_that_is_no_json_is_one_unreadable_document(conn: Any, settings: Settings) -> None:
    body = b'{"events": [\xff'
    receipt = receive(conn, "driver", body, signed(body), NOW, settings=settings)
    assert (receipt.records, receipt.rejects) == (0, 1)
    assert conn.execute("select is_document, reasons from quality.quarantine").fetchall() == [
        (True, ["unreadable_file"])
    ]


def test_one_bad_event_hides_no_other(conn: Any, settings: Settings) -> None:
    body = body_of(STOP, {**STOP, "event_id": "D-3", "at": "yesterday"}, {**STOP, "event_id": "D-\u0000"})
    receipt = receive(conn, "driver", body, signed(body), NOW, settings=settings)
    assert (receipt.records, receipt.rejects) == (1, 2)
    found = conn.execute("select natural_key, position, messages[1] from quality.quarantine order by 2").fetchall()
    assert [row[1] for row in found] == ["events[1]", "events[2]"]
    assert found[0][0] == "D-3"
    assert 'at "yesterday" is not a time with offset' in found[0][2]


def test_nothing_in_it_lands_nothing(conn: Any, settings: Settings) -> None:
    body = body_of()
    assert receive(conn, "bluw", body, signed(body), NOW, settings=settings) == Receipt(None, 0, 0, 0)
    assert conn.execute("select count(*) from landing.batch").fetchone() == (0,)


def test_a_stranger_is_told_so(conn: Any, settings: Settings) -> None:
    with pytest.raises(PermanentError, match="no partner 'acme'"):
        receive(conn, "acme", b"{}", {}, NOW, settings=settings)
