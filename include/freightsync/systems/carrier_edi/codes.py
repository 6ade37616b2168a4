"""What carriers' X12 says, and how we say it."""

from __future__ import annotations

from freightsync.systems.parsed import TRUNCATED_TRANSACTION, UNREADABLE_VALUE

STATUS_FEED = "carrier.status_x12"
INVOICE_FEED = "carrier.invoice_x12"

FEED_OF_SET = {"214": STATUS_FEED, "210": INVOICE_FEED}

CODE_SET = "x12_214"

BOL, PRO, PO, SHIPMENT = "BM", "CN", "PO", "SI"
"""Qualifiers of N9 and L11: bill of lading, carrier's reference (PRO), purchase order, shipper's number."""

CORRECTED = ("OI", "IV")
"""Qualifiers of N9 and L11: the original invoice's number, the seller's invoice number."""

CARRIER_ROLES, PAYEE_ROLES = ("CA", "SE"), ("PE", "RE")
"""N1-01: the carrier or the seller; the payee, or who receives the remittance."""

ORIGIN_ROLES, DESTINATION_ROLES = ("SH", "SF"), ("CN", "ST")
"""N1-01: shipper or ship-from, consignee or ship-to."""

SHIPPED_DATES = ("11", "86")
"""G62-01: shipped, actual pickup."""

POUNDS_PER_KILOGRAM = "2.20462262"

NO_INVOICE_NUMBER = "no_invoice_number"

REASONS = {"truncated_transaction": TRUNCATED_TRANSACTION}
"""Code of an error finding -> reason of the quarantine; any other one is an unreadable value."""

TRUNCATED_WORDS = "it ends before its SE segment: the file was cut. Ask the carrier to send it again"
OTHER_WORDS = "ask the carrier to correct and send it again"


def reason_of(code: str, element: str | None) -> str:
    if code == "missing_value" and element == "B302":
        return NO_INVOICE_NUMBER
    return REASONS.get(code, UNREADABLE_VALUE)
