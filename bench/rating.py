"""How long it takes to rate shipments by contract, and to take rate cards in.

    python bench/rating.py [--shipments 1000000] [--out var/bench/rating.json]

An embedded PostgreSQL of its own, as the local stack starts it, and the project's own dbt models. Forty carriers: LTL
by class and density over pairs of postal prefixes, truckload by the mile over states, parcels by dimensional weight
over zones, pallets, flat; fuel by week with revisions, a second version of a tenth of the lanes, services asked for by
a tenth of the shipments. Plans, rate cards and admissions are made inside the database and are not measured. Measured:
rate cards into their histories (once a change), everything from admitted plans to the amount of every charge, and the
words of every charge.
The products in the words of a sample's arithmetic are worked out again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import psycopg

from freightsync import rules
from freightsync.pipelines import build
from freightsync.settings import Settings
from freightsync.warehouse import migrate, provision
from freightsync.warehouse.embedded import EmbeddedPostgres

CARDS = (
    "scope_rate_shipments",
    "rate_contract",
    "rate_lane",
    "rate_zone",
    "rate_accessorial",
    "rate_band_table",
    "fuel_price",
    "rate_shape",
    "rate_epoch",
)
RATING = ("rating_request", "rating")
VIEWS = ("rated_charge", "rating_exception", "contract_charge")

HEAD = "batch_id, document_id, ordinal, record_sha256, correlation_id, partner"
HEAD_VALUES = "b.batch_id, b.document_id, {n}, sha256(('{feed}' || {n})::bytea), 'bench', 'bench'"

OPENED = """
with batch as (insert into landing.batch (feed, run_id) values (%(feed)s, 'bench') returning batch_id)
insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256, correlation_id,
                              received_at, readable)
select batch_id, %(feed)s, 'bench', 'sftp', %(feed)s, ''::bytea, sha256(%(feed)s::bytea), 'bench', now(), true from
  batch
"""

# carriers 0-15 LTL, 16-27 TL, 28-33 PARCEL, 34-36 pallets, 37-39 flat
CONTRACTS = """
insert into landing.rate_contract ({head}, contract_id, version, side, scac, mode, rate_currency, class_table,
  fak_class,
  fak_from_class, fak_to_class, minimum_charge, discount_percent, deficit_weight, dim_divisor, dim_per,
  weight_increment_lb, fuel_table, fuel_index, fuel_region, fuel_weekday, rounding, valid_from)
select {values}, 'C' || n, 1, 'buy', 'SC' || lpad(n::text, 2, '0'),
  case when n < 16 then 'LTL' when n < 28 then 'TL' when n < 34 then 'PARCEL' when n < 37 then 'LTL' else 'TL' end,
    'USD',
  case when n < 16 then 'NMFC' end, case when n % 4 = 0 and n < 16 then 70 end, case when n % 4 = 0 and n < 16 then 50
    end,
  case when n % 4 = 0 and n < 16 then 100 end, 95.00, case when n < 16 then 55 + n % 7 end, n < 16,
  case when n between 28 and 33 then 139 end, case when n between 28 and 33 then 'piece' end,
  case when n between 28 and 33 then 1 end, case when n between 16 and 27 then 'MILES' else 'DIESEL' end, 'EIA', 'US',
  1 + n % 5, 'half_up', '2025-01-01'
from generate_series(0, 39) n, b
"""
LANES = """
insert into landing.rate_lane ({head}, rate_id, version, contract_id, origin_kind, origin_country, origin,
  destination_kind, destination_country, destination, freight_class, basis, valid_from, break_count)
select {values}, rate_id, version, contract_id, origin_kind, 'US', origin, destination_kind, 'US', destination, class,
  basis,
  valid_from, breaks
