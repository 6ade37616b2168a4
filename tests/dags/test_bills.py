"""Bills over HTTP: a partner's signed calls, and what people with the right role upload."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from freightsync_airflow import assets, inbound, uploads
from freightsync_airflow.triggers.notify import NotifyTrigger

SECRET = "a secret shared with the carrier"
BILL = {
    "invoice_number": "A1",
    "invoice_on": "2026-03-10",
    "net_amount": "100.00",
    "currency": "USD",
    "shipment_reference": "SH1",
    "lines": [{"code": "BASE", "amount": "100.00"}],
}
RESULT = {
    "platform_reference": "T1",
    "audited_on": "2026-03-12",
    "scac": "BLUW",
    "invoice_number": "A1",
    "action": "approve",
    "billed_amount": "100.00",
    "audited_amount": "100.00",
    "currency": "USD",
}


@pytest.fixture
def environment(warehouse: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    from freightsync import settings as module

    (tmp_path / "partners.yaml").write_text("senders: {clearbill: {api: true}}")
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    monkeypatch.setenv("FREIGHTSYNC_CARRIER_FOLDER", str(tmp_path))
    secrets = {name: {"webhook_secret": SECRET} for name in ("bluw", "nrdf", "clearbill")}
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS", json.dumps(secrets))
    module.settings.cache_clear()
    yield
    module.settings.cache_clear()


@pytest.fixture
def client(environment: None) -> TestClient:
    return TestClient(inbound.application())


def call(client: TestClient, partner: str, document: Any, secret: str = SECRET) -> Any:
    content = json.dumps(document).encode()
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + content, hashlib.sha256).hexdigest()
    headers = {"X-Freightsync-Timestamp": stamp, "X-Freightsync-Signature": f"v1={digest}"}
    return client.post(f"/invoices/{partner}", content=content, headers=headers)


def rows(warehouse: Any, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(warehouse.app) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_signed_bill_is_landed_and_answered_with_its_correlation_id(client: TestClient, warehouse: Any) -> None:
    answer = call(client, "bluw", BILL)
    assert answer.status_code == 202
    ((correlation, feed, channel, scac, net),) = rows(
        warehouse,
        "select d.correlation_id, d.feed, d.channel, i.scac, i.net_amount"
        " from landing.document d join landing.carrier_invoice i using (document_id)",
    )
    assert (feed, channel, scac, str(net)) == ("carrier.invoice_api", "api", "BLUW", "100.00")
    assert answer.json()["correlation_id"] == correlation
    assert answer.json()["records"] == 1
    again = call(client, "bluw", BILL)
    assert (again.status_code, again.json()["correlation_id"]) == (202, correlation)
    assert (again.json()["records"], again.json()["duplicates"]) == (0, 1)


def test_wrong_fields_are_answered_by_name_and_kept_for_the_steward(client: TestClient, warehouse: Any) -> None:
    wrong = {**BILL, "net_amount": "120.00", "invoice_number": "A2"}
    worse = {**BILL, "invoice_on": "yesterday", "kind": "XX", "invoice_number": "A3"}
    answer = call(client, "bluw", {"invoices": [BILL, wrong, worse]})
    assert answer.status_code == 422
    body = answer.json()
    assert body["records"] == 1
    assert body["correlation_id"]
    assert [error["at"] for error in body["errors"]] == ["invoices[1]", "invoices[2]", "invoices[2]"]
    assert "differs from the sum of the lines 100.00 by 20.00" in body["errors"][0]["message"]
    assert {error["message"].split()[0] for error in body["errors"][1:]} == {
        "invoices[2].kind",
        "invoices[2].invoice_on",
    }
    assert rows(warehouse, "select natural_key from quality.quarantine order by 1") == [("A2",), ("A3",)]
    assert call(client, "bluw", "no bill").status_code == 422


def test_an_audit_platform_sends_results_and_bills_of_carriers(client: TestClient, warehouse: Any) -> None:
    assert call(client, "clearbill", {"results": [RESULT]}).status_code == 202
    assert call(client, "clearbill", {**BILL, "scac": "NRDF"}).status_code == 202
    assert rows(warehouse, "select partner, action from landing.audit_result") == [("clearbill", "approve")]
    assert rows(warehouse, "select scac, biller from landing.carrier_invoice") == [("NRDF", "clearbill")]
    refused = call(client, "clearbill", {"results": [{**RESULT, "action": "hold"}]})
    assert refused.status_code == 422
    assert "hold" in refused.json()["errors"][0]["message"]


def test_only_partners_that_send_bills_are_known_and_only_signed_ones_heard(client: TestClient, warehouse: Any) -> None:
    assert call(client, "nrdf", BILL).status_code == 404, "it sends its bills over SFTP"
    assert call(client, "../bluw", BILL).status_code == 404
    assert call(client, "bluw", BILL, secret="guess").status_code == 401
    assert rows(warehouse, "select count(*) from landing.document") == [(0,)]
    assert rows(warehouse, "select count(*) from landing.refused_call") == [(1,)]


def woken(act: Any) -> Any:
    """What the invoices' watcher says of it, which looks of itself only once a minute."""

    async def play() -> Any:
        events = NotifyTrigger("ingest_carrier_invoices", assets_channels(), look_every=60).run()
        task = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.7)  # it listens by now; an earlier landing would be seen at the first look instead
        assert not task.done()
        await asyncio.to_thread(act)
        try:
            return await asyncio.wait_for(task, 3)
        except TimeoutError:
            return None

    return asyncio.run(play())


