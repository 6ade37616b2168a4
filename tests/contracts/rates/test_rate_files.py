"""Rate files in, versions and rejects out: a version with a row that can't be read is not that version."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal

import pytest

from freightsync.formats.tabular import MappingError
from freightsync.systems.partners import senders
from freightsync.systems.rates.parse import LAYOUTS, mapping, parse_rates

LANE_HEADER = (
    "Rate ID,Version,Contract,OriginKind,OriginCountry,Origin,DestKind,DestCountry,Dest,Equipment,Class,Basis,Minimum,"
    "DiscountPercent,ValidFrom,ValidTo,From,Rate"
)


def parse(feed: str, *rows: str):  # type: ignore[no-untyped-def]
    (name,) = {kind.mapping for sender in senders() for kind in sender.files if kind.feed == feed}
    assert name is not None
    return parse_rates(("\r\n".join(rows) + "\r\n").encode(), feed=feed, mapping=mapping(feed, name))


def lane(rate_id: str, version: int, start: str, rate: str, valid_from: str = "2026-01-01", **more: str) -> str:
    kind = more.get("kind", "Postal")
    return f'{rate_id},{version},C1,{kind},us,"6 06",State,us,NY,van,92.5,per_cwt,110.00,,{valid_from},,{start},{rate}'


def test_every_rates_feed_has_a_sender_and_a_layout() -> None:
    pricing = next(sender for sender in senders() if sender.partner == "pricing")
    assert pricing.scac == ""
    assert {kind.feed for kind in pricing.files} == set(LAYOUTS)
    for kind in pricing.files:
        assert mapping(kind.feed, str(kind.mapping)).columns


def test_rows_of_a_version_are_one_record_with_its_breaks() -> None:
    parsed = parse(
        "rates.lane_rate",
        LANE_HEADER,
        lane("L1", 1, "0", "24.60"),
        lane("L1", 1, "500", "18.4025"),
        lane("L1", 2, "0", "25.00", "2026-04-01"),
    )
    assert not parsed.rejects
    assert parsed.units == 2
    first, second = parsed.records
    assert first.values == {
        "rate_id": "L1",
        "version": 1,
        "contract_id": "C1",
        "origin_kind": "postal",
        "origin_country": "US",
        "origin": "606",
        "destination_kind": "state",
        "destination_country": "US",
        "destination": "NY",
        "equipment": "VAN",
        "freight_class": Decimal("92.5"),
        "basis": "per_cwt",
        "minimum_charge": Decimal("110.00"),
        "discount_percent": None,
        "valid_from": dt.date(2026, 1, 1),
        "valid_to": None,
        "break_count": 2,
    }
    assert first.lines == [
        {"line": 1, "from_quantity": Decimal("0"), "rate": Decimal("24.60")},
        {"line": 2, "from_quantity": Decimal("500"), "rate": Decimal("18.4025")},
    ]
    assert first.position == "rows 2-3"
    assert (second.values["version"], second.values["break_count"]) == (2, 1)


@pytest.mark.parametrize(
    ("rows", "reason", "words"),
    [
        ([lane("L1", 1, "0", "1"), lane("L1", 1, "x", "1")], "unreadable_value", "row 3, From: 'x' is not a number"),
        (
            [lane("L1", 1, "0", "1"), lane("L1", 1, "5", "1", kind="zone")],
            "unreadable_value",
            "zone here, Postal in row 2",
        ),
        ([lane("L1", 1, "0", "1.23456")], "unreadable_value", "rate 1.23456 has more than 4 decimals"),
        ([lane("L1", 1, "0", "99999999999")], "unreadable_value", "has more than 10 digits before the point"),
        ([lane("L1", 99999999999, "0", "1")], "unreadable_value", "version 99999999999 is too large"),
    ],
)
def test_a_row_that_cannot_be_kept_spoils_its_version_only(rows: list[str], reason: str, words: str) -> None:
    parsed = parse("rates.lane_rate", LANE_HEADER, *rows, lane("L2", 1, "0", "5.00"))
    assert [record.values["rate_id"] for record in parsed.records] == ["L2"]
    assert [one.reasons for one in parsed.rejects] == [(reason,)]
    assert words in parsed.rejects[0].messages[0]
    assert parsed.rejects[0].natural_key in ("L1/1", "L1/99999999999")
    assert parsed.units == len(parsed.records) + len(parsed.rejects)


def test_a_version_whose_rows_stand_apart_is_refused_not_halved() -> None:
    parsed = parse(
        "rates.lane_rate", LANE_HEADER, lane("L1", 1, "0", "1"), lane("L2", 1, "0", "1"), lane("L1", 1, "500", "1")
    )
    assert [(one.natural_key, one.reasons) for one in parsed.rejects] == [("L1/1", ("rows_not_together",))]
    assert "sorted by rate_id and version" in parsed.rejects[0].messages[0]


CONTRACT_HEADER = "Contract,Version,Side,SCAC,Customer,Mode,Currency,DeficitWeight,FuelWeekday,ValidFrom"


def test_a_contract_says_yes_or_no() -> None:
    parsed = parse(
        "rates.contract",
        CONTRACT_HEADER,
        "C1,1,Buy,nrdf,,ltl,usd,yes,3,2026-01-01",
        "C2,1,sell,,C9,TL,USD,N,,2026-01-01",
        "C3,1,buy,NRDF,,LTL,USD,perhaps,,2026-01-01",
    )
    first, second = (record.values for record in parsed.records)
    assert (first["side"], first["scac"], first["mode"], first["rate_currency"]) == ("buy", "NRDF", "LTL", "USD")
    assert (first["deficit_weight"], second["deficit_weight"], first["fuel_weekday"]) == (True, False, 3)
    assert "discount_percent" in first  # a column that the file lacks is absent, not an error
    assert [(one.natural_key, one.messages[0]) for one in parsed.rejects] == [
        (
            "C3/1",
            "deficit_weight 'perhaps' is neither yes nor no: ask whoever made the file to correct and send it again",
        )
    ]


def test_a_publication_is_a_point_in_time() -> None:
    parsed = parse(
        "rates.fuel_price",
        "Index,Region,Week,Price,Published",
        "EIA,US,2026-03-09,3.99,2026-03-09T10:00:00-05:00",
        "EIA,US,2026-03-16,3.99,2026-03-16T10:00:00",
    )
    assert [record.values["published_at"].isoformat() for record in parsed.records] == ["2026-03-09T10:00:00-05:00"]
    assert [one.reasons for one in parsed.rejects] == [("unreadable_value",)]


def test_a_workbook_is_read_like_a_csv() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Fuel and class tables"])
    book.active.append(["Table", "Version", "Kind", "ValidFrom", "ValidTo", "From", "Value"])
    for start, value in ((0, 400), (22.5, 65)):
        book.active.append(["NMFC", 2, "class", dt.date(2025, 7, 19), None, start, value])
    stream = io.BytesIO()
    book.save(stream)
    layout = mapping("rates.band_table", "band_table.yaml")
    parsed = parse_rates(stream.getvalue(), feed="rates.band_table", mapping=layout)
    (record,) = parsed.records
    assert (record.values["table_id"], record.values["valid_from"]) == ("NMFC", dt.date(2025, 7, 19))
    assert [(line["from_value"], line["value"]) for line in record.lines] == [(0, 400), (Decimal("22.5"), 65)]


def test_a_layout_without_what_names_a_record_is_refused(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MappingError, match="needs the field"):
        mapping("rates.lane_rate", "contract.yaml")
    with pytest.raises(MappingError, match="no mapping"):
        mapping("rates.lane_rate", "nobody.yaml")


def test_another_table_is_one_unreadable_document() -> None:
    parsed = parse("rates.zone", "a,b", "1,2")
    assert parsed.unreadable is not None
    assert parsed.units == 0
