"""Our side of the outcome: what the warehouse says, read with the reporting role."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg
from psycopg.rows import dict_row

from freightsync.landing.feeds import LEDGER_FEEDS
from freightsync.proof.books import Documents, account_key, money

_QUARANTINE = """
select q.feed, q.natural_key, q.reasons from quality.quarantine q order by q.quarantine_id
"""

_VERDICTS = "select scac, invoice_number, net_amount, invoice_on, verdict from decisions.invoice_verdict"
_PAYMENTS = """
    select payment_id, verdict, applied.amounts from decisions.payment_verdict
    left join lateral (
      select json_object_agg(customer_invoice_id, applied_amount::text) as amounts from decisions.payment_application a
      where a.payment_id = payment_verdict.payment_id and a.applied_amount <> 0) as applied on true
"""
_ADVICES = "select partner, invoice_number, state from decisions.edi_sent"
_CLAIMS = """
    select scac, invoice_number, claimed_amount, claim_open_amount, state from decisions.dispute
     where claimed_amount <> 0
"""
_RATED = "select shipment_id, charge_code, amount from decisions.rated_charge where side = 'buy'"
_CARRIER_ADVICES = """
    select partner, answers, verdict, needs_a_look, about from decisions.edi_answer_link where kind = '824'
"""
_TENDER_ANSWERS = "select shipment_id, action_code, decision, state from decisions.tender_answer"
_SHIPMENTS = "select shipment_id, milestone from canonical.shipment"
_HOLDS = "select shipment_id, reasons from decisions.billing_hold"
_REFUSED_CALLS = """
    select partner, sum(calls)::bigint as count from (
      select partner, count(*) as calls from landing.refused_call group by partner
      union all
      select partner, calls from ops.refused_call_count) as kept_and_counted
    group by partner
"""

# straight from the log, not from the mart that the workbook shows
_LEDGER = """
select account, currency, sum(debit) as debit, sum(credit) as credit
  from (select debit_account as account, currency, amount as debit, 0 as credit from effects.movement
        union all
        select credit_account, currency, 0, amount from effects.movement) as sides
 group by account, currency having sum(debit) <> 0 or sum(credit) <> 0
"""

_CONTROL_TOTALS = """
select feed, sum(received)::bigint as received, sum(accepted)::bigint as accepted,
       sum(quarantined)::bigint as quarantined, sum(duplicate)::bigint as duplicate,
       coalesce(sum(received_amount), 0) as received_amount, coalesce(sum(accepted_amount), 0) as accepted_amount,
       coalesce(sum(quarantined_amount), 0) as quarantined_amount,
       coalesce(sum(duplicate_amount), 0) as duplicate_amount
  from ops.control_total_check
 where feed <> all(%s)
 group by feed
"""

_SOURCES = """
select feed as source, count(distinct batch_id) as batch_count, sum(received)::bigint as received,
       sum(accepted)::bigint as accepted, sum(quarantined)::bigint as quarantined,
       sum(duplicate)::bigint as duplicate, coalesce(sum(received_amount), 0) as received_amount,
       coalesce(sum(accepted_amount), 0) as accepted_amount,
       coalesce(sum(quarantined_amount), 0) as quarantined_amount,
       coalesce(sum(duplicate_amount), 0) as duplicate_amount, bool_and(balanced) as balanced
  from ops.control_total_check
 group by feed
 order by feed
