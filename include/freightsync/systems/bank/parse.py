"""A bank's statement file (camt.053) -> records, one a transaction of an entry.

The whole statement counts: each record carries by how much its statement does not add up (opening balance + booked
entries − closing balance), and the gate keeps all of a statement that does not. Money of a record is signed: a debit is
below zero, so that a file's control total is what moved on the account.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from freightsync.formats.iso20022 import Detail, Entry, Finding, ReferredDocument, Statement, UnreadableXml
from freightsync.formats.iso20022 import read_statements as statements
from freightsync.systems.parsed import UNREADABLE_FILE, UNREADABLE_VALUE, Parsed, Record, Reject, Unreadable

FEED = "bank.statement_entry"
LONGEST_KEY = 200
STATEMENT_DOES_NOT_BALANCE = "statement_does_not_balance"


def parse_statements(content: bytes) -> Parsed:
    """The transactions of every statement in a file. A file whose XML is broken anywhere is unreadable as a whole: half
    of a statement proves nothing."""
    parsed = Parsed()
    try:
        for statement in statements(content):
            _statement(statement, parsed)
    except UnreadableXml as error:
        return Parsed.nothing(UNREADABLE_FILE, f"{error}: ask the bank to send the statement again")
    return parsed


def _statement(statement: Statement, parsed: Parsed) -> None:
    name = f"Stmt {statement.statement_id or '?'}"
    difference = statement.difference
    seen: Counter[str] = Counter()
    for entry in statement.entries:
        for detail in entry.details:
            _transaction(statement, entry, detail, difference, name, seen, parsed)
    if not statement.entries and difference != 0:
        words = "nothing moved, but its closing balance is not its opening balance"
        if difference is None:
            words = "it has neither entries nor both balances" + _said(statement.findings)
        parsed.broken.append(
            Unreadable(STATEMENT_DOES_NOT_BALANCE, f"{name}: {words}: ask the bank to send the statement again")
        )


def _transaction(
    statement: Statement,
    entry: Entry,
    detail: Detail,
    difference: Decimal | None,
    name: str,
    seen: Counter[str],
    parsed: Parsed,
) -> None:
    position = f"{name}, {entry.position}, TxDtls {detail.number}"
    ordinal = parsed.units + 1
    amount: Decimal | None = None
    currency = detail.currency
    if detail.amount is not None and entry.direction is not None and currency:
        amount = detail.amount if entry.direction == "credit" else -detail.amount
    parsed.received(amount, currency)
    key = _key(statement, entry, detail, amount, seen)
    if entry.findings or amount is None:
        words = [f"{finding.position}: {finding.message}" for finding in entry.findings] or ["it has no amount"]
        messages = f"{'; '.join(words[:5])}: ask the bank to send the statement again"
        parsed.rejects.append(
            Reject(ordinal, position, (UNREADABLE_VALUE,), (messages,), repr(entry)[:2000], key, amount, currency)
        )
        return
    values: dict[str, Any] = {
        "entry_key": key,
        "statement_id": statement.statement_id,
        "account": statement.account,
        "statement_on": statement.made_on,
        "statement_difference": difference,
        "entry": entry.number,
        "entry_reference": entry.reference,
        "entry_amount": entry.amount,
        "details_total": entry.details_total if entry.details_total is not None or len(entry.details) > 1 else amount,
        "detail": detail.number,
        "direction": entry.direction,
        "is_reversal": entry.is_reversal,
        "status": entry.status,
        "booked_on": entry.booked_on,
        "value_on": entry.value_on,
        "end_to_end_id": detail.end_to_end_id,
        "bank_reference": detail.bank_reference,
        "return_reason": detail.return_reason,
        "counterparty_name": detail.counterparty_name,
        "counterparty_account": detail.counterparty_account,
        "documents": list(documents(detail.documents)),
        "remittance_text": detail.text,
    }
    if values["details_total"] is not None:
        values["details_total"] = abs(values["details_total"])
    parsed.records.append(Record(ordinal, position, values, amount, currency))


def _key(statement: Statement, entry: Entry, detail: Detail, amount: Decimal | None, seen: Counter[str]) -> str:
    """The name of a transaction, the same in whatever statement it comes again: the bank's reference with day, amount
    and place in its batch, and counted where one statement has the same again. Without a reference, its place in the
    statement."""
    account = statement.account or "?"
    if not entry.reference:
        return _short(f"{account}/{statement.statement_id}/{entry.number}/{detail.number}")
    name = f"{account}/{entry.reference}/{entry.booked_on}/{amount}/{detail.number}"
    seen[name] += 1
    return _short(name if seen[name] == 1 else f"{name}#{seen[name]}")


def _short(name: str) -> str:
    """A name that an index can hold, whatever a bank writes into its fields."""
    return name if len(name) <= LONGEST_KEY else hashlib.sha256(name.encode()).hexdigest()


def documents(found: tuple[ReferredDocument, ...]) -> Iterator[dict[str, Any]]:
    """Documents as they are kept: number, kind, and what is paid of each, signed as it adds to the payment."""
    for one in found:
        sign = -1 if one.kind == "CREN" else 1
        yield {
            "number": one.number,
            "kind": one.kind,
            "amount": None if one.amount is None else format(one.amount * sign, "f"),
            "discount": None if one.discount is None else format(one.discount, "f"),
            "adjustments": [{"amount": format(amount, "f"), "reason": reason} for amount, reason in one.adjustments],
        }


def _said(findings: list[Finding]) -> str:
    return "".join(f" ({finding.position}: {finding.message})" for finding in findings[:3])
