"""The floor under settlement: the same rows by bare COPY, and one hand-written, tuned query that matches them.

No gate, no history, no reasons, no ledger, nothing incremental: what the machine needs at least. The recipe that was
measured best: COPY into tables without keys, ANALYZE, hash joins in parallel, one line a (shipment, charge) going into
the comparison, no hashed aggregation, `work_mem` of 64 MB.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import settlement_data as data

from freightsync.warehouse.embedded import EmbeddedPostgres, create_database, drop_database

TABLES = {
    "shipment": "shipment_id text, scac text, bol text, pro text, po text",
    "planned": "shipment_id text, charge text, planned numeric(18,2)",
    "code": "scac text, partner_code text, charge text",
    "tolerance": "scac text, charge text, mode text, percent numeric(6,2), amount numeric(18,2)",
    "invoice": """invoice_id int, scac text, number text, correction text, invoice_on date, ship_on date,
      shipment_id text, bol text, pro text, po text, origin text, destination text, weight numeric(12,3),
      net numeric(18,2), currency text""",
    "line": """invoice_id int, line int, partner_code text, description text, amount numeric(18,2), shipment_id text""",
}
STORED = ("shipment", "planned", "code", "tolerance")
TIMED = ("invoice", "line")

SETTINGS = """
set jit = off; set work_mem = '64MB'; set enable_hashagg = off; set max_parallel_workers_per_gather = 2;
set parallel_setup_cost = 10; set parallel_tuple_cost = 0.001; set synchronous_commit = off;
"""

MATCH = """
create table verdict as
with header as (
  select i.invoice_id, i.scac, i.net,
    coalesce(by_id.shipment_id, by_bol.shipment_id, by_pro.shipment_id, by_po.shipment_id) as shipment_id,
    row_number() over (
      partition by i.scac, regexp_replace(upper(i.number), '[^A-Z0-9]|[A-Z]$', '', 'g')
      order by i.invoice_on, i.number) > 1 as is_duplicate
  from invoice i
  left join shipment by_id on by_id.shipment_id = i.shipment_id and by_id.scac = i.scac
  left join shipment by_bol on by_bol.bol = i.bol and by_bol.scac = i.scac
  left join shipment by_pro on by_pro.pro = i.pro and by_pro.scac = i.scac
  left join shipment by_po on by_po.po = i.po and by_po.scac = i.scac
),
charged as (
  select h.invoice_id, h.scac, h.is_duplicate, coalesce(h.shipment_id, l.shipment_id) as shipment_id, c.charge,
    l.amount
  from line l
  join header h using (invoice_id)
  join code c on c.scac = h.scac and c.partner_code = l.partner_code
),
limits as (
  select c.scac, c.charge, t.mode, t.percent, t.amount
  from (select distinct scac, charge from code) c
  cross join lateral (
    select * from tolerance t where t.scac in (c.scac, '*') and t.charge in (c.charge, '*')
    order by t.scac <> '*' and t.charge <> '*' desc, t.scac <> '*' desc, t.charge <> '*' desc limit 1
  ) t
),
compared as (
  select c.invoice_id, c.shipment_id, c.charge, p.planned, c.amount, c.is_duplicate, p.shipment_id is not null as found,
    c.amount - p.planned as variance,
    case when t.mode = 'either' then greatest(p.planned * t.percent / 100, t.amount)
      else least(p.planned * t.percent / 100, t.amount) end as allowed
  from charged c
  left join planned p on p.shipment_id = c.shipment_id and p.charge = c.charge
  left join limits t on t.scac = c.scac and t.charge = c.charge
)
select invoice_id,
  case when bool_or(is_duplicate) then 'duplicate_number'
    when not bool_and(found) then 'no_candidate'
    when bool_or(variance > allowed) then 'out_of_tolerance'
    when bool_or(variance <> 0) then 'in_tolerance'
    else 'exact' end as verdict,
  sum(planned) as expected, sum(amount) as invoiced, sum(variance) as variance
