"""What messages say in common: amounts, days, and the remittance information of a payment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from freightsync.formats.iso20022.tree import Node

NOT_PROVIDED = "NOTPROVIDED"
"""What stands for an end-to-end id that the payer did not give."""

CENT = Decimal("0.01")
MOST = Decimal(10) ** 16


@dataclass(frozen=True, slots=True)
class Finding:
    """What can't be read, where (`Ntry 3, line 88`), in words."""

    code: str
    position: str
    message: str


@dataclass(frozen=True, slots=True)
class ReferredDocument:
    """A document that a payment is for. kind: CINV, CREN, … or None; amount: what is paid of it (of a credit note, what
    is taken off), positive; adjustments: (amount, signed as the payer adds it; reason)."""

    number: str
    kind: str | None = None
    amount: Decimal | None = None
    due_amount: Decimal | None = None
    discount: Decimal | None = None
    adjustments: tuple[tuple[Decimal, str | None], ...] = ()


def text(remittance: Node | None) -> str | None:
    """Free text, line by line; a creditor reference and additional information of structured parts are text, too."""
    if remittance is None:
        return None
    found = [node.text for node in remittance.every("Ustrd")]
    for part in remittance.every("Strd"):
        found += [node.text for node in part.every("AddtlRmtInf")]
        reference = part.value("CdtrRefInf/Ref")
        if reference:
            found.append(reference)
    return "\n".join(text for text in found if text) or None


def documents(remittance: Node, where: str, findings: list[Finding]) -> Iterator[ReferredDocument]:
    for part in remittance.every("Strd"):
        named = [node for node in part.every("RfrdDocInf") if node.value("Nb")]
        amounts = part.child("RfrdDocAmt")
        for node in named:
            # amounts of several documents in one part are those of all of them together: of none can they be said
            one = amounts if len(named) == 1 and amounts is not None else Node("RfrdDocAmt", {}, node.line)
            kind = node.value("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry")
            remitted = one.child("CdtNoteAmt") if kind == "CREN" else None
            yield ReferredDocument(
                number=node.value("Nb") or "",
                kind=kind,
                amount=_optional(remitted or one.child("RmtdAmt"), where, findings),
                due_amount=_optional(one.child("DuePyblAmt"), where, findings),
                discount=_optional(one.at("DscntApldAmt/Amt") or one.child("DscntApldAmt"), where, findings),
                adjustments=tuple(_adjustments(one, where, findings)),
            )


def _adjustments(amounts: Node, where: str, findings: list[Finding]) -> Iterator[tuple[Decimal, str | None]]:
    for node in amounts.every("AdjstmntAmtAndRsn"):
        amount = _optional(node.child("Amt"), where, findings)
        if amount is not None:
            sign = -1 if node.value("CdtDbtInd") == "DBIT" else 1
            yield amount * sign, node.value("Rsn", "AddtlInf")


def _optional(node: Node | None, where: str, findings: list[Finding]) -> Decimal | None:
    return None if node is None else amount(node, where, findings)


def amount(node: Node | None, where: str, findings: list[Finding]) -> Decimal | None:
    if node is None:
        findings.append(Finding("missing_value", where, "there is no amount"))
        return None
    try:
        amount = Decimal(node.text)
        if not amount.is_finite() or not 0 <= amount < MOST or amount != amount.quantize(CENT):
            raise InvalidOperation
    except InvalidOperation:
        findings.append(Finding("unreadable_value", where, f"{node.text[:40]!r} is not an amount in cents"))
        return None
    return amount.quantize(CENT)


def day(node: Node | None, where: str, findings: list[Finding]) -> dt.date | None:
    """A date, or the date of a time as the bank writes it (its own day)."""
    if node is None:
        return None
    text = node.value("Dt", "DtTm") or node.text
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        findings.append(Finding("unreadable_value", where, f"{text[:40]!r} is not a date"))
        return None
