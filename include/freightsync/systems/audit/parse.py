"""Results of a freight audit platform -> records: one unit an audited invoice, one line a charge.

A table comes by a mapping (`mappings/`, or the deployment's carrier folder; fields: FIELDS), a call as JSON
(`{"results": [{…, "charges": [{…}]}]}`, names as in landing). Amounts are without tax, in the currency of the bill.
"""

from __future__ import annotations

from collections.abc import Mapping as Values
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from freightsync.domain.invoices import KINDS
from freightsync.formats import tabular
from freightsync.formats.tabular import Mapping, MappingError, TabularError, Totals
from freightsync.systems import mapping_files
from freightsync.systems.bill import CORRECT_IT, fits_the_books, is_currency
from freightsync.systems.parsed import (
    UNREADABLE_FILE,
    UNREADABLE_VALUE,
    Parsed,
    Reader,
    Record,
    Reject,
    json_money,
    load_list,
    parse_each,
    plain_key,
)

FEED = "audit.invoice_result"
MAPPINGS = Path(__file__).parent / "mappings"
ACTIONS = ("approve", "short_pay", "reject")

HEADER = (
    "platform_reference",
    "revision",
    "audited_on",
    "scac",
    "invoice_number",
    "correction",
    "invoice_on",
    "shipment_reference",
    "pro_number",
    "action",
    "reason_code",
    "reason",
    "payee",
    "pay_on",
    "billed_amount",
    "audited_amount",
)
LINE = {
    "partner_code": "partner_code",
    "line_description": "description",
    "line_billed_amount": "billed_amount",
    "line_audited_amount": "audited_amount",
    "line_reason_code": "reason_code",
    "line_reason": "reason",
}
"""Field of a mapping -> column of landing."""
FIELDS = frozenset((*HEADER, "currency", *LINE))
NEEDED = ("platform_reference", "scac", "invoice_number", "action", "billed_amount", "audited_amount", "currency")


def mapping(name: str, folder: Path | None = None) -> Mapping:
    """A platform's mapping by its file's name: of the deployment's folder, else installed. Raises MappingError."""
    return _load(mapping_files.find(name, MAPPINGS, folder))


@lru_cache(maxsize=64)
def _load(path: Path) -> Mapping:
    document = mapping_files.load(path)
    try:
        found = Mapping.from_dict(document)
    except MappingError as error:
        raise MappingError(f"{path.name}: {error.message}") from None
    fields = {column.field for column in found.columns}
    if unknown := fields - FIELDS:
        raise MappingError(f"{path.name}: a result has no field {', '.join(sorted(unknown))}")
    if missing := set(NEEDED) - fields:
        raise MappingError(f"{path.name}: a result needs {', '.join(sorted(missing))}")
    if not found.group_by:
        raise MappingError(f"{path.name}: no group_by: which rows are one result?")
    return found


def parse_table(content: bytes, *, mapping: Mapping) -> Parsed:
    """The results of a file."""
    parsed = Parsed()
    try:
        for group in tabular.read_groups(content, mapping):
            if isinstance(group, Totals):
                continue
            if group.rejects:
                _reject(group, parsed)
                continue
            first = group.rows[0].values
            lines = [
                {column: row.values.get(field) for field, column in LINE.items()}
                for row in group.rows
                if row.values.get("partner_code") or row.values.get("line_audited_amount") is not None
            ]
            numbers = [row.number for row in group.rows]
            position = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]}-{numbers[-1]}"
            values = {name: first.get(name) for name in HEADER}
            currency = str(first.get("currency") or "").upper() or None
            raw = "\n".join(str(row.values) for row in group.rows)
            _keep(values, currency, lines, parsed, position, raw)
    except TabularError as error:
        return Parsed.nothing(UNREADABLE_FILE, str(error))
    return parsed


def _keep(
    values: dict[str, Any],
    currency: str | None,
    lines: Sequence[Values[str, Any]],
    parsed: Parsed,
    position: str,
    raw: str,
) -> None:
    problems = _problems(values, currency, lines)
    audited = values["audited_amount"]
    amount = audited if isinstance(audited, Decimal) and fits_the_books(audited) else None
    known = amount is not None and currency is not None
    parsed.received(amount, currency)
    if problems:
        parsed.rejects.append(
            Reject(
                parsed.units,
                position,
                (UNREADABLE_VALUE,),
                ("; ".join(problems[:5]),),
                raw,
                _key(values),
                amount if known else None,
                currency if known else None,
            )
        )
        return
    record = _record(values, lines, parsed.units, position)
    record.amount, record.currency = (amount, currency) if known else (None, None)
    parsed.records.append(record)


