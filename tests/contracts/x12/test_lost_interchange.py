"""An interchange that can't be read is one unreadable unit of its file, whatever else the file holds."""

import datetime as dt
from decimal import Decimal

import pytest

from freightsync.formats.x12 import ChargeLine, Envelope, Invoice210, PartnerProfile, group_lines, write
from freightsync.systems.carrier_edi.parse import parse_file

BILL = Invoice210(
    "INV1", Decimal(5), dt.date(2026, 11, 21), "NRDF", "SH1", "USD", groups=group_lines([ChargeLine("400", Decimal(5))])
)
GOOD = write(Envelope("NRDF", "SHIPPER", 1, dt.datetime(2026, 11, 22, 8), "02"), [BILL])  # noqa: DTZ001


@pytest.mark.parametrize(
    "damaged", [GOOD.replace(b"ISA*", b"I?A*"), GOOD[:20] + GOOD[106:], GOOD.replace(b"*ZZ*SHIPPER        ", b"")]
)
def test_a_damaged_interchange_among_good_ones_is_counted(damaged):
    for content in (GOOD + damaged, damaged + GOOD):
        found = parse_file(
            content, profile=PartnerProfile(), scac="NRDF", name="210_1.edi", expected="carrier.invoice_x12"
        )["carrier.invoice_x12"]
        assert [broken.reason for broken in found.broken] == ["unreadable_interchange"]
        assert len(found.records) == 1
