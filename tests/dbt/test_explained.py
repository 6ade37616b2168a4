"""The page that explains bills, read as a person with a calculator reads it: every calculation and sum on it comes out
as it says, and what it says of each bill is what plain Python makes of that bill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from billed_world import Settled
from deployed import copied
from page_arithmetic import BillRead, PageReader, number, value, wrong
from settled import FITTING, Outcome
from shaped import ShapedWarehouse

from freightsync.cli import main
from freightsync.domain.errors import PermanentError
from freightsync.reports.explain import explain_bills, explain_examples

AT = datetime(2026, 3, 31, 6, 0, tzinfo=UTC)
PLACES = "Billed = Paid + Disputed + Rejected + Waiting"


@pytest.fixture(scope="module")
def billed(postgres_server: Any, settled_world: Settled) -> Iterator[ShapedWarehouse]:
    with copied(postgres_server, settled_world.database) as warehouse:
        yield warehouse


def read(path: Path) -> list[BillRead]:
    reader = PageReader(path.read_text(encoding="utf-8"))
    assert not reader.tags
    assert not reader.seen & {"script", "img", "link", "iframe", "object"}
    return reader.bills


def agrees(bill: BillRead, outcome: Outcome) -> None:
    """What the page says of a bill against plain Python."""
    assert outcome.verdict.replace("_", " ") in bill.text
    (placed,) = [table for table in bill.tables if table.caption == PLACES]
    rows = {row[0]: [number(cell) for cell in row[1:]] for row in placed.rows}
    for (shipment, charge), judged in outcome.charges.items():
        wanted = [judged.invoiced, judged.paid, judged.disputed, judged.rejected, judged.pending]
        assert rows.pop(f"{shipment} {charge}") == wanted
        if judged.rule is not None and judged.over is not None and judged.verdict in FITTING:
            assert judged.rule.rule_id in bill.text or judged.invoiced < 0
    assert set(rows) <= {"without a shipment"}
    posted = [table for table in bill.tables if table.caption.startswith("Postings")]
    if any(judged.postings for judged in outcome.charges.values()):
        assert posted


def test_ten_examples_show_what_can_come_of_a_bill(
    billed: ShapedWarehouse, settled_world: Settled, tmp_path: Path
) -> None:
    bills = read(explain_examples(billed.settings, as_of=AT, path=tmp_path / "examples.html"))
    assert len(bills) == 10
    assert len({settled_world.expected[bill.name].verdict for bill in bills}) == 10
    for bill in bills:
        assert wrong(bill) == []
        agrees(bill, settled_world.expected[bill.name])
    said = " ".join(bill.text for bill in bills)
    for word in ("Whose freight it is", "Allowed over, by percentage", "What is booked", "still open", "version"):
        assert word in said
    assert len({text for bill in bills for text in bill.calculations}) > 40


def test_every_verdict_can_be_explained(billed: ShapedWarehouse, settled_world: Settled, tmp_path: Path) -> None:
    """As many examples as there are verdicts, and more: each is there, and foreign currency and claims with them."""
    bills = read(explain_examples(billed.settings, as_of=AT, count=40, path=tmp_path / "all.html"))
    verdicts = {outcome.verdict for outcome in settled_world.expected.values()}
    assert {settled_world.expected[bill.name].verdict for bill in bills} == verdicts
    for bill in bills:
        assert wrong(bill) == []
        agrees(bill, settled_world.expected[bill.name])
    said = " ".join(bill.text for bill in bills)
    for word in ("cost in USD", "claimed back from the carrier", "What was said about it", "÷"):
        assert word in said


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_bill_adds_up(billed: ShapedWarehouse, settled_world: Settled, tmp_path: Path) -> None:
    names = sorted(settled_world.expected)
    bills = read(explain_bills(billed.settings, names, as_of=AT, path=tmp_path / "bills.html"))
    assert sorted(bill.name for bill in bills) == names
    for bill in bills:
        assert wrong(bill) == []
        agrees(bill, settled_world.expected[bill.name])


def test_a_bill_is_found_by_its_number_however_spelt(
    billed: ShapedWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = billed.rows(
        """select scac, invoice_number, of_number from (
             select *, count(*) over (partition by scac, normalized_number) as of_number
             from canonical.carrier_invoice) as bill
           where correction = '' order by 3 desc, 1, 2 limit 1"""
    )
    spelt = f"00{row['invoice_number'][0].lower()}-{row['invoice_number'][1:]}".replace("00", "", 1)
    bills = read(explain_bills(billed.settings, [spelt], as_of=AT, scac=row["scac"], path=tmp_path / "one.html"))
    assert len(bills) == row["of_number"]
    with pytest.raises(PermanentError, match="no bill NOBODY"):
        explain_bills(billed.settings, ["NOBODY"], as_of=AT, path=tmp_path / "none.html")
    monkeypatch.setenv("FREIGHTSYNC_REPORT_DSN", billed.settings.dsn("report"))
    assert main(["explain", bills[0].name, "--out", str(tmp_path / "two.html")]) == 0
    assert [bill.name for bill in read(Path(capsys.readouterr().out.strip()))] == [bills[0].name]
    assert main(["explain"]) == 2
    assert main(["explain", "NOBODY"]) == 1


def test_a_wrong_sum_is_seen(billed: ShapedWarehouse, tmp_path: Path) -> None:
    """The reader of these tests does calculate."""
    assert value("larger of 1,000.00 and 2.50") == 1000
    assert value("250.00 × 5 %") == number("12.5")
    assert value("100.00 − (−20.00) − 30.00") == 90
    path = explain_examples(billed.settings, as_of=AT, path=tmp_path / "examples.html")
    (first, *_) = read(path)
    right = first.calculations[0].rsplit("=", 1)[1].strip()
    path.write_text(path.read_text().replace(f"= {right}<", f"= 9{right}<", 1), encoding="utf-8")
    assert any(wrong(bill) for bill in read(path))
