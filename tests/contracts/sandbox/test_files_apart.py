"""Many files are read by processes beside each other, with the same outcome as one after the other."""

from __future__ import annotations

import io
import random
import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import yaml
from pydantic import SecretStr

from freightsync.domain.errors import TransientError
from freightsync.formats import tabular
from freightsync.landing import collecting, helpers
from freightsync.landing.collecting import collect_files
from freightsync.landing.feeds import AUDIT_FEED, INVOICE_FEEDS
from freightsync.systems import sftp
from freightsync.systems.audit import parse as audit
from freightsync.systems.partners import senders
from freightsync.warehouse.connection import connect

from .test_our_collectors import BLUW, INVOIC, NRDF, Carriers, bill, csv_row, file_of, rows
from .test_our_collectors import server as server

RECORDS = 1000
"""Enough for two transactions to be in the middle of it at once."""

FEEDS = {"carrier.invoice_x12", "carrier.invoice_csv"}
HEADER = (
    "InvoiceNo,InvoiceDate,Type,ShipmentRef,BOL,PRO,PO,ShipDate,OriginZip,DestZip,WeightLb,ChargeCode,Description,"
    "Amount,InvoiceTotal,Currency\n"
)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "APART_BYTES", 0)


@pytest.fixture
def conn(warehouse: Any) -> Iterator[psycopg.Connection[Any]]:
    with connect(warehouse.app) as connection:
        yield connection


def test_files_of_several_carriers_land_whole_and_are_archived(conn: Any, server: Carriers) -> None:
    for n in range(1, 5):
        server.put("nrdf", f"210_{n}.edi", file_of(*(bill(f"N{n}{i}") for i in range(30)), number=n))
    server.put("bluw", "invoices_1.csv", (HEADER + csv_row("B1", "LH", "40.00", "40.00")).encode())
    server.put("nrdf", "210_5.edi", b"no interchange at all, but the letters IEA")
    server.put("nrdf", "210_6.edi", file_of(*(bill(f"N1{i}") for i in range(30)), number=6))
    landed = collect_files(conn, server.settings, [NRDF, BLUW], FEEDS, "r1")
    assert sum(one.records for one in landed) == 121
    assert sum(one.duplicates for one in landed) == 30
    assert rows(conn, "select count(*), count(distinct invoice_number) from landing.carrier_invoice") == [(121, 121)]
    assert rows(conn, "select count(*) from landing.duplicate") == [(30,)]
    assert rows(conn, "select reasons from quality.quarantine") == [(["unreadable_file"],)]
    assert server.lying("nrdf") == server.lying("bluw") == []
    assert len(server.lying("nrdf", "archive")) == 6
    assert rows(conn, "select count(*) from ops.file_look") == [(0,)]


def test_the_same_new_records_in_another_order_stop_nobody(conn: Any, server: Carriers) -> None:
    """Two transactions that insert the same keys in opposite orders wait for each other."""
    numbers = [f"N{i}" for i in range(RECORDS)]
    for n in range(1, 9):
        random.Random(n).shuffle(numbers)
        server.put("nrdf", f"210_{n}.edi", file_of(*map(bill, numbers), number=n))
    landed = collect_files(conn, server.settings, [NRDF], FEEDS, "r1")
    assert sum(one.records for one in landed) == RECORDS
    assert sum(one.duplicates for one in landed) == 7 * RECORDS
    assert rows(conn, "select sum(records) from landing.control_total") == [(8 * RECORDS,)]


def test_a_helper_that_is_killed_loses_and_doubles_nothing(conn: Any, server: Carriers) -> None:
    for n in range(1, 25):
        server.put("nrdf", f"210_{n}.edi", file_of(*(bill(f"N{n}-{i}") for i in range(200)), number=n))
    killed: list[int] = []

    def kill() -> None:
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for child in psutil.Process().children():
                if "freightsync.landing.helpers" in child.cmdline() and len(server.lying("nrdf", "archive")) > 2:
                    child.send_signal(signal.SIGKILL)
                    killed.append(child.pid)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(TransientError, match="the process that read 210_"):
        collect_files(conn, server.settings, [NRDF], FEEDS, "r1")
    thread.join()
    before = rows(conn, "select count(*) from landing.carrier_invoice")[0][0]
    assert 0 < before < 24 * 200
    collect_files(conn, server.settings, [NRDF], FEEDS, "r2")
    assert rows(conn, "select count(*) from landing.carrier_invoice") == [(24 * 200,)]
    assert rows(conn, "select count(*) from landing.duplicate") == [(0,)]
    assert server.lying("nrdf") == []


def test_what_a_helper_raises_is_raised_here(conn: Any, server: Carriers) -> None:
    for n in (1, 2):
        server.put("nrdf", f"210_{n}.edi", file_of(bill(f"N{n}"), number=n))
    wrong = server.settings.sftp.model_copy(update={"password": SecretStr("wrong")})
    away = server.settings.model_copy(update={"sftp": wrong})
    found: list[Any] = []
    with connect(server.settings.dsn("app")) as looking, sftp.connect(server.settings) as session:
        while len(found) < 2:
            found, _ = collecting._look(looking, session, [NRDF], FEEDS)
            time.sleep(0.3)
    with pytest.raises(TransientError):
        helpers.run(away, "r1", 1.0, found)
    assert rows(conn, "select count(*) from landing.carrier_invoice") == [(0,)]
    assert len(helpers.run(server.settings, "r1", 1.0, found)) == 2
    assert rows(conn, "select count(*) from landing.carrier_invoice") == [(2,)]


