"""Our collectors against partners that really run: HTTP deltas, missed webhooks, files over SSH."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from freightsync.domain.errors import PartnerRefused, PartnerUnavailable, PermanentError, UnreadableDocument
from freightsync.formats.x12 import (
    ChargeLine,
    Envelope,
    Invoice210,
    LineGroup,
    Party,
    Quantity,
    Reference,
    Status214,
    StatusEvent,
    write,
)
from freightsync.landing import collect, land
from freightsync.landing.collecting import collect_files, recover_events
from freightsync.landing.feeds import MASTER_FEEDS, RATE_FEEDS
from freightsync.sandbox import sftp_server
from freightsync.settings import Settings
from freightsync.systems import sftp as our_sftp
from freightsync.systems.http import Address, Api
from freightsync.systems.partners import carriers
from freightsync.systems.tms.parse import parse_events
from freightsync.warehouse.connection import connect

from .conftest import InLoop, Partners


@pytest.fixture
def conn(warehouse: Any) -> Iterator[psycopg.Connection[Any]]:
    with connect(warehouse.app) as connection:
        yield connection


@pytest.fixture
def settings(warehouse: Any, partners: Partners) -> Settings:
    found: Settings = warehouse.settings(
        partners={
            name: {"base_url": f"http://127.0.0.1:{partners.ports[name]}", "token": f"t-{name}"}
            for name in ("erp", "tms", "wms")
        }
    )
    return found


def rows(conn: Any, query: str) -> list[tuple[Any, ...]]:
    with conn.transaction():
        found: list[tuple[Any, ...]] = conn.execute(query).fetchall()
    return found


def customer(number: int, version: int = 1) -> dict[str, Any]:
    return {
        "customer_id": f"C{number}",
        "version": version,
        "changed_at": "2026-03-01T00:00:00+00:00",
        "name": f"Customer {number}",
        "freight_billing": "embedded",
        "invoice_per": "order",
        "markup_percent": "0.00",
    }


def test_a_delta_is_read_page_by_page_and_goes_on_where_it_stopped(
    conn: Any, settings: Settings, partners: Partners
) -> None:
    partners.control("books", {"erp": {"customers": [customer(n) for n in range(1203)]}})
    landed = collect(conn, settings, ["erp.customer"], "r1")
    assert [one.records for one in landed] == [500, 500, 203]
    assert collect(conn, settings, ["erp.customer"], "r2") == []
    partners.control("books", {"erp": {"customers": [customer(5, version=2)]}})
    (again,) = collect(conn, settings, ["erp.customer"], "r3")
    assert (again.records, again.duplicates) == (1, 0)
    assert rows(conn, "select count(*), max(version) from landing.customer") == [(1204, 2)]
    assert rows(conn, "select count(distinct position) from landing.cursor where source = 'erp.customer'") == [(4,)]


def test_a_busy_partner_is_asked_again_and_an_absent_one_is_an_error(
    conn: Any, settings: Settings, partners: Partners
) -> None:
    partners.control("books", {"erp": {"customers": [customer(1)]}})
    for kind in ("429", "503"):
        partners.control("faults", {"kind": kind, "path_prefix": "/api/v1/customers", "count": 1, "retry_after": 0.05})
    assert collect(conn, settings, ["erp.customer"], "r1")[0].records == 1
    partners.control("faults", {"kind": "503", "path_prefix": "/api/v1/items", "count": 9, "retry_after": 0.01})
    with pytest.raises(PartnerUnavailable) as caught:
        collect(conn, settings, ["erp.item"], "r1")
    assert caught.value.retry_after == 0.01
    assert rows(conn, "select count(*) from landing.cursor where source = 'erp.item'") == [(0,)]


def test_a_wrong_token_is_for_a_person(conn: Any, settings: Settings, partners: Partners) -> None:
    erp = {"base_url": f"http://127.0.0.1:{partners.ports['erp']}", "token": "wrong"}
    wrong = Settings.load(partners={"erp": erp})
    with pytest.raises(PartnerRefused, match="answered 401") as caught:
        collect(conn, wrong, ["erp.customer"], "r1")
    assert "token" in caught.value.what_to_do


@pytest.mark.parametrize("body", [b"", b"[]", b'{"items": []}', b'{"items": {}, "next_cursor": "", "more": false}'])
def test_a_200_that_is_no_page_is_not_an_empty_page(body: bytes) -> None:
    import httpx

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with Api(Address("erp", "http://erp", "t"), transport=transport) as api, pytest.raises(UnreadableDocument):
        api.page("customers", "")


def test_the_cursor_moves_only_with_what_it_stands_for(
    conn: Any, settings: Settings, partners: Partners, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freightsync.landing import collecting

    partners.control("books", {"erp": {"customers": [customer(n) for n in range(600)]}})
    calls = []

    def dies_at_the_second(*args: Any, **given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("killed")
        return land(*args, **given)

    monkeypatch.setattr(collecting, "land", dies_at_the_second)
    with pytest.raises(RuntimeError):
        collect(conn, settings, ["erp.customer"], "r1")
    monkeypatch.undo()
    assert rows(conn, "select count(*) from landing.customer") == [(500,)]
    assert [one.records for one in collect(conn, settings, ["erp.customer"], "r2")] == [100]
    assert rows(conn, "select count(*) from landing.duplicate") == [(0,)]


def test_orders_are_read_before_the_master_data_and_landed_after_it(
    conn: Any, settings: Settings, partners: Partners
) -> None:
    order = {
        "order_number": "SO1",
        "version": 1,
        "changed_at": "2026-03-02T00:00:00+00:00",
        "status": "approved",
        "customer_id": "C1",
        "ship_to_id": "S1",
        "currency": "USD",
        "total_amount": "10.00",
        "lines": [{"line": 1, "item_id": "I1", "quantity": 1, "unit_price": "10.00", "amount": "10.00", "pallets": 1}],
    }
    partners.control("books", {"erp": {"customers": [customer(1)], "sales-orders": [order]}})
    landed = collect(conn, settings, (*MASTER_FEEDS, "erp.sales_order"), "r1")
    assert [one.feed for one in landed] == ["erp.customer", "erp.sales_order"]
    assert landed[0].batch_id < landed[1].batch_id
    assert rows(conn, "select amount, currency from landing.sales_order") == [(Decimal("10.00"), "USD")]


def test_two_collectors_at_once_land_everything_once(warehouse: Any, settings: Settings, partners: Partners) -> None:
    from concurrent.futures import ThreadPoolExecutor

    partners.control("books", {"erp": {"customers": [customer(n) for n in range(700)]}})

    def go(run: str) -> int:
        with connect(warehouse.app) as mine:
            return sum(one.records for one in collect(mine, settings, ["erp.customer"], run))

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(go, "abc")) == 700
    with connect(warehouse.app) as mine:
        assert rows(mine, "select count(*) from landing.duplicate") == [(0,)]


def test_ship_confirmations_and_lanes(conn: Any, settings: Settings, partners: Partners) -> None:
    confirmation = {
        "confirmation_id": "W1",
        "shipment_id": "SH1",
        "shipped_at": "2026-03-02T12:00:00+00:00",
        "pieces": 4,
        "weight_lb": "100.5",
    }
    lane = {"lane_id": "L1", "version": 1, "changed_at": "2026-03-01T00:00:00+00:00", "transit_days": 2}
    partners.control("books", {"wms": {"ship-confirmations": [confirmation]}, "tms": {"lanes": [lane]}})
    landed = collect(conn, settings, ["wms.ship_confirmation", "tms.lane"], "r1")
    assert {one.feed: one.records for one in landed} == {"wms.ship_confirmation": 1, "tms.lane": 1}
    assert rows(conn, "select status_code, reference, weight_lb from landing.status_event") == [
        ("shipped", "SH1", Decimal("100.500"))
    ]


# ---------------------------------------------------------------------------------------------------- missed webhooks


def tender(number: int) -> dict[str, Any]:
    return {
        "event_id": f"T{number}",
        "event_type": "tender_sent",
        "occurred_at": "2026-03-02T08:00:00+00:00",
        "data": {"shipment_id": f"SH{number}", "scac": "NRDF", "round": 1},
    }


class Listed:
    """A TMS that lists events, behind the real client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[dict[str, Any]] = []
        import httpx

        def answer(request: httpx.Request) -> httpx.Response:
            start = int(request.url.params["cursor"] or 0)
            page = self.events[start : start + 500]
            document = {"items": page, "next_cursor": str(start + len(page)), "more": start + 500 < len(self.events)}
            return httpx.Response(200, json=document)

        from freightsync.landing import collecting
        from freightsync.systems.tms.client import Tms

        transport = httpx.MockTransport(answer)
        monkeypatch.setattr(
            collecting.Tms, "connect", lambda _: Tms(Api(Address("tms", "http://tms", "t"), transport=transport))
        )


