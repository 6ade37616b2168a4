"""How long applying payments takes, and whether a day's payments cost what they are and not what is stored.

    python bench/payments.py [--invoices 100000] [--day 1000] [--out FILE]

An embedded PostgreSQL of its own. One invoice an order, billed and numbered by the ERP; one bank entry an invoice:
90 % exact by a document, 5 % by a number in the text, 3 % short, 1 % naming nothing, 1 % twice. Measured: build, plan
and apply of all of them at once, then of a day's payments onto what is stored, then of the same day again (plans
nothing).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from freightsync import rules
from freightsync.effects import runs
from freightsync.pipelines import build, stages
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings
from freightsync.warehouse import migrate, provision
from freightsync.warehouse.embedded import EmbeddedPostgres

CONSUMER = "apply_payments"
AS_OF = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)

INVOICES: LiteralString = """
with made as (
  insert into effects.document (journal_id, plan_id, kind, target, operation, lane, aggregate_type, aggregate_id,
    payload)
  select uuidv7(), gen_random_uuid(), 'movement', 'erp', 'customer_invoice', 'hot', 'customer_invoice',
    'erp:O' || n || '/tms:S' || n, '{{}}'
  from generate_series({first}, {last}) as n
  returning outbox_id, journal_id, plan_id, aggregate_id
), answered as (
  insert into effects.outcome (outbox_id, attempt, outcome, reference)
  select outbox_id, 1, 'accepted', 'CI' || lpad(substr(split_part(aggregate_id, '/', 1), 6), 7, '0') from made
)
insert into effects.movement (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, cause,
  debit_account, credit_account, currency, amount, functional_currency, functional_amount, reverses, posted_on, period,
  target, document_type, lane, attributes)
select plan_id, journal_id, 'movement__customer_invoices', 'customer_invoice', aggregate_id,
  'invoice|' || replace(aggregate_id, '/', '|') || '|goods:1', 'pod|' || aggregate_id, '1200', '4000', 'USD', amount,
  'USD', amount, false, '2026-11-01', '2026-11', 'erp', 'customer_invoice', 'hot',
  jsonb_build_object('customer_id', 'C' || mod(n, 1000), 'order_number', 'O' || n, 'invoice_on', '2026-11-01')
from (select made.*, substr(split_part(aggregate_id, '/', 1), 6)::int as n from made) as made,
  lateral (select (100 + mod(n, 900))::numeric(18, 2) as amount) as money
"""

ENTRIES: LiteralString = """
with batch as (
  insert into landing.batch (feed, run_id) values ('bank.statement_entry', 'bench {first}') returning batch_id
), document as (
  insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256, correlation_id,
    received_at, readable)
  select batch_id, 'bank.statement_entry', 'bank', 'sftp', 'bench', '', sha256('{first}'), 'c', now(), true from batch
  returning batch_id, document_id
), entries as (
  insert into landing.bank_entry (batch_id, document_id, ordinal, record_sha256, correlation_id, partner, amount,
    currency, entry_key, account, statement_difference, entry, detail, direction, is_reversal, status,
    booked_on, value_on, end_to_end_id, documents, remittance_text)
  select batch_id, document_id, n, sha256(('e' || n || ' ' || copy)::bytea), 'c', 'bank',
    case when mod(n, 100) between 95 and 97 then amount * 0.9 else amount end, 'USD', 'K' || n || ' ' || copy, 'US01',
    0, n, 1, 'credit', false, 'BOOK', '2026-11-15', '2026-11-15', 'E' || n || ' ' || copy,
    case when mod(n, 100) between 90 and 94 or mod(n, 100) = 98 then '[]'::jsonb
      else jsonb_build_array(jsonb_build_object('number', number, 'kind', 'CINV')) end,
    case when mod(n, 100) between 90 and 94 then 'payment for ' || number end
  from document, generate_series({first}, {last}) as n,
    generate_series(1, case mod(n, 100) when 99 then 2 else 1 end) as copy,
    lateral (select (100 + mod(n, 900))::numeric(18, 2) as amount, 'CI' || lpad(n::text, 7, '0') as number) as money
  returning record_id, batch_id, entry_key
), admitted as (
  insert into quality.admission (feed, record_id, batch_id, origin)
  select 'bank.statement_entry', record_id, batch_id, 'gate' from entries
)
insert into ops.touched (consumer, aggregate_type, aggregate_id)
select 'apply_payments', 'customer_payment', 'bank:' || entry_key from entries
"""

OURS = """
insert into rules.payment_policy (rule_id, rule_version, customer_id, books, unapplied_account, valid_from, recorded_at,
  recorded_by, note)
values ('payments.default', 2, '*', 'ours', '2200', '2020-01-01', '2020-01-02', 'bench', 'we book')
"""


def apply_all(settings: Settings, run_id: str) -> dict[str, Any]:
    """One run over what was touched, in seconds by stage."""
    took: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        done = work()
        took[name] = round(time.perf_counter() - started, 2)
        return done

    with psycopg.connect(settings.dsn("app")) as conn:
        timed("find_seconds", lambda: stages.touch_found(conn, PIPELINES[CONSUMER]))
        runs.claim(conn, CONSUMER, run_id, AS_OF)
        conn.commit()
        built = timed("build_seconds", lambda: build.build(CONSUMER, run_id, AS_OF, settings))
        took["slowest"] = {node.name.rsplit(".", 1)[-1]: round(node.seconds, 2) for node in built.slowest(6)}
        stages.mark_built(conn, PIPELINES[CONSUMER], run_id)
        conn.commit()
        made = timed("plan_and_apply_seconds", lambda: stages.plan_and_apply_on(conn, PIPELINES[CONSUMER], run_id))
        took["effects"] = made.effects
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--day", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=Path("var/bench/payments.json"))
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": f"{os.cpu_count()} CPUs, {platform.machine()}", "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="freightsync-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        server = EmbeddedPostgres(directory / "postgresql")
        server.start()
        try:
            passwords = {role: secrets.token_urlsafe(12) for role in provision.ROLES}
            provision.ensure_roles(server.dsn(), passwords)
            provision.ensure_warehouse(server.dsn())
            dsns = {
                role.removeprefix("freightsync_"): provision.role_dsn(
                    server.dsn(), role, passwords[role], "freightsync"
                )
                for role in provision.WAREHOUSE_ROLES
            }
            settings = Settings.load(home=directory / "home", **{f"{role}_dsn": dsn for role, dsn in dsns.items()})
            migrate.upgrade(dsns["owner"])
            rules.load(dsns["owner"])
            build.prepare(settings)
            all_of = arguments.invoices + arguments.day
            with psycopg.connect(dsns["owner"], autocommit=True) as conn:
                conn.execute(OURS)
                conn.execute(INVOICES.format(first=1, last=all_of).encode())
                conn.execute(ENTRIES.format(first=1, last=arguments.invoices).encode())
                conn.execute("analyze")
            result["first"] = apply_all(settings, "first")
            with psycopg.connect(dsns["owner"], autocommit=True) as conn:
                conn.execute(ENTRIES.format(first=arguments.invoices + 1, last=all_of).encode())
                conn.execute("analyze")
            result["a_day"] = apply_all(settings, "day")
            with psycopg.connect(dsns["owner"], autocommit=True) as conn:
                conn.execute(
                    "insert into ops.touched (consumer, aggregate_type, aggregate_id) select 'apply_payments',"
                    " 'customer_payment', payment_id from canonical.customer_payment where record_id > %s",
                    (arguments.invoices,),
                )
            result["the_day_again"] = apply_all(settings, "again")
        finally:
            server.stop()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
