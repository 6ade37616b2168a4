"""The workbook that finance opens: it ties, it calculates by itself, and no stranger's text becomes a formula."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import report_figures as day
from openpyxl.workbook.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet
from tests.conftest import skip_without

from freightsync.reports.figures import LedgerBalance, TrialBalanceLine
from freightsync.reports.workbook import write_workbook

SHEETS = [
    "Summary",
    "Accrual roll-forward",
    "Carrier invoices",
    "Matches and variances",
    "Exceptions",
    "Delivered not billed",
    "Control totals",
    "Quarantine",
    "Postings",
    "Ledger vs ERP",
    "Accruals by shipment",
    "Disputes",
    "Advices",
    "Accrual accuracy",
    "Settlement KPIs",
    "Customer KPIs",
    "Ledger tie-out",
    "Drift",
]


GATE = "Carrier invoices accepted at the gate, and our own for carriers = carrier invoices judged"


def cells(sheet: Worksheet) -> Iterator[Any]:
    for row in sheet.iter_rows():
        yield from (cell for cell in row if cell.value is not None)


def find(sheet: Worksheet, text: str) -> Any:
    return next(cell for cell in cells(sheet) if cell.value == text)


def under(sheet: Worksheet, heading: str) -> Any:
    """The first cell below a column's heading."""
    at = find(sheet, heading)
    return sheet.cell(at.row + 1, at.column)


def written(tmp_path: Path, **changed: object) -> Workbook:
    result = write_workbook(day.figures(**changed), tmp_path / "out.xlsx")
    return openpyxl.load_workbook(result.path)


def test_a_day_that_ties_has_no_differences(tmp_path: Path) -> None:
    result = write_workbook(day.figures(), tmp_path / "out.xlsx")
    assert result.differences == 0
    assert set(result.tie_outs.values()) == {Decimal(0)}
    assert len(result.tie_outs) >= 12


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (
            {"trial_balance": [TrialBalanceLine("2100", "USD", Decimal("0.00"), Decimal("104.01"))]},
            "Payables, account 2100: ours = the ERP's",
        ),
        (
            {"accruals": [dataclasses.replace(day.figures().accruals[0], accrued=Decimal("100.01"))]},
            "Accrual roll-forward = open accruals by shipment",
        ),
        (
            {"ledger": [LedgerBalance("2150", "USD", Decimal("100.00"), Decimal("150.01"))]},
            "Accrual roll-forward = our ledger, account 2150",
        ),
        (
            {"control_totals": [dataclasses.replace(day.figures().control_totals[1], received=5)]},
            "Received = accepted + quarantined + duplicate, in records",
        ),
        (
            {
                "control_totals": [
                    dataclasses.replace(day.figures().control_totals[1], duplicate_amount=Decimal("104.01"))
                ]
            },
            "Received = accepted + quarantined + duplicate, in money",
        ),
        ({"quarantine": []}, "Quarantine sheet = control totals, in records"),
        ({"exceptions": []}, "Disputed and waiting = open exceptions"),
        ({"invoices": day.figures().invoices[:1]}, GATE),
        (
            {"invoices": [dataclasses.replace(day.figures().invoices[0], rejected_amount=Decimal("0.01"))]},
            "Carrier invoices = paid + disputed + rejected + waiting",
        ),
        ({"disputes": []}, "Disputed of carrier invoices = disputed of disputes"),
        ({"kpis": []}, "Billed of carrier invoices = billed in the KPIs"),
        ({"postings": day.figures().postings[:-1]}, "Customer invoices posted = our ledger, account 1200"),
        (
            {"matches": [dataclasses.replace(day.figures().matches[0], paid_amount=Decimal("104.01"))]},
            "Paid of carrier invoices = paid of their charges",
        ),
        (
            {"invoices": [dataclasses.replace(day.figures().invoices[0], paid_amount=Decimal("104.01"))]},
            "Paid of carrier invoices = payables posted, account 2100",
        ),
    ],
)
def test_each_break_shows_on_its_own_line(tmp_path: Path, changed: dict[str, object], what: str) -> None:
    result = write_workbook(day.figures(**changed), tmp_path / "out.xlsx")
    assert result.tie_outs[what] != 0
    assert result.differences >= 1
    book = openpyxl.load_workbook(result.path, data_only=True)
    line = find(book["Summary"], what)
    assert book["Summary"].cell(line.row, 8).value == "DIFFERENCE"
    assert "do not tie out" in book["Summary"]["B5"].value


