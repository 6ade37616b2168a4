"""The ERP: master data, sales orders, statuses, freight plans, invoices, journals, and a trial balance that balances.

It keeps double-entry books of its own: every document that it accepts is posted, and `trial-balance` adds up the
postings. `ledger-entries` lists all that was posted, whoever did it, and a locked period takes nothing more. What it
refuses it refuses with the field's name (RFC 9457). `as_its_user` is what its own people do to its books.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from freightsync.sandbox import checks
from freightsync.sandbox.books import Books, iso, wall_clock
from freightsync.sandbox.http import App, Problem, Reply, Request, delta, refuse, reply

MASTER = (
    "customers",
    "ship-tos",
    "items",
    "carriers",
    "charge-codes",
    "exchange-rates",
    "tax-profiles",
    "tax-rates",
    "purchase-orders",
    "stock-positions",
)
IDS = {
    "customers": "customer_id",
    "ship-tos": "ship_to_id",
    "items": "item_id",
    "carriers": "carrier_id",
    "charge-codes": "charge_code_id",
    "exchange-rates": "exchange_rate_id",
    "tax-profiles": "profile_id",
    "tax-rates": "rate_id",
    "purchase-orders": "order_number",
    "stock-positions": "stock_id",
    "sales-orders": "order_number",
    "payments": "payment_id",
    "disputes": "dispute_id",
}
LADDER = ("planned", "tendered", "in_transit", "delivered")
RECEIVABLE, PAYABLE, TAX = "1200", "2100", "2300"
CATEGORIES = ("S", "Z", "E", "AE", "K", "G", "O", "L", "M")
EXCHANGE = frozenset({"7100", "7150", "7200", "7250"})
"""Exchange gains and losses, realised and not. An entry there may have no amount in its own currency."""
SALES = ("4000", "4100", "4900", "4910")
CASH = ("1000", "2200", "6900")
"""Cash at banks, money of customers that waits, small differences and bank fees."""
ACCOUNTS = frozenset(
    {
        *(RECEIVABLE, PAYABLE, TAX, "1150", "1350", "1400", "1450", "2150", "2159", "5100", *SALES, *CASH),
        *(str(n) for n in range(6100, 6200, 10)),
    }
)
"""Receivables, payables, tax owed, freight to come back from carriers and claims against them, freight in stock,
tax to come back, accrued freight and its revaluation, freight in the cost of goods sold, sales, cash, freight."""
DOCUMENTS = ("customer-invoices", "supplier-invoices", "journal-entries")
KINDS = {
    "customer-invoices": "customer_invoice",
    "supplier-invoices": "supplier_invoice",
    "journal-entries": "journal_entry",
}
LEDGER = "ledger-entries"
HOUSE_CURRENCY = "USD"
Posting = tuple[str, str, int, int, int, int]
"""Account, currency, debit, credit, and both in the currency of the books."""
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def make(token: str, books: Books) -> App:
    erp = Erp(books)
    app = App("erp", token, books)
    base = "/api/v1/"
    for name in (*MASTER, "sales-orders", "payments", "disputes", "statuses", "freight-plans", *DOCUMENTS, LEDGER):
        app.route("GET", base + name, delta(books, name))
    app.route("GET", base + "trial-balance", erp.trial_balance)
    app.route("GET", base + "ledger-balances", erp.ledger_balances)
    app.route("GET", base + "periods", erp.periods)
    app.route("POST", base + "period-changes", erp.period_change)
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
            known = any(self.books.holds(name, order) for name in ("sales-orders", "purchase-orders"))
            if self.books.any("sales-orders") and not known:
                raise refuse("order_numbers", f"there is no sales order {order}, and no purchase order")
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
                given = request.json()
                own_day = name == "journal-entries" or given.get("posted_on")
                posted_on = checks.day(given, "posted_on" if own_day else "invoice_on")
                self._must_be_open(posted_on)
                document = write(given, number)
                at = wall_clock()
                book(
                    self.books,
                    number,
                    KINDS[name],
                    "interface",
                    posted_on,
                    document["currency"],
                    "interface",
                    reference=document["reference"],
                    at=at,
                )
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
        books_in = checks.currency(given, "functional_currency") if given.get("functional_currency") else currency
        kind = "credit_memo" if total < 0 else "invoice"
        if given.get("document_type") is not None:
            kind = checks.one_of(given, "document_type", ("invoice", "credit_memo"))
        if (kind == "credit_memo") != (total < 0):
            raise refuse("document_type", f"a total of {given['total']} is no {kind}")
        refers_to = given.get("refers_to")
        owing = None if refers_to is None else self._owing(checks.text(given, "refers_to"))
        if refers_to is not None and not owing:
            raise refuse("refers_to", f"there is no invoice {refers_to}")
        billed = self.books.latest("customers", customer)
        if billed is None and self.books.any("customers"):
            raise refuse("customer_id", f"there is no customer {customer}")
        ordered = self.books.latest("sales-orders", order)
        if ordered is None and self.books.any("sales-orders"):
            raise refuse("order_number", f"there is no sales order {order}")
        # an order may have gone to another customer since: what takes from an invoice is for whoever was billed
        if owing is not None and customer not in owing:
            raise refuse("customer_id", f"{refers_to} was not billed to {customer}")
        if owing is None and ordered is not None and ordered["customer_id"] != customer:
            raise refuse("customer_id", f"sales order {order} is {ordered['customer_id']}'s")
        known = {line["line"] for line in ordered["lines"]} if ordered else None
        lines, found = [], 0
        for n, line in enumerate(checks.objects(given, "lines")):
            at = f"lines[{n}]."
            part = checks.one_of(line, "kind", ("goods", "freight", "tax"), at)
            order_line = line.get("order_line")
            if part == "goods" and known is not None and order_line not in known:
                raise refuse(at + "order_line", f"sales order {order} has no line {order_line}")
            amount = checks.cents(line, "amount", at)
            account = self._account(line, "ledger_account", at)
            found += amount
            self._post(number, RECEIVABLE, account, currency, amount, _translated(line, amount, currency, books_in, at))
            if (part == "tax") != (account == TAX):
                raise refuse(at + "ledger_account", f"tax is owed on account {TAX}, and nothing else is")
            lines.append(
                {
                    "kind": part,
                    "order_line": order_line,
                    "description": checks.text(line, "description", at),
                    "amount": line["amount"],
                    **({"functional_amount": line["functional_amount"]} if "functional_amount" in line else {}),
                    "ledger_account": account,
                    **_tax_of(line, part, at),
                }
            )
        _must_sum(total, found)
        return {
            "reference": reference,
            "document_type": kind,
            "invoice_id": given.get("invoice_id"),
            "refers_to": refers_to,
            "reason": given.get("reason"),
            "customer_id": customer,
            "order_number": order,
            "shipment_ids": shipments,
            "invoice_per": billed["invoice_per"] if billed else None,
            "currency": currency,
            "invoice_on": invoice_on,
            **({"posted_on": given["posted_on"]} if given.get("posted_on") else {}),
            "total": given["total"],
            **({"functional_currency": books_in} if given.get("functional_currency") else {}),
            "lines": lines,
        }

    def _owing(self, name: str) -> set[str]:
        """Whoever was billed under this name."""
        rows = self.books.all(
            "select distinct json_extract(body, '$.customer_id') from entry"
            " where collection = 'customer-invoices' and json_extract(body, '$.invoice_id') = ?",
            (name,),
        )
        return {customer for (customer,) in rows}

    def supplier_invoice(self, given: dict[str, Any], number: str) -> dict[str, Any]:
        reference = checks.text(given, "reference")
        scac = checks.text(given, "scac")
        invoice_number = checks.text(given, "invoice_number")
        currency = checks.currency(given)
        invoice_on = checks.day(given, "invoice_on")
        total = checks.cents(given, "total")
        books_in = checks.currency(given, "functional_currency") if given.get("functional_currency") else currency
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
            translated = _translated(line, amount, currency, books_in, at)
            self._post(number, debit, credit, currency, amount, translated)
            lines.append(
                {
                    "charge_code": checks.text(line, "charge_code", at),
                    "shipment_id": checks.text(line, "shipment_id", at),
                    "amount": line["amount"],
                    "debit_account": debit,
                    "credit_account": credit,
                    **({"functional_amount": line["functional_amount"]} if "functional_amount" in line else {}),
                    "owed": money(owed),
                    **_goods(line, at),
                }
            )
        _must_sum(total, found)
        return {
            "reference": reference,
            "scac": scac,
            "invoice_number": invoice_number,
            "currency": currency,
            "invoice_on": invoice_on,
            **({"posted_on": given["posted_on"]} if given.get("posted_on") else {}),
            "total": given["total"],
            **({"functional_currency": books_in} if given.get("functional_currency") else {}),
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
            translated = _translated(line, amount, currency, books_in, at)
            if amount < 0 or translated < 0 or not (amount or translated):
                raise refuse(at + "amount", "more than 0.00 is needed; swap the accounts to undo")
            if not amount and EXCHANGE.isdisjoint({str(line.get("debit_account")), str(line.get("credit_account"))}):
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
                    **_goods(line, at),
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

    def _must_be_open(self, posted_on: str) -> None:
        row = self.books.one("select status, at from period where period = ?", (posted_on[:7],))
        if row is not None and row[0] == "locked":
            raise refuse("posted_on", f"period {posted_on[:7]} is locked since {iso(row[1])}")

    def ledger_balances(self, request: Request) -> Reply:
        """Debits and credits of one period, every account of the chart among them."""
        period = _period(request.query.get("period", ""), "period", 400)
        with self.books.together():
            sums = {
                (account, currency): (debit, credit)
                for account, currency, debit, credit in self.books.all(
                    "select account, p.currency, sum(debit_cents), sum(credit_cents)"
                    " from posting p join ledger l on l.number = p.document where l.period = ? group by 1, 2",
                    (period,),
                )
            }
            through = entered(self.books)
        for account in ACCOUNTS:
            if not any(account == known for known, _ in sums):
                sums[account, HOUSE_CURRENCY] = (0, 0)
        return reply(
            {
                "period": period,
                "as_of": iso(wall_clock()),
                "through_sequence": through,
                "items": [
                    {"account": account, "currency": currency, "debit": money(debit), "credit": money(credit)}
                    for (account, currency), (debit, credit) in sorted(sums.items())
                ],
            }
        )

    def periods(self, _: Request) -> Reply:
        rows = self.books.all("select period, status, at, by from period order by period")
        return reply(
            {"items": [{"period": p, "status": s, "changed_at": iso(at), "changed_by": by} for p, s, at, by in rows]}
        )

    def period_change(self, request: Request) -> Reply:
        def commit() -> tuple[int, dict[str, Any]]:
            given = request.json()
            period = _period(checks.text(given, "period"), "period", 422)
            status = checks.one_of(given, "status", ("locked", "open"))
            set_period(self.books, period, status, checks.text(given, "by"))
            return 201, {"period": period, "status": status}

        return checks.once(self.books, request, commit)

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


def _translated(line: dict[str, Any], amount: int, currency: str, books_in: str, at: str) -> int:
    """What a line is worth in the currency of the books. Nothing is translated here: whoever keeps foreign amounts
    says what they are worth."""
    if "functional_amount" not in line:
        if books_in != currency:
            raise refuse(at + "functional_amount", f"what {currency} are worth in books in {books_in} is needed")
        return amount
    translated = checks.cents(line, "functional_amount", at)
    if books_in == currency and translated != amount:
        raise refuse(at + "functional_amount", f"{line['amount']} {currency} are as much in books in {currency}")
    return translated


def _period(text: str, field: str, status: int) -> str:
    if not _PERIOD.fullmatch(text):
        raise refuse(field, "a month as YYYY-MM is needed", status)
    return text


def set_period(books: Books, period: str, status: str, by: str) -> None:
    books.run(
        "insert or replace into period (period, status, at, by) values (?, ?, ?, ?)", (period, status, wall_clock(), by)
    )


def book(
    books: Books,
    number: str,
    document_type: str,
    origin: str,
    posted_on: str,
    currency: str,
    entered_by: str,
    *,
    reference: str | None = None,
    reverses: str | None = None,
    note: str = "",
    at: float | None = None,
) -> None:
    """Enters a document whose postings are written into the ledger, or a new version of one that is there."""
    row = books.one("select version from ledger where number = ?", (number,))
    version = 1 if row is None else int(row[0]) + 1
    books.run(
        "insert or replace into ledger (number, document_type, origin, reference, reverses, posted_on, period,"
        " currency, entered_by, note, version) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, document_type, origin, reference, reverses, posted_on, posted_on[:7], currency, entered_by, note),
            version,
        ),
    )
    sequence = entered(books) + 1
    books.keep("ledger_sequence", sequence)
    rows = books.all(
        "select account, sum(debit_cents), sum(credit_cents) from posting where document = ? group by 1 order by 1",
        (number,),
    )
    books.add(
        LEDGER,
        number,
        {
            "number": number,
            "version": version,
            "sequence": sequence,
            "changed_at": iso(wall_clock() if at is None else at),
            "document_type": document_type,
            "origin": origin,
            "reference": reference,
            "reverses": reverses,
            "posted_on": posted_on,
            "period": posted_on[:7],
            "currency": currency,
            "total": money(sum(debit for _, debit, _ in rows)),
            "entered_by": entered_by,
            "note": note or None,
            "lines": [{"account": account, "debit": money(d), "credit": money(c)} for account, d, c in rows],
        },
        reference,
    )


def entered(books: Books) -> int:
    """The sequence number of the newest ledger entry; 0: there is none."""
    return int(books.kept("ledger_sequence") or 0)


def as_its_user(books: Books, given: dict[str, Any]) -> str:
    """What the ERP's own people do to its books, all of it past our interface; gives the document's number.

    do: manual   a journal of their own: posted_on, currency, lines [{account, debit, credit}]
        reverse  the reversal of a document: number, posted_on
        copy     the same document a second time under the same reference: number
        amend    other lines or another posting day of a posted document: number, lines?, posted_on?
        lose     a document is gone, as after a restored backup: number
        lock, unlock  a period: period
    Raises Problem(422) for an unknown document, one that does not balance, or a locked period.
    """
    what = checks.one_of(given, "do", ("manual", "reverse", "copy", "amend", "lose", "lock", "unlock"))
    by = str(given.get("by") or "erp.user")
    with books.together():
        if what in ("lock", "unlock"):
            period = _period(checks.text(given, "period"), "period", 422)
            set_period(books, period, "locked" if what == "lock" else "open", by)
            return period
        if what == "manual":
            return _manual(books, given, by)
        number = checks.text(given, "number")
        known = books.one(
            "select document_type, origin, reference, posted_on, currency, note from ledger where number = ?", (number,)
        )
        if known is None:
            raise refuse("number", f"there is no document {number}")
        document_type, origin, reference, posted_on, currency, note = known
        if what == "lose":
            books.run("delete from posting where document = ?", (number,))
            books.run("delete from ledger where number = ?", (number,))
            books.run("delete from idempotency where key = ?", (reference,))
            books.run("delete from entry where id = ? and collection = ?", (number, LEDGER))
            return number
        rows = books.all(
            "select account, currency, debit_cents, credit_cents, functional_debit_cents, functional_credit_cents"
            " from posting where document = ? order by seq",
            (number,),
        )
        if what == "reverse":
            made = f"RV{_count(books, 'reversal') + 1:07d}"
            _write(books, made, [(a, c, credit, debit, fc, fd) for a, c, debit, credit, fd, fc in rows])
            day = str(given.get("posted_on") or posted_on)
            _open(books, day)
            book(
                books, made, "journal_entry", "reversal", day, currency, by, reverses=number, note=f"reverses {number}"
            )
            return made
        if what == "copy":
            made = f"{number}-{_count(books, origin) + 1}"
            _write(books, made, rows)
            _open(books, posted_on)
            book(books, made, document_type, origin, posted_on, currency, by, reference=reference, note=note)
            return made
        if "lines" in given:
            books.run("delete from posting where document = ?", (number,))
            _write(books, number, _lines(given, currency))
        day = str(given.get("posted_on") or posted_on)
        _open(books, day)
        book(books, number, document_type, origin, day, currency, by, reference=reference, note=note)
        return number


def _manual(books: Books, given: dict[str, Any], by: str) -> str:
    posted_on = checks.day(given, "posted_on")
    currency = checks.currency(given)
    _open(books, posted_on)
    number = f"MJ{_count(books, 'manual') + 1:07d}"
    _write(books, number, _lines(given, currency))
    book(books, number, "journal_entry", "manual", posted_on, currency, by, note=str(given.get("note") or ""))
    return number


def _open(books: Books, posted_on: str) -> None:
    Erp(books)._must_be_open(posted_on)


def _count(books: Books, origin: str) -> int:
    row = books.one("select count(*) from ledger where origin = ?", (origin,))
    return int(row[0]) if row else 0


def _lines(given: dict[str, Any], currency: str) -> list[Posting]:
    """As they are entered: in the books at the same amount."""
    lines = []
    for n, line in enumerate(checks.objects(given, "lines")):
        at = f"lines[{n}]."
        account = checks.text(line, "account", at)
        if account not in ACCOUNTS:
            raise refuse(at + "account", f"there is no account {account}")
        debit, credit = checks.cents(line, "debit", at), checks.cents(line, "credit", at)
        lines.append((account, currency, debit, credit, debit, credit))
    if sum(line[2] for line in lines) != sum(line[3] for line in lines):
        raise refuse("lines", "debits and credits differ")
    return lines


def _write(books: Books, number: str, lines: list[Posting]) -> None:
    books.many(
        "insert into posting (document, account, currency, debit_cents, credit_cents, functional_debit_cents,"
        " functional_credit_cents) values (?, ?, ?, ?, ?, ?, ?)",
        [(number, *line) for line in lines],
    )


def _tax_of(line: dict[str, Any], kind: str, at: str) -> dict[str, Any]:
    """What a line says of tax: nothing where our ERP adds the tax itself; a tax line must say whose it is."""
    given = line.get("tax")
    if given is None:
        if kind == "tax":
            raise refuse(at + "tax", "a tax line names its category, rate, jurisdiction, tax and base")
        return {}
    if not isinstance(given, dict):
        raise refuse(at + "tax", "an object is needed")
    at += "tax."
    named = {"category": checks.one_of(given, "category", CATEGORIES, at)}
    rate = checks.decimal(given, "rate_percent", at)
    if rate is None or not 0 <= rate <= 100:
        raise refuse(at + "rate_percent", "a percentage from 0 to 100 is needed")
    named["rate_percent"] = str(given["rate_percent"])
    if kind == "tax":
        named |= {name: checks.text(given, name, at) for name in ("jurisdiction", "name")}
        checks.cents(given, "base", at)
        named["base"] = given["base"]
    elif given.get("reason_code") is not None:
        named["reason_code"] = checks.text(given, "reason_code", at)
    return {"tax": named}


def _goods(line: dict[str, Any], at: str) -> dict[str, Any]:
    """The order line whose landed cost a line is, where it says so."""
    if line.get("order_number") is None:
        return {}
    return {
        "order_number": checks.text(line, "order_number", at),
        "order_line": checks.whole(line, "order_line", at),
    }


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
