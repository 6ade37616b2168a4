"""A carrier's bill in the one shape that every channel is brought to, and from there to landing's record.

A channel's reader fills a `Bill` with what was sent; `keep` counts it and adds it to what was read: as a record, or as
a reject where landing can't hold it as it is. Nothing is rounded, completed or corrected. What kinds of bills there
are: `domain.invoices`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from freightsync.domain.invoices import decimals_of
from freightsync.systems.parsed import UNREADABLE_VALUE, Parsed, Record, Reject

NO_BILL_FROM = Decimal(10) ** 12
"""An amount from here on is a typing error; many smaller ones still sum to what a control total can hold."""

LARGEST_WEIGHT = Decimal(999_999_999)
"""Pounds: what landing has room for."""

CORRECT_IT = "ask the carrier to correct and send it again"

_CENT = Decimal("0.01")
_RATE = Decimal("0.0001")


@dataclass(slots=True)
class BillLine:
    """One charge. partner_code: as the carrier writes it. amount: without tax, in the bill's currency; negative for an
    allowance or a credit; None where a charge has none. tax_rate in percent. References: the line's own only."""

    partner_code: str | None
    amount: Decimal | None
    description: str | None = None
    shipment_reference: str | None = None
    pro_number: str | None = None
    bol_number: str | None = None
    order_number: str | None = None
    tax_code: str | None = None
    tax_rate: Decimal | None = None
    tax_amount: Decimal | None = None


@dataclass(slots=True)
class Bill:
    """One bill. kind: see `domain.invoices`. net_amount: without tax; gross_amount: with it. currency: None where the
    bill names none (the gate then asks for the contract's). biller: who asks for the money, if not the carrier."""

    number: str | None
    invoice_on: dt.date | None
    net_amount: Decimal | None
    currency: str | None
    kind: str = ""
    scac: str | None = None
    corrects_number: str | None = None
    biller: str | None = None
    service_level: str | None = None
    ship_on: dt.date | None = None
    due_on: dt.date | None = None
    shipment_reference: str | None = None
    bol_number: str | None = None
    pro_number: str | None = None
    po_number: str | None = None
    origin_postal: str | None = None
    destination_postal: str | None = None
    weight_lb: Decimal | None = None
    tax_amount: Decimal | None = None
    gross_amount: Decimal | None = None
    lines: list[BillLine] = field(default_factory=list)

    @property
    def lines_total(self) -> Decimal:
        return sum((line.amount for line in self.lines if line.amount is not None), Decimal(0))

    @property
    def tax(self) -> Decimal | None:
        """The bill's tax: as it says, else what its lines carry."""
        taxes = [line.tax_amount for line in self.lines if line.tax_amount is not None]
        return self.tax_amount if self.tax_amount is not None or not taxes else sum(taxes, Decimal(0))


def keep(
    bill: Bill,
    parsed: Parsed,
    *,
    feed: str,
    scac: str,
    position: str,
    raw: Callable[[], str],
    problems: Sequence[str] = (),
) -> None:
    """Counts the bill and adds it to `parsed`: a record, or a reject where it can't be kept as it is.

    scac: the carrier whose channel it came by, for a bill that names none. problems: what the channel's reader found
    already. raw: the bill as it was sent, asked for only where it is rejected.
    """
    amount = bill.net_amount if bill.net_amount is not None and fits_the_books(bill.net_amount) else None
    known = amount is not None and bill.currency is not None
    parsed.received(amount, bill.currency)
    found = [*problems, *why_not_kept(bill)]
    if found:
        parsed.rejects.append(
            Reject(
                parsed.units,
                position,
                (UNREADABLE_VALUE,),
                ("; ".join(found),),
                raw(),
                bill.number,
                amount if known else None,
                bill.currency if known else None,
            )
        )
        return
    # money without a currency can't be summed: in the totals it is unknown, the record has it all the same
    parsed.records.append(
        Record(
            parsed.units,
            position,
            _values(bill, feed, scac),
            amount if known else None,
            bill.currency if known else None,
            [_line_values(number, line) for number, line in enumerate(bill.lines, 1)],
        )
    )