from (
  select row_number() over () as n, *
  from (
    select 'L' || c || '-' || o || '-' || d || '-' || class as rate_id, v as version, 'C' || c as contract_id,
      'postal' as origin_kind, lpad((600 + o)::text, 3, '0') as origin, 'postal' as destination_kind,
      lpad((100 + d)::text, 3, '0') as destination, class, 'per_cwt' as basis,
      date '2025-01-01' + 500 * (v - 1) as valid_from, 5 as breaks
    from generate_series(0, 15) c, generate_series(0, 29) o, generate_series(0, 99) d,
      unnest(array[70, 92.5, 125, 175]) class, generate_series(1, 2) v
    where v = 1 or (o + d) % 10 = 0
    union all
    select 'L' || c || '-any', 1, 'C' || c, 'country', null, 'country', null, null, 'per_cwt', '2025-01-01', 5
    from generate_series(0, 15) c
    union all
    select 'T' || c || '-' || o || '-' || d, 1, 'C' || c, 'state', 'S' || o, 'state', 'S' || d, null, 'per_mile',
      '2025-01-01', 1
    from generate_series(16, 27) c, generate_series(0, 29) o, generate_series(0, 29) d
    union all
    select 'P' || c || '-' || z, 1, 'C' || c, 'any', null, 'zone', 'Z' || z, null, 'per_lb_dim', '2025-01-01', 3
    from generate_series(28, 33) c, generate_series(0, 7) z
    union all
    select 'B' || c || '-' || o, 1, 'C' || c, 'state', 'S' || o, 'country', null, null, 'per_pallet', '2025-01-01', 3
    from generate_series(34, 36) c, generate_series(0, 29) o
    union all
    select 'F' || c || '-' || o, 1, 'C' || c, 'state', 'S' || o, 'country', null, null, 'flat', '2025-01-01', 1
    from generate_series(37, 39) c, generate_series(0, 29) o
  ) as made
) as numbered, b
"""
BREAKS = """
insert into landing.rate_lane_line (record_id, line, from_quantity, rate)
select record_id, line,
  case when basis in ('per_cwt', 'per_lb_dim') then (array[0, 500, 1000, 2000, 5000])[line] else line * 4 - 4 end,
  case basis when 'per_cwt' then 90 - 12 * line + record_id % 17 when 'per_mile' then 1.8 + record_id % 90 * 0.01
    when 'per_lb_dim' then 1.2 - 0.1 * line when 'per_pallet' then 110 - 5 * line else 400 + record_id % 300 end
from landing.rate_lane, generate_series(1, break_count) line
"""
ZONES = """
insert into landing.rate_zone ({head}, zone_id, version, contract_id, zone, country, postal_prefix, valid_from)
select {values}, 'C' || c || '/' || p, 1, 'C' || c, 'Z' || p % 8, 'US', lpad(p::text, 3, '0'), '2025-01-01'
from (select row_number() over () as n, c, p from generate_series(28, 33) c, generate_series(100, 199) p) as made, b
"""
SERVICES = """
insert into landing.rate_accessorial ({head}, accessorial_id, version, contract_id, charge_code, basis, rate,
  free_units,
  automatic, valid_from)
select {values}, 'A' || c || code, 1, 'C' || c, code, case code when 'LIFTGATE' then 'flat' else 'per_hour' end, 60 + c,
  case code when 'DETENTION' then 2 end, false, '2025-01-01'
from (select row_number() over () as n, c, code from generate_series(0, 39) c, unnest(array['LIFTGATE', 'DETENTION'])
  code) m, b
"""
TABLES = """
insert into landing.rate_band_table ({head}, table_id, version, kind, valid_from, band_count)
select {values}, name, 1, kind, '2020-01-01', steps
from (values (1, 'NMFC', 'class', 13), (2, 'DIESEL', 'fuel_percent', 60), (3, 'MILES', 'fuel_per_mile', 60)) t (n,
  name, kind, steps), b
"""
BANDS = """
insert into landing.rate_band_table_line (record_id, line, from_value, value)
select record_id, line,
  case kind when 'class' then (array[0, 1, 2, 4, 6, 8, 10, 12, 15, 22.5, 30, 35, 50])[line] else 2 + line * 0.05 end,
  case kind when 'class' then (array[400, 300, 250, 175, 125, 100, 92.5, 85, 70, 65, 60, 55, 50])[line]
    when 'fuel_percent' then 10 + line * 0.5 else 0.10 + line * 0.01 end
from landing.rate_band_table, generate_series(1, band_count) line
"""
FUEL = """
insert into landing.fuel_price ({head}, fuel_index, region, week_on, price, published_at)
select {values}, 'EIA', 'US', week, 3 + (w * 7 % 19) * 0.05 + again * 0.01, week + again * 3 + interval '15 hours'
from (select row_number() over () as n, w, again, date '2025-12-01' + 7 * w as week
      from generate_series(0, 64) w, generate_series(0, 1) again where again = 0 or w % 5 = 0) as made, b
