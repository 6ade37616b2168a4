"""Effects to the ERP: statuses and freight plans many in a call, invoices and journals one document a call.

Every write goes out under the key of its message, which the ERP honours. Request bodies are pure functions of the
frozen payload: sent again, they are the same to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from freightsync.domain.outbox import OnceBy, OutboxMessage, Outcome, Pace
from freightsync.settings import Settings
from freightsync.systems.writing import Refused, Writer

PAYABLE = "2100"
"""The ERP's account of what we owe carriers: a line that credits it is owed, one that debits it is taken back."""

BATCH = 200

CORRECTED = "the order, its plan or its terms changed after it was billed"
"""Why a credit memo is made where nobody disputed anything."""


class ErpSender:
    """See `freightsync.domain.outbox.Sender`."""

    operations: Mapping[str, OnceBy] = {
        "shipment.status": "key",
        "sales_order.status": "key",
        "shipment.plan": "key",
        "customer_invoice": "key",
        "credit_memo": "key",
        "supplier_invoice": "key",
        "journal": "key",
    }
    pace = Pace(
        concurrency=4,
        per_second=200.0,
        burst=50,
        batch={"shipment.status": BATCH, "sales_order.status": BATCH, "shipment.plan": BATCH},
    )

    def __init__(self, settings: Settings) -> None:
        self._writer = Writer("erp", settings)

    def close(self) -> None:
        self._writer.close()

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        operation = batch[0].operation
        if operation in ("shipment.status", "sales_order.status"):
            return self._many(batch, "status-updates", "updates", [status_update(message) for message in batch])
        if operation == "shipment.plan":
            return self._many(batch, "freight-plans", "plans", [freight_plan(message) for message in batch])
        return [self._document(message) for message in batch]

    def _many(
        self, batch: Sequence[OutboxMessage], path: str, name: str, items: list[dict[str, Any]]
    ) -> Sequence[Outcome]:
        answer = self._writer.write("POST", path, {name: items})
        results = {str(result.get("idempotency_key")): result for result in answer.get("results", ())}
        return [_outcome(message, results.get(message.key)) for message in batch]

    def _document(self, message: OutboxMessage) -> Outcome:
        path, body = DOCUMENTS[message.operation]
        try:
            answer = self._writer.write("POST", path, body(message), key=message.key)
        except Refused as error:
            return Outcome.refused(message, error.message, error.what_to_do)
        return Outcome.accepted(message, str(answer.get("number", "")))


def sender(settings: Settings) -> ErpSender:
    return ErpSender(settings)


def status_update(message: OutboxMessage) -> dict[str, Any]:
    """One entry of `status-updates`."""
    payload = message.payload
    return {
        "idempotency_key": message.key,
        "object_type": payload["object_type"],
        "object_id": payload["object_id"],
        "status": payload["state"],
        "at": decided_at(message.key).isoformat(),
    }


def freight_plan(message: OutboxMessage) -> dict[str, Any]:
    """One entry of `freight-plans`."""
    payload = message.payload
    names = (
        "shipment_id",
        "plan_version",
        "scac",
        "booking_reference",
        "order_numbers",
        "estimated_freight",
        "currency",
    )
    return {"idempotency_key": message.key, **{name: payload[name] for name in names}}


def customer_invoice(message: OutboxMessage) -> dict[str, Any]:
    """The invoice of a shipment or an order; a line that undoes an earlier one is negative. A negative total is a
    credit memo, which refers to the invoice that it takes from."""
    return _billing(message, sign=1)


def credit_memo(message: OutboxMessage) -> dict[str, Any]:
    """What was agreed to credit of an invoice: its movements credit the receivable, so their amounts turn round here.
    One that is taken back again is a debit, as an invoice."""
    return _billing(message, sign=-1)


def _billing(message: OutboxMessage, sign: int) -> dict[str, Any]:
    payload = message.payload
    lines = payload["lines"]
    amounts = [signed(line) * sign for line in lines]
    translated = payload.get("functional_currency") not in (None, payload["currency"])
    total = sum(amounts, Decimal(0))
    name = invoice_name(message.aggregate_id)
    reasons = dict.fromkeys(str(line["reason"]) for line in lines if line.get("reason"))
    is_credit = total < 0
    return {
        "reference": message.key,
        "document_type": "credit_memo" if is_credit else "invoice",
        "invoice_id": name,
        "refers_to": name if is_credit or sign < 0 else None,
        "reason": "; ".join(reasons) or (CORRECTED if is_credit else None),
        "customer_id": lines[0]["customer_id"],
        "order_number": lines[0]["order_number"],
        "shipment_ids": sorted({line["shipment_id"] for line in lines}),
        "currency": payload["currency"],
        "invoice_on": max(line["invoice_on"] for line in lines),
        **posting_day(payload),
        "total": text(total),
        **({"functional_currency": payload["functional_currency"]} if translated else {}),
        "lines": [
            {
                "kind": line["kind"],
                "order_line": line["order_line"],
                "description": line["description"],
                "amount": text(amount),
                **({"functional_amount": text(signed(line, "functional_amount") * sign)} if translated else {}),
                "ledger_account": line["ledger_account"],
                **tax(line),
            }
            for line, amount in zip(lines, amounts, strict=True)
        ],
    }


