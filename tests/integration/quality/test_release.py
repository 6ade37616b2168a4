"""The steward's way out of quarantine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from freightsync import cli
from freightsync.quality import gate, release
from freightsync.quality.release import ReleaseRefused
from freightsync.systems.parsed import Parsed, Reject

from .conftest import page, put, rows, synchronise, touched
from .test_gate import invoice, invoices, order

SHIP_TO = {"ship_to_id": "ST9", "version": 1, "changed_at": "2026-03-01T00:00:00Z", "customer_id": "C1"}


@pytest.fixture
def waiting(conn: Any) -> int:
    """The quarantine id of an order with an unknown ship-to."""
    synchronise(conn)
    page(conn, "erp.sales_order", order("SO9", ship_to_id="ST9"))
    gate(conn, ["erp.sales_order"], "r", great_expectations=False)
    ((found,),) = rows(conn, "select quarantine_id from quality.quarantine")
    return int(found)


def test_once_the_cause_is_mended_it_is_let_in_and_looked_at_again(conn: Any, waiting: int) -> None:
    with pytest.raises(ReleaseRefused, match="still breaks unknown_ship_to"):
        release(conn, waiting, "sam", "looks fine to me")
    page(conn, "erp.ship_to", SHIP_TO)
    gate(conn, ["erp.ship_to"], "r", great_expectations=False)
    before = touched(conn)
    released = release(conn, waiting, "sam", "ship-to created in the ERP")
    assert touched(conn) - before == {("release_orders", "order", "erp:SO9")}
    assert rows(conn, "select feed, record_id, origin from quality.admission where origin = 'release'") == [
        ("erp.sales_order", released.record_id, "release")
    ]
    assert rows(conn, "select released_by, note, new_record_id from quality.release") == [
        ("sam", "ship-to created in the ERP", None)
    ]
    with pytest.raises(ReleaseRefused, match="released before"):
        release(conn, waiting, "sam", "again")
    assert rows(conn, "select bool_and(balanced) from ops.control_total_check where gated") == [(True,)]


def test_a_corrected_copy_is_let_in_and_what_came_stays_as_it_was(conn: Any, waiting: int) -> None:
    released = release(conn, waiting, "sam", "typing error", {"ship_to_id": "ST1"})
    assert released.corrected
    assert rows(
        conn,
        "select record_id = %s, ship_to_id, amount from landing.sales_order order by record_id",
        released.record_id,
    ) == [(False, "ST9", 20), (True, "ST1", 20)]
    assert rows(
        conn,
        "select r.lines = s.lines, r.correlation_id = s.correlation_id"
        " from landing.sales_order r, landing.sales_order s where r.record_id < s.record_id",
    ) == [(True, True)]
    assert rows(conn, "select record_id from quality.admission where feed = 'erp.sales_order'") == [
        (released.record_id,)
    ]
    assert rows(conn, "select channel from landing.document where name like 'correction%%'") == [("portal",)]
    assert rows(conn, "select bool_and(balanced) from ops.control_total_check where gated") == [(True,)]


def test_a_corrected_copy_must_keep_the_rules_too(conn: Any, waiting: int) -> None:
    with pytest.raises(ReleaseRefused, match="still breaks unknown_ship_to"):
        release(conn, waiting, "sam", "typing error", {"ship_to_id": "ST8"})
    assert rows(conn, "select count(*) from landing.sales_order") == [(1,)]


def test_an_invoice_keeps_its_lines_when_corrected_and_its_money_always(conn: Any) -> None:
    synchronise(conn)
    none = dict.fromkeys(("shipment_reference", "bol_number", "pro_number", "po_number"))
    put(conn, "carrier.invoice_x12", invoices(invoice("N1", **none)), "nrdf")
    conn.commit()
    gate(conn, ["carrier.invoice_x12"], "r", great_expectations=False)
    ((quarantine_id,),) = rows(conn, "select quarantine_id from quality.quarantine")
    with pytest.raises(ReleaseRefused, match="net_amount can't be corrected"):
        release(conn, quarantine_id, "sam", "x", {"net_amount": "1.00"})
    released = release(conn, quarantine_id, "sam", "the carrier told us by phone", {"shipment_reference": "SH1"})
    assert rows(
        conn,
        "select line, partner_code, line_amount from landing.carrier_invoice_line where record_id = %s order by 1",
        released.record_id,
    ) == [(1, "400", 90), (2, "FUE", 10)]
    assert ("settle_freight", "carrier_invoice", f"NRDF:{released.record_id}") in touched(conn)


def test_what_could_not_be_read_is_sent_again_not_released(conn: Any) -> None:
    parsed = Parsed()
    parsed.received()
    parsed.rejects.append(Reject(1, "row 2", ("unreadable_value",), ("?",), "raw", "N1"))
    put(conn, "carrier.invoice_csv", parsed, "bluw")
    conn.commit()
    ((quarantine_id,),) = rows(conn, "select quarantine_id from quality.quarantine")
    with pytest.raises(ReleaseRefused, match="could not be read") as caught:
        release(conn, quarantine_id, "sam", "x")
    assert "send it again" in caught.value.what_to_do


def test_a_steward_may_insist_and_nobody_may_be_nameless(conn: Any, waiting: int) -> None:
    with pytest.raises(ReleaseRefused, match="needs a name"):
        release(conn, waiting, " ", "x")
    assert release(conn, waiting, "sam", "drop shipment, no ship-to needed", insist=True).record_id


def test_the_commands(
    conn: Any, waiting: int, warehouse: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    assert cli.main(["quarantine", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("1 unknown_ship_to\n")
    assert "unknown_ship_to: Ship-to ST9 of order SO9 is not in the master data." in shown
    assert cli.main(["quarantine", "show", str(waiting), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["payload"]["order_number"] == "SO9"
    assert cli.main(["quarantine", "show", "999"]) == 2
    assert cli.main(["quarantine", "release", str(waiting), "--note", "x"]) == 1
    assert "still breaks unknown_ship_to" in capsys.readouterr().err
    assert cli.main(["quarantine", "release", str(waiting), "--note", "x", "--set", "ship_to_id=ST1"]) == 0
    capsys.readouterr()
    assert cli.main(["quarantine", "list"]) == 0
    assert capsys.readouterr().out == "nothing waits\n"


def test_held_batches_are_listed_until_they_pass(
    conn: Any, warehouse: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    page(conn, "erp.sales_order", order("SO1"))
    gate(conn, ["erp.sales_order"], "r", great_expectations=False)
    assert cli.main(["quarantine", "list"]) == 0
    assert "Nothing of erp.customer has been admitted yet" in capsys.readouterr().out
    synchronise(conn)
    gate(conn, ["erp.sales_order"], "r", great_expectations=False)
    assert cli.main(["quarantine", "list"]) == 0
    assert capsys.readouterr().out == "nothing waits\n"