def assets_channels() -> list[str]:
    """The channels that the DAG's own watcher listens to."""
    (watcher,) = assets.BILLS_TO_GATE.watchers
    given: list[str] = watcher.trigger.serialize()[1]["channels"]
    return given


def test_a_bill_that_is_sent_to_us_wakes_its_run_at_once(client: TestClient) -> None:
    assert woken(lambda: call(client, "bluw", BILL)).payload["consumer"] == "ingest_carrier_invoices"


def test_a_result_of_an_audit_wakes_its_run_at_once(client: TestClient) -> None:
    assert woken(lambda: call(client, "clearbill", {"results": [RESULT]})) is not None


def test_an_upload_wakes_its_run_at_once(environment: None) -> None:
    assert woken(lambda: as_user("finance").post("/upload?carrier=wald&name=march.csv", content=CSV)) is not None


def test_master_data_that_others_fetch_wakes_nobody_here(environment: None, warehouse: Any) -> None:
    """The pipeline gates carriers and charge codes that it fetched along; those of others have their own run."""

    def land() -> None:
        with psycopg.connect(warehouse.app) as connection:
            connection.execute(
                """
                with opened as (insert into landing.batch (feed, run_id) values ('erp.carrier', 'r') returning batch_id)
                insert into ops.ungated_batch (batch_id, feed) select batch_id, 'erp.carrier' from opened
                """
            )
            connection.execute("select pg_notify('freightsync_invoices', '')")

    assert woken(land) is None


# ---------------------------------------------------------------------------------------------------- uploads

CSV = (
    b"Invoice number,Invoice date,Shipment,Charge code,Amount,Invoice total without tax\r\n"
    b"P1,2026-03-10,SH1,400,100.00,100.00\r\n"
)


def as_user(*roles: str) -> TestClient:
    from airflow.api_fastapi.core_api.security import get_user

    app = uploads.application()
    user = SimpleNamespace(get_name=lambda: "maria", roles=[SimpleNamespace(name=role) for role in roles])
    app.dependency_overrides[get_user] = lambda: user
    return TestClient(app)


@pytest.mark.parametrize("role", ["finance", "steward", "data_engineer"])
def test_people_whose_work_it_is_upload_bills(environment: None, warehouse: Any, role: str) -> None:
    client = as_user(role)
    answer = client.post("/upload?carrier=wald&name=march.csv", content=CSV)
    assert (answer.status_code, answer.json()["invoices"]) == (202, 1)
    assert rows(warehouse, "select sent_by, name from landing.document") == [("maria", "march.csv")]
    again = client.post("/upload?carrier=wald&name=again.csv", content=CSV)
    assert (again.status_code, again.json()["uploaded_before"]["by"]) == (200, "maria")
    broken = client.post("/upload?carrier=wald", content=CSV.replace(b",100.00,", b",ten,"))
    assert (broken.status_code, broken.json()["errors"][0]["at"]) == (422, "row 2")
    assert client.get("/template?kind=accessorials").content.startswith(b"PK")
    assert client.get("/template?kind=..").status_code == 404


def test_others_are_refused(environment: None, warehouse: Any) -> None:
    for client in (as_user("operator"), as_user()):
        assert client.post("/upload?carrier=wald", content=CSV).status_code == 403
        assert client.get("/template").status_code == 403
    stranger = TestClient(uploads.application())
    assert stranger.post("/upload?carrier=wald", content=CSV).status_code in (401, 403)
    assert stranger.get("/template").status_code in (401, 403)
    assert as_user("finance").post("/upload?carrier=wald", content=b"x" * 17_000_000).status_code == 413
    assert as_user("finance").post("/upload?carrier=w!ld", content=CSV).status_code == 422
    assert as_user("finance").post("/upload?carrier=wald&kind=secrets", content=CSV).status_code == 422
    assert rows(warehouse, "select count(*) from landing.document") == [(0,)]
