"""Carriers' files -> records and rejects: nothing received is lost, and nothing comes that can't be kept."""

from decimal import Decimal

import pytest

from freightsync.formats.x12 import PartnerProfile
from freightsync.systems.carrier_edi.parse import parse_file
from freightsync.systems.parsed import Parsed

ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*000000042*0*P*:"


def parsed(set_id: str, body: list[str], profile: PartnerProfile | None = None) -> Parsed:
    """One transaction in one file."""
    functional, feed = ("IM", "carrier.invoice_x12") if set_id == "210" else ("QM", "carrier.status_x12")
    segments = [ISA, f"GS*{functional}*NRDF*SHIPPER*20261122*0800*42*X*004010", f"ST*{set_id}*0001", *body]
    segments += [f"SE*{len(body) + 2}*0001", "GE*1*42", "IEA*1*000000042"]
    content = "".join(segment + "~\n" for segment in segments).encode()
    return parse_file(content, profile=profile or PartnerProfile(), scac="NRDF", name="f.edi", expected=feed)[feed]


def bill(*lines: str, net: str) -> list[str]:
    return [f"B3**INV1*SH1*PP**20261121*{net}****NRDF", "C3*USD", *lines]


@pytest.mark.parametrize(
    ("net", "charge"),
    [("1500.005", "1500.005"), ("1500.00", "1500.005"), ("1000000000000.00", "1.00"), ("1.00", "1000000000000.00")],
)
def test_money_that_no_books_can_hold_is_rejected_never_rounded(net, charge):
    found = parsed("210", bill("LX*1", f"L1*1***{charge}****400", net=net))
    assert (found.units, len(found.records), len(found.rejects)) == (1, 0, 1)
    (reject,) = found.rejects
    assert (reject.reasons, reject.natural_key) == (("unreadable_value",), "INV1")
    # the net amount is kept as it is, or it is unknown
    kept = Decimal(net) if net in ("1500.00", "1.00") else None
    assert reject.amount == kept
    assert found.totals == [("USD" if kept else None, 1, kept)]


def test_a_third_decimal_that_is_nought_is_no_fault():
    found = parsed("210", bill("LX*1", "L1*1***1500.000****400", net="1500.000"))
    assert [record.amount for record in found.records] == [Decimal("1500.00")]


def test_an_unreadable_bill_brings_no_money_that_no_books_can_hold():
    (reject,) = parsed("210", bill("LX*1", "L1*1***x****400", net="1500.005")).rejects
    assert (reject.natural_key, reject.amount, reject.currency) == ("INV1", None, None)


def test_a_weight_that_can_not_be_kept_rejects_its_bill():
    # 999,999,999 kg are more pounds than a weight can have, and so are two of 999,999,999 lb together
    for loads in (["L0*1***999999999*G****PLT**K"], ["L0*1***999999999*G"] * 2):
        found = parsed("210", bill("LX*1", *loads, "L1*1***10000****400", net="10000"))
        assert [reject.reasons for reject in found.rejects] == [("unreadable_value",)]
        assert found.totals == [("USD", 1, Decimal("100.00"))]


def test_each_event_that_can_not_be_read_is_one_reject_beside_those_that_can():
    events = ["AT7*X3*NS***20261121*0800", "AT7*X1*NS***20260230*2500", "AT7*****20261121*0900", "AT7*D1****20261122"]
    found = parsed("214", ["B10*PRO1*SH1*NRDF", "LX*1", *events])
    assert (found.units, found.totals) == (4, [(None, 4, None)])
    assert [record.values["status_code"] for record in found.records] == ["X3", "D1"]
    # ISA, GS, ST, B10, LX, AT7, AT7, AT7
    rejects = [(r.position.split(" byte")[0], r.reasons, r.natural_key, r.raw) for r in found.rejects]
    assert rejects == [
        ("segment 7", ("unreadable_value",), "f.edi#0001/7", events[1]),
        ("segment 8", ("unreadable_value",), "f.edi#0001/8", events[2]),
    ]
    assert "not a date: '20260230'" in found.rejects[0].messages[0]
    assert sorted(unit.ordinal for unit in (*found.records, *found.rejects)) == [1, 2, 3, 4]


def test_a_status_of_which_nothing_can_be_read_is_one_reject():
    found = parsed("214", ["B10*PRO1*SH1*NRDF", "LX*1", "AT7*X3*NS***20261321*0800", "AT7*X1*NS***20260230*0900"])
    assert (found.units, len(found.records), len(found.rejects)) == (1, 0, 1)
