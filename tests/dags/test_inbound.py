"""Webhooks over real HTTP semantics: the signature is the credential, nothing is lost, nothing large gets in."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import anyio
import psycopg
import pytest
from fastapi.testclient import TestClient

from freightsync_airflow import inbound

SECRET = "a secret shared with the driver app"


@pytest.fixture
def client(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    from freightsync import settings as module

    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS", json.dumps({"driver": {"webhook_secret": SECRET}}))
    module.settings.cache_clear()
    yield TestClient(inbound.application())
    module.settings.cache_clear()


def body(event_id: str = "EV1") -> bytes:
    event = {
        "event_id": event_id,
        "type": "pod_captured",
        "shipment_id": "SH100001",
        "stop_sequence": 2,
        "at": "2026-03-02T15:00:00-06:00",
        "signed_by": "R. Perez",
        "pieces_delivered": 4,
    }
    return json.dumps({"events": [event]}).encode()


def signed(content: bytes, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    timestamp = str(int(time.time()) - age)
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()
    return {"X-Freightsync-Timestamp": timestamp, "X-Freightsync-Signature": f"v1={digest}"}


def count(warehouse: Any, table: str) -> int:
    with psycopg.connect(warehouse.app) as connection:
        row = connection.execute(f"select count(*) from {table}").fetchone()
        assert row
        return int(row[0])


def test_a_signed_call_is_landed_before_it_is_answered(client: TestClient, warehouse: Any) -> None:
    answer = client.post("/webhooks/driver", content=body(), headers=signed(body()))
    assert answer.status_code == 202
    assert answer.json()["records"] == 1
    assert count(warehouse, "landing.proof_of_delivery") == 1


def test_a_repeated_call_is_answered_well_and_lands_nothing(client: TestClient, warehouse: Any) -> None:
    client.post("/webhooks/driver", content=body(), headers=signed(body()))
    answer = client.post("/webhooks/driver", content=body(), headers=signed(body()))
    assert answer.status_code == 202
    assert answer.json()["records"] == 0
    assert answer.json()["duplicates"] == 1
    assert count(warehouse, "landing.proof_of_delivery") == 1


@pytest.mark.parametrize(
    "headers",
    [{}, signed(body(), secret="another"), signed(body(), age=301), signed(b"another body")],
    ids=["unsigned", "wrong secret", "too old", "other body"],
)
def test_a_call_that_is_not_a_partners_is_kept_and_lands_nothing(
    client: TestClient, warehouse: Any, headers: dict[str, str]
) -> None:
    answer = client.post("/webhooks/driver", content=body(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert count(warehouse, "landing.refused_call") == 1
    assert count(warehouse, "landing.document") == 0


def test_a_partner_that_nobody_knows_is_told_so(client: TestClient) -> None:
    assert client.post("/webhooks/nobody", content=b"{}", headers=signed(b"{}")).status_code == 404


def test_who_calls_us_is_not_a_strangers_business(client: TestClient) -> None:
    answer = client.post("/webhooks/nobody", content=b"{}", headers=signed(b"{}"))
    assert not any(partner in answer.text for partner in ("driver", "tms", "bluw"))


def test_a_partner_with_whom_nothing_is_agreed_is_a_stranger(client: TestClient, warehouse: Any) -> None:
    answer = client.post("/webhooks/tms", content=b"{}", headers=signed(b"{}"))  # the settings know the driver alone
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert count(warehouse, "landing.refused_call") == 0


@pytest.mark.parametrize("headers", [{}, signed(b"", age=301)], ids=["unsigned", "too old"])
def test_what_the_headers_refuse_is_refused_unread(
    client: TestClient, warehouse: Any, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    async def read(_: Any) -> bytes:
        raise AssertionError("the body was read")

    monkeypatch.setattr(inbound, "_body", read)
    assert client.post("/webhooks/driver", content=b"x" * 100_000, headers=headers).status_code == 401
    with psycopg.connect(warehouse.app) as connection:
        kept = connection.execute("select content, content_length from landing.refused_call").fetchall()
    assert kept == [(b"", 0)]


def test_a_body_that_does_not_come_is_not_waited_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(_: Any) -> bytes:
        await anyio.sleep(60)
        return b""

    monkeypatch.setattr(inbound, "_body", read)
    monkeypatch.setattr(inbound, "BODY_SECONDS", 0.05)
    answer = client.post("/webhooks/driver", content=body(), headers=signed(body()))
    assert answer.status_code == 408
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_call_larger_than_any_is_not_read_to_its_end(client: TestClient, warehouse: Any) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(inbound.LARGEST_BODY // 65536 + 2):
            yield b"x" * 65536

    assert client.post("/webhooks/driver", content=chunks(), headers=signed(b"")).status_code == 413
    assert count(warehouse, "landing.refused_call") == 0


def test_while_the_warehouse_is_away_the_partner_is_asked_to_send_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freightsync import settings as module

    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", "postgresql://freightsync_app:x@127.0.0.1:9/warehouse")
    module.settings.cache_clear()
    answer = client.post("/webhooks/driver", content=body(), headers=signed(body()))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_connection_that_the_server_dropped_is_replaced(client: TestClient, warehouse: Any) -> None:
    assert client.post("/webhooks/driver", content=body("EV1"), headers=signed(body("EV1"))).status_code == 202
    with psycopg.connect(warehouse.admin, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'inbound'")
    assert client.post("/webhooks/driver", content=body("EV2"), headers=signed(body("EV2"))).status_code == 202
    assert count(warehouse, "landing.proof_of_delivery") == 2
