"""INVOIC, D.96A to D.16B, as freight bills use it: invoice, credit note, debit note, corrected invoice.

Amounts are exposed as sent: a credit note (381) has positive amounts that are owed to us, and it is for whoever
takes the
bill in to turn them round. `net_amount`, `tax_amount` and `gross_amount` are read from the totals by the profile's
qualifiers; where a bill names no net amount it is gross less tax, else line items with charges and allowances.

What a bill charges are its line items (LIN) and the charges and allowances of the bill as a whole (ALC before the first
LIN). A line's own ALC is part of its amount (MOA 203). ALC after UNS only sums up what was charged before.

Code lists are the UN's: 1001 document, 1225 function, 1153 reference, 2005 date, 3035 party, 5025 amount.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal

from freightsync.formats.edifact import common
from freightsync.formats.edifact.common import Amount, Body, Measure, Moment, Party, Reference, Tax, optional, text
from freightsync.formats.edifact.findings import Severity
from freightsync.formats.edifact.profile import DEFAULT_PROFILE, EdifactProfile
from freightsync.formats.edifact.syntax import Segment

MESSAGE_TYPE = "INVOIC"

LINE_AMOUNTS = ("203", "38", "66")
"""MOA of a line: line item amount, invoice item amount, goods item total; the first that is there counts."""

CHARGE_AMOUNTS = ("8", "23", "204")
"""MOA of an ALC: allowance or charge amount, charge amount, allowance amount."""


@dataclass(slots=True)
class Charge:
    """An ALC. kind: C charge, A allowance. code: 7161 special service code, else 1230. amount as sent, without sign."""

    kind: str
    code: str | None = None
    description: str | None = None
    percent: Decimal | None = None
    amounts: list[Amount] = field(default_factory=list)
    taxes: list[Tax] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)

    @property
    def amount(self) -> Decimal | None:
        return _first(self.amounts, CHARGE_AMOUNTS)

    @property
    def signed(self) -> Decimal | None:
        """Negative for an allowance, whatever sign it was sent with."""
        amount = self.amount
        return None if amount is None else -abs(amount) if self.kind == "A" else amount


@dataclass(slots=True)
class ProductCode:
    """A PIA pair: code and its type (7143: SA supplier's, BP buyer's, SRV…)."""

    code: str
    kind: str | None = None


@dataclass(slots=True)
class LineItem:
    """A LIN group. code, code_kind: its item number; description_code: IMD's coded description.

    quantities: (qualifier, value, unit); price: PRI's, whatever it is per.
    """

    number: str
    code: str | None = None
    code_kind: str | None = None
    codes: list[ProductCode] = field(default_factory=list)
    description: str | None = None
    description_code: str | None = None
    quantities: list[tuple[str, Decimal, str | None]] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    price: Decimal | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[Moment] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    taxes: list[Tax] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)

    @property
    def amount(self) -> Decimal | None:
        return _first(self.amounts, LINE_AMOUNTS)


@dataclass(slots=True)
class Invoic:
    """document_code BGM 1001, number 1004, function 1225 (9 original, 1 cancellation, 5 replace, 7 duplicate…).

    charges: of the bill as a whole. amounts: the totals. taxes: those of the summary and the header.
    currency: CUX, else the one that the totals name; None where nothing names one.
    """

    document_code: str
    number: str
    invoice_date: dt.date
    function: str | None = None
    currency: str | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[Moment] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    lines: list[LineItem] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    taxes: list[Tax] = field(default_factory=list)
    service_level: str | None = None
    profile: EdifactProfile = field(default=DEFAULT_PROFILE, compare=False, repr=False)

    @property
    def lines_total(self) -> Decimal:
        """Line items, and charges less allowances of the bill as a whole; what has no amount counts nothing."""
        parts = [line.amount for line in self.lines] + [charge.signed for charge in self.charges]
        return sum((part for part in parts if part is not None), Decimal(0))

    @property
    def gross_amount(self) -> Decimal | None:
        return _first(self.amounts, self.profile.gross, self.currency)

    @property
    def tax_amount(self) -> Decimal | None:
        """As a total, else the sum over the rates of the summary; None where the bill names no tax."""
        stated = _first(self.amounts, self.profile.tax, self.currency)
        if stated is not None:
            return stated
        found = [tax.amount for tax in self.taxes if tax.amount is not None]
        return sum(found, Decimal(0)) if found else None

    @property
    def net_amount(self) -> Decimal | None:
        stated = _first(self.amounts, self.profile.net, self.currency)
        if stated is not None:
            return stated
        gross = self.gross_amount
        if gross is not None:
            return gross - (self.tax_amount or Decimal(0))
        items = _first(self.amounts, ("79",), self.currency)
        if items is None:
            return None
        extra = _first(self.amounts, ("131",), self.currency)
        if extra is None:
            more = _first(self.amounts, ("259",), self.currency) or Decimal(0)
            extra = more - abs(_first(self.amounts, ("260",), self.currency) or Decimal(0))
        return items + extra

    @property
    def due_date(self) -> dt.date | None:
        return next((one.date for one in self.dates if one.qualifier in ("13", "265") and one.place != "tdt"), None)


@dataclass(slots=True)
class PartialInvoic:
    """An INVOIC without a readable number, date or total: what there is, for showing and counting only."""

    number: str | None
    net_amount: Decimal | None
    currency: str | None
    invoice_date: dt.date | None


def _first(amounts: list[Amount], qualifiers: tuple[str, ...], currency: str | None = None) -> Decimal | None:
    """The amount of the first of these qualifiers that is there, in this currency where both name one."""
    for qualifier in qualifiers:
        for amount in amounts:
            if amount.qualifier == qualifier and (currency is None or amount.currency in (None, currency)):
                return amount.value
    return None


_DOCUMENT_DATES = ("3", "137")
_TOTALS = frozenset(("77", "39", "86", "9", "79", "176", "131", "259", "260"))
"""Totals of the bill wherever they stand after UNS, also after a TAX."""


class _Parser:
    """Walks the segments once; where each belongs follows from the groups that are open."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.found = Invoic("", "", dt.date.min, profile=body.profile)
        self.line: LineItem | None = None
        self.charge: Charge | None = None
        self.tax: Tax | None = None
        self.party: Party | None = None
        self.place = ""
        self.summary = False
        self.currencies: dict[str, int] = {}
        self.bgm_at = -1
        self.dates: dict[str, tuple[Moment, int]] = {}

    def run(self) -> Invoic | PartialInvoic:
        body, found = self.body, self.found
        handlers = _HANDLERS
        for at, segment in enumerate(body.segments):
            handler = handlers.get(segment[0][0])
            if handler is not None:
                handler(self, at, segment)
            else:
                body.stray(at)
        if self.bgm_at < 0:
            body.report("error", "missing_segment", 0, "BGM", "an INVOIC without BGM is no invoice")
        issued = next((self.dates[code][0].date for code in _DOCUMENT_DATES if code in self.dates), None)
        if issued is None and not any(f.element == "DTM01.2" and f.severity == "error" for f in body.findings):
            body.report("error", "missing_segment", 0, "DTM", "no date of the invoice (DTM 3 or 137)")
        self._currency()
        if not found.lines and not found.charges:
            body.report("warning", "lines_do_not_sum", 0, None, "the bill names no line item and no charge")
        self._totals()
        net = found.net_amount
        if net is None:
            body.report(
                "error", "missing_segment", 0, "MOA", "no total that says what is asked for (MOA 77, 39, 86, 9, 79)"
            )
        if net is None or issued is None or not found.number:
            return PartialInvoic(found.number or None, net, found.currency, issued)
        found.invoice_date = issued
        return found

    # -- the document ---------------------------------------------------------------------------------------------

    def bgm(self, at: int, segment: Segment) -> None:
        if self.bgm_at >= 0:
            self.body.report("error", "repeated_segment", at, None, "a second BGM: two invoices run together")
            return
        self.bgm_at = at
        found = self.found
        found.document_code = text(segment, 1)
        found.number = text(segment, 2)
        found.function = optional(segment, 3)
        if not found.number:
            self.body.report("error", "missing_value", at, "BGM02.1", "no invoice number")
        if not found.document_code:
            self.body.report("error", "missing_value", at, "BGM01.1", "no kind of document: bill or credit?")

    def dtm(self, at: int, segment: Segment) -> None:
        if self.party is not None or self.place in ("rff", "alc"):
            return  # of a party's document, of a referenced document, of an allowance: not ours
        issued = self.line is None and not self.place and text(segment, 1, 1) in _DOCUMENT_DATES
        moment = common.moment_or_report(self.body, at, self.place, "error" if issued else "warning")
        if moment is None:
            return
        if issued:
            first = self.dates.setdefault(moment.qualifier, (moment, at))[0]
            if first.date != moment.date:
                words = f"a second date {moment.qualifier} of the invoice that differs from the first: which one holds?"
                self.body.report("error", "repeated_segment", at, "DTM01.2", words)
        (self.line.dates if self.line is not None else self.found.dates).append(moment)

    def cux(self, at: int, segment: Segment) -> None:
        if self.line is not None and not self.summary:
            return
        for element in (1, 2):
            code, use, kind = text(segment, element, 2), text(segment, element, 1), text(segment, element, 3)
            if not code:
                continue
            if not (len(code) == 3 and code.isascii() and code.isalpha()):
                where = common.designator("CUX", element, 2)
                self.body.report("error", "unreadable_value", at, where, f"not a currency: {code[:20]!r}")
            elif kind == "4" or (use == "2" and kind in ("", "9", "10")):
                self.currencies.setdefault(code.upper(), at)

    def _currency(self) -> None:
        body, found = self.body, self.found
        named = list(self.currencies)
        if len(named) > 1:
            words = f"the bill is in {' and in '.join(named[:3])}: which one holds?"
            body.report("error", "conflicting_values", self.currencies[named[1]], "CUX01.2", words)
        if not named:
            wanted = (*found.profile.gross, *found.profile.net, "79")
            named = list(dict.fromkeys(a.currency for a in found.amounts if a.currency and a.qualifier in wanted))
            if len(named) > 1:
                named = []
        found.currency = named[0] if named else None

    def reference(self, at: int, segment: Segment) -> None:
        reference = common.read_reference(segment)
        if self.party is not None:
            if reference is not None:
                self.party.references.append(reference)
            return
        if self.place not in ("alc", "tdt", "pat"):
            self.place = "rff"
        if reference is None:
            return
        if self.charge is not None:
            self.charge.references.append(reference)
        elif self.line is not None and not self.summary:
            self.line.references.append(reference)
        else:
            self.found.references.append(reference)

    def nad(self, at: int, segment: Segment) -> None:
        if self.line is not None and not self.summary:
            self.close("nad")
            self.party = common.read_party(segment)  # a line's own party: read past with its references
            return
        self.close("")
        self.party = common.read_party(segment)
        self.found.parties.append(self.party)

    def measure(self, at: int, segment: Segment) -> None:
        tag = segment[0][0]
        if tag == "CNT" and text(segment, 1, 1) == "2":
            stated = common.read_number(text(segment, 1, 2), self.body.marks.decimal)
            if stated != len(self.found.lines):
                words = f"CNT says {text(segment, 1, 2)[:20]} line items, {len(self.found.lines)} counted"
                self.body.report("warning", "control_count", at, "CNT01.2", words)
            return
        found = common.read_measure(self.body, at)
        if found is not None:
            (self.line.measures if self.line is not None and not self.summary else self.found.measures).append(found)

    def service(self, at: int, segment: Segment) -> None:
        self.found.service_level = self.found.service_level or optional(segment, 3)

    # -- lines, charges, taxes, amounts ---------------------------------------------------------------------------

    def lin(self, at: int, segment: Segment) -> None:
        self.close("")
        if self.summary:
            self.body.report("warning", "unexpected_segment", at, None, "a LIN after UNS")
        self.line = LineItem(text(segment, 1), optional(segment, 3, 1), optional(segment, 3, 2))
        self.found.lines.append(self.line)

    def pia(self, at: int, segment: Segment) -> None:
        if self.line is not None:
            self.line.codes += [
                ProductCode(text(segment, n), optional(segment, n, 2))
                for n in range(2, len(segment))
                if text(segment, n)
            ]

    def imd(self, at: int, segment: Segment) -> None:
        line = self.line
        if line is None:
            return
        line.description_code = line.description_code or optional(segment, 3, 1)
        words = " ".join(part for part in (text(segment, 3, 4), text(segment, 3, 5)) if part)
        if words:
            line.description = f"{line.description} {words}" if line.description else words

    def qty(self, at: int, segment: Segment) -> None:
        if self.line is None or self.charge is not None or self.summary:
            return
        value = common.number_or_report(self.body, at, 1, 2)
        if value is not None:
            self.line.quantities.append((text(segment, 1, 1), value, optional(segment, 1, 3)))

    def pri(self, at: int, segment: Segment) -> None:
        if self.line is not None and self.line.price is None:
            self.line.price = common.number_or_report(self.body, at, 1, 2)

    def alc(self, at: int, segment: Segment) -> None:
        self.close("alc")
        charge = Charge(
            text(segment, 1),
            optional(segment, 5, 1) or optional(segment, 2, 1),
            " ".join(part for part in (text(segment, 5, 4), text(segment, 5, 5)) if part) or None,
        )
        self.charge = charge
        if self.summary:
            return  # sums up what was charged before
        if charge.kind not in ("A", "C"):
            severity: Severity = "warning" if self.line is not None else "error"
            words = f"{charge.kind[:5]!r} is neither a charge (C) nor an allowance (A)"
            self.body.report(severity, "unreadable_value", at, "ALC01.1", words)
        (self.line.charges if self.line is not None else self.found.charges).append(charge)

    def pcd(self, at: int, segment: Segment) -> None:
        if self.charge is not None and self.charge.percent is None:
            self.charge.percent = common.number_or_report(self.body, at, 1, 2)

    def taxed(self, at: int, segment: Segment) -> None:
        charge = self.charge
        if charge is None:
            self.close("")
        self.tax = common.read_tax(self.body, at)
        if charge is not None:
            if not self.summary:
                charge.taxes.append(self.tax)
        elif self.line is not None and not self.summary:
            self.line.taxes.append(self.tax)
        else:
            self.found.taxes.append(self.tax)

    def moa(self, at: int, segment: Segment) -> None:
        if self.place in ("pat", "tdt"):
            return
        amount = common.amount_or_report(self.body, at)
        if amount is None:
            return
        if self.tax is not None and not (self.summary and amount.qualifier in _TOTALS):
            self._add(at, self.tax.amounts, amount)
        elif self.charge is not None:
            if not self.summary:
                self._add(at, self.charge.amounts, amount)
        elif self.line is not None and not self.summary:
            self._add(at, self.line.amounts, amount)
        else:
            self._add(at, self.found.amounts, amount)

    def _add(self, at: int, amounts: list[Amount], amount: Amount) -> None:
        for other in amounts:
            if (
                other.qualifier == amount.qualifier
                and other.currency == amount.currency
                and other.value != amount.value
            ):
                words = f"a second amount {amount.qualifier} that differs from the first: which one holds?"
                self.body.report("error", "conflicting_values", at, "MOA01.2", words)
                return
        amounts.append(amount)

    def uns(self, at: int, segment: Segment) -> None:
        self.close("")
        self.summary = True

    def group(self, at: int, segment: Segment) -> None:
        self.close({"PAT": "pat", "TDT": "tdt"}.get(segment[0][0], "other"))

    def close(self, place: str) -> None:
        """Ends the groups that are open; what follows belongs to `place`."""
        self.charge = self.tax = self.party = None
        self.place = place

    # -- what must agree ------------------------------------------------------------------------------------------

    def _totals(self) -> None:
        body, found = self.body, self.found
        currency = found.currency
        foreign = {
            amount.currency
            for amounts in (*(line.amounts for line in found.lines), *(c.amounts for c in found.charges))
            for amount in amounts
            if amount.currency not in (None, currency) and amount.qualifier in (*LINE_AMOUNTS, *CHARGE_AMOUNTS)
        }
        if foreign:
            words = f"charges in {', '.join(sorted(map(str, foreign)))} on a bill in {currency or 'no currency'}"
            body.report("error", "conflicting_values", 0, "MOA01.3", words)
        net, tax, gross = found.net_amount, found.tax_amount, found.gross_amount
        if net is not None and (found.lines or found.charges) and found.lines_total != net:
            words = f"the net amount is {net:f}, the charges sum to {found.lines_total:f}"
            body.report("warning", "lines_do_not_sum", 0, "MOA", words)
        if net is not None and gross is not None and net + (tax or Decimal(0)) != gross:
            words = f"{net:f} and tax of {tax or 0:f} are not the {gross:f} that is asked for"
            body.report("warning", "totals_differ", 0, "MOA", words)


