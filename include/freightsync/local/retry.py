"""After rules were added: whatever waits because its tax was not decided is looked at again.

Master data that comes does this by itself; a rule that a person records does not pass through a pipeline.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from freightsync.domain.names import CHANNEL_POD


def retry(conn: Connection[Any]) -> int:
    """Touches every proven, unbilled shipment where a policy charges tax; returns how many. The caller commits."""
    count = conn.execute(
        """insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
           select distinct 'invoice_on_pod', 'shipment', shipment.shipment_id, 'tax rules'
           from canonical.shipment join canonical.delivery using (shipment_id)
           where shipment.has_pod and delivery.is_current
             and exists (select from rules.tax_policy where is_charged)
             and not exists (
               select from effects.movement as made
               where made.aggregate_id = delivery.customer_invoice_id
                 and made.relation = 'movement__customer_invoices' and made.aggregate_type = 'customer_invoice')"""
    ).rowcount
    conn.execute("select pg_notify(%s, '')", (CHANNEL_POD,))
    return count
