"""Carriers' bills explained line by line, as one page that a person can check with a calculator.

The page is a file of its own: no script, no font or picture from elsewhere; it prints one bill after the other. Every
calculation on it is written out with its result (`calc`), every table that is added up ends in its sums, and a table
whose columns make each other up says so in its caption; tests read all three from the page and calculate again. Text
that a partner wrote is escaped, always.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from html import escape

from freightsync.reports.explained import Bill, Charge, Explained, Link, Posted
from freightsync.reports.settlement_sheets import MODES
from freightsync.reports.workbook import WORDS

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
KEYS = {"shipment_reference": "shipment number", "bol": "bill of lading", "pro": "PRO number", "po": "order number"}
CORRECTIONS = {
    "": "first bill",
    "BD": "balance due",
    "SU": "supplemental bill",
    "CO": "correction",
    "AD": "adjustment",
    "RB": "rebill",
    "CA": "cancellation",
    "CR": "credit",
    "RF": "rebuttal",
    "RP": "rebuttal",
}
EFFECTS = {
    "payable": "freight cost, owed to the carrier",
    "claim": "claimed back from the carrier",
    "accrual": "accrual taken back",
    "exchange": "what the exchange rate moved",
}
GOOD = ("exact", "in_tolerance", "approved", "agreed", "audited", "cancellation")
BAD = (
    "self_billed",
    "duplicate_self_bill",
    "out_of_tolerance",
    "unplanned_charge",
    "duplicate_charge",
    "no_account",
    "duplicate_number",
    "duplicate_move",
)


def page(
    bills: Sequence[Explained], *, as_of: datetime, title: str, shows: Sequence[Sequence[str]] | None = None
) -> str:
    """The whole document. shows: what each bill is an example of, in the bills' order."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        '<a class="skip" href="#bills">To the bills</a>',
        f'<header class="top"><h1>{escape(title)}</h1>',
        f"<p>As it stood on {as_of.astimezone(UTC):%-d %B %Y at %H:%M} UTC. Nothing on this page is worked out for the "
        "page: each figure is a row of the decisions or of the ledger, and between them the arithmetic is written out. "
        "Take a calculator: whatever stands left of an equals sign makes what stands right of it.</p>",
        "<p>Every cent of a bill is in one of four places: <b>paid</b>, <b>disputed</b> (beyond what is owed, not "
        "agreed on), <b>rejected</b> (never to be paid) or <b>waiting</b> (for delivery, a person, or another "
        "document). Percentages and rates are exact; a result is rounded to the cent once, half up.</p></header>",
        _index(bills, shows),
        '<main id="bills">',
        *(_article(n, found) for n, found in enumerate(bills, 1)),
        "</main>",
        '<footer class="end">freightsync: each verdict with the rule that made it. The same figures are in the '
        "reconciliation workbook, sheets Carrier invoices, Matches and variances, and Postings.</footer>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


# -- small parts ----------------------------------------------------------------------------------------------------


def money(amount: Decimal) -> str:
    """1,234.50, with a true minus; more than two decimals only where there are."""
    exact = amount.normalize()
    places = max(2, -int(exact.as_tuple().exponent)) if exact else 2
    return f"{amount:,.{places}f}".replace("-", "−")


def plain(number: Decimal) -> str:
    """A rate or percentage without needless zeros."""
    return f"{number.normalize():f}".replace("-", "−")


def calc(text: str, why: str = "") -> str:
    """One calculation, to be read and done again; `why` comes before it."""
    label = f'<span class="why">{escape(why)}</span> ' if why else ""
    return f'<p class="calc">{label}<span class="sum">{escape(text)}</span></p>'


def _signed(first: Decimal, rest: Iterable[Decimal]) -> str:
    """a + b − c"""
    text = money(first)
    for amount in rest:
        text += f" − {money(-amount)}" if amount < 0 else f" + {money(amount)}"
    return text


def _less(first: Decimal, second: Decimal) -> str:
    """a − b, in brackets where b is below zero."""
    return f"{money(first)} − {money(second)}" if second >= 0 else f"{money(first)} − ({money(second)})"


