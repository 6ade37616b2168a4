"""The business rules of EN 16931, each under its id of the standard, in our own words.

What an authority's validator says counts; this is for what we write, before anybody else sees it. Rules on text that
only a person can judge (BR-CO-05 to 08: a code and its words mean the same) are not here, nor those on Italian split
payment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from freightsync.formats.ubl import codes
from freightsync.formats.ubl.model import CENT, ZERO, AllowanceCharge, Invoice, Party, parts


@dataclass(frozen=True)
class Finding:
    """`rule`: the id of the standard, `structure` for what can't be read. `where`: in the terms of the model."""

    rule: str
    where: str
    words: str


@dataclass(frozen=True)
class _Rule:
    words: str
    broken: Callable[[Invoice], Iterable[str]]


_Broken = Callable[[Invoice], Iterable[str]]

RULES: dict[str, _Rule] = {}
"""Rule id → its words, and what it finds."""


def check(invoice: Invoice, only: Iterable[str] = ()) -> list[Finding]:
    """Everything that breaks a rule, in the order of the rules; `only`: these rules alone."""
    wanted = set(only)
    return [
        Finding(name, where, rule.words)
        for name, rule in RULES.items()
        if not wanted or name in wanted
        for where in rule.broken(invoice)
    ]


def _rule(name: str, words: str, broken: _Broken) -> None:
    assert name not in RULES, name
    RULES[name] = _Rule(words, broken)


def _each(values: Iterable[object], where: str, broken: Callable[..., bool]) -> Iterator[str]:
    for number, value in enumerate(values, 1):
        if broken(value):
            yield f"{where} {number}"


def _if(where: str, broken: Callable[[Invoice], bool]) -> _Broken:
    return lambda invoice: [where] if broken(invoice) else []


def _lines(broken: Callable[..., bool]) -> _Broken:
    return lambda invoice: _each(invoice.lines, "line", broken)


def _parts(is_charge: bool, broken: Callable[..., bool]) -> _Broken:
    kind = "charge" if is_charge else "allowance"
    return lambda invoice: _each((a for a in invoice.allowances if a.is_charge is is_charge), kind, broken)


def _line_parts(is_charge: bool, broken: Callable[..., bool]) -> _Broken:
    kind = "charge" if is_charge else "allowance"
    return lambda invoice: (
        f"line {number} {where}"
        for number, line in enumerate(invoice.lines, 1)
        for where in _each((a for a in line.allowances if a.is_charge is is_charge), kind, broken)
    )


def _subtotals(broken: Callable[..., bool]) -> _Broken:
    return lambda invoice: _each(invoice.subtotals, "VAT breakdown", broken)


# -- what must be there ---------------------------------------------------------------------------------------------

for _name, _words, _missing in (
    ("BR-01", "the specification that the invoice follows is named (BT-24)", lambda i: not i.customization_id),
    ("BR-02", "an invoice has a number (BT-1)", lambda i: not i.number),
    ("BR-03", "an invoice has a date of issue (BT-2)", lambda i: i.issued_on is None),
    ("BR-04", "an invoice says what type it is (BT-3)", lambda i: not i.type_code),
    ("BR-05", "an invoice names its currency (BT-5)", lambda i: not i.currency),
    ("BR-06", "the seller is named (BT-27)", lambda i: not i.seller.name),
    ("BR-07", "the buyer is named (BT-44)", lambda i: not i.buyer.name),
    ("BR-08", "the seller's address is given (BG-5)", lambda i: not i.seller.has_address),
    ("BR-09", "the seller's address has a country (BT-40)", lambda i: i.seller.has_address and not i.seller.country),
    ("BR-10", "the buyer's address is given (BG-8)", lambda i: not i.buyer.has_address),
    ("BR-11", "the buyer's address has a country (BT-55)", lambda i: i.buyer.has_address and not i.buyer.country),
    ("BR-12", "the sum of line amounts is given (BT-106)", lambda i: i.totals.lines is None),
    ("BR-13", "the total without VAT is given (BT-109)", lambda i: i.totals.net is None),
    ("BR-14", "the total with VAT is given (BT-112)", lambda i: i.totals.gross is None),
    ("BR-15", "the amount due is given (BT-115)", lambda i: i.totals.payable is None),
    ("BR-16", "an invoice has a line (BG-25)", lambda i: not i.lines),
    ("BR-17", "a payee that is not the seller is named (BT-59)", lambda i: i.payee is not None and not i.payee.name),
):  # fmt: skip
    _rule(_name, _words, _if("document", _missing))