def _record(values: Values[str, Any], lines: Sequence[Values[str, Any]], ordinal: int, position: str) -> Record:
    sums = [line["audited_amount"] for line in lines if line.get("audited_amount") is not None]
    return Record(
        ordinal,
        position,
        {
            **values,
            "source": FEED,
            "correction": values.get("correction") or "",
            "lines_total": sum(sums, Decimal(0)),
            "line_count": len(lines),
        },
        lines=[{"line": number, **line} for number, line in enumerate(lines, 1)],
    )


def _problems(values: Values[str, Any], currency: str | None, lines: Sequence[Values[str, Any]]) -> list[str]:
    amounts = [("billed amount", values["billed_amount"]), ("audited amount", values["audited_amount"])]
    for number, line in enumerate(lines, 1):
        amounts += [(f"{name} of charge {number}", line[name]) for name in ("billed_amount", "audited_amount")]
    amounts.append(("sum of the charges", sum((line["audited_amount"] or Decimal(0) for line in lines), Decimal(0))))
    problems = [
        f"the {what} {amount:f} is finer than its currency or beyond any bill: {CORRECT_IT}"
        for what, amount in amounts
        if amount is not None and not fits_the_books(amount, currency)
    ]
    if currency is not None and not is_currency(currency):
        problems.append(f"{currency[:20]!r} is no three-letter currency code: {CORRECT_IT}")
    revision = values.get("revision")
    if revision is not None and not 0 <= revision < 2**31:
        problems.append(f"a revision of {revision} can't be right: {CORRECT_IT}")
    return problems


def _key(values: Values[str, Any]) -> str | None:
    parts = [str(values[name]) for name in ("scac", "invoice_number", "platform_reference") if values.get(name)]
    return "/".join(parts) or None


def _reject(group: tabular.Group, parsed: Parsed) -> None:
    parsed.received()
    messages = [f"row {one.number}{f', {one.column}' if one.column else ''}: {one.message}" for one in group.rejects]
    parsed.rejects.append(
        Reject(
            parsed.units,
            f"row {group.rejects[0].number}",
            (UNREADABLE_VALUE,),
            (f"{'; '.join(messages[:5])}: ask the platform to correct and send it again",),
            "\n".join(str(one.raw) for one in group.rejects),
            _key({**(group.rows[0].values if group.rows else {}), **group.rejects[0].values}),
        )
    )


# ---------------------------------------------------------------------------------------------------- JSON


def parse_results(content: bytes) -> dict[str, Parsed]:
    """A call's body, `{"results": […]}`."""
    parsed = Parsed()
    try:
        items = load_list(content, "results")
    except ValueError as error:
        words = f"not a list of audit results ({error}): ask the platform to send it again"
        return {FEED: Parsed.nothing(UNREADABLE_FILE, words)}
    parse_each(
        items,
        _result,
        parsed=parsed,
        path="results",
        natural_key=plain_key("scac", "invoice_number", "platform_reference"),
        money=json_money("audited_amount", "currency"),
    )
    return {FEED: parsed}


def _result(item: Values[str, Any], ordinal: int, position: str) -> Record:
    read = Reader(item, f"{position}.")
    currency = read.text("currency", required=True)
    values: dict[str, Any] = {
        "platform_reference": read.text("platform_reference", required=True),
        "revision": read.integer("revision"),
        "audited_on": read.date("audited_on", required=True),
        "scac": read.text("scac", required=True),
        "invoice_number": read.text("invoice_number", required=True),
        "correction": read.text("kind"),
        "invoice_on": read.date("invoice_on"),
        "shipment_reference": read.text("shipment_reference"),
        "pro_number": read.text("pro_number"),
        "action": read.text("action", required=True),
        "reason_code": read.text("reason_code"),
        "reason": read.text("reason"),
        "payee": read.text("payee"),
        "pay_on": read.date("pay_on"),
        "billed_amount": read.money("billed_amount", required=True),
        "audited_amount": read.money("audited_amount", required=True),
    }
    if values["action"] is not None and values["action"] not in ACTIONS:
        read.problems.append(f"{position}.action {values['action'][:20]!r} is none of {', '.join(ACTIONS)}")
    if (values["correction"] or "") not in KINDS:
        read.problems.append(f"{position}.kind {values['correction'][:20]!r} is no kind of bill")
    lines = []
    for number, charge in enumerate(read.objects("charges")):
        one = Reader(charge, f"{position}.charges[{number}].")
        lines.append(
            {
                "partner_code": one.text("code", required=True),
                "description": one.text("description"),
                "billed_amount": one.money("billed_amount"),
                "audited_amount": one.money("audited_amount", required=True),
                "reason_code": one.text("reason_code"),
                "reason": one.text("reason"),
            }
        )
        read.problems += one.problems
    if currency is not None and not is_currency(currency):
        read.problems.append(f"{position}.currency {currency[:20]!r} is no three-letter currency code")
    read.check()
    read.problems += _problems(values, currency, lines)
    read.check()
    record = _record(values, lines, ordinal, position)
    record.amount, record.currency = values["audited_amount"], currency
    return record
