"""The page that explains bills: a stranger's text stays text, and headings, tables and figures can be read by all."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

from page_arithmetic import PageReader, wrong

from freightsync.reports.explain_page import money, page
from freightsync.reports.explained import Bill, Explained, Line, Link, Posted, Word

AT = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
EVIL = "</td><script>alert(1)</script>\"'&"
D = Decimal


def explained(text: str) -> Explained:
    """A bill that no shipment was found for, every text of which a stranger wrote."""
    bill = Bill(
        carrier_invoice_id=f"NRDF:1{text}",
        scac=text,
        billed_by=f"{text}2",
        invoice_number=text,
        normalized_number=text,
        correction=text,
        corrects_number=text,
        invoice_on=date(2026, 3, 9),
        received_at=AT,
        currency=text,
        net_amount=D("1234.50"),
        tax_amount=D("10.00"),
        gross_amount=D("1244.50"),
        verdict="no_candidate",
        reason=text,
        is_posted=False,
        dispute_mode="hold",
        paid_amount=D("0.00"),
        claimed_amount=D("0.00"),
        recovered_amount=D("0.00"),
        disputed_amount=D("0.00"),
        rejected_amount=D("0.00"),
        auto_approve_amount=None,
        other_number=text,
        other_on=date(2026, 3, 8),
        other_normalized=text,
        channel="sftp",
        document_name=text,
        position=text,
    )
    tried = [{"key": "bol", "value": text, "candidates": [f"tms:{text}", "tms:S2"]}]
    posted = Posted(
        1, date(2026, 3, 9), text, text, text, "6100", "2100", text, D("1.00"), text, D("1.10"), text, text, text
    )
    return Explained(
        bill=bill,
        lines=[
            Line(1, "", text, text, text, text, None, D("1234.51")),
            Line(2, "", "X", "FUEL", None, None, None, D("-0.01")),
        ],
        links=[Link("", "several_candidates", None, None, None, tried, [f"tms:{text}"], D("1234.50"))],
        charges=[],
        earlier=[],
        postings=[posted],
        words=[Word(AT, "us", text, text, text, text)],
    )


def test_a_strangers_text_stays_text() -> None:
    made = page([explained(EVIL)], as_of=AT, title=EVIL, shows=[[EVIL]])
    assert "<script" not in made
    assert EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split("&quot;")[0][:20] in made
    reader = PageReader(made)
    assert not reader.tags, "every tag is closed"
    assert "script" not in reader.seen
    assert EVIL in reader.bills[0].text


def test_what_no_shipment_was_found_for_waits_and_adds_up() -> None:
    (bill,) = PageReader(page([explained("plain")], as_of=AT, title="One")).bills
    assert wrong(bill) == []
    assert "1,234.50 + 10.00 = 1,244.50" in bill.calculations
    (placed,) = [table for table in bill.tables if table.caption.startswith("Billed =")]
    assert placed.rows == [["without a shipment", "1,234.50", "0.00", "0.00", "0.00", "1,234.50"]]


def test_the_page_can_be_read_aloud_and_printed() -> None:
    made = page([explained("plain"), explained("other")], as_of=AT, title="Two")
    assert made.startswith('<!doctype html>\n<html lang="en">')
    levels = [int(level) for level in re.findall(r"<h(\d)", made)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert made.count("<table") == made.count("<caption>")
    assert not re.search(r"<th(?! scope|ead)", made), "each heading says what it heads"
    assert len(set(re.findall(r' id="([^"]+)"', made))) == len(re.findall(r' id="([^"]+)"', made))
    assert "@media print" in made
    assert not re.search(r"""(src|href)=["'](?!#)""", made), "nothing is loaded from elsewhere"


def test_amounts_read_as_people_write_them() -> None:
    assert [money(D(text)) for text in ("0", "-0.5", "1234567.80", "22.20125", "100.10")] == [
        "0.00",
        "−0.50",
        "1,234,567.80",
        "22.20125",
        "100.10",
    ]
