"""Watchers: when they wake a DAG, on a real PostgreSQL and a real SFTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncssh
import psycopg
import pytest

from freightsync_airflow import assets
from freightsync_airflow.triggers import sftp
from freightsync_airflow.triggers.notify import NotifyTrigger
from freightsync_airflow.triggers.pace import Pace
from freightsync_airflow.triggers.sftp import SftpFilesTrigger, matters, stable

BEFORE = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
AFTER = datetime(2026, 3, 2, 8, 1, tzinfo=UTC)


def test_a_burst_wakes_once() -> None:
    pace = Pace(interval=0)
    fired = [pace.fires(pending=True, busy=False, last_run=None, now=at / 10) for at in range(50)]
    assert fired.count(True) == 1


def test_work_that_is_left_when_a_run_has_ended_wakes_again() -> None:
    pace = Pace(interval=0)
    assert pace.fires(pending=True, busy=False, last_run=None, now=0)
    assert not pace.fires(pending=True, busy=True, last_run=BEFORE, now=1)
    assert pace.fires(pending=True, busy=False, last_run=BEFORE, now=2)


def test_a_run_too_short_to_be_seen_at_work_counts_by_its_start() -> None:
    pace = Pace(interval=0)
    assert pace.fires(pending=True, busy=False, last_run=BEFORE, now=0)
    assert not pace.fires(pending=True, busy=False, last_run=BEFORE, now=1)
    assert pace.fires(pending=True, busy=False, last_run=AFTER, now=1.5)


def test_a_wake_up_that_was_lost_is_repeated_after_patience() -> None:
    pace = Pace(interval=0, patience=20)
    assert pace.fires(pending=True, busy=False, last_run=None, now=0)
    assert not pace.fires(pending=True, busy=False, last_run=None, now=19)
    assert pace.fires(pending=True, busy=False, last_run=None, now=21)


def test_bulk_work_is_woken_at_its_interval_at_most() -> None:
    pace = Pace(interval=4)
    assert pace.fires(pending=True, busy=False, last_run=None, now=0)
    assert not pace.fires(pending=True, busy=False, last_run=BEFORE, now=3.9)
    assert pace.fires(pending=True, busy=False, last_run=BEFORE, now=4.1)


def test_nothing_waiting_wakes_nobody() -> None:
    assert not Pace(interval=0).fires(pending=False, busy=False, last_run=None, now=0)


def test_a_file_is_whole_when_two_looks_agree_and_its_name_says_so() -> None:
    before = {"/a/210_1.edi": (10, 5), "/a/growing.csv": (10, 5), "/a/x.tmp": (3, 1)}
    now = {"/a/210_1.edi": (10, 5), "/a/growing.csv": (12, 5), "/a/x.tmp": (3, 1), "/a/new.csv": (4, 9)}
    assert stable(before, now) == ["/a/210_1.edi"]


async def first(events: AsyncIterator[Any], within: float) -> Any:
    try:
        return await asyncio.wait_for(anext(events), within)
    except TimeoutError:
        return None


@pytest.fixture
def app(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the running stack; the triggers find the same warehouse in their settings."""
    from freightsync import settings as module

    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    module.settings.cache_clear()
    with psycopg.connect(warehouse.app, autocommit=True) as connection:
        yield connection
    module.settings.cache_clear()


def land(app: psycopg.Connection[Any], feed: str, channel: str) -> None:
    with app.transaction():
        app.execute(
            """
            with opened as (insert into landing.batch (feed, run_id) values (%s, 'inbound') returning batch_id, feed)
            insert into ops.ungated_batch (batch_id, feed) select batch_id, feed from opened
            """,
            (feed,),
        )
        app.execute("select pg_notify(%s, %s)", (channel, feed))


