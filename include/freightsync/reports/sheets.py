"""Cells and tables of a workbook: one look, and no way for a stranger's text to become a formula.

Text that came from outside goes through `put_text` alone: a string cell, marked as text where its first character
could start a formula (so that editing the cell, or saving it as CSV, doesn't bring it to life). Formulas are ours:
they come from `Column.formula` and from the workbook's own code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Generic, Literal, TypeVar

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from freightsync.formats.tabular import starts_a_formula

Row = TypeVar("Row")
Kind = Literal["text", "money", "count", "date", "time", "percent", "wrapped"]

CELL_LIMIT = 32_767
"""Characters that a cell can hold; Excel refuses a file with more."""

NAVY, GREY, LINE, PALE = "#1F3A5F", "#5B6776", "#D5DBE3", "#F3F6FA"
GOOD, GOOD_TEXT, BAD, BAD_TEXT, WARN, WARN_TEXT = "#DDF2E3", "#12683A", "#FBDAD7", "#9B1C12", "#FDF0CF", "#7A5200"

_NUMBER_FORMATS = {
    "money": '#,##0.00;-#,##0.00;"–"',
    "count": '#,##0;-#,##0;"–"',
    "date": "yyyy-mm-dd",
    "time": "yyyy-mm-dd hh:mm",
    "percent": '0.0%;-0.0%;"–"',
}


class Look:
    """The formats of one workbook, made once each."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        self._made: dict[tuple[tuple[str, object], ...], Format] = {}
        self._plain: dict[tuple[Kind, bool], Format] = {}

    def get(self, **properties: object) -> Format:
        """A format with the house's font and the given XlsxWriter properties."""
        full = {"font_name": "Calibri", "font_size": 10, "valign": "vcenter", **properties}
        key = tuple(sorted(full.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format(dict(full))
        return self._made[key]

    def plain(self, kind: Kind, as_text: bool = False) -> Format:
        """The format of an ordinary cell. It is asked for every cell of a workbook, so it costs one look-up."""
        form = self._plain.get((kind, as_text))
        if form is None:
            form = self._plain[kind, as_text] = self.cell(kind, as_text=as_text)
        return form

    def cell(self, kind: Kind, *, as_text: bool = False, **more: object) -> Format:
        properties: dict[str, object] = {"bottom": 1, "bottom_color": LINE}
        if kind in _NUMBER_FORMATS:
            properties["num_format"] = _NUMBER_FORMATS[kind]
        if kind in ("money", "count", "percent"):
            properties["align"] = "right"
        elif kind in ("date", "time"):
            properties["align"] = "center"
        else:
            properties |= {"align": "left", "indent": 1}
        if kind == "wrapped":
            properties["text_wrap"] = True
        if as_text:
            properties["quote_prefix"] = True
        return self.get(**{**properties, **more})

    @property
    def title(self) -> Format:
        return self.get(font_size=16, bold=True, font_color=NAVY)

    @property
    def subtitle(self) -> Format:
        return self.get(font_color=GREY)

    @property
    def heading(self) -> Format:
        return self.get(
            bold=True, font_color="#FFFFFF", bg_color=NAVY, text_wrap=True, align="left", indent=1, border=0
        )

    @property
    def heading_right(self) -> Format:
        return self.get(bold=True, font_color="#FFFFFF", bg_color=NAVY, text_wrap=True, align="right", border=0)

    @property
    def heading_center(self) -> Format:
        return self.get(bold=True, font_color="#FFFFFF", bg_color=NAVY, text_wrap=True, align="center", border=0)

    @property
    def section(self) -> Format:
        return self.get(bold=True, font_size=12, font_color=NAVY, bottom=2, bottom_color=NAVY)

    def total(self, kind: Kind) -> Format:
        return self.cell(kind, bold=True, bg_color=PALE, top=1, top_color=NAVY, bottom_color=NAVY)

    @property
    def good(self) -> Format:
        return self.get(bold=True, font_color=GOOD_TEXT, bg_color=GOOD)

    @property
    def bad(self) -> Format:
        return self.get(bold=True, font_color=BAD_TEXT, bg_color=BAD)

    @property
    def warn(self) -> Format:
        return self.get(font_color=WARN_TEXT, bg_color=WARN)


def put_text(sheet: Worksheet, look: Look, row: int, column: int, text: str, kind: Kind = "text") -> None:
    """Writes text as text, whatever it looks like; too long text is cut, visibly."""
    if len(text) > CELL_LIMIT:
        text = text[: CELL_LIMIT - 1] + "…"
    sheet.write_string(row, column, text, look.plain(kind, starts_a_formula(text)))


def criterion(text: str) -> str:
    """A criterion of COUNTIFS and SUMIFS that means exactly this text, quoted for a formula.

    Equality is spelt out and wildcards are escaped, so that a stranger's `>0` or `*` selects nothing but itself; a
    literal longer than Excel takes is cut and ends in a wildcard of ours.
    """
    plain = text.replace("~", "~~").replace("*", "~*").replace("?", "~?")
    if len(plain) > 200:
        plain = plain[:200].rstrip("~") + "*"
    return '"=' + plain.replace('"', '""') + '"'


def put(sheet: Worksheet, look: Look, row: int, column: int, value: object, kind: Kind) -> None:
    """Writes one value by its kind. None is an empty cell.

    Raises TypeError where a value is not of its kind: a float, for one, has no business among money.
    """
    form = look.plain(kind)
    if value is None:
        sheet.write_blank(row, column, None, form)
    elif kind in ("money", "count", "percent"):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise TypeError(f"{kind} must be Decimal or int, not {value!r}")
        # the file format stores doubles: exact to the cent up to 10**13
        sheet.write_number(row, column, value, form)
    elif kind == "time":
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise TypeError(f"a time must be a datetime with its zone, not {value!r}")
        sheet.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), form)
    elif kind == "date":
        if not isinstance(value, date):
            raise TypeError(f"a date must be a date, not {value!r}")
        sheet.write_datetime(row, column, value, form)
    else:
        put_text(sheet, look, row, column, value if isinstance(value, str) else str(value), kind)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table.

    value gives the cell's content. formula, if given, makes the cell live: other columns stand in it as [Title], and
    value gives what it comes to, for viewers that don't calculate. key names the range for formulas elsewhere.
    """

    title: str
    width: float
    value: Callable[[Row], object]
    kind: Kind = "text"
    formula: str | None = None
    total: bool = False
    key: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A sheet with one table. name is the sheet's name and, without blanks, the prefix of its defined names."""

    name: str
    title: str
    subtitle: str
    prefix: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    empty: str
    currency: Callable[[Row], str | None] | None = None
    freeze_columns: int = 1
    tab: str = NAVY
    reds: Mapping[str, str] = field(default_factory=dict)
    """Column title → criteria of a live conditional format ('!=0' turns red where the cell is not zero)."""


