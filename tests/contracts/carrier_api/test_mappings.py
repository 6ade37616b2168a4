"""Tables of bills in the shapes that carriers send them -> records and rejects, by mapping files alone."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from freightsync.formats.tabular import MappingError
from freightsync.systems.carrier_api.invoices import mapping, parse_invoices, read_mapping
from freightsync.systems.parsed import Parsed

D = Decimal

CHARGES_IN_ROWS = """
decimal_mark: ","
date_format: DD.MM.YYYY
delimiter: ;
columns:
  invoice_number: {column: [Rechnung, Rechnungsnummer], required: true}
  invoice_on: {column: Datum, required: true}
  correction: {column: Art, map: {R: "", G: CR, N: BD}}
  corrects_number: {column: Bezug}
  currency: {constant: EUR}
  shipment_reference: Sendung
  partner_code: {column: Kostenart, required: true}
  line_amount: {column: Betrag, required: true}
  tax_amount: {column: MwSt}
  gross_amount: {column: Brutto}
  net_amount: {column: Netto, required: true}
  weight_kg: Gewicht
group_by: [invoice_number]
totals: {column: [Rechnung, Rechnungsnummer], text: Summe, amount: {column: Netto}}
"""

CHARGES_IN_COLUMNS = """
header: false
columns:
  invoice_number: {position: 1, required: true}
  invoice_on: {position: 2, format: "%y%m%d", required: true}
  pro_number: {position: 3}
  net_amount: {position: 7}
charges:
  - {position: 4, code: "400", description: Linehaul}
  - {position: 5, code: FUE}
  - {position: 6, code: DSC, sign: -1}
