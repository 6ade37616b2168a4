"""`freightsync edi read`: the shape of its JSON, its exit codes, and what it says when it can't."""

import io
import json
from pathlib import Path

import pytest

from freightsync.cli import main
from freightsync.commands.edi import shown

ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*000000042*0*P*:"
BODY = [
    "GS*IM*NRDF*SHIPPER*20261122*0800*42*X*004010",
    "ST*210*0001",
    "B3**INV1*SH1*PP**20261121*150000*BD***NRDF",
    "N9*BM*BOL1",
    "LX*1",
    "L1*1***1400.00****400",
    "L1*1***10000****FUE****FUEL",
    "SE*7*0001",
    "ST*856*0002",
    "SE*2*0002",
    "ST*210*0003",
    "B3**INV3**PP**20261121*oops****NRDF",
    "SE*3*0003",
    "GE*3*42",
    "GS*QM*NRDF*SHIPPER*20261122*0800*43*X*004010",
    "ST*214*0004",
    "B10*PRO1*SH1*NRDF",
    "LX*1",
    "AT7*X1*NS***20261121*1030",
    "MS1*TULSA*OK*US",
    "AT7***AB*NA*20261122*1400*CT",
    "SE*7*0004",
    "GE*1*43",
    "IEA*2*000000042",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.edi"
    path.write_text("".join(s + "~\n" for s in [ISA, *BODY]))
    return path


def test_the_shape(file, capsys):
    assert main(["edi", "read", str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    (interchange,) = printed["interchanges"]
    assert {k: interchange[k] for k in ("sender", "receiver", "control_number", "findings")} == {
        "sender": "NRDF",
        "receiver": "SHIPPER",
        "control_number": "000000042",
        "findings": [],
    }
    bill, unknown, spoilt, status = interchange["transactions"]
    assert (bill["set"], bill["control_number"], bill["findings"]) == ("210", "0001", [])
    document = bill["document"]
    assert {k: document[k] for k in document.keys() - {"parties", "lines"}} == {
        "invoice_number": "INV1",
        "shipment_id": "SH1",
        "scac": "NRDF",
        "currency": None,
        "net_amount": "1500.00",
        "lines_total": "1500.00",
        "correction": "BD",
        "invoice_date": "2026-11-21",
        "delivery_date": None,
        "pickup_date": None,
        "payment_method": "PP",
        "references": [{"qualifier": "BM", "value": "BOL1"}],
    }
    assert [(line["charge_code"], line["description"], line["amount"]) for line in document["lines"]] == [
        ("400", None, "1400.00"),
        ("FUE", "FUEL", "100.00"),
    ]
    assert unknown["document"] is None
    assert [f["code"] for f in unknown["findings"]] == ["unsupported_set"]
    assert spoilt["document"] is None
    assert spoilt["findings"] == [
        {
            "severity": "error",
            "code": "unreadable_value",
            "segment_index": 13,
            "byte_offset": file.read_text().index("B3**INV3"),
            "element": "B307",
            "message": "not an amount: 'oops'",
        }
    ]
    first, second = status["document"]["events"]
    wanted = ("status", "reason", "appointment_status", "occurred_at_local", "time_code", "city", "state", "country")
    assert [first[k] for k in wanted] == ["X1", "NS", None, "2026-11-21T10:30:00", None, "TULSA", "OK", "US"]
    assert [second[k] for k in wanted] == [None, "NA", "AB", "2026-11-22T14:00:00", "CT", None, None, None]
    assert second["occurred_at"] == "2026-11-22T14:00:00-06:00"


def test_several_interchanges_and_loose_findings(file, capsys):
    text = file.read_text()
    file.write_text(text + "ISA*broken\n" + text.replace("*", "|"))
    assert main(["edi", "read", str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [len(i["transactions"]) for i in printed["interchanges"]] == [4, 4]
    assert [f["code"] for f in printed["interchanges"][0]["findings"]] == ["junk"]
    assert [f["code"] for f in printed["findings"]] == ["broken_isa"]


def test_an_interchange_without_transactions(file, capsys):
    file.write_text(ISA + "~IEA*0*000000042~")
    assert main(["edi", "read", str(file)]) == 0
    (interchange,) = json.loads(capsys.readouterr().out)["interchanges"]
    assert (interchange["transactions"], interchange["findings"]) == ([], [])


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "empty"), ("UNB+UNOC:4+1", "EDIFACT"), ("a,b\n", "no X12 interchange"), (ISA[:90], "cut short")],
)
def test_exit_code_2_where_there_is_none(file, capsys, content, says):
    file.write_text(content)
    assert main(["edi", "read", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out.strip() == ""
    assert says in err
    assert str(file) in err


def test_exit_code_2_for_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["edi", "read", str(tmp_path / "none.edi")]) == 2
    assert "none.edi" in capsys.readouterr().err
    assert main(["edi", "read", str(tmp_path)]) == 2


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_a_partner_decides_how_amounts_are_read(file, tmp_path, capsys, suffix):
    partners = tmp_path / f"partners.{suffix}"
    partners.write_text(
        "partners:\n  WHOLE:\n    x12: {implied_decimals: explicit, default_currency: CAD}\n"
        if suffix == "yaml"
        else '[partners.WHOLE.x12]\nimplied_decimals = "explicit"\ndefault_currency = "CAD"\n'
    )
    assert main(["edi", "read", str(file), "--partner", "whole", "--partners", str(partners)]) == 0
    document = json.loads(capsys.readouterr().out)["interchanges"][0]["transactions"][0]["document"]
    assert (document["net_amount"], document["currency"]) == ("150000", "CAD")
    assert main(["edi", "read", str(file), "--partner", "nobody", "--partners", str(partners)]) == 2
    assert "WHOLE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings", ["{implied_decimal: auto}", "{implied_decimals: 2}", "{tender_responses: {A: yes}}", "[1]"]
)
def test_a_profile_that_says_something_unknown_is_refused(file, tmp_path, capsys, settings):
    partners = tmp_path / "partners.yaml"
    partners.write_text(f"partners:\n  P:\n    x12: {settings}\n")
    assert main(["edi", "read", str(file), "--partner", "P", "--partners", str(partners)]) == 2
    assert "partner P" in capsys.readouterr().err


def test_the_installed_partners_are_readable(file, capsys):
    assert main(["edi", "read", str(file), "--partner", "NRDF"]) == 0
    assert json.loads(capsys.readouterr().out)["interchanges"][0]["transactions"][0]["document"]["currency"] == "USD"


def test_standard_input(file, capsys, monkeypatch):
    class Input:
        buffer = io.BytesIO(file.read_bytes())

    monkeypatch.setattr("sys.stdin", Input())
    assert main(["edi", "read", "-"]) == 0
    assert len(json.loads(capsys.readouterr().out)["interchanges"]) == 1


def test_what_a_partner_wrote_does_not_steer_a_terminal() -> None:
    assert shown("nrdf  824  Q1: \x1b[2Jnothing\x07 of ours é") == "nrdf  824  Q1: �[2Jnothing� of ours é"