def _representative(broken: Callable[[Party], bool]) -> _Broken:
    return _if("tax representative", lambda i: i.tax_representative is not None and broken(i.tax_representative))


_rule("BR-18", "a tax representative is named (BT-62)", _representative(lambda p: not p.name))
_rule("BR-19", "a tax representative's address is given (BG-12)", _representative(lambda p: not p.has_address))
_rule(
    "BR-20",
    "a tax representative's address has a country (BT-69)",
    _representative(lambda p: p.has_address and not p.country),
)
_rule("BR-21", "a line has an identifier (BT-126)", _lines(lambda x: not x.line_id))
_rule("BR-22", "a line has a quantity (BT-129)", _lines(lambda x: x.quantity is None))
_rule("BR-23", "a line's quantity has a unit (BT-130)", _lines(lambda x: not x.unit))
_rule("BR-24", "a line has a net amount (BT-131)", _lines(lambda x: x.net is None))
_rule("BR-25", "a line names what was sold (BT-153)", _lines(lambda x: not x.name))
_rule("BR-26", "a line has a net price (BT-146)", _lines(lambda x: x.price is None))
_rule("BR-27", "a net price is not negative (BT-146)", _lines(lambda x: x.price is not None and x.price < 0))
_rule(
    "BR-28",
    "a gross price is not negative (BT-148)",
    _lines(lambda x: x.gross_price is not None and x.gross_price < 0),
)


def _ends_before(period: object) -> bool:
    start, end = getattr(period, "period_start", None), getattr(period, "period_end", None)
    return start is not None and end is not None and end < start


_rule("BR-29", "the invoicing period ends on or after its first day (BT-74)", _if("period", _ends_before))
_rule("BR-30", "a line's period ends on or after its first day (BT-135)", _lines(_ends_before))


def _unsaid(part: AllowanceCharge) -> bool:
    return not part.reason and not part.reason_code


for _amount, _category, _reason, _kind, _charge in (
    ("BR-31", "BR-32", "BR-33", "allowance", False),
    ("BR-36", "BR-37", "BR-38", "charge", True),
):
    _rule(_amount, f"a document level {_kind} has an amount", _parts(_charge, lambda a: a.amount is None))
    _rule(_category, f"a document level {_kind} has a VAT category", _parts(_charge, lambda a: not a.category))
    _rule(_reason, f"a document level {_kind} has a reason or its code", _parts(_charge, _unsaid))
for _amount, _reason, _kind, _charge in (("BR-41", "BR-42", "allowance", False), ("BR-43", "BR-44", "charge", True)):
    _rule(_amount, f"a line's {_kind} has an amount", _line_parts(_charge, lambda a: a.amount is None))
    _rule(_reason, f"a line's {_kind} has a reason or its code", _line_parts(_charge, _unsaid))

_rule("BR-45", "a VAT breakdown has a taxable amount (BT-116)", _subtotals(lambda x: x.base is None))
_rule("BR-46", "a VAT breakdown has a tax amount (BT-117)", _subtotals(lambda x: x.tax is None))
_rule("BR-47", "a VAT breakdown has a category (BT-118)", _subtotals(lambda x: not x.category))
_rule(
    "BR-48",
    "a VAT breakdown has a rate, unless it is not subject to VAT (BT-119)",
    _subtotals(lambda x: x.rate is None and x.category != "O"),
)


def _means(broken: Callable[..., bool]) -> _Broken:
    return lambda invoice: _each(invoice.payment_means, "payment means", broken)


