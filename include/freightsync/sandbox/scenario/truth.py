"""Writing down how the day must end, while it is being made.

`Truth.document()` has the shape that the comparison reads: `documents` (type -> key -> fields), `control_totals` (feed
-> records and money received, accepted, quarantined, duplicate), `trouble` (kind -> how often), `pod` (customer
invoices that a POD makes billable, and those that wait for another one), and how much there is of everything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Literal

from freightsync.sandbox.scenario.sums import money

Outcome = Literal["accepted", "quarantined", "duplicate"]

STATEMENTS = "bank.statement_entry"
AUDITS = "audit.invoice_result"
BILL_FEEDS = (
    "carrier.invoice_x12",
    "carrier.invoice_csv",
    "carrier.invoice_edifact",
    "carrier.invoice_api",
    "carrier.invoice_portal",
)
RATES = ("rates.contract", "rates.lane_rate", "rates.accessorial", "rates.band_table", "rates.fuel_price")
MONEY_FEEDS = frozenset({"erp.sales_order", "tms.shipment_plan", STATEMENTS, AUDITS, "erp.dispute", *BILL_FEEDS})
FEEDS = (
    "erp.customer",
    "erp.ship_to",
    "erp.item",
    "erp.carrier",
    "erp.charge_code",
    "erp.exchange_rate",
    "erp.tax_profile",
    "erp.tax_rate",
    "erp.purchase_order",
    "erp.stock_position",
    "tms.lane",
    "erp.sales_order",
    "tms.shipment_plan",
    "tms.shipment_event",
    "carrier.status_x12",
    "carrier.status_webhook",
    "driver.event",
    "driver.pod",
    "wms.ship_confirmation",
    *BILL_FEEDS,
    AUDITS,
    "carrier.edi_answer",
    "carrier.tender_response",
    STATEMENTS,
    "erp.dispute",
    *RATES,
)


class Truth:
    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = defaultdict(dict)
        self.trouble: Counter[str] = Counter()
        self.volumes: Counter[str] = Counter()
        self.billable: set[str] = set()
        self.waiting: set[str] = set()
        self._records: dict[str, Counter[str]] = {feed: Counter() for feed in FEEDS}
        self._cents: dict[str, Counter[str]] = {feed: Counter() for feed in FEEDS}
        self._ledger: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def record(self, feed: str, outcome: Outcome = "accepted", cents: int = 0, records: int = 1) -> None:
        """`records` units of a feed are sent and end as `outcome`; `cents`: their money together."""
        for name in ("received", outcome):
            self._records[feed][name] += records
            if feed in MONEY_FEEDS:
                self._cents[feed][name] += cents

    def quarantine(self, feed: str, key: str, *reasons: str) -> None:
        """A record with this natural key is held back for these reasons."""
        found = self.documents["ours.quarantine"].setdefault(f"{feed}/{key}", {"reasons": [], "count": 0})
        found["reasons"] = sorted({*found["reasons"], *reasons})
        found["count"] += 1

    def refused_call(self, partner: str) -> None:
        self.documents["ours.refused_call"].setdefault(partner, {"count": 0})["count"] += 1

    def post(self, debit: str, credit: str, cents: int, currency: str = "USD") -> None:
        """A movement of money; a negative one the other way round."""
        if currency != "USD":
            debit, credit = f"{debit}/{currency}", f"{credit}/{currency}"
        if cents < 0:
            debit, credit, cents = credit, debit, -cents
        if cents:
            self._ledger[debit][0] += cents
            self._ledger[credit][1] += cents

    def document(self, **head: Any) -> dict[str, Any]:
        ledger = {a: {"debit": money(d), "credit": money(c)} for a, (d, c) in sorted(self._ledger.items())}
        documents = {kind: dict(sorted(found.items())) for kind, found in sorted(self.documents.items())}
        documents["ours.ledger"] = ledger
        documents["erp.trial_balance"] = ledger
        totals = {}
        for feed in FEEDS:
            names = ("received", "accepted", "quarantined", "duplicate")
            counts: dict[str, Any] = {name: self._records[feed][name] for name in names}
            totals[feed] = counts | {f"{name}_amount": money(self._cents[feed][name]) for name in names}
        return {
            **head,
            "trouble": dict(sorted(self.trouble.items())),
            "volumes": dict(sorted(self.volumes.items())),
            "documents": documents,
            "control_totals": totals,
            "pod": {"billable": sorted(self.billable), "waiting": sorted(self.waiting)},
        }
