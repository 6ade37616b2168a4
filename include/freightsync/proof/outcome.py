"""The whole outcome of a day in the shape of its truth, and the verdict over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import httpx

from freightsync.proof import ours
from freightsync.proof.access_point import einvoices
from freightsync.proof.answers import answers
from freightsync.proof.books import Documents, money, open_books, partner_documents
from freightsync.proof.compare import Comparison, compare
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

Outcome = dict[str, Any]


def actual(settings: Settings) -> Outcome:
    """{"documents": {type: {key: fields}}, "control_totals": {feed: fields}} as the books say now.

    Raises BooksError where a partner can't be read, psycopg.Error where the warehouse can't.
    """
    documents: Documents = partner_documents(settings)
    documents |= answers(settings.home)
    documents["customers.einvoice"] = einvoices(settings.home / "sftp" / "access_point" / "outbound")
    with connect(settings.dsn("report"), application_name="freightsync proof") as connection:
        documents |= ours.our_documents(connection)
        return {"documents": documents, "control_totals": ours.control_totals(connection)}


def prove(settings: Settings, truth: Mapping[str, Any]) -> Comparison:
    """Compares the truth with the outcome, both directions."""
    return compare(complete(truth), without_resent(truth, actual(settings), sandbox_log(settings, "resent")))


def complete(truth: Mapping[str, Any]) -> dict[str, Any]:
    """The truth with the ERP's trial balance spelt out: it equals our ledger, account by account."""
    full = deepcopy(dict(truth))
    full["documents"].setdefault("erp.trial_balance", full["documents"].get("ours.ledger", {}))
    return full


def without_resent(truth: Mapping[str, Any], outcome: Outcome, resent: Iterable[Mapping[str, Any]]) -> Outcome:
    """Takes calls that a partner repeated because our answer got lost out of received and duplicate.

    Whether the first attempt had arrived can't be known by the partner, so what it repeated is the most that may be
    taken out, and only as far as both counts exceed the truth by the same. Money of such duplicates goes with them.
    """
    repeated: defaultdict[str, int] = defaultdict(int)
    for entry in resent:
        for feed, records in entry["units"].items():
            repeated[feed] += records
    adjusted = deepcopy(outcome)
    for feed, most in repeated.items():
        expected = truth.get("control_totals", {}).get(feed)
        found = adjusted["control_totals"].get(feed)
        if expected is None or found is None:
            continue
        more = found["duplicate"] - expected["duplicate"]
        if 0 < more <= most and found["received"] - expected["received"] == more:
            found["duplicate"] -= more
            found["received"] -= more
            extra = _cents(found["duplicate_amount"]) - _cents(expected["duplicate_amount"])
            if _cents(found["received_amount"]) - _cents(expected["received_amount"]) == extra:
                for name in ("duplicate_amount", "received_amount"):
                    found[name] = expected[name]
    return adjusted


def sandbox_log(settings: Settings, kind: str) -> list[dict[str, Any]]:
    """What the sandbox partners noted with their own clocks, oldest first."""
    with open_books(settings, "erp") as erp:
        answer = erp.client.get("/_sandbox/log", params={"kind": kind})
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"sandbox log {kind}: {answer.status_code} {answer.text[:200]}")
        body = answer.json()
        entries: list[dict[str, Any]] = body["items"] if isinstance(body, dict) else body
        return entries


def _cents(amount: str) -> int:
    return int(money(amount).replace(".", ""))