_rule("BR-49", "payment means have a code (BT-81)", _means(lambda m: not m.code))
_rule("BR-50", "an account that is given has its number (BT-84)", _means(lambda m: m.has_account and not m.account))
_rule(
    "BR-51",
    "of a card's number only the last 4 to 6 digits are shown (BT-87)",
    _means(lambda m: bool(m.card_number) and not 4 <= len(m.card_number) <= 6),
)
_rule(
    "BR-52",
    "a supporting document has a reference (BT-122)",
    lambda i: _each(i.documents, "document", lambda d: not d[0]),
)
_rule(
    "BR-53",
    "where VAT is accounted in another currency, its total in that currency is given (BT-111)",
    _if(
        "document", lambda i: bool(i.tax_currency) and i.tax_currency != i.currency and i.totals.tax_accounting is None
    ),
)
_rule(
    "BR-54",
    "an attribute of an item has a name and a value (BT-160, BT-161)",
    _lines(lambda x: any(not name or not value for name, value in x.attributes)),
)
_rule(
    "BR-55",
    "a preceding invoice is named by its number (BT-25)",
    lambda i: _each(i.preceding, "preceding", lambda p: not p.number),
)
_rule("BR-56", "a tax representative has a VAT number (BT-63)", _representative(lambda p: not p.tax_id))
_rule(
    "BR-57",
    "a delivery address has a country (BT-80)",
    _if("delivery", lambda i: i.delivery is not None and i.delivery.has_address and not i.delivery.country),
)
_rule(
    "BR-61",
    "a credit transfer names the account (BT-84)",
    _means(lambda m: m.code in ("30", "58") and not m.account),
)
_rule(
    "BR-62",
    "the seller's electronic address has a scheme (BT-34)",
    _if("seller", lambda i: bool(i.seller.endpoint) and not i.seller.endpoint_scheme),
)
_rule(
    "BR-63",
    "the buyer's electronic address has a scheme (BT-49)",
    _if("buyer", lambda i: bool(i.buyer.endpoint) and not i.buyer.endpoint_scheme),
)
_rule(
    "BR-64",
    "a standard item number has a scheme (BT-157)",
    _lines(lambda x: bool(x.standard_item_id) and not x.standard_item_scheme),
)
_rule(
    "BR-65",
    "an item's classification names its list (BT-158)",
    _lines(lambda x: bool(x.classification) and not x.classification_list),
)

# -- what must agree ------------------------------------------------------------------------------------------------


def _tax_of(base: Decimal, rate: Decimal | None) -> Decimal:
    return (base * (rate or ZERO) / 100).quantize(CENT, ROUND_HALF_UP)


def _is_off(tax: Decimal | None, base: Decimal | None, rate: Decimal | None) -> bool:
    """By more than a cent. A cent is what a correction may carry: it is the difference of two roundings."""
    return tax is not None and base is not None and abs(tax - _tax_of(base, rate)) > CENT


def _sum(values: Iterable[Decimal | None]) -> Decimal:
    return sum((value or ZERO for value in values), ZERO)


def _differs(total: Decimal | None, found: Decimal) -> bool:
    return total is not None and total != found


def _vat_numbers(invoice: Invoice) -> Iterator[tuple[str, str]]:
    for who, party in (
        ("seller", invoice.seller),
        ("tax representative", invoice.tax_representative),
        ("buyer", invoice.buyer),
    ):
        if party is not None and party.tax_id:
            yield who, party.tax_id


