"""A warehouse whose facts are put straight into landing, as if a gate had admitted them, and whose pipelines are then
built, planned and applied: what the models decide, without partners and protocols."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from freightsync import effects
from freightsync.domain.errors import ApprovalNeeded
from freightsync.effects import runs
from freightsync.pipelines import build, reconciling, stages
from freightsync.pipelines.table import PIPELINES, Pipeline
from freightsync.settings import Settings

AS_OF = datetime(2026, 3, 31, tzinfo=UTC)
BUILT = (
    "sync_master_data",
    "release_orders",
    "rate_shipments",
    "ingest_shipment_events",
    "post_accruals",
    "settle_freight",
    "apply_payments",
    "reconcile_ledger",
)
CONSUMERS = (*BUILT, "invoice_on_pod")
TABLES = ("incremental", "table")

Touch = tuple[str, str, str]
"""consumer, aggregate type, aggregate id; `{record}` stands for the landed record's id"""


@dataclass(frozen=True)
class Fact:
    """One record that some partner sent: its feed, its table of landing, its columns, and who must look at it."""

    feed: str
    table: str
    columns: Mapping[str, Any]
    touches: Sequence[Touch]
    lines: Sequence[Mapping[str, Any]] = field(default=())


class ShapedWarehouse:
    def __init__(self, owner_dsn: str, settings: Settings) -> None:
        self.settings = settings
        self.conn = psycopg.connect(owner_dsn, row_factory=dict_row, autocommit=True)
        # of a copy of a warehouse that has documents already, they go on
        row = self.conn.execute(
            "select (select count(*) from landing.document) + (select count(*) from ops.run) + 1 as first"
        ).fetchone()
        self._numbers = itertools.count(row["first"] if row else 1)

    def close(self) -> None:
        self.conn.close()

    def admit(self, facts: Iterable[Fact]) -> list[int]:
        """Lands and admits these facts in one batch each, all at one moment, and tells who must look."""
        found = []
        with self.conn.transaction():
            for fact in facts:
                found.append(self._admit(fact))
        return found

    def _admit(self, fact: Fact) -> int:
        number = next(self._numbers)
        batch = self._insert("landing.batch", {"feed": fact.feed, "run_id": "test"}, "batch_id")
        document = self._insert(
            "landing.document",
            {
                "batch_id": batch,
                "feed": fact.feed,
                "partner": "test",
                "channel": "api",
                "name": f"document {number}",
                "content": str(number).encode(),
                "content_sha256": hashlib.sha256(str(number).encode()).digest(),
                "correlation_id": "c",
                "received_at": AS_OF,
                "readable": True,
            },
            "document_id",
        )
        content = json.dumps([fact.columns, fact.lines], sort_keys=True, default=str)
        record = self._insert(
            f"landing.{fact.table}",
            {
                "batch_id": batch,
                "document_id": document,
                "ordinal": 1,
                "record_sha256": hashlib.sha256((fact.feed + content).encode()).digest(),
                "correlation_id": "c",
                "partner": "test",
                **fact.columns,
            },
            "record_id",
        )
        for line in fact.lines:
            self._insert(f"landing.{fact.table}_line", {"record_id": record, **line}, "record_id")
        self._insert(
            "quality.admission",
            {"feed": fact.feed, "record_id": record, "batch_id": batch, "origin": "gate"},
            "record_id",
        )
        for consumer, kind, name in fact.touches:
            self.touch(consumer, kind, name.format(record=record))
        return record

    def admit_many(self, facts: Sequence[Fact], *, received_at: datetime = AS_OF) -> list[int]:
        """Like `admit`, for thousands: one batch and document a feed. Gives the records' ids in the facts' order."""
        found: dict[int, int] = {}
        with self.conn.transaction(), self.conn.cursor() as cursor:
            for feed, table in sorted({(fact.feed, fact.table) for fact in facts}):
                mine = [(n, fact) for n, fact in enumerate(facts) if fact.feed == feed]
                number = next(self._numbers)
                batch = self._insert("landing.batch", {"feed": feed, "run_id": "test"}, "batch_id")
                head = {"feed": feed, "partner": "test", "channel": "api", "name": f"document {number}"}
                digest = hashlib.sha256(f"{feed} {number}".encode()).digest()
                content = {"content": b"", "content_sha256": digest, "correlation_id": "c", "readable": True}
                document = self._insert(
                    "landing.document",
                    {"batch_id": batch, **head, **content, "received_at": received_at},
                    "document_id",
                )
                common = {"batch_id": batch, "document_id": document, "correlation_id": "c", "partner": "test"}
                names = sorted({name for _, fact in mine for name in fact.columns})
                statement = sql.SQL("insert into {} ({}) values ({}) returning record_id").format(
                    sql.Identifier("landing", table),
                    sql.SQL(", ").join(map(sql.Identifier, [*common, "ordinal", "record_sha256", *names])),
                    sql.SQL(", ").join([sql.Placeholder()] * (len(common) + 2 + len(names))),
                )
                rows = [
                    [
                        *common.values(),
                        n,
                        hashlib.sha256(f"{feed} {number} {n}".encode()).digest(),
                        *(
                            Jsonb(value) if isinstance(value := fact.columns.get(name), list | dict) else value
                            for name in names
                        ),
                    ]
                    for n, fact in mine
                ]
                cursor.executemany(statement, rows, returning=True)
                for n, _ in mine:
                    row = cursor.fetchone()
                    assert row is not None
                    found[n] = int(row["record_id"])
                    cursor.nextset()
                lines = [{"record_id": found[n], **line} for n, fact in mine for line in fact.lines]
                if lines:
                    columns = sorted({name for line in lines for name in line})
                    cursor.executemany(
                        sql.SQL("insert into {} ({}) values ({})").format(
                            sql.Identifier("landing", f"{table}_line"),
                            sql.SQL(", ").join(map(sql.Identifier, columns)),
                            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
                        ),
                        [[line.get(name) for name in columns] for line in lines],
                    )
                cursor.executemany(
                    "insert into quality.admission (feed, record_id, batch_id, origin) values (%s, %s, %s, 'gate')",
                    [(feed, found[n], batch) for n, _ in mine],
                )
            cursor.executemany(
                "insert into ops.touched (consumer, aggregate_type, aggregate_id) values (%s, %s, %s)",
                [
                    (consumer, kind, name.format(record=found[n]))
                    for n, fact in enumerate(facts)
                    for consumer, kind, name in fact.touches
                ],
            )
        self.conn.execute("analyze")
        return [found[n] for n in range(len(facts))]

    def touch(self, consumer: str, kind: str, name: str) -> None:
        self._insert("ops.touched", {"consumer": consumer, "aggregate_type": kind, "aggregate_id": name}, "touch_id")

    def _insert(self, table: str, columns: Mapping[str, Any], key: str) -> int:
        values = [Jsonb(value) if isinstance(value, list | dict) else value for value in columns.values()]
        row = self.conn.execute(
            sql.SQL("insert into {} ({}) values ({}) returning {}").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                sql.Identifier(key),
            ),
            values,
        ).fetchone()
        assert row is not None
        return int(row[key])

    # -- pipelines ------------------------------------------------------------------------------------------------

    def waiting(self, consumer: str) -> bool:
        finds = PIPELINES[consumer].finds
        row = self.conn.execute(
            "select 1 from ops.touched where consumer = %s" + (f" union all select 1 from {finds}" if finds else ""),  # type: ignore[arg-type]
            (consumer,),
        ).fetchone()
        return row is not None

    def run(self, consumer: str, *, apply: bool = True, name: str | None = None) -> str:
        """One run of a pipeline over what waits for it; without `apply` it dies after its build."""
        run_id = name or f"run {next(self._numbers)}"
        pipeline = PIPELINES[consumer]
        with psycopg.connect(self.settings.dsn("app")) as conn:
            if pipeline.finds is not None:
                stages.touch_found(conn, pipeline)
            runs.claim(conn, consumer, run_id, AS_OF)
            conn.commit()
            if pipeline.selector is not None:
                build.build(consumer, run_id, AS_OF, self.settings)
            if not apply:
                return run_id
            stages.mark_built(conn, pipeline, run_id)
            conn.commit()
            if pipeline.relations:
                self._plan_and_apply(conn, pipeline, run_id)
            else:
                conn.execute("delete from ops.touched where consumer = %s and run_id = %s", (consumer, run_id))
                stages.end(conn, consumer, run_id)
            conn.commit()
        return run_id

    @staticmethod
    def _plan_and_apply(conn: psycopg.Connection[Any], pipeline: Pipeline, run_id: str) -> None:
        """A large world takes back much at once: somebody looks at it and says yes."""
        try:
            stages.plan_and_apply_on(conn, pipeline, run_id)
        except ApprovalNeeded as asked:
            effects.approve(conn, asked.fingerprint, by="controller", note="as meant")
            stages.plan_and_apply_on(conn, pipeline, run_id)

    def settle_down(self, order: Sequence[str] = CONSUMERS) -> None:
        """Runs whatever has work, until nobody has any."""
        for _ in range(10):
            busy = [consumer for consumer in order if self.waiting(consumer)]
            if not busy:
                return
            for consumer in busy:
                self.run(consumer)
        raise AssertionError(f"the pipelines go on telling each other: {runs_left(self.conn)}")

    def compare_ledger(self) -> reconciling.Compared:
        """Ours and the ERP's books as they were last read, compared."""
        return reconciling.compare(self.settings, as_of=AS_OF)

    def rebuild(self) -> build.Built:
        """Every table over everything that is stored, no run's scope. Views are as the deployment made them."""
        return build.run_dbt("run", [f"config.materialized:{kind}" for kind in TABLES], self.settings, as_of=AS_OF)

    def rows(self, query: str, *params: Any) -> list[dict[str, Any]]:
        return self.conn.execute(query, params or None).fetchall()  # type: ignore[arg-type]


def runs_left(conn: psycopg.Connection[Any]) -> list[Any]:
    return conn.execute("select consumer, aggregate_type, aggregate_id from ops.touched").fetchall()
