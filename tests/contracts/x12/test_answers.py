"""What carriers get back for their EDI: 997 and CONTRL by what could be read, 824 by what the gate found. Segments as
written, compared by hand."""

from __future__ import annotations

from typing import Any

import pytest

from freightsync.domain.errors import PartnerUnavailable, PermanentError
from freightsync.domain.outbox import OutboxMessage
from freightsync.formats import edifact
from freightsync.systems.carrier_edi.outbound import NOTHING, CarrierEdiSender, Sender, plain
from freightsync.systems.partners import carriers

NRDF = next(one for one in carriers() if one.scac == "NRDF")
KEY = "01890a5d-ac96-774b-bcce-b302099a8057"  # 2023-06-30 03:34:18 UTC
ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*{n:09d}*0*P*:"


def sound(number: str, net: str = "150000", control: str = "0001") -> list[str]:
    body = [f"B3**{number}*SH1*PP**20261121*{net}****NRDF", "C3*USD", "LX*1", "L1*1***150000****400"]
    return [f"ST*210*{control}", *body, f"SE*{len(body) + 2}*{control}"]


def file(*transactions: list[str], n: int = 42, group: str = "IM") -> bytes:
    segments = [ISA.format(n=n), f"GS*{group}*NRDF*SHIPPER*20261122*0800*7*X*004010"]
    segments += [segment for one in transactions for segment in one]
    segments += [f"GE*{len(transactions)}*7", f"IEA*1*{n:09d}"]
    return "".join(segment + "~\n" for segment in segments).encode()


class Place:
    """A carrier's outbound directory, its documents in landing, and its sequence of control numbers."""

    def __init__(self, content: bytes) -> None:
        self.content, self.files, self.given, self.away = content, dict[str, bytes](), dict[int, int](), False
        self.sender = CarrierEdiSender({"nrdf": NRDF}, lambda _: self.content, self.number, self.put)

    def number(self, message: OutboxMessage, count: int) -> int:
        return self.given.setdefault(message.outbox_id, 17 + 10 * len(self.given))

    def put(self, partner: Sender, name: str, content: bytes) -> None:
        if self.away:
            raise PartnerUnavailable("no connection")
        self.files[name] = content

    def send(self, operation: str, outbox_id: int = 1, **payload: Any) -> str:
        given = {"document_id": 5, "partner": "nrdf", "name": "210_1.edi", **payload}
        message = OutboxMessage(
            outbox_id, KEY, "carrier_edi", operation, "edi_document", "read:5", "bulk", None, given, 1
        )
        (outcome,) = self.sender.send([message])
        assert outcome.verdict == "accepted"
        return outcome.reference

    def segments(self, name: str) -> list[str]:
        return self.files[name].decode().replace("\n", "").split("~")[:-1]


def test_every_interchange_is_answered_to_whoever_sent_it() -> None:
    cut = ["ST*210*0002", "B3**N2*SH1*PP**20261121*x****NRDF", "SE*3*0002"]
    place = Place(file(sound("N1"), cut) + file(sound("N3"), n=43))
    assert place.send("acknowledgement") == "997_000000017.edi"
    assert list(place.files) == ["997_000000017.edi"]
    segments = place.segments("997_000000017.edi")
    # two interchanges, each to NRDF, under numbers of its own sequence
    isas = [one for one in segments if one.startswith("ISA")]
    expected = "ISA*00*          *00*          *ZZ*SHIPPER        *02*NRDF           *230630*0334*U*00401*"
    assert isas == [f"{expected}000000017*0*P*:", f"{expected}000000018*0*P*:"]
    first, second = segments[: segments.index(isas[1])], segments[segments.index(isas[1]) :]
    assert first[1] == "GS*FA*SHIPPER*NRDF*20230630*0334*17*X*004010"
    assert first[2:5] == ["ST*997*0001", "AK1*IM*7", "AK2*210*0001"]
    assert "AK5*A" in first
    assert any(one.startswith("AK5*R") for one in first)
    assert "AK9*P*2*2*1" in first
    assert [one for one in second if one.startswith("AK")] == ["AK1*IM*7", "AK2*210*0001", "AK5*A", "AK9*A*1*1*1"]


def test_the_same_message_is_the_same_file_at_every_attempt() -> None:
    place = Place(file(sound("N1")))
    place.away = True
    with pytest.raises(PartnerUnavailable):
        place.send("acknowledgement")
    place.away = False
    place.send("acknowledgement")
    before = dict(place.files)
    place.send("acknowledgement")
    assert place.files == before
    assert place.send("acknowledgement", outbox_id=2) == "997_000000027.edi"


