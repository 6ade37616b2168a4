"""Bills that people bring in: the template filled in, who it was, the same file twice, and what is no upload."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from freightsync.cli import main
from freightsync.landing.uploads import KINDS, UploadRefused, plain_name, template, upload
from freightsync.warehouse.connection import connect


@pytest.fixture
def conn(warehouse: Any) -> Any:
    with connect(warehouse.app) as connection:
        yield connection


def filled(kind: Any, *bills: dict[str, Any]) -> bytes:
    """The template with rows under its header."""
    book = openpyxl.load_workbook(io.BytesIO(template(kind)))
    page = book.worksheets[0]
    header = [cell.value for cell in page[1]]
    for at, bill in enumerate(bills, 2):
        assert set(bill) <= set(header)
        for name, value in bill.items():
            page.cell(at, header.index(name) + 1, value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


ROW = {
    "Invoice number": "P1",
    "Invoice date": "2026-03-10",
    "Shipment": "SH1",
    "Charge code": "400",
    "Amount": 90.1,
    "Invoice total without tax": 100.1,
    "Currency": "usd",
}


def rows(conn: Any, query: str) -> list[tuple[Any, ...]]:
    with conn.transaction():
        found: list[tuple[Any, ...]] = conn.execute(query).fetchall()
    return found


def test_a_filled_in_template_lands_with_the_name_of_who_brought_it(conn: Any) -> None:
    content = filled("invoices", ROW, {**ROW, "Charge code": "FUE", "Amount": 10})
    done = upload(conn, content, name="C:\\bills\\march.xlsx", scac="WALD", by="maria")
    assert (done.invoices, done.duplicates, done.problems, done.first_by) == (1, 0, (), None)
    assert rows(conn, "select name, channel, sent_by, partner, correlation_id from landing.document") == [
        ("march.xlsx", "portal", "maria", "wald", done.correlation_id)
    ]
    assert rows(
        conn, "select scac, source, invoice_number, net_amount, currency, correction from landing.carrier_invoice"
    ) == [("WALD", "carrier.invoice_portal", "P1", Decimal("100.10"), "USD", "")]
    again = upload(conn, content, name="copy.xlsx", scac="WALD", by="jo")
    assert (again.invoices, again.first_by, again.document_id) == (0, "maria", done.document_id)
    assert again.first_at is not None
    # another file with the same bill in it: one duplicate
    more = filled(
        "invoices", ROW, {**ROW, "Charge code": "FUE", "Amount": 10}, {**ROW, "Invoice number": "P2", "Amount": 100.1}
    )
    third = upload(conn, more, name="more.xlsx", scac="WALD", by="jo")
    assert (third.invoices, third.duplicates, third.first_by) == (1, 1, None)


def test_accessorials_are_supplemental_bills_of_their_own(conn: Any) -> None:
    charge = {
        "Reference": "ACC1",
        "Date": "2026-03-10",
        "PRO": "P9",
        "Charge code": "DET",
        "Amount": 75,
        "What for": "wait",
    }
    done = upload(
        conn,
        filled("accessorials", charge, {**charge, "Charge code": "LFT", "Amount": 5}),
        name="a",
        scac="WALD",
        by="jo",
        kind="accessorials",
    )
    assert done.problems == ()
    assert rows(conn, "select correction, net_amount, lines_total, currency from landing.carrier_invoice") == [
        ("SU", Decimal("80.00"), Decimal("80.00"), None)
    ]


def test_what_cannot_be_read_is_said_and_kept(conn: Any) -> None:
    content = filled(
        "invoices",
        {**ROW, "Amount": "ninety"},
        {**ROW, "Invoice number": "P2", "Kind of bill": "Gift"},
        {**ROW, "Invoice number": "P3"},
    )
    done = upload(conn, content, name="march.xlsx", scac="WALD", by="maria")
    assert done.invoices == 1
    assert [where for where, _ in done.problems] == ["row 2", "row 3"]
    assert "'Gift' is not mapped" in done.problems[1][1]
    assert rows(conn, "select count(*) from quality.quarantine") == [(2,)]
    nothing = upload(conn, b"hello", name="x", scac="WALD", by="maria")
    assert (nothing.invoices, nothing.problems[0][0]) == (0, "the file")


@pytest.mark.parametrize(
    "change",
    [
        {"by": " "},
        {"scac": "../x"},
        {"scac": ""},
        {"kind": "../../bluw"},
        {"content": b""},
        {"content": b"x" * 17_000_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_upload_is_refused_and_leaves_nothing(conn: Any, change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"content": b"a,b", "name": "x", "scac": "WALD", "by": "jo", **change}
    with pytest.raises(UploadRefused):
        upload(conn, given.pop("content"), **given)
    assert rows(conn, "select count(*) from landing.document") == [(0,)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\bill.xlsx", "bill.xlsx"),
        ("a\nb\x00.csv", "a_b_.csv"),
        ("..", "upload"),
        ("", "upload"),
        ("é" * 300, "é" * 200),
    ],
)
def test_a_name_is_a_name_and_no_path(sent: str, kept: str) -> None:
    assert plain_name(sent) == kept


@pytest.mark.parametrize("kind", KINDS)
def test_the_template_says_what_each_column_means(kind: Any) -> None:
    book = openpyxl.load_workbook(io.BytesIO(template(kind)))
    header = [cell.value for cell in book.worksheets[0][1]]
    assert [row[0].value for row in book.worksheets[1].iter_rows(min_row=2)] == header
    assert book.worksheets[0].max_row == 1


def test_the_commands(
    warehouse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FREIGHTSYNC_APP_DSN", warehouse.app)
    path = tmp_path / "bills.xlsx"
    assert main(["invoices", "template", str(path)]) == 0
    assert main(["invoices", "template", str(path)]) == 2, "never overwritten"
    path.write_bytes(filled("invoices", {**ROW, "Amount": 100.1}))
    command = ["invoices", "upload", str(path), "--carrier", "wald", "--by", "maria"]
    assert main(command) == 0
    assert "1 bills taken in" in capsys.readouterr().out
    assert main(command) == 0
    assert "maria uploaded it on" in capsys.readouterr().out
    path.write_bytes(filled("invoices", {**ROW, "Amount": "x"}))
    assert main(command) == 1
    assert "not a number" in capsys.readouterr().err
    assert main([*command[:2], str(tmp_path / "none.xlsx"), *command[3:]]) == 2
