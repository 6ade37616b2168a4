"""Invoice files by mapping: numbers that landing can't keep reject their bill, never the file."""

from __future__ import annotations

from freightsync.systems.carrier_api.invoices import mapping, parse_invoices

HEADER = "InvoiceNo,InvoiceDate,WeightLb,ChargeCode,Amount,InvoiceTotal,Currency\r\n"


def test_numbers_beyond_what_is_kept_reject_their_bill_only() -> None:
    rows = [
        "B1,03/05/2026,1200,BASE,9.00,9.00,USD",
        "B2,03/05/2026,1000000000,BASE,9.00,9.00,USD",
        "B3,03/05/2026,1200,BASE,9000000000000000.00,1.00,USD",
        "B3,03/05/2026,1200,BASE,9000000000000000.00,1.00,USD",
    ]
    parsed = parse_invoices((HEADER + "\r\n".join(rows) + "\r\n").encode(), mapping=mapping("bluw.yaml"), scac="BLUW")
    assert [record.values["invoice_number"] for record in parsed.records] == ["B1"]
    assert [(one.natural_key, one.reasons) for one in parsed.rejects] == [
        ("B2", ("unreadable_value",)),
        ("B3", ("unreadable_value",)),
    ]
    assert "1000000000 lb" in parsed.rejects[0].messages[0]
    assert parsed.units == 3