"""


def our_documents(connection: psycopg.Connection[Any]) -> Documents:
    """Quarantine, verdicts, milestones, holds, refused calls and ledger by type and key."""
    with connection.cursor(row_factory=dict_row) as cursor:
        quarantine: defaultdict[str, list[list[str]]] = defaultdict(list)
        for row in cursor.execute(_QUARANTINE):
            quarantine[f"{row['feed']}/{row['natural_key'] or ''}"].append(row["reasons"])
        rated: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for row in cursor.execute(_RATED):
            rated[raw_id(row["shipment_id"])][row["charge_code"]] = money(row["amount"])
        verdicts: defaultdict[str, list[str]] = defaultdict(list)
        for row in cursor.execute(_VERDICTS):
            key = f"{row['scac']}/{row['invoice_number']}/{money(row['net_amount'])}/{row['invoice_on']}"
            verdicts[key].append(row["verdict"])
        return {
            "ours.quarantine": {
                key: {"reasons": sorted({reason for reasons in found for reason in reasons}), "count": len(found)}
                for key, found in quarantine.items()
            },
            "ours.verdict": {key: {"verdict": ",".join(sorted(found))} for key, found in verdicts.items()},
            "ours.payment": {
                row["payment_id"]: {
                    "verdict": row["verdict"],
                    "applied": {
                        name.removeprefix("erp:").replace("/tms:", "/"): money(amount)
                        for name, amount in (row["amounts"] or {}).items()
                    },
                }
                for row in cursor.execute(_PAYMENTS)
            },
            "ours.advice": {
                f"{row['partner']}/{row['invoice_number']}": {"state": row["state"]} for row in cursor.execute(_ADVICES)
            },
            "ours.rated": dict(rated),
            "ours.claim": {
                f"{row['scac']}/{row['invoice_number']}": {
                    "claimed": money(row["claimed_amount"]),
                    "open": money(row["claim_open_amount"]),
                    "state": row["state"],
                }
                for row in cursor.execute(_CLAIMS)
            },
            "ours.carrier_advice": _carrier_advices(cursor.execute(_CARRIER_ADVICES).fetchall()),
            "ours.tender_answer": {
                f"{raw_id(row['shipment_id'])}/{row['action_code']}": {
                    "decision": row["decision"],
                    "state": row["state"],
                }
                for row in cursor.execute(_TENDER_ANSWERS)
            },
            "ours.shipment": {
                raw_id(row["shipment_id"]): {"milestone": row["milestone"]} for row in cursor.execute(_SHIPMENTS)
            },
            "ours.hold": {
                raw_id(row["shipment_id"]): {"reasons": sorted(row["reasons"])} for row in cursor.execute(_HOLDS)
            },
            "ours.refused_call": {row["partner"]: {"count": row["count"]} for row in cursor.execute(_REFUSED_CALLS)},
            "ours.ledger": {
                account_key(row["account"], row["currency"]): {
                    "debit": money(row["debit"]),
                    "credit": money(row["credit"]),
                }
                for row in cursor.execute(_LEDGER)
            },
        }


def _carrier_advices(rows: list[dict[str, Any]]) -> dict[str, dict[str, object]]:
    """What carriers said of our messages and of their own documents; said twice it shows as two answers."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[f"{row['partner']}/{raw_id(row['about'])}"].append(row)
    return {
        key: {
            "answers": ",".join(row["answers"] for row in said),
            "verdict": ",".join(row["verdict"] for row in said),
            "needs_a_look": "yes" if any(row["needs_a_look"] for row in said) else "no",
        }
        for key, said in found.items()
    }


def control_totals(connection: psycopg.Connection[Any]) -> dict[str, dict[str, object]]:
    """Feed → records and money received, accepted, quarantined, duplicate. Not of what we read back of our own
    postings: how much that is depends on when it was read."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return {
            row.pop("feed"): {name: money(value) if name.endswith("_amount") else value for name, value in row.items()}
            for row in cursor.execute(_CONTROL_TOTALS, (list(LEDGER_FEEDS),)).fetchall()
        }


def balanced_sources(connection: psycopg.Connection[Any]) -> list[dict[str, object]]:
    """Control totals by source, and whether every batch of it balances by itself, in records and in money."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [
            {name: money(value) if name.endswith("_amount") else value for name, value in row.items()}
            for row in cursor.execute(_SOURCES).fetchall()
        ]


def raw_id(identifier: str) -> str:
    """tms:SH100001 → SH100001: truth and partners know their own ids only."""
    return identifier.split(":", 1)[-1]
