"""UBL 2.1 bytes -> Invoice, with what is wrong with their structure. What an invoice may not lack is for `check`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import xml.parsers.expat as expat
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from freightsync.formats.ubl.check import Finding
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
)
from freightsync.formats.ubl.write import CAC, CBC, CREDIT_NOTE, INVOICE

NAMES = {"cbc": CBC, "cac": CAC}


class Unreadable(ValueError):
    """Bytes that are no UBL invoice or credit note; the message says why."""


class _Reader:
    """Reads below one element; values that can't be read become findings named by their path."""

    def __init__(self, element: ET.Element | None, path: str, findings: list[Finding]) -> None:
        self.element = element
        self.path = path
        self.findings = findings

    def __bool__(self) -> bool:
        return self.element is not None

    def find(self, path: str) -> _Reader:
        found = None if self.element is None else self.element.find(path, NAMES)
        return _Reader(found, f"{self.path}/{path}", self.findings)

    def all(self, path: str) -> list[_Reader]:
        found = [] if self.element is None else self.element.findall(path, NAMES)
        return [_Reader(one, f"{self.path}/{path}[{n}]", self.findings) for n, one in enumerate(found, 1)]

    def text(self, path: str) -> str:
        found = None if self.element is None else self.element.find(path, NAMES)
        return "" if found is None or found.text is None else found.text.strip()

    def attribute(self, path: str, name: str) -> str:
        found = None if self.element is None else self.element.find(path, NAMES)
        return "" if found is None else found.get(name, "")

    def day(self, path: str) -> date | None:
        value = self.text(path)
        if not value:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            self._wrong(path, value, "a day as YYYY-MM-DD")
            return None

    def number(self, path: str) -> Decimal | None:
        value = self.text(path)
        if not value:
            return None
        try:
            number = Decimal(value)
            if not number.is_finite():
                raise InvalidOperation
        except InvalidOperation:
            self._wrong(path, value, "a decimal number")
            return None
        return number

    def _wrong(self, path: str, value: str, needed: str) -> None:
        self.findings.append(Finding("structure", f"{self.path}/{path}", f"{value[:60]!r} is not {needed}"))


