"""CSV and XLSX by a mapping: exact values, rejects beside records, nothing a spreadsheet would run."""

import csv
import datetime as dt
import io
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freightsync.formats.tabular import (
    Group,
    Mapping,
    MappingError,
    Reject,
    Row,
    TabularError,
    Totals,
    neutralise,
    read_groups,
    read_rows,
    write_csv,
    write_xlsx,
)

BILLS = {
    "columns": {
        "invoice_number": {"column": "InvoiceNo", "required": True},
        "invoice_on": {"column": "InvoiceDate", "type": "date", "format": "MM/DD/YYYY", "required": True},
        "type": "Type",
        "charge_code": {"column": ["ChargeCode", "Charge"], "required": True},
        "amount": {"column": "Amount", "type": "decimal", "required": True, "ignore": "$"},
        "pieces": {"column": "Pieces", "type": "integer"},
    },
    "group_by": ["invoice_number", "type"],
    "once": ["invoice_on"],
}
MAPPING = Mapping.from_dict(BILLS)
HEADER = "InvoiceNo,InvoiceDate,Type,ChargeCode,Amount,Pieces\n"


def rows(text: str | bytes, mapping: Mapping = MAPPING) -> list[Row | Reject]:
    return list(read_rows(text if isinstance(text, bytes) else text.encode(), mapping))


def good(text: str | bytes, mapping: Mapping = MAPPING) -> list[dict]:
    items = rows(text, mapping)
    assert all(isinstance(item, Row) for item in items), items
    return [item.values for item in items]


