"""E-invoices as they lie at the access point, read as XML and not with the writer's own reader; the rules of EN 16931
that each breaks are counted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from freightsync.formats import ubl
from freightsync.proof.books import money

CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
CAC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2}"
PROFILES = ("xrechnung", "peppol")
"""As a document's identifier of its specification names them; an XRechnung names the process of Peppol, too."""


def einvoices(directory: Path) -> dict[str, dict[str, object]]:
    """`order/shipment` → what the e-invoice says; two files of one document are one key with both their contents.
    Empty where nobody leaves any."""
    found: dict[str, dict[str, object]] = {}
    for file in sorted(directory.glob("*.xml")):
        content = file.read_bytes()
        root = ET.fromstring(content)

        def text(*path: str, root: ET.Element = root) -> str:
            return (root.findtext("/".join(path)) or "").strip()

        specification = text(f"{CBC}CustomizationID")
        invoice, structure = ubl.read(content)
        order = text(f"{CAC}OrderReference", f"{CBC}SalesOrderID")
        key = f"{order}/{text(f'{CAC}DespatchDocumentReference', f'{CBC}ID')}"
        says: dict[str, object] = {
            "type": text(f"{CBC}InvoiceTypeCode") or text(f"{CBC}CreditNoteTypeCode"),
            "profile": next((name for name in PROFILES if name in specification), specification),
            "buyer": text(*(f"{CAC}{name}" for name in _BUYER), f"{CBC}RegistrationName"),
            "currency": text(f"{CBC}DocumentCurrencyCode"),
            "net": money(text(f"{CAC}LegalMonetaryTotal", f"{CBC}TaxExclusiveAmount")),
            "tax": money(text(f"{CAC}TaxTotal", f"{CBC}TaxAmount")),
            "total": money(text(f"{CAC}LegalMonetaryTotal", f"{CBC}PayableAmount")),
            "broken_rules": len([*structure, *ubl.check(invoice)]),
        }
        if key in found:
            says = {name: [found[key][name], value] for name, value in says.items()}
        found[key] = says
    return found


_BUYER = ("AccountingCustomerParty", "Party", "PartyLegalEntity")