def _table(
    caption: str,
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[Sequence[str | Decimal | None]],
    *,
    totals: bool = False,
    first: int = 0,
) -> str:
    """columns: heading, and whether it is a figure. With totals, each column of figures ends in its sum."""
    heads = "".join(f'<th scope="col"{_num(figure)}>{escape(name)}</th>' for name, figure in columns)
    body = []
    for row in rows:
        cells = []
        for n, (value, (_, figure)) in enumerate(zip(row, columns, strict=True)):
            text = money(value) if isinstance(value, Decimal) else (value or "")
            tag, scope = ("th", ' scope="row"') if n == first else ("td", "")
            cells.append(f"<{tag}{scope}{_num(figure)}>{escape(text)}</{tag}>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    foot = ""
    if totals:
        cells = []
        for n, (_, figure) in enumerate(columns):
            if figure:
                total = sum((value for row in rows if isinstance(value := row[n], Decimal)), ZERO)
                cells.append(f'<td class="num">{escape(money(total))}</td>')
            else:
                cells.append('<th scope="row">Sum</th>' if n == 0 else "<td></td>")
        foot = f"<tfoot><tr>{''.join(cells)}</tr></tfoot>"
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody>{foot}</table></div>"
    )


def _num(figure: bool) -> str:
    return ' class="num"' if figure else ""


def _shipment(shipment_id: str) -> str:
    return shipment_id.removeprefix("tms:")


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")


def _chip(verdict: str) -> str:
    tone = "good" if verdict in GOOD else "bad" if verdict in BAD else "wait"
    return f'<span class="chip {tone}">{escape(_words(verdict))}</span>'


# -- the page -------------------------------------------------------------------------------------------------------


def _index(bills: Sequence[Explained], shows: Sequence[Sequence[str]] | None) -> str:
    rows = []
    for n, found in enumerate(bills, 1):
        bill = found.bill
        what = ", ".join(kind.removeprefix("verdict: ") for kind in shows[n - 1]) if shows else bill.reason
        rows.append(
            f'<tr><th scope="row"><a href="#bill-{n}">{n}. {escape(bill.invoice_number)}</a></th>'
            f"<td>{escape(bill.scac)}</td><td>{escape(CORRECTIONS.get(bill.correction, bill.correction))}</td>"
            f'<td class="num">{escape(money(bill.net_amount))}</td><td>{escape(bill.currency)}</td>'
            f"<td>{_chip(bill.verdict)}</td><td>{escape(what)}</td></tr>"
        )
    return (
        '<nav aria-label="The bills"><table class="index"><caption>The bills on this page</caption><thead><tr>'
        '<th scope="col">Bill</th><th scope="col">Carrier</th><th scope="col">Kind</th>'
        '<th scope="col" class="num">Amount</th><th scope="col">Currency</th><th scope="col">Verdict</th>'
        f'<th scope="col">{"What it shows" if shows else "Why"}</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></nav>"
    )


def _article(n: int, found: Explained) -> str:
    bill = found.bill
    sections = [
        _billed(found),
        _matched(found),
        _standing(found),
        *(_compared(charge, found) for charge in found.charges),
        _placed(found),
        _posted(found),
        _said(found),
    ]
    return (
        f'<article id="bill-{n}" aria-labelledby="bill-{n}-title" data-bill="{escape(bill.carrier_invoice_id)}">'
        f'<header><p class="count">{n}</p><div><h2 id="bill-{n}-title">{escape(bill.scac)} '
        f"{escape(bill.invoice_number)}</h2>"
        f"<p>{escape(_head(bill))}</p></div>"
        f'<div class="total"><span>{escape(money(bill.net_amount))}</span> {escape(bill.currency)}</div></header>'
        f'<p class="verdict">{_chip(bill.verdict)} {escape(_why(bill))}.</p>{"".join(sections)}</article>'
    )


def _why(bill: Bill) -> str:
    """The verdict in words, and why; once, where the reason begins with the same words."""
    words = WORDS.get(bill.verdict, _words(bill.verdict))
    if bill.reason.lower().startswith(words.lower()):
        return bill.reason[:1].upper() + bill.reason[1:]
    return f"{words}: {bill.reason}"