"""
PLANS = """
insert into landing.shipment_plan ({head}, amount, currency, shipment_id, plan_version, event_id, occurred_at, scac,
  pro_number,
  bol_number, equipment, ship_on, weight_lb, pieces, order_lines, legs, stops, charges, miles, pallets, handling_units,
  accessorials)
select {values}, 0, 'USD', 'SH' || n, 1, 'plan ' || n, '2026-01-01', 'SC' || lpad((n * 7 % 40)::text, 2, '0'), 'PRO'
  || n,
  'BOL' || n, 'VAN', date '2026-01-01' + (n % 365)::int, 200 + n * 37 % 7000, 1, '[]', '[]',
  jsonb_build_array(
    jsonb_build_object('sequence', 1, 'kind', 'pickup', 'country', 'US', 'state', 'S' || n % 30,
      'postal_code', (600 + n % 30) || lpad((n % 100)::text, 2, '0')),
    jsonb_build_object('sequence', 2, 'kind', 'delivery', 'country', 'US', 'state', 'S' || n * 11 % 30,
      'postal_code', (100 + n * 13 % 100) || lpad((n % 90)::text, 2, '0'))),
  '[]', 100 + n * 31 % 2400, 1 + n % 20,
  jsonb_build_array(jsonb_build_object('count', 1 + n % 3, 'length_in', 48, 'width_in', 40, 'height_in', 20 + n * 3 %
    60,
    'weight_lb', 60 + n * 5 % 1200)),
  case when n % 10 = 0 then jsonb_build_array(jsonb_build_object('charge_code', 'LIFTGATE', 'quantity', null),
    jsonb_build_object('charge_code', 'DETENTION', 'quantity', '3.5')) end
from generate_series(1, {shipments}) n, b
"""
GENERATED: tuple[tuple[str, str, str], ...] = (
    ("rates.contract", CONTRACTS, "rate_contract"),
    ("rates.lane_rate", LANES, "rate_lane"),
    ("rates.zone", ZONES, "rate_zone"),
    ("rates.accessorial", SERVICES, "rate_accessorial"),
    ("rates.band_table", TABLES, "rate_band_table"),
    ("rates.fuel_price", FUEL, "fuel_price"),
    ("tms.shipment_plan", PLANS, "shipment_plan"),
)
LINES = {"rates.lane_rate": BREAKS, "rates.band_table": BANDS}

# every plan at a moment of its own, after the rates
ADMITTED = """
insert into quality.admission (feed, record_id, batch_id, origin, admitted_at)
select %(feed)s, record_id, batch_id, 'gate',
  timestamptz '2025-12-01' + case when %(feed)s = 'tms.shipment_plan' then interval '20 days' + record_id * interval
    '1 second'
    else interval '0' end
