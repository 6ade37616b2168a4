"""An invoice as EN 16931 sees it. Money is Decimal, days are dates; what is absent is None or empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
ZERO = Decimal("0.00")

CREDIT_NOTES = frozenset({"381", "396", "532", "261", "262", "296", "308", "420", "458", "81", "83"})
"""Type codes (UNTDID 1001) that UBL writes as CreditNote; all others are an Invoice."""


@dataclass(frozen=True)
class Party:
    """Seller (BG-4), buyer (BG-7), payee (BG-10) or tax representative (BG-11)."""

    name: str = ""
    trading_name: str = ""
    identifiers: Sequence[tuple[str, str]] = ()
    """(identifier, scheme), scheme empty where there is none."""
    legal_id: str = ""
    legal_id_scheme: str = ""
    tax_id: str = ""
    """VAT identifier, with its country."""
    tax_registration: str = ""
    """Another number under which the seller is registered for tax (BT-32)."""
    endpoint: str = ""
    endpoint_scheme: str = ""
    street: str = ""
    additional_street: str = ""
    city: str = ""
    postal_code: str = ""
    region: str = ""
    country: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""

    @property
    def has_address(self) -> bool:
        return any((self.street, self.additional_street, self.city, self.postal_code, self.region, self.country))


@dataclass(frozen=True)
class AllowanceCharge:
    """A charge or an allowance of the document (BG-21, BG-20) or of a line (BG-28, BG-27; no category there)."""

    is_charge: bool
    amount: Decimal | None = None
    reason: str = ""
    reason_code: str = ""
    base: Decimal | None = None
    percent: Decimal | None = None
    category: str = ""
    rate: Decimal | None = None


@dataclass(frozen=True)
class Line:
    """BG-25. `net` is the line's amount without VAT, after its own allowances and charges."""

    line_id: str = ""
    name: str = ""
    quantity: Decimal | None = None
    unit: str = ""
    net: Decimal | None = None
    price: Decimal | None = None
    price_base: Decimal | None = None
    gross_price: Decimal | None = None
    category: str = ""
    rate: Decimal | None = None
    description: str = ""
    note: str = ""
    order_line: str = ""
    seller_item_id: str = ""
    standard_item_id: str = ""
    standard_item_scheme: str = ""
    classification: str = ""
    classification_list: str = ""
    period_start: date | None = None
    period_end: date | None = None
    has_period: bool = False
    allowances: Sequence[AllowanceCharge] = ()
    attributes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class TaxSubtotal:
    """BG-23: one category and rate. `rate` is None for what is not subject to VAT (O)."""

    base: Decimal | None = None
    tax: Decimal | None = None
    category: str = ""
    rate: Decimal | None = None
    reason: str = ""
    reason_code: str = ""


@dataclass(frozen=True)
class Totals:
    """BG-22."""

    lines: Decimal | None = None
    allowances: Decimal | None = None
    charges: Decimal | None = None
    net: Decimal | None = None
    tax: Decimal | None = None
    tax_accounting: Decimal | None = None
    """VAT in the tax currency (BT-111), where that is another than the invoice's."""
    gross: Decimal | None = None
    prepaid: Decimal | None = None
    rounding: Decimal | None = None
    payable: Decimal | None = None


@dataclass(frozen=True)
class PaymentMeans:
    """BG-16. code: UNTDID 4461, 30 credit transfer, 58 SEPA credit transfer."""

    code: str = ""
    text: str = ""
    remittance: str = ""
    account: str = ""
    account_name: str = ""
    bic: str = ""
    has_account: bool = False
    card_number: str = ""


@dataclass(frozen=True)
class Delivery:
    """BG-13 and BG-15."""

    party_name: str = ""
    location_id: str = ""
    on: date | None = None
    street: str = ""
    city: str = ""
    postal_code: str = ""
    region: str = ""
    country: str = ""

    @property
    def has_address(self) -> bool:
        return any((self.street, self.city, self.postal_code, self.region, self.country))


@dataclass(frozen=True)
class Preceding:
    """BG-3: the invoice that a credit note or correction speaks of."""

    number: str = ""
    issued_on: date | None = None


