"""Statements as a bank writes them, camt.053.001.08: for partner systems to try against, and for round trips."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def write_statement(statement: dict[str, Any], *, namespace: str = NAMESPACE) -> bytes:
    """One file with one statement.

    statement: statement_id, account, currency, made_at (ISO 8601), opening (money), entries; each entry: reference,
    direction, booked_on, status?, is_reversal?, details: [{amount, end_to_end_id?, name?, account?, text?,
    return_reason?, documents?: [{number, kind, amount?}]}]. The closing balance is what the entries come to, unless
    `closing` says otherwise.
    """
    currency = str(statement["currency"])
    entries: Sequence[dict[str, Any]] = statement["entries"]
    moved = sum((_signed(entry) for entry in entries if entry.get("status", "BOOK") == "BOOK"), Decimal(0))
    opening = Decimal(str(statement["opening"]))
    closing = Decimal(str(statement.get("closing", opening + moved)))
    day = dt.datetime.fromisoformat(str(statement["made_at"])).date().isoformat()
    account = str(statement["account"])
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<Document xmlns={quoteattr(namespace)}><BkToCstmrStmt>",
            f"<GrpHdr>{_e('MsgId', statement['statement_id'])}{_e('CreDtTm', statement['made_at'])}</GrpHdr>",
            f"<Stmt>{_e('Id', statement['statement_id'])}{_e('CreDtTm', statement['made_at'])}",
            f"<Acct><Id>{_e('IBAN', account)}</Id>{_e('Ccy', currency)}</Acct>",
            _balance("OPBD", opening, currency, day),
            _balance("CLBD", closing, currency, day),
            *(_entry(entry, currency) for entry in entries),
            "</Stmt></BkToCstmrStmt></Document>",
            "",
        ]
    ).encode()


def _signed(entry: dict[str, Any]) -> Decimal:
    total = sum((Decimal(str(detail["amount"])) for detail in entry["details"]), Decimal(0))
    return total if entry["direction"] == "credit" else -total


def _e(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _money(name: str, amount: object, currency: str) -> str:
    return f"<{name} Ccy={quoteattr(currency)}>{Decimal(str(amount)):.2f}</{name}>"


def _indicator(is_credit: bool) -> str:
    return _e("CdtDbtInd", "CRDT" if is_credit else "DBIT")


def _balance(code: str, amount: Decimal, currency: str, day: str) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry>{_e('Cd', code)}</CdOrPrtry></Tp>{_money('Amt', abs(amount), currency)}"
        f"{_indicator(amount >= 0)}<Dt>{_e('Dt', day)}</Dt></Bal>"
    )


def _entry(entry: dict[str, Any], currency: str) -> str:
    is_credit = entry["direction"] == "credit"
    reversal = _e("RvslInd", "true") if entry.get("is_reversal") else ""
    return (
        f"<Ntry>{_money('Amt', abs(_signed(entry)), currency)}{_indicator(is_credit)}{reversal}"
        f"<Sts>{_e('Cd', entry.get('status', 'BOOK'))}</Sts><BookgDt>{_e('Dt', entry['booked_on'])}</BookgDt>"
        f"<ValDt>{_e('Dt', entry.get('value_on', entry['booked_on']))}</ValDt>"
        f"{_e('AcctSvcrRef', entry['reference'])}"
        f"<NtryDtls>{''.join(_detail(detail, currency, is_credit) for detail in entry['details'])}</NtryDtls></Ntry>"
    )


def _detail(detail: dict[str, Any], currency: str, is_credit: bool) -> str:
    # of a returned payment the other party is the one that the first payment went to
    is_payer = is_credit != bool(detail.get("return_reason"))
    side = "Dbtr" if is_payer else "Cdtr"
    parties = ""
    if detail.get("name"):
        parties += f"<{side}><Pty>{_e('Nm', detail['name'])}</Pty></{side}>"
    if detail.get("account"):
        parties += f"<{side}Acct><Id>{_e('IBAN', detail['account'])}</Id></{side}Acct>"
    remittance = _e("Ustrd", detail["text"]) if detail.get("text") else ""
    remittance += "".join(_document(document, currency) for document in detail.get("documents", ()))
    returned = ""
    if detail.get("return_reason"):
        returned = f"<RtrInf><Rsn>{_e('Cd', detail['return_reason'])}</Rsn></RtrInf>"
    return (
        f"<TxDtls><Refs>{_e('EndToEndId', detail.get('end_to_end_id') or 'NOTPROVIDED')}</Refs>"
        f"{_money('Amt', detail['amount'], currency)}{_indicator(is_credit)}"
        f"{f'<RltdPties>{parties}</RltdPties>' if parties else ''}"
        f"{f'<RmtInf>{remittance}</RmtInf>' if remittance else ''}"
        f"{returned}</TxDtls>"
    )


def _document(document: dict[str, Any], currency: str) -> str:
    kind = document.get("kind", "CINV")
    amount = ""
    if document.get("amount") is not None:
        name = "CdtNoteAmt" if kind == "CREN" else "RmtdAmt"
        amount = f"<RfrdDocAmt>{_money(name, document['amount'], currency)}</RfrdDocAmt>"
    return (
        f"<Strd><RfrdDocInf><Tp><CdOrPrtry>{_e('Cd', kind)}</CdOrPrtry></Tp>{_e('Nb', document['number'])}</RfrdDocInf>"
        f"{amount}</Strd>"
    )