def test_a_notification_wakes_the_consumer_of_its_feed_and_nobody_else(app: psycopg.Connection[Any]) -> None:
    async def play() -> tuple[Any, Any, Any]:
        pod = NotifyTrigger("invoice_on_pod", ["freightsync_pod"], look_every=60).run()
        events = NotifyTrigger("ingest_shipment_events", ["freightsync_events"], look_every=60).run()
        waiting = [asyncio.ensure_future(anext(pod)), asyncio.ensure_future(anext(events))]
        await asyncio.sleep(0.5)  # both listen by now; an earlier landing would be seen at the first look instead
        quiet = [task.done() for task in waiting]
        land(app, "driver.pod", "freightsync_pod")
        woken = await asyncio.wait_for(waiting[0], 3)
        done = waiting[1].done()
        waiting[1].cancel()
        return quiet, woken, done

    quiet, woken, other = asyncio.run(play())
    assert quiet == [False, False]
    assert woken.payload["consumer"] == "invoice_on_pod"
    assert other is False


def test_what_waited_before_anybody_listened_is_seen_at_the_first_look(app: psycopg.Connection[Any]) -> None:
    land(app, "driver.pod", "freightsync_pod")
    woken = asyncio.run(first(NotifyTrigger("invoice_on_pod", ["freightsync_pod"]).run(), 3))
    assert woken is not None


def test_nobody_is_woken_while_a_run_holds_the_lock(app: psycopg.Connection[Any], warehouse: Any) -> None:
    from freightsync.pipelines.locks import held

    land(app, "driver.pod", "freightsync_pod")

    async def look() -> Any:
        return await first(NotifyTrigger("invoice_on_pod", ["freightsync_pod"]).run(), 1.0)

    with held("invoice_on_pod", warehouse.settings()):
        assert asyncio.run(look()) is None
    assert asyncio.run(look()) is not None


def test_a_directory_that_is_missing_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    class Server:
        async def readdir(self, directory: str) -> list[asyncssh.SFTPName]:
            if directory == "/wald/inbound":
                raise asyncssh.SFTPNoSuchFile("no such file")
            return [asyncssh.SFTPName("210_1.edi", attrs=asyncssh.SFTPAttrs(size=10, mtime=5))]

    missing: set[str] = set()
    for _ in range(2):
        found = asyncio.run(sftp._look(Server(), ["/wald/inbound", "/nrdf/inbound"], missing))  # type: ignore[arg-type]
        assert found == {"/nrdf/inbound/210_1.edi": (10, 5)}
    assert missing == {"/wald/inbound"}
    assert capsys.readouterr().out.count("there is no directory /wald/inbound") == 1, "said once, not at every look"


async def looks(*found: list[str]) -> AsyncIterator[list[str]]:
    for names in found:
        yield names


def sftp_trigger() -> SftpFilesTrigger:
    return SftpFilesTrigger("ingest_carrier_invoices", ["/nrdf/inbound"], "!214_*")


def test_a_run_at_work_is_told_of_files_and_no_other_is_started(app: psycopg.Connection[Any], warehouse: Any) -> None:
    from freightsync.pipelines.locks import held

    async def events() -> list[Any]:
        found = looks(["/nrdf/inbound/210_1.edi"], ["/nrdf/inbound/214_1.edi"])
        return [event async for event in sftp_trigger().filter_shared_stream(found)]

    app.execute("listen freightsync_work")
    with held("ingest_carrier_invoices", warehouse.settings()):
        assert asyncio.run(events()) == []
    heard = [notification.payload for notification in app.notifies(timeout=1)]
    assert heard == ["ingest_carrier_invoices"]  # once, and nothing for the 214
    assert len(asyncio.run(events())) == 1


