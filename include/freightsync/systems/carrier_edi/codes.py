"""What carriers' X12 and EDIFACT say, and how we say it."""

from __future__ import annotations

from freightsync.systems.parsed import TRUNCATED_TRANSACTION, UNREADABLE_VALUE

STATUS_FEED = "carrier.status_x12"
INVOICE_FEED = "carrier.invoice_x12"
INVOIC_FEED = "carrier.invoice_edifact"
ANSWER_FEED = "carrier.edi_answer"
TENDER_FEED = "carrier.tender_response"

FEED_OF_SET = {
    "214": STATUS_FEED,
    "210": INVOICE_FEED,
    "997": ANSWER_FEED,
    "824": ANSWER_FEED,
    "990": TENDER_FEED,
}

CODE_SET = "x12_214"

BOL, PRO, PO, SHIPMENT = "BM", "CN", "PO", "SI"
"""Qualifiers of N9 and L11: bill of lading, carrier's reference (PRO), purchase order, shipper's number."""

INVOICE_NUMBER = "IK"
"""Qualifier of an 824's OTI: the invoice's number."""

APPLICATION_ERRORS = {
    "no_invoice_number": "007",
    "no_invoice_date": "007",
    "unknown_carrier": "011",
    "no_reference": "812",
    "unknown_charge_code": "848",
    "charge_without_amount": "007",
    "amount_out_of_range": "008",
    "lines_do_not_sum": "010",
    "tax_does_not_sum": "010",
    "line_taxes_do_not_sum": "010",
    "currency_missing": "007",
    "not_a_currency": "848",
    "finer_than_its_currency": "848",
}
"""Reason of the quarantine -> TED-01 of an 824: 007 missing data, 008 out of range, 010 total out of balance, 011 not
matching, 812 no reference, 848 incorrect data. Any other reason is 024, an unlisted one."""

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

INVOIC_KINDS = {
    **dict.fromkeys(("380", "385", "326", "388", "389", "393", "780", "82", "395"), ""),
    **dict.fromkeys(("381", "81", "83", "396", "261", "262"), "CR"),
    **dict.fromkeys(("383", "80", "84"), "BD"),
    "384": "RB",
}
"""BGM 1001 -> kind of bill: invoices (also consolidated, partial, self-billed, factored, freight); credit notes; debit
notes; a corrected invoice, which takes the place of the one it corrects (UN code list: revised information differing
from an earlier submission of the same invoice)."""

NO_BILLS = {"325": "a pro forma invoice", "386": "a prepayment invoice"}

INVOIC_FUNCTIONS = {"1": "CA", "5": "RB", "4": "RB"}
"""BGM 1225 -> kind of bill, before that of the document: cancellation, replace, change. A duplicate (7) or a copy
(31) is the same bill again."""

INVOIC_REFERENCES = {
    "SRN": "shipment_reference",
    "SI": "shipment_reference",
    "CU": "shipment_reference",
    "CR": "shipment_reference",
    "AAK": "shipment_reference",
    "CN": "pro_number",
    "AAM": "pro_number",
    "BM": "bol_number",
    "ON": "order_number",
    "IV": "corrects_number",
    "OI": "corrects_number",
}
"""RFF 1153 -> what it is on a bill; of two that mean the same, the first here. CN is the number that the carrier
gave the consignment, as the PRO is; SRN, SI, CU, CR and AAK are the shipper's."""

INVOIC_ORIGIN, INVOIC_DESTINATION = ("SF", "PW", "CZ"), ("ST", "DP", "CN", "UC")
INVOIC_PAYEES = ("PE", "RE")
INVOIC_SHIPPED = ("234", "200", "11", "186", "110")
"""DTM 2005: collection, actual collection, despatch, departure."""
SCAC_AGENCY = "182"
WEIGHT_CONTROLS = ("7", "26")
"""CNT 6069: total gross weight."""

REASONS = {"truncated_transaction": TRUNCATED_TRANSACTION, "truncated_message": TRUNCATED_TRANSACTION}
"""Code of an error finding -> reason of the quarantine; any other one is an unreadable value."""

TRUNCATED_WORDS = "it ends before its SE segment: the file was cut. Ask the carrier to send it again"
OTHER_WORDS = "ask the carrier to correct and send it again"


def reason_of(code: str, element: str | None) -> str:
    if code == "missing_value" and element in ("B302", "BGM02.1"):
        return NO_INVOICE_NUMBER
    return REASONS.get(code, UNREADABLE_VALUE)