def test_what_we_bill_for_a_carrier_came_through_no_gate(tmp_path: Path) -> None:
    """The same bill is a difference as the carrier's, and none as ours."""
    figures = day.figures()
    known = figures.invoices[0]
    for name, expected in (("KESL:9", -known.billed_amount), ("SELF:SB-S9", Decimal(0))):
        mine = dataclasses.replace(known, carrier_invoice_id=name, scac="KESL", invoice_number="SB-S9")
        result = write_workbook(day.figures(invoices=[*figures.invoices, mine]), tmp_path / "out.xlsx")
        assert result.tie_outs[GATE] == expected


def test_an_account_that_only_the_erp_knows_is_a_difference(tmp_path: Path) -> None:
    extra = [*day.figures().trial_balance, TrialBalanceLine("6999", "USD", Decimal("1.00"), Decimal("1.00"))]
    result = write_workbook(day.figures(trial_balance=extra), tmp_path / "out.xlsx")
    # debit and credit cancel in the balance; compared apart they are 2.00 off
    assert result.tie_outs["All accounts: debits and credits that differ from the ERP's"] == Decimal("2.00")


def test_sheets_freeze_filter_and_print(tmp_path: Path) -> None:
    book = written(tmp_path)
    assert book.sheetnames == SHEETS
    for name in SHEETS[1:]:
        sheet = book[name]
        assert sheet.freeze_panes, name
        assert sheet.auto_filter.ref, name
        assert sheet.page_setup.orientation == "landscape", name
        assert sheet.print_title_rows, name


def test_sums_are_live_formulas_over_other_sheets(tmp_path: Path) -> None:
    book = written(tmp_path)
    summary = book["Summary"]
    line = find(summary, "Accrual roll-forward = our ledger, account 2150")
    left, right, difference = (summary.cell(line.row, column).value for column in (4, 6, 7))
    assert left.startswith("=SUMIFS(Roll_Closing")
    assert "Ledger_OurCredit" in right
    assert difference == f"=ROUND(D{line.row}-F{line.row},2)"
    assert book.defined_names["Roll_Closing"].attr_text.startswith("'Accrual roll-forward'!$I$")
    roll = book["Accrual roll-forward"]
    closing = under(roll, "Closing")
    row = closing.row
    assert closing.value == f"=E{row}+F{row}-G{row}+H{row}"
    assert roll.cell(row - 2, closing.column).value == f"=SUBTOTAL(109,I{row}:I{row})"
    assert under(book["Matches and variances"], "Variance").value.startswith("=IF(")


def test_kpis_are_counted_from_the_sheets_that_list_them(tmp_path: Path) -> None:
    book = written(tmp_path)
    kpis = book["Settlement KPIs"]
    bills = under(kpis, "Bills")
    row = bills.row
    assert bills.value == f"=COUNTIFS(Bill_Carrier,A{row},Bill_Currency,B{row})"
    assert under(kpis, "Exceptions").value == f"=COUNTIFS(Exception_Carrier,A{row},Exception_Currency,B{row})"
    assert under(kpis, "First-pass rate").value == f'=IF(N(C{row})=0,"",G{row}/C{row})'
    shown = openpyxl.load_workbook(tmp_path / "out.xlsx", data_only=True)
    values = {
        name: under(shown["Settlement KPIs"], name).value
        for name in ("Bills", "Match rate", "First-pass rate", "Exception rate", "Average age", "Days to payable")
    }
    assert values == {
        "Bills": 2,
        "Match rate": 1,
        "First-pass rate": 0.5,
        "Exception rate": 0.5,
        "Average age": 3,
        "Days to payable": 2,
    }
    assert under(shown["Settlement KPIs"], "Accrual accuracy").value == pytest.approx(1 - 4 / 104)
    assert under(shown["Customer KPIs"], "Days sales outstanding").value == pytest.approx(20)
    assert under(shown["Disputes"], "Overdue").value == "OVERDUE"
    line = find(shown["Summary"], "Bills settled at first pass")
    assert shown["Summary"].cell(line.row, 4).value == 0.5


