"""The partners' own books, read back over their APIs, as documents to compare.

A plain HTTP client and nothing of the connectors: what is under proof must not vouch for itself.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from freightsync.settings import Settings

ACCRUED, PAYABLE = "2150", "2100"
PAGE = 500
PATIENCE = 10
"""Attempts at a read that is answered 429 or 503: the day's faults may still be armed."""

Documents = dict[str, dict[str, dict[str, object]]]


class BooksError(Exception):
    """A partner's books could not be read; says which, where, and what was answered."""


@dataclass(frozen=True)
class Books:
    """One partner's API: base address and token."""

    client: httpx.Client
    name: str

    def get(self, path: str, **query: str | int) -> Any:
        """One read, JSON with exact numbers. Raises BooksError."""
        for attempt in range(PATIENCE):
            try:
                answer = self.client.get(path, params=query)
            except httpx.TransportError as error:
                if attempt + 1 == PATIENCE:
                    raise BooksError(f"{self.name} {path}: {error}") from error
                time.sleep(0.2)
                continue
            if answer.status_code in (429, 503) and attempt + 1 < PATIENCE:
                time.sleep(min(float(answer.headers.get("Retry-After", "0.2")), 2.0))
                continue
            if answer.status_code != 200:
                raise BooksError(f"{self.name} {path}: {answer.status_code} {answer.text[:300]}")
            return json.loads(answer.text, parse_float=Decimal)
        raise BooksError(f"{self.name} {path}: still refused after {PATIENCE} attempts")

    def entries(self, collection: str) -> Iterator[dict[str, Any]]:
        """Every entry of a collection, oldest first."""
        cursor = ""
        while True:
            page = self.get(f"/api/v1/{collection}", cursor=cursor, limit=PAGE)
            yield from page["items"]
            if not page["more"]:
                return
            cursor = page["next_cursor"]


@contextmanager
def open_books(settings: Settings, partner: str) -> Iterator[Books]:
    """A partner's books. Raises SettingsError where the partner isn't known."""
    known = settings.partner(partner)
    headers = {"Authorization": f"Bearer {known.token.get_secret_value()}"}
    # trust_env=False: loopback never through a proxy
    with httpx.Client(base_url=known.base_url, headers=headers, timeout=30, trust_env=False) as client:
        yield Books(client, partner)


def partner_documents(settings: Settings) -> Documents:
    """Documents of the ERP and the TMS by type and key."""
    with open_books(settings, "tms") as tms, open_books(settings, "erp") as erp:
        statuses = list(erp.entries("statuses"))
        customers = {row["customer_id"]: row for row in erp.entries("customers")}
        return {
            "tms.order": tms_orders(tms.entries("orders")),
            "erp.freight_plan": freight_plans(erp.entries("freight-plans")),
            "erp.shipment_status": latest_statuses(statuses, "shipment"),
            "erp.order_status": latest_statuses(statuses, "sales_order"),
            "erp.customer_invoice": customer_invoices(erp.entries("customer-invoices"), customers),
            "erp.supplier_invoice": supplier_invoices(erp.entries("supplier-invoices")),
            "erp.accrued": accrued(erp.entries("journal-entries")),
            "erp.trial_balance": trial_balance(erp.get("/api/v1/trial-balance")),
        }


def tms_orders(entries: Iterator[dict[str, Any]]) -> dict[str, dict[str, object]]:
    """Order number → its last version: for whom, where to, when (UTC), how; lines [line, item, quantity, pallets,
    length, width, height in inches, pounds, hazmat, UN number]."""
    return {
        entry["order_number"]: {
            "version": int(entry["version"]),
            "status": entry["status"],
            **{name: entry[name] for name in ("customer_id", "ship_to_id")},
            **{name: _moment(entry[name]) for name in ("requested_from", "requested_to")},
            **{name: entry[name] for name in ("shipping_conditions", "service_requirements")},
            "lines": [
                [
                    int(line["line"]),
                    *(line.get(name) for name in ("item_id", "quantity", "pallets")),
                    *(_measure(line.get(f"pallet_{side}_in")) for side in ("length", "width", "height")),
                    _measure(line.get("weight_lb"), "0.001"),
                    *(line.get(name) for name in ("hazmat", "un_number")),
                ]
                for line in sorted(entry["lines"], key=lambda line: int(line["line"]))
            ],
        }
        for entry in entries
    }


def freight_plans(entries: Iterator[dict[str, Any]]) -> dict[str, dict[str, object]]:
    """Shipment → the last plan that the ERP took."""
    return {
        entry["shipment_id"]: {
            "scac": entry["scac"],
            "estimated_freight": money(entry["estimated_freight"]),
            "order_numbers": sorted(entry["order_numbers"]),
            "booking_reference": entry["booking_reference"],
            "plan_version": int(entry["plan_version"]),
            "currency": entry["currency"],
        }
        for entry in entries
    }