def test_acknowledgements_and_what_has_no_sure_sender_are_not_answered() -> None:
    answer = ["ST*997*0001", "AK1*SM*1", "AK9*A*1*1*1", "SE*4*0001"]
    assert Place(file(answer, group="FA")).send("acknowledgement") == NOTHING
    broken = file(sound("N1")).replace(b"ISA*00*          *00*", b"ISA*00*00*")
    assert Place(broken).send("acknowledgement") == NOTHING
    stranger = OutboxMessage(1, KEY, "carrier_edi", "advice", "x", "y", "bulk", None, {"partner": "nobody"}, 1)
    (outcome,) = Place(b"").sender.send([stranger])
    assert outcome.verdict == "refused"


def test_a_bill_that_waits_is_rejected_with_its_reasons() -> None:
    content = file(sound("N1"), sound("N 2*"[:3], "160000", "0002"))
    place = Place(content)
    at = content.index(b"ST*210*0002")
    words = (
        "Invoice N 2 of NRDF is for 1600.00, its lines sum to 1500.00: ask the carrier to send it again, with lines"
        " that sum to the total~*; nothing of it is paid meanwhile."
    )
    name = place.send(
        "advice",
        position=f"segment 8 byte {at}",
        invoice_number="N 2",
        reasons=["lines_do_not_sum", "no_reference", "something_new"],
        messages=[words, "It names nothing", "?"],
    )
    assert name == "824_000000017.edi"
    assert place.segments(name)[2:-2] == [
        "ST*824*0001",
        "BGN*00*000000017*20230630*033418",
        "OTI*TR*IK*N 2*****7*0002*210",
        "TED*010*lines do not sum",
        "NTE*ERR*Invoice N 2 of NRDF is for 1600.00, its lines sum to 1500.00 ask the carrier to",
        "NTE*ERR*send it again, with lines that sum to the total nothing of it is paid meanwhile.",
        "TED*812*no reference",
        "NTE*ERR*It names nothing",
        "TED*024*something new",
        "SE*10*0001",
    ]
    with pytest.raises(PermanentError, match="no transaction at segment 1 byte 1"):
        place.send("advice", position="segment 1 byte 1", invoice_number="N", reasons=[], messages=[])
    assert plain("a\x00b é~", 3) == "a b"


def test_an_edifact_interchange_is_answered_by_a_contrl() -> None:
    content = (
        b"UNA:+.? 'UNB+UNOC:3+CARRIER:14+SHIPPER:14+260310:0800+77'UNH+1+INVOIC:D:96A:UN'BGM+380+R1+9'"
        b"DTM+137:20260310:102'CUX+2:EUR:4'LIN+1'MOA+203:10'UNS+S'MOA+79:10'MOA+77:10'UNT+10+1'UNZ+1+77'"
    )
    place = Place(content)
    name = place.send("acknowledgement")
    assert name == "contrl_000000017.edi"
    (interchange,) = edifact.read(place.files[name]).interchanges
    assert (interchange.sender, interchange.receiver, interchange.control_number) == ("SHIPPER", "CARRIER", "17")
    (message,) = interchange.messages
    assert isinstance(message.document, edifact.Control)
    assert message.document.control_number == "77"
    assert [one.message_type for one in message.document.messages] == ["INVOIC"]


def test_our_own_bill_is_a_table_of_what_it_posted() -> None:
    """The payable of 104.00 and what a later plan takes back of it, charge by charge; the accrual is none of theirs."""
    posted = {
        "currency": "USD",
        "lines": [
            {**line, "invoice_number": "SB-S1", "invoice_on": "2026-11-16", "shipment_id": "S1"}
            for line in (
                {"charge_code": "LINEHAUL", "amount": "104.00", "reverses": False},
                {"charge_code": "LINEHAUL", "amount": "4.00", "reverses": True},
                {"charge_code": "FUEL", "amount": "20.10", "reverses": False},
            )
        ],
    }
    place = Place(b"")
    place.sender = CarrierEdiSender({"nrdf": NRDF}, lambda _: b"", place.number, place.put, lambda _: posted)
    name = place.send("self_bill", 77, scac="NRDF", bill_number="SB-S1", journal_id="j")
    assert name == "self_bill_SB-S1_77.csv"
    assert place.files[name].decode().splitlines() == [
        "Document,Date,Shipment,Charge,Amount,Currency",
        "SB-S1,2026-11-16,S1,FUEL,20.10,USD",
        "SB-S1,2026-11-16,S1,LINEHAUL,100.00,USD",
    ]


def test_a_carrier_without_a_directory_is_not_passed_over() -> None:
    place = Place(b"")
    payload = {"scac": "GONE", "bill_number": "SB-1", "journal_id": "j"}
    message = OutboxMessage(1, KEY, "carrier_edi", "self_bill", "carrier_invoice", "SELF:1", "bulk", None, payload, 1)
    (outcome,) = place.sender.send([message])
    assert outcome.verdict == "refused"
    assert "GONE has no directory" in outcome.message
    assert outcome.what_to_do
