"""EN 16931 invoices and credit notes in UBL 2.1: written, read, and checked by rules of our own words.

    write(invoice)       -> bytes, the same for the same invoice
    read(content)        -> (Invoice, findings of structure)
    check(invoice)       -> findings by the rule ids of the standard
    with_totals(invoice) -> the invoice with its VAT breakdown and totals, rounded as the standard has it

Names and BT numbers are those of EN 16931-1 (semantic model) and its UBL binding, CEN/TS 16931-3-2.
"""

from freightsync.formats.ubl.check import RULES, Finding, check
from freightsync.formats.ubl.model import (
    AllowanceCharge,
    Delivery,
    Invoice,
    Line,
    Party,
    PaymentMeans,
    Preceding,
    TaxSubtotal,
    Totals,
    with_totals,
)
from freightsync.formats.ubl.read import Unreadable, read
from freightsync.formats.ubl.write import write

__all__ = [
    "RULES",
    "AllowanceCharge",
    "Delivery",
    "Finding",
    "Invoice",
    "Line",
    "Party",
    "PaymentMeans",
    "Preceding",
    "TaxSubtotal",
    "Totals",
    "Unreadable",
    "check",
    "read",
    "with_totals",
    "write",
]
