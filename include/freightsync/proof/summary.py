"""The day in one JSON document: what came in, what went out, whether it ties, how long it took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from freightsync.landing.feeds import INVOICE_FEEDS
from freightsync.proof import ours
from freightsync.proof.books import money
from freightsync.proof.compare import Comparison, Mismatch
from freightsync.proof.latency import Latency

EVENT_FEEDS = (
    "tms.shipment_event",
    "carrier.status_x12",
    "carrier.status_webhook",
    "driver.event",
    "driver.pod",
    "wms.ship_confirmation",
)
SHOWN = 40
"""Mismatches of each type that are written out; all are counted."""

_COUNTS = """
select (select count(*) from canonical.shipment) as shipments,
       (select coalesce(sum(cardinality(array(select jsonb_array_elements(p.legs)))), 0)
          from (select distinct on (shipment_id) shipment_id, legs from landing.shipment_plan
                 order by shipment_id, plan_version desc) as p)::bigint as legs,
       (select count(*) from ops.outbox_pending where status = 'dead') as dead_letters,
       (select count(*) from effects.movement) as movements,
       (select count(*) from effects.state) as states
"""

_QUARANTINED = """
select reason, count(*) from quality.quarantine cross join lateral unnest(reasons) as reason group by reason order by 1
"""

_POSTED = """
select o.operation, count(*) from effects.outbox o
 where o.kind = 'movement'
   and exists (select 1 from effects.outcome c where c.outbox_id = o.outbox_id and c.outcome = 'accepted')
 group by o.operation
"""

_DELIVERY = """
select o.target || ' ' || o.operation as what, count(*) as messages,
       round(avg(extract(epoch from a.at - o.created_at)), 1)::text as mean_seconds,
       round(max(extract(epoch from a.at - o.created_at)), 1)::text as max_seconds
  from effects.outbox o
  join lateral (select min(c.at) as at from effects.outcome c
                 where c.outbox_id = o.outbox_id and c.outcome = 'accepted') a on a.at is not null
 group by 1 order by 1
"""


@dataclass(frozen=True)
class Facts:
    """What only the caller knows about a run."""

    seed: int
    orders: int
    stage_seconds: Mapping[str, float]
    task_seconds: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    report: str = ""
    memory_mib: float | None = None
    not_quiet: Sequence[str] = ()
    trouble: Mapping[str, int] = field(default_factory=dict)
    faults_met: Mapping[str, int] = field(default_factory=dict)
    """Bad minutes of the ERP that a call really met, by kind."""


def summarise(
    connection: psycopg.Connection[Any],
    *,
    facts: Facts,
    comparison: Comparison,
    outcome: Mapping[str, Any],
    latency: Latency,
    waiting: Latency,
) -> dict[str, Any]:
    """The summary. ok is true only if nothing differs from the truth, every control total holds, no message was refused
    and all is quiet."""
    with connection.cursor(row_factory=dict_row) as cursor:
        counted = cursor.execute(_COUNTS).fetchone() or {}
        delivery = cursor.execute(_DELIVERY).fetchall()
    quarantined = dict(connection.execute(_QUARANTINED).fetchall())
    posted = dict(connection.execute(_POSTED).fetchall())
    sources = ours.balanced_sources(connection)
    accruals = outcome["documents"]["erp.accrued"].values()

    def total(name: str) -> str:
        return money(sum((Decimal(entry[name]) for entry in accruals), Decimal(0)))

    def received(feeds: Sequence[str]) -> int:
        return sum(int(str(source["received"])) for source in sources if source["source"] in feeds)

    balanced = bool(sources) and all(source["balanced"] for source in sources)
    return {
        "ok": comparison.clean
        and balanced
        and not facts.not_quiet
        and not latency.unbilled
        # what a partner refused left no document that could differ; in a day of the sandbox nothing is refused rightly
        and not counted["dead_letters"],
        "seed": facts.seed,
        "orders": facts.orders,
        "shipments": counted["shipments"],
        "legs": counted["legs"],
        "events": received(EVENT_FEEDS),
        "carrier_invoices": received(INVOICE_FEEDS),
        "customer_invoices_posted": posted.get("customer_invoice", 0),
        "payables_posted": posted.get("supplier_invoice", 0),
        "journals_posted": posted.get("journal", 0),
        "accrued": total("accrued"),
        "reversed": total("reversed"),
        "open_accrual": total("open"),
        "quarantined": quarantined,
        "duplicates": sum(int(str(source["duplicate"])) for source in sources),
        "dead_letters": counted["dead_letters"],
        "verdicts": dict(
            sorted(Counter(str(entry["verdict"]) for entry in outcome["documents"]["ours.verdict"].values()).items())
        ),
        "trouble": dict(facts.trouble),
        "faults_met": dict(facts.faults_met),
        "control_totals": sources,
        "control_totals_balanced": balanced,
        "compared": dict(comparison.compared),
        "expected": dict(comparison.expected),
        "control_totals_compared": comparison.control_totals_compared,
        "truth_mismatches": len(comparison.mismatches),
        "mismatches_by_type": dict(sorted(Counter(mismatch.type for mismatch in comparison.mismatches).items())),
        "mismatches": [str(mismatch) for mismatch in _shown(comparison)],
        "not_quiet": list(facts.not_quiet),
        "pod_to_invoice_seconds": latency.as_dict(),
        "pod_waiting_to_invoice_seconds": waiting.as_dict(),
        "stage_seconds": dict(facts.stage_seconds),
        "task_seconds": {name: dict(value) for name, value in facts.task_seconds.items()},
        "delivery": delivery,
        "effects": {"movements": counted["movements"], "states": counted["states"]},
        "memory_mib": facts.memory_mib,
        "urls": dict(facts.urls),
        "report": facts.report,
    }


def _shown(comparison: Comparison) -> list[Mismatch]:
    seen: Counter[str] = Counter()
    shown = []
    for mismatch in comparison.mismatches:
        seen[mismatch.type] += 1
        if seen[mismatch.type] <= SHOWN:
            shown.append(mismatch)
    return shown


def write_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