def invoice_name(aggregate_id: str) -> str:
    """What a customer invoice is called between us and the ERP: `order/shipment`, or `order`."""
    return aggregate_id.removeprefix("erp:").replace("/tms:", "/")


def tax(line: Mapping[str, Any]) -> dict[str, Any]:
    """What a line says of tax; nothing where the ERP adds the tax itself."""
    if line.get("tax_category") is None:
        return {}
    named = {"category": line["tax_category"], "rate_percent": line["tax_rate_percent"]}
    if line["kind"] == "tax":
        named |= {"jurisdiction": line["tax_jurisdiction"], "name": line["tax_name"], "base": line["taxable_base"]}
    elif line.get("tax_reason_code") is not None:
        named["reason_code"] = line["tax_reason_code"]
    return {"tax": named}


def supplier_invoice(message: OutboxMessage) -> dict[str, Any]:
    """A carrier's invoice as it was approved, line by line, and what it is worth in books kept in another currency; the
    total is what is owed."""
    payload = message.payload
    lines = payload["lines"]
    translated = payload.get("functional_currency") not in (None, payload["currency"])
    owed = sum(
        (Decimal(line["amount"]) * (1 if line["credit_account"] == PAYABLE else -1) for line in lines), Decimal(0)
    )
    return {
        "reference": message.key,
        "scac": lines[0]["scac"],
        "invoice_number": lines[0]["invoice_number"],
        "currency": payload["currency"],
        "invoice_on": lines[0]["invoice_on"],
        **posting_day(payload),
        "total": text(owed),
        **({"functional_currency": payload["functional_currency"]} if translated else {}),
        "lines": [
            {
                "charge_code": line["charge_code"],
                "shipment_id": line["shipment_id"],
                "amount": text(Decimal(line["amount"])),
                "debit_account": line["debit_account"],
                "credit_account": line["credit_account"],
                **goods(line),
                **({"functional_amount": text(Decimal(line["functional_amount"]))} if translated else {}),
            }
            for line in lines
        ],
    }


def journal(message: OutboxMessage) -> dict[str, Any]:
    """A journal entry: transfers, each with its cause, and what they are worth in books kept in another currency."""
    payload = message.payload
    translated = payload.get("functional_currency") not in (None, payload["currency"])
    return {
        "reference": message.key,
        "posted_on": payload["posted_on"],
        "currency": payload["currency"],
        **({"functional_currency": payload["functional_currency"]} if translated else {}),
        "lines": [
            {
                "debit_account": line["debit_account"],
                "credit_account": line["credit_account"],
                "amount": text(Decimal(line["amount"])),
                **({"functional_amount": text(Decimal(line["functional_amount"]))} if translated else {}),
                "shipment_id": line.get("shipment_id"),
                "charge_code": line.get("charge_code"),
                "cause": line["cause"],
                **goods(line),
            }
            for line in payload["lines"]
        ],
    }


DOCUMENTS = {
    "customer_invoice": ("customer-invoices", customer_invoice),
    "credit_memo": ("customer-invoices", credit_memo),
    "supplier_invoice": ("supplier-invoices", supplier_invoice),
    "journal": ("journal-entries", journal),
}


def goods(line: Mapping[str, Any]) -> dict[str, Any]:
    """The order line whose landed cost it is, so that the ERP can value the goods; nothing for any other freight."""
    if line.get("order_number") is None:
        return {}
    return {"order_number": line["order_number"], "order_line": line["order_line"]}


def posting_day(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The day that we posted it under: the ERP's period must be ours."""
    return {"posted_on": payload["posted_on"]} if payload.get("posted_on") else {}


def signed(line: Mapping[str, Any], name: str = "amount") -> Decimal:
    """A movement's amount as the document shows it: negative where it undoes."""
    amount = Decimal(line[name])
    return -amount if line.get("reverses") else amount


def text(amount: Decimal) -> str:
    """Money as the contract writes it: "123.45"."""
    return f"{amount:.2f}"


def decided_at(key: str) -> datetime:
    """When a message was made: the time in its key, a version 7 UUID (RFC 9562). The same at every attempt."""
    milliseconds = UUID(key).int >> 80
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _outcome(message: OutboxMessage, result: Mapping[str, Any] | None) -> Outcome:
    if result is None:  # of this one nothing is known; the others of its call have their answers
        return Outcome.unknown(message, f"the ERP's answer says nothing about {message.key}")
    if result.get("outcome") == "accepted":
        return Outcome.accepted(message, str(result.get("reference", "")))
    return Outcome.refused(
        message,
        str(result.get("message") or "refused without a reason"),
        "compare the ERP's own state of it with ours, then send the message again or give it up",
    )
