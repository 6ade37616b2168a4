"""Facts of the customers' side for a shaped warehouse: bank entries, the ERP's payments and disputes, and the numbers
under which the ERP keeps our invoices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shaped import Fact, ShapedWarehouse

D = Decimal
PAYMENTS = "apply_payments"


def invoice(number: str, amount: str = "", kind: str = "CINV") -> dict[str, Any]:
    return {"number": number, "kind": kind, "amount": amount or None}


def bank(key: str, amount: str, on: str, *documents: dict[str, Any], text: str | None = None, **more: Any) -> Fact:
    """A booked credit of `amount`; below zero, a payment that went back."""
    money = D(amount)
    columns = {
        "entry_key": key,
        "statement_id": f"ST{key}",
        "account": "US01",
        "statement_on": f"2026-{on}",
        "statement_difference": D(0),
        "entry": 1,
        "entry_reference": key,
        "entry_amount": abs(money),
        "details_total": abs(money),
        "detail": 1,
        "direction": "credit" if money > 0 else "debit",
        "is_reversal": money < 0,
        "status": "BOOK",
        "booked_on": f"2026-{on}",
        "value_on": f"2026-{on}",
        "documents": list(documents),
        "remittance_text": text,
        "amount": money,
        "currency": "USD",
        **more,
    }
    return Fact("bank.statement_entry", "bank_entry", columns, [(PAYMENTS, "customer_payment", f"bank:{key}")])


def advice(name: str, amount: str, on: str, end_to_end: str, *documents: dict[str, Any]) -> Fact:
    """What a payer sent apart from its payment."""
    columns = {
        "advice_key": name,
        "end_to_end_id": end_to_end,
        "payer_name": "payer",
        "paid_on": f"2026-{on}",
        "documents": list(documents),
        "amount": D(amount),
        "currency": "USD",
    }
    return Fact("customer.remittance", "remittance_advice", columns, [(PAYMENTS, "remittance_advice", "{record}")])


def told(name: str, amount: str, on: str, *documents: dict[str, Any], version: int = 1, **more: Any) -> Fact:
    """A payment as the ERP tells of it."""
    columns = {
        "payment_id": name,
        "version": version,
        "changed_at": f"2026-{on}T00:00:00Z",
        "party_kind": "customer",
        "party_id": "C1",
        "paid_on": f"2026-{on}",
        "is_reversed": False,
        "documents": list(documents),
        "amount": D(amount),
        "currency": "USD",
        **more,
    }
    return Fact("erp.payment_status", "payment_status", columns, [(PAYMENTS, "customer_payment", f"erp:{name}")])


def dispute(name: str, number: str, status: str, amount: str, *, version: int = 1, **more: Any) -> Fact:
    columns = {
        "dispute_id": name,
        "version": version,
        "changed_at": f"2026-03-{10 + version}T00:00:00Z",
        "customer_id": "C1",
        "invoice_number": number,
        "reason_code": "DAMAGE",
        "status": status,
        "opened_on": "2026-03-12",
        "resolved_on": None if status == "opened" else "2026-03-14",
        "amount": D(amount),
        "currency": "USD",
        **more,
    }
    return Fact("erp.dispute", "customer_dispute", columns, [(PAYMENTS, "customer_dispute", name)])


def number_invoices(warehouse: ShapedWarehouse, numbers: dict[str, str]) -> None:
    """The ERP's answers to the first document about each of these invoices (aggregate id -> number)."""
    for aggregate, number in numbers.items():
        warehouse.conn.execute(
            """insert into effects.outcome (outbox_id, attempt, outcome, reference)
               select min(outbox_id), 1, 'accepted', %s from effects.outbox
               where aggregate_type = 'customer_invoice' and aggregate_id = %s having min(outbox_id) is not null""",
            (number, aggregate),
        )


def our_books(warehouse: ShapedWarehouse) -> None:
    """A company whose payments are booked here."""
    warehouse.conn.execute(
        """insert into rules.payment_policy (rule_id, rule_version, customer_id, books, unapplied_account, valid_from,
             recorded_at, recorded_by, note)
           values ('payments.default', 2, '*', 'ours', '2200', '2020-01-01', '2020-01-02', 'finance', 'we book')"""
    )


def balances(warehouse: ShapedWarehouse) -> dict[str, Decimal]:
    """Debit less credit by account, of what was made on the customers' side."""
    found: dict[str, Decimal] = {}
    for row in warehouse.rows(
        """select debit_account, credit_account, amount from effects.movement
           where relation not in ('movement__accruals', 'movement__settlement')"""
    ):
        found[row["debit_account"]] = found.get(row["debit_account"], D(0)) + row["amount"]
        found[row["credit_account"]] = found.get(row["credit_account"], D(0)) - row["amount"]
    return {account: amount for account, amount in sorted(found.items()) if amount}


def receivables(warehouse: ShapedWarehouse) -> dict[str, Decimal]:
    """What the receivable account says about each invoice, read from the log alone."""
    found: dict[str, Decimal] = {}
    for row in warehouse.rows(
        """select coalesce(attributes ->> 'customer_invoice_id', aggregate_id) as invoice, debit_account,
             credit_account, amount from effects.movement where '1200' in (debit_account, credit_account)"""
    ):
        sign = 1 if row["debit_account"] == "1200" else -1
        found[row["invoice"]] = found.get(row["invoice"], D(0)) + sign * row["amount"]
    return found


def statuses(warehouse: ShapedWarehouse) -> dict[str, tuple[str, Decimal]]:
    return {
        row["customer_invoice_id"]: (row["status"], row["open_amount"])
        for row in warehouse.rows("select * from decisions.customer_invoice_status")
    }


def verdicts(warehouse: ShapedWarehouse) -> dict[str, str]:
    return {
        row["payment_id"]: row["verdict"]
        for row in warehouse.rows("select payment_id, verdict from decisions.payment_verdict")
    }
