"""Account statements (camt.053) -> typed statements, entries and their transactions.

The opening balance plus the booked entries must be the closing balance; a statement's `difference` says by how much it
is not (None where one of the two balances is missing). What can't be read of an entry is a finding that names it, and
the entry carries it: amounts are never guessed.

Codes (ISO 20022 external code sets, in our words): balances OPBD opening booked, PRCD closing of the day before, which
is today's opening, CLBD closing booked, ITBD where a statement goes on over several pages. Entry status BOOK is booked;
PDNG and INFO change no balance. Documents CINV commercial invoice, CREN credit note.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from freightsync.formats.iso20022 import information
from freightsync.formats.iso20022.information import Finding, ReferredDocument
from freightsync.formats.iso20022.tree import Node, UnreadableXml, parts


@dataclass(slots=True)
class Detail:
    """One transaction of an entry; an entry without details has one that says what the entry says.

    amount: positive, in `currency`; None where it can't be read or is not given for one of several.
    """

    number: int
    amount: Decimal | None
    currency: str | None
    end_to_end_id: str | None = None
    bank_reference: str | None = None
    counterparty_name: str | None = None
    counterparty_account: str | None = None
    return_reason: str | None = None
    documents: tuple[ReferredDocument, ...] = ()
    text: str | None = None


@dataclass(slots=True)
class Entry:
    """One entry. direction: credit (money came) or debit. is_reversal: it takes back an earlier entry."""

    number: int
    position: str
    amount: Decimal | None
    currency: str | None
    direction: str | None
    is_reversal: bool
    status: str
    booked_on: dt.date | None
    value_on: dt.date | None
    reference: str | None
    details: list[Detail] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    details_total: Decimal | None = None

    @property
    def signed(self) -> Decimal | None:
        """Positive for a credit, negative for a debit."""
        if self.amount is None or self.direction is None:
            return None
        return self.amount if self.direction == "credit" else -self.amount


@dataclass(slots=True)
class Statement:
    """One statement of one account. Balances are signed: below zero is overdrawn."""

    statement_id: str | None
    account: str | None
    currency: str | None
    made_on: dt.date | None
    opening: Decimal | None
    closing: Decimal | None
    entries: list[Entry]
    findings: list[Finding] = field(default_factory=list)

    @property
    def difference(self) -> Decimal | None:
        """Closing balance minus what opening balance and booked entries come to; None where it can't be said."""
        moved = Decimal(0)
        for entry in self.entries:
            if entry.status == "BOOK":
                if entry.signed is None:
                    return None
                moved += entry.signed
        if self.opening is None or self.closing is None:
            return None
        return self.closing - self.opening - moved


def read_statements(content: bytes) -> Iterator[Statement]:
    """The statements of a file, in order; at most one is held in memory. Raises UnreadableXml for what is not XML, or
    holds no statement at all."""
    found = False
    head: list[Node] = []
    entries: list[Entry] = []
    for node in parts(content, ("Id", "CreDtTm", "Acct", "Bal", "Ntry", "FrToDt", "StmtId"), "Stmt"):
        if node.name == "Ntry":
            entries.append(_entry(node, len(entries) + 1))
        elif node.name != "Stmt":
            head.append(node)
        else:
            found = True
            yield _statement(head, entries)
            head, entries = [], []
    if not found:
        raise UnreadableXml("no account statement (camt.053) in it")


def _statement(head: list[Node], entries: list[Entry]) -> Statement:
    root = Node("Stmt", {}, head[0].line if head else 0, children=head)
    findings: list[Finding] = []
    balances: dict[str, Decimal | None] = {}
    for node in root.every("Bal"):
        code = node.value("Tp/CdOrPrtry/Cd") or ""
        where = f"Bal {code or '?'}, line {node.line}"
        amount = information.amount(node.child("Amt"), where, findings)
        direction = _direction(node, where, findings)
        if amount is not None and direction is not None:
            # of several of one kind (interim balances) the first opens and the last closes
            signed = amount if direction == "credit" else -amount
            balances.setdefault(f"first {code}", signed)
            balances[f"last {code}"] = signed
    opening = next(
        (balances[f"first {code}"] for code in ("OPBD", "PRCD", "ITBD") if f"first {code}" in balances), None
    )
    closing = next((balances[f"last {code}"] for code in ("CLBD", "ITBD") if f"last {code}" in balances), None)
    account = root.value("Acct/Id/IBAN", "Acct/Id/Othr/Id", "Acct/Id/PrtryAcct/Id")
    currency = root.value("Acct/Ccy")
    if currency is None:
        first = root.at("Bal/Amt")
        currency = first.attributes.get("Ccy") if first is not None else None
    made = root.child("CreDtTm")
    return Statement(
        statement_id=root.value("Id"),
        account=account.replace(" ", "") if account else None,
        currency=currency,
        made_on=information.day(made, "CreDtTm", findings) if made is not None else None,
        opening=opening,
        closing=closing,
        entries=entries,
        findings=findings,
    )


