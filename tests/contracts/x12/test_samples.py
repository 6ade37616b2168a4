"""Interchanges that this project did not write, against expectations worked out without its reader."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from freightsync.formats.x12 import (
    Envelope,
    Invoice210,
    LoadTender204,
    NotX12Error,
    Status214,
    TenderResponse990,
    acknowledge,
    read,
    write,
)

REPOSITORY = Path(__file__).resolve().parents[3]


def _samples() -> Path | None:
    named = os.environ.get("FREIGHTSYNC_TEST_SAMPLES")
    places = [Path(named)] if named else [REPOSITORY.parent / "shared" / "samples"]
    if not named:
        done = subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            places.append(Path(done.stdout.strip()).parent.parent / "shared" / "samples")
    return next((place for place in places if place.is_dir()), None)


@pytest.fixture(scope="module")
def samples() -> Path:
    found = _samples()
    if found is None:
        how = "put the public sample interchanges beside the clone, or name them in FREIGHTSYNC_TEST_SAMPLES"
        asked = os.environ.get("FREIGHTSYNC_TEST_MANDATORY", "").split(",")
        if "all" in asked or "samples" in asked:
            pytest.fail(f"the samples are missing and this run insists on them: {how}")
        pytest.skip(f"the samples are missing: {how}")
    return found


def segments_of(data: bytes) -> list[list[str]]:
    """The plain way: these files have fixed-width ISAs and no terminator inside data."""
    text = data.decode("latin-1")
    mark, stop = text[3], text[105]
    return [s.strip().split(mark) for s in text.split(stop) if s.strip()]


def blocks(data: bytes, set_id: str) -> list[list[list[str]]]:
    out: list[list[list[str]]] = []
    for segment in segments_of(data):
        if segment[0] == "ST" and segment[1] == set_id:
            out.append([])
        if out:
            out[-1].append(segment)
    return out


def cents(text: str) -> Decimal:
    return Decimal(int(text)) / 100


def at(segment: list[str], number: int) -> str:
    return segment[number].strip() if len(segment) > number else ""


@pytest.mark.parametrize("name", ["mgct_204", "mgct_990", "mgct_214", "mgct_210", "ups_210", "canadapost_214"])
def test_every_x12_sample_reads_whole(samples, name):
    data = (samples / f"{name}.edi").read_bytes()
    (interchange,) = read(data).interchanges
    sent = segments_of(data)
    isa = sent[0]
    assert (interchange.sender, interchange.receiver) == (isa[6].strip(), isa[8].strip())
    assert interchange.control_number == isa[13]
    assert interchange.findings == []
    assert [t.control_number for t in interchange.transactions] == [s[2] for s in sent if s[0] == "ST"]
    assert all(t.document is not None for t in interchange.transactions)
    for transaction in interchange.transactions:
        cut = data[transaction.byte_offset : transaction.byte_offset + transaction.byte_length]
        assert cut.startswith(b"ST" + data[3:4])
        assert sent[transaction.segment_index - 1][:3:2] == ["ST", transaction.control_number]
        assert sent[transaction.segment_index + transaction.segment_count - 2][0] == "SE"


@pytest.mark.parametrize("name", ["mgct_204", "mgct_990", "mgct_214", "mgct_210", "ups_210", "canadapost_214"])
def test_only_wrong_segment_counts_are_found_and_where_they_are(samples, name):
    data = (samples / f"{name}.edi").read_bytes()
    sent = segments_of(data)
    expected = []
    start = 0
    for number, segment in enumerate(sent, 1):
        if segment[0] == "ST":
            start = number
        if segment[0] == "SE" and int(segment[1]) != number - start + 1:
            expected.append(("segment_count", "SE01", number))
    findings = [f for t in read(data).interchanges[0].transactions for f in t.findings]
    assert [(f.code, f.element, f.segment_index) for f in findings] == expected
    for finding in findings:
        assert data[finding.byte_offset :].startswith(b"SE" + data[3:4])


@pytest.mark.parametrize(("name", "count"), [("mgct_210", 1), ("ups_210", 5)])
def test_invoices_to_the_cent(samples, name, count):
    data = (samples / f"{name}.edi").read_bytes()
    sent = blocks(data, "210")
    transactions = read(data).interchanges[0].transactions
    assert len(transactions) == len(sent) == count
    for transaction, block in zip(transactions, sent, strict=True):
        invoice = transaction.document
        assert isinstance(invoice, Invoice210)
        (b3,) = (s for s in block if s[0] == "B3")
        charges = [s for s in block if s[0] == "L1"]
        assert invoice.net_amount == cents(b3[7])
        assert invoice.invoice_number == b3[2]
        assert [line.amount for line in invoice.lines] == [cents(s[4]) for s in charges]
        assert [line.charge_code or "" for line in invoice.lines] == [at(s, 8) for s in charges]
        # these carriers' bills add up, discounts larger than charges and all
        assert invoice.lines_total == sum(cents(s[4]) for s in charges) == invoice.net_amount
        assert invoice.currency == next((s[1] for s in block if s[0] == "C3"), None)


def test_one_bill_in_full(samples):
    invoice = read((samples / "mgct_210.edi").read_bytes()).interchanges[0].transactions[0].document
    assert isinstance(invoice, Invoice210)
    assert (invoice.shipment_id, invoice.scac, str(invoice.invoice_date)) == ("75027674", "SCAC", "2016-07-07")
    assert [(line.charge_code, line.description, str(line.amount)) for line in invoice.lines] == [
        (None, "SKIDS PAPER", "3636.04"),
        ("CUS", None, "15.00"),
        ("FUE", "FUEL SUR CHG  00.72%", "26.27"),
        ("DSC", "DISCOUNT", "-3017.91"),
    ]
    assert [(p.role, p.city, p.postal_code) for p in invoice.parties] == [
        ("SH", "BOSTON", "01890"),
        ("CN", "CONCORD", "L4K"),
        ("BT", "RICHMOND", "55203"),
    ]


def test_references_inside_a_line_stay_with_the_line(samples):
    invoice = read((samples / "ups_210.edi").read_bytes()).interchanges[0].transactions[0].document
    assert isinstance(invoice, Invoice210)
    assert [(r.qualifier, r.value) for r in invoice.references] == [("18", "0000980205")]
    by_loop = {g.number: [(r.qualifier, r.value) for r in g.references] for g in invoice.groups}
    assert by_loop == {
        "1": [("ZZ", "NA")],
        "2": [("CN", "1Z1808WW0473048017"), ("D2", "01"), ("LU", "BT170"), ("CR", "7803A-0005-0001-1")],
        "3": [("CN", "1Z1808WW0473048017"), ("D2", "01")],
    }
    assert all(line.references == g.references for g in invoice.groups for line in g.lines)
    assert [p.role for p in invoice.parties] == ["BT", "SH"]
    assert [p.role for p in invoice.groups[1].parties] == ["SH", "CN"]


def test_events_of_a_parcel_carrier(samples):
    data = (samples / "canadapost_214.edi").read_bytes()
    for transaction, block in zip(read(data).interchanges[0].transactions, blocks(data, "214"), strict=True):
        status = transaction.document
        assert isinstance(status, Status214)
        b10 = next(s for s in block if s[0] == "B10")
        assert (status.reference_id, status.shipment_id, status.scac) == (b10[1].strip(), b10[2].strip(), "CPCC")
        (at7,) = (s for s in block if s[0] == "AT7")
        (ms1,) = (s for s in block if s[0] == "MS1")
        (event,) = status.events
        assert (event.status, event.reason, event.time_code or "") == (at7[1], at7[2], at(at7, 7))
        assert event.occurred_local is not None
        assert event.occurred_local.tzinfo is None
        assert event.occurred_local.strftime("%Y%m%d%H%M") == at7[5] + at7[6]
        assert (event.city, event.state, event.country) == tuple(ms1[1:4])


def test_a_tender_and_its_answer(samples):
    load = read((samples / "mgct_204.edi").read_bytes()).interchanges[0].transactions[0].document
    assert isinstance(load, LoadTender204)
    assert (load.shipment_id, load.scac, load.purpose) == ("75027674", "SCAC", "00")
    assert [(s.sequence, s.reason, len(s.references), len(s.dates)) for s in load.stops] == [
        (1, "CL", 5, 2),
        (2, "CU", 5, 2),
    ]
    assert [p.city for s in load.stops for p in s.parties] == ["RUMFORD", "WEST ALLIS"]
    assert str(load.total_charge) == "557.21"
    answer = read((samples / "mgct_990.edi").read_bytes()).interchanges[0].transactions[0].document
    assert isinstance(answer, TenderResponse990)
    assert (answer.shipment_id, answer.action_code, answer.decision) == (load.shipment_id, "A", "accepted")


def test_the_edifact_sample_is_refused_by_name(samples):
    with pytest.raises(NotX12Error, match="EDIFACT"):
        read((samples / "iftsta.edifact").read_bytes())


@pytest.mark.parametrize("name", ["mgct_204", "mgct_990", "mgct_214", "mgct_210", "ups_210", "canadapost_214"])
def test_what_was_read_survives_writing_and_reading_again(samples, name):
    documents = [t.document for t in read((samples / f"{name}.edi").read_bytes()).interchanges[0].transactions]
    envelope = Envelope("A", "B", 1, dt.datetime(2026, 1, 1, 12))  # noqa: DTZ001
    again = [t.document for t in read(write(envelope, documents)).interchanges[0].transactions]
    assert again == documents


def test_samples_are_acknowledged_by_syntax_alone(samples):
    (ack,) = acknowledge(read((samples / "ups_210.edi").read_bytes()).interchanges[0])
    assert (ack.functional_id, ack.group_control_number, ack.code) == ("IM", "2767", "E")
    assert [(r.control_number, r.code, r.errors) for r in ack.responses][:2] == [
        ("000158669", "E", ["4"]),
        ("000158670", "A", []),
    ]


def test_the_command_prints_the_agreed_shape(samples):
    done = subprocess.run(
        [sys.executable, "-m", "freightsync.cli", "edi", "read", str(samples / "mgct_210.edi")],
        capture_output=True,
        check=True,
        text=True,
    )
    (interchange,) = json.loads(done.stdout)["interchanges"]
    assert (interchange["sender"], interchange["receiver"]) == ("SCAC", "MGCTLYST")
    assert interchange["control_number"] == "000001838"
    (transaction,) = interchange["transactions"]
    assert (transaction["set"], transaction["control_number"]) == ("210", "18380001")
    document = transaction["document"]
    assert document["net_amount"] == "659.40"
    assert document["lines"][3]["amount"] == "-3017.91"
    assert {"charge_code", "description", "amount"} <= document["lines"][0].keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", document["invoice_date"])


def test_an_edifact_interchange_is_read_to_its_end(samples: Path) -> None:
    """D.10B, Latin-1; its message is of a type that is not read here, and its UNT counts wrongly."""
    from freightsync.formats.edifact import read as read_edifact

    (interchange,) = read_edifact((samples / "iftsta.edifact").read_bytes()).interchanges
    assert (interchange.sender, interchange.syntax, interchange.date) == ("5790000110018", "UNOC", "20151012")
    assert interchange.findings == []
    (message,) = interchange.messages
    assert [finding.code for finding in message.findings] == ["segment_count", "unsupported_message"]