def test_money_is_a_number_with_two_decimals(tmp_path: Path) -> None:
    cell = under(written(tmp_path)["Exceptions"], "Amount")
    assert cell.value == 75
    assert "0.00" in cell.number_format


def test_no_formula_comes_from_outside(tmp_path: Path) -> None:
    """Every text field of every row says =EVIL(): no cell may be a formula that holds it, and none may start one
    when somebody edits it."""
    evil = "=EVIL()"

    def poison(row: Any) -> Any:
        texts = {
            field.name: evil
            for field in dataclasses.fields(row)
            if isinstance(getattr(row, field.name), str) and field.name not in ("currency",)
        }
        lists = {
            field.name: [evil, "+EVIL()"]
            for field in dataclasses.fields(row)
            if isinstance(getattr(row, field.name), list)
        }
        return dataclasses.replace(row, **texts, **lists)

    clean = day.figures()
    poisoned = {
        field.name: [poison(row) for row in getattr(clean, field.name)]
        for field in dataclasses.fields(clean)
        if isinstance(getattr(clean, field.name), list)
    }
    book = written(tmp_path, company=evil, **poisoned)
    seen = 0
    for sheet in book:
        for cell in cells(sheet):
            if cell.data_type == "f":
                # a criterion may name the text, inside the quotes of a string
                outside = re.sub(r'"(?:[^"]|"")*"', '""', str(cell.value))
                assert "EVIL" not in outside, f"{sheet.title}!{cell.coordinate}"
            elif "EVIL" in str(cell.value):
                seen += 1
                assert cell.data_type == "s"
                if sheet.title != "Summary" and str(cell.value)[0] in "=+-@":
                    assert cell.quotePrefix, f"{sheet.title}!{cell.coordinate} would come alive when edited"
    assert seen > 40


def test_a_criterion_means_only_itself(tmp_path: Path) -> None:
    """A reason that is a wildcard, an operator or a quote counts its own rows and no others."""
    rows = [
        dataclasses.replace(day.figures().exceptions[0], verdict=verdict)
        for verdict in ("*", '>"0', "out_of_tolerance", "*")
    ]
    book = written(tmp_path, exceptions=rows)
    formulas = [str(cell.value) for cell in cells(book["Summary"]) if "COUNTIFS(Exception_Verdict" in str(cell.value)]
    assert sorted(formulas) == [
        '=COUNTIFS(Exception_Verdict,"=>""0")',
        '=COUNTIFS(Exception_Verdict,"=out_of_tolerance")',
        '=COUNTIFS(Exception_Verdict,"=~*")',
    ]


def test_floats_and_naive_times_are_refused(tmp_path: Path) -> None:
    wrong = dataclasses.replace(day.figures().exceptions[0], net_amount=75.0)
    with pytest.raises(TypeError, match="money must be Decimal"):
        write_workbook(day.figures(exceptions=[wrong]), tmp_path / "out.xlsx")
    naive = dataclasses.replace(day.figures().postings[0], posted_at=datetime(2026, 3, 4))  # noqa: DTZ001
    with pytest.raises(TypeError, match="with its zone"):
        write_workbook(day.figures(postings=[naive]), tmp_path / "out.xlsx")
    assert list(tmp_path.iterdir()) == [], "a refused workbook leaves nothing behind"


def test_what_is_on_its_way_to_the_erp_is_named(tmp_path: Path) -> None:
    """A difference to the ERP's ledger that only waits for delivery must not look like a wrong figure."""
    posted = day.figures().postings
    waiting = dataclasses.replace(posted[0], outcome="retry", partner_number=None)
    book = openpyxl.load_workbook(
        write_workbook(day.figures(postings=[waiting, *posted[1:]]), tmp_path / "a.xlsx").path, data_only=True
    )
    line = find(book["Summary"], "Posted here, not accepted by the ERP yet")
    assert (book["Summary"].cell(line.row, 4).value, book["Summary"].cell(line.row, 6).value) == (1, 100)
    with pytest.raises(StopIteration):
        find(written(tmp_path)["Summary"], "Posted here, not accepted by the ERP yet")