def _head(bill: Bill) -> str:
    by = f", billed by {bill.billed_by}" if bill.billed_by != bill.scac else ""
    where = f", {bill.position}" if bill.position else ""
    return (
        f"{CORRECTIONS.get(bill.correction, bill.correction).capitalize()} of {bill.invoice_on}{by}; received "
        f"{bill.received_at:%Y-%m-%d %H:%M} UTC in {bill.document_name} ({bill.channel}{where})."
    )


def _section(title: str, *parts: str) -> str:
    inside = "".join(part for part in parts if part)
    return f"<section><h3>{escape(title)}</h3>{inside}</section>" if inside else ""


def _billed(found: Explained) -> str:
    bill = found.bill
    rows = [
        (
            str(line.line),
            line.partner_code,
            line.charge_code,
            line.description,
            line.shipment_reference or line.pro_number,
            line.line_amount,
        )
        for line in found.lines
    ]
    columns = [
        ("Line", False),
        ("Carrier's code", False),
        ("Our charge", False),
        ("Description", False),
        ("Names", False),
        ("Amount", True),
    ]
    used = [n for n in range(len(columns)) if n == 0 or columns[n][1] or any(row[n] for row in rows)]
    columns, shown = [columns[n] for n in used], [[row[n] for n in used] for row in rows]
    tax = ""
    if bill.tax_amount:
        tax = calc(f"{_signed(bill.net_amount, [bill.tax_amount])} = {money(bill.gross_amount)}", "Net + tax = to pay:")
    return _section("What the carrier bills", _table("Lines of the bill", columns, shown, totals=True), tax)


def _matched(found: Explained) -> str:
    parts = []
    for link in found.links:
        if len(found.links) > 1:
            name = link.match_unit.split(":", 1)[-1] or "lines without a name"
            parts.append(f"<h4>Part {escape(name)}: {escape(money(link.invoiced_amount))}</h4>")
        parts.append(_tried(link))
    return _section("Whose freight it is", *parts)


def _tried(link: Link) -> str:
    tried = link.keys_tried or (
        [{"key": link.matched_by, "value": link.matched_reference, "candidates": [link.shipment_id]}]
        if link.matched_by
        else []
    )
    if not tried:
        text = "<p>It names no reference that this carrier's bills are found by.</p>"
    else:
        rows = [
            (
                KEYS.get(entry["key"], str(entry["key"])),
                str(entry["value"]),
                " and ".join(_shipment(str(one)) for one in entry["candidates"]) or "nothing",
            )
            for entry in tried
        ]
        caption = "References tried in the carrier's order, until one finds anything: that one decides"
        text = _table(caption, (("Reference", False), ("On the bill", False), ("Finds", False)), rows)
    if link.outcome == "matched":
        end = f"<p>Exactly one shipment: <b>{escape(_shipment(str(link.shipment_id)))}</b>.</p>"
    elif link.outcome == "several_candidates":
        end = "<p>More than one shipment fits, and nothing is guessed: a person says which.</p>"
    else:
        end = "<p>No shipment fits, and nothing is guessed.</p>"
    if link.same_moves:
        moves = " and ".join(_shipment(move) for move in link.same_moves)
        end += f"<p>Origin, destination, day and weight are those of {escape(moves)}.</p>"
    return text + end


def _standing(found: Explained) -> str:
    bill = found.bill
    if bill.other_number is None:
        return ""
    said = {
        "duplicate_number": "The carrier has billed this number before. Capitals, punctuation, leading zeros and "
        "letters at the end do not make another number",
        "duplicate_move": "The same charges of the same move were billed before under another number",
        "replaced": "A rebill took its place",
        "cancelled": "The carrier cancelled it",
        "cancellation": "It cancels another bill, and asks for nothing itself",
    }.get(bill.verdict, "Another bill decides about it")
    rows = [
        ("this bill", bill.invoice_number, bill.normalized_number, str(bill.invoice_on)),
        ("the other", bill.other_number, bill.other_normalized, str(bill.other_on)),
    ]
    columns = (("", False), ("Number", False), ("Number, spelt plainly", False), ("Date", False))
    return _section("Whether it stands", f"<p>{escape(said)}.</p>", _table("The two bills", columns, rows))


