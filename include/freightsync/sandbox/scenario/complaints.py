"""Customers who complain of damaged goods, and what they are credited: in the ERP's list of disputes, by the ERP's own
numbers of their invoices.

A credit is taken from the lines of the invoice in proportion, each share rounded down and the cents left over from the
largest; what is not tax goes to the account of allowances, tax is owed no more.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.clock import START
from freightsync.sandbox.scenario.freight import Order
from freightsync.sandbox.scenario.sums import money, percent_of, shares

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

ALLOWANCES, TAX, RECEIVABLE = "4900", "2300", "1200"


def complain(day: Generator, paid: Collection[str]) -> None:
    """Some customers without tax, whose invoices nobody pays yet, and one with tax and an e-invoice. One more is told
    that its invoice stands."""
    billed = day.truth.documents["erp.customer_invoice"]
    orders = {order.number: order for order in day.orders}
    plain = sorted(
        key
        for key in day.truth.billable
        if "/" in key and "tax" not in billed[key] and billed[key]["currency"] == "USD"
    )
    chosen = day.sample([key for key in plain if key not in paid], day.some(0.008) + 1, "customers who complain")
    asking = next(key for key in sorted(day.truth.documents["customers.einvoice"]) if billed[key].get("tax"))
    for n, key in enumerate([asking, *chosen], 1):
        total = int(billed[key]["total"].replace(".", ""))
        credited = 0 if n == 2 else percent_of(total, f"{day.rng.randint(30, 160) / 10:.1f}")
        at = day.rng.uniform(800, 900)
        today = START.date().isoformat()
        document = {
            "dispute_id": f"D{day.seed}-{n}",
            "version": 1,
            "changed_at": day.clock.utc(at),
            "customer_id": billed[key]["customer_id"],
            "invoice": key,
            "reason_code": "DAMAGE",
            "status": "credited" if credited else "upheld",
            "opened_on": today,
            "resolved_on": today,
            "disputed_amount": money(credited or total // 10),
            "credited_amount": money(credited) if credited else None,
            "currency": billed[key]["currency"],
        }
        day.act("dispute", at, document=document, after=[f"erp_customer_invoice:{key}"], gap=5)
        day.truth.record("erp.dispute", cents=credited or total // 10)
        day.truth.trouble["customer_complains"] += 1
        if credited:
            take_back(day, orders[key.split("/")[0]], key, credited)


def take_back(day: Generator, order: Order, key: str, credited: int) -> None:
    """Takes a credit from what the truth says of an invoice."""
    invoice = day.truth.documents["erp.customer_invoice"][key]
    shipment = next(s for s in order.shipments if s.id == key.split("/")[1])
    kinds = {
        f"goods:{part.line.number}": part.quantity * part.line.price_cents
        for part in shipment.parts
        if part.order is order
    }
    kinds |= {name: int(invoice.get(name, "0.00").replace(".", "")) for name in ("freight", "tax")}
    parts = shares(credited, {name: Decimal(cents) for name, cents in kinds.items() if cents})
    for name, cents in parts.items():
        kind = name.split(":")[0]
        left = int(invoice[kind].replace(".", "")) - cents
        invoice[kind] = money(left)
        day.truth.post(TAX if kind == "tax" else ALLOWANCES, RECEIVABLE, cents, invoice["currency"])
    invoice["total"] = money(int(invoice["total"].replace(".", "")) - credited)
    invoice["documents"] += 1
    said = day.truth.documents["customers.einvoice"].get(key)
    if said is not None:
        # a credit note of its own, with what it takes back
        tax = parts.get("tax", 0)
        credit = {
            **{"type": "381", "net": money(credited - tax), "tax": money(tax), "total": money(credited)},
            **{name: said[name] for name in ("profile", "buyer", "currency", "broken_rules")},
        }
        day.truth.documents["customers.einvoice"][key] = {name: [said[name], credit[name]] for name in said}