def _entry(node: Node, number: int) -> Entry:
    where = f"Ntry {number}, line {node.line}"
    findings: list[Finding] = []
    amount_node = node.child("Amt")
    amount = information.amount(amount_node, where, findings)
    currency = amount_node.attributes.get("Ccy") if amount_node is not None else None
    if not currency:
        findings.append(Finding("missing_value", where, "the amount has no currency"))
    reversal = (node.value("RvslInd") or "false").lower()
    if reversal not in ("true", "false", "1", "0"):
        findings.append(Finding("unreadable_value", where, f"RvslInd {reversal!r} is not true or false"))
    entry = Entry(
        number=number,
        position=where,
        amount=amount,
        currency=currency,
        direction=_direction(node, where, findings),
        is_reversal=reversal in ("true", "1"),
        status=node.value("Sts/Cd", "Sts/Prtry", "Sts") or "BOOK",
        booked_on=information.day(node.child("BookgDt"), f"{where}: BookgDt", findings),
        value_on=information.day(node.child("ValDt"), f"{where}: ValDt", findings),
        reference=node.value("AcctSvcrRef", "NtryRef"),
        findings=findings,
    )
    transactions = [one for details in node.every("NtryDtls") for one in details.every("TxDtls")]
    entry.details = [_detail(one, entry, count, len(transactions)) for count, one in enumerate(transactions, 1)]
    if not entry.details:
        entry.details = [Detail(1, amount, currency, text=node.value("AddtlNtryInf"), bank_reference=entry.reference)]
    elif all(detail.amount is not None and detail.currency == currency for detail in entry.details):
        entry.details_total = sum((detail.amount or Decimal(0) for detail in entry.details), Decimal(0))
    return entry


def _detail(node: Node, entry: Entry, number: int, of: int) -> Detail:
    where = f"{entry.position}, TxDtls {number}"
    # where it stands depends on the release
    places = ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt")
    amount_node = next((found for path in places if (found := node.at(path)) is not None), None)
    own = _direction(node, where, entry.findings) if node.child("CdtDbtInd") is not None else entry.direction
    if amount_node is None and of == 1:
        amount, currency = entry.amount, entry.currency
    elif amount_node is None:
        entry.findings.append(Finding("missing_value", where, "one of several transactions has no amount"))
        amount, currency = None, entry.currency
    else:
        amount = information.amount(amount_node, where, entry.findings)
        currency = amount_node.attributes.get("Ccy")
        if of == 1 and currency != entry.currency:
            # instructed in another currency: what was booked is what counts
            amount, currency = entry.amount, entry.currency
    if amount is not None and own is not None and entry.direction is not None and own != entry.direction:
        amount = -amount  # charges of a batch, taken off what it brings
    party, account = ("Dbtr", "DbtrAcct") if entry.direction == "credit" else ("Cdtr", "CdtrAcct")
    returned = node.child("RtrInf")
    if returned is not None:  # what comes back names the parties of the payment that it takes back
        party, account = ("Cdtr", "CdtrAcct") if entry.direction == "credit" else ("Dbtr", "DbtrAcct")
    parties = node.child("RltdPties") or Node("RltdPties", {}, node.line)
    end_to_end = node.value("Refs/EndToEndId")
    iban = parties.value(f"{account}/Id/IBAN", f"{account}/Id/Othr/Id")
    remittance = node.child("RmtInf")
    documents = tuple(information.documents(remittance, where, entry.findings)) if remittance is not None else ()
    return Detail(
        number=number,
        amount=amount,
        currency=currency,
        end_to_end_id=None if end_to_end == information.NOT_PROVIDED else end_to_end,
        bank_reference=node.value("Refs/AcctSvcrRef", "Refs/TxId") or entry.reference,
        counterparty_name=parties.value(f"{party}/Pty/Nm", f"{party}/Nm"),
        counterparty_account=iban.replace(" ", "") if iban else None,
        return_reason=_return_reason(returned),
        documents=documents,
        text=information.text(remittance),
    )


def _return_reason(node: Node | None) -> str | None:
    if node is None:
        return None
    return node.value("Rsn/Cd", "Rsn/Prtry", "AddtlInf") or "not said"


def _direction(node: Node, where: str, findings: list[Finding]) -> str | None:
    code = node.value("CdtDbtInd")
    if code in ("CRDT", "DBIT"):
        return "credit" if code == "CRDT" else "debit"
    findings.append(Finding("missing_value", where, f"CdtDbtInd {code!r} says neither credit nor debit"))
    return None
