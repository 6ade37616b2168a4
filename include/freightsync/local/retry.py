"""After rules were added: whatever waits because its tax was not decided is looked at again.

Master data that comes does this by itself; a rule that a person records does not pass through a pipeline.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from freightsync.domain.names import CHANNEL_POD


def retry(conn: Connection[Any]) -> int:
    """Touches every shipment whose invoice, or a correction of it, tax may have held up; returns how many. The caller
    commits."""
    count = conn.execute(
        """insert into ops.touched (consumer, aggregate_type, aggregate_id, cause)
           select distinct 'invoice_on_pod', 'shipment', shipment_id, 'tax rules' from decisions.tax_waiting"""
    ).rowcount
    conn.execute("select pg_notify(%s, '')", (CHANNEL_POD,))
    return count
