"""Files as they come in the wild, and as nobody should send them: what is kept, what is found, and where."""

import gzip
import io
import random
import re
import time
from decimal import Decimal

import pytest

from freightsync.formats.x12 import (
    Finding,
    Interchange,
    Invoice210,
    LoadTender204,
    NotX12Error,
    PartnerProfile,
    Status214,
    TenderResponse990,
    Transaction,
    read,
    read_stream,
)

ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*000000042*0*P*:"


def invoice(number: int, body: list[str] | None = None, *, net: str = "12345") -> list[str]:
    body = body or ["LX*1", "L1*1***10000****400", "L1*1***2345****405"]
    st = [f"ST*210*{number:04d}", f"B3**INV{number}*SH{number}*PP**20261121*{net}****NRDF", "C3*USD", *body]
    return [*st, f"SE*{len(st) + 1}*{number:04d}"]


def file_of(transactions: list[list[str]], *, functional: str = "IM", isa: str = ISA, end: str = "~\n") -> str:
    flat = [segment for t in transactions for segment in t]
    segments = [
        isa,
        f"GS*{functional}*NRDF*SHIPPER*20261122*0800*42*X*004010",
        *flat,
        f"GE*{len(transactions)}*42",
        "IEA*1*000000042",
    ]
    return "".join(s + end for s in segments)


def one(data: str | bytes, profile: PartnerProfile | None = None) -> Interchange:
    content = data.encode() if isinstance(data, str) else data
    (interchange,) = read(content, profile or PartnerProfile()).interchanges
    return interchange


def codes(findings: list[Finding]) -> list[str]:
    return [f.code for f in findings]


def is_good(interchange: Interchange, count: int = 2) -> None:
    assert interchange.findings == []
    assert [t.findings for t in interchange.transactions] == [[]] * count
    assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * count


GOOD = file_of([invoice(1), invoice(2)])
NEXT = GOOD.replace("000000042", "000000043")  # the same sender's next interchange


# ------------------------------------------------------------------ delimiters and layout


@pytest.mark.parametrize(
    "end",
    ["~", "~\n", "~\r\n", "~ \r\n", "~\n      ", "~\t", "\n", "\r\n", "\r", "|", "|\n", ".", "!", "\x15", "\x15\n", "…",
     "…\n", "\x1c", "~\n\n\n", "\\", "'"],
)  # fmt: skip
def test_terminators(end):
    is_good(one(file_of([invoice(1), invoice(2)], end=end)))


@pytest.mark.parametrize("mark", ["|", "^", "\x1d", "\t", ",", "#", "'"])
def test_element_separators(mark):
    is_good(one(GOOD.replace("*", mark)))


def test_a_one_byte_ellipsis_of_windows():
    is_good(one(file_of([invoice(1), invoice(2)], end="…").encode("cp1252")))


@pytest.mark.parametrize("before", ["\ufeff", "\n\n", "   ", "\r\n \t", "\ufeff  \n"])
def test_blanks_before(before):
    interchange = one(before + GOOD)
    is_good(interchange)
    assert interchange.envelope.byte_offset == len(before.encode())


def test_records_of_eighty_characters():
    flat = file_of([invoice(1), invoice(2)], end="~")
    for width in range(70, 90):
        wrapped = "\r\n".join(flat[at : at + width] for at in range(0, len(flat), width))
        is_good(one(wrapped))


@pytest.mark.parametrize("cut", ["~\n", "~", "\n"])
def test_last_terminator_missing(cut):
    is_good(one(GOOD.removesuffix("~\n") + ("\n" if cut == "\n" else "")))


def test_trailing_blanks_and_the_end_mark_of_old_systems():
    is_good(one(GOOD + "   \r\n\x1a"))


@pytest.mark.parametrize("end", ["~", "~\n", "\n", "…"])
@pytest.mark.parametrize("after", ["\x1a", "\n\x1a", "\r\n\x1a\x00", "\x1a\x1a"])
def test_the_end_mark_after_a_last_terminator_that_is_missing(end, after):
    is_good(one(file_of([invoice(1), invoice(2)], end=end).removesuffix(end) + after))