def test_polling_takes_only_what_no_webhook_brought(
    conn: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tms = Listed(monkeypatch)
    tms.events = [tender(1), tender(2), tender(3)]

    def webhook(*events: dict[str, Any]) -> None:
        content = json.dumps({"events": events}).encode()
        for feed, parsed in parse_events(content).items():
            land(
                conn,
                feed=feed,
                partner="tms",
                channel="webhook",
                name="w",
                content=content,
                parsed=parsed,
                run_id="inbound",
            )
        conn.commit()

    webhook(tender(1))
    assert recover_events(conn, settings, "r1", grace_seconds=0.2) == [], "2 and 3 may still come"
    webhook(tender(2))
    time.sleep(0.25)
    tms.events.append(tender(4))
    (landed,) = recover_events(conn, settings, "r2", grace_seconds=0.2)
    assert landed.records == 1
    assert rows(conn, "select source_event_id from landing.status_event order by 1") == [("T1",), ("T2",), ("T3",)]
    webhook(tender(4))
    assert recover_events(conn, settings, "r3", grace_seconds=0.2) == []
    assert rows(conn, "select count(*) from landing.duplicate") == [(0,)]
    assert rows(
        conn, "select position from landing.cursor where source = 'tms.events' order by recorded_at desc limit 1"
    ) == [("4",)]


# ---------------------------------------------------------------------------------------------------- files


@dataclass
class Carriers:
    """An SFTP server with our collecting account, and the directories behind it."""

    settings: Settings
    root: Path

    def put(self, carrier: str, name: str, content: bytes) -> Path:
        path = self.root / carrier / "inbound" / name
        path.write_bytes(content)
        return path

    def lying(self, carrier: str, directory: str = "inbound") -> list[str]:
        return sorted(path.name for path in (self.root / carrier / directory).iterdir())


@pytest.fixture
def server(warehouse: Any, tmp_path: Path) -> Iterator[Carriers]:
    root, key = tmp_path / "files", tmp_path / "files_host_key"
    public = sftp_server.ensure_host_key(key)
    users = {
        "freightsync": sftp_server.Account("p-ours", ""),
        "nrdf": sftp_server.Account("p", "nrdf"),
        "bluw": sftp_server.Account("p", "bluw"),
        "pricing": sftp_server.Account("p", "pricing"),
        "clearbill": sftp_server.Account("p", "clearbill"),
    }
    port: list[int] = []

    async def start(ready: threading.Event) -> None:
        acceptor = await sftp_server.serve(sftp_server.ServerConfig("127.0.0.1", 0, root, key, users))
        port.append(acceptor.get_port())
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            acceptor.close()

    thread = InLoop(start)
    ours = {"port": port[0], "user": "freightsync", "password": "p-ours", "host_key": public}
    yield Carriers(warehouse.settings(sftp=ours), root)
    thread.stop()


def bill(number: str, net: str = "100.00", **changes: Any) -> Invoice210:
    import datetime as dt

    given: dict[str, Any] = {
        "invoice_number": number,
        "net_amount": Decimal(net),
        "invoice_date": dt.date(2026, 3, 5),
        "scac": "NRDF",
        "shipment_id": "SH1",
        "pickup_date": dt.date(2026, 3, 2),
        "references": [Reference("BM", "B1"), Reference("CN", "P1"), Reference("PO", "SO1")],
        "parties": [Party("SH", "Us", postal_code="89501"), Party("CN", "Them", postal_code="60435")],
        "groups": [
            LineGroup("1", [ChargeLine("400", Decimal(net) - 10)], [], [Quantity("1", Decimal("1200"), "G")]),
            LineGroup("2", [ChargeLine("FUE", Decimal("10.00"))]),
        ],
        **changes,
    }
    return Invoice210(**given)


def file_of(*documents: Any, number: int = 1) -> bytes:
    import datetime as dt

    envelope = Envelope(sender="NRDF", receiver="US", control_number=number, at=dt.datetime(2026, 3, 5, tzinfo=dt.UTC))
    return write(envelope, list(documents), decimals="implied")


NRDF, BLUW = (next(c for c in carriers() if c.scac == scac) for scac in ("NRDF", "BLUW"))


def test_a_210_lands_with_its_references_lines_and_money_and_is_archived(conn: Any, server: Carriers) -> None:
    consolidated = bill(
        "N2",
        "60.00",
        shipment_id=None,
        references=[],
        groups=[
            LineGroup("1", [ChargeLine("400", Decimal("20.00"))], [Reference("SI", "SH7"), Reference("CN", "P7")]),
            LineGroup("2", [ChargeLine("400", Decimal("40.00"))], [Reference("SI", "SH8"), Reference("CN", "P8")]),
        ],
    )
    server.put("nrdf", "210_1.edi", file_of(bill("N1"), consolidated))
    landed = collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    assert [(one.feed, one.records) for one in landed] == [("carrier.invoice_x12", 2)]
    first, second = rows(
        conn,
        """select scac, invoice_number, correction, invoice_on::text, ship_on::text, shipment_reference, bol_number,
                  pro_number, po_number, origin_postal, destination_postal, weight_lb, net_amount, lines_total, amount,
                  currency from landing.carrier_invoice order by invoice_number""",
    )
    assert first == (
        *("NRDF", "N1", "", "2026-03-05", "2026-03-02", "SH1", "B1", "P1", "SO1", "89501", "60435"),
        *(Decimal("1200.000"), Decimal("100.00"), Decimal("100.00"), Decimal("100.00"), "USD"),
    )
    assert second[5:9] == (None, None, None, None)
    assert rows(
        conn,
        "select line, partner_code, line_amount, l.shipment_reference, l.pro_number"
        " from landing.carrier_invoice_line l join landing.carrier_invoice using (record_id)"
        " where invoice_number = 'N2' order by 1",
    ) == [(1, "400", Decimal("20.00"), "SH7", "P7"), (2, "400", Decimal("40.00"), "SH8", "P8")]
    assert server.lying("nrdf") == []
    (archived,) = server.lying("nrdf", "archive")
    assert archived.endswith("_210_1.edi")
    assert rows(conn, "select channel, name, partner from landing.document") == [("sftp", "210_1.edi", "nrdf")]
    assert rows(conn, "select count(*) from ops.file_look") == [(0,)]


def test_a_214_gives_one_event_each_with_stop_and_local_time(conn: Any, server: Carriers) -> None:
    import datetime as dt

    def event(status: str | None, code: str | None = None, **given: Any) -> StatusEvent:
        return StatusEvent(
            status=status,
            occurred_on=dt.date(2026, 3, 3),
            occurred_time=dt.time(14, 5),
            time_code=code,
            references=[Reference("QN", "2")],
            **given,
        )

    server.put(
        "nrdf",
        "214_1.edi",
        file_of(
            Status214("P1", "SH1", "NRDF", events=[event("D1"), event("CD", "CT", city="Joliet", state="IL")]),
            Status214("P2", None, "NRDF", events=[event(None, appointment_status="AB", reason="NA")]),
        ),
    )
    collect(conn, server.settings, ["carrier.status_x12"], "r1")
    found = rows(
        conn,
        """select reference_kind, reference, stop_sequence, code_set, status_code, reason_code, appointment,
                  occurred_local::text, occurred_at at time zone 'UTC', city
           from landing.status_event order by ordinal""",
    )
    local = "2026-03-03 14:05:00"
    assert found == [
        ("shipment_id", "SH1", 2, "x12_214", "D1", None, False, local, None, None),
        ("shipment_id", "SH1", 2, "x12_214", "CD", None, False, local, dt.datetime(2026, 3, 3, 20, 5), "Joliet"),  # noqa: DTZ001
        ("pro", "P2", 2, "x12_214", "AB", "NA", True, local, None, None),
    ]


def test_only_whole_files_under_their_own_names_are_taken(conn: Any, server: Carriers) -> None:
    whole = file_of(bill("N1"))
    server.put("nrdf", "210_1.edi.tmp", whole)
    server.put("nrdf", ".210_2.edi", whole)
    growing = server.put("nrdf", "210_3.edi", whole[:200])
    assert collect_files(conn, server.settings, [NRDF], {"carrier.invoice_x12"}, "r1", patience=0) == []
    growing.write_bytes(whole)  # it goes on while we look
    assert collect_files(conn, server.settings, [NRDF], {"carrier.invoice_x12"}, "r2", patience=0) == []
    (landed,) = collect_files(conn, server.settings, [NRDF], {"carrier.invoice_x12"}, "r3")
    assert (landed.records, landed.rejects) == (1, 0)
    assert server.lying("nrdf") == [".210_2.edi", "210_1.edi.tmp"]


def test_a_file_without_its_end_is_given_time_and_then_taken_as_cut_off(conn: Any, server: Carriers) -> None:
    whole = file_of(bill("N1"), bill("N2", "80.00"))
    cut = whole[: whole.rindex(b"LX*2")]
    server.put("nrdf", "210_1.edi", cut)
    take = {"carrier.invoice_x12"}
    assert collect_files(conn, server.settings, [NRDF], take, "r1") == []
    assert server.lying("nrdf") == ["210_1.edi"]
    (landed,) = collect_files(conn, server.settings, [NRDF], take, "r2", incomplete_seconds=1.0)
    assert (landed.received, landed.records, landed.rejects) == (2, 1, 1)
    assert rows(conn, "select natural_key, reasons, amount, currency from quality.quarantine") == [
        ("N2", ["truncated_transaction"], Decimal("80.00"), "USD")
    ]
    assert rows(conn, "select payload ->> 'raw' like 'ST*210%B3%' from quality.quarantine") == [(True,)]


def test_a_damaged_isa_is_one_unreadable_document_and_the_whole_file_comes_after(conn: Any, server: Carriers) -> None:
    whole = file_of(bill("N1"), bill("N2"))
    broken = whole.replace(b"ISA*00*          *00*          *", b"ISA*00*          *", 1)
    assert broken != whole
    server.put("nrdf", "210_1.edi", broken)
    server.put("nrdf", "210_2.edi", whole)
    landed = collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    assert [(one.readable, one.received, one.records) for one in landed] == [(False, 1, 0), (True, 2, 2)]
    assert rows(conn, "select natural_key, reasons, is_document from quality.quarantine") == [
        ("210_1.edi", ["unreadable_interchange"], True)
    ]
    assert rows(conn, "select sum(records), sum(amount) from landing.control_total where is_document") == [(1, None)]


def test_an_amount_that_cannot_be_read_rejects_its_bill_and_no_other(conn: Any, server: Carriers) -> None:
    content = file_of(bill("N1"), bill("N2", "77.77")).replace(b"*7777*", b"*77O7*", 1)
    server.put("nrdf", "210_1.edi", content)
    collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    assert rows(conn, "select invoice_number from landing.carrier_invoice") == [("N1",)]
    assert rows(conn, "select natural_key, reasons, amount, currency from quality.quarantine") == [
        ("N2", ["unreadable_value"], None, None)
    ]


def test_a_file_on_which_landing_fails_is_kept_as_unreadable_and_the_next_one_lands(
    conn: Any, server: Carriers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from freightsync.landing import collecting

    read = collecting.carrier_edi.parse_file

    def fails(content: bytes, **given: Any) -> Any:
        if given["name"] == "210_1.edi":
            raise OverflowError("date value out of range\nand more")
        found = read(content, **given)
        if given["name"] == "210_2.edi":  # a value that only the database refuses
            found["carrier.invoice_x12"].records[0].values["weight_lb"] = Decimal(10) ** 12
        return found

    monkeypatch.setattr(collecting.carrier_edi, "parse_file", fails)
    for number in (1, 2, 3):
        server.put("nrdf", f"210_{number}.edi", file_of(bill(f"N{number}"), number=number))
    landed = collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    assert [(one.readable, one.received, one.records) for one in landed] == [
        (False, 1, 0),
        (False, 1, 0),
        (True, 1, 1),
    ]
    assert server.lying("nrdf") == []
    assert rows(conn, "select name, readable from landing.document order by name") == [
        ("210_1.edi", False),
        ("210_2.edi", False),
        ("210_3.edi", True),
    ]
    (first, second) = rows(conn, "select natural_key, reasons, messages[1] from quality.quarantine order by 1")
    assert first[:2] == ("210_1.edi", ["unreadable_file"])
    assert "OverflowError: date value out of range (partner nrdf, document 210_1.edi). What to do: " in first[2]
    assert "numeric field overflow" in second[2]


def test_a_database_that_is_away_blames_no_file(conn: Any, server: Carriers, monkeypatch: pytest.MonkeyPatch) -> None:
    from freightsync.landing import collecting

    def away(*_: Any, **__: Any) -> Any:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(collecting, "land", away)
    server.put("nrdf", "210_1.edi", file_of(bill("N1")))
    with pytest.raises(psycopg.OperationalError):
        collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    assert server.lying("nrdf") == ["210_1.edi"]


def test_the_same_file_under_another_name_is_a_duplicate_but_our_own_crash_is_none(
    conn: Any, server: Carriers, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file_of(bill("N1"))
    server.put("nrdf", "210_1.edi", content)
    archive = our_sftp.Directory.archive

    def killed(*_: Any) -> None:
        raise RuntimeError("killed between commit and archive")

    monkeypatch.setattr(our_sftp.Directory, "archive", killed)
    with pytest.raises(RuntimeError):
        collect(conn, server.settings, ["carrier.invoice_x12"], "r1")
    monkeypatch.setattr(our_sftp.Directory, "archive", archive)
    assert collect(conn, server.settings, ["carrier.invoice_x12"], "r2") == []
    assert server.lying("nrdf") == []
    assert rows(conn, "select count(*) from landing.duplicate") == [(0,)]
    server.put("nrdf", "210_2.edi", content)
    (copy,) = collect(conn, server.settings, ["carrier.invoice_x12"], "r3")
    assert (copy.duplicate_document, copy.duplicates) == (True, 1)
    assert len(server.lying("nrdf", "archive")) == 2


def test_each_feed_takes_its_own_files(conn: Any, server: Carriers) -> None:
    import datetime as dt

    status = Status214("P1", "SH1", "NRDF", events=[StatusEvent("D1", occurred_on=dt.date(2026, 3, 3))])
    server.put("nrdf", "210_1.edi", file_of(bill("N1")))
    server.put("nrdf", "214_1.edi", file_of(status))
    server.put("nrdf", "readme.txt", b"hello\n")
    assert [one.feed for one in collect(conn, server.settings, ["carrier.status_x12"], "r")] == ["carrier.status_x12"]
    assert server.lying("nrdf") == ["210_1.edi", "readme.txt"]


HEADER = (
    "InvoiceNo,InvoiceDate,Type,ShipmentRef,BOL,PRO,PO,ShipDate,OriginZip,DestZip,WeightLb,ChargeCode,Description,"
    "Amount,InvoiceTotal,Currency\r\n"
)


def csv_row(number: str, code: str, amount: str, total: str, shipment: str = "SH1", kind: str = "") -> str:
    return (
        f"{number},03/05/2026,{kind},{shipment},B1,P1,SO1,03/02/2026,89501,60435,1200,{code},a charge,{amount},{total},"
        "USD\r\n"
    )


def test_a_csv_is_grouped_into_invoices_by_its_mapping(conn: Any, server: Carriers) -> None:
    content = HEADER + csv_row("B1", "BASE", "90.00", "100.00") + csv_row("B1", "FSC", "10.00", "100.00")
    content += csv_row("B2", "BASE", "5.00", "9.00", "SH2") + csv_row("B2", "BASE", "4.00", "9.00", "SH3")
    content += csv_row("B2", "BASE", "-3.00", "-3.00", "SH2", "CR")
    content += csv_row("B3", "BASE", "see below", "7.00") + csv_row("B3", "FSC", "1.00", "7.00")
    content += csv_row("B4", "BASE", "1.00", "see below") + csv_row("B4", "FSC", "1.00", "see below")
    server.put("bluw", "invoices_1.csv", content.encode())
    server.put("bluw", "invoices_2.csv", b"<html><body>Bad Gateway</body></html>\n")
    landed = collect(conn, server.settings, ["carrier.invoice_csv"], "r1")
    assert [(one.received, one.records, one.rejects, one.readable) for one in landed] == [
        (5, 3, 2, True),
        (1, 0, 1, False),
    ]
    assert rows(
        conn,
        "select invoice_number, correction, shipment_reference, net_amount, lines_total, line_count, position"
        " from landing.carrier_invoice order by ordinal",
    ) == [
        ("B1", "", "SH1", Decimal("100.00"), Decimal("100.00"), 2, "rows 2-3"),
        ("B2", "", None, Decimal("9.00"), Decimal("9.00"), 2, "rows 4-5"),
        ("B2", "CR", "SH2", Decimal("-3.00"), Decimal("-3.00"), 1, "row 6"),
    ]
    assert rows(conn, "select natural_key, reasons, amount from quality.quarantine order by natural_key") == [
        ("B3", ["unreadable_value"], Decimal("7.00")),
        ("B4", ["unreadable_value"], None),
        ("invoices_2.csv", ["unreadable_file"], None),
    ]
    assert server.lying("bluw") == []


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda s: {**s, "password": "no"}, "refuses the account"),
        (lambda s: {**s, "host_key": ""}, "no host key is pinned"),
        (lambda s: {**s, "host_key": OTHER_KEY}, "another host key"),
    ],
)
def test_a_server_that_is_not_the_pinned_one_gets_nothing(
    conn: Any, server: Carriers, wrong: Callable[[dict[str, Any]], dict[str, Any]], match: str
) -> None:
    found = server.settings.sftp
    good = {"port": found.port, "user": found.user, "password": "p-ours", "host_key": found.host_key}
    settings = Settings.load(sftp=wrong(good))
    with pytest.raises(PermanentError, match=match):
        collect(conn, settings, ["carrier.invoice_csv"], "r1")


OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJLkmjEkYBsWcgrxyLJJbSyCyvmRXfPWj8Ql2G1XJ1zT"


def test_a_server_that_is_away_is_transient(conn: Any) -> None:
    settings = Settings.load(sftp={"port": 1, "user": "u", "password": "p", "host_key": OTHER_KEY})
    with pytest.raises(PartnerUnavailable, match="can't be reached"):
        collect(conn, settings, ["carrier.invoice_csv"], "r1")


def test_rate_files_are_taken_from_the_pricing_team(conn: Any, server: Carriers) -> None:
    server.put(
        "pricing",
        "contracts_2026-03.csv",
        b"Contract,Version,Side,SCAC,Mode,Currency,ValidFrom\nC1,1,buy,NRDF,LTL,USD,2026-01-01\n",
    )
    lanes = "Rate ID,Version,Contract,OriginKind,DestKind,Basis,ValidFrom,From,Rate\n" + "".join(
        f"R{n},1,C1,any,any,per_cwt,2026-01-01,{start},{rate}\n"
        for n in range(300)
        for start, rate in ((0, 20), (500, 15))
    )
    server.put("pricing", "lane_rates_2026-03.csv", lanes.encode())
    server.put("pricing", "notes.txt", b"for people\n")
    found = {landed.feed: landed for landed in collect(conn, server.settings, list(RATE_FEEDS), "r1")}
    assert {feed: (one.received, one.records, one.rejects) for feed, one in found.items()} == {
        "rates.contract": (1, 1, 0),
        "rates.lane_rate": (300, 300, 0),
    }
    assert rows(conn, "select count(*), sum(rate) from landing.rate_lane_line") == [(600, Decimal("10500.0000"))]
    assert server.lying("pricing") == ["notes.txt"]
    assert len(server.lying("pricing", "archive")) == 2