def _compared(charge: Charge, found: Explained) -> str:
    """Expected, billed, the difference, and the rule that judges it."""
    parts = []
    if charge.planned_amount is None:
        parts.append("<p>Nobody planned this charge for the shipment.</p>")
    elif charge.planned_by == "rated" and charge.contract_arithmetic:
        parts.append(f"<p>The plan has no charges, so the contract says what it costs: {_contract(charge)}</p>")
    elif charge.contract_arithmetic and charge.contract_amount != charge.planned_amount:
        parts.append(f"<p>By the contract it would be: {_contract(charge)}</p>")
    before = [e for e in found.earlier if (e.shipment_id, e.charge_code) == (charge.shipment_id, charge.charge_code)]
    for earlier in before:
        kind = CORRECTIONS.get(earlier.correction, earlier.correction)
        parts.append(
            f"<p>Approved before: {escape(money(earlier.approved_amount))} on {escape(earlier.invoice_number)} "
            f"({escape(kind)} of {earlier.invoice_on}).</p>"
        )
    if len(before) > 1:
        amounts = [earlier.approved_amount for earlier in before]
        parts.append(
            calc(
                f"{_signed(amounts[0], amounts[1:])} = {money(charge.approved_before_amount)}",
                "Approved before, in all:",
            )
        )
    planned = charge.planned_amount or ZERO
    approved = charge.approved_before_amount
    parts.append(calc(f"{_less(planned, approved)} = {money(charge.expected_amount)}", "Planned − approved before:"))
    parts.append(
        calc(
            f"{_less(charge.invoiced_amount, charge.expected_amount)} = {money(charge.variance_amount)}",
            "Billed − expected:",
        )
    )
    parts.append(_rule(charge))
    parts.append(
        f'<p class="verdict">{_chip(charge.verdict)} {escape(charge.reason[:1].upper() + charge.reason[1:])}.</p>'
    )
    parts.append(_owed(charge, found.bill))
    title = f"{charge.charge_code} of {_shipment(charge.shipment_id)}: {money(charge.invoiced_amount)} billed"
    return _section(title, *parts)


def _contract(charge: Charge) -> str:
    amount = "" if charge.contract_amount is None else f", in all {money(charge.contract_amount)}"
    return f'<span class="quoted">{escape(charge.contract_arithmetic or "")}</span>{escape(amount)}.'


def _rule(charge: Charge) -> str:
    if charge.rule_id is None:
        return "<p>No tolerance rule is about this charge: nothing over plan is allowed.</p>"
    note = f" ({charge.rule_note})" if charge.rule_note else ""
    said = f"<p>Rule <b>{escape(charge.rule_id)}</b>, version {escape(charge.rule_version or '1')}{escape(note)}.</p>"
    if charge.planned_amount is None:
        if charge.unplanned_amount is None:
            return said
        return said + f"<p>On a second bill it accepts {escape(money(charge.unplanned_amount))} of it.</p>"
    if charge.is_credit:
        return "<p>A credit is always accepted; no tolerance is asked.</p>"
    parts = [said]
    for side, percent, amount, limit in (
        ("over", charge.over_percent, charge.over_amount, charge.tolerance_amount),
        ("under", charge.under_percent, charge.under_amount, charge.under_tolerance_amount),
    ):
        if limit is None:
            continue
        share = None if percent is None else abs(charge.planned_amount) * percent / 100
        if share is not None and abs(limit - share) < Decimal("0.0001"):
            limit = share  # the decision keeps four decimals of it
        if percent is not None and share is not None:
            text = f"{money(abs(charge.planned_amount))} × {plain(percent)} % = {money(share)}"
            parts.append(calc(text, f"Allowed {side}, by percentage:"))
        if share is not None and amount is not None:
            which = "larger" if charge.over_mode == "either" else "smaller"
            parts.append(calc(f"{which} of {money(share)} and {money(amount)} = {money(limit)}", f"Allowed {side}:"))
        elif amount is not None:
            parts.append(f"<p>Allowed {side}: {escape(money(amount))}.</p>")
        planned, before = charge.planned_amount, charge.approved_before_amount
        text = _signed(planned, [-before] if before else [])
        if side == "over":
            most = planned - before + limit
            parts.append(calc(f"{text} + {money(limit)} = {money(most)}", "So it may be at most:"))
        else:
            least = planned - before - limit
            parts.append(calc(f"{text} − {money(limit)} = {money(least)}", "So a first bill must be at least:"))
    return "".join(parts)


