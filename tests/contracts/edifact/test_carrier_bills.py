"""INVOIC files as carriers send them -> bills, rejects and control totals, worked out by hand."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from freightsync.cli import main
from freightsync.formats.edifact import EdifactProfile, read
from freightsync.formats.x12 import PartnerProfile
from freightsync.systems.carrier_edi.parse import parse_file
from freightsync.systems.parsed import Parsed

FEED = "carrier.invoice_edifact"
D = Decimal

HEAD = """UNA:+,? '
UNB+UNOC:3+NORTH:14+SHIPPER:14+{date}:0900+{number}'
"""

BILL = """UNH+{n}+INVOIC:D:96A:UN'
BGM+{code}+{number}+{function}'
DTM+137:20260310:102'
RFF+SRN:SH100'
RFF+BM:BOL1'
RFF+ON:SO7'
RFF+IV:R41'
DTM+171:20250101:102'
NAD+SE+++Müller Spedition'
RFF+VA:DE123'
NAD+CA+NRDF::182'
NAD+PE+FACTOR1::92'
NAD+CZ+++Works++++60601+US'
NAD+DP+++Shop++++10001+US'
CUX+2:EUR:4'
PAT+1'
DTM+13:20260409:102'
TDT+20'
DTM+234:202603081015:203'
ALC+C++++FC:::Fuel surcharge'
MOA+8:12,50'
ALC+A++++DSC:::Discount'
PCD+3:2'
MOA+8:2,25'
LIN+1++400:SRV'
IMD+F++:::Linehaul'
MEA+WT+G+KGM:100'
MOA+203:100,00'
RFF+CN:PRO1'
TAX+7+VAT+++:::19+S'
MOA+124:19,00'
LIN+2'
PIA+5+DET:SA'
MOA+203:10'
RFF+SRN:SH101'
UNS+S'
CNT+2:2'
MOA+79:110'
MOA+77:{gross}'
MOA+176:{tax}'
TAX+7+VAT+++:::19+S'
MOA+124:22,85'
ALC+C++++FC'
MOA+8:12,50'
UNT+45+{n}'
"""


def bill(
    number: str, n: int = 1, code: str = "380", function: str = "9", gross: str = "143,10", tax: str = "22,85"
) -> str:
    return BILL.format(n=n, code=code, number=number, function=function, gross=gross, tax=tax)


def file(*messages: str, date: str = "260310", number: str = "77", head: str = HEAD) -> bytes:
    text = head.format(date=date, number=number) + "".join(messages) + f"UNZ+{len(messages)}+{number}'\n"
    return text.encode("latin-1")


def parsed(content: bytes, **profile: Any) -> Parsed:
    found = parse_file(
        content,
        profile=PartnerProfile(),
        scac="NORT",
        name="x.edi",
        expected="carrier.invoice_x12",
        edifact=EdifactProfile(**profile),
    )
    assert list(found) == [FEED], "by its content, whatever was expected"
    return found[FEED]


def test_a_bill_in_the_shape_of_every_bill() -> None:
    """100 + 10 + 12.50 fuel - 2.25 discount = 120.25 net; with 22.85 of tax 143.10."""
    one = parsed(file(bill("R42")))
    assert one.rejects == []
    (record,) = one.records
    assert (record.amount, record.currency) == (D("120.25"), "EUR")
    assert one.totals == [("EUR", 1, D("120.25"))]
    assert record.values == {
        "source": FEED,
        "scac": "NRDF",
        "invoice_number": "R42",
        "correction": "",
        "corrects_number": "R41",
        "biller": "FACTOR1",
        "service_level": None,
        "invoice_on": dt.date(2026, 3, 10),
        "ship_on": dt.date(2026, 3, 8),
        "due_on": dt.date(2026, 4, 9),
        "shipment_reference": "SH100",
        "bol_number": "BOL1",
        "pro_number": None,
        "po_number": "SO7",
        "origin_postal": "60601",
        "destination_postal": "10001",
        "weight_lb": D("220.462"),
        "net_amount": D("120.25"),
        "tax_amount": D("22.85"),
        "gross_amount": D("143.10"),
        "lines_total": D("120.25"),
        "line_count": 4,
    }
    shown = [(line["partner_code"], line["line_amount"], line["shipment_reference"]) for line in record.lines]
    assert shown == [
        ("400", D("100.00"), None),
        ("DET", D(10), "SH101"),
        ("FC", D("12.50"), None),
        ("DSC", D("-2.25"), None),
    ]
    first = record.lines[0]
    assert (first["pro_number"], first["tax_code"], first["tax_rate"], first["tax_amount"]) == (
        "PRO1",
        "S",
        D(19),
        D("19.00"),
    )


@pytest.mark.parametrize(
    ("code", "function", "kind", "net"),
    [
        ("380", "9", "", "120.25"),
        ("385", "9", "", "120.25"),
        ("393", "9", "", "120.25"),
        ("381", "9", "CR", "-120.25"),
        ("383", "9", "BD", "120.25"),
        ("384", "9", "RB", "120.25"),
        ("380", "5", "RB", "120.25"),
        ("380", "1", "CA", "120.25"),
        ("380", "7", "", "120.25"),
    ],
)
def test_what_kind_of_bill_it_is(code: str, function: str, kind: str, net: str) -> None:
    (record,) = parsed(file(bill("R42", code=code, function=function))).records
    assert (record.values["correction"], record.amount) == (kind, D(net))
    assert record.values["lines_total"] == D(net)
    assert record.values["gross_amount"] == record.amount + record.values["tax_amount"]
    assert {line["line_amount"] > 0 for line in record.lines[:3]} == {kind != "CR"}


def test_a_credit_that_its_sender_wrote_with_a_minus_stays_as_it_is() -> None:
    sent = bill("R42", code="381", gross="-143,10", tax="-22,85")
    for amount in ("100,00", "12,50", ":10'"):
        sent = sent.replace(amount, amount.replace(":", ":-") if ":" in amount else "-" + amount)
    sent = sent.replace("ALC+A", "ALC+C")  # the discount taken back
    (record,) = parsed(file(sent)).records
    assert record.amount == D("-120.25")
    assert record.values["lines_total"] == D("-100.00") - D(10) - D("12.50") + D("2.25")


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        (("BGM+380", "BGM+325"), "unreadable_value", "pro forma"),
        (("BGM+380", "BGM+999"), "unreadable_value", "not known here"),
        (("+R42+9", "++9"), "no_invoice_number", "no invoice number"),
        (("MOA+77:143,10", "MOA+77:143,105"), "unreadable_value", "finer than a cent"),
        (("MOA+77:143,10", "MOA+77:1.143"), "unreadable_value", "not an amount"),
        (("MOA+77:143,10", "MOA+77:1e9"), "unreadable_value", "not an amount"),
        (("MOA+77:143,10", "MOA+77:9999999999999"), "unreadable_value", "beyond any bill"),
        (("MOA+203:10'", "MOA+203:'"), None, None),
        (("MOA+203:10'", "MOA+203:10:USD'"), "unreadable_value", "charges in USD on a bill in EUR"),
        (("CUX+2:EUR:4", "CUX+2:EUR:4+3:USD:4"), "unreadable_value", "EUR and in USD"),
        (("CUX+2:EUR:4", "CUX+2:EURO:4"), "unreadable_value", "not a currency"),
        (("CUX+2:EUR:4", "CUX+2:JPY:4"), "unreadable_value", "whole units"),
        (("DTM+137:20260310:102", "DTM+137:20260231:102"), "unreadable_value", "not a date"),
        (("MOA+77:143,10", "MOA+77:143,10'\nMOA+77:150,00"), "unreadable_value", "which one holds"),
        (("UNT+45+1'", ""), "truncated_transaction", "without its UNT"),
        (("TAX+7+VAT+++:::19+S'\nMOA+124:19,00", "TAX+7+VAT+++:::19,00001+S"), "unreadable_value", "tax rate"),
    ],
    ids=lambda value: value[1][:20] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_kept_is_rejected_beside_the_others(change: Any, reason: str | None, words: str | None) -> None:
    assert change[0] in bill("R42")
    one = parsed(file(bill("R42").replace(*change), bill("R43", n=2)))
    assert one.units == 2
    if reason is None:
        assert [record.values["invoice_number"] for record in one.records] == ["R42", "R43"]
        assert one.records[0].lines[1]["line_amount"] is None, "the gate asks for it"
        return
    (record,) = one.records
    (reject,) = one.rejects
    assert record.values["invoice_number"] == "R43"
    assert reject.reasons == (reason,)
    assert words in reject.messages[0]
    assert reject.raw.startswith("UNH+1+INVOIC")
    assert reject.position.startswith("segment 2 byte ")
    counted = {currency: (units, amount) for currency, units, amount in one.totals}
    assert sum(units for units, _ in counted.values()) == 2
    assert sum(amount or 0 for _, amount in counted.values()) == record.amount + (reject.amount or 0)


def test_no_currency_is_left_to_the_gate() -> None:
    (record,) = parsed(file(bill("R42").replace("CUX+2:EUR:4'\n", ""))).records
    assert (record.amount, record.currency, record.values["net_amount"]) == (None, None, D("120.25"))


def test_envelopes_as_they_come() -> None:
    """Several interchanges: one without UNA and with an 8-digit date, one in a group, one wrapped, one with other
    marks."""
    plain = bill("R43").replace(",", ".")
    no_una = file(plain, date="20260310", number="78", head=HEAD.split("\n", 1)[1])
    group = file("UNG+INVOIC+A+B+260310:0900+5+UN+D:96A'\n" + bill("R44") + "UNE+1+5'\n", number="79")
    wrapped = file(bill("R45"), number="80").replace(b"Fuel surcharge", b"Fuel sur\r\ncharge")
    starred = file(bill("R46"), number="81")
    starred = starred.translate(bytes.maketrans(b"+:'?", b"*;~!"))
    content = b"\n" + no_una + group + b"  \r\n" + wrapped + starred
    result = read(content)
    assert [i.control_number for i in result.interchanges] == ["78", "79", "80", "81"]
    assert [i.findings for i in result.interchanges] == [[], [], [], []]
    one = parsed(content)
    assert one.rejects == []
    assert [r.values["invoice_number"] for r in one.records] == ["R43", "R44", "R45", "R46"]
    assert [r.amount for r in one.records] == [D("120.25")] * 4
    assert one.records[2].lines[2]["description"] == "Fuel surcharge"


def test_broken_envelopes_are_findings_or_documents() -> None:
    cut = file(bill("R42"))[:-10]
    (interchange,) = read(cut).interchanges
    assert [f.code for f in interchange.findings] == ["missing_unz"]
    assert len(parsed(cut).records) == 1
    wrong = file(bill("R42")).replace(b"UNZ+1+77", b"UNZ+2+78")
    assert [f.code for f in read(wrong).interchanges[0].findings] == ["message_count", "control_number"]
    twice = read(file(bill("R42")) * 2)
    assert [f.code for f in twice.interchanges[1].findings] == ["duplicate_control_number"]
    broken = b"UNA:::::'\nUNB+UNOC:3+A+B+260310:0900+1'\n"
    one = parsed(b"UNA     '" + b"garbage" * 3)
    assert one.unreadable is not None
    assert one.unreadable.reason == "unreadable_interchange"
    assert read(broken).interchanges[0].control_number == "1", "the UNB stands after the broken UNA"


def test_partners_differ_by_their_profile() -> None:
    content = file(bill("R42").replace("MOA+77:143,10", "MOA+388:143,10").replace("BGM+380", "BGM+999"))
    (record,) = parsed(
        content,
        gross=("388",),
        kinds={"999": "SU"},
        references={"ON": "shipment_reference"},
        charge_code=("imd", "pia", "lin"),
    ).records
    assert record.values["gross_amount"] == D("143.10")
    assert record.values["correction"] == "SU"
    assert record.values["shipment_reference"] == "SO7"
    assert record.lines[0]["partner_code"] == "400"


def test_the_command_prints_it_in_the_shape_of_x12(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bill.x12"
    path.write_bytes(file(bill("R42")))
    assert main(["edi", "read", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    (interchange,) = shown["interchanges"]
    (message,) = interchange["transactions"]
    assert (interchange["sender"], interchange["control_number"], interchange["findings"]) == ("NORTH", "77", [])
    assert (message["set"], message["document"]["invoice_number"]) == ("INVOIC", "R42")
    assert message["document"]["net_amount"] == "120.25"
    assert [line["amount"] for line in message["document"]["lines"]] == ["100.00", "10", "12.50", "-2.25"]
    path.write_bytes(b"UNA garbage")
    assert main(["edi", "read", str(path)]) == 2
    assert "EDIFACT" in capsys.readouterr().err


def test_what_the_summary_sums_up_is_not_charged_again() -> None:
    """A bill of charges alone, which after UNS are named once more by kind."""
    sent = (
        "UNH+1+INVOIC:D:96A:UN'\nBGM+380+R42+9'\nDTM+137:20260310:102'\nCUX+2:EUR:4'\n"
        "ALC+C++++FC'\nMOA+8:12,50'\nALC+C++++HS'\nMOA+23:7,50'\n"
        "UNS+S'\nMOA+77:20'\nALC+C++++FC'\nMOA+8:12,50'\nALC+C++++HS'\nMOA+8:7,50'\nUNT+15+1'\n"
    )
    (record,) = parsed(file(sent)).records
    assert [(line["partner_code"], line["line_amount"]) for line in record.lines] == [
        ("FC", D("12.50")),
        ("HS", D("7.50")),
    ]
    assert record.values["lines_total"] == record.values["net_amount"] == D(20)