# ---------------------------------------------------------------------------------------------------- EDIFACT, audit

INVOIC = """UNB+UNOC:3+NRDF+US+260310:0900+{number}'
UNH+1+INVOIC:D:96A:UN'
BGM+380+E{number}+9'
DTM+137:20260310:102'
RFF+SRN:SH1'
NAD+SE+++Nordfracht Gütersloh'
CUX+2:EUR:4'
LIN+1++400:SRV'
MOA+203:{line}'
UNS+S'
MOA+77:100.00'
UNT+11+1'
UNZ+1+{number}'
"""


def test_edifact_is_known_by_its_content_whatever_the_file_is_called(conn: Any, server: Carriers) -> None:
    for number, name in enumerate(("invoic_1.edi", "210_2.edi"), 1):
        server.put("nrdf", name, INVOIC.format(number=number, line="100.00").encode("latin-1"))
    cut = INVOIC.format(number=3, line="100.00").encode("latin-1")
    growing = server.put("nrdf", "invoic_3.edi", cut[:-20])
    feeds = ["carrier.invoice_x12", "carrier.invoice_edifact"]
    landed = collect(conn, server.settings, feeds, "r1")
    assert [(one.feed, one.records) for one in landed] == [("carrier.invoice_edifact", 1)] * 2
    assert server.lying("nrdf") == ["invoic_3.edi"], "without its UNZ it may still be being written"
    growing.write_bytes(cut)
    collect(conn, server.settings, feeds, "r2")
    assert server.lying("nrdf") == []
    assert rows(
        conn,
        "select scac, invoice_number, shipment_reference, net_amount, amount, currency from landing.carrier_invoice"
        " order by 2",
    ) == [("NRDF", f"E{n}", "SH1", Decimal("100.00"), Decimal("100.00"), "EUR") for n in (1, 2, 3)]
    assert rows(conn, "select distinct line_amount, partner_code from landing.carrier_invoice_line") == [
        (Decimal("100.00"), "400")
    ]
    # an 210 in a file that is called INVOIC is a 210
    server.put("nrdf", "invoic_4.edi", file_of(bill("N1")))
    assert [one.feed for one in collect(conn, server.settings, feeds, "r3") if one.records] == ["carrier.invoice_x12"]


