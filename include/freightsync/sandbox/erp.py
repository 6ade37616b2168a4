"""The ERP: master data, sales orders, statuses, freight plans, invoices, journals, and a trial balance that balances.

It keeps double-entry books of its own: every document that it accepts is posted, and `trial-balance` adds up the
postings. What it refuses it refuses with the field's name (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freightsync.sandbox import checks
from freightsync.sandbox.books import Books, iso, wall_clock
from freightsync.sandbox.http import App, Problem, Reply, Request, delta, refuse, reply

MASTER = ("customers", "ship-tos", "items", "carriers", "charge-codes", "exchange-rates")
IDS = {
    "customers": "customer_id",
    "ship-tos": "ship_to_id",
    "items": "item_id",
    "carriers": "carrier_id",
    "charge-codes": "charge_code_id",
    "exchange-rates": "exchange_rate_id",
    "sales-orders": "order_number",
}
LADDER = ("planned", "tendered", "in_transit", "delivered")
RECEIVABLE, PAYABLE = "1200", "2100"
ACCOUNTS = frozenset({RECEIVABLE, PAYABLE, "2150", "2159", "4000", "4100", *(str(n) for n in range(6100, 6200, 10))})
EXCHANGE = frozenset({"7100", "7150", "7200", "7250"})
"""Exchange gains and losses, realised and not. An entry there may have no amount in its own currency."""
DOCUMENTS = ("customer-invoices", "supplier-invoices", "journal-entries")


def make(token: str, books: Books) -> App:
    erp = Erp(books)
    app = App("erp", token, books)
    base = "/api/v1/"
    for name in (*MASTER, "sales-orders", "statuses", "freight-plans", *DOCUMENTS):
        app.route("GET", base + name, delta(books, name))
    app.route("GET", base + "trial-balance", erp.trial_balance)
    app.route("POST", base + "status-updates", erp.status_updates)
    app.route("POST", base + "freight-plans", erp.freight_plans)
    writes: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
        "customer-invoices": erp.customer_invoice,
        "supplier-invoices": erp.supplier_invoice,
        "journal-entries": erp.journal_entry,
    }
    for name, write in writes.items():
        app.route("POST", base + name, erp.document(name, write))
    return app


def next_status(current: str | None, wanted: str, reason: str) -> str | None:
    """Why an object in status `current` may not become `wanted`; None if it may.

    The ladder is planned, tendered, in_transit, delivered, one step at a time. `cancelled` is possible from all but
    delivered. A tender that was declined may take a tendered object back to planned, if the reason is given.
    """
    if wanted == "cancelled":
        return f"it is {current}" if current in ("delivered", "cancelled") else None
    if wanted not in LADDER:
        return f"there is no status {wanted!r}"
    if current == "cancelled":
        return "it is cancelled"
    if current == "tendered" and wanted == "planned" and reason:
        return None
    due = LADDER[0] if current is None else (*LADDER, None)[LADDER.index(current) + 1]
    if wanted == due:
        return None
    return f"it is {current or 'new'} and may only become {due or 'nothing else'}, not {wanted}"


class Erp:
    def __init__(self, books: Books) -> None:
        self.books = books

    # -- in batches: each item has its key and its own outcome ------------------------------------------------------

    def status_updates(self, request: Request) -> Reply:
        updates = checks.objects(request.json(), "updates", most=200)
        return self._each(updates, "updates", self._status)

    def freight_plans(self, request: Request) -> Reply:
        plans = checks.objects(request.json(), "plans", most=200)
        return self._each(plans, "plans", self._freight_plan)

    def _each(self, items: list[dict[str, Any]], name: str, accept: Callable[[dict[str, Any]], str]) -> Reply:
        """A key that was accepted before gives its first outcome again; a refused one is looked at anew."""
        for n, item in enumerate(items):
            checks.text(item, "idempotency_key", f"{name}[{n}].")
        results = []
        with self.books.together():
            for item in items:
                key = item["idempotency_key"]
                mark = checks.digest(name, item)
                row = self.books.one("select digest, body from idempotency where key = ?", (key,))
                try:
                    if row is None:
                        reference = accept(item)
                        self.books.run(
                            "insert into idempotency (key, digest, status, body) values (?, ?, 200, ?)",
                            (key, mark, reference),
                        )
                    elif row[0] != mark:
                        raise refuse("idempotency_key", "it came with another content before")
                    else:
                        reference = row[1]
                    results.append({"idempotency_key": key, "outcome": "accepted", "reference": reference})
                except Problem as problem:
                    results.append(
                        {"idempotency_key": key, "outcome": "refused", "reference": "", "message": problem.detail}
                    )
        return reply({"results": results})

    def _status(self, update: dict[str, Any]) -> str:
        kind = checks.one_of(update, "object_type", ("shipment", "sales_order"))
        number = checks.text(update, "object_id")
        wanted = checks.text(update, "status")
        at = checks.moment(update, "at")
        reason = update.get("reason") or ""
        if kind == "sales_order" and self.books.any("sales-orders") and not self.books.holds("sales-orders", number):
            raise refuse("object_id", f"there is no sales order {number}")
        row = self.books.one(
            "select status from current_status where object_type = ? and object_id = ?", (kind, number)
        )
        why_not = next_status(row[0] if row else None, wanted, str(reason))
        if why_not:
            raise refuse("status", f"{kind} {number}: {why_not}")
        self.books.run(
            "insert or replace into current_status (object_type, object_id, status) values (?, ?, ?)",
            (kind, number, wanted),
        )
        seq = self.books.add(
            "statuses",
            f"{kind}/{number}",
            {"object_type": kind, "object_id": number, "status": wanted, "at": at, "reason": reason or None},
            f"{kind}/{number}",
        )
        return f"ST{seq:08d}"

    def _freight_plan(self, plan: dict[str, Any]) -> str:
        shipment = checks.text(plan, "shipment_id")
        version = checks.whole(plan, "plan_version")
        scac = checks.text(plan, "scac")
        booking = checks.text(plan, "booking_reference")
        orders = checks.texts(plan, "order_numbers")
        checks.cents(plan, "estimated_freight")
        currency = checks.currency(plan)
        for order in orders:
            if self.books.any("sales-orders") and not self.books.holds("sales-orders", order):
                raise refuse("order_numbers", f"there is no sales order {order}")
        before = self.books.latest("freight-plans", shipment)
        if before is not None and before["plan_version"] > version:
            raise refuse("plan_version", f"version {before['plan_version']} of {shipment} is here already")
        seq = self.books.add(
            "freight-plans",
            shipment,
            {
                "shipment_id": shipment,
                "plan_version": version,
                "scac": scac,
                "booking_reference": booking,
                "order_numbers": orders,
                "estimated_freight": plan["estimated_freight"],
                "currency": currency,
                "idempotency_key": plan["idempotency_key"],
            },
            shipment,
        )
        return f"FP{seq:08d}"

    # -- documents: one a call ----------------------------------------------------------------------------------------

    def document(self, name: str, write: Callable[[dict[str, Any], str], dict[str, Any]]) -> Callable[[Request], Reply]:
        prefix = {"customer-invoices": "CI", "supplier-invoices": "SI", "journal-entries": "JE"}[name]

        def handle(request: Request) -> Reply:
            def commit() -> tuple[int, dict[str, Any]]:
                number = f"{prefix}{self.books.size(name) + 1:07d}"
                document = write(request.json(), number)
                at = wall_clock()
                document |= {
                    "number": number,
                    "committed_at": iso(at),
                    "idempotency_key": request.headers["idempotency-key"],
                }
                self.books.add(name, number, document, document["reference"])
                self.books.log("committed", {"document_type": name, "number": number, **_committed(name, document)}, at)
                return 201, {"number": number, "committed_at": document["committed_at"]}

            return checks.once(self.books, request, commit)

        return handle

    def customer_invoice(self, given: dict[str, Any], number: str) -> dict[str, Any]:
        reference = checks.text(given, "reference")
        customer = checks.text(given, "customer_id")
        order = checks.text(given, "order_number")
        shipments = checks.texts(given, "shipment_ids")
        currency = checks.currency(given)
        invoice_on = checks.day(given, "invoice_on")
        total = checks.cents(given, "total")
        billed = self.books.latest("customers", customer)
        if billed is None and self.books.any("customers"):
            raise refuse("customer_id", f"there is no customer {customer}")
        ordered = self.books.latest("sales-orders", order)
        if ordered is None and self.books.any("sales-orders"):
            raise refuse("order_number", f"there is no sales order {order}")
        if ordered is not None and ordered["customer_id"] != customer:
            raise refuse("customer_id", f"sales order {order} is {ordered['customer_id']}'s")
        known = {line["line"] for line in ordered["lines"]} if ordered else None
        lines, found = [], 0
        for n, line in enumerate(checks.objects(given, "lines")):
            at = f"lines[{n}]."
            kind = checks.one_of(line, "kind", ("goods", "freight"), at)
            order_line = line.get("order_line")
            if kind == "goods" and known is not None and order_line not in known:
                raise refuse(at + "order_line", f"sales order {order} has no line {order_line}")
            amount = checks.cents(line, "amount", at)
            account = self._account(line, "ledger_account", at)
            found += amount
            self._post(number, RECEIVABLE, account, currency, amount)
            lines.append(
                {
                    "kind": kind,
                    "order_line": order_line,
                    "description": checks.text(line, "description", at),
                    "amount": line["amount"],
                    "ledger_account": account,
                }
            )
        _must_sum(total, found)
        return {
            "reference": reference,
            "customer_id": customer,
            "order_number": order,
            "shipment_ids": shipments,
            "invoice_per": billed["invoice_per"] if billed else None,
            "currency": currency,
            "invoice_on": invoice_on,
            "total": given["total"],
            "lines": lines,
        }

    def supplier_invoice(self, given: dict[str, Any], number: str) -> dict[str, Any]:
        reference = checks.text(given, "reference")
        scac = checks.text(given, "scac")
        invoice_number = checks.text(given, "invoice_number")
        currency = checks.currency(given)
        invoice_on = checks.day(given, "invoice_on")
        total = checks.cents(given, "total")
        if self.books.any("carriers") and not any(scac == c for c in self._scacs()):
            raise refuse("scac", f"there is no carrier {scac}")
        lines, found = [], 0
        for n, line in enumerate(checks.objects(given, "lines")):
            at = f"lines[{n}]."
            amount = checks.cents(line, "amount", at)
            debit = self._account(line, "debit_account", at)
            credit = self._account(line, "credit_account", at)
            if PAYABLE not in (debit, credit) or debit == credit:
                raise refuse(at + "credit_account", f"one side of a supplier invoice's line is {PAYABLE}")
            owed = amount if credit == PAYABLE else -amount
            found += owed
            self._post(number, debit, credit, currency, amount)
            lines.append(
                {
                    "charge_code": checks.text(line, "charge_code", at),
                    "shipment_id": checks.text(line, "shipment_id", at),
                    "amount": line["amount"],
                    "debit_account": debit,
                    "credit_account": credit,
                    "owed": money(owed),
                }
            )
        _must_sum(total, found)
        return {
            "reference": reference,
            "scac": scac,
            "invoice_number": invoice_number,
            "currency": currency,
            "invoice_on": invoice_on,
            "total": given["total"],
            "lines": lines,
        }

    def journal_entry(self, given: dict[str, Any], number: str) -> dict[str, Any]:
        reference = checks.text(given, "reference")
        posted_on = checks.day(given, "posted_on")
        currency = checks.currency(given)
        books_in = checks.currency(given, "functional_currency") if given.get("functional_currency") else currency
        lines = []
        for n, line in enumerate(checks.objects(given, "lines")):
            at = f"lines[{n}]."
            amount = checks.cents(line, "amount", at)
            translated = checks.cents(line, "functional_amount", at) if "functional_amount" in line else amount
            if books_in == currency and translated != amount:
                raise refuse(
                    at + "functional_amount", f"{line['amount']} {currency} are as much in books in {currency}"
                )
            if amount < 0 or translated < 0 or not (amount or translated):
                raise refuse(at + "amount", "more than 0.00 is needed; swap the accounts to undo")
            if not amount and EXCHANGE.isdisjoint(str(line.get(side)) for side in ("debit_account", "credit_account")):
                raise refuse(at + "amount", "more than 0.00 is needed: only an exchange difference has no amount")
            debit = self._account(line, "debit_account", at)
            credit = self._account(line, "credit_account", at)
            if debit == credit:
                raise refuse(at + "credit_account", "two accounts are needed")
            self._post(number, debit, credit, currency, amount, translated)
            lines.append(
                {
                    "debit_account": debit,
                    "credit_account": credit,
                    "amount": line["amount"],
                    **({"functional_amount": line["functional_amount"]} if "functional_amount" in line else {}),
                    "shipment_id": line.get("shipment_id"),
                    "charge_code": line.get("charge_code"),
                    "cause": line.get("cause"),
                }
            )
        return {
            "reference": reference,
            "posted_on": posted_on,
            "currency": currency,
            **({"functional_currency": books_in} if given.get("functional_currency") else {}),
            "lines": lines,
        }

    # -- the ledger ------------------------------------------------------------

    def _account(self, line: dict[str, Any], name: str, at: str) -> str:
        account = checks.text(line, name, at)
        if account not in ACCOUNTS | EXCHANGE:
            raise refuse(at + name, f"there is no account {account}")
        return account

    def _post(
        self, document: str, debit: str, credit: str, currency: str, amount: int, translated: int | None = None
    ) -> None:
        """Books a transfer; a negative one the other way round. `translated`: in the currency of the books, where that
        is another one."""
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        worth = amount if translated is None else abs(translated)
        self.books.many(
            "insert into posting (document, account, currency, debit_cents, credit_cents, functional_debit_cents,"
            " functional_credit_cents) values (?, ?, ?, ?, ?, ?, ?)",
            [(document, debit, currency, amount, 0, worth, 0), (document, credit, currency, 0, amount, 0, worth)],
        )

    def trial_balance(self, request: Request) -> Reply:
        rows = self.books.all(
            "select account, currency, sum(debit_cents), sum(credit_cents), sum(functional_debit_cents),"
            " sum(functional_credit_cents) from posting group by 1, 2 order by 1, 2"
        )
        names = ("account", "currency", "debit", "credit", "functional_debit", "functional_credit")
        return reply([dict(zip(names, (*row[:2], *map(money, row[2:])), strict=True)) for row in rows])

    def _scacs(self) -> set[str]:
        rows = self.books.all("select json_extract(body, '$.scac') from entry where collection = 'carriers'")
        return {scac for (scac,) in rows}


def money(amount: int) -> str:
    """Cents as a decimal text."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def _must_sum(total: int, found: int) -> None:
    if total != found:
        raise refuse("total", f"the lines sum to {money(found)}, not {money(total)}")


def _committed(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """What the log shows of a committed document; `key` names what was billed: order/shipment, or order."""
    if name == "customer-invoices":
        order, shipments = document["order_number"], document["shipment_ids"]
        per_order = document["invoice_per"] == "order" or not shipments
        return {"key": order if per_order else f"{order}/{shipments[0]}", "reference": document["reference"]}
    if name == "supplier-invoices":
        return {"key": f"{document['scac']}/{document['invoice_number']}", "reference": document["reference"]}
    return {"key": document["reference"], "reference": document["reference"]}


def put(books: Books, collection: str, document: dict[str, Any]) -> None:
    """A new version of a master record or sales order, as the ERP's own people write it.

    Raises Problem(422) for an unknown collection or a missing id."""
    id_field = IDS.get(collection)
    if id_field is None:
        raise refuse("collection", f"one of {', '.join(IDS)}")
    books.add(collection, checks.text(document, id_field), document)