def test_a_file_as_it_should_be():
    assert rows(HEADER + "A1,11/21/2026,,BASE,1234.50,3\nA1,11/21/2026,,FSC,-0.05,\n") == [
        Row(
            2,
            {
                "invoice_number": "A1",
                "invoice_on": dt.date(2026, 11, 21),
                "type": None,
                "charge_code": "BASE",
                "amount": Decimal("1234.50"),
                "pieces": 3,
            },
        ),
        Row(
            3,
            {
                "invoice_number": "A1",
                "invoice_on": dt.date(2026, 11, 21),
                "type": None,
                "charge_code": "FSC",
                "amount": Decimal("-0.05"),
                "pieces": None,
            },
        ),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_delimiters_and_line_ends(delimiter, encoding, end):
    text = "InvoiceNo,InvoiceDate,Charge,Amount\nÄ1,11/21/2026,Größe,1.00\n\nÄ2,11/22/2026,é,2.00"
    values = good(text.replace(",", delimiter).replace("\n", end).encode(encoding))
    assert [(v["invoice_number"], v["charge_code"], v["amount"]) for v in values] == [
        ("Ä1", "Größe", Decimal("1.00")),
        ("Ä2", "é", Decimal("2.00")),
    ]


def test_titles_above_the_header_a_separator_hint_and_names_written_otherwise():
    for above in ("Blue Water Lines;;;\n;;;\n", "sep=;\n", ""):
        text = above + "invoice no.;INVOICE_DATE;charge;Amount\nA1;11/21/2026;BASE;5\n"
        (item,) = rows(text)
        assert isinstance(item, Row)
        assert item.values["amount"] == 5
        assert item.number == 2 + above.count("\n")


def test_a_delimiter_and_a_line_end_within_quotes():
    (item, second) = rows(HEADER + '"A,1",11/21/2026,,"BA\nSE",5,\nA2,11/21/2026,,BASE,5,\n')
    assert (item.values["invoice_number"], item.values["charge_code"]) == ("A,1", "BA\nSE")
    assert second.number == 3  # as a spreadsheet counts


@pytest.mark.parametrize(
    ("sent", "mark", "amount"),
    [
        ("1,234.50", ".", "1234.50"), ("1.234,50", ",", "1234.50"), ("1234,5", ",", "1234.5"),
        ("1 234.50", ".", "1234.50"),
        ("1'234'567.89", ".", "1234567.89"), ("(12.00)", ".", "-12.00"), ("12.00-", ".", "-12.00"), ("+3", ".", "3"),
        ("$1,000.00", ".", "1000.00"), ("$-5.00", ".", "-5.00"), (".5", ".", "0.5"), ("0.1", ".", "0.1"),
        ("-0.00", ".", "0.00"),
        ("1,234", ",", "1.234"), ("\u22125.00", ".", "-5.00"), ("12345678901234567.89", ".", "12345678901234567.89"),
    ],
)  # fmt: skip
def test_amounts_are_exact(sent, mark, amount):
    columns = {**BILLS["columns"], "amount": {**BILLS["columns"]["amount"], "decimal_mark": mark}}
    mapping = Mapping.from_dict({**BILLS, "columns": columns})
    (values,) = good(f'{HEADER}A1,11/21/2026,,BASE,"{sent}",\n', mapping)
    assert str(values["amount"]) == amount


@pytest.mark.parametrize(
    "sent",
    [
        "1,23",
        "1.234.567",
        "12,34.5",
        "1,234,56",
        "12x",
        "1e3",
        "NaN",
        "--1",
        "(1",
        "٣",
        "1..2",
        "=1+1",
        "#REF!",
        "EUR 5",
    ],
)
def test_amounts_that_mean_nothing_reject_the_row(sent):
    first, second = rows(f'{HEADER}A1,11/21/2026,,BASE,"{sent}",\nA2,11/21/2026,,BASE,1,\n')
    assert isinstance(first, Reject)
    assert (first.number, first.column, first.field, first.reason) == (2, "Amount", "amount", "unreadable_value")
    assert first.values["invoice_number"] == "A1"
    assert first.raw["Amount"] == sent
    assert isinstance(second, Row)


def test_dates_only_as_the_mapping_says():
    two = {
        **BILLS["columns"],
        "invoice_on": {"column": "InvoiceDate", "type": "date", "format": ["DD.MM.YYYY", "YYYYMMDD"]},
    }
    mapping = Mapping.from_dict({**BILLS, "columns": two})
    text = HEADER + "A,21.11.2026,,B,1,\nA,20261121,,B,1,\nA,11/21/2026,,B,1,\nA,31.02.2026,,B,1,\nA,,,B,1,\n"
    results = rows(text, mapping)
    assert [r.values["invoice_on"] if isinstance(r, Row) else r.column for r in results] == [
        dt.date(2026, 11, 21),
        dt.date(2026, 11, 21),
        "InvoiceDate",
        "InvoiceDate",
        None,
    ]


def test_a_required_cell_that_is_empty_and_cells_too_many():
    missing, shifted, short = rows(HEADER + "A1,11/21/2026,,,5,\nA1,11/21/2026,,BASE,5,1,extra\nA1,11/21/2026,,BASE\n")
    assert (missing.reason, missing.column) == ("missing_value", "ChargeCode")
    assert shifted.reason == "too_many_cells"
    assert (short.reason, short.column) == ("missing_value", "Amount")


def test_a_table_of_another_kind_is_refused_with_the_columns_name():
    with pytest.raises(TabularError, match="missing columns ChargeCode, Amount"):
        rows("InvoiceNo,InvoiceDate\n1,2\n")
    with pytest.raises(TabularError, match="no header row"):
        rows("ISA*00*~\n1,2,3\n")
    with pytest.raises(TabularError, match="Amount occurs 2 times"):
        rows("InvoiceNo,InvoiceDate,ChargeCode,Amount,amount\n")
    with pytest.raises(TabularError, match="empty"):
        rows("")
    with pytest.raises(TabularError, match="blanks"):
        rows("\n  \n")
    with pytest.raises(TabularError, match="not a readable workbook"):
        rows(b"PK\x03\x04 not really")
    with pytest.raises(TabularError, match="xls"):
        rows(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def test_an_unclosed_quote_spoils_what_it_swallows_and_no_more_than_csv_allows():
    text = HEADER + 'A1,11/21/2026,,"BASE,5,\n' + "A2,11/21/2026,,BASE,5,\n" * 20_000
    results = rows(text)
    assert isinstance(results[0], Reject)
    assert any(isinstance(r, Row) and r.values["invoice_number"] == "A2" for r in results)


def groups(text: str) -> list[Group]:
    return list(read_groups(text.encode(), MAPPING))


def test_documents_of_several_rows():
    found = groups(
        HEADER
        + "A1,11/21/2026,,BASE,100,\nA1,11/21/2026,,FSC,10,\n"
        + "A1,11/21/2026,BD,BASE,7,\n"
        + "A2,11/21/2026,,BASE,x,\nA2,11/21/2026,,FSC,10,\n"
        + "A3,11/21/2026,,BASE,1,\nA3,11/22/2026,,FSC,1,\n"
        + ",11/22/2026,,BASE,1,\n"
        + "A1,11/21/2026,,LG,5,\n"
    )
    assert [(g.key, len(g.rows), [r.reason for r in g.rejects], g.again) for g in found] == [
        (("A1", None), 2, [], False),
        (("A1", "BD"), 1, [], False),
        (("A2", None), 1, ["unreadable_value"], False),
        (("A3", None), 2, ["differs_within_group"], False),
        (None, 0, ["missing_value"], False),
        (("A1", None), 1, [], True),
    ]
    assert [g.rejected for g in found] == [False, False, True, True, True, False]


def test_reading_holds_one_row_at_a_time():
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            line = (HEADER if not self.given else f"A{self.given},11/21/2026,,BASE,5,\n").encode()
            self.given += 1
            buffer[: len(line)] = line
            return len(line)

    endless = Endless()
    stream = read_rows(endless, MAPPING)
    for _ in range(1000):
        next(stream)
    assert endless.given < 5000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colums": {}}, "colums"),
        ({"columns": {}}, "columns"),
        ({"columns": {"a": {"column": "A", "typ": "date"}}}, "typ"),
        ({"columns": {"a": {"column": "A", "type": "money"}}}, "money"),
        ({"columns": {"a": {"type": "date"}}}, "no column"),
        ({"columns": {"a": {"column": "A", "type": "date", "format": "MM/DD/JJJJ"}}}, "JJJJ"),
        ({"columns": {"a": {"column": "A", "decimal_mark": "'"}}}, "decimal_mark"),
        ({"columns": {"a": "A"}, "group_by": ["b"]}, "'b'"),
        ({"columns": {"a": "A"}, "encoding": "utf-99"}, "utf-99"),
        ({"columns": {"a": "A"}, "delimiter": ",,"}, "delimiter"),
    ],
)
def test_a_mapping_is_refused_by_the_entry_that_is_wrong(change, says):
    with pytest.raises(MappingError, match=says):
        Mapping.from_dict(change)