def fits_the_books(amount: Decimal, currency: str | None = None) -> bool:
    """No finer than the currency's smallest unit, and no more than a bill can be: what is kept of an amount is the
    amount, never a rounded one."""
    return abs(amount) < NO_BILL_FROM and amount == round(amount, decimals_of(currency))


def why_not_kept(bill: Bill) -> list[str]:
    """Why a bill that could be read can't be kept, each with what to do; the first few of many."""
    problems = _amounts_not_kept(bill)
    for number, line in enumerate(bill.lines, 1):
        if line.tax_rate is not None and (abs(line.tax_rate) >= 1000 or line.tax_rate != line.tax_rate.quantize(_RATE)):
            problems.append(f"a tax rate of {line.tax_rate:f} % on charge {number} can't be right: {CORRECT_IT}")
            break
    if bill.weight_lb is not None and abs(bill.weight_lb) > LARGEST_WEIGHT:
        problems.append(f"a weight of {bill.weight_lb:f} lb can't be right: {CORRECT_IT}")
    if bill.currency is not None and not is_currency(bill.currency):
        problems.append(f"{bill.currency[:20]!r} is no three-letter currency code: {CORRECT_IT}")
    return problems


def _amounts_not_kept(bill: Bill) -> list[str]:
    totals = (bill.net_amount, bill.tax, bill.gross_amount, bill.lines_total)
    decimals = decimals_of(bill.currency)
    # a million bills have no such amount: words only where one has
    if all(
        amount is None or (abs(amount) < NO_BILL_FROM and amount == round(amount, decimals))
        for amount in (*totals, *[line.amount for line in bill.lines], *[line.tax_amount for line in bill.lines])
    ):
        return []
    named = list(zip(("net amount due", "tax", "amount with tax", "sum of its charges"), totals, strict=True))
    for number, line in enumerate(bill.lines, 1):
        named += [(f"charge {number}", line.amount), (f"tax on charge {number}", line.tax_amount)]
    finest = "whole units" if decimals == 0 else "a cent"
    return [
        f"the {what} {amount:f} is finer than {finest} or beyond any bill: {CORRECT_IT}"
        for what, amount in named
        if amount is not None and not fits_the_books(amount, bill.currency)
    ][:5]


def is_currency(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def _values(bill: Bill, feed: str, scac: str) -> dict[str, Any]:
    return {
        "source": feed,
        "scac": bill.scac or scac,
        "invoice_number": bill.number,
        "correction": bill.kind,
        "corrects_number": bill.corrects_number,
        "biller": bill.biller,
        "service_level": bill.service_level,
        "invoice_on": bill.invoice_on,
        "ship_on": bill.ship_on,
        "due_on": bill.due_on,
        "shipment_reference": bill.shipment_reference,
        "bol_number": bill.bol_number,
        "pro_number": bill.pro_number,
        "po_number": bill.po_number,
        "origin_postal": bill.origin_postal,
        "destination_postal": bill.destination_postal,
        "weight_lb": bill.weight_lb,
        "net_amount": bill.net_amount,
        "tax_amount": bill.tax,
        "gross_amount": bill.gross_amount,
        "lines_total": bill.lines_total,
        "line_count": len(bill.lines),
    }


def _line_values(number: int, line: BillLine) -> dict[str, Any]:
    return {
        "line": number,
        "partner_code": line.partner_code,
        "description": line.description,
        "line_amount": line.amount,
        "shipment_reference": line.shipment_reference,
        "pro_number": line.pro_number,
        "bol_number": line.bol_number,
        "order_number": line.order_number,
        "tax_code": line.tax_code,
        "tax_rate": line.tax_rate,
        "tax_amount": line.tax_amount,
    }