"""


def read(text: str, content: bytes | str, **more: Any) -> Parsed:
    by = read_mapping({**yaml.safe_load(text), **more})
    return parse_invoices(content if isinstance(content, bytes) else content.encode(), mapping=by, scac="WALD")


def rows(*lines: str, total: str = "Summe;;;;;;;;;235,50;") -> str:
    head = "Rechnungsnummer;Datum;Art;Bezug;Sendung;Kostenart;Betrag;MwSt;Brutto;Netto;Gewicht"
    return "\n".join([head, *lines, total]) + "\n"


FIRST = (
    "R1;10.03.2026;R;;S1;FRACHT;1.000,00;190,00;1.190,00;1.000,00;100",
    "R2;10.03.2026;G;R0;S2;FRACHT;-800,00;;;-764,50;",
    "R2;10.03.2026;G;R0;S3;DIESEL;35,50;;;-764,50;",
)


def test_one_row_a_charge_in_the_words_of_a_carrier() -> None:
    parsed = read(CHARGES_IN_ROWS, rows(*FIRST))
    assert (parsed.rejects, parsed.unreadable) == ([], None)
    first, second = parsed.records
    assert (first.amount, first.currency) == (D("1000.00"), "EUR")
    assert first.values["gross_amount"] == D("1190.00")
    assert first.values["weight_lb"] == D("220.462")
    assert first.values["invoice_on"] == dt.date(2026, 3, 10)
    assert (second.values["correction"], second.values["corrects_number"]) == ("CR", "R0")
    assert second.values["lines_total"] == D("-764.50")
    assert second.values["shipment_reference"] is None, "a bill of two shipments is about neither as a whole"
    assert [line["shipment_reference"] for line in second.lines] == ["S2", "S3"]
    assert parsed.totals == [("EUR", 2, D("235.50"))]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("R2;10.03.2026;G;R0;S2", "R2;10.03.2026;X;R0;S2"), "'X' is not mapped"),
        (("-800,00", "-800.00x"), "not a number"),
        (("10.03.2026;R;;S1", "2026-03-10;R;;S1"), "not a date"),
        (("FRACHT;1.000,00", ";1.000,00"), "Kostenart is empty"),
        (("FRACHT;1.000,00", "FRACHT;1.000,005"), "finer than a cent"),
    ],
)
def test_a_row_that_cannot_be_read_spoils_its_bill_and_no_other(change: tuple[str, str], says: str) -> None:
    content = rows(*FIRST)
    assert change[0] in content
    parsed = read(CHARGES_IN_ROWS, content.replace(*change, 1))
    (reject,) = parsed.rejects
    assert says in reject.messages[0]
    assert len(parsed.records) == 1
    assert parsed.units == 2


def test_a_file_that_lost_a_bill_is_not_used() -> None:
    parsed = read(CHARGES_IN_ROWS, rows(FIRST[0]))
    assert parsed.unreadable is not None
    assert "235.50" in parsed.unreadable.message
    assert "-764.50 too much or too little" in parsed.unreadable.message
    unnamed = read(CHARGES_IN_ROWS, rows(FIRST[0], total="Summe;;;;;;;;;;"))
    assert (unnamed.unreadable, len(unnamed.records)) == (None, 1)


def test_one_row_a_bill_with_a_column_a_charge_and_no_header() -> None:
    content = "A1,260310,P1,100.00,12.50,2.50,110.00\nA2,260311,P2,80.00,,0.00,80.00,extra\nA3,260311,P3,,,,1.00\n"
    parsed = read(CHARGES_IN_COLUMNS, content)
    assert parsed.rejects == []
    first, second, third = parsed.records
    assert [(line["partner_code"], line["line_amount"]) for line in first.lines] == [
        ("400", D("100.00")),
        ("FUE", D("12.50")),
        ("DSC", D("-2.50")),
    ]
    assert first.values["lines_total"] == first.values["net_amount"] == D("110.00")
    assert first.currency is None, "the gate takes the contract's"
    assert second.values["line_count"] == 1
    assert (third.values["line_count"], third.values["lines_total"]) == (0, 0)


def test_a_bill_without_a_total_asks_for_its_charges() -> None:
    by = yaml.safe_load(CHARGES_IN_COLUMNS)
    del by["columns"]["net_amount"]
    parsed = parse_invoices(b"A1,260310,P1,100.00,12.50,2.50\n", mapping=read_mapping(by), scac="WALD")
    assert parsed.records[0].values["net_amount"] == D("110.00")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"columns": {}}, "no field invoice_number"),
        ({"columns": {"invoice_number": "A", "invoice_on": "B", "price": "C"}}, "no field price"),
        ({"columns": {"invoice_number": "A", "invoice_on": "B"}}, "either line_amount"),
        ({"charges": [{"column": "Fuel"}]}, "charges 1"),
        ({"charges": [{"column": "Fuel", "code": "F", "sign": 2}]}, "sign"),
        ({"charges": [{"column": "Fuel", "code": "F", "colour": 2}]}, "colour"),
        ({"totals": {"column": "A"}}, "no text"),
        ({"header": "no"}, "header"),
        ({"header": False}, "names a header"),
        ({"sheet": 1}, "sheet"),
        ({"columns": {"invoice_number": {"column": False}, "invoice_on": "B"}}, "in quotes where YAML"),
        ({"rows": 3}, "rows"),
        ({"columns": {"invoice_number": "A", "invoice_on": {"column": "B", "type": "text"}}}, "invoice_on is date"),
        (
            {"columns": {"invoice_number": "A", "invoice_on": "B", "correction": {"column": "C", "map": {"X": "ZZ"}}}},
            "ZZ",
        ),
        ({"columns": {"invoice_number": {"column": "A", "position": 1}, "invoice_on": "B"}}, "exactly one"),
        ({"columns": {"invoice_number": {"position": 0}, "invoice_on": "B"}}, "position"),
        ({"columns": {"invoice_number": {"constant": 5}, "invoice_on": "B"}}, "in quotes"),
        ({"columns": {"invoice_number": "A", "invoice_on": {"constant": "May"}}}, "constant"),
    ],
    ids=str,
)
def test_a_mapping_is_refused_by_the_entry_that_is_wrong(change: dict[str, Any], says: str) -> None:
    sound = {
        "columns": {"invoice_number": "A", "invoice_on": "B"},
        "charges": [{"column": "Fuel", "code": "F"}],
    }
    read_mapping(sound)
    broken = {**sound, **change}
    if says == "either line_amount":
        del broken["charges"]
    with pytest.raises(MappingError, match=says):
        read_mapping(broken)


def test_a_deployment_adds_mappings_and_never_reads_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "wald.yaml").write_text(CHARGES_IN_ROWS)
    (tmp_path / "bad.yaml").write_text("columns: [")
    assert mapping("wald.yaml", tmp_path).has_total
    assert mapping("bluw.yaml", tmp_path).has_total, "what is installed stays"
    for name, says in [
        ("../wald.yaml", "without a path"),
        ("/etc/passwd", "without a path"),
        (".hidden", "without a path"),
        ("none.yaml", "no mapping none.yaml"),
        ("bad.yaml", "bad.yaml: not YAML"),
    ]:
        with pytest.raises(MappingError, match=says):
            mapping(name, tmp_path / "sub" if name.startswith("..") else tmp_path)


# ---------------------------------------------------------------------------------------------------- workbooks

SHEET = """
sheet: Bills
columns:
  invoice_number: {column: "No", required: true}
  invoice_on: {column: Date, required: true}
  partner_code: Code
  line_amount: {column: Amount, required: true}
