"""210: a motor carrier's freight invoice.

Money: B3-07 is the net amount due and L1-04 a line's charge; both imply two decimals by the standard (N2), and
`PartnerProfile.implied_decimals` says what this partner does. Both are exposed exactly as sent: `net_amount` is what
the carrier asks for, `lines_total` the sum of the charges that its lines name; where they differ there is a
finding, and deciding is not this reader's business.

Currency: C3-01, else the partner's `default_currency`, else None. It is never assumed.

References before the first LX are the invoice's; those inside an LX loop belong to that loop's lines (so that a
consolidated invoice can name a shipment a line).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body, Money, Party, QualifiedDate, Reference, Segment, new_reference

SET_ID = "210"
GROUP_IDS = ("IM", "IN")
_TWELVE_EMPTY = ("",) * 12


@dataclass(slots=True)
class ChargeLine:
    """An L1.

    charge_code: L1-08 as sent, None if the carrier sent none (often the base freight).
    description: L1-12, else the L5 text before it: with the line's number, or with none. A text describes one line: the
    fuel on a pallet is no pallet.
    amount: L1-04 in the invoice's currency; None for an L1 that names a rate but no charge.
    references: those of the LX loop; the very same list on each of its lines.
    """

    charge_code: str | None
    amount: Decimal | None
    description: str | None = None
    rate: Decimal | None = None
    rate_qualifier: str | None = None
    item: str | None = None
    references: list[Reference] = field(default_factory=list)


@dataclass(slots=True)
class Quantity:
    """An L0: weight in `weight_unit` (L pounds, K kilograms; None where the partner leaves it out)."""

    item: str | None
    weight: Decimal | None
    weight_qualifier: str | None = None
    pieces: Decimal | None = None
    packaging: str | None = None
    weight_unit: str | None = None


@dataclass(slots=True)
class LineGroup:
    """An LX loop: the charges, references, quantities and parties of one part of the bill. May have no charge."""

    number: str
    lines: list[ChargeLine] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)


@dataclass(slots=True)
class Invoice210:
    """invoice_number B3-02, net_amount B3-07, invoice_date B3-06, shipment_id B3-03, scac B3-11.

    correction: B3-08 as sent (BD, CO, AD, RB, CA, RF, RP) or None for a first bill.
    pickup_date: B3-12; delivery_date: B3-09, which is what delivery_qualifier (B3-10) says.
    total_weight, total_charge: L3-01, L3-05 as sent.
    """

    invoice_number: str
    net_amount: Decimal
    invoice_date: dt.date
    scac: str | None = None
    shipment_id: str | None = None
    currency: str | None = None
    correction: str | None = None
    payment_method: str | None = None
    delivery_date: dt.date | None = None
    delivery_qualifier: str | None = None
    pickup_date: dt.date | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[QualifiedDate] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    groups: list[LineGroup] = field(default_factory=list)
    total_weight: Decimal | None = None
    weight_qualifier: str | None = None
    total_charge: Decimal | None = None
    total_pieces: Decimal | None = None

    @property
    def lines(self) -> list[ChargeLine]:
        """All charges in the order sent."""
        return [line for group in self.groups for line in group.lines]

    @property
    def lines_total(self) -> Decimal:
        """Sum of the charges named by the lines; lines without a charge count nothing."""
        return sum((line.amount for g in self.groups for line in g.lines if line.amount is not None), Decimal(0))


@dataclass(slots=True)
class Partial210:
    """A 210 without a readable net amount or date: what there is, for showing and counting only."""

    invoice_number: str | None
    net_amount: Decimal | None
    invoice_date: dt.date | None
    scac: str | None
    shipment_id: str | None
    currency: str | None
    correction: str | None


def group_lines(lines: Iterable[ChargeLine]) -> list[LineGroup]:
    """LX loops for lines: consecutive lines with equal references share one."""
    out: list[LineGroup] = []
    for _, run in groupby(lines, key=lambda line: line.references):
        members = list(run)
        out.append(LineGroup(str(len(out) + 1), members, members[0].references))
    return out


def parse(body: Body, money: Money) -> Invoice210 | Partial210:
    """Findings go to the body; whoever calls uses the invoice only if there is no error among them."""
    segments = body.segments
    invoice = Invoice210("", Decimal(0), dt.date.min)
    references = invoice.references
    groups = invoice.groups
    net: Decimal | None = None
    issued: dt.date | None = None
    b3_at = -1
    c3_at = -1
    l3_at = -1
    charges = Decimal(0)
    charged = False
    group: LineGroup | None = None
    party: Party | None = None
    texts: dict[str, list[str]] = {}
    lines: list[ChargeLine] = []

    for at, segment in enumerate(segments):
        tag = segment[0]
        if tag == "N9":
            if len(segment) == 3 and segment[2]:
                references.append(new_reference((segment[1], segment[2], None)))
            elif (reference := common.read_reference(segment, 2, 1)) is not None:
                references.append(reference)
        elif tag == "L1":
            count = len(segment)
            text = segment[4] if count > 4 else ""
            amount = None
            if text:
                amount = money(text)
                if amount is None or "." in text:
                    amount = common.money_or_report(body, at, 4, money)
                if amount is not None:
                    charges += amount
                    charged = True
            if group is None:
                body.report("warning", "unexpected_segment", at, None, "L1 before any LX")
                group = LineGroup("")
                groups.append(group)
                lines, references = group.lines, group.references
            description = segment[12] if count > 12 else ""
            if not description and texts:
                description = _text_for(segment, texts)
            if count > 5 and (segment[5] or (count > 6 and segment[6])):
                body.report(
                    "warning",
                    "amount_not_summed",
                    at,
                    "L105" if segment[5] else "L106",
                    "advances or prepaid amounts are no charge of this line and are left out of its amount",
                )
            lines.append(
                ChargeLine(
                    (segment[8] or None) if count > 8 else None,
                    amount,
                    description or None,
                    common.number_or_report(body, at, 2) if count > 2 and segment[2] else None,
                    (segment[3] or None) if count > 3 else None,
                    (segment[1] or None) if count > 1 else None,
                    references,
                )
            )
        elif tag == "N4" or tag == "N3" or tag == "N2":
            if party is not None:
                common.add_to_party(party, segment)
        elif tag == "N1":
            party = common.read_n1(segment)
            (invoice.parties if group is None else group.parties).append(party)
        elif tag == "L0":
            if group is not None:
                group.quantities.append(_read_l0(body, at, segment))
        elif tag == "LX":
            lines = []
            references = []
            group = LineGroup(segment[1] if len(segment) > 1 else "", lines, references)
            groups.append(group)
            party = None
            if texts:
                texts = {}
        elif tag == "L5":
            if text := common.element(segment, 2):
                texts.setdefault(segment[1], []).append(text)
        elif tag == "L11":
            reference = common.read_reference(segment, 1, 2)
            if reference is not None:
                references.append(reference)
        elif tag == "B3":
            if b3_at >= 0:
                body.report("error", "repeated_segment", at, None, "a second B3: two invoices run together")
                continue
            b3_at = at
            net, issued = _read_b3(body, at, invoice, money)
        elif tag == "C3":
            currency = common.element(segment, 1)
            if c3_at >= 0:
                _report_repeated(body, at, c3_at)
                continue
            c3_at = at
            if len(currency) == 3 and currency.isascii() and currency.isalpha():
                invoice.currency = currency.upper()
            elif currency:
                body.report("error", "unreadable_value", at, "C301", f"not a currency: {currency[:20]!r}")
        elif tag == "G62":
            invoice.dates.append(common.read_g62(body, at))
        elif tag == "L3":
            if l3_at >= 0:
                _report_repeated(body, at, l3_at)
                continue
            l3_at = at
            invoice.total_weight = common.number_or_report(body, at, 1)
            invoice.weight_qualifier = common.optional(segment, 2)
            invoice.total_charge = common.money_or_report(body, at, 5, money, "warning")
            invoice.total_pieces = common.number_or_report(body, at, 11)
        else:
            body.stray(at)

    if b3_at < 0:
        body.report("error", "missing_segment", 0, "B3", "a 210 without B3 is no invoice")
    if invoice.currency is None:
        invoice.currency = body.profile.default_currency
    if net is not None:
        _compare_totals(body, invoice, net, charges if charged else None, b3_at, l3_at)
    if net is None or issued is None:
        return Partial210(
            invoice.invoice_number or None,
            net,
            issued,
            invoice.scac,
            invoice.shipment_id,
            invoice.currency,
            invoice.correction,
        )
    invoice.net_amount = net
    invoice.invoice_date = issued
    return invoice


def _report_repeated(body: Body, at: int, first_at: int) -> None:
    """A C3 or L3 that occurs again. Where the two differ nobody knows which one holds."""
    tag, differs = body.segments[at][0], body.segments[at] != body.segments[first_at]
    message = f"a second {tag}" + (" that differs from the first: which one holds?" if differs else "")
    body.report("error" if differs else "warning", "repeated_segment", at, None, message)


def _read_l0(body: Body, at: int, segment: Segment) -> Quantity:
    count = len(segment)
    return Quantity(
        (segment[1] or None) if count > 1 else None,
        common.number_or_report(body, at, 4) if count > 4 and segment[4] else None,
        (segment[5] or None) if count > 5 else None,
        common.number_or_report(body, at, 8) if count > 8 and segment[8] else None,
        (segment[9] or None) if count > 9 else None,
        (segment[11] or None) if count > 11 else None,
    )


def _read_b3(body: Body, at: int, invoice: Invoice210, money: Money) -> tuple[Decimal | None, dt.date | None]:
    segment = [*body.segments[at], *_TWELVE_EMPTY]
    invoice.invoice_number = segment[2]
    invoice.shipment_id = segment[3] or None
    invoice.payment_method = segment[4] or None
    issued = common.date_or_report(body, at, 6, "error")
    net = common.money_or_report(body, at, 7, money)
    invoice.correction = segment[8] or None
    invoice.delivery_date = common.date_or_report(body, at, 9)
    invoice.delivery_qualifier = segment[10] or None
    invoice.scac = segment[11] or None
    invoice.pickup_date = common.date_or_report(body, at, 12)
    if not (segment[2] and segment[6] and segment[7]):
        for number, what in ((2, "invoice number"), (6, "invoice date"), (7, "net amount due")):
            if not segment[number]:
                body.report("error", "missing_value", at, common.designator("B3", number), f"no {what}")
    if invoice.scac is None:
        body.report("warning", "missing_value", at, "B311", "no carrier code")
    return net, issued


def _text_for(line: Segment, texts: dict[str, list[str]]) -> str:
    """The L5 texts for this line, joined, taken out of `texts` (by their line's number).

    Those with its number, else those without any; a line without a number has all that stand before it.
    """
    item = common.element(line, 1)
    if item:
        found = texts.pop(item, None) or texts.pop("", [])
    else:
        found = [text for same in texts.values() for text in same]
        texts.clear()
    return " ".join(found)


def _compare_totals(
    body: Body, invoice: Invoice210, net: Decimal, charges: Decimal | None, b3_at: int, l3_at: int
) -> None:
    if charges is None and net:
        body.report(
            "warning", "lines_do_not_sum", b3_at, "B307", f"net amount due is {net:f}, but no line names a charge"
        )
    elif charges is not None and charges != net:
        body.report(
            "warning",
            "lines_do_not_sum",
            b3_at,
            "B307",
            f"net amount due is {net:f}, the lines' charges sum to {charges:f}",
        )
    if invoice.total_charge is not None and invoice.total_charge != net:
        body.report(
            "warning",
            "lines_do_not_sum",
            l3_at,
            "L305",
            f"the total charge is {invoice.total_charge:f}, the net amount due {net:f}",
        )


def as_json(invoice: Invoice210) -> dict[str, object]:
    return {
        "invoice_number": invoice.invoice_number,
        "shipment_id": invoice.shipment_id,
        "scac": invoice.scac,
        "currency": invoice.currency,
        "net_amount": common.money_text(invoice.net_amount),
        "lines_total": common.money_text(invoice.lines_total),
        "correction": invoice.correction,
        "invoice_date": common.iso(invoice.invoice_date),
        "delivery_date": common.iso(invoice.delivery_date),
        "pickup_date": common.iso(invoice.pickup_date),
        "payment_method": invoice.payment_method,
        "references": common.references_json(invoice.references),
        "parties": [common.party_json(p) for p in invoice.parties],
        "lines": [
            {
                "charge_code": line.charge_code,
                "description": line.description,
                "amount": common.money_text(line.amount),
                "line_number": group.number,
                "references": common.references_json(line.references),
            }
            for group in invoice.groups
            for line in group.lines
        ],
    }