_rule(
    "BR-CO-03",
    "the tax point is a date or a code, not both (BT-7, BT-8)",
    _if("document", lambda i: i.tax_point_on is not None and bool(i.tax_point_code)),
)
_rule("BR-CO-04", "a line has a VAT category (BT-151)", _lines(lambda x: not x.category))
_rule(
    "BR-CO-09",
    "a VAT number begins with its country (EL for Greece)",
    lambda i: (who for who, number in _vat_numbers(i) if number[:2] not in codes.VAT_PREFIXES),
)
_rule(
    "BR-CO-10",
    "the sum of line amounts is the sum of the lines (BT-106)",
    _if("totals", lambda i: _differs(i.totals.lines, _sum(x.net for x in i.lines))),
)
_rule(
    "BR-CO-11",
    "the sum of allowances is the sum of the document's allowances (BT-107)",
    _if(
        "totals",
        lambda i: _sum([i.totals.allowances]) != _sum(a.amount for a in i.allowances if not a.is_charge),
    ),
)
_rule(
    "BR-CO-12",
    "the sum of charges is the sum of the document's charges (BT-108)",
    _if("totals", lambda i: _sum([i.totals.charges]) != _sum(a.amount for a in i.allowances if a.is_charge)),
)
_rule(
    "BR-CO-13",
    "the total without VAT is lines less allowances plus charges (BT-109)",
    _if(
        "totals",
        lambda i: _differs(
            i.totals.net, _sum([i.totals.lines]) - _sum([i.totals.allowances]) + _sum([i.totals.charges])
        ),
    ),
)
_rule(
    "BR-CO-14",
    "total VAT is the sum of the breakdown (BT-110)",
    _if("totals", lambda i: bool(i.subtotals) and _sum([i.totals.tax]) != _sum(s.tax for s in i.subtotals)),
)
_rule(
    "BR-CO-15",
    "the total with VAT is the total without plus VAT (BT-112)",
    _if("totals", lambda i: _differs(i.totals.gross, _sum([i.totals.net]) + _sum([i.totals.tax]))),
)
_rule(
    "BR-CO-16",
    "the amount due is the total with VAT less what was paid plus rounding (BT-115)",
    _if(
        "totals",
        lambda i: _differs(
            i.totals.payable, _sum([i.totals.gross]) - _sum([i.totals.prepaid]) + _sum([i.totals.rounding])
        ),
    ),
)
_rule(
    "BR-CO-17",
    "a category's VAT is its taxable amount by its rate, rounded to cents (BT-117)",
    _subtotals(lambda s: _is_off(s.tax, s.base, s.rate)),
)
_rule("BR-CO-18", "an invoice has a VAT breakdown (BG-23)", _if("document", lambda i: not i.subtotals))
_rule(
    "BR-CO-19",
    "an invoicing period has a first or a last day (BG-14)",
    _if("period", lambda i: i.has_period and i.period_start is None and i.period_end is None),
)
_rule(
    "BR-CO-20",
    "a line's period has a first or a last day (BG-26)",
    _lines(lambda x: x.has_period and x.period_start is None and x.period_end is None),
)
for _name, _charge, _where in (
    ("BR-CO-21", False, _parts),
    ("BR-CO-22", True, _parts),
    ("BR-CO-23", False, _line_parts),
    ("BR-CO-24", True, _line_parts),
):
    _kind = "charge" if _charge else "allowance"
    _level = "document level" if _where is _parts else "line's"
    _rule(_name, f"a {_level} {_kind} says why, in words or as a code", _where(_charge, _unsaid))
_rule(
    "BR-CO-25",
    "where something is due, it is said when: a due date or payment terms (BT-9, BT-20)",
    _if(
        "document",
        lambda i: i.totals.payable is not None and i.totals.payable > 0 and i.due_on is None and not i.payment_terms,
    ),
)
_rule(
    "BR-CO-26",
    "the seller can be identified: by an identifier, a registration or a VAT number (BT-29, BT-30, BT-31)",
    _if("seller", lambda i: not (i.seller.identifiers or i.seller.legal_id or i.seller.tax_id)),
)

# -- decimals ---------------------------------------------------------------------------------------------------------


def _too_fine(value: Decimal | None) -> bool:
    if value is None:
        return False
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -2


for _name, _what, _of in (
    ("BR-DEC-09", "the sum of line amounts", "lines"),
    ("BR-DEC-10", "the sum of allowances", "allowances"),
    ("BR-DEC-11", "the sum of charges", "charges"),
    ("BR-DEC-12", "the total without VAT", "net"),
    ("BR-DEC-13", "total VAT", "tax"),
    ("BR-DEC-14", "the total with VAT", "gross"),
    ("BR-DEC-15", "total VAT in the accounting currency", "tax_accounting"),
    ("BR-DEC-16", "the amount paid", "prepaid"),
    ("BR-DEC-17", "the rounding amount", "rounding"),
    ("BR-DEC-18", "the amount due", "payable"),
):
    _rule(
        _name,
        f"{_what} has at most two decimals",
        _if("totals", lambda i, _of=_of: _too_fine(getattr(i.totals, _of))),  # type: ignore[misc]
    )