group_by: [invoice_number]
"""


def workbook(*data: tuple[Any, ...]) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = "Other"
    page = book.create_sheet("Bills")
    for row in (("No", "Date", "Code", "Amount"), *data):
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_is_read_by_its_sheet_and_formulas_are_never_evaluated() -> None:
    """openpyxl stores no value for a formula: such a cell has none to be used."""
    content = workbook(
        ("W1", dt.date(2026, 3, 10), "400", 100.1),
        ("W2", dt.date(2026, 3, 10), "400", "=1+1"),
        ("W3", dt.date(2026, 3, 10), '=HYPERLINK("http://x")', 5),
        ("=cmd|'/c calc'!A1", dt.date(2026, 3, 10), "400", 5),
    )
    parsed = read(SHEET, content)
    assert [(r.values["invoice_number"], r.values["net_amount"]) for r in parsed.records] == [("W1", D("100.1"))]
    assert len(parsed.rejects) == 3
    assert all("a formula without a stored value" in reject.messages[0] for reject in parsed.rejects)


def test_a_formula_with_a_stored_value_counts_as_that_value() -> None:
    content = workbook(("W1", dt.date(2026, 3, 10), "400", "=40+2"))
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("sheet2.xml"):
                assert b"<f>40+2</f><v />" in data or b"<f>40+2</f><v></v>" in data
                data = data.replace(b"<f>40+2</f><v />", b"<f>40+2</f><v>42.5</v>")
                data = data.replace(b"<f>40+2</f><v></v>", b"<f>40+2</f><v>42.5</v>")
            out.writestr(entry, data)
    (record,) = read(SHEET, target.getvalue()).records
    assert record.values["net_amount"] == D("42.5")


def repacked(change: dict[str, bytes], level: int = 9) -> bytes:
    source, target = zipfile.ZipFile(io.BytesIO(workbook(("W1", dt.date(2026, 3, 10), "400", 1)))), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as out:
        for entry in source.infolist():
            if entry.filename not in change:
                out.writestr(entry, source.read(entry))
        for name, data in change.items():
            out.writestr(name, data)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: repacked({"xl/media/bomb.bin": b"\0" * 40_000_000}), "times its size"),
        (lambda: repacked({f"xl/media/{n}": b"" for n in range(3000)}), "parts"),
        (
            lambda: repacked({"xl/worksheets/sheet2.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet>&a;</worksheet>'}),
            "document type",
        ),
        (lambda: repacked({"xl/worksheets/sheet2.xml": b"<worksheet><sheetData><row>"}), "readable workbook"),
        (lambda: b"PK\x03\x04" + b"rubbish" * 10, "readable workbook"),
        (lambda: b"\xd0\xcf\x11\xe0" + b"x" * 600, "old .xls"),
    ],
    ids=["bomb", "parts", "entities", "cut", "rubbish", "xls"],
)
def test_a_hostile_workbook_is_one_unreadable_document(content: Any, says: str) -> None:
    parsed = read(SHEET, content())
    assert parsed.unreadable is not None
    assert says in parsed.unreadable.message
