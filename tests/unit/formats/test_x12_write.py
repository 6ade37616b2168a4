"""What the writer refuses, and the acknowledgments that follow from what was read."""

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest

from freightsync.formats.x12 import (
    ChargeLine,
    Delimiters,
    Envelope,
    Invoice210,
    LineGroup,
    Reference,
    Status214,
    StatusEvent,
    TenderResponse990,
    X12WriteError,
    acknowledge,
    group_lines,
    read,
    write,
)

ENVELOPE = Envelope("NRDF", "SHIPPER", 7, dt.datetime(2026, 11, 22, 8, 5), "02")  # noqa: DTZ001
INVOICE = Invoice210(
    "INV1", Decimal("100.00"), dt.date(2026, 11, 21), "NRDF", groups=group_lines([ChargeLine("400", Decimal(100))])
)
STATUS = Status214(
    "PRO1", "SH1", "NRDF", events=[StatusEvent("X1", "NS", None, dt.date(2026, 11, 21), dt.time(8, 5), "LT", group="1")]
)


def changed(**values: object) -> Invoice210:
    return dataclasses.replace(INVOICE, **values)


def test_the_bytes():
    assert write(ENVELOPE, [changed(correction="BD"), INVOICE, STATUS]).decode().split("~\n") == [
        "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0805*U*00401*000000007*0*P*:",
        "GS*IM*NRDF*SHIPPER*20261122*0805*7*X*004010",
        "ST*210*0001",
        "B3**INV1****20261121*10000*BD***NRDF",
        "LX*1",
        "L1****10000****400",
        "SE*5*0001",
        "ST*210*0002",
        "B3**INV1****20261121*10000****NRDF",
        "LX*1",
        "L1****10000****400",
        "SE*5*0002",
        "GE*2*7",
        "GS*QM*NRDF*SHIPPER*20261122*0805*8*X*004010",
        "ST*214*0003",
        "B10*PRO1*SH1*NRDF",
        "LX*1",
        "AT7*X1*NS***20261121*0805*LT",
        "SE*5*0003",
        "GE*1*8",
        "IEA*2*000000007",
        "",
    ]


def test_decimals_as_the_partner_writes_them():
    assert b"*10000**" in write(ENVELOPE, [INVOICE])
    assert b"*100.00**" in write(ENVELOPE, [INVOICE], decimals="explicit")


@pytest.mark.parametrize("bad", ["A*B", "A~B", "A:B", "A\nB", "A\x00B", "\x15"])
def test_data_with_a_delimiter_is_refused_not_changed(bad):
    with pytest.raises(X12WriteError, match="B302"):
        write(ENVELOPE, [changed(invoice_number=bad)])
    with pytest.raises(X12WriteError):
        write(ENVELOPE, [changed(references=[Reference("BM", bad)])])


@pytest.mark.parametrize(
    ("envelope", "document"),
    [
        (ENVELOPE, changed(net_amount=Decimal("1.005"))),
        (ENVELOPE, changed(net_amount=Decimal("NaN"))),
        (ENVELOPE, changed(invoice_number=" ")),
        (ENVELOPE, TenderResponse990("NRDF", "", "A")),
        (
            ENVELOPE,
            changed(groups=[LineGroup("1", [ChargeLine("400", Decimal(1), references=[Reference("SI", "X")])])]),
        ),
        (dataclasses.replace(ENVELOPE, sender="A" * 16), INVOICE),
        (dataclasses.replace(ENVELOPE, sender="A*B"), INVOICE),
        (dataclasses.replace(ENVELOPE, control_number=10**9), INVOICE),
        (dataclasses.replace(ENVELOPE, delimiters=Delimiters("*", "*", "~")), INVOICE),
        (dataclasses.replace(ENVELOPE, delimiters=Delimiters("*", ":", "A")), INVOICE),
        (dataclasses.replace(ENVELOPE, encoding="ascii"), changed(references=[Reference("BM", "é")])),
    ],
)
def test_what_x12_can_not_carry_is_refused(envelope, document):
    with pytest.raises(X12WriteError):
        write(envelope, [document])


def test_group_lines_puts_equal_references_in_one_loop():
    one, two = [Reference("SI", "SH1")], [Reference("SI", "SH2")]
    lines = [
        ChargeLine("400", Decimal(1), references=one),
        ChargeLine("405", Decimal(2), references=list(one)),
        ChargeLine("400", Decimal(3), references=two),
    ]
    groups = group_lines(lines)
    assert [(g.number, len(g.lines), g.references) for g in groups] == [("1", 2, one), ("2", 1, two)]
    (transaction,) = read(write(ENVELOPE, [changed(groups=groups, net_amount=Decimal(6))])).interchanges[0].transactions
    assert [line.references for line in transaction.document.lines] == [one, one, two]


# ------------------------------------------------------------------ 997


def answers(data: bytes) -> list[tuple]:
    return [
        (a.functional_id, a.group_control_number, a.code, a.included, a.received, a.accepted,
         [(r.set_id, r.control_number, r.code, r.errors) for r in a.responses])
        for a in acknowledge(read(data).interchanges[0])
    ]  # fmt: skip


def test_every_group_is_answered():
    assert answers(write(ENVELOPE, [INVOICE, INVOICE, STATUS])) == [
        ("IM", "7", "A", 2, 2, 2, [("210", "0001", "A", []), ("210", "0002", "A", [])]),
        ("QM", "8", "A", 1, 1, 1, [("214", "0003", "A", [])]),
    ]


