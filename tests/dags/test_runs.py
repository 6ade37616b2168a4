"""Every DAG by `dag.test()` on real PostgreSQL, real HTTP and real SFTP: one order from release to payable.

The day is small enough to be reckoned by hand: 10 pieces at 25.00, freight 100.00 + 20.00 fuel, passed through with
10 % on top; the carrier bills 103.00 (3 % over, which this carrier's rule allows) + 20.00.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from deployed import copied, shaped_template, take_parsed
from openpyxl import load_workbook

__all__ = ["shaped_template"]

# one world, used by one test after the other
pytestmark = [pytest.mark.timeout(900)]

DAGS = Path(__file__).resolve().parents[2] / "dags"
SECRETS = {"tms": "s-tms", "bluw": "s-bluw", "driver": "s-driver"}
PARTNERS = ("erp", "tms", "wms", "bluw", "driver")


class Background:
    """Coroutine functions that run in a thread's event loop until the test is over."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def start(self, coroutine: Any) -> None:
        async def task() -> asyncio.Task[Any]:
            return asyncio.ensure_future(coroutine)

        self._task = self.run(task())

    def stop(self) -> None:
        async def ended() -> None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

        self.run(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


class World:
    """The partners around one warehouse, and the DAGs that keep them in step."""

    def __init__(self, ports: dict[str, int], inbox: Path, dsn: str) -> None:
        self.ports = ports
        self.inbox = inbox
        self.dsn = dsn
        self.client = httpx.Client(trust_env=False, timeout=20)
        self.calls = 0

    def get(self, partner: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer t-{partner}"}
        return self.client.get(f"http://127.0.0.1:{self.ports[partner]}/api/v1/{path}", headers=headers).json()

    def items(self, partner: str, collection: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(partner, collection)["items"]
        return found

    def write_books(self, books: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self.ports['erp']}/_sandbox/books"
        answer = self.client.post(url, json=books, headers={"Authorization": "Bearer t-erp"})
        assert answer.is_success, answer.text

    def webhook(self, partner: str, *events: dict[str, Any]) -> None:
        from freightsync.landing.inbound import receive
        from freightsync.warehouse.connection import connect

        body = json.dumps({"events": list(events)}).encode()
        stamp = str(int(time.time()))
        digest = hmac.new(SECRETS[partner].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        with connect(self.dsn) as conn:
            receive(
                conn,
                partner,
                body,
                {"X-Freightsync-Timestamp": stamp, "X-Freightsync-Signature": f"v1={digest}"},
            )

    def run(self, name: str) -> dict[str, str]:
        """Runs a DAG once; the state of its tasks by id. What its assets would wake is run by the test, in turn."""
        from airflow.dag_processing.dagbag import DagBag

        self.calls += 1
        dag = DagBag(DAGS / f"{name}.py").dags[name]
        ran = dag.test(run_after=datetime.now(UTC))
        return {instance.task_id: str(instance.state) for instance in ran.get_task_instances()}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def balance(self) -> dict[str, tuple[str, str]]:
        return {line["account"]: (line["debit"], line["credit"]) for line in self.get("erp", "trial-balance")}


@pytest.fixture(scope="module")
def world(
    postgres_server: Any, shaped_template: str, tmp_path_factory: pytest.TempPathFactory, airflow_database: None
) -> Iterator[World]:
    from freightsync import settings as module
    from freightsync.sandbox import sftp_server
    from freightsync.sandbox.config import SandboxConfig, SftpTarget
    from freightsync.sandbox.server import Sandbox

    place = tmp_path_factory.mktemp("world")
    background = Background()
    key = place / "host_key"
    public = sftp_server.ensure_host_key(key)
    users = {
        "freightsync": sftp_server.Account("p-us", ""),
        "nrdf": sftp_server.Account("p-nrdf", "nrdf"),
        "bluw": sftp_server.Account("p-bluw", "bluw"),
        "pricing": sftp_server.Account("p-pricing", "pricing"),
    }
    acceptor = background.run(sftp_server.serve(sftp_server.ServerConfig("127.0.0.1", 0, place / "sftp", key, users)))
    config = SandboxConfig(
        home=place / "books",
        tokens={name: f"t-{name}" for name in PARTNERS},
        webhook_secrets=SECRETS,
        sftp=SftpTarget(port=acceptor.get_port(), host_key=public, users={"nrdf": "p-nrdf", "bluw": "p-bluw"}),
    )
    ports: dict[str, int] = {}
    ready = threading.Event()

    def listening(found: Any) -> None:
        ports.update(found)
        ready.set()

    async def serve() -> None:
        sandbox = Sandbox(config)  # its books belong to the thread that opens them
        try:
            await sandbox.serve(listening)
        finally:
            sandbox.close()

    background.start(serve())
    assert ready.wait(20)
    patch = pytest.MonkeyPatch()
    patch.setenv("FREIGHTSYNC_HOME", str(place / "home"))
    patch.setenv("FREIGHTSYNC_LINGER_SECONDS", "0")  # each run ends when its work is done
    patch.setenv(
        "FREIGHTSYNC_PARTNERS",
        json.dumps(
            {
                name: {
                    "base_url": f"http://127.0.0.1:{ports[name]}" if name in ports else "",
                    "token": f"t-{name}",
                    "webhook_secret": SECRETS.get(name, ""),
                }
                for name in (*PARTNERS, "nrdf")
            }
        ),
    )
    patch.setenv(
        "FREIGHTSYNC_SFTP",
        json.dumps({"port": acceptor.get_port(), "user": "freightsync", "password": "p-us", "host_key": public}),
    )
    take_parsed(place / "home")
    with copied(postgres_server, shaped_template) as deployed:
        for role in ("owner", "app", "dbt", "report"):
            patch.setenv(f"FREIGHTSYNC_{role.upper()}_DSN", deployed.settings.dsn(role))
        module.settings.cache_clear()
        made = World(ports, place / "sftp", deployed.settings.dsn("app"))
        yield made
        made.client.close()
    patch.undo()
    module.settings.cache_clear()
    acceptor.close()
    background.stop()


NOW = "2026-03-02T08:00:00+00:00"

BOOKS = {
    "erp": {
        "customers": [
            {
                "customer_id": "C1",
                "version": 1,
                "changed_at": NOW,
                "name": "Acme",
                "billing_entity": "US01",
                "payment_terms": "N30",
                "billing_currency": "USD",
                "freight_billing": "pass_through",
                "invoice_per": "shipment",
                "markup_percent": "10.00",
            }
        ],
        "ship-tos": [
            {
                "ship_to_id": "ST1",
                "version": 1,
                "changed_at": NOW,
                "customer_id": "C1",
                "name": "Acme Dallas",
                "city": "Dallas",
                "state": "TX",
                "postal_code": "75201",
                "country": "US",
                "time_zone": "America/Chicago",
            }
        ],
        "items": [
            {
                "item_id": "IT1",
                "version": 1,
                "changed_at": NOW,
                "description": "Pump",
                "unit_weight_lb": "90.000",
                "pallet_length_in": "48.00",
                "pallet_width_in": "40.00",
                "pallet_height_in": "50.00",
                "hazmat": False,
                "un_number": None,
            }
        ],
        "carriers": [
            {
                "carrier_id": "CA1",
                "version": 1,
                "changed_at": NOW,
                "scac": "NRDF",
                "name": "Nordic Freight",
                "channel": "edi",
                "carrier_currency": "USD",
            }
        ],
        "charge-codes": [
            {
                "charge_code_id": f"CC{n}",
                "version": 1,
                "changed_at": NOW,
                "scac": "NRDF",
                "partner_code": partner,
                "charge_code": code,
                "description": code.title(),
                "ledger_account": account,
                "valid_from": "2020-01-01",
                "valid_to": None,
            }
            for n, (partner, code, account) in enumerate(
                [("400", "LINEHAUL", "6100"), ("LHS", "LINEHAUL", "6100"), ("405", "FUEL", "6110")], 1
            )
        ],
        "sales-orders": [
            {
                "order_number": "SO1",
                "version": 1,
                "changed_at": "2026-03-02T08:05:00+00:00",
                "status": "approved",
                "customer_id": "C1",
                "ship_to_id": "ST1",
                "currency": "USD",
                "requested_from": "2026-03-02T12:00:00+00:00",
                "requested_to": "2026-03-04T12:00:00+00:00",
                "shipping_conditions": "STD",
                "service_requirements": None,
                "total_amount": "250.00",
                "lines": [
                    {
                        "line": 1,
                        "item_id": "IT1",
                        "quantity": 10,
                        "unit_price": "25.00",
                        "amount": "250.00",
                        "pallets": 2,
                        "pallet_length_in": None,
                        "pallet_width_in": None,
                        "pallet_height_in": None,
                        "weight_lb": "900.000",
                    }
                ],
            }
        ],
    },
    "tms": {
        "lanes": [
            {
                "lane_id": "L1",
                "version": 1,
                "changed_at": NOW,
                "origin_postal": "60601",
                "destination_postal": "75201",
                "scac": "NRDF",
                "equipment": "VAN",
                "transit_days": 2,
            }
        ]
    },
}


def stop(sequence: int, kind: str, city: str, state: str, postal: str) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "kind": kind,
        "location_id": f"LOC{sequence}",
        "city": city,
        "state": state,
        "postal_code": postal,
        "country": "US",
        "time_zone": "America/Chicago",
        "appointment_from": "2026-03-02T15:00:00+00:00",
        "appointment_to": "2026-03-02T17:00:00+00:00",
    }


PLAN = {
    "event_id": "EV1",
    "event_type": "shipment_planned",
    "occurred_at": "2026-03-02T08:30:00+00:00",
    "data": {
        "shipment_id": "SH1",
        "plan_version": 1,
        "scac": "NRDF",
        "pro_number": "PRO1",
        "bol_number": "BOL1",
        "booking_reference": "BK1",
        "equipment": "VAN",
        "ship_on": "2026-03-02",
        "weight_lb": "900.000",
        "pieces": 10,
        "currency": "USD",
        "order_lines": [{"order_number": "SO1", "line": 1, "quantity": 10, "weight_lb": "900.000"}],
        "stops": [stop(1, "pickup", "Chicago", "IL", "60601"), stop(2, "delivery", "Dallas", "TX", "75201")],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "charges": [{"charge_code": "LINEHAUL", "amount": "100.00"}, {"charge_code": "FUEL", "amount": "20.00"}],
    },
}


def tms_event(number: int, kind: str, at: str) -> dict[str, Any]:
    return {
        "event_id": f"EV{number}",
        "event_type": kind,
        "occurred_at": at,
        "data": {"shipment_id": "SH1", "scac": "NRDF", "round": 1},
    }


def driver_event(number: int, kind: str, at: str, **more: Any) -> dict[str, Any]:
    return {"event_id": f"DR{number}", "type": kind, "shipment_id": "SH1", "stop_sequence": 2, "at": at, **more}


# ISA … IEA by hand: one 210, amounts with two implied decimals
INVOICE_210 = "~\n".join(
    [
        "ISA*00*          *00*          *02*NRDF           *ZZ*FREIGHTSYNC    *260303*0900*U*00401*000000001*0*T*:",
        "GS*IM*NRDF*FREIGHTSYNC*20260303*0900*1*X*004010",
        "ST*210*0001",
        "B3**N-1001*SH1*PP**20260303*12300****NRDF",
        "C3*USD",
        "N9*BM*BOL1",
        "N9*CN*PRO1",
        "LX*1",
        "L5*1*Freight",
        "L0*1***900*N",
        "L1*1*10300*FR*10300****LHS",
        "LX*2",
        "L5*2*Fuel",
        "L1*2*2000*FR*2000****405",
        "L3*900*N***12300",
        "SE*14*0001",
        "GE*1*1",
        "IEA*1*000000001~",
    ]
)


def effects(world: World) -> int:
    ((count,),) = world.query("select (select count(*) from effects.movement) + (select count(*) from effects.state)")
    return int(count)


def asset_events() -> dict[str, int]:
    """How often each of our tasks has reported an asset as changed."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    with create_session() as session:
        rows = session.execute(
            select(AssetEvent.source_dag_id, AssetEvent.source_task_id, func.count()).group_by(
                AssetEvent.source_dag_id, AssetEvent.source_task_id
            )
        ).all()
    return {f"{dag}.{task}": int(count) for dag, task, count in rows}


def test_an_order_goes_from_release_to_payable_through_every_dag(world: World) -> None:
    world.write_books(BOOKS)

    assert world.run("sync_master_data") == {"land_and_gate": "success", "build": "success", "keep_up": "success"}
    assert world.query("select count(*) from canonical.customer") == [(1,)]

    states = world.run("release_orders")
    assert set(states.values()) == {"success"}
    assert world.items("tms", "orders") == []  # decided, not yet delivered
    world.run("deliver_effects")
    (released,) = world.items("tms", "orders")
    assert released["order_number"] == "SO1"
    # the order had no pallet sizes: they are the item's
    assert float(released["lines"][0]["pallet_length_in"]) == 48

    world.webhook("tms", PLAN)
    world.webhook(
        "tms",
        tms_event(2, "tender_sent", "2026-03-02T08:40:00+00:00"),
        tms_event(3, "tender_accepted", "2026-03-02T08:50:00+00:00"),
        tms_event(4, "dispatched", "2026-03-02T09:00:00+00:00"),
    )
    world.run("ingest_shipment_events")
    world.run("deliver_effects")
    statuses = [(s["object_id"], s["status"]) for s in world.items("erp", "statuses")]
    assert [status for number, status in statuses if number == "SH1"] == ["planned", "tendered", "in_transit"]
    assert [status for number, status in statuses if number == "SO1"] == ["planned", "tendered", "in_transit"]
    (plan,) = world.items("erp", "freight-plans")
    assert (plan["shipment_id"], plan["estimated_freight"]) == ("SH1", "120.00")

    world.webhook("driver", driver_event(1, "unloading_ended", "2026-03-02T16:00:00+00:00"))
    world.run("ingest_shipment_events")
    world.run("post_accruals")
    world.run("deliver_effects")
    assert world.balance() == {"2150": ("0.00", "120.00"), "6100": ("100.00", "0.00"), "6110": ("20.00", "0.00")}

    pod = driver_event(
        2, "pod_captured", "2026-03-02T16:05:00+00:00", signed_by="R. Perez", pieces_delivered=10, osd=[]
    )
    world.webhook("driver", pod)
    assert world.run("invoice_on_pod") == {"drain": "success"}  # decided and delivered in one task
    (invoice,) = world.items("erp", "customer-invoices")
    # 10 × 25.00, and 120.00 of freight with 10 % on top
    assert (invoice["order_number"], invoice["total"]) == ("SO1", "382.00")

    (world.inbox / "nrdf" / "inbound" / "210_1.edi").write_text(INVOICE_210)
    assert world.run("ingest_carrier_invoices") == {"land_and_gate": "success", "keep_up": "success"}
    assert not list((world.inbox / "nrdf" / "inbound").iterdir())
    assert len(list((world.inbox / "nrdf" / "archive").iterdir())) == 1
    world.run("settle_freight")
    world.run("deliver_effects")
    (payable,) = world.items("erp", "supplier-invoices")
    assert (payable["invoice_number"], payable["total"]) == ("N-1001", "123.00")

    world.run("ingest_shipment_events")  # the POD is a milestone too
    world.run("deliver_effects")
    assert world.balance() == {
        "1200": ("382.00", "0.00"),
        "2100": ("0.00", "123.00"),
        "2150": ("120.00", "120.00"),
        "4000": ("0.00", "250.00"),
        "4100": ("0.00", "132.00"),
        "6100": ("203.00", "100.00"),
        "6110": ("40.00", "20.00"),
    }


def test_running_every_dag_again_makes_nothing(world: World) -> None:
    before = effects(world)
    reported = asset_events()
    assert {"ingest_carrier_invoices.land_and_gate", "invoice_on_pod.drain", "settle_freight.plan_and_apply"} <= set(
        reported
    )
    documents = {
        name: len(world.items("erp", name))
        for name in ("customer-invoices", "supplier-invoices", "journal-entries", "statuses", "freight-plans")
    }
    for name in (
        "sync_master_data",
        "release_orders",
        "rate_shipments",
        "ingest_shipment_events",
        "post_accruals",
        "invoice_on_pod",
        "ingest_carrier_invoices",
        "settle_freight",
        "deliver_effects",
    ):
        states = world.run(name)
        assert set(states.values()) <= {"success", "skipped"}, name
    assert effects(world) == before
    assert {name: len(world.items("erp", name)) for name in documents} == documents
    # nothing changed, so nothing is reported as changed: else every run would wake everything downstream
    assert asset_events() == reported


def test_a_run_with_nothing_to_look_at_skips_what_is_dear(world: World) -> None:
    assert world.run("settle_freight") == {"build": "skipped", "plan_and_apply": "skipped", "keep_up": "skipped"}
    assert set(world.run("release_orders").values()) == {"skipped"}


def test_looking_at_everything_again_plans_nothing(world: World) -> None:
    """Not because nothing is looked at: the shipment is touched, built and planned again."""
    before = effects(world)
    with psycopg.connect(world.dsn) as connection:
        connection.execute(
            """
            insert into ops.touched (consumer, aggregate_type, aggregate_id)
            values ('post_accruals', 'shipment', 'tms:SH1')
            """
        )
    assert world.run("post_accruals") == {"build": "success", "plan_and_apply": "success", "keep_up": "success"}
    assert effects(world) == before


def test_a_run_that_stays_takes_up_what_comes(world: World) -> None:
    """Whole rounds, with ids of their own, until nothing came for a while."""
    from freightsync.pipelines import rounds
    from freightsync.settings import settings

    with ThreadPoolExecutor(1) as other:
        staying = other.submit(rounds.keep_up, "ingest_shipment_events", "stays", settings(), linger=3.0)
        deadline = time.monotonic() + 20
        while not world.query(
            "select from pg_stat_activity where application_name = 'ingest_shipment_events keeps up'"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        world.webhook("driver", driver_event(9, "arrived", "2026-03-02T15:30:00+00:00"))
        kept = staying.result(60)
    assert (kept.accepted, kept.claimed) == (1, 1)
    assert world.query("select count(*) from ops.run where run_id like 'stays#%' and finished_at is not null") == [(1,)]
    assert world.query("select count(*) from canonical.status_event where status_code = 'arrived'") == [(1,)]


def test_the_pod_path_takes_a_burst_a_second_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first proof is taken at once; three that come within its second make one round, not three."""
    from freightsync.pipelines import hot
    from freightsync.settings import settings

    def touch(count: int) -> None:
        with psycopg.connect(world.dsn) as connection:
            connection.execute(
                """
                insert into ops.touched (consumer, aggregate_type, aggregate_id)
                select 'invoice_on_pod', 'shipment', 'tms:SH1' from generate_series(1, %s)
                """,
                (count,),
            )

    class Clock:
        """Time passes only where the path waits, and meanwhile the others come."""

        now = 1000.0
        slept: list[float] = []  # noqa: RUF012
        coming = [3]  # noqa: RUF012

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            self.now += seconds
            if seconds and self.coming:
                touch(self.coming.pop())

    # what others were told of before is not of this burst
    with psycopg.connect(world.dsn) as connection:
        connection.execute("delete from ops.touched where consumer = 'invoice_on_pod'")
    clock = Clock()
    monkeypatch.setattr(hot, "time", clock)
    touch(1)
    drained = hot.invoice_on_pod("a burst", settings())
    assert (drained.claimed, drained.rounds) == (4, 3), "one, three together, and a last look"
    assert clock.slept == [1.0, 1.0]


def test_a_build_that_builds_nothing_is_no_build(world: World) -> None:
    from freightsync.domain.errors import PermanentError
    from freightsync.pipelines import build
    from freightsync.settings import settings

    with pytest.raises(PermanentError, match="found nothing to build"):
        build.run_dbt("run", ["tag:nothing_has_this"], settings())


def test_the_report_is_written_where_everything_holds(world: World) -> None:
    from freightsync.settings import settings

    assert world.run("report_reconciliation") == {"build_marts": "success", "check_and_write": "success"}
    (path,) = (settings().home / "reports").glob("reconciliation-*.xlsx")
    assert load_workbook(path).sheetnames


def test_a_lost_record_fails_the_report_loudly(world: World) -> None:
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        batch = connection.execute(
            "select batch_id, feed from landing.control_total order by batch_id limit 1"
        ).fetchone()
        assert batch
        # the reader counted one more than was landed
        connection.execute(
            "insert into landing.control_total (batch_id, feed, records) values (%s, %s, 1)", (batch[0], batch[1])
        )
    states = world.run("report_reconciliation")
    assert states["check_and_write"] == "failed"
