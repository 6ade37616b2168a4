"""An outbox to deliver from and a partner to deliver to."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.types.json import Jsonb

from freightsync import delivery
from freightsync.delivery import Backoff
from freightsync.warehouse.connection import connect

from .partner import Partner

QUICK = Backoff(base=0.05, factor=2.0, cap=1.0, jitter=0.0)


@pytest.fixture
def partner():
    made = Partner()
    yield made
    made.close()


class Outbox:
    """Messages written as apply writes them."""

    def __init__(self, app: str) -> None:
        self.app = app

    def connect(self) -> psycopg.Connection:
        return connect(self.app)

    def put(
        self, aggregate: str, *states: str, operation: str = "document", lane: str = "hot", days_old: int = 0
    ) -> list[str]:
        """Appends one message for each state; returns their keys."""
        with self.connect() as conn:
            return [
                conn.execute(
                    """with made as (
                         insert into effects.document (journal_id, plan_id, kind, target, operation, lane,
                           aggregate_type, aggregate_id, payload, created_at)
                         values (uuidv7(), uuidv7(), 'state', 'erp', %s, %s, 'shipment', %s, %s,
                           clock_timestamp() - make_interval(days => %s))
                         returning outbox_id, journal_id, target, lane, operation, aggregate_type, aggregate_id),
                       queued as (
                         insert into ops.outbox_pending (outbox_id, target, lane, operation, aggregate_type,
                         aggregate_id) select outbox_id, target, lane, operation, aggregate_type, aggregate_id from
                       made) select journal_id::text from made""",
                    (operation, lane, aggregate, Jsonb({"state": state}), days_old),
                ).fetchone()[0]
                for state in states
            ]

    def deliver(self, *senders, **given):
        given = {"lane": "hot", "patience": 3.0, "backoff": QUICK} | given
        return delivery.deliver(self.connect, {"erp": senders[0]}, **given)

    def outcomes(self, key: str) -> list[str]:
        with self.connect() as conn:
            return [
                outcome
                for (outcome,) in conn.execute(
                    """select outcome from effects.outcome join effects.outbox using (outbox_id)
                       where journal_id = %s order by outcome_id""",
                    (key,),
                )
            ]

    def counts(self) -> dict[str, int]:
        with self.connect() as conn:
            return {status: count for status, count in delivery.counts(conn).items() if count}

    def letters(self, **given):
        with self.connect() as conn:
            return delivery.letters(conn, **given)


@pytest.fixture
def outbox(warehouse):
    return Outbox(warehouse.app)
