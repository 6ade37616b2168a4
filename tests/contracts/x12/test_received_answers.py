"""What carriers answer to us: bytes in, records by feed out, with the reader's own count."""

from __future__ import annotations

from freightsync.formats.x12 import PartnerProfile
from freightsync.systems.carrier_edi.parse import parse_file

ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*000000042*0*P*:"


def parsed(*groups: tuple[str, str, str], version: str = "004010"):
    """groups: functional id, set, its segments."""
    segments = [ISA]
    for n, (functional_id, set_id, body) in enumerate(groups, 1):
        lines = body.split("\n")
        segments += [
            f"GS*{functional_id}*NRDF*SHIPPER*20261122*0800*{n}*X*{version}",
            f"ST*{set_id}*0001",
            *lines,
            f"SE*{len(lines) + 2}*0001",
            f"GE*1*{n}",
        ]
    content = "".join(segment + "~\n" for segment in [*segments, f"IEA*{len(groups)}*000000042"]).encode()
    return parse_file(content, profile=PartnerProfile(), scac="NRDF", name="f", expected="carrier.edi_answer")


def test_each_answered_transaction_is_a_unit() -> None:
    found = parsed(
        ("FA", "997", "AK1*AG*7\nAK2*824*0001\nAK5*A\nAK2*824*0002\nAK3*OTI*4**8\nAK5*R*5\nAK9*P*2*2*1"),
        ("FA", "997", "AK1*SM*9\nAK9*A*1*1*1"),
        ("AG", "824", "BGN*00*55*20261122\nOTI*TR*IK*N1*****7*0001*210\nTED*010*lines do not sum\nNTE**200 is not 150"),
    )["carrier.edi_answer"]
    assert found.rejects == []
    assert found.units == len(found.records) == 4
    names = ("kind", "functional_id", "group_control_number", "set_id", "control_number", "reference", "code", "errors")
    assert [tuple(record.values.get(name) for name in names) for record in found.records] == [
        ("997", "AG", "7", "824", "0001", None, "A", None),
        ("997", "AG", "7", "824", "0002", None, "R", ["5", "OTI 4 8"]),
        ("997", "SM", "9", None, None, None, "A", None),
        ("824", None, "7", "210", "0001", "N1", "TR", ["010 lines do not sum 200 is not 150"]),
    ]


def test_a_tender_is_answered_by_what_its_code_means_in_its_release() -> None:
    answer = ("GF", "990", "B1*NRDF*SH1*20261122*D\nN9*CN*P77\nK1*no truck")
    for version, decision in (("004010", "declined"), ("005010", "cancelled")):
        found = parsed(answer, version=version)["carrier.tender_response"]
        (record,) = found.records
        assert (found.units, record.values["decision"], record.values["action_code"]) == (1, decision, "D")
        assert record.values["shipment_id"] == "SH1"
        assert record.values["pro_number"] == "P77"
        assert record.values["note"] == "no truck"
        assert record.values["responded_on"].isoformat() == "2026-11-22"
    # an answer without a load can't be read, and is counted
    found = parsed(("GF", "990", "B1*NRDF**20261122*A"))["carrier.tender_response"]
    assert (found.units, len(found.records), len(found.rejects)) == (1, 0, 1)