# ------------------------------------------------------------------ XLSX


def workbook(*lines: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


TITLES = ["InvoiceNo", "InvoiceDate", "Type", "ChargeCode", "Amount", "Pieces"]


def test_a_workbook_gives_what_it_shows():
    data = workbook(
        ["Blue Water Lines"],
        TITLES,
        ["A1", dt.datetime(2026, 11, 21), None, "BASE", 1234.56, 3],  # noqa: DTZ001
        [42, "11/22/2026", None, 400, 0.1 + 0.2, None],
        [None] * 6,
        ["A3", dt.date(2026, 11, 23), None, "BASE", "#REF!", 2.5],
    )
    first, second, third = rows(data)
    assert first == Row(
        3,
        {
            "invoice_number": "A1",
            "invoice_on": dt.date(2026, 11, 21),
            "type": None,
            "charge_code": "BASE",
            "amount": Decimal("1234.56"),
            "pieces": 3,
        },
    )
    assert (second.values["invoice_number"], second.values["charge_code"]) == ("42", "400")
    assert second.values["amount"] == Decimal("0.3")
    assert (third.number, third.column, third.reason) == (6, "Amount", "unreadable_value")


def test_a_sheet_by_its_name():
    book = openpyxl.Workbook()
    book.active.append(["nothing"])
    sheet = book.create_sheet("Bills")
    sheet.append(TITLES)
    sheet.append(["A1", "11/21/2026", None, "BASE", 5, None])
    out = io.BytesIO()
    book.save(out)
    assert len(good(out.getvalue(), Mapping.from_dict({**BILLS, "sheet": "Bills"}))) == 1
    with pytest.raises(TabularError, match="Bills"):
        rows(out.getvalue(), Mapping.from_dict({**BILLS, "sheet": "Other"}))


# ------------------------------------------------------------------ writing

ATTACKS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+1", "|calc", "%0A"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_never_starts_a_formula(attack):
    out = io.BytesIO()
    assert write_csv(out, ["name", "amount"], [{"name": attack, "amount": Decimal("-5.00")}]) == 1
    (_, line) = csv.reader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline=""))
    assert line == ["'" + attack, "-5.00"]
    book = io.BytesIO()
    write_xlsx(book, ["name", "amount"], [{"name": attack, "amount": Decimal("-5.00")}])
    sheet = openpyxl.load_workbook(book).active
    assert (sheet["A2"].data_type, sheet["A2"].quotePrefix) == ("s", True)
    assert sheet["B2"].value == -5


def test_harmless_text_is_left_alone():
    assert [neutralise(t) for t in ("ACME", "1-2", "a=b", "")] == ["ACME", "1-2", "a=b", ""]


