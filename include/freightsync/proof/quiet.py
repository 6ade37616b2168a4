"""Is there anything left to do? Read-only; says what is not quiet, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

_LEFT = """
select 'not gated yet: ' || b.feed as what, count(*) as count
  from ops.ungated_batch b
 group by b.feed
union all
select 'to look at again: ' || t.consumer || ' (' || t.aggregate_type || ')', count(*)
  from ops.touched t
 -- an event that names a shipment nobody knows waits for it, perhaps for ever
 where t.aggregate_type <> 'reference'
 group by t.consumer, t.aggregate_type
union all
select 'to tell carriers: ' || u.aggregate_type, count(*)
  from decisions.carrier_untold u
 group by u.aggregate_type
union all
select 'to deliver: ' || p.target || ' ' || p.operation, count(*)
  from ops.outbox_pending p
 where p.status <> 'dead'
 group by p.target, p.operation
 order by 1
"""

_MARK = """
select (select coalesce(max(batch_id), 0) from landing.batch),
       (select coalesce(max(outcome_id), 0) from effects.outcome),
       (select coalesce(max(outbox_id), 0) from effects.outbox),
       (select coalesce(max(gate_id), 0) from quality.gate),
       (select coalesce(max(touch_id), 0) from ops.touched)
"""

_COUNTS = """
select 'events received' as what,
       (select coalesce(sum(records), 0) from landing.control_total
         where feed in ('tms.shipment_event', 'carrier.status_x12', 'carrier.status_webhook', 'driver.event',
                        'driver.pod', 'wms.ship_confirmation'))::bigint as count
union all select 'orders received', count(*) from landing.sales_order
union all select 'plans received', count(*) from landing.shipment_plan
union all select 'carrier invoices', count(*) from landing.carrier_invoice
union all select 'quarantined', count(*) from quality.quarantine
union all select 'duplicates', coalesce(sum(records), 0)::bigint from landing.duplicate
union all select 'effects made', (select count(*) from effects.movement) + (select count(*) from effects.state)
union all select 'delivered', count(*) from effects.outcome where outcome = 'accepted'
union all select 'to deliver', count(*) from ops.outbox_pending where status <> 'dead'
union all select 'dead letters', count(*) from ops.outbox_pending where status = 'dead'
"""


@dataclass(frozen=True)
class Left:
    """One kind of work that is left, and how much of it."""

    what: str
    count: int

    def __str__(self) -> str:
        return f"{self.what}: {self.count}"


def left_to_do(connection: psycopg.Connection[Any]) -> list[Left]:
    """Batches not gated, aggregates touched, messages undelivered. Empty means quiet at this moment."""
    return [Left(what, count) for what, count in connection.execute(_LEFT).fetchall()]


def mark(connection: psycopg.Connection[Any]) -> Sequence[int]:
    """Numbers that move whenever anything happens: two equal marks, and nothing did in between."""
    row = connection.execute(_MARK).fetchone()
    assert row is not None
    return tuple(row)


def counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """How far the day has come, in documents."""
    return dict(connection.execute(_COUNTS).fetchall())