from landing.{table}
"""


@contextmanager
def deployed(directory: Path) -> Iterator[Settings]:
    cluster = EmbeddedPostgres(directory / "postgresql")
    cluster.start()
    try:
        passwords = {role: secrets.token_urlsafe(12) for role in provision.ROLES}
        provision.ensure_roles(cluster.dsn(), passwords)
        provision.ensure_warehouse(cluster.dsn())
        dsns = {
            f"{role.removeprefix('freightsync_')}_dsn": provision.role_dsn(
                cluster.dsn(), role, passwords[role], provision.WAREHOUSE
            )
            for role in provision.WAREHOUSE_ROLES
        }
        migrate.upgrade(dsns["owner_dsn"])
        rules.load(dsns["owner_dsn"])
        settings = Settings.load(home=directory / "home", **dsns)
        build.prepare(settings)
        yield settings
    finally:
        cluster.destroy()


def generate(dsn: str, shipments: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for feed, statement, table in GENERATED:
            conn.execute(OPENED, {"feed": feed})
            where = f"(select batch_id, document_id from landing.document where feed = '{feed}') as b"
            made = statement.format(head=HEAD, values=HEAD_VALUES.format(n="n", feed=feed), shipments=shipments)
            conn.execute(re.sub(r", b\s*\Z", f", {where}", made).encode())
            if feed in LINES:
                conn.execute(LINES[feed].encode())
            conn.execute(ADMITTED.format(table=table).encode(), {"feed": feed})
        conn.execute("vacuum analyze")


class Memory(threading.Thread):
    """The most that the server's processes held for themselves at once, and their processor time, which a busy machine
    does not stretch."""

    def __init__(self, server: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.server, self.peak, self.over = server, 0, threading.Event()
        self.spent: dict[int, float] = {}

    @property
    def cpu_seconds(self) -> float:
        return sum(self.spent.values())

    def run(self) -> None:
        while not self.over.wait(0.25):
            held = 0
            for process in self.server.children():
                try:
                    found = process.memory_info()
                    held += found.rss - found.shared
                    self.spent[process.pid] = sum(process.cpu_times()[:2])
                except psutil.Error:
                    continue
            self.peak = max(self.peak, held)


SUM = re.compile(r"([\d.]+)(?: (cwt|miles|pallets|lb))? × ([\d.]+) = ([\d.]+)")


def check(dsn: str) -> int:
    """Works the products in the words of a thousand charges out again. Raises AssertionError for one that is wrong."""
    checked = 0
    with psycopg.connect(dsn) as conn:
        sample = conn.execute(
            """
            select amount, arithmetic from decisions.rated_charge where shipment_id in (
              select shipment_id from decisions.rating where reason is null
              order by sha256(shipment_id::bytea) limit 500)
            """
        )
        for amount, arithmetic in sample:
            for count, _, rate, product in SUM.findall(arithmetic):
                exact = Decimal(count) * Decimal(rate)
                assert exact.quantize(Decimal("0.01"), ROUND_HALF_UP) == Decimal(product), arithmetic
                checked += 1
            assert amount >= 0
    return checked


def measure(shipments: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="freightsync-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with deployed(directory) as settings:
            began = time.monotonic()
            generate(settings.dsn("owner"), shipments)
            generated = time.monotonic() - began
            with psycopg.connect(settings.dsn("owner")) as conn:
                server = psutil.Process(psutil.Process(conn.info.backend_pid).ppid())
            memory = Memory(server)
            memory.start()
            cards = build.run_dbt("build", list(CARDS), settings, full_refresh=True)
            before = memory.cpu_seconds
            rated = build.run_dbt("build", list(RATING), settings, full_refresh=True)
            rating_cpu = memory.cpu_seconds - before
            build.run_dbt("build", list(VIEWS), settings)
            with psycopg.connect(settings.dsn("dbt")) as conn:
                began = time.monotonic()
                conn.execute(
                    "select charge_code, count(*), sum(amount) from decisions.rated_charge group by charge_code"
                )
                summed = time.monotonic() - began
                began = time.monotonic()
                conn.execute("select count(arithmetic), count(inputs), count(rules) from decisions.rated_charge")
                explained = time.monotonic() - began
            memory.over.set()
            memory.join()
            with psycopg.connect(settings.dsn("dbt")) as conn:
                counted = conn.execute(
                    """select (select count(*) from landing.rate_lane), (select count(*) from decisions.rated_charge),
                      (select count(*) filter (where reason is null) from decisions.rating),
                      (select count(distinct amount) from decisions.rated_charge),
                      current_setting('server_version')"""
                ).fetchone()
                assert counted is not None
                reasons = dict(
                    conn.execute(
                        "select reason, count(*) from decisions.rating where reason is not null group by 1"
                    ).fetchall()
                )
            return {
                "machine": f"{os.cpu_count()} CPUs, {platform.machine()}",
                "load": round(os.getloadavg()[0], 2),
                "shipments": shipments,
                "lane_rates": counted[0],
                "charges": counted[1],
                "rated": counted[2],
                "exceptions": reasons,
                "checked": check(settings.dsn("dbt")),
                "generate_seconds": round(generated, 1),
                "rate_card_seconds": round(cards.seconds, 2),
                # built, and every charge's amount read once
                "rating_seconds": round(rated.seconds + summed, 2),
                "rating_cpu_seconds": round(rating_cpu, 2),
                "explain_every_charge_seconds": round(explained, 2),
                "model_seconds": {
                    node.name.rsplit(".", 1)[-1]: round(node.seconds, 2) for node in (*cards.nodes, *rated.nodes)
                },
                "peak_rss_mib": {
                    "python": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                    "server": round(memory.peak / 2**20),
                },
                "versions": {
                    "postgresql": counted[4],
                    "python": platform.python_version(),
                    **{package: metadata.version(package) for package in ("dbt-core", "dbt-postgres")},
                },
            }


def seconds(shipments: int) -> float:
    """For bench/settlement.py."""
    return float(measure(shipments)["rating_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shipments", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("var/bench/rating.json"))
    arguments = parser.parse_args()
    result = measure(arguments.shipments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