@dataclass(frozen=True)
class Laid:
    """Where a table came to lie: defined names by key, and the row under its last one."""

    names: Mapping[str, str]
    first_row: int
    last_row: int


def lay_table(book: xlsxwriter.Workbook, look: Look, table: Table[Row], *, footer: str) -> Laid:
    """Adds a sheet with the table: title, totals above the frozen heading, filter, names, print setup."""
    sheet = book.add_worksheet(table.name)
    currencies = sorted({table.currency(row) or "" for row in table.rows} - {""}) if table.currency else []
    totals = max(1, len(currencies)) if any(column.total for column in table.columns) else 0
    heading = 3 + totals
    first = heading + 1
    last = first + max(len(table.rows), 1) - 1
    letters = {column.title: xl_col_to_name(index) for index, column in enumerate(table.columns)}

    sheet.hide_gridlines(2)
    sheet.set_tab_color(table.tab)
    sheet.set_row(0, 26)
    sheet.write_string(0, 0, table.title, look.title)
    sheet.write_string(1, 0, table.subtitle, look.subtitle)
    sheet.set_row(heading, 30)
    for index, column in enumerate(table.columns):
        numeric = column.kind in ("money", "count", "percent")
        sheet.set_column(index, index, column.width)
        sheet.write_string(heading, index, column.title, look.heading_right if numeric else look.heading)
        if column.note:
            sheet.write_comment(heading, index, column.note, {"x_scale": 2, "font_size": 9})

    for number, row in enumerate(table.rows, start=first):
        for index, column in enumerate(table.columns):
            value = column.value(row)
            if column.formula is None:
                put(sheet, look, number, index, value, column.kind)
            else:
                live = _resolve(column.formula, letters, number)
                shown = float(value) if isinstance(value, Decimal) else value
                sheet.write_formula(number, index, live, look.plain(column.kind), "" if shown is None else shown)
    if not table.rows:
        sheet.write_string(first, 0, table.empty, look.get(italic=True, font_color=GREY))

    if totals:
        _lay_totals(sheet, look, table, currencies, heading, first, last)
    names = {}
    for index, column in enumerate(table.columns):
        if column.key:
            name = f"{table.prefix}_{column.key}"
            letter = xl_col_to_name(index)
            book.define_name(name, f"='{table.name}'!${letter}${first + 1}:${letter}${last + 1}")
            names[column.key] = name
    for title, criteria in table.reds.items():
        letter = letters[title]
        cell = f"{letter}{first + 1}"
        sheet.conditional_format(
            f"{letter}{first + 1}:{letter}{last + 1}",
            {"type": "formula", "criteria": criteria.replace("[]", f"${cell}"), "format": look.bad},
        )
    sheet.autofilter(heading, 0, last, len(table.columns) - 1)
    sheet.freeze_panes(first, table.freeze_columns)
    print_setup(sheet, heading=heading, footer=footer)
    return Laid(names=names, first_row=first, last_row=last)