@pytest.mark.parametrize("end", ["~~", "~~\n", "~\n~\n", "||\r\n", "……"])
def test_doubled_terminators(end):
    data = file_of([invoice(1), invoice(2)], end=end)
    interchanges = read((data + data.replace("000000042", "000000043")).encode()).interchanges
    assert len(interchanges) == 2
    for interchange in interchanges:
        is_good(interchange)
    single = end[: len(end) // 2]
    is_good(one(file_of([invoice(1), invoice(2)], end=single) + single))


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_files_joined_with_their_byte_order_marks(block):
    items = list(read_stream(io.BytesIO("".join("\ufeff" + file for file in (GOOD, NEXT)).encode()), block=block))
    interchanges = [i for i in items if isinstance(i, Interchange)][::2]
    assert [i.findings for i in interchanges] == [[], []]


def test_two_segments_on_a_line_and_doubled_terminators():
    is_good(one(GOOD.replace("~\nLX*1~\n", "~LX*1~~\n").replace("C3*USD~\n", "C3*USD~ ~\n~")))


@pytest.mark.parametrize(
    "isa",
    [
        "ISA*00**00**02*NRDF*ZZ*SHIPPER*261122*0800*U*00401*000000042*0*P*:",  # not padded
        "ISA*00*          *00*          *02*NRDF*ZZ*SHIPPER*261122*0800*U*00401*42*0*P*>",
        ISA.replace("SHIPPER        ", "SHIPPER               "),  # padded too far
    ],
)
@pytest.mark.parametrize("end", ["~", "~\n", "~\r\n", "\n", "\r\n", "…\n", "|"])
def test_isa_of_wrong_width(isa, end):
    interchange = one(file_of([invoice(1), invoice(2)], isa=isa, end=end))
    assert (interchange.sender, interchange.receiver) == ("NRDF", "SHIPPER")
    assert codes(interchange.findings) == ["isa_width"]
    assert not interchange.rejected
    assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * 2


@pytest.mark.parametrize("end", ["~", "~\n", "~\r\n"])
def test_component_separator_missing(end):
    interchange = one(file_of([invoice(1), invoice(2)], isa=ISA[:-1], end=end))
    assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * 2


@pytest.mark.parametrize("end", ["~", "~\n", "\n"])
def test_an_isa_without_all_its_elements_rejects_the_interchange_but_shows_it(end):
    isa = "ISA*00*          *00*          *02*NRDF           *ZZ*261122*0800*U*00401*000000042"
    interchange = one(file_of([invoice(1)], isa=isa, end=end))
    assert interchange.rejected
    (finding,) = [f for f in interchange.findings if f.severity == "error"]
    assert (finding.code, finding.segment_index, finding.byte_offset) == ("broken_isa", 1, 0)
    assert interchange.transactions[0].document.invoice_number == "INV1"


@pytest.mark.parametrize("mark", ["*", "|"])
@pytest.mark.parametrize(
    ("end", "repeats"),
    [*((end, "element") for end in ("~", "~\n", "~\r\n", "\n")), *((end, "terminator") for end in ("~", "~\n"))],
)
@pytest.mark.parametrize("padded", [True, False])
def test_an_isa16_that_repeats_another_delimiter_is_reported_and_the_rest_is_read(mark, end, repeats, padded):
    isa = ISA if padded else ISA.replace("  ", "")
    data = file_of([invoice(1), invoice(2)], isa=isa[:-1] + (mark if repeats == "element" else "~"), end=end)
    interchange = one(data.replace("*", mark))
    assert codes(interchange.findings) == ([] if padded else ["isa_width"]) + ["component_separator"]
    (finding,) = [f for f in interchange.findings if f.code == "component_separator"]
    assert (finding.severity, finding.element, finding.segment_index, finding.byte_offset) == ("warning", "ISA16", 1, 0)
    assert interchange.envelope.component == ""
    assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * 2


def test_an_isa16_that_repeats_a_delimiter_hides_no_interchange_before_another():
    spoilt = GOOD.replace("*P*:", "*P**").replace("000000042", "000000041")
    first, second = read((spoilt + GOOD).encode()).interchanges
    assert codes(first.findings) == ["component_separator"]
    assert [t.rejected for t in first.transactions] == [False, False]
    is_good(second)


def test_an_isa11_that_is_the_element_separator_moves_no_element():
    interchange = one(GOOD.replace("*U*00401*", "***00401*"))
    is_good(interchange)
    assert (interchange.envelope.version, interchange.control_number) == ("00401", "000000042")


@pytest.mark.parametrize("name", ["WALL ST", "ACME GS", "PORT  ST", "X IEA"])
@pytest.mark.parametrize("end", ["~", "~\n", "\n"])
def test_a_name_that_ends_like_a_segment_begins(name, end):
    for place in ("NRDF", "SHIPPER"):
        isa = "ISA*00**00**02*NRDF*ZZ*SHIPPER*261122*0800*U*00401*000000042*0*P*:".replace(place, name)
        interchange = one(file_of([invoice(1), invoice(2)], isa=isa, end=end))
        assert codes(interchange.findings) == ["isa_width"]
        assert name in (interchange.sender, interchange.receiver)
        assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * 2


@pytest.mark.parametrize(
    ("mark", "component", "end"),
    [
        ("\x1d", "\x1f", "\x1c\n"), ("\x1d", "\x1f", "\x1c"), ("*", ":", "\x1d\n"), ("*", ":", "\x1e\r\n"),
        ("*", ":", "\x85\n"), ("*", "\x1f", "~"), ("*", ":", "\xa0\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_delimiters_that_python_takes_for_blanks_in_an_isa_of_wrong_width(mark, component, end, encoding):
    isa = f"ISA*00**00**02*NRDF*ZZ*SHIPPER*261122*0800*U*00401*000000042*0*P*{component}"
    data = file_of([invoice(1), invoice(2)], isa=isa, end=end).replace("*", mark)
    interchange = one(data.encode(encoding))
    assert codes(interchange.findings) == ["isa_width"]
    envelope = interchange.envelope
    assert (envelope.element, envelope.component) == (mark, component)
    terminator = end.rstrip("\r\n").encode(encoding)
    assert envelope.terminator == terminator.decode("utf-8" if encoding == "utf-8" else "cp1252")
    assert [str(t.document.net_amount) for t in interchange.transactions] == ["123.45"] * 2


@pytest.mark.parametrize("block", [1, 40, 1 << 20])
@pytest.mark.parametrize(
    ("end", "left", "padded"),
    [
        *(
            (end, left, padded)
            for end, left in (("~\n", "\n"), ("~\r\n", "\r\n"), ("|\n", "\n"), ("…\n", "\n"))
            for padded in (True, False)
        ),
        ("~", "", True),  # without its widths nothing would say where such an ISA ends
    ],
)
def test_an_isa_without_its_terminator_has_that_of_the_others(end, left, padded, block):
    isa = ISA if padded else ISA.replace("  ", "")
    data = file_of([invoice(1), invoice(2)], isa=isa, end=end).replace(isa + end, isa + left, 1)
    items = list(read_stream(io.BytesIO(data.encode()), block=block))
    (interchange, _) = [i for i in items if isinstance(i, Interchange)]
    assert codes(interchange.findings) == ([] if padded else ["isa_width"]) + ["unterminated_segment"]
    assert (interchange.envelope.component, interchange.envelope.terminator) == (":", end.rstrip("\r\n"))
    transactions = [i for i in items if isinstance(i, Transaction)]
    assert [str(t.document.net_amount) for t in transactions] == ["123.45"] * 2
    assert [t.findings for t in transactions] == [[], []]
    assert transactions[0].segment_index == 3


def test_interchanges_with_different_delimiters():
    third = GOOD.replace("000000042", "000000044")
    parts = [GOOD, NEXT.replace("~\n", "\n").replace("*", "|"), third.replace("~\n", "…").replace(":", ">")]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        data = "".join(parts[n] for n in order).encode()
        result = read(data)
        assert len(result.interchanges) == 3
        for interchange in result.interchanges:
            is_good(interchange)
            at = interchange.envelope.byte_offset
            assert data[at : at + 3] == b"ISA"


def test_junk_between_interchanges_is_found_and_hides_none():
    data = GOOD + "-----BEGIN MIME-----\n" + NEXT
    first, second = read(data.encode()).interchanges
    (junk,) = first.findings
    assert (junk.code, junk.byte_offset) == ("junk", len(GOOD))
    is_good(second)
    assert one("HTTP/1.1 200 OK\r\n\r\n" + GOOD).findings[0].segment_index == 0


@pytest.mark.parametrize("block", [1, 13, 1 << 20])
def test_an_interchange_whose_isa_is_destroyed_counts_as_one_that_cannot_be_read(block):
    lost = [GOOD.replace("ISA*", "I5A*"), "ISA*00*          *" + GOOD[106:], GOOD[106:]]
    for damaged in lost:
        for parts in ([GOOD, damaged, GOOD], [damaged, GOOD], [GOOD, damaged, damaged]):
            items = list(read_stream(io.BytesIO("".join(parts).encode()), block=block))
            loose = [item for item in items if isinstance(item, Finding)]
            assert [(f.severity, f.code) for f in loose] == [("error", "broken_isa")] * parts.count(damaged)
            good = [i for i in items if isinstance(i, Transaction) and i.document is not None]
            assert len(good) == 2 * parts.count(GOOD)


@pytest.mark.parametrize("end", ["~", "~\n", "\n", "\r\n", "\x15"])
@pytest.mark.parametrize("blank", ["\x00", "\x00\x00", "\t", " \x00", "\x00 \t"])
def test_blanks_and_nuls_at_the_edges_of_values_mean_nothing(end, blank):
    data = file_of([invoice(1), invoice(2)], end=end)
    for plain in ("*INV1*", "*12345*", "*0002", "C3*USD"):
        data = data.replace(plain, (plain[:-1] + blank + "*") if plain.endswith("*") else plain + blank)
    interchange = one(data.replace("**INV2", f"*{blank}*{blank}INV2"))
    is_good(interchange)
    assert [t.document.invoice_number for t in interchange.transactions] == ["INV1", "INV2"]
    assert [t.control_number for t in interchange.transactions] == ["0001", "0002"]
    assert [t.document.currency for t in interchange.transactions] == ["USD", "USD"]


@pytest.mark.parametrize("end", ["~", "~\r\n", "\n"])
@pytest.mark.parametrize(
    ("mark", "kept"), [("\x00", "INV1"), ("\x01", "I\x01NV1"), ("\x7f", "I\x7fNV1"), ("\x1a", "I\x1aNV1")]
)
def test_control_characters_inside_values_are_found_and_no_nul_is_kept(end, mark, kept):
    data = file_of([invoice(1), invoice(2)], end=end).replace("INV1", f"I{mark}NV1")
    spoilt, fine = one(data).transactions
    (finding,) = spoilt.findings
    assert (finding.severity, finding.code, finding.element) == ("warning", "control_character", "B302")
    # ISA, GS, ST, B3
    assert (finding.segment_index, data[finding.byte_offset :][:3]) == (4, "B3*")
    assert spoilt.document.invoice_number == kept
    assert fine.findings == []


def test_accents_in_utf_8_and_latin_1():
    text = file_of([invoice(1, ["N1*SH*Café à Zürich", "LX*1", "L1*1***12345****400"])])
    for encoding in ("utf-8", "latin-1", "cp1252"):
        document = one(text.encode(encoding)).transactions[0].document
        assert document.parties[0].name == "Café à Zürich"
        assert one(text.encode(encoding)).transactions[0].findings == []


# ------------------------------------------------------------------ envelope


@pytest.mark.parametrize(
    ("old", "new", "code", "element"),
    [
        ("SE*7*0002", "SE*9*0002", "segment_count", "SE01"),
        ("SE*7*0002", "SE*x*0002", "segment_count", "SE01"),
        ("SE*7*0002", "SE*7*9999", "control_number", "SE02"),
        ("GE*2*42", "GE*3*42", "transaction_count", "GE01"),
        ("GE*2*42", "GE*2*43", "control_number", "GE02"),
        ("IEA*1*000000042", "IEA*2*000000042", "group_count", "IEA01"),
        ("IEA*1*000000042", "IEA*1*000000043", "control_number", "IEA02"),
    ],
)
def test_trailers_that_do_not_agree(old, new, code, element):
    data = GOOD.replace(old, new)
    interchange = one(data)
    (finding,) = interchange.findings + [f for t in interchange.transactions for f in t.findings]
    assert (finding.severity, finding.code, finding.element) == ("warning", code, element)
    assert data[finding.byte_offset :].startswith(new)
    assert [s for s in data.split("~\n") if s][finding.segment_index - 1] == new
    assert [t.document.invoice_number for t in interchange.transactions] == ["INV1", "INV2"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SE*7*0002", "SE*0000000007*0002"),
        ("GE*2*42", "GE*000002*000000042"),
        ("IEA*1*000000042", "IEA*00001*42"),
        ("SE*7*0002", "SE*7*2"),
    ],
)
def test_padded_numbers_agree(old, new):
    is_good(one(GOOD.replace(old, new)))


def test_alphanumeric_control_numbers_compare_exactly():
    is_good(one(GOOD.replace("*0002~", "*A002~")))
    assert codes(
        one(GOOD.replace("ST*210*0002", "ST*210*A002").replace("SE*7*0002", "SE*7*a002")).transactions[1].findings
    ) == ["control_number"]


def test_a_control_number_used_twice():
    findings = one(GOOD.replace("*0002~", "*0001~")).transactions[1].findings
    assert [(f.code, f.element) for f in findings] == [("duplicate_control_number", "ST02")]


def test_an_interchange_that_comes_twice_in_a_file():
    first, second, third = read((GOOD + NEXT + GOOD.replace("~\n", "\n")).encode()).interchanges
    is_good(first)
    is_good(second)
    (finding,) = third.findings
    assert (finding.severity, finding.code, finding.element) == ("warning", "duplicate_control_number", "ISA13")
    assert (finding.segment_index, finding.byte_offset) == (1, len(GOOD + NEXT))
    other = GOOD.replace("NRDF   ", "BLUW   ")
    assert [i.findings for i in read((GOOD + other).encode()).interchanges] == [[], []]


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_a_file_cut_anywhere_keeps_what_is_whole(block):
    data = GOOD.encode()
    first_done = data.index(b"SE*7*0001") + len(b"SE*7*0001")
    second_starts = data.index(b"ST*210*0002")
    second_done = data.index(b"SE*7*0002") + len(b"SE*7*0002")
    for cut in range(130, len(data)):
        items = list(read_stream(io.BytesIO(data[:cut]), block=block))
        transactions = [t for t in items if isinstance(t, Transaction)]
        kept = [t.document.invoice_number for t in transactions if t.document is not None]
        assert kept == ["INV1"] * (cut >= first_done) + ["INV2"] * (cut >= second_done), cut
        for t in transactions:
            assert t.rejected == ("truncated_transaction" in codes(t.findings))
        if second_starts + 3 <= cut < second_done:
            assert transactions[-1].findings[-1].code == "truncated_transaction"
            assert transactions[-1].findings[-1].byte_offset < cut


@pytest.mark.parametrize("lost", ["N1*SH*AC", "GE*1", "ST", "SE", "L1*1***23", "<junk"])
def test_a_file_that_ends_within_a_segment_says_which(lost):
    lines = file_of([invoice(1), invoice(2)]).split("~\n")
    whole = lines[: next(n for n, line in enumerate(lines) if line.startswith("ST*210*0002")) + 3]
    data = "".join(line + "~\n" for line in whole) + lost
    (finding,) = [f for f in one(data).findings if f.code == "unterminated_segment"]
    # of ISA, GS, INV1's seven segments, ST, B3, C3 the one that is cut is the thirteenth
    assert (finding.segment_index, data[finding.byte_offset :]) == (13, lost)


def test_trailers_missing_one_by_one():
    lines = GOOD.split("~\n")[:-1]

    def without(*prefixes: str) -> Interchange:
        return one("".join(line + "~\n" for line in lines if not line.startswith(prefixes)))

    no_iea = without("IEA")
    assert codes(no_iea.findings) == ["missing_iea"]
    assert len([t for t in no_iea.transactions if t.document]) == 2
    assert codes(without("GE").findings) == ["missing_ge"]
    assert codes(without("GE", "IEA").findings) == ["missing_ge", "missing_iea"]
    no_gs = without("GS", "GE")
    assert [codes(t.findings) for t in no_gs.transactions] == [["missing_gs"]] * 2
    assert all(t.document for t in no_gs.transactions)
    no_se = without("SE*7*0001")
    assert [codes(t.findings) for t in no_se.transactions] == [["truncated_transaction"], []]
    assert [t.rejected for t in no_se.transactions] == [True, False]
    assert no_se.transactions[0].partial.invoice_number == "INV1"
    assert no_se.transactions[0].partial.net_amount == Decimal("123.45")


def test_an_interchange_that_another_cuts_off_in_the_middle_of_an_element():
    for other in (NEXT, NEXT.replace("*", "|").replace("~\n", "\n")):
        data = GOOD[: GOOD.index("ST*210*0002") + 60].encode() + other.encode()
        first, second = read(data).interchanges
        assert [t.rejected for t in first.transactions] == [False, True]
        assert "missing_iea" in codes(first.findings)
        is_good(second)


def test_interchanges_run_together_for_want_of_a_last_terminator():
    first, second = read((GOOD.removesuffix("~\n") + "\n" + NEXT).encode()).interchanges
    is_good(first)
    is_good(second)


def test_rubbish_inside_and_outside_transactions():
    data = GOOD.replace("C3*USD~\n", "C3*USD~\n<html>oops~\n", 1).replace("ST*210*0002", "NTE**hello~\nST*210*0002")
    interchange = one(data)
    assert codes(interchange.findings) == ["unexpected_segment"]
    assert codes(interchange.transactions[0].findings) == ["segment_count", "bad_segment_id"]
    bad = interchange.transactions[0].findings[1]
    assert data[bad.byte_offset :].startswith("<html>")


def test_a_set_that_is_not_read_hides_no_other():
    other = ["ST*856*0002", "BGN*11*1*20261122", "SE*3*0002"]
    interchange = one(file_of([invoice(1), other, invoice(3)]))
    assert [(t.set_id, t.rejected, codes(t.findings)) for t in interchange.transactions] == [
        ("210", False, []),
        ("856", True, ["unsupported_set"]),
        ("210", False, []),
    ]
    assert interchange.findings == []


def test_a_set_in_the_wrong_group():
    assert codes(one(file_of([invoice(1)], functional="QM")).transactions[0].findings) == ["functional_group"]


# ------------------------------------------------------------------ 210


def first(body: list[str] | None = None, *, net: str = "12345", profile: PartnerProfile | None = None) -> Transaction:
    return one(file_of([invoice(1, body, net=net)]), profile).transactions[0]


@pytest.mark.parametrize(
    ("rule", "sent", "amount"),
    [
        ("auto", "12345", "123.45"), ("auto", "123.45", "123.45"), ("auto", "5", "0.05"), ("auto", "-250", "-2.50"),
        ("auto", "1500.00", "1500.00"), ("auto", "0", "0.00"), ("auto", ".5", "0.5"), ("auto", "-0", "0.00"),
        ("implied", "150000", "1500.00"), ("explicit", "1500", "1500"), ("explicit", "1500.5", "1500.5"),
        ("auto", "99999999999999999", "999999999999999.99"),
    ],
)  # fmt: skip
def test_amounts(rule, sent, amount):
    transaction = first(["LX*1", f"L1*1***{sent}****400"], net=sent, profile=PartnerProfile(implied_decimals=rule))
    assert transaction.findings == []
    assert str(transaction.document.net_amount) == amount
    assert str(transaction.document.lines[0].amount) == amount


def test_an_amount_finer_than_a_cent_is_read_as_written_and_reported():
    for rule in ("auto", "implied", "explicit"):
        profile = PartnerProfile(implied_decimals=rule)
        transaction = first(["LX*1", "L1*1***1500.005****400"], net="1500.005", profile=profile)
        assert [(f.severity, f.code, f.element) for f in transaction.findings] == [
            ("warning", "decimal_rule", "B307"),
            ("warning", "decimal_rule", "L104"),
        ]
        assert transaction.document.net_amount == transaction.document.lines_total == Decimal("1500.005")
    assert first(["LX*1", "L1*1***1.500****400"], net="1.50").findings == []


def test_whole_amounts_of_more_than_sixteen_digits_fit_no_books():
    explicit = PartnerProfile(implied_decimals="explicit")
    for sent, fits in (("9" * 16, True), ("9" * 17, False), ("-" + "9" * 17, False)):
        assert first(["LX*1", f"L1*1***{sent}****400"], net=sent, profile=explicit).rejected is not fits


def test_a_point_where_decimals_are_implied_is_read_and_reported():
    transaction = first(
        ["LX*1", "L1*1***123.45****400"], net="123.45", profile=PartnerProfile(implied_decimals="implied")
    )
    assert [(f.code, f.element) for f in transaction.findings] == [("decimal_rule", "B307"), ("decimal_rule", "L104")]
    assert str(transaction.document.net_amount) == "123.45"


@pytest.mark.parametrize(
    "sent", ["1,234", "12a", "--1", "1.2.3", "1e5", "NaN", "Infinity", "²", "٣", "1-", "9" * 40, "$5", "9" * 18]
)
def test_an_amount_that_cannot_be_read_rejects_its_transaction_only(sent):
    for bad in (invoice(1, net=sent), invoice(1, ["LX*1", "L1*1***12345****400", f"L1*1***{sent}****405"])):
        data = file_of([bad, invoice(2)])
        spoilt, fine = one(data).transactions
        (finding,) = [f for f in spoilt.findings if f.severity == "error"]
        assert finding.code == "unreadable_value"
        assert finding.element in ("B307", "L104")
        assert data.encode()[finding.byte_offset :].startswith(finding.element[:2].encode() + b"*")
        assert spoilt.document is None
        assert spoilt.partial.invoice_number == "INV1"
        assert fine.document is not None


def test_dates():
    for sent, read_as in (("20261121", "2026-11-21"), ("261121", "2026-11-21"), ("991231", "1999-12-31")):
        document = one(GOOD.replace("20261121", sent)).transactions[0].document
        assert str(document.invoice_date) == read_as
    for sent in ("20261321", "2026112", "20260230", "tomorrow", "00000000"):
        transaction = one(GOOD.replace("20261121", sent)).transactions[0]
        assert transaction.rejected
        assert [(f.code, f.element) for f in transaction.findings] == [("unreadable_value", "B306")]


@pytest.mark.parametrize(("number", "element"), [(2, "B302"), (6, "B306"), (7, "B307")])
def test_mandatory_values(number, element):
    b3 = ["B3", "", "INV1", "SH1", "PP", "", "20261121", "12345", "", "", "", "NRDF"]
    b3[number] = ""
    transaction = one(GOOD.replace("B3**INV1*SH1*PP**20261121*12345****NRDF", "*".join(b3))).transactions[0]
    assert transaction.rejected
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [("error", "missing_value", element)]


def test_an_unreadable_date_that_is_not_needed_is_only_reported():
    data = GOOD.replace("12345****NRDF", "12345**2026X*035*NRDF", 1)
    transaction = one(data).transactions[0]
    assert transaction.document.delivery_date is None
    assert [(f.severity, f.element) for f in transaction.findings] == [("warning", "B309")]


def test_two_invoices_run_together_are_not_one():
    lines = GOOD.split("~\n")
    gone = [line for line in lines if not line.startswith(("SE*7*0001", "ST*210*0002"))]
    (transaction,) = one("~\n".join(gone)).transactions
    assert transaction.rejected
    assert "repeated_segment" in codes(transaction.findings)


def test_currency_is_c3_or_the_partners_or_unknown():
    silent = GOOD.replace("C3*USD~\n", "").replace("SE*7*", "SE*6*")
    assert [t.document.currency for t in one(GOOD).transactions] == ["USD", "USD"]
    assert [t.document.currency for t in one(silent).transactions] == [None, None]
    assert [t.document.currency for t in one(silent, PartnerProfile(default_currency="CAD")).transactions] == [
        "CAD"
    ] * 2
    assert one(GOOD.replace("C3*USD", "C3*12")).transactions[0].rejected


def test_charges_of_several_kinds_in_one_loop():
    body = [
        "N9*BM*BOL1", "LX*1", "N9*SI*SHA", "L5*1*PALLETS", "L0*1***1200*G***3*PLT", "L1*1***10000****400",
        "L1*1***-500****DSC****EARLY",
        "N1*CN*ACME", "N4*DENVER*CO*80201", "N9*PO*P9", "LX*2", "L11*SHB*SI", "L1*2*4.5*PH*2845****FUE",
        "L1*2*1.10*FR", "L3*1200*G***12345******3",
    ]  # fmt: skip
    transaction = first(body)
    document = transaction.document
    assert transaction.findings == []
    assert [(line.charge_code, line.description, line.amount) for line in document.lines] == [
        ("400", "PALLETS", Decimal("100.00")),
        ("DSC", "EARLY", Decimal("-5.00")),
        ("FUE", None, Decimal("28.45")),
        (None, None, None),
    ]
    assert [[r.value for r in g.references] for g in document.groups] == [["SHA", "P9"], ["SHB"]]
    assert [r.value for r in document.references] == ["BOL1"]
    assert document.groups[0].parties[0].postal_code == "80201"
    assert document.groups[0].quantities[0].weight == 1200
    assert (document.total_weight, document.total_pieces) == (1200, 3)


@pytest.mark.parametrize(
    ("segments", "descriptions"),
    [
        (["L5**LINEHAUL", "L1****10000****400", "L5**FUEL", "L1****2345****FUE"], ["LINEHAUL", "FUEL"]),
        (["L5*1*PALLETS", "L0*1***500*G", "L1*1***10000****400", "L1*1***2345****FUE"], ["PALLETS", None]),
        (["L5*1*PALLETS", "L5*2*FUEL", "L1*1***10000****400", "L1*2***2345****FUE"], ["PALLETS", "FUEL"]),
        (["L5*1*PALLETS", "L5*1*OF PAPER", "L1*1***10000****400", "L1*2***2345****FUE"], ["PALLETS OF PAPER", None]),
        (["L5*1*LINEHAUL", "L1****10000****400", "L5*2*FUEL", "L1****2345****FUE"], ["LINEHAUL", "FUEL"]),
        (["L5*2*FUEL", "L1*1***10000****400", "L5**LINEHAUL", "L1*2***2345****FUE"], [None, "FUEL"]),
        (["L5**LINEHAUL", "L1*1***10000****400", "L1*1***2345****FUE****FUEL"], ["LINEHAUL", "FUEL"]),
    ],
)
def test_a_text_describes_the_charge_that_it_stands_before(segments, descriptions):
    assert [line.description for line in first(["LX*1", *segments]).document.lines] == descriptions


def test_lines_that_do_not_sum():
    transaction = first(["LX*1", "L1*1***10000****400", "L3*****99"])
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [
        ("warning", "lines_do_not_sum", "B307"),
        ("warning", "lines_do_not_sum", "L305"),
    ]
    assert str(transaction.document.net_amount) == "123.45"
    assert str(transaction.document.lines_total) == "100.00"


def test_a_net_amount_that_no_line_explains():
    for lines in (["N9*BM*BOL1"], ["LX*1", "L1*1*4.5*PH"]):
        assert [(f.severity, f.code, f.element) for f in first(lines).findings] == [
            ("warning", "lines_do_not_sum", "B307")
        ]
        assert first(lines, net="0").findings == []


@pytest.mark.parametrize(
    ("one_segment", "again", "severity"),
    [
        ("L3*****12345", "L3*****12345", "warning"),
        ("L3*****1", "L3*****12345", "error"),
        ("C3*USD", "C3*USD", "warning"),
        ("C3*USD", "C3*CAD", "error"),
    ],
)
def test_a_currency_or_a_total_that_is_given_twice(one_segment, again, severity):
    lines = ["LX*1", "L1*1***12345****400"]
    body = [again, *lines] if again.startswith("C3") else [*lines, one_segment, again]
    transaction = first(body)
    (finding,) = [f for f in transaction.findings if f.code == "repeated_segment"]
    # ISA, GS, ST, B3, C3, then the other C3, or LX, L1, L3 and the other L3
    assert (finding.severity, finding.segment_index) == (severity, 6 if again.startswith("C3") else 9)
    assert transaction.rejected is (severity == "error")


# ------------------------------------------------------------------ 214, 990, 204


def status(*segments: str) -> Transaction:
    body = ["ST*214*0001", "B10*PRO1*SH1*NRDF", *segments]
    return one(file_of([[*body, f"SE*{len(body) + 1}*0001"]], functional="QM")).transactions[0]


def test_events_of_several_stops():
    transaction = status(
        "L11*BOL1*BM",
        "LX*1",
        "AT7*X3*NS***20261121*0800",
        "MS1*DALLAS*TX*US",
        "AT7*AF*NS***20261121*093015*CT",
        "MS1*FORT WORTH*TX",
        "L11*1*QN",
        "LX*2",
        "AT7***AA*NA*20261122*1000*ET",
        "AT7*AG****20261123",
        "L11*2*QN",
    )
    assert transaction.findings == []
    document = transaction.document
    assert isinstance(document, Status214)
    assert [(e.status, e.appointment_status, e.reason, e.city, e.stop_sequence) for e in document.events] == [
        ("X3", None, "NS", "DALLAS", 1),
        ("AF", None, "NS", "FORT WORTH", 1),
        (None, "AA", "NA", None, 2),
        ("AG", None, None, None, 2),
    ]
    assert [e.occurred_local.isoformat() if e.occurred_local else None for e in document.events] == [
        "2026-11-21T08:00:00",
        "2026-11-21T09:30:15",
        "2026-11-22T10:00:00",
        None,
    ]
    assert [e.occurred_at.isoformat() if e.occurred_at else None for e in document.events] == [
        None,
        "2026-11-21T09:30:15-06:00",
        "2026-11-22T10:00:00-05:00",
        None,
    ]


@pytest.mark.parametrize(
    ("code", "day", "offset"),
    [
        ("PT", "20260701", "-07:00"), ("PT", "20260101", "-08:00"), ("PS", "20260701", "-08:00"),
        ("ED", "20260701", "-04:00"),
        ("UT", "20260701", "+00:00"), ("NS", "20260701", "-03:30"), ("LT", "20260701", None), ("??", "20260701", None),
        ("ET", "20261101", None),
    ],
)  # fmt: skip
def test_offsets_only_where_the_code_settles_them(code, day, offset):
    # 01:30 on the first Sunday of November comes twice in New York
    event = status("LX*1", f"AT7*X1*NS***{day}*0130*{code}").document.events[0]
    assert event.occurred_local.tzinfo is None
    assert (event.occurred_at.isoformat()[-6:] if event.occurred_at else None) == offset


@pytest.mark.parametrize(
    ("at7", "code", "element"),
    [
        ("AT7*X1*NS***20261399*0800", "unreadable_value", "AT705"),
        ("AT7*X1*NS***20261121*2560", "unreadable_value", "AT706"),
        ("AT7*X1*NS***20261121*8", "unreadable_value", "AT706"),
        ("AT7**NS***20261121*0800", "missing_value", "AT701"),
    ],
)
def test_events_that_cannot_be_read(at7, code, element):
    transaction = status("LX*1", at7)
    assert transaction.rejected
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [("error", code, element)]


@pytest.mark.parametrize("sent", ["99991231", "00010101", "18991231", "22000101"])
def test_a_placeholder_is_no_date_of_an_event(sent):
    transaction = status("LX*1", f"AT7*AG*NS***{sent}*2359*ET")
    assert transaction.rejected
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [("error", "unreadable_value", "AT705")]


@pytest.mark.parametrize("sent", ["9" * 5000, "99999999999999", "1000000000", "A1"])
def test_a_stop_number_that_is_none_is_reported_and_left_out(sent):
    transaction = status("LX*1", "AT7*X1*NS***20261121*0800", f"L11*{sent}*QN")
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [("warning", "unreadable_value", "L1101")]
    assert transaction.document.events[0].stop_sequence is None
    assert status("LX*1", "AT7*X1*NS***20261121*0800", "L11*999999999*QN").document.events[0].stop_sequence == 999999999


def test_weights_and_counts_beyond_any_freight_are_reported_and_left_out():
    transaction = status("LX*1", "AT7*X1*NS***20261121*0800", "AT8*G*L*1000000000*1*999999999999")
    assert [(f.severity, f.code, f.element) for f in transaction.findings] == [
        ("warning", "unreadable_value", "AT803"),
        ("warning", "unreadable_value", "AT805"),
    ]
    weight = transaction.document.events[0].weight
    assert (weight.weight, weight.handling_units, weight.packages) == (None, 1, None)
    bill = first(["LX*1", "L1*1***12345****400", "L3*999999999999*G***12345"])
    assert [(f.severity, f.code, f.element) for f in bill.findings] == [("warning", "unreadable_value", "L301")]
    assert bill.document.total_weight is None


@pytest.mark.parametrize(
    ("spoilt", "code", "element"),
    [
        ("AT7*X1*NS***20260230*0900", "unreadable_value", "AT705"),
        ("AT7*X1*NS***20261121*2500", "unreadable_value", "AT706"),
        ("AT7*AG*NS***99991231*2400*ET", "unreadable_value", "AT706"),
        ("AT7*****20261121*0900", "missing_value", "AT701"),
    ],
)
def test_an_event_that_cannot_be_read_withholds_no_other(spoilt, code, element):
    transaction = status(
        "LX*1", "AT7*X3*NS***20261121*0800", "MS1*RENO*NV", spoilt, "MS1*TULSA*OK", "AT7*D1*NS***20261122*0900"
    )
    assert not transaction.rejected
    assert [(e.status, e.city) for e in transaction.document.events] == [("X3", "RENO"), ("D1", None)]
    (finding, *_) = transaction.findings
    assert (finding.severity, finding.code, finding.element) == ("error", code, element)
    # ISA, GS, ST, B10, LX, AT7, MS1, AT7
    (left_out,) = transaction.document.unreadable
    assert (left_out.segment_index, left_out.byte_offset) == (8, finding.byte_offset)
    assert left_out.raw == spoilt
    assert left_out.findings == [f for f in transaction.findings if f.severity == "error"]


def test_another_error_withholds_all_events():
    transaction = status("B10*PRO2*SH2*NRDF", "LX*1", "AT7*X3*NS***20261121*0800", "AT7*X1*NS***20261321*0800")
    assert transaction.rejected


@pytest.mark.parametrize("sent", ["2400", "240000", "24000000"])
def test_2400_is_midnight_at_the_end_of_the_day(sent):
    transaction = status("LX*1", f"AT7*X1*NS***20261231*{sent}*CT", f"AT7*D1*NS***20240228*{sent}")
    assert transaction.findings == []
    first_event, second = transaction.document.events
    assert first_event.occurred_at.isoformat() == "2027-01-01T00:00:00-06:00"
    assert second.occurred_local.isoformat() == "2024-02-29T00:00:00"
    transaction = status("LX*1", f"AT7*X1*NS****{sent}", "AT7*D1*NS***20240228*0900")
    assert [(f.code, f.element) for f in transaction.findings] == [
        ("missing_value", "AT705"),
        ("unreadable_value", "AT706"),
    ]


def test_status_and_appointment_together_are_reported():
    transaction = status("LX*1", "AT7*X1*NS*AA*NA*20261121*0800")
    assert [(f.severity, f.code) for f in transaction.findings] == [("warning", "conflicting_values")]
    assert transaction.document.events[0].appointment_status == "AA"


@pytest.mark.parametrize(
    ("answer", "version", "mapped", "decision"),
    [
        ("A", "004010", {}, "accepted"), ("D", "004010", {}, "declined"), ("D", "004040", {}, "cancelled"),
        ("E", "005010", {}, "declined"), ("E", "004010", {}, None), ("B", "004010", {}, "conditional"),
        ("C", "004010", {}, "countered"), ("N", "004010", {"Y": "accepted", "N": "declined"}, "declined"),
        ("A", "004010", {"Y": "accepted"}, None),
    ],
)  # fmt: skip
def test_answers_to_a_tender(answer, version, mapped, decision):
    body = ["ST*990*0001", f"B1*NRDF*SH1*20261122*{answer}", "N9*CN*PRO1", "SE*4*0001"]
    data = file_of([body], functional="GF").replace("X*004010", f"X*{version}")
    transaction = one(data, PartnerProfile(tender_responses=mapped)).transactions[0]
    document = transaction.document
    assert isinstance(document, TenderResponse990)
    assert (document.action_code, document.decision) == (answer, decision)
    assert codes(transaction.findings) == ([] if decision else ["unknown_code"])


def test_a_tender_with_stops_and_hazardous_goods():
    body = [
        "ST*204*0001", "B2**NRDF**SH1**PP", "B2A*04", "L11*BOL1*BM", "N7*NRDF*53001*********TF****5300",
        "S5*1*CL*1200*L*3*PLT", "L11*SO1*PO", "G62*37*20261121*I*0800*LT", "G62*38*20261121*K*1200*LT",
        "N1*SF*MILL*93*M1",
        "N3*1 ROAD", "N4*RUMFORD*ME*04276*US", "OID*SO1*PO1**PL*3*L*1200", "LAD*DR*4***L*800*******ACETONE",
        "LH1*DR*4*UN1090*******II",
        "LH2*3**FLAMMABLE", "LH3*ACETONE", "PER*HM*CHEMTREC*TE*18005550100", "S5*2*UL", "G62*53*20261123*G*0900",
        "S5*3*CU", "NTE**CALL FIRST", "L3*1200*G***55721",
    ]  # fmt: skip
    transaction = one(file_of([[*body, f"SE*{len(body) + 1}*0001"]], functional="SM")).transactions[0]
    assert transaction.findings == []
    load = transaction.document
    assert isinstance(load, LoadTender204)
    assert (load.purpose, load.shipment_id, str(load.total_charge)) == ("04", "SH1", "557.21")
    assert [(s.sequence, s.reason) for s in load.stops] == [(1, "CL"), (2, "UL"), (3, "CU")]
    (hazmat,) = load.stops[0].hazmat
    assert (hazmat.un_number, hazmat.hazard_class, hazmat.packing_group, hazmat.shipping_names) == (
        "UN1090",
        "3",
        "II",
        ["ACETONE"],
    )
    assert hazmat.emergency_phone == "18005550100"
    assert [g.kind for g in load.stops[0].goods] == ["OID", "LAD"]
    assert load.stops[2].notes == ["CALL FIRST"]
    assert [str(d.time) for d in load.stops[0].dates] == ["08:00:00", "12:00:00"]
    assert load.equipment[0].code == "TF"


# ------------------------------------------------------------------ hostile


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n\t ", "blanks"),
        (b"UNA:+.? 'UNB+UNOC:4'", "EDIFACT"),
        (b"InvoiceNo,Amount\n1,2\n", "nothing in the file starts"),
        (GOOD.encode("utf-16"), "UTF-16"),
        (gzip.compress(GOOD.encode()), "archive"),
        (GOOD.encode("cp037"), "EBCDIC"),
        (GOOD[GOOD.index("GS*") :].encode(), "its ISA is missing or damaged"),
        (GOOD[GOOD.index("ST*") :].encode(), "its ISA is missing"),
        (GOOD.replace("ISA*", "I5A*").encode(), "its ISA is missing or damaged"),
        (ISA[:80].encode(), "cut short or damaged"),
        (b"ISA", "nothing in the file starts"),
        (b"ISABELLA LOGISTICS VISA*", "nothing in the file starts"),
        (bytes(range(256)) * 50, "nothing in the file starts"),
    ],
)
def test_what_is_no_interchange_is_said_plainly(data, says):
    for source in (data, io.BytesIO(data)):
        with pytest.raises(NotX12Error, match=re.escape(says)):
            read(source)


def test_no_damage_crashes_it_and_findings_stay_in_the_file():
    draw = random.Random(20261122)
    base = (GOOD + GOOD.replace("*", "|").replace("~\n", "\n")).encode()
    for _ in range(1000):
        data = bytearray(base)
        for _ in range(draw.randint(1, 12)):
            at = draw.randrange(len(data))
            match draw.randrange(5):
                case 0:
                    data[at] = draw.randrange(256)
                case 1:
                    del data[at : at + draw.randint(1, 60)]
                case 2:
                    data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randint(1, 20)))
                case 3:
                    data[at:at] = draw.choice(
                        [b"ISA*", b"~SE*1*1~", b"~ST*210*7~", b"IEA*1*1~", b"\n", b"~~~", base[:150]]
                    )
                case _:
                    del data[at:]
            data = data or bytearray(b"x")
        try:
            items = list(read_stream(bytes(data)))
        except NotX12Error:
            continue
        # how the bytes arrive makes no difference
        assert list(read_stream(io.BytesIO(bytes(data)), block=draw.choice([1, 13, 300]))) == items
        for item in items:
            findings = [item] if isinstance(item, Finding) else item.findings
            for finding in findings:
                assert 0 <= finding.byte_offset <= len(data)
                assert finding.segment_index >= 0
            if isinstance(item, Transaction):
                assert (item.document is None) == any(f.severity == "error" for f in item.findings)
                if isinstance(item.document, Invoice210):
                    assert item.document.invoice_number