def _owed(charge: Charge, bill: Bill) -> str:
    if charge.verdict in ("exact", "in_tolerance", "approved"):
        return ""
    if charge.agreed_amount is not None:
        rest = calc(
            f"{_less(charge.invoiced_amount, charge.agreed_amount)} = "
            f"{money(charge.invoiced_amount - charge.agreed_amount)}",
            "Billed − agreed:",
        )
        return f"<p>Both sides agreed on {escape(money(charge.agreed_amount))}.</p>{rest}"
    mode = MODES.get(charge_mode := bill.dispute_mode, charge_mode)
    rest = calc(
        f"{_less(charge.invoiced_amount, charge.owed_amount)} = {money(charge.invoiced_amount - charge.owed_amount)}",
        "Billed − owed:",
    )
    return (
        f"<p>Of it {escape(money(charge.owed_amount))} is owed. What does not fit is {escape(mode)} with this carrier."
        f"</p>{rest}"
    )


def _placed(found: Explained) -> str:
    bill = found.bill
    rows: list[Sequence[str | Decimal | None]] = [
        (
            f"{_shipment(charge.shipment_id)} {charge.charge_code}",
            charge.invoiced_amount,
            charge.paid_amount,
            charge.disputed_amount,
            charge.rejected_amount,
            charge.pending_amount,
        )
        for charge in found.charges
    ]
    charged = sum((charge.invoiced_amount for charge in found.charges), ZERO)
    if charged != bill.net_amount:
        # lines that no shipment was found for
        rows.append(
            (
                "without a shipment",
                bill.net_amount - charged,
                ZERO,
                ZERO,
                bill.rejected_amount - sum((charge.rejected_amount for charge in found.charges), ZERO),
                bill.pending_amount - sum((charge.pending_amount for charge in found.charges), ZERO),
            )
        )
    columns = (
        ("Charge", False),
        ("Billed", True),
        ("Paid", True),
        ("Disputed", True),
        ("Rejected", True),
        ("Waiting", True),
    )
    parts = [_table("Billed = Paid + Disputed + Rejected + Waiting", columns, rows, totals=True)]
    if bill.auto_approve_amount is not None:
        parts.append(
            f"<p>Above {escape(money(bill.auto_approve_amount))} a person must say yes to a bill of this carrier.</p>"
        )
    if bill.claimed_amount or bill.recovered_amount:
        cost = bill.paid_amount - bill.claimed_amount + bill.recovered_amount
        parts.append(
            calc(
                f"{_less(bill.paid_amount, bill.claimed_amount)} + {money(bill.recovered_amount)} = {money(cost)}",
                "Paid − claimed back + credited for a claim = freight cost:",
            )
        )
    return _section("Where every cent goes", *parts)


def _posted(found: Explained) -> str:
    if not found.postings:
        return _section("What is booked", "<p>Nothing yet.</p>")
    rows: list[Sequence[str | Decimal | None]] = []
    foreign = any(p.currency != p.functional_currency for p in found.postings)
    for p in found.postings:
        about = f"{p.shipment_id or ''} {p.charge_code or ''}".strip()
        row: list[str | Decimal | None] = [
            f"{p.posted_on:%Y\u2011%m\u2011%d}",
            f"{EFFECTS.get(p.effect, p.effect)}: {about}",
            p.debit_account,
            p.credit_account,
            p.amount,
            p.currency,
        ]
        if foreign:
            row += [p.functional_amount, p.functional_currency]
        rows.append([*row, p.partner_number or _words(p.outcome)])
    columns: list[tuple[str, bool]] = [
        ("Day", False),
        ("What", False),
        ("Debit", False),
        ("Credit", False),
        ("Amount", True),
        ("Currency", False),
    ]
    if foreign:
        columns += [("In the books", True), ("Books", False)]
    columns.append(("ERP", False))
    parts = [_table("Postings that this bill caused, each debited and credited alike", columns, rows)]
    parts += [_taken_back(charge) for charge in found.charges if charge.reversal_amount]
    if foreign:
        parts += [_exchanged(charge) for charge in found.charges if charge.is_posted]
    parts.append(_owed_to_carrier(found))
    return _section("What is booked", *parts)


