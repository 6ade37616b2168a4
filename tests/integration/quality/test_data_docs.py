"""Pages that a steward opens from disk: they say what happened, and load nothing from anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from freightsync.landing.feeds import FEEDS
from freightsync.quality import gate

from .conftest import MASTER, page, put, rows, synchronise
from .test_gate import invoice, invoices, order


class Links(HTMLParser):
    """What a page points at or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            elif name in ("src", "href"):
                self.loaded.append(f"{tag} {value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: Path) -> Links:
    found = Links()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_the_site_shows_every_feed_and_run_and_needs_no_network(warehouse: Any, conn: Any, tmp_path: Path) -> None:
    from freightsync.quality.data_docs import build

    synchronise(conn)
    page(conn, "erp.sales_order", order("SO1"), order("SO<2>", ship_to_id="ST9"))
    gate(conn, ["erp.sales_order"], "scheduled__1", great_expectations=True)
    lost = invoices(invoice("N1"), invoice("N2"))
    lost.records.pop()
    put(conn, "carrier.invoice_x12", lost, "nrdf")
    conn.commit()
    gate(conn, ["carrier.invoice_x12"], "scheduled__2", great_expectations=False)
    built = build(conn, tmp_path / "docs", settings=warehouse.settings())
    pages = sorted((tmp_path / "docs").rglob("*.html"))
    assert len(pages) == built.pages == len(MASTER) + 2 + len(FEEDS) + 1
    for one in pages:
        found = read(one)
        assert found.loaded == [], one
        assert not re.search(r"url\(|@import", one.read_text(encoding="utf-8")), one
        for link in found.links:
            assert link.startswith("#") or (one.parent / link).resolve().is_file(), f"{one}: {link}"
    index = " ".join(read(built.index).text)
    assert "unknown ship to (1)" in index
    assert "held" in index
    runs = {verdict: gate_id for gate_id, verdict in rows(conn, "select gate_id, verdict from quality.gate")}
    failed = " ".join(read(tmp_path / "docs" / "runs" / f"{runs['failed']}.html").text)
    assert "SO<2>/v1" in failed, "the record's own text is shown, not run"
    assert "Ship-to ST9 of order SO<2> is not in the master data." in failed
    held = " ".join(read(tmp_path / "docs" / "runs" / f"{runs['held']}.html").text)
    assert "The reader counted 2 records" in held


def test_only_what_is_new_is_made_and_the_old_goes(warehouse: Any, conn: Any, tmp_path: Path) -> None:
    from freightsync.quality.data_docs import build

    synchronise(conn)
    settings = warehouse.settings()
    build(conn, tmp_path, settings=settings)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.html") if path.name != "index.html"}
    for number in range(3):
        page(conn, "erp.sales_order", order(f"SO{number}"))
        gate(conn, ["erp.sales_order"], f"run {number}", great_expectations=False)
    build(conn, tmp_path, settings=settings, kept_runs=2)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.html") if path.name != "index.html"}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    row = re.search(
        r"<tr><td[^>]*><a href='rules/erp.sales_order.html'>.*?</tr>", (tmp_path / "index.html").read_text()
    )
    assert row is not None
    counts = re.findall(r"class='number'>([\d,]+)<", row[0])
    assert counts == ["3", "3", "0", "0"], "totals are of everything, also of runs whose page is gone"


def test_a_process_that_never_gated_anything_writes_them_too(warehouse: Any, tmp_path: Path) -> None:
    """As the morning's report does: a task of its own, in which no suite has run."""
    code = (
        "import sys, psycopg\n"
        "from freightsync.quality import data_docs\n"
        "from freightsync.settings import Settings\n"
        "with psycopg.connect(sys.argv[1]) as conn:\n"
        "    print(data_docs.build(conn, settings=Settings.load(home=sys.argv[2])).index)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, warehouse.report, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert (tmp_path / "data_docs" / "index.html").exists()
