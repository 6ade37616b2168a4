"""How long planning and applying take, and whether a touched plan costs what is touched.

    python bench/effects_core.py [--effects 1000000] [--stored 3000000] [--touched 30000] [--out FILE]

An embedded PostgreSQL of its own, as the local stack starts it. Shipments with three charges each. Measured: plan and
apply of everything for the first time; a rerun of everything (plans nothing); with `--stored` effects in the log, a
plan of `--touched` effects of which every amount changed, and one of which nothing changed; one single shipment, the
POD path's case. Desired relations are tables with an index on the aggregate, as dbt makes them; filling them is not
measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg

from freightsync import effects
from freightsync.effects import RetractionLimits
from freightsync.warehouse import migrate, provision
from freightsync.warehouse.connection import connect
from freightsync.warehouse.embedded import EmbeddedPostgres

CHARGES = 3
CONSUMER = "bench"
AS_OF = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
GENEROUS = RetractionLimits(keys=10**9, amount=Decimal(10**15))
_runs = itertools.count(1)

DESIRED = """
create schema desired; create schema decisions;
create view desired.bench_charges as
select s as shipment, 'accrual|SH' || s || '|C' || c as effect_key, 'delivery|SH' || s as cause,
  'shipment' as aggregate_type, 'tms:SH' || s as aggregate_id, '61' || c || '0' as debit_account,
  '2150' as credit_account, 'USD' as currency, (100 + mod(s, 900) + c)::numeric(18,2) as amount,
  'USD' as functional_currency, (100 + mod(s, 900) + c)::numeric(18,2) as functional_amount, 'erp' as target,
  'journal' as document_type, 'bulk' as lane, 'accrual_at_delivery' as rule_id, '1' as rule_version,
  'delivered' as reason, 'c-' || s as correlation_id,
  jsonb_build_object('shipment_id', 'SH' || s, 'charge_code', 'C' || c, 'scac', 'NRDF') as attributes
from generate_series(1, 10000000) s, generate_series(1, 3) c;
create table desired.movement__bench as select * from desired.bench_charges with no data;
create index on desired.movement__bench (aggregate_id, aggregate_type);
create view decisions.scope_bench as
  select distinct run_id, aggregate_type, aggregate_id from ops.touched where consumer = 'bench';
"""
FILL = "insert into desired.movement__bench select * from desired.bench_charges where shipment between %s and %s"
CHANGE = """update desired.movement__bench set amount = amount + 1, functional_amount = functional_amount + 1
  where aggregate_id in (select 'tms:SH' || s from generate_series(%s::int, %s::int) s)"""


@contextmanager
def warehouse(directory: Path) -> Iterator[dict[str, str]]:
    cluster = EmbeddedPostgres(directory / "postgresql")
    cluster.start()
    try:
        passwords = {role: secrets.token_urlsafe(12) for role in provision.ROLES}
        provision.ensure_roles(cluster.dsn(), passwords)
        provision.ensure_warehouse(cluster.dsn())
        dsns = {
            role: provision.role_dsn(cluster.dsn(), role, passwords[role], provision.WAREHOUSE)
            for role in provision.WAREHOUSE_ROLES
        }
        migrate.upgrade(dsns["freightsync_owner"])
        yield dsns
    finally:
        cluster.destroy()


class Bench:
    def __init__(self, dsns: dict[str, str]) -> None:
        self.dsns = dsns
        with psycopg.connect(dsns["freightsync_dbt"], autocommit=True) as conn:
            conn.execute(DESIRED)

    def desire(self, statement: LiteralString, *parameters: int) -> None:
        with psycopg.connect(self.dsns["freightsync_dbt"], autocommit=True) as conn:
            conn.execute(statement, parameters)
            conn.execute("vacuum analyze desired.movement__bench")
        with psycopg.connect(self.dsns["freightsync_owner"], autocommit=True) as conn:
            conn.execute("analyze effects.movement; analyze ops.aggregate_head")

    def run(self, first: int, last: int) -> dict[str, Any]:
        """One whole run over the shipments first to last; seconds by step, and of them the
        server's processor time, which a busy machine does not stretch."""
        with connect(self.dsns["freightsync_app"]) as conn:
            took: dict[str, Any] = {}

            def timed(step: str, work: Callable[[], Any]) -> Any:
                server = psutil.Process(conn.info.backend_pid)
                spent, began = sum(server.cpu_times()[:2]), time.perf_counter()
                result = work()
                took[step] = round(time.perf_counter() - began, 4)
                took[f"{step}_cpu"] = round(sum(server.cpu_times()[:2]) - spent, 2)
                return result

            query = "select 'tms:SH' || s from generate_series(%s::int, %s::int) s"
            effects.touch(conn, CONSUMER, "shipment", query, (first, last))
            run = f"run-{next(_runs)}"
            timed("claim_seconds", lambda: effects.claim(conn, CONSUMER, run, AS_OF))
            effects.mark_built(conn, CONSUMER, run)
            plan = timed(
                "plan_seconds",
                lambda: effects.plan(
                    conn,
                    consumer=CONSUMER,
                    run_id=run,
                    relations=["desired.movement__bench"],
                    scope_relation="decisions.scope_bench",
                    limits=GENEROUS,
                ),
            )
            applied = timed("apply_seconds", lambda: effects.apply(conn, plan.plan_id))
            return {"planned": plan.line_count, "documents": applied.documents, **took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effects", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, default=3_000_000)
    parser.add_argument("--touched", type=int, default=30_000)
    parser.add_argument("--out", type=Path, default=Path("var/bench/effects_core.json"))
    arguments = parser.parse_args()
    first, stored, touched = (n // CHARGES for n in (arguments.effects, arguments.stored, arguments.touched))
    result: dict[str, Any] = {"machine": f"{os.cpu_count()} CPUs, {platform.machine()}", "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="freightsync-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with warehouse(directory) as dsns:
            bench = Bench(dsns)
            bench.desire(FILL, 1, first)
            result["first"] = bench.run(1, first)
            bench.desire("select")
            result["rerun_of_everything"] = bench.run(1, first)
            bench.desire(FILL, first + 1, stored)
            result["rest_until_stored"] = bench.run(first + 1, stored)
            middle = stored // 2
            bench.desire(CHANGE, middle, middle + touched - 1)
            result["touched_and_changed"] = bench.run(middle, middle + touched - 1)
            result["touched_and_unchanged"] = bench.run(middle, middle + touched - 1)
            singles = []
            for shipment in range(1, 16):
                with psycopg.connect(dsns["freightsync_dbt"], autocommit=True) as conn:
                    conn.execute(CHANGE, (shipment, shipment))
                singles.append(bench.run(shipment, shipment))
            result["one_shipment_median"] = {
                step: round(statistics.median(single[step] for single in singles), 4)
                for step in ("claim_seconds", "plan_seconds", "apply_seconds")
            }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