@pytest.mark.parametrize("block", [1, 13, 300, 1 << 20])
def test_an_isa_found_while_looking_ahead_is_not_lost(block):
    """A name that starts like an ISA makes the reader look ahead, past where another interchange really begins."""
    other = GOOD.replace("*", "|").replace("~\n", "\n")
    data = (GOOD[: GOOD.index("ST*210*0002")] + "ST*210*0002~\nN1*SH*VISA ISA" + other).encode()
    items = list(read_stream(io.BytesIO(data), block=block))
    interchanges = [i for i in items if isinstance(i, Interchange)]
    assert [i.envelope.byte_offset for i in interchanges[::2]] == [0, len(data) - len(other)]
    assert [t.rejected for t in items if isinstance(t, Transaction)] == [False, True, False, False]


def test_a_transaction_without_end_is_given_up_and_the_next_is_read():
    endless = ["ST*210*0001", "B3**INV1*SH1*PP**20261121*1****NRDF", *["N9*CN*" + "X" * 50] * 20_000]
    data = file_of([endless, invoice(2)]).encode()
    items = list(read_stream(io.BytesIO(data), max_transaction=100_000, block=4096))
    transactions = [i for i in items if isinstance(i, Transaction)]
    assert [(t.rejected, codes(t.findings)) for t in transactions] == [(True, ["too_large"]), (False, [])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "~\n"])
@pytest.mark.parametrize("blank", ["\n", "\r\n", " \n", "\r"])
def test_empty_lines_cost_time_in_proportion_to_their_number(end, blank):
    lines = file_of([invoice(1), invoice(2)], end=end)
    at = lines.index("C3*USD" + end) + len("C3*USD" + end)
    started = time.process_time()
    is_good(one(lines[:at] + blank * 200_000 + lines[at:]))
    assert time.process_time() - started < 5  # with each line looked at from each other one: an hour


def test_a_flood_of_findings_is_capped():
    interchange = one(GOOD.replace("GE*2", "NTE**x~\n" * 5000 + "GE*2"))
    assert len(interchange.findings) < 300
    transaction = first(["LX*1", *["L1*1*x**1****400"] * 5000])
    assert len(transaction.findings) < 300
