"""Every channel's bill through the gate: what is let in, what is not, and what the words say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from freightsync.landing.feeds import INVOICE_FEEDS
from freightsync.quality import gate
from freightsync.systems.bill import Bill, BillLine, keep
from freightsync.systems.parsed import Parsed, Record

from .conftest import put, rows, synchronise

D = Decimal
FEEDS = list(INVOICE_FEEDS)


def bill(number: str, **changes: Any) -> Bill:
    return Bill(
        **{
            "number": number,
            "invoice_on": dt.date(2026, 3, 10),
            "net_amount": D("100.00"),
            "currency": "USD",
            "scac": "NRDF",
            "shipment_reference": "SH1",
            "lines": [BillLine("400", D("90.00")), BillLine("FUE", D("10.00"))],
            **changes,
        }
    )


def gated(conn: Any, feed: str, *bills: Bill) -> dict[str, tuple[list[str], list[str]]]:
    """What went to quarantine: number -> reasons, messages."""
    parsed = Parsed()
    for one in bills:
        keep(one, parsed, feed=feed, scac="NRDF", position="", raw=lambda: "")
    assert parsed.rejects == []
    put(conn, feed, parsed, "nrdf")
    conn.commit()
    gate(conn, [feed], "g", great_expectations=False)
    conn.commit()
    unbalanced = rows(conn, "select * from ops.control_total_check where not balanced and gated")
    assert unbalanced == []
    return {
        key: (reasons, messages)
        for key, reasons, messages in rows(conn, "select natural_key, reasons, messages from quality.quarantine")
    }


@pytest.mark.parametrize("feed", FEEDS)
def test_the_same_rules_hold_whatever_the_channel(conn: Any, feed: str) -> None:
    synchronise(conn)
    held = gated(
        conn,
        feed,
        bill("good"),
        bill("taxed", tax_amount=D("19.00"), gross_amount=D("119.00")),
        bill("sum", net_amount=D("112.34")),
        bill("gross", tax_amount=D("19.00"), gross_amount=D("120.00")),
        bill("untaxed gross", gross_amount=D("100.01")),
        bill("rounded", tax_amount=D("0.03"), lines=[BillLine("400", D("50"), tax_amount=D("0.02"))] * 2),
        bill("taxes", tax_amount=D("9"), lines=[BillLine("400", D("50"), tax_amount=D("4.99"))] * 2),
        bill("no currency", currency=None),
        bill("contract", currency=None, scac="SAKU", lines=[BillLine("FUE", D("100"))]),
        bill(
            "half a yen",
            currency=None,
            scac="SAKU",
            net_amount=D("100.50"),
            lines=[BillLine("FUE", D("100.50"))],
        ),
        bill("by its order", shipment_reference=None, lines=[BillLine("400", D("100"), order_number="SO1")]),
        bill("nothing", shipment_reference=None),
    )
    assert {key: reasons for key, (reasons, _) in held.items()} == {
        "sum": ["lines_do_not_sum"],
        "gross": ["tax_does_not_sum"],
        "untaxed gross": ["tax_does_not_sum"],
        "taxes": ["line_taxes_do_not_sum"],
        "no currency": ["currency_missing"],
        "half a yen": ["finer_than_its_currency"],
        "nothing": ["no_reference"],
    }
    for shown in ("112.34", "100.00", "12.34"):
        assert shown in held["sum"][1][0]
    for shown in ("120.00", "100.00", "19.00", "1.00"):
        assert shown in held["gross"][1][0]
    assert "9.98" in held["taxes"][1][0]


def test_two_masters_of_one_code_that_disagree_are_no_contract_currency(conn: Any) -> None:
    synchronise(conn)
    parsed = Parsed()
    for number, (name, version, currency) in enumerate(
        [("K3", 1, "USD"), ("K4", 1, "CAD"), ("K4", 2, "USD"), ("K5", 1, "EUR")], 1
    ):
        values = {"carrier_id": name, "version": version, "scac": "TWOS" if name != "K5" else "ONE"}
        parsed.received()
        parsed.records.append(
            Record(
                number,
                "",
                {**values, "changed_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "carrier_currency": currency},
            )
        )
    parsed.received()
    parsed.records.append(
        Record(
            5,
            "",
            {
                "carrier_id": "K6",
                "version": 1,
                "scac": "ONE",
                "changed_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
                "carrier_currency": "USD",
            },
        )
    )
    put(conn, "erp.carrier", parsed)
    gate(conn, ["erp.carrier"], "m", great_expectations=False)
    conn.commit()
    lines = [BillLine("FUE", D("100"))]
    held = gated(
        conn,
        "carrier.invoice_api",
        bill("replaced by now", currency=None, scac="TWOS", lines=lines),
        bill("disagreeing", currency=None, scac="ONE", lines=lines),
    )
    assert {key: reasons for key, (reasons, _) in held.items()} == {"disagreeing": ["currency_missing"]}