def _lay_totals(
    sheet: Worksheet,
    look: Look,
    table: Table[Row],
    currencies: Sequence[str],
    heading: int,
    first: int,
    last: int,
) -> None:
    """Totals above the heading, where they stay in sight: of what the filter shows, or one row a currency."""
    several = len(currencies) > 1
    for offset, currency in enumerate(currencies or [""]):
        at = heading - max(1, len(currencies)) + offset
        sheet.set_row(at, 18)
        for index, column in enumerate(table.columns):
            form = look.total(column.kind if column.total else "text")
            if not column.total:
                label = (f"Total {currency}".strip() if several else "Total of rows shown") if index == 0 else ""
                sheet.write_string(at, index, label, form)
                continue
            letter = xl_col_to_name(index)
            cells = f"{letter}{first + 1}:{letter}{last + 1}"
            money = several and column.kind == "money"
            if several and not money and offset > 0:
                sheet.write_blank(at, index, None, form)
                continue
            mine = [row for row in table.rows if not money or (table.currency and table.currency(row)) == currency]
            value = sum((_decimal(column.value(row)) for row in mine), Decimal(0))
            if money:
                currency_at = next(i for i, other in enumerate(table.columns) if other.title == "Currency")
                where = xl_col_to_name(currency_at)
                formula = f"=SUMIFS({cells},{where}{first + 1}:{where}{last + 1},{criterion(currency)})"
            else:
                formula = f"=SUBTOTAL(109,{cells})"
            sheet.write_formula(at, index, formula, form, float(value))


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(value) if isinstance(value, int) else Decimal(0)


def _resolve(formula: str, letters: Mapping[str, str], row: int) -> str:
    """[Title] → the cell of that column in this row. Raises KeyError for a column that isn't there."""
    return re.sub(r"\[([^\]]+)\]", lambda found: f"{letters[found.group(1)]}{row + 1}", formula)


def print_setup(sheet: Worksheet, *, heading: int | None, footer: str) -> None:
    """Landscape, one page wide, heading repeated, page numbers."""
    sheet.set_landscape()
    sheet.set_paper(1)
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    # & starts a control code in a footer
    sheet.set_footer(f"&L&8{footer.replace('&', '&&')}&C&8&A&R&8Page &P of &N")
    if heading is not None:
        sheet.repeat_rows(heading)


def cell(row: int, column: int) -> str:
    """A1 notation from zero-based row and column."""
    return str(xl_rowcol_to_cell(row, column))