for _amount, _base, _charge in (("BR-DEC-01", "BR-DEC-02", False), ("BR-DEC-05", "BR-DEC-06", True)):
    _kind = "charge" if _charge else "allowance"
    _rule(_amount, f"a document level {_kind} has at most two decimals", _parts(_charge, lambda a: _too_fine(a.amount)))
    _rule(_base, f"its base has at most two decimals ({_kind})", _parts(_charge, lambda a: _too_fine(a.base)))
_rule("BR-DEC-19", "a taxable amount has at most two decimals", _subtotals(lambda s: _too_fine(s.base)))
_rule("BR-DEC-20", "a category's VAT has at most two decimals", _subtotals(lambda s: _too_fine(s.tax)))
_rule("BR-DEC-23", "a line's net amount has at most two decimals", _lines(lambda x: _too_fine(x.net)))
for _amount, _base, _charge in (("BR-DEC-24", "BR-DEC-25", False), ("BR-DEC-27", "BR-DEC-28", True)):
    _kind = "charge" if _charge else "allowance"
    _rule(_amount, f"a line's {_kind} has at most two decimals", _line_parts(_charge, lambda a: _too_fine(a.amount)))
    _rule(
        _base,
        f"the base of a line's {_kind} has at most two decimals",
        _line_parts(_charge, lambda a: _too_fine(a.base)),
    )

# -- code lists --------------------------------------------------------------------------------------------------------


def _unknown(value: str, known: Iterable[str]) -> bool:
    return bool(value) and value not in known


_rule(
    "BR-CL-01",
    "the type is a code of UNTDID 1001 for invoices or credit notes",
    _if("document", lambda i: _unknown(i.type_code, codes.INVOICE_TYPES | codes.CREDIT_TYPES)),
)
_rule(
    "BR-CL-04",
    "the invoice's currency is a code of ISO 4217",
    _if("document", lambda i: _unknown(i.currency, codes.CURRENCIES)),
)
_rule(
    "BR-CL-05",
    "the tax currency is a code of ISO 4217",
    _if("document", lambda i: _unknown(i.tax_currency, codes.CURRENCIES)),
)


def _countries(invoice: Invoice) -> Iterator[str]:
    for who, place in (
        ("seller", invoice.seller),
        ("buyer", invoice.buyer),
        ("tax representative", invoice.tax_representative),
        ("delivery", invoice.delivery),
    ):
        if place is not None and _unknown(place.country, codes.COUNTRIES):
            yield who


_rule("BR-CL-14", "a country is a code of ISO 3166-1", _countries)
_rule(
    "BR-CL-16",
    "payment means are a code of UNTDID 4461",
    _means(lambda m: _unknown(m.code, codes.PAYMENT_MEANS)),
)
_rule(
    "BR-CL-17",
    "a breakdown's category is one that EN 16931 knows",
    _subtotals(lambda s: _unknown(s.category, codes.CATEGORIES)),
)
_rule(
    "BR-CL-18",
    "a line's category is one that EN 16931 knows",
    _lines(lambda x: _unknown(x.category, codes.CATEGORIES)),
)
_rule(
    "BR-CL-19",
    "an allowance's reason is a code of UNTDID 5189",
    _parts(False, lambda a: _unknown(a.reason_code, codes.ALLOWANCE_REASONS)),
)
_rule(
    "BR-CL-20",
    "a charge's reason is a code of UNTDID 7161",
    _parts(True, lambda a: _unknown(a.reason_code, codes.CHARGE_REASONS)),
)
_rule(
    "BR-CL-22",
    "an exemption's reason is a VATEX code",
    _subtotals(lambda s: _unknown(s.reason_code.upper(), codes.VATEX)),
)
_rule("BR-CL-23", "a unit is a code of Recommendation 20 or 21", _lines(lambda x: _unknown(x.unit, codes.UNITS)))
_rule(
    "BR-CL-25",
    "an electronic address has a scheme of the EAS list",
    lambda i: (
        who
        for who, party in (("seller", i.seller), ("buyer", i.buyer))
        if _unknown(party.endpoint_scheme, codes.ENDPOINTS)
    ),
)