def test_a_deployments_own_carriers_and_audit_platforms_are_collected(
    conn: Any, server: Carriers, tmp_path: Path
) -> None:
    folder = tmp_path / "carriers"
    folder.mkdir()
    (folder / "partners.yaml").write_text(
        """
partners:
  WALD:
    files:
      partner: wald
      directory: bluw
      kinds: {"*.csv": {feed: carrier.invoice_csv, format: csv, mapping: wald.yaml}}
  BLUW:
    files: {kinds: {"none": {feed: carrier.invoice_csv, format: csv, mapping: bluw.yaml}}}
senders:
  clearbill:
    files: {kinds: {"results_*.csv": {feed: audit.invoice_result, format: csv, mapping: audit_results.yaml}}}
"""
    )
    (folder / "wald.yaml").write_text(
        'columns: {invoice_number: "Nr", invoice_on: Tag, currency: {constant: EUR}}\n'
        'charges: [{column: Fracht, code: "400"}]\n'
    )
    settings = server.settings.model_copy(update={"carrier_folder": folder})
    server.put("bluw", "rechnung.csv", b"Nr,Tag,Fracht\r\nW1,2026-03-10,55.00\r\n")
    server.put(
        "clearbill",
        "results_1.csv",
        b"AuditRef,AuditDate,SCAC,InvoiceNo,InvoiceType,Action,Billed,Audited,Currency\r\n"
        b"T1,2026-03-12,WALD,W1,INV,APPROVE,55.00,55.00,EUR\r\n",
    )
    landed = collect(conn, settings, ["carrier.invoice_csv", "audit.invoice_result"], "r1")
    assert {(one.feed, one.records) for one in landed} == {("carrier.invoice_csv", 1), ("audit.invoice_result", 1)}
    assert rows(conn, "select scac, partner, net_amount, currency from landing.carrier_invoice") == [
        ("WALD", "wald", Decimal("55.00"), "EUR")
    ]
    assert rows(conn, "select partner, scac, action, audited_amount from landing.audit_result") == [
        ("clearbill", "WALD", "approve", Decimal("55.00"))
    ]
