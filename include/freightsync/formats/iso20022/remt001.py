"""Remittance advices (remt.001) -> what a payer says that a payment is for, apart from the payment itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from freightsync.formats.iso20022 import information
from freightsync.formats.iso20022.information import Finding, ReferredDocument
from freightsync.formats.iso20022.tree import Node, UnreadableXml, parts


@dataclass(slots=True)
class Advice:
    """One advice about one payment. amount: of the payment, positive; None where it can't be read."""

    number: int
    position: str
    advice_id: str | None
    end_to_end_id: str | None
    amount: Decimal | None
    currency: str | None
    paid_on: dt.date | None
    payer_name: str | None
    documents: tuple[ReferredDocument, ...]
    text: str | None
    findings: list[Finding] = field(default_factory=list)


def read_advices(content: bytes) -> Iterator[Advice]:
    """The advices of a file, in order. Raises UnreadableXml for what is not XML, or holds none."""
    number = 0
    message_id: str | None = None
    for node in parts(content, ("GrpHdr", "RmtInf"), "RmtAdvc"):
        if node.name == "GrpHdr":
            message_id = node.value("MsgId")
        elif node.name == "RmtInf":
            number += 1
            yield _advice(node, number, message_id)
    if not number:
        raise UnreadableXml("no remittance advice (remt.001) in it")


def _advice(node: Node, number: int, message_id: str | None) -> Advice:
    where = f"RmtInf {number}, line {node.line}"
    findings: list[Finding] = []
    payment = node.child("OrgnlPmtInf") or Node("OrgnlPmtInf", {}, node.line)
    # its place depends on the release
    places = ("Amt/InstdAmt", "Amt/EqvtAmt/Amt", "InstdAmt", "Amt")
    money = next((found for path in places if (found := payment.at(path)) is not None and found.text), None)
    end_to_end = payment.value("Refs/EndToEndId", "EndToEndId")
    dated = next((found for name in ("ReqdExctnDt", "ReqdColltnDt", "PrcgDt") if (found := payment.child(name))), None)
    return Advice(
        number=number,
        position=where,
        advice_id=node.value("RmtId") or (f"{message_id}/{number}" if message_id else None),
        end_to_end_id=None if end_to_end == information.NOT_PROVIDED else end_to_end,
        amount=information.amount(money, where, findings),
        currency=money.attributes.get("Ccy") if money is not None else None,
        paid_on=information.day(dated, where, findings),
        payer_name=payment.value("Dbtr/Nm", "Dbtr/Pty/Nm"),
        documents=tuple(information.documents(node, where, findings)),
        text=information.text(node),
        findings=findings,
    )