# -- VAT categories ----------------------------------------------------------------------------------------------------

_TAXED = ("S", "L", "M")


def _has_rep(invoice: Invoice) -> bool:
    return invoice.tax_representative is not None and bool(invoice.tax_representative.tax_id)


def _seller_ok(invoice: Invoice) -> bool:
    return bool(invoice.seller.tax_id or invoice.seller.tax_registration) or _has_rep(invoice)


def _ae_ok(invoice: Invoice) -> bool:
    return _seller_ok(invoice) and bool(invoice.buyer.tax_id or invoice.buyer.legal_id)


def _vat_ok(invoice: Invoice) -> bool:
    return bool(invoice.seller.tax_id) or _has_rep(invoice)


def _k_ok(invoice: Invoice) -> bool:
    return _vat_ok(invoice) and bool(invoice.buyer.tax_id)


def _o_ok(invoice: Invoice) -> bool:
    return not (invoice.seller.tax_id or invoice.buyer.tax_id or _has_rep(invoice))


_IDS: Mapping[str, tuple[Callable[[Invoice], bool], str]] = {
    "S": (_seller_ok, "the seller's VAT number, tax registration or representative"),
    "Z": (_seller_ok, "the seller's VAT number, tax registration or representative"),
    "E": (_seller_ok, "the seller's VAT number, tax registration or representative"),
    "L": (_seller_ok, "the seller's VAT number, tax registration or representative"),
    "M": (_seller_ok, "the seller's VAT number, tax registration or representative"),
    "AE": (_ae_ok, "the seller's tax number and the buyer's VAT number or registration"),
    "K": (_k_ok, "the seller's and the buyer's VAT numbers"),
    "G": (_vat_ok, "the seller's VAT number or representative"),
    "O": (_o_ok, "no VAT number of anybody"),
}
_PREFIX = {"K": "IC", "L": "AF", "M": "AG"}
_NAME = {
    "S": "standard rated", "Z": "zero rated", "E": "exempt", "AE": "reverse charge", "K": "intra-Community",
    "G": "export", "O": "not subject to VAT", "L": "IGIC", "M": "IPSI",
}  # fmt: skip


def _uses(invoice: Invoice, category: str) -> bool:
    return any(found == category for found, _, _ in parts(invoice))


def _breakdowns(invoice: Invoice, category: str) -> int:
    return sum(s.category == category for s in invoice.subtotals)


def _miscounted(category: str) -> Callable[[Invoice], bool]:
    if category in _TAXED:  # one a rate
        return lambda i: _uses(i, category) != (_breakdowns(i, category) > 0)
    return lambda i: _breakdowns(i, category) != (1 if _uses(i, category) else 0)


def _wrong_rate(category: str) -> Callable[..., bool]:
    def wrong(part: AllowanceCharge) -> bool:
        if part.category != category:
            return False
        if category == "O":
            return part.rate is not None
        if category == "S":
            return part.rate is None or part.rate <= 0
        if category in _TAXED:
            return part.rate is None or part.rate < 0
        return part.rate is None or part.rate != 0

    return wrong


def _unequal_base(category: str) -> _Broken:
    def broken(invoice: Invoice) -> Iterator[str]:
        for number, subtotal in enumerate(invoice.subtotals, 1):
            if subtotal.category != category:
                continue
            same = [
                amount
                for found, rate, amount in parts(invoice)
                if found == category and (category not in _TAXED or rate == subtotal.rate)
            ]
            if _differs(subtotal.base, _sum(same)):
                yield f"VAT breakdown {number}"

    return broken