def test_advices_that_carriers_have_not_taken_are_counted_by_state(tmp_path: Path) -> None:
    waiting = day.figures().advices[0]
    rows = [waiting, dataclasses.replace(waiting, state="contested"), dataclasses.replace(waiting, control_number=8)]
    book = written(tmp_path, advices=rows)
    line = find(book["Summary"], "Advice to a carrier: no 997 speaks of it")
    assert book["Summary"].cell(line.row, 4).value == '=COUNTIFS(Advice_State,"=unacknowledged")'
    shown = openpyxl.load_workbook(tmp_path / "out.xlsx", data_only=True)
    assert shown["Summary"].cell(line.row, 4).value == 2
    contested = find(shown["Summary"], "Advice to a carrier: the carrier says that it is wrong")
    assert shown["Summary"].cell(contested.row, 4).value == 1
    assert under(shown["Advices"], "Bill").value == "INV-9"


def test_an_empty_day_is_a_workbook_too(tmp_path: Path) -> None:
    nothing: dict[str, object] = {
        field.name: []
        for field in dataclasses.fields(day.figures())
        if isinstance(getattr(day.figures(), field.name), list)
    }
    result = write_workbook(day.figures(**nothing), tmp_path / "out.xlsx")
    assert result.differences == 0
    book = openpyxl.load_workbook(result.path)
    assert find(book["Exceptions"], "No carrier invoice waits for anybody.")


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    first = write_workbook(day.figures(), tmp_path / "a.xlsx").path.read_bytes()
    assert write_workbook(day.figures(), tmp_path / "b.xlsx").path.read_bytes() == first


def test_several_currencies_are_never_summed(tmp_path: Path) -> None:
    clean = day.figures()
    canadian = dataclasses.replace(clean.exceptions[0], currency="CAD", net_amount=Decimal("40.00"))
    book = written(tmp_path, exceptions=[*clean.exceptions, canadian])
    sheet = book["Exceptions"]
    total = find(sheet, "Total CAD")
    assert sheet.cell(total.row, 6).value.startswith("=SUMIFS(F")
    assert find(sheet, "Total USD")


def test_an_office_program_calculates_the_same(tmp_path: Path) -> None:
    """LibreOffice recalculates everything from the formulas alone; the result must be what was written beside them."""
    office = shutil.which("soffice")
    skip_without("a spreadsheet program", office is not None, "apt-get install libreoffice-calc-nogui")
    assert office is not None
    source = write_workbook(day.figures(), tmp_path / "out.xlsx").path
    expected = openpyxl.load_workbook(source, data_only=True)
    # what was written beside the formulas goes, so that only calculation can bring it back
    stripped = tmp_path / "stripped.xlsx"
    openpyxl.load_workbook(source).save(stripped)
    subprocess.run(
        [
            office,
            f"-env:UserInstallation=file://{tmp_path}/profile",
            "--headless",
            "--convert-to",
            "xlsx:Calc MS Excel 2007 XML",
            "--outdir",
            str(tmp_path / "calculated"),
            str(stripped),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    calculated = openpyxl.load_workbook(tmp_path / "calculated" / "stripped.xlsx", data_only=True)
    formulas = openpyxl.load_workbook(source)
    compared = 0
    for sheet in formulas:
        for cell in cells(sheet):
            if cell.data_type == "f":
                left, right = (book[sheet.title][cell.coordinate].value for book in (expected, calculated))
                if isinstance(left, int | float) and isinstance(right, int | float):
                    assert right == pytest.approx(left, abs=1e-9), f"{sheet.title}!{cell.coordinate} {cell.value}"
                else:
                    assert (right or "") == (left or ""), f"{sheet.title}!{cell.coordinate} {cell.value}"
                compared += 1
    assert compared > 80
