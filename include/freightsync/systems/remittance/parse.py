"""A customer's remittance advice, remt.001 or a table -> records, one a payment."""

from __future__ import annotations

from collections.abc import Mapping as Values
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from freightsync.formats import tabular
from freightsync.formats.iso20022 import Advice, ReferredDocument, UnreadableXml, read_advices
from freightsync.formats.tabular import Mapping, MappingError, TabularError
from freightsync.systems import mapping_files
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Record, Reject, as_money

FEED = "customer.remittance"
MAPPINGS = Path(__file__).parent / "mappings"
FIELDS = frozenset(
    ("end_to_end_id", "payer_name", "paid_on", "amount", "currency", "number", "kind", "document_amount")
)
CREDITS = frozenset({"CREN", "CREDIT", "CREDIT MEMO"})


def mapping(name: str, folder: Path | None = None) -> Mapping:
    """A mapping by its file's name: of the deployment's folder, else installed. Raises MappingError, also for a field
    that an advice does not have."""
    return _load(mapping_files.find(name, MAPPINGS, folder))


@lru_cache(maxsize=16)
def _load(path: Path) -> Mapping:
    name = path.name
    document = mapping_files.load(path)
    try:
        found = Mapping.from_dict(document)
    except MappingError as error:
        raise MappingError(f"{name}: {error.message}") from None
    if unknown := {column.field for column in found.columns} - FIELDS:
        raise MappingError(f"{name}: an advice has no field {', '.join(sorted(unknown))}")
    return found


def parse_advices(content: bytes) -> Parsed:
    """The advices of a remt.001 file. Broken XML is one unreadable document."""
    parsed = Parsed()
    try:
        for advice in read_advices(content):
            _advice(advice, parsed)
    except UnreadableXml as error:
        return Parsed.nothing(UNREADABLE_FILE, f"{error}: ask the customer to send the advice again")
    return parsed


def parse_table(content: bytes, *, mapping: Mapping) -> Parsed:
    """The advices of a table by its mapping: rows that follow each other with one payment are one advice."""
    parsed = Parsed()
    try:
        for group in tabular.read_groups(content, mapping):
            if isinstance(group, tabular.Totals):
                continue
            _group(group, parsed)
    except TabularError as error:
        return Parsed.nothing(UNREADABLE_FILE, str(error))
    return parsed


def _advice(advice: Advice, parsed: Parsed) -> None:
    parsed.received(advice.amount, advice.currency)
    if advice.findings or advice.amount is None or not advice.currency:
        words = [f"{finding.position}: {finding.message}" for finding in advice.findings] or ["it has no currency"]
        _reject(advice.position, words, repr(advice)[:2000], advice.advice_id, parsed)
        return
    values = {
        "advice_key": advice.advice_id or f"{advice.end_to_end_id}/{advice.amount}",
        "end_to_end_id": advice.end_to_end_id,
        "payer_name": advice.payer_name,
        "paid_on": advice.paid_on,
        "documents": [_document(one) for one in advice.documents],
        "remittance_text": advice.text,
    }
    parsed.records.append(Record(parsed.units, advice.position, values, advice.amount, advice.currency))


def _group(group: tabular.Group, parsed: Parsed) -> None:
    rows: Sequence[Values[str, Any]] = [*(row.values for row in group.rows), *(one.values for one in group.rejects)]
    numbers = sorted([row.number for row in group.rows] + [one.number for one in group.rejects])
    position = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]}-{numbers[-1]}"
    first = rows[0]
    key = f"{first.get('end_to_end_id') or first.get('payer_name')}/{first.get('paid_on')}/{first.get('amount')}"
    raw = "\n".join("; ".join(f"{n}={v}" for n, v in row.items() if v is not None) for row in rows)
    words = [f"row {one.number}: {one.message}" for one in group.rejects]
    try:
        amount = as_money(first.get("amount"))
        documents = [] if words else [_row(row) for row in rows]
    except (ValueError, TypeError, ArithmeticError) as error:
        parsed.received()
        _reject(position, [*words, f"an amount can't be kept ({error})"], raw, key, parsed)
        return
    currency = str(first.get("currency") or "") or None
    parsed.received(amount, currency)
    if words or currency is None:
        _reject(position, words or ["it has no currency"], raw, key, parsed, amount, currency)
        return
    values = {
        "advice_key": key,
        **{name: first.get(name) for name in ("end_to_end_id", "payer_name", "paid_on")},
        "documents": documents,
    }
    parsed.records.append(Record(parsed.units, position, values, amount, currency))


def _row(row: Values[str, Any]) -> dict[str, Any]:
    amount = None if row.get("document_amount") is None else as_money(row["document_amount"])
    is_credit = str(row.get("kind") or "").upper() in CREDITS or (amount is not None and amount < 0)
    if amount is not None and is_credit:
        amount = -abs(amount)
    return {
        "number": str(row["number"]),
        "kind": "CREN" if is_credit else "CINV",
        "amount": None if amount is None else format(amount, "f"),
    }


def _document(one: ReferredDocument) -> dict[str, Any]:
    amount = one.amount if one.kind != "CREN" or one.amount is None else -one.amount
    return {"number": one.number, "kind": one.kind, "amount": None if amount is None else format(amount, "f")}


def _reject(
    position: str,
    words: Sequence[str],
    raw: str,
    key: str | None,
    parsed: Parsed,
    amount: Decimal | None = None,
    currency: str | None = None,
) -> None:
    message = f"{'; '.join(words[:5])}: ask the customer to correct and send it again"
    counted = amount if currency is not None else None
    parsed.rejects.append(
        Reject(
            parsed.units, position, (UNREADABLE_VALUE,), (message,), raw, key, counted, currency if counted else None
        )
    )