from compared group by invoice_id
"""


def write_rows(directory: Path, blocks: Iterable[Any], tolerances: Sequence[tuple[Any, ...]]) -> None:
    """The rows as CSV with headers, one file a table; the peer reads the same ones."""
    handles = {name: (directory / f"{name}.csv").open("w", encoding="ascii", newline="") for name in TABLES}
    writers = {name: csv.writer(handle) for name, handle in handles.items()}
    for name, columns in TABLES.items():
        writers[name].writerow(
            [
                part.split()[0]
                for part in columns.replace("(18,2)", "").replace("(12,3)", "").replace("(6,2)", "").split(",")
            ]
        )
    for scac, codes in data.CODES.items():
        writers["code"].writerows((scac, code, charge) for charge, code in codes.items())
    writers["tolerance"].writerows(
        [
            ("*", "*", "either", "5.00", "2.00"),
            ("*", "FUEL", "either", "10.00", ""),
            ("NRDF", "LINEHAUL", "either", "3.00", ""),
        ]
        + [(scac, charge, mode, percent or "", amount or "") for _, scac, charge, mode, percent, amount in tolerances]
    )
    number = 0
    for _, shipments, bills in blocks:
        writers["shipment"].writerows((s.id, s.scac, s.bol, s.pro, s.order) for s in shipments)
        writers["planned"].writerows(
            (s.id, charge, data.money(cents)) for s in shipments for charge, cents in s.charges.items()
        )
        invoices, lines = [], []
        for bill in bills:
            number += 1
            ship, keys = bill.shipment, bill.keys
            invoices.append(
                (
                    number,
                    bill.scac,
                    bill.number,
                    "",
                    bill.on,
                    ship.ship_on,
                    ship.id if "shipment" in keys else "",
                    ship.bol if "bol" in keys else "",
                    ship.pro if "pro" in keys else "",
                    ship.order if "po" in keys else "",
                    ship.origin[2],
                    ship.destination[2],
                    bill.weight,
                    data.money(bill.net),
                    "USD",
                )
            )
            lines += [
                (
                    number,
                    at,
                    data.CODES[bill.scac][charge],
                    data.WORDS[charge],
                    data.money(cents),
                    "" if keys else about.id,
                )
                for at, (about, charge, cents) in enumerate(bill.lines, 1)
            ]
        writers["invoice"].writerows(invoices)
        writers["line"].writerows(lines)
    for handle in handles.values():
        handle.close()


def _copy(conn: psycopg.Connection[Any], directory: Path, table: str) -> None:
    statement = f"copy {table} from stdin (format csv, header)"
    with (directory / f"{table}.csv").open("rb") as source, conn.cursor().copy(statement) as copy:
        while block := source.read(1 << 20):
            copy.write(block)


def measure(cluster: EmbeddedPostgres, directory: Path, expected: dict[str, int]) -> dict[str, float]:
    """Seconds of COPY and of the match, and both; the verdicts must be right."""
    admin = cluster.dsn()
    create_database(admin, "bench_floor")
    try:
        with psycopg.connect(cluster.dsn("bench_floor"), autocommit=True) as conn:
            for table, columns in TABLES.items():
                conn.execute(f"create table {table} ({columns})")
            for table in STORED:
                _copy(conn, directory, table)
            conn.execute("vacuum analyze")
            conn.execute("checkpoint")
            conn.execute(SETTINGS)
            began = time.perf_counter()
            for table in TIMED:
                _copy(conn, directory, table)
            copied = time.perf_counter()
            conn.execute("analyze invoice; analyze line")
            conn.execute(MATCH)
            done = time.perf_counter()
            verdicts = dict(conn.execute("select verdict, count(*) from verdict group by 1").fetchall())
            if verdicts != expected:
                raise SystemExit(f"the floor's verdicts are wrong: {verdicts}, not {expected}")
    finally:
        drop_database(admin, "bench_floor")
    return {
        "copy_seconds": round(copied - began, 3),
        "match_seconds": round(done - copied, 3),
        "seconds": round(done - began, 3),
    }