def test_verdicts():
    data = write(ENVELOPE, [INVOICE, INVOICE, INVOICE])
    data = data.replace(b"SE*5*0002", b"SE*6*0002").replace(b"*10000****NRDF", b"*1x****NRDF", 1)
    ((_, _, code, included, received, accepted, responses),) = answers(data)
    assert (code, included, received, accepted) == ("P", 3, 3, 2)
    assert responses == [("210", "0001", "R", ["5"]), ("210", "0002", "E", ["4"]), ("210", "0003", "A", [])]
    (ack,) = acknowledge(read(data).interchanges[0])
    (note,) = ack.responses[0].notes
    # B3 is the second segment of its transaction, the amount its seventh element
    assert (note.segment_id, note.position, note.code) == ("B3", 2, "8")
    assert [(e.position, e.code) for e in note.elements] == [(7, "6")]


def test_a_cut_file_and_an_unknown_set():
    data = write(ENVELOPE, [INVOICE, INVOICE]).replace(b"ST*210*0001", b"ST*856*0001")
    assert answers(data[: data.index(b"SE*5*0002")])[0][2:] == (
        "R", 2, 2, 0, [("856", "0001", "R", ["1"]), ("210", "0002", "R", ["2"])],
    )  # fmt: skip


def test_a_bill_that_does_not_add_up_is_no_syntax_error():
    data = write(ENVELOPE, [changed(net_amount=Decimal("1.00"))])
    assert [f.code for f in read(data).interchanges[0].transactions[0].findings] == ["lines_do_not_sum"]
    assert answers(data)[0][2] == "A"


def test_a_997_is_never_acknowledged_and_can_be_sent_and_read():
    first = acknowledge(read(write(ENVELOPE, [INVOICE, STATUS])).interchanges[0])
    sent = write(ENVELOPE, first)
    interchange = read(sent).interchanges[0]
    assert interchange.findings == []
    assert [t.document for t in interchange.transactions] == first
    assert acknowledge(interchange) == []


def test_a_groups_error_is_no_other_groups():
    data = write(ENVELOPE, [INVOICE, STATUS, INVOICE])
    lines = data.split(b"\n")
    no_ge = b"\n".join(line for line in lines if not line.startswith(b"GE*1*7"))
    twice = data.replace(b"*8*X*", b"*7*X*").replace(b"GE*1*8", b"GE*1*7")
    for spoilt, expected in (
        (no_ge, [("IM", "E", ["3"]), ("QM", "A", []), ("IM", "A", [])]),
        (twice, [("IM", "A", []), ("QM", "E", ["19"]), ("IM", "A", [])]),
    ):
        assert [(a.functional_id, a.code, a.errors) for a in acknowledge(read(spoilt).interchanges[0])] == expected


def test_a_group_without_transactions_leaves_its_errors_to_nobody():
    empty = b"GS*IM*NRDF*SHIPPER*20261122*0800*99*X*004010~\nGE*3*98~\n"
    data = write(ENVELOPE, [INVOICE]).replace(b"IEA*1", empty + b"IEA*2")
    (answer,) = acknowledge(read(data).interchanges[0])
    assert (answer.code, answer.errors) == ("A", [])


def test_the_number_of_transactions_is_that_which_the_group_states():
    for stated, included in ((b"GE*5*7", 5), (b"GE*x*7", 2)):
        (answer,) = acknowledge(read(write(ENVELOPE, [INVOICE, INVOICE]).replace(b"GE*2*7", stated)).interchanges[0])
        assert (answer.code, answer.included, answer.received, answer.errors) == ("E", included, 2, ["5"])


@pytest.mark.parametrize(
    ("spoilt", "segment_id", "position", "code"),
    [
        (b"c3*USD", "c3", 3, "1"),  # no name in capitals
        (b"C3X9*USD", "C3X", 3, "1"),
        (b"%%*USD", "?", 3, "1"),
        (b"L1*1***5", "L1", 3, "2"),  # a charge before any LX
        (b"B3**N2**PP**20261121*5", "B3", 3, "5"),
    ],
)
def test_the_segment_that_is_wrong_is_named(spoilt, segment_id, position, code):
    (ack,) = acknowledge(read(write(ENVELOPE, [INVOICE]).replace(b"LX*1", spoilt + b"~\nLX*1")).interchanges[0])
    assert [(n.segment_id, n.position, n.code) for n in ack.responses[0].notes] == [(segment_id, position, code)]


def test_a_segment_with_several_wrong_elements_is_named_once():
    data = write(ENVELOPE, [INVOICE])
    at = data.index(b"B3*")
    stop = data.index(b"~", at)
    data = data[:at] + b"B3**INV1*SH1*PP**20240230*1x**00000000*035*NRDF*20241301" + data[stop:]
    (ack,) = acknowledge(read(data).interchanges[0])
    (note,) = ack.responses[0].notes
    assert (note.segment_id, note.position, note.code) == ("B3", 2, "8")
    assert [(e.position, e.code) for e in note.elements] == [(6, "8"), (7, "6"), (9, "8"), (12, "8")]
    assert write(ENVELOPE, [ack]).count(b"AK3*") == 1


def test_a_group_with_a_wrong_trailer():
    data = write(ENVELOPE, [INVOICE, STATUS]).replace(b"GE*1*8", b"GE*2*9")
    first, second = acknowledge(read(data).interchanges[0])
    assert (first.code, first.errors, second.code, second.errors) == ("A", [], "E", ["5", "4"])