_HANDLERS = {
    "BGM": _Parser.bgm,
    "DTM": _Parser.dtm,
    "CUX": _Parser.cux,
    "RFF": _Parser.reference,
    "NAD": _Parser.nad,
    "MEA": _Parser.measure,
    "CNT": _Parser.measure,
    "TSR": _Parser.service,
    "LIN": _Parser.lin,
    "PIA": _Parser.pia,
    "IMD": _Parser.imd,
    "QTY": _Parser.qty,
    "PRI": _Parser.pri,
    "ALC": _Parser.alc,
    "PCD": _Parser.pcd,
    "TAX": _Parser.taxed,
    "MOA": _Parser.moa,
    "UNS": _Parser.uns,
    "PAT": _Parser.group,
    "TDT": _Parser.group,
    "TOD": _Parser.group,
    "PAC": _Parser.group,
    "EQD": _Parser.group,
}


def parse(body: Body) -> Invoic | PartialInvoic:
    """Findings go to the body; whoever calls uses the invoice only if there is no error among them."""
    return _Parser(body).run()


def as_json(invoice: Invoic) -> dict[str, object]:
    def charge_json(charge: Charge) -> dict[str, object]:
        return {
            "charge_code": charge.code,
            "description": charge.description,
            "amount": common.number_text(charge.signed),
            "line_number": None,
            "references": common.references_json(charge.references),
        }

    return {
        "invoice_number": invoice.number,
        "document_code": invoice.document_code,
        "function": invoice.function,
        "currency": invoice.currency,
        "net_amount": common.number_text(invoice.net_amount),
        "tax_amount": common.number_text(invoice.tax_amount),
        "gross_amount": common.number_text(invoice.gross_amount),
        "lines_total": common.number_text(invoice.lines_total),
        "invoice_date": common.iso(invoice.invoice_date),
        "due_date": common.iso(invoice.due_date),
        "service_level": invoice.service_level,
        "dates": [
            {"qualifier": d.qualifier, "date": common.iso(d.date), "time": common.iso(d.time)} for d in invoice.dates
        ],
        "references": common.references_json(invoice.references),
        "parties": [common.party_json(party) for party in invoice.parties],
        "lines": [
            {
                "charge_code": charge_code(line, invoice.profile),
                "description": line.description,
                "amount": common.number_text(line.amount),
                "line_number": line.number,
                "references": common.references_json(line.references),
            }
            for line in invoice.lines
        ]
        + [charge_json(charge) for charge in invoice.charges],
        "amounts": common.amounts_json(invoice.amounts),
    }


def charge_code(line: LineItem, profile: EdifactProfile) -> str | None:
    """Which charge a line is, by the places that the profile names, in its order."""
    for place in profile.charge_code:
        found = {
            "lin": line.code,
            "pia": line.codes[0].code if line.codes else None,
            "imd": line.description_code,
        }[place]
        if found:
            return found
    return None
