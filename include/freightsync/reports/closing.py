"""The workbook of a closed period: who signed what, the tie-out, the roll-forward, drift, and what was open."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from freightsync.reports.sheets import Column, Kind, Look, Table, lay_table, put

Line = Mapping[str, Any]


@dataclass(frozen=True)
class ClosingFigures:
    """Everything that the workbook shows. Rows are those of the marts of the same names, money as Decimal."""

    period: str
    sign_off_id: int
    requested_by: str
    approved_by: str
    role: str
    note: str
    signed_at: datetime
    figures_sha256: str
    tie_out: Sequence[Line]
    roll_forward: Sequence[Line]
    drift: Sequence[Line]
    checks: Sequence[Line]


def _column(title: str, name: str, kind: Kind = "text", width: float = 14, **more: Any) -> Column[Line]:
    def value(row: Line) -> object:
        return row[name]

    return Column(title, width, value, kind, **more)


def _money(title: str, name: str, **more: Any) -> Column[Line]:
    return _column(title, name, "money", 14, total=True, **more)


def write_closing(figures: ClosingFigures) -> bytes:
    """The workbook as bytes: the same figures give the same sheets."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    book.set_properties({"title": f"Closing of {figures.period}", "created": figures.signed_at.astimezone(UTC)})
    look = Look(book)
    footer = f"Closing of {figures.period}, sign-off {figures.sign_off_id}"
    _sign_off(book, look, figures)
    currency: Callable[[Line], str | None] = lambda row: row["currency"]  # noqa: E731
    for table in (
        Table(
            name="Tie-out",
            title=f"Ledger tie-out, {figures.period}",
            subtitle="Our books of the period against the ERP's trial balance; balances are debits less credits.",
            prefix="TieOut",
            columns=[
                _column("Account", "account"),
                _column("Currency", "currency", width=9),
                _money("Our debits", "our_debit"),
                _money("Our credits", "our_credit"),
                _money("Adopted", "adopted"),
                _money("ERP debits", "erp_debit"),
                _money("ERP credits", "erp_credit"),
                _money("Our balance", "our_balance"),
                _money("ERP balance", "erp_balance"),
                Column(
                    "Difference",
                    14,
                    lambda row: row["difference"],
                    "money",
                    formula="=[ERP balance]-[Our balance]",
                    total=True,
                ),
                _money("Explained", "explained"),
                _money("Unexplained", "unexplained"),
                _column("State", "state"),
            ],
            rows=figures.tie_out,
            empty="Nothing was posted in the period.",
            currency=currency,
            reds={"Unexplained": "!=0"},
        ),
        Table(
            name="Accruals",
            title=f"Accrual roll-forward, {figures.period}",
            subtitle="Closing = opening + accrued - reversed - released + adjusted.",
            prefix="Accruals",
            columns=[
                _column("Account", "account"),
                _column("Carrier", "scac", width=9),
                _column("Currency", "currency", width=9),
                _money("Opening", "opening"),
                _money("Accrued", "accrued"),
                _money("Reversed", "reversed"),
                _money("Released", "released"),
                _money("Adjusted", "adjusted"),
                Column(
                    "Closing",
                    14,
                    lambda row: row["closing"],
                    "money",
                    formula="=[Opening]+[Accrued]-[Reversed]-[Released]+[Adjusted]",
                    total=True,
                ),
            ],
            rows=figures.roll_forward,
            empty="No accrual was open or posted.",
            currency=currency,
        ),
        Table(
            name="Drift",
            title=f"Documents on which the books differed, {figures.period}",
            subtitle="Adopted, posted again, undone by the ERP itself, or passing.",
            prefix="Drift",
            columns=[
                _column("Document", "document", width=38),
                _column("ERP number", "entry_number"),
                _column("Reason", "reason", width=18),
                _column("State", "state"),
                _column("Amount", "amount", "money"),
                _column("Currency", "currency", width=9),
                _column("In words", "words", "wrapped", 60),
            ],
            rows=figures.drift,
            empty="The books agreed document by document.",
        ),
        Table(
            name="Checks",
            title=f"What was looked at, {figures.period}",
            subtitle="What was open and did not block is shown as open.",
            prefix="Checks",
            columns=[
                _column("Check", "check_name", width=26),
                _column("State", "state", width=10),
                _column("Found", "found_count", "count", 9),
                _column("Amount", "amount", "money"),
                _column("Currency", "currency", width=9),
                _column("In words", "reason", "wrapped", 60),
                _column("Where", "drill_down", "wrapped", 34),
            ],
            rows=figures.checks,
            empty="Nothing was looked at.",
        ),
    ):
        lay_table(book, look, table, footer=footer)
    book.close()
    return buffer.getvalue()


def _sign_off(book: xlsxwriter.Workbook, look: Look, figures: ClosingFigures) -> None:
    sheet = book.add_worksheet("Sign-off")
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 80)
    sheet.write_string(0, 0, f"Closing of {figures.period}", look.title)
    for row, (title, value, kind) in enumerate(
        (
            ("Requested by", figures.requested_by, "text"),
            ("Signed by", figures.approved_by, "text"),
            ("As", figures.role, "text"),
            ("At (UTC)", figures.signed_at, "time"),
            ("Figures (SHA-256)", figures.figures_sha256, "text"),
            ("Note", figures.note, "wrapped"),
        ),
        2,
    ):
        sheet.write_string(row, 0, title, look.section)
        put(sheet, look, row, 1, value, kind)  # type: ignore[arg-type]