def test_a_file_that_is_landed_meanwhile_is_only_archived(conn: Any, server: Carriers) -> None:
    """The collector before was killed, its helper was not: the next one waits for that file and finds it landed."""
    content = file_of(bill("N1"))
    server.put("nrdf", "210_1.edi", content)
    with sftp.connect(server.settings) as session:
        found: list[Any] = []
        while not found:
            found, _ = collecting._look(conn, session, [NRDF], FEEDS)
            time.sleep(0.3)
        with connect(server.settings.dsn("app")) as helper:
            parsed = collecting._parse_file(content, NRDF, found[0].kind, "210_1.edi")
            with helper.transaction():
                collecting._land_file(helper, NRDF, "210_1.edi", content, parsed, "r1")
                next_one = threading.Thread(target=collecting.take, args=(conn, session, found[0], "r2", 1.0))
                next_one.start()
                waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                with psycopg.connect(server.settings.dsn("owner"), autocommit=True) as looking:
                    until = time.monotonic() + 20
                    while looking.execute(waits).fetchone() == (0,) and time.monotonic() < until:
                        time.sleep(0.02)
            next_one.join(30)
    assert server.lying("nrdf") == []
    assert rows(conn, "select count(*) from landing.document") == [(1,)]
    assert rows(conn, "select count(*) from landing.duplicate") == [(0,)]


def test_a_deployments_own_senders_and_mappings_reach_the_helpers(conn: Any, server: Carriers, tmp_path: Path) -> None:
    folder = tmp_path / "carriers"
    folder.mkdir()
    (folder / "partners.yaml").write_text(
        """
partners:
  WALD:
    edifact: {net: ["79"]}
    files:
      directory: bluw
      kinds:
        "*.csv": {feed: carrier.invoice_csv, format: csv, mapping: wald.yaml}
        "*.xlsx": {feed: carrier.invoice_csv, format: csv, mapping: wald.yaml}
        "*.edi": {feed: carrier.invoice_x12, format: x12}
senders:
  clearbill:
    files: {kinds: {"*.csv": {feed: audit.invoice_result, format: csv, mapping: results.yaml}}}
"""
    )
    (folder / "wald.yaml").write_text(
        'columns: {invoice_number: "Nr", invoice_on: Tag, currency: {constant: EUR}}\n'
        'charges: [{column: Fracht, code: "400"}]\n'
    )
    installed = yaml.safe_load((audit.MAPPINGS / "audit_results.yaml").read_text())
    installed["columns"]["reason"] = {"constant": "by their own mapping"}
    (folder / "results.yaml").write_text(yaml.safe_dump(installed))
    book = io.BytesIO()
    tabular.write_xlsx(book, ["Nr", "Tag", "Fracht"], [{"Nr": "W2", "Tag": "2026-03-10", "Fracht": Decimal("66.00")}])
    server.put("bluw", "rechnung.csv", b"Nr,Tag,Fracht\r\nW1,2026-03-10,55.00\r\n")
    server.put("bluw", "rechnung.xlsx", book.getvalue())
    # its net amount stands where only this carrier's profile looks for it
    sent = INVOIC.format(number=3, line="77.00").replace("MOA+77:100.00'", "MOA+79:77.00'")
    server.put("bluw", "210_3.edi", sent.encode("latin-1"))
    server.put(
        "clearbill",
        "results.csv",
        b"AuditRef,AuditDate,SCAC,InvoiceNo,InvoiceType,Action,Billed,Audited,Currency\r\n"
        b"T1,2026-03-12,WALD,W1,INV,APPROVE,55.00,55.00,EUR\r\n",
    )
    settings = server.settings.model_copy(update={"carrier_folder": folder})
    mine = [one for one in senders(folder=folder) if one.partner in ("wald", "clearbill")]
    collect_files(conn, settings, mine, {*INVOICE_FEEDS, AUDIT_FEED}, "r1")
    assert rows(conn, "select reasons from quality.quarantine") == []
    assert rows(conn, "select scac, invoice_number, source, net_amount from landing.carrier_invoice order by 4") == [
        ("WALD", "W1", "carrier.invoice_csv", Decimal("55.00")),
        ("WALD", "W2", "carrier.invoice_csv", Decimal("66.00")),
        ("WALD", "E3", "carrier.invoice_edifact", Decimal("77.00")),
    ]
    assert rows(conn, "select partner, scac, reason from landing.audit_result") == [
        ("clearbill", "WALD", "by their own mapping")
    ]
    assert server.lying("bluw") == server.lying("clearbill") == []


def test_a_workbook_without_its_end_is_left_for_now(conn: Any, server: Carriers) -> None:
    book = io.BytesIO()
    fields = HEADER.strip().split(",")
    tabular.write_xlsx(
        book, fields, [dict(zip(fields, csv_row("B1", "LH", "40.00", "40.00").strip().split(","), strict=False))]
    )
    growing = server.put("bluw", "invoices_1.xlsx", book.getvalue()[:-200])
    collect_files(conn, server.settings, [BLUW], FEEDS, "r1")
    assert server.lying("bluw") == ["invoices_1.xlsx"]
    growing.write_bytes(book.getvalue())
    collect_files(conn, server.settings, [BLUW], FEEDS, "r2")
    assert server.lying("bluw") == []
    assert rows(conn, "select invoice_number, net_amount from landing.carrier_invoice") == [("B1", Decimal("40.00"))]