def read(content: bytes) -> tuple[Invoice, list[Finding]]:
    """Raises Unreadable where the bytes are no well-formed UBL invoice. Documents with a DTD are refused: they need
    none, and it can be a bomb."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
        root = ET.fromstring(content)
    except (expat.ExpatError, ET.ParseError, ValueError) as error:
        raise Unreadable(f"not well-formed XML: {error}") from error
    credit = root.tag == f"{{{CREDIT_NOTE}}}CreditNote"
    if not credit and root.tag != f"{{{INVOICE}}}Invoice":
        raise Unreadable(f"the root is {root.tag}, neither a UBL 2.1 Invoice nor a CreditNote")
    findings: list[Finding] = []
    top = _Reader(root, root.tag.rsplit("}", 1)[1], findings)
    currency = top.text("cbc:DocumentCurrencyCode")
    tax_currency = top.text("cbc:TaxCurrencyCode")
    taxes = [(one, one.attribute("cbc:TaxAmount", "currencyID")) for one in top.all("cac:TaxTotal")]
    own = next((one for one, code in taxes if code == currency), _Reader(None, "", findings))
    other = next((one for one, code in taxes if code != currency and code == tax_currency), None)
    money = top.find("cac:LegalMonetaryTotal")
    means = top.all("cac:PaymentMeans")
    order = top.text("cac:OrderReference/cbc:ID")
    return Invoice(
        number=top.text("cbc:ID"),
        issued_on=top.day("cbc:IssueDate"),
        type_code=top.text("cbc:CreditNoteTypeCode" if credit else "cbc:InvoiceTypeCode"),
        currency=currency,
        tax_currency=tax_currency,
        customization_id=top.text("cbc:CustomizationID"),
        profile_id=top.text("cbc:ProfileID"),
        due_on=top.day("cbc:DueDate") if not credit else next((m.day("cbc:PaymentDueDate") for m in means), None),
        tax_point_on=top.day("cbc:TaxPointDate"),
        tax_point_code=top.text("cac:InvoicePeriod/cbc:DescriptionCode"),
        note=top.text("cbc:Note"),
        buyer_reference=top.text("cbc:BuyerReference"),
        order="" if order == "NA" else order,
        sales_order=top.text("cac:OrderReference/cbc:SalesOrderID"),
        despatch=top.text("cac:DespatchDocumentReference/cbc:ID"),
        receipt=top.text("cac:ReceiptDocumentReference/cbc:ID"),
        contract=top.text("cac:ContractDocumentReference/cbc:ID"),
        preceding=tuple(
            Preceding(
                one.text("cac:InvoiceDocumentReference/cbc:ID"), one.day("cac:InvoiceDocumentReference/cbc:IssueDate")
            )
            for one in top.all("cac:BillingReference")
        ),
        documents=tuple(
            (one.text("cbc:ID"), one.text("cbc:DocumentDescription"))
            for one in top.all("cac:AdditionalDocumentReference")
        ),
        period_start=top.day("cac:InvoicePeriod/cbc:StartDate"),
        period_end=top.day("cac:InvoicePeriod/cbc:EndDate"),
        has_period=bool(top.find("cac:InvoicePeriod")) and not top.text("cac:InvoicePeriod/cbc:DescriptionCode"),
        seller=_party(top.find("cac:AccountingSupplierParty/cac:Party")),
        buyer=_party(top.find("cac:AccountingCustomerParty/cac:Party")),
        payee=_payee(top.find("cac:PayeeParty")),
        tax_representative=_representative(top.find("cac:TaxRepresentativeParty")),
        delivery=_delivery(top.find("cac:Delivery")),
        payment_means=tuple(_means(one) for one in means),
        payment_terms=top.text("cac:PaymentTerms/cbc:Note"),
        allowances=tuple(_allowance(one) for one in top.all("cac:AllowanceCharge")),
        subtotals=tuple(_subtotal(one) for one in own.all("cac:TaxSubtotal")),
        totals=Totals(
            lines=money.number("cbc:LineExtensionAmount"),
            allowances=money.number("cbc:AllowanceTotalAmount"),
            charges=money.number("cbc:ChargeTotalAmount"),
            net=money.number("cbc:TaxExclusiveAmount"),
            tax=own.number("cbc:TaxAmount"),
            tax_accounting=None if other is None else other.number("cbc:TaxAmount"),
            gross=money.number("cbc:TaxInclusiveAmount"),
            prepaid=money.number("cbc:PrepaidAmount"),
            rounding=money.number("cbc:PayableRoundingAmount"),
            payable=money.number("cbc:PayableAmount"),
        ),
        lines=tuple(_line(one, credit) for one in top.all("cac:CreditNoteLine" if credit else "cac:InvoiceLine")),
    ), findings


def _refuse_doctype(*_: object) -> None:
    raise ValueError("the document has a DTD, which an invoice does not need")


def _party(node: _Reader) -> Party:
    schemes = {
        one.text("cac:TaxScheme/cbc:ID") == "VAT": one.text("cbc:CompanyID") for one in node.all("cac:PartyTaxScheme")
    }
    return Party(
        name=node.text("cac:PartyLegalEntity/cbc:RegistrationName"),
        trading_name=node.text("cac:PartyName/cbc:Name"),
        identifiers=_identifiers(node),
        legal_id=node.text("cac:PartyLegalEntity/cbc:CompanyID"),
        legal_id_scheme=node.attribute("cac:PartyLegalEntity/cbc:CompanyID", "schemeID"),
        tax_id=schemes.get(True, ""),
        tax_registration=schemes.get(False, ""),
        endpoint=node.text("cbc:EndpointID"),
        endpoint_scheme=node.attribute("cbc:EndpointID", "schemeID"),
        contact_name=node.text("cac:Contact/cbc:Name"),
        contact_phone=node.text("cac:Contact/cbc:Telephone"),
        contact_email=node.text("cac:Contact/cbc:ElectronicMail"),
        **_address(node.find("cac:PostalAddress")),
    )


def _identifiers(node: _Reader) -> tuple[tuple[str, str], ...]:
    return tuple(
        (one.text("cbc:ID"), one.attribute("cbc:ID", "schemeID")) for one in node.all("cac:PartyIdentification")
    )


def _payee(node: _Reader) -> Party | None:
    if not node:
        return None
    return Party(
        name=node.text("cac:PartyName/cbc:Name"),
        identifiers=_identifiers(node),
        legal_id=node.text("cac:PartyLegalEntity/cbc:CompanyID"),
        legal_id_scheme=node.attribute("cac:PartyLegalEntity/cbc:CompanyID", "schemeID"),
    )


def _representative(node: _Reader) -> Party | None:
    if not node:
        return None
    return Party(
        name=node.text("cac:PartyName/cbc:Name"),
        tax_id=node.text("cac:PartyTaxScheme/cbc:CompanyID"),
        **_address(node.find("cac:PostalAddress")),
    )


def _address(node: _Reader) -> dict[str, Any]:
    return {
        "street": node.text("cbc:StreetName"),
        "additional_street": node.text("cbc:AdditionalStreetName"),
        "city": node.text("cbc:CityName"),
        "postal_code": node.text("cbc:PostalZone"),
        "region": node.text("cbc:CountrySubentity"),
        "country": node.text("cac:Country/cbc:IdentificationCode"),
    }


def _delivery(node: _Reader) -> Delivery | None:
    if not node:
        return None
    address = _address(node.find("cac:DeliveryLocation/cac:Address"))
    del address["additional_street"]
    return Delivery(
        party_name=node.text("cac:DeliveryParty/cac:PartyName/cbc:Name"),
        location_id=node.text("cac:DeliveryLocation/cbc:ID"),
        on=node.day("cbc:ActualDeliveryDate"),
        **address,
    )


def _means(node: _Reader) -> PaymentMeans:
    account = node.find("cac:PayeeFinancialAccount")
    return PaymentMeans(
        code=node.text("cbc:PaymentMeansCode"),
        text=node.attribute("cbc:PaymentMeansCode", "name"),
        remittance=node.text("cbc:PaymentID"),
        account=account.text("cbc:ID"),
        account_name=account.text("cbc:Name"),
        bic=account.text("cac:FinancialInstitutionBranch/cbc:ID"),
        has_account=bool(account),
        card_number=node.text("cac:CardAccount/cbc:PrimaryAccountNumberID"),
    )


def _allowance(node: _Reader) -> AllowanceCharge:
    return AllowanceCharge(
        is_charge=node.text("cbc:ChargeIndicator") == "true",
        amount=node.number("cbc:Amount"),
        reason=node.text("cbc:AllowanceChargeReason"),
        reason_code=node.text("cbc:AllowanceChargeReasonCode"),
        base=node.number("cbc:BaseAmount"),
        percent=node.number("cbc:MultiplierFactorNumeric"),
        category=node.text("cac:TaxCategory/cbc:ID"),
        rate=node.number("cac:TaxCategory/cbc:Percent"),
    )


def _subtotal(node: _Reader) -> TaxSubtotal:
    return TaxSubtotal(
        base=node.number("cbc:TaxableAmount"),
        tax=node.number("cbc:TaxAmount"),
        category=node.text("cac:TaxCategory/cbc:ID"),
        rate=node.number("cac:TaxCategory/cbc:Percent"),
        reason=node.text("cac:TaxCategory/cbc:TaxExemptionReason"),
        reason_code=node.text("cac:TaxCategory/cbc:TaxExemptionReasonCode"),
    )


def _line(node: _Reader, credit: bool) -> Line:
    quantity = "cbc:CreditedQuantity" if credit else "cbc:InvoicedQuantity"
    item = node.find("cac:Item")
    return Line(
        line_id=node.text("cbc:ID"),
        name=item.text("cbc:Name"),
        quantity=node.number(quantity),
        unit=node.attribute(quantity, "unitCode"),
        net=node.number("cbc:LineExtensionAmount"),
        price=node.number("cac:Price/cbc:PriceAmount"),
        price_base=node.number("cac:Price/cbc:BaseQuantity"),
        gross_price=node.number("cac:Price/cac:AllowanceCharge/cbc:BaseAmount"),
        category=item.text("cac:ClassifiedTaxCategory/cbc:ID"),
        rate=item.number("cac:ClassifiedTaxCategory/cbc:Percent"),
        description=item.text("cbc:Description"),
        note=node.text("cbc:Note"),
        order_line=node.text("cac:OrderLineReference/cbc:LineID"),
        seller_item_id=item.text("cac:SellersItemIdentification/cbc:ID"),
        standard_item_id=item.text("cac:StandardItemIdentification/cbc:ID"),
        standard_item_scheme=item.attribute("cac:StandardItemIdentification/cbc:ID", "schemeID"),
        classification=item.text("cac:CommodityClassification/cbc:ItemClassificationCode"),
        classification_list=item.attribute("cac:CommodityClassification/cbc:ItemClassificationCode", "listID"),
        period_start=node.day("cac:InvoicePeriod/cbc:StartDate"),
        period_end=node.day("cac:InvoicePeriod/cbc:EndDate"),
        has_period=bool(node.find("cac:InvoicePeriod")),
        allowances=tuple(_allowance(one) for one in node.all("cac:AllowanceCharge")),
        attributes=tuple(
            (one.text("cbc:Name"), one.text("cbc:Value")) for one in item.all("cac:AdditionalItemProperty")
        ),
    )