def _owed_to_carrier(found: Explained) -> str:
    """The payable's postings make what the table above calls paid."""
    payables = {p.credit_account for p in found.postings if p.effect in ("payable", "claim") and not _back(p, found)}
    sums: defaultdict[str, list[Decimal]] = defaultdict(list)
    for p in found.postings:
        if p.effect not in ("payable", "claim"):
            continue
        for account, sign in ((p.credit_account, 1), (p.debit_account, -1)):
            if account in payables:
                sums[account].append(sign * p.amount)
    text = ""
    for account, amounts in sorted(sums.items()):
        text += calc(
            f"{_signed(amounts[0], amounts[1:])} = {money(sum(amounts, ZERO))}",
            f"On account {account}, credits less debits; paid of this bill:",
        )
    return text


def _back(p: Posted, found: Explained) -> bool:
    """Whether a cost or claim was booked the other way round: of a credit, or taken back again."""
    accounts = [q.credit_account for q in found.postings if q.effect in ("payable", "claim")]
    accounts += [q.debit_account for q in found.postings if q.effect in ("payable", "claim")]
    return accounts.count(p.credit_account) < accounts.count(p.debit_account)


def _taken_back(charge: Charge) -> str:
    """How much of the accrual this bill takes back, and what is left of it."""
    name = f"{_shipment(charge.shipment_id)} {charge.charge_code}"
    left = charge.accrued_amount - charge.reversed_before_amount - charge.reversal_amount
    return calc(
        f"{_less(charge.accrued_amount, charge.reversed_before_amount)}"
        f" − {money(charge.reversal_amount) if charge.reversal_amount >= 0 else f'({money(charge.reversal_amount)})'}"
        f" = {money(left)}",
        f"{name}: accrued − taken back by earlier bills − by this one = still open:",
    )


def _exchanged(charge: Charge) -> str:
    """A foreign bill in the currency of the books: at its own day's rate, its accrual at the rate of then."""
    if charge.currency == charge.functional_currency or charge.exchange_rate is None:
        return ""
    name = f"{_shipment(charge.shipment_id)} {charge.charge_code}"
    rate, books = charge.exchange_rate, charge.functional_currency
    cost = charge.paid_amount - charge.claimed_amount + charge.recovered_amount
    parts = []
    if cost:
        parts.append(
            calc(f"{money(cost)} × {plain(rate)} = {money(_half_up(cost * rate))}", f"{name}, cost in {books}:")
        )
    if charge.reversal_amount:
        whole, in_books = charge.accrued_amount, charge.accrued_functional_amount
        before, after = charge.reversed_before_amount, charge.reversed_before_amount + charge.reversal_amount
        then = [_half_up(in_books * part / whole) if whole else ZERO for part in (before, after)]
        at = f" at {plain(charge.accrual_rate)} on {charge.accrued_on}" if charge.accrual_rate else ""
        parts.append(
            f"<p>{escape(name)} was accrued as {escape(money(whole))} {escape(charge.currency)} ="
            f" {escape(money(in_books))} {escape(books)}{escape(at)}; it leaves at that rate.</p>"
        )
        for part, value in zip((after, before), reversed(then), strict=True):
            if part:
                parts.append(
                    calc(f"{money(in_books)} × {money(part)} ÷ {money(whole)} = {money(value)}", "Part of it:")
                )
        if before:
            parts.append(
                calc(f"{_less(then[1], then[0])} = {money(charge.reversal_functional_amount)}", "This bill's:")
            )
        now = _half_up(charge.reversal_amount * rate)
        parts.append(
            calc(f"{money(charge.reversal_amount)} × {plain(rate)} = {money(now)}", "The same at the bill's rate:")
        )
        parts.append(
            calc(
                f"{_less(now, charge.reversal_functional_amount)} = {money(charge.exchange_difference_amount)}",
                "What the rate moved meanwhile, above zero a loss:",
            )
        )
    return "".join(parts)


