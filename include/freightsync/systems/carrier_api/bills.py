"""A bill that a carrier or an audit platform sends to our API: JSON -> records, wrong fields by their name.

Body: one bill, or `{"invoices": [bill, …]}`. A bill: `invoice_number`, `invoice_on` (YYYY-MM-DD), `net_amount` (a
string), `lines` (a list of `{"code", "amount", …}`) are needed; see OPTIONAL and LINE for the rest. `kind` as in
`domain.invoices`; without `currency` that of the carrier's contract counts. An unknown field is refused by name: what a
sender took the trouble to write must not be silently lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from freightsync.domain.invoices import KINDS
from freightsync.systems.bill import Bill, BillLine, fits_the_books, keep
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Reader, Reject, load_json

FEED = "carrier.invoice_api"

TEXTS = (
    "corrects_number",
    "biller",
    "service_level",
    "shipment_reference",
    "bol_number",
    "pro_number",
    "po_number",
    "origin_postal",
    "destination_postal",
)
DATES = ("ship_on", "due_on")
OPTIONAL = (*TEXTS, *DATES, "scac", "kind", "currency", "weight_lb", "tax_amount", "gross_amount")
NEEDED = ("invoice_number", "invoice_on", "net_amount", "lines")
LINE_TEXTS = ("description", "shipment_reference", "pro_number", "bol_number", "order_number", "tax_code")
LINE = ("code", "amount", *LINE_TEXTS, "tax_rate", "tax_amount")


def parse_bills(content: bytes, *, scac: str, platform: str = "") -> dict[str, Parsed]:
    """A call's body. scac: the carrier that calls; '' for an audit platform, whose bills name their carrier."""
    parsed = Parsed()
    try:
        document = load_json(content)
    except ValueError as error:
        return {FEED: Parsed.nothing(UNREADABLE_FILE, f"not JSON ({error}): send it again")}
    if isinstance(document, Mapping) and "invoices" in document:
        items, path = document["invoices"], "invoices"
    else:
        items, path = [document], ""
    if not isinstance(items, list) or not items or not isinstance(document, Mapping):
        return {
            FEED: Parsed.nothing(UNREADABLE_FILE, "neither a bill nor a list of bills under 'invoices': send it again")
        }
    for index, item in enumerate(items):
        position = f"{path}[{index}]" if path else "bill"
        prefix = f"{path}[{index}]." if path else ""
        if not isinstance(item, Mapping):
            parsed.received()
            words = f"{position} is not an object"
            parsed.rejects.append(
                Reject(parsed.units, position, (UNREADABLE_VALUE,), (words,), json.dumps(item, default=str))
            )
            continue
        _bill(item, parsed, position, prefix, scac, platform)
    return {FEED: parsed}


def _bill(item: Mapping[str, Any], parsed: Parsed, position: str, prefix: str, scac: str, platform: str) -> None:
    read = Reader(item, prefix)
    read.problems += [
        f"{prefix}{name} is no field of a bill" for name in item if name not in OPTIONAL and name not in NEEDED
    ]
    texts = {name: read.text(name) for name in TEXTS}
    named = read.text("scac", required=not scac)
    if scac and named not in (None, scac):
        read.problems.append(f"{prefix}scac {named!r} is not the carrier that calls ({scac})")
    kind = read.text("kind") or ""
    if kind not in KINDS:
        read.problems.append(f"{prefix}kind {kind[:20]!r} is none of {', '.join(k for k in KINDS if k)}")
    lines = [_line(line, read, f"{prefix}lines[{n}].") for n, line in enumerate(read.objects("lines", required=True))]
    if isinstance(item.get("lines"), list) and not lines:
        read.problems.append(f"{prefix}lines is empty: what is charged?")
    bill = Bill(
        number=read.text("invoice_number", required=True),
        invoice_on=read.date("invoice_on", required=True),
        net_amount=read.number("net_amount", required=True),
        currency=read.text("currency"),
        kind=kind,
        scac=named,
        ship_on=read.date("ship_on"),
        due_on=read.date("due_on"),
        weight_lb=read.number("weight_lb"),
        tax_amount=read.number("tax_amount"),
        gross_amount=read.number("gross_amount"),
        lines=lines,
        **texts,
    )
    bill.biller = bill.biller or platform or None
    if bill.weight_lb is not None and bill.weight_lb != round(bill.weight_lb, 3):
        read.problems.append(f"{prefix}weight_lb {bill.weight_lb:f} is finer than a thousandth of a pound")
    net = bill.net_amount
    if not read.problems and net is not None and fits_the_books(net) and bill.lines_total != net:
        # the gate would find it as well; who calls can be told at once
        difference = net - bill.lines_total
        read.problems.append(
            f"{prefix}net_amount {net:f} differs from the sum of the lines {bill.lines_total:f} by {difference:f}"
        )
    if not read.problems and bill.gross_amount is not None and net is not None:
        tax = bill.tax or Decimal(0)
        if net + tax != bill.gross_amount:
            difference = bill.gross_amount - net - tax
            read.problems.append(
                f"{prefix}gross_amount {bill.gross_amount:f} differs from net_amount and tax by {difference:f}"
            )
    keep(
        bill,
        parsed,
        feed=FEED,
        scac=scac,
        position=position,
        raw=lambda: json.dumps(item, default=str),
        problems=read.problems,
    )


def _line(line: Mapping[str, Any], bill: Reader, prefix: str) -> BillLine:
    read = Reader(line, prefix)
    read.problems += [f"{prefix}{name} is no field of a line" for name in line if name not in LINE]
    out = BillLine(
        read.text("code", required=True),
        read.number("amount", required=True),
        tax_rate=read.number("tax_rate"),
        tax_amount=read.number("tax_amount"),
        **{name: read.text(name) for name in LINE_TEXTS},
    )
    bill.problems += read.problems
    return out