def _wrong_tax(category: str) -> Callable[..., bool]:
    if category in _TAXED:
        return lambda s: s.category == category and _is_off(s.tax, s.base, s.rate)
    return lambda s: s.category == category and s.tax is not None and s.tax != 0


def _wrong_reason(category: str) -> Callable[..., bool]:
    if category in (*_TAXED, "Z"):
        return lambda s: s.category == category and bool(s.reason or s.reason_code)
    return lambda s: s.category == category and not (s.reason or s.reason_code)


def _needs_ids(category: str, used: Callable[[Invoice], bool]) -> _Broken:
    is_ok = _IDS[category][0]
    return _if("parties", lambda i: used(i) and not is_ok(i))


def _category_rules(category: str) -> None:
    prefix, name, needed = f"BR-{_PREFIX.get(category, category)}", _NAME[category], _IDS[category][1]
    rate = {"S": "above 0", "O": "that is not given", "L": "of 0 or more", "M": "of 0 or more"}.get(category, "of 0")
    once = "a" if category in _TAXED else "exactly one"
    _rule(
        f"{prefix}-01",
        f"what is {name} has {once} VAT breakdown, and only then",
        _if("VAT breakdown", _miscounted(category)),
    )
    for number, kind, used in (
        ("02", "line", lambda i: any(x.category == category for x in i.lines)),
        ("03", "allowance", lambda i: any(a.category == category and not a.is_charge for a in i.allowances)),
        ("04", "charge", lambda i: any(a.category == category and a.is_charge for a in i.allowances)),
    ):
        _rule(f"{prefix}-{number}", f"a {kind} that is {name} needs {needed}", _needs_ids(category, used))
    wrong = _wrong_rate(category)
    _rule(f"{prefix}-05", f"a line that is {name} has a rate {rate}", _lines(wrong))
    _rule(f"{prefix}-06", f"an allowance that is {name} has a rate {rate}", _parts(False, wrong))
    _rule(f"{prefix}-07", f"a charge that is {name} has a rate {rate}", _parts(True, wrong))
    _rule(
        f"{prefix}-08",
        f"the taxable amount of what is {name} is the sum of its lines, less allowances, plus charges",
        _unequal_base(category),
    )
    tax = "is its taxable amount by its rate" if category in _TAXED else "is 0"
    _rule(f"{prefix}-09", f"the VAT of what is {name} {tax}", _subtotals(_wrong_tax(category)))
    told = "gives no reason for an exemption" if category in (*_TAXED, "Z") else "says why no VAT is charged"
    _rule(f"{prefix}-10", f"the breakdown of what is {name} {told}", _subtotals(_wrong_reason(category)))


for _one in codes.CATEGORIES:
    _category_rules(_one)

_rule(
    "BR-IC-11",
    "an intra-Community supply says when it was delivered, or its period (BT-72, BG-14)",
    _if(
        "document",
        lambda i: (
            _breakdowns(i, "K") > 0
            and (i.delivery is None or i.delivery.on is None)
            and i.period_start is None
            and i.period_end is None
        ),
    ),
)
_rule(
    "BR-IC-12",
    "an intra-Community supply says to which country it was delivered (BT-80)",
    _if("document", lambda i: _breakdowns(i, "K") > 0 and (i.delivery is None or not i.delivery.country)),
)


def _beside_o(values: Callable[[Invoice], Iterable[str]]) -> Callable[[Invoice], bool]:
    return lambda i: _breakdowns(i, "O") > 0 and any(category != "O" for category in values(i))


for _name, _kind, _values in (
    ("BR-O-11", "breakdown", lambda i: (s.category for s in i.subtotals)),
    ("BR-O-12", "line", lambda i: (x.category for x in i.lines)),
    ("BR-O-13", "allowance", lambda i: (a.category for a in i.allowances if not a.is_charge)),
    ("BR-O-14", "charge", lambda i: (a.category for a in i.allowances if a.is_charge)),
):
    _rule(
        _name,
        f"an invoice not subject to VAT has no {_kind} that is",
        _if("document", _beside_o(_values)),
    )
