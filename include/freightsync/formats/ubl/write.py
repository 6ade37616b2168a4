"""Invoice -> UBL 2.1 bytes, elements in the order of the schema."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date
from decimal import Decimal

from freightsync.formats.ubl.model import AllowanceCharge, Delivery, Invoice, Line, Party, PaymentMeans, TaxSubtotal

CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
INVOICE = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
CREDIT_NOTE = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"


class _Node:
    """An element being filled. What is empty is left out."""

    def __init__(self, element: ET.Element, currency: str) -> None:
        self.element = element
        self.currency = currency

    def group(self, name: str) -> _Node:
        return _Node(ET.SubElement(self.element, f"{{{CAC}}}{name}"), self.currency)

    def text(self, tag: str, value: str, **attributes: str) -> None:
        if value:
            made = ET.SubElement(self.element, f"{{{CBC}}}{tag}", {k: v for k, v in attributes.items() if v})
            made.text = value

    def day(self, name: str, value: date | None) -> None:
        self.text(name, value.isoformat() if value is not None else "")

    def number(self, tag: str, value: Decimal | None, **attributes: str) -> None:
        self.text(tag, _plain(value), **attributes)

    def money(self, name: str, value: Decimal | None, currency: str = "") -> None:
        if value is not None:
            self.text(name, _money(value), currencyID=currency or self.currency)


def write(invoice: Invoice) -> bytes:
    """The document, UTF-8 with a declaration. It is written as it is, also where `check` would find something."""
    credit = invoice.is_credit_note
    space = CREDIT_NOTE if credit else INVOICE
    ET.register_namespace("cbc", CBC)
    ET.register_namespace("cac", CAC)
    root = ET.Element("CreditNote" if credit else "Invoice", {"xmlns": space})
    top = _Node(root, invoice.currency)
    top.text("CustomizationID", invoice.customization_id)
    top.text("ProfileID", invoice.profile_id)
    top.text("ID", invoice.number)
    top.day("IssueDate", invoice.issued_on)
    if credit:
        top.day("TaxPointDate", invoice.tax_point_on)
        top.text("CreditNoteTypeCode", invoice.type_code)
        top.text("Note", invoice.note)
    else:
        top.day("DueDate", invoice.due_on)
        top.text("InvoiceTypeCode", invoice.type_code)
        top.text("Note", invoice.note)
        top.day("TaxPointDate", invoice.tax_point_on)
    top.text("DocumentCurrencyCode", invoice.currency)
    top.text("TaxCurrencyCode", invoice.tax_currency)
    top.text("BuyerReference", invoice.buyer_reference)
    if invoice.has_period or invoice.period_start or invoice.period_end or invoice.tax_point_code:
        period = top.group("InvoicePeriod")
        period.day("StartDate", invoice.period_start)
        period.day("EndDate", invoice.period_end)
        period.text("DescriptionCode", invoice.tax_point_code)
    if invoice.order or invoice.sales_order:
        reference = top.group("OrderReference")
        # the schema wants an ID; NA is what the Peppol profile has for a sales order alone
        reference.text("ID", invoice.order or "NA")
        reference.text("SalesOrderID", invoice.sales_order)
    for earlier in invoice.preceding:
        document = top.group("BillingReference").group("InvoiceDocumentReference")
        document.text("ID", earlier.number)
        document.day("IssueDate", earlier.issued_on)
    for name, value in (
        ("DespatchDocumentReference", invoice.despatch),
        ("ReceiptDocumentReference", invoice.receipt),
        ("ContractDocumentReference", invoice.contract),
    ):
        if value:
            top.group(name).text("ID", value)
    for identifier, description in invoice.documents:
        document = top.group("AdditionalDocumentReference")
        document.text("ID", identifier)
        document.text("DocumentDescription", description)
    _party(top.group("AccountingSupplierParty").group("Party"), invoice.seller)
    _party(top.group("AccountingCustomerParty").group("Party"), invoice.buyer)
    if invoice.payee is not None:
        _payee(top.group("PayeeParty"), invoice.payee)
    if invoice.tax_representative is not None:
        _representative(top.group("TaxRepresentativeParty"), invoice.tax_representative)
    if invoice.delivery is not None:
        _delivery(top.group("Delivery"), invoice.delivery)
    for means in invoice.payment_means:
        _means(top.group("PaymentMeans"), means, invoice.due_on if credit else None)
    if invoice.payment_terms:
        top.group("PaymentTerms").text("Note", invoice.payment_terms)
    for part in invoice.allowances:
        _allowance(top.group("AllowanceCharge"), part, in_line=False)
    _tax_totals(top, invoice)
    _totals(top.group("LegalMonetaryTotal"), invoice)
    for line in invoice.lines:
        _line(top.group("CreditNoteLine" if credit else "InvoiceLine"), line, credit)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _money(value: Decimal) -> str:
    """At least two decimals; more are kept, for the checks to find."""
    exponent = value.as_tuple().exponent
    return f"{value:f}" if isinstance(exponent, int) and exponent < -2 else f"{value:.2f}"


def _plain(value: Decimal | None) -> str:
    if value is None:
        return ""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _party(node: _Node, party: Party) -> None:
    node.text("EndpointID", party.endpoint, schemeID=party.endpoint_scheme)
    for identifier, scheme in party.identifiers:
        node.group("PartyIdentification").text("ID", identifier, schemeID=scheme)
    if party.trading_name:
        node.group("PartyName").text("Name", party.trading_name)
    if party.has_address:
        _address(node.group("PostalAddress"), party)
    for number, scheme in ((party.tax_id, "VAT"), (party.tax_registration, "FC")):
        if number:
            tax = node.group("PartyTaxScheme")
            tax.text("CompanyID", number)
            tax.group("TaxScheme").text("ID", scheme)
    if party.name or party.legal_id:
        legal = node.group("PartyLegalEntity")
        legal.text("RegistrationName", party.name)
        legal.text("CompanyID", party.legal_id, schemeID=party.legal_id_scheme)
    if party.contact_name or party.contact_phone or party.contact_email:
        contact = node.group("Contact")
        contact.text("Name", party.contact_name)
        contact.text("Telephone", party.contact_phone)
        contact.text("ElectronicMail", party.contact_email)


def _payee(node: _Node, party: Party) -> None:
    for identifier, scheme in party.identifiers:
        node.group("PartyIdentification").text("ID", identifier, schemeID=scheme)
    if party.name:
        node.group("PartyName").text("Name", party.name)
    if party.legal_id:
        node.group("PartyLegalEntity").text("CompanyID", party.legal_id, schemeID=party.legal_id_scheme)


def _representative(node: _Node, party: Party) -> None:
    if party.name:
        node.group("PartyName").text("Name", party.name)
    if party.has_address:
        _address(node.group("PostalAddress"), party)
    if party.tax_id:
        tax = node.group("PartyTaxScheme")
        tax.text("CompanyID", party.tax_id)
        tax.group("TaxScheme").text("ID", "VAT")


def _address(node: _Node, place: Party | Delivery) -> None:
    node.text("StreetName", place.street)
    if isinstance(place, Party):
        node.text("AdditionalStreetName", place.additional_street)
    node.text("CityName", place.city)
    node.text("PostalZone", place.postal_code)
    node.text("CountrySubentity", place.region)
    if place.country:
        node.group("Country").text("IdentificationCode", place.country)


def _delivery(node: _Node, delivery: Delivery) -> None:
    node.day("ActualDeliveryDate", delivery.on)
    if delivery.location_id or delivery.has_address:
        location = node.group("DeliveryLocation")
        location.text("ID", delivery.location_id)
        if delivery.has_address:
            _address(location.group("Address"), delivery)
    if delivery.party_name:
        node.group("DeliveryParty").group("PartyName").text("Name", delivery.party_name)


def _means(node: _Node, means: PaymentMeans, due_on: date | None) -> None:
    node.text("PaymentMeansCode", means.code, name=means.text)
    node.day("PaymentDueDate", due_on)
    node.text("PaymentID", means.remittance)
    if means.card_number:
        card = node.group("CardAccount")
        card.text("PrimaryAccountNumberID", means.card_number)
        card.text("NetworkID", "NA")
    if means.has_account or means.account:
        account = node.group("PayeeFinancialAccount")
        account.text("ID", means.account)
        account.text("Name", means.account_name)
        if means.bic:
            account.group("FinancialInstitutionBranch").text("ID", means.bic)


def _category(node: _Node, category: str, rate: Decimal | None, reason_code: str = "", reason: str = "") -> None:
    node.text("ID", category)
    node.number("Percent", rate)
    node.text("TaxExemptionReasonCode", reason_code)
    node.text("TaxExemptionReason", reason)
    node.group("TaxScheme").text("ID", "VAT")


def _allowance(node: _Node, part: AllowanceCharge, *, in_line: bool) -> None:
    node.text("ChargeIndicator", "true" if part.is_charge else "false")
    node.text("AllowanceChargeReasonCode", part.reason_code)
    node.text("AllowanceChargeReason", part.reason)
    node.number("MultiplierFactorNumeric", part.percent)
    node.money("Amount", part.amount)
    node.money("BaseAmount", part.base)
    if not in_line and part.category:
        _category(node.group("TaxCategory"), part.category, part.rate)


def _tax_totals(top: _Node, invoice: Invoice) -> None:
    if invoice.totals.tax is not None or invoice.subtotals:
        node = top.group("TaxTotal")
        node.money("TaxAmount", invoice.totals.tax)
        for subtotal in invoice.subtotals:
            _subtotal(node.group("TaxSubtotal"), subtotal)
    if invoice.totals.tax_accounting is not None:
        top.group("TaxTotal").money("TaxAmount", invoice.totals.tax_accounting, invoice.tax_currency)


def _subtotal(node: _Node, subtotal: TaxSubtotal) -> None:
    node.money("TaxableAmount", subtotal.base)
    node.money("TaxAmount", subtotal.tax)
    _category(node.group("TaxCategory"), subtotal.category, subtotal.rate, subtotal.reason_code, subtotal.reason)


def _totals(node: _Node, invoice: Invoice) -> None:
    totals = invoice.totals
    for name, value in (
        ("LineExtensionAmount", totals.lines),
        ("TaxExclusiveAmount", totals.net),
        ("TaxInclusiveAmount", totals.gross),
        ("AllowanceTotalAmount", totals.allowances),
        ("ChargeTotalAmount", totals.charges),
        ("PrepaidAmount", totals.prepaid),
        ("PayableRoundingAmount", totals.rounding),
        ("PayableAmount", totals.payable),
    ):
        node.money(name, value)


def _line(node: _Node, line: Line, credit: bool) -> None:
    node.text("ID", line.line_id)
    node.text("Note", line.note)
    node.number("CreditedQuantity" if credit else "InvoicedQuantity", line.quantity, unitCode=line.unit)
    node.money("LineExtensionAmount", line.net)
    if line.has_period or line.period_start or line.period_end:
        period = node.group("InvoicePeriod")
        period.day("StartDate", line.period_start)
        period.day("EndDate", line.period_end)
    if line.order_line:
        node.group("OrderLineReference").text("LineID", line.order_line)
    for part in line.allowances:
        _allowance(node.group("AllowanceCharge"), part, in_line=True)
    item = node.group("Item")
    item.text("Description", line.description)
    item.text("Name", line.name)
    if line.seller_item_id:
        item.group("SellersItemIdentification").text("ID", line.seller_item_id)
    if line.standard_item_id:
        item.group("StandardItemIdentification").text("ID", line.standard_item_id, schemeID=line.standard_item_scheme)
    if line.classification:
        item.group("CommodityClassification").text(
            "ItemClassificationCode", line.classification, listID=line.classification_list
        )
    if line.category:
        _category(item.group("ClassifiedTaxCategory"), line.category, line.rate)
    for name, value in line.attributes:
        attribute = item.group("AdditionalItemProperty")
        attribute.text("Name", name)
        attribute.text("Value", value)
    if line.price is not None or line.gross_price is not None:
        price = node.group("Price")
        if line.price is not None:
            price.text("PriceAmount", _plain(line.price), currencyID=price.currency)
        price.number("BaseQuantity", line.price_base, unitCode=line.unit if line.price_base is not None else "")
        if line.gross_price is not None:
            reduction = price.group("AllowanceCharge")
            reduction.text("ChargeIndicator", "false")
            reduction.text("Amount", _plain(line.gross_price - (line.price or 0)), currencyID=price.currency)
            reduction.text("BaseAmount", _plain(line.gross_price), currencyID=price.currency)