@dataclass(frozen=True)
class Invoice:
    """A document. type_code: 380 commercial invoice, 381 credit note, 384 corrected invoice."""

    number: str = ""
    issued_on: date | None = None
    type_code: str = "380"
    currency: str = ""
    tax_currency: str = ""
    customization_id: str = ""
    profile_id: str = ""
    due_on: date | None = None
    tax_point_on: date | None = None
    tax_point_code: str = ""
    note: str = ""
    buyer_reference: str = ""
    order: str = ""
    """BT-13, the buyer's purchase order."""
    sales_order: str = ""
    despatch: str = ""
    """BT-16, despatch advice: the shipment, or its proof of delivery."""
    receipt: str = ""
    contract: str = ""
    preceding: Sequence[Preceding] = ()
    documents: Sequence[tuple[str, str]] = ()
    """BG-24, (reference, description)."""
    period_start: date | None = None
    period_end: date | None = None
    has_period: bool = False
    seller: Party = Party()
    buyer: Party = Party()
    payee: Party | None = None
    tax_representative: Party | None = None
    delivery: Delivery | None = None
    payment_means: Sequence[PaymentMeans] = ()
    payment_terms: str = ""
    allowances: Sequence[AllowanceCharge] = ()
    subtotals: Sequence[TaxSubtotal] = ()
    totals: Totals = Totals()
    lines: Sequence[Line] = ()

    @property
    def is_credit_note(self) -> bool:
        return self.type_code in CREDIT_NOTES


def with_totals(
    invoice: Invoice,
    reasons: Mapping[str, tuple[str, str]] = {},
    taxes: Mapping[tuple[str, Decimal | None], Decimal] = {},
) -> Invoice:
    """The invoice with VAT breakdown and totals. Tax is rounded once for each category and rate, half up to cents
    (BR-CO-17), unless `taxes` says what was posted for it.

    reasons: category → (VATEX code, words) for what is not charged. Prepaid and rounding amounts stay as given.
    """
    bases: dict[tuple[str, Decimal | None], Decimal] = {}
    for category, rate, amount in parts(invoice):
        key = (category, rate if category != "O" else None)
        bases[key] = bases.get(key, ZERO) + amount
    subtotals = []
    for (category, rate), base in sorted(bases.items(), key=lambda item: (item[0][0], item[0][1] or ZERO)):
        code, words = reasons.get(category, ("", ""))
        tax = taxes.get((category, rate), (base * (rate or ZERO) / 100).quantize(CENT, ROUND_HALF_UP))
        subtotals.append(TaxSubtotal(base, tax, category, rate, words, code))
    lines = sum((line.net or ZERO for line in invoice.lines), ZERO)
    allowances = sum((a.amount or ZERO for a in invoice.allowances if not a.is_charge), ZERO)
    charges = sum((a.amount or ZERO for a in invoice.allowances if a.is_charge), ZERO)
    net = lines - allowances + charges
    tax = sum((subtotal.tax or ZERO for subtotal in subtotals), ZERO)
    given = invoice.totals
    totals = Totals(
        lines=lines,
        allowances=allowances if any(not a.is_charge for a in invoice.allowances) else None,
        charges=charges if any(a.is_charge for a in invoice.allowances) else None,
        net=net,
        tax=tax,
        tax_accounting=given.tax_accounting,
        gross=net + tax,
        prepaid=given.prepaid,
        rounding=given.rounding,
        payable=net + tax - (given.prepaid or ZERO) + (given.rounding or ZERO),
    )
    return replace(invoice, subtotals=tuple(subtotals), totals=totals)


def parts(invoice: Invoice) -> list[tuple[str, Decimal | None, Decimal]]:
    """Category, rate and signed amount of everything that the breakdown adds up."""
    return [
        *((line.category, line.rate, line.net or ZERO) for line in invoice.lines),
        *(
            (part.category, part.rate, (part.amount or ZERO) * (1 if part.is_charge else -1))
            for part in invoice.allowances
        ),
    ]