def _half_up(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _said(found: Explained) -> str:
    if not found.words:
        return ""
    rows = [
        (
            f"{word.at.astimezone(UTC):%Y-%m-%d %H:%M}",
            "we" if word.party == "us" else "the carrier",
            _words(word.kind),
            word.by,
            word.what,
            word.note,
        )
        for word in found.words
    ]
    columns = tuple((name, False) for name in ("When (UTC)", "Who", "What", "By", "Amounts", "Note"))
    return _section("What was said about it", _table("Proposals, answers and approvals", columns, rows))


STYLE = """
:root{--navy:#1f3a5f;--ink:#1c2733;--grey:#55616f;--line:#d5dbe3;--pale:#f3f6fa;--good:#12683a;--good-bg:#ddf2e3;
--bad:#9b1c12;--bad-bg:#fbdad7;--wait:#6b4700;--wait-bg:#fdf0cf}
*{box-sizing:border-box}
body{margin:0 auto;max-width:66rem;padding:2.5rem 1.5rem 4rem;color:var(--ink);background:#fff;
font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1,h2,h3,h4{color:var(--navy);line-height:1.2;margin:0}
h1{font-size:1.9rem;letter-spacing:-.01em;margin-bottom:.75rem}
h2{font-size:1.3rem}
h3{font-size:1rem;margin:1.6rem 0 .5rem;padding-top:.9rem;border-top:1px solid var(--line)}
h4{font-size:.9rem;margin:.9rem 0 .2rem}
p{margin:.35rem 0;max-width:52rem}
a{color:#1f5fa8}
a:focus-visible{outline:3px solid #1f5fa8;outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:#fff;padding:.4rem .8rem}
.top{margin-bottom:2rem}
.top p{color:var(--grey)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.4rem 0 .6rem;font-size:.88rem}
caption{text-align:left;color:var(--grey);font-size:.82rem;padding:.2rem 0 .35rem}
th,td{padding:.34rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
thead th{color:var(--navy);font-weight:600;border-bottom:2px solid var(--navy);vertical-align:bottom}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tfoot td,tfoot th{font-weight:600;background:var(--pale);border-top:1px solid var(--navy);
border-bottom:1px solid var(--navy)}
.index{margin-bottom:2.5rem}
.index th a{font-weight:600;white-space:nowrap}
article{border:1px solid var(--line);border-radius:10px;padding:1.4rem 1.6rem 1.6rem;margin:0 0 2rem;
box-shadow:0 1px 3px rgba(31,58,95,.06)}
article>header{display:flex;gap:1rem;align-items:flex-start}
article>header>div:nth-child(2){flex:1}
article>header p{color:var(--grey);font-size:.88rem}
.count{margin:0;width:2.1rem;height:2.1rem;border-radius:50%;background:var(--navy);color:#fff!important;font-weight:600;
display:flex;align-items:center;justify-content:center;flex:none}
.total{color:var(--navy);font-size:1.05rem;white-space:nowrap}
.total span{font-size:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.verdict{margin:.7rem 0 .2rem}
.chip{display:inline-block;padding:.08rem .6rem;border-radius:1rem;font-size:.82rem;font-weight:600;white-space:nowrap;
background:var(--wait-bg);color:var(--wait);margin-right:.25rem}
.chip.good{background:var(--good-bg);color:var(--good)}
.chip.bad{background:var(--bad-bg);color:var(--bad)}
.calc{display:flex;flex-wrap:wrap;gap:0 1rem;max-width:none;margin:.15rem 0;padding:.14rem .6rem;background:var(--pale);
border-left:3px solid var(--navy)}
.why{flex:1 1 18rem;color:var(--grey)}
.sum{font-variant-numeric:tabular-nums;font-weight:600;white-space:nowrap}
.quoted{font-variant-numeric:tabular-nums;font-weight:600}
.end{color:var(--grey);font-size:.85rem;border-top:1px solid var(--line);padding-top:1rem}
@media print{
body{max-width:none;padding:0;font-size:10.5pt}
article{border:0;border-radius:0;box-shadow:none;padding:0;break-before:page}
section,tr,.calc{break-inside:avoid}
h3{break-after:avoid}
.skip{display:none}
a{color:inherit;text-decoration:none}
.scroll{overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
@page{margin:16mm 14mm}
"""