VALUES = st.fixed_dictionaries(
    {
        "name": st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).filter(lambda t: neutralise(t) == t),
        "amount": st.decimals(Decimal("-1e12"), Decimal("1e12"), places=2).map(lambda d: d or Decimal("0.00")),
        "on": st.dates(dt.date(1950, 1, 1), dt.date(2150, 1, 1)),
    }
)


@pytest.mark.parametrize("write", [write_csv, write_xlsx])
@given(st.lists(VALUES, max_size=5))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(write, values):
    mapping = Mapping.from_dict(
        {
            "columns": {
                "name": {"column": "name", "required": True},
                "amount": {"column": "amount", "type": "decimal", "required": True},
                "on": {"column": "on", "type": "date", "required": True},
            }
        }
    )
    out = io.BytesIO()
    assert write(out, ["name", "amount", "on"], values) == len(values)
    assert good(out.getvalue(), mapping) == values


def test_a_file_stays_open_for_its_owner(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(HEADER + "A1,11/21/2026,,BASE,5,\n")
    with path.open("rb") as stream:
        assert len(list(read_rows(stream, MAPPING))) == 1
        assert not stream.closed


# ------------------------------------------------------------------ what repeats is read once

EVERYTHING = {
    "columns": {
        "number": {"column": "No", "required": True},
        "on": {"column": "On", "type": "date", "format": ["YYYY-MM-DD", "DD.MM.YYYY"]},
        "kind": {"column": "Kind", "map": {"": "", "inv": "", "credit": "CR"}},
        "amount": {"column": "Amount", "type": "decimal"},
        "euros": {"column": "Euros", "type": "decimal", "decimal_mark": ","},
        "pieces": {"column": "Pieces", "type": "integer"},
        "currency": {"constant": "EUR"},
    },
    "totals": {"column": "No", "text": "Total", "amount": "Amount"},
}
CELLS = {
    "No": ["A1", "A2", "", " ", "Total", "total: 3"],
    "On": ["2026-03-10", "10.03.2026", "", "10/03/2026"],
    "Kind": ["", "INV", "inv ", "Credit", "rebate"],
    "Amount": ["1", "1.50", "-1.50", "(1.50)", "1,000.25", "ten", "", "#N/A"],
    "Euros": ["1", "1,50", "1.000,25", "1.50", ""],
    "Pieces": ["1", "1.5", "", "1.0"],
    "Extra": ["", "x"],
}


@pytest.mark.parametrize("header", [True, False])
@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_row_means_the_same_whatever_stands_above_it(header: bool, data: st.DataObject) -> None:
    described = {**EVERYTHING, "columns": dict(EVERYTHING["columns"])}
    names = list(CELLS)[:-1]
    if not header:
        at = {name: position for position, name in enumerate(names, 1)}
        for field, entry in EVERYTHING["columns"].items():
            if "column" in entry:
                kept = {key: value for key, value in entry.items() if key != "column"}
                described["columns"][field] = {**kept, "position": at[entry["column"]]}
        described["header"] = False
        described["totals"] = {"position": 1, "text": "Total", "amount": {"position": 4}}
    mapping = Mapping.from_dict({**described, "delimiter": ";"})
    table = data.draw(st.lists(st.tuples(*[st.sampled_from(cells) for cells in CELLS.values()]), max_size=8))

    def written(rows: list[tuple[str, ...]]) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=";").writerows([names] * header + [list(row) for row in rows])
        return out.getvalue().encode()

    def plain(item: Row | Reject | Totals) -> tuple:
        if isinstance(item, Totals):
            return ("totals", item.amount)
        return (type(item).__name__, item.values) + ((item.field, item.message) if isinstance(item, Reject) else ())

    alone = [plain(item) for row in table if any(row) for item in read_rows(written([row]), mapping)]
    together = [plain(item) for item in read_rows(written(table), mapping)] if table and any(map(any, table)) else []
    assert together == alone


def test_cells_beyond_the_header_are_noise_only_where_there_is_none() -> None:
    named = Mapping.from_dict({"columns": {"a": {"column": "A"}}})
    placed = Mapping.from_dict({"columns": {"a": {"position": 1}}, "header": False})
    assert [type(item) for item in read_rows(b"A\n1,2\n1,\n1\n", named)] == [Reject, Row, Row]
    assert [item.values for item in read_rows(b"1,2\n1,\n", placed)] == [{"a": "1"}] * 2