def latest_statuses(entries: Sequence[dict[str, Any]], object_type: str) -> dict[str, dict[str, object]]:
    return {entry["object_id"]: {"status": entry["status"]} for entry in entries if entry["object_type"] == object_type}


def customer_invoices(
    entries: Iterator[dict[str, Any]], customers: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, object]]:
    """`order/shipment`, or `order` for a customer billed by order → what its documents billed, summed."""
    sums: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    billed_to: defaultdict[str, set[str]] = defaultdict(set)
    currencies: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        key = invoice_key(entry, customers)
        billed_to[key].add(entry["customer_id"])
        currencies[key].append(entry["currency"])
        sums[key]["total"] += Decimal(entry["total"])
        for line in entry["lines"]:
            sums[key][line["kind"]] += Decimal(line["amount"])
    return {
        key: {
            "customer_id": ",".join(sorted(billed_to[key])),
            "total": money(amounts["total"]),
            "goods": money(amounts["goods"]),
            "freight": money(amounts["freight"]),
            # of invoices whose tax the ERP adds itself nothing is said
            **({"tax": money(amounts["tax"])} if "tax" in amounts else {}),
            **_documents(currencies[key]),
        }
        for key, amounts in sums.items()
    }


def invoice_key(entry: Mapping[str, Any], customers: Mapping[str, Mapping[str, Any]]) -> str:
    per = entry.get("invoice_per") or customers.get(entry["customer_id"], {}).get("invoice_per")
    order, shipments = entry["order_number"], entry["shipment_ids"]
    return str(order) if per == "order" else f"{order}/{'+'.join(sorted(shipments))}"


def supplier_invoices(entries: Iterator[dict[str, Any]]) -> dict[str, dict[str, object]]:
    """`scac/invoice number` → total and amount by `shipment/charge`, over all documents with that number."""
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    lines: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    currencies: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        key = f"{entry['scac']}/{entry['invoice_number']}"
        totals[key] += Decimal(entry["total"])
        currencies[key].append(entry["currency"])
        for line in entry["lines"]:
            # what we owe: a line that debits payables takes back
            owed = Decimal(line["amount"]) if line["credit_account"] == PAYABLE else -Decimal(line["amount"])
            lines[key][f"{line['shipment_id']}/{line['charge_code']}"] += owed
    return {
        key: {
            "total": money(total),
            "lines": {name: money(amount) for name, amount in sorted(lines[key].items())},
            **_documents(currencies[key]),
        }
        for key, total in totals.items()
    }


def _documents(currencies: Sequence[str]) -> dict[str, object]:
    """How many documents one thing was posted with, and in what currency: a correction would be one more."""
    return {"currency": ",".join(sorted(set(currencies))), "documents": len(currencies)}


def accrued(entries: Iterator[dict[str, Any]]) -> dict[str, dict[str, object]]:
    """`shipment/charge` → on the accrual account: booked at delivery, taken back by invoices, still open."""
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    taken_back: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        for line in entry["lines"]:
            if ACCRUED not in (line["debit_account"], line["credit_account"]):
                continue
            key = f"{line['shipment_id']}/{line['charge_code']}"
            credit = Decimal(line["amount"]) if line["credit_account"] == ACCRUED else -Decimal(line["amount"])
            booked.setdefault(key, Decimal(0))
            if str(line["cause"]).startswith("delivery|"):
                booked[key] += credit
            else:
                taken_back[key] -= credit
    return {
        key: {
            "accrued": money(amount),
            "reversed": money(taken_back[key]),
            "open": money(amount - taken_back[key]),
        }
        for key, amount in booked.items()
    }


def trial_balance(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, object]]:
    """Account (`account/currency` for any currency but the first, USD) → debit and credit. An account that has only
    exchange differences, which have no amount in their own currency, is none here."""
    return {
        account_key(line["account"], line["currency"]): {"debit": money(line["debit"]), "credit": money(line["credit"])}
        for line in lines
        if Decimal(line["debit"]) or Decimal(line["credit"])
    }


def account_key(account: str, currency: str) -> str:
    return account if currency == "USD" else f"{account}/{currency}"


def money(amount: object) -> str:
    """Two decimals, exactly. Raises ValueError where there are more: rounding would hide them."""
    exact = Decimal(str(amount))
    rounded = exact.quantize(Decimal("0.01"))
    if rounded != exact:
        raise ValueError(f"{amount} has more than two decimals")
    return str(rounded + 0)  # + 0: no negative zero


def _measure(value: object, step: str = "0.01") -> str | None:
    return None if value is None else str(Decimal(str(value)).quantize(Decimal(step)))


def _moment(value: object) -> str:
    """Whatever its zone, in UTC to the second."""
    return datetime.fromisoformat(str(value)).astimezone(UTC).isoformat(timespec="seconds")
