"""A posted customer invoice and the master data of its day → an EN 16931 invoice. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from freightsync.domain.errors import PermanentError
from freightsync.formats import ubl

ZERO = Decimal("0.00")


class NotRenderable(PermanentError):
    """A document that EN 16931 has no form for; the message says why."""


@dataclass(frozen=True)
class Document:
    """One document of the outbox. `lines`: as posted, positive, `reverses` where one undoes. `number`: the ERP's.

    preceding: (number, date) of what was sent for the same invoice before.
    """

    number: str
    currency: str
    lines: Sequence[Mapping[str, Any]]
    preceding: Sequence[tuple[str, date | None]] = ()


@dataclass(frozen=True)
class Master:
    """Who sells and buys, and where it went. Rows as in rules.tax_seller, canonical.tax_profile, canonical.ship_to."""

    seller: Mapping[str, Any]
    buyer: Mapping[str, Any]
    ship_to: Mapping[str, Any] = field(default_factory=dict)
    payment_terms: str = ""


def render(
    document: Document,
    master: Master,
    profile: Mapping[str, Any],
    *,
    freight_as: Literal["line", "charge"] = "line",
) -> ubl.Invoice:
    """Raises NotRenderable where the document carries no VAT decision, or other taxes than VAT.

    A document whose sum is negative becomes a credit note (381) with positive amounts, which names what it corrects.
    """
    billed = [line for line in document.lines if line["kind"] != "tax"]
    if not billed:
        raise NotRenderable(
            f"{document.number} changes tax only: an invoice without lines does not exist",
            what_to_do="credit the earlier invoice and bill anew",
        )
    if any(line.get("tax_category") is None for line in document.lines):
        raise NotRenderable(
            f"{document.number} says nothing of tax: the ERP adds it",
            what_to_do="charge tax by a policy (rules.tax_policy), or let the ERP write the e-invoice",
        )
    if other := sorted({line["tax_name"] for line in document.lines if line["kind"] == "tax"} - {"VAT"}):
        raise NotRenderable(
            f"{document.number} carries {', '.join(other)}: EN 16931 knows one VAT only",
            what_to_do="use the e-invoice of the seller's country",
        )
    total = sum((_signed(line) for line in document.lines), ZERO)
    sign = -1 if total < 0 else 1
    made = ubl.Invoice(
        number=document.number,
        issued_on=max(_day(line["invoice_on"]) for line in document.lines),
        type_code="381" if sign < 0 else "380",
        currency=document.currency,
        customization_id=str(profile.get("customization_id", "")),
        profile_id=str(profile.get("profile_id", "")),
        buyer_reference=_text(master.buyer, "buyer_reference"),
        preceding=tuple(ubl.Preceding(number, on) for number, on in document.preceding),
        seller=_seller(master.seller),
        buyer=_buyer(master.buyer),
        payment_terms=master.payment_terms,
        **_references(document.lines),
    )
    made = replace(
        made,
        due_on=_due(made.issued_on, master.payment_terms) if sign > 0 else None,
        delivery=_delivery(master, made.issued_on),
        payment_means=_payment(master.seller, document),
    )
    lines: list[ubl.Line] = []
    charges: list[ubl.AllowanceCharge] = []
    for posted in billed:
        amount = _signed(posted) * sign
        if posted["kind"] == "freight" and freight_as == "charge" and amount > 0:
            category, rate = _tax(posted)
            charges.append(ubl.AllowanceCharge(True, amount, posted["description"], "FC", category=category, rate=rate))
        else:
            lines.append(_line(len(lines) + 1, posted, amount))
    if not lines:  # freight alone has to be a line
        return render(document, master, profile, freight_as="line")
    taxes: dict[tuple[str, Decimal | None], Decimal] = {}
    for posted in document.lines:
        if posted["kind"] == "tax":
            key = _tax(posted)
            taxes[key] = taxes.get(key, ZERO) + _signed(posted) * sign
    reasons = {
        posted["tax_category"]: (posted.get("tax_reason_code") or "", posted.get("tax_reason") or "")
        for posted in billed
        if posted["tax_category"] not in ("S", "Z", "L", "M")
    }
    return ubl.with_totals(replace(made, lines=tuple(lines), allowances=tuple(charges)), reasons, taxes)


def missing(invoice: ubl.Invoice, needs: Sequence[str]) -> list[ubl.Finding]:
    """What the profile wants besides the standard."""
    tests = {
        "seller_endpoint": bool(invoice.seller.endpoint),
        "buyer_endpoint": bool(invoice.buyer.endpoint),
        "buyer_reference": bool(invoice.buyer_reference),
        "buyer_reference_or_order": bool(invoice.buyer_reference or invoice.order or invoice.sales_order),
        "seller_contact": all(
            (invoice.seller.contact_name, invoice.seller.contact_phone, invoice.seller.contact_email)
        ),
        "payment_means": bool(invoice.payment_means),
        "addresses": all(party.city and party.postal_code for party in (invoice.seller, invoice.buyer)),
    }
    if unknown := [need for need in needs if need not in tests]:
        raise NotRenderable(f"no profile can need {unknown[0]}", what_to_do=f"use {', '.join(tests)}")
    return [
        ubl.Finding(f"profile:{need}", "document", f"the profile wants {need.replace('_', ' ')}")
        for need in needs
        if not tests[need]
    ]


def _signed(line: Mapping[str, Any]) -> Decimal:
    amount = Decimal(line["amount"])
    return -amount if line.get("reverses") else amount


def _tax(line: Mapping[str, Any]) -> tuple[str, Decimal | None]:
    category = line["tax_category"]
    return category, None if category == "O" else Decimal(line["tax_rate_percent"]).normalize() + 0


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name) or "")


def _seller(row: Mapping[str, Any]) -> ubl.Party:
    return ubl.Party(
        name=_text(row, "legal_name"),
        legal_id=_text(row, "registration_id"),
        contact_name=_text(row, "contact_name"),
        contact_phone=_text(row, "contact_phone"),
        contact_email=_text(row, "contact_email"),
        **_party(row),
    )


def _buyer(row: Mapping[str, Any]) -> ubl.Party:
    return ubl.Party(name=_text(row, "legal_name"), **_party(row))


def _party(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("tax_id", "endpoint", "endpoint_scheme", "street", "city", "postal_code", "region", "country")
    return {name: _text(row, name) for name in names}


def _references(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    orders = sorted({line["order_number"] for line in lines})
    shipments = sorted({line["shipment_id"] for line in lines})
    return {
        "sales_order": orders[0] if len(orders) == 1 else "",
        "despatch": shipments[0],
        "documents": tuple((shipment, "further shipment") for shipment in shipments[1:]),
    }


def _delivery(master: Master, on: date | None) -> ubl.Delivery:
    row = master.ship_to
    return ubl.Delivery(
        party_name=_text(row, "ship_to_name"),
        location_id=_text(row, "ship_to_id"),
        on=on,
        city=_text(row, "city"),
        postal_code=_text(row, "postal_code"),
        region=_text(row, "state"),
        country=_text(row, "country"),
    )


def _payment(seller: Mapping[str, Any], document: Document) -> tuple[ubl.PaymentMeans, ...]:
    account = _text(seller, "iban")
    if not account:
        return ()
    code = "58" if document.currency == "EUR" else "30"
    return (
        ubl.PaymentMeans(
            code,
            remittance=document.number,
            account=account,
            account_name=_text(seller, "legal_name"),
            bic=_text(seller, "bic"),
            has_account=True,
        ),
    )


def _due(issued_on: date | None, terms: str) -> date | None:
    """`NET30`, `30 days net`: the one number that terms of payment have is days."""
    numbers = re.findall(r"\d+", terms)
    if issued_on is None or len(numbers) != 1:
        return None
    return issued_on + timedelta(days=int(numbers[0]))


def _line(number: int, posted: Mapping[str, Any], amount: Decimal) -> ubl.Line:
    category, rate = _tax(posted)
    quantity, price, item = Decimal(1 if amount >= 0 else -1), abs(amount), ""
    # what was billed says how many it is of: `10 × I1`; of a correction, what each of them differs by
    if said := re.fullmatch(r"(\d+) × (.+)", str(posted["description"])):
        each = abs(amount) / Decimal(said[1]) if int(said[1]) else amount
        item = said[2]
        if each == each.quantize(Decimal("0.0001")):
            quantity, price = quantity * int(said[1]), each
    return ubl.Line(
        str(number),
        item or posted["description"],
        quantity,
        "C62",
        amount,
        price,
        category=category,
        rate=rate,
        description=posted["description"] if item else "",
        seller_item_id=item,
    )