def test_a_file_that_nobody_takes_does_not_keep_a_run_going(app: psycopg.Connection[Any]) -> None:
    stray = ["/nrdf/inbound/readme.txt"]

    async def found() -> AsyncIterator[list[str]]:
        for names in (stray, stray, stray, [*stray, "/nrdf/inbound/210_1.edi"]):
            yield names
            # the run that was woken came and went
            app.execute(
                """
                insert into ops.run (consumer, run_id, as_of, finished_at)
                values ('ingest_carrier_invoices', gen_random_uuid()::text, now(), now())
                """
            )

    async def events() -> list[str]:
        return [event.payload["cause"] async for event in sftp_trigger().filter_shared_stream(found())]

    assert asyncio.run(events()) == ["1 files", "2 files"]


def test_a_message_behind_a_refused_one_wakes_nobody(app: psycopg.Connection[Any]) -> None:
    """Else the dead letter of one shipment would start runs for ever."""

    def pending(outbox_id: int, aggregate: str, status: str) -> None:
        app.execute(
            """
            insert into ops.outbox_pending
                (outbox_id, target, lane, operation, aggregate_type, aggregate_id, status)
            values (%s, 'erp', 'bulk', 'status', 'shipment', %s, %s)
            """,
            (outbox_id, aggregate, status),
        )

    async def look() -> Any:
        return await first(NotifyTrigger("deliver_effects", ["freightsync_outbox"]).run(), 1.0)

    pending(1, "tms:SH1", "dead")
    pending(2, "tms:SH1", "ready")
    assert asyncio.run(look()) is None
    pending(3, "tms:SH2", "ready")
    assert asyncio.run(look()) is not None


def test_a_restarted_database_is_found_again(app: psycopg.Connection[Any], warehouse: Any) -> None:
    async def play() -> Any:
        events = NotifyTrigger("invoice_on_pod", ["freightsync_pod"], look_every=1).run()
        task = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.5)
        with psycopg.connect(warehouse.admin, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'watch invoice_on_pod'"
            )
        land(app, "driver.pod", "freightsync_pod")
        return await asyncio.wait_for(task, 8)

    assert asyncio.run(play()).payload["consumer"] == "invoice_on_pod"


def test_who_leaves_files_is_looked_at_by_the_pipeline_that_takes_them() -> None:
    looked_at = {
        asset.name: asset.watchers[0].trigger.serialize()[1]["directories"]
        for asset in (assets.CARRIER_INVOICE_FILES, assets.RATE_FILES, assets.BANK_STATEMENT_FILES)
    }
    assert looked_at == {
        "inbox/carrier_invoice_files": ["/bluw/inbound", "/nrdf/inbound"],
        "inbox/rate_files": ["/pricing/inbound"],
        "inbox/bank_statements": ["/bank/inbound"],
    }


def test_one_run_of_a_pipeline_at_a_time(warehouse: Any) -> None:
    from freightsync.domain.errors import TransientError
    from freightsync.pipelines.locks import held

    with (
        held("settle_freight", warehouse.settings()),
        held("post_accruals", warehouse.settings()),
        pytest.raises(TransientError, match="still at work"),
        held("settle_freight", warehouse.settings(), patience=0.2),
    ):
        pytest.fail("two runs hold one lock")


def test_a_killed_run_frees_its_pipeline(app: psycopg.Connection[Any], warehouse: Any) -> None:
    from freightsync.pipelines.locks import held, held_connection

    with held_connection("settle_freight", warehouse.settings()) as killed:
        with psycopg.connect(warehouse.admin, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s)", (killed.info.backend_pid,))
        with held("settle_freight", warehouse.settings(), patience=5):
            pass


@pytest.mark.parametrize(
    ("name", "status", "invoice"),
    [("214_000059.edi", True, False), ("210_000061.edi", False, True), ("invoices_00059.csv", False, True)],
)
def test_each_file_wakes_the_pipeline_that_fetches_it(name: str, status: bool, invoice: bool) -> None:
    woken = [
        matters(f"/nrdf/inbound/{name}", asset.watchers[0].trigger.serialize()[1]["pattern"])
        for asset in (assets.CARRIER_STATUS_FILES, assets.CARRIER_INVOICE_FILES)
    ]
    assert woken == [status, invoice]
