"""A month played against partners that really run: HTTP and webhooks, files over SSH, the ERP's API. Our pipelines run
in this process, in business time: what Airflow does with them is proved by the day.

`MonthPlayer.play` takes a month step by step; `outcome` reads the partners' books and ours in the shape of its truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from freightsync import landing
from freightsync.cases import disputes
from freightsync.domain.errors import NotReady, TransientError
from freightsync.landing import inbound
from freightsync.pipelines import closing, delivering, drift, reconciling, releases, revaluing, whole
from freightsync.pipelines.table import PIPELINES
from freightsync.proof import books, ours
from freightsync.sandbox import sftp_server
from freightsync.sandbox.config import DEPLOYMENT, SandboxConfig, SftpTarget
from freightsync.sandbox.scenario.month import RULES, Month, Round, Step
from freightsync.sandbox.server import UPLOADERS, Sandbox
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

HTTP = ("erp", "tms", "wms", "bluw", "driver")
SECRETS = {name: f"s-{name}" for name in ("tms", "bluw", "driver", "clearbill")}
WAITS = 30.0
"""Seconds for what partners send to be here."""


class InLoop:
    """A coroutine function in a thread's event loop until stopped."""

    def __init__(self, start: Callable[[Callable[[], None]], Any]) -> None:
        self._ready = threading.Event()
        self._place: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, args=(start,), daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "it did not start"

    def _run(self, start: Callable[[Callable[[], None]], Any]) -> None:
        async def main() -> None:
            self._place.update(loop=asyncio.get_running_loop(), task=asyncio.current_task())
            await start(self._ready.set)

        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(main())
        self._ready.set()

    def stop(self) -> None:
        if not self._place["loop"].is_closed():
            self._place["loop"].call_soon_threadsafe(self._place["task"].cancel)
        self._thread.join(20)


@contextlib.contextmanager
def receiving(given: Callable[[], Settings]) -> Iterator[str]:
    """Our address for webhooks and bills; what comes is landed as the API server does it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            *_, kind, partner = self.path.split("/")
            settings = given()
            take = inbound.receive_bills if kind == "invoices" else inbound.receive
            with connect(settings.dsn("app")) as conn:
                take(conn, partner, body, dict(self.headers), settings=settings)
            self.send_response(202)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def partners(home: Path, inbound_url: str) -> Iterator[tuple[dict[str, int], SftpTarget]]:
    """The sandbox and an SFTP server; ports by partner."""
    passwords = {name: f"p-{name}" for name in UPLOADERS}
    accounts = {name: sftp_server.Account(password, name) for name, password in passwords.items()}
    accounts |= {
        "freightsync": sftp_server.Account("p-ours", ""),
        "pricing": sftp_server.Account("p-pricing", "pricing"),
    }
    found: list[int] = []
    ports: dict[str, int] = {}

    async def serve_files(ready: Callable[[], None]) -> None:
        config = sftp_server.ServerConfig("127.0.0.1", 0, home / "sftp", home / "host_key", accounts)
        acceptor = await sftp_server.serve(config)
        found.append(acceptor.get_port())
        ready()
        await asyncio.Event().wait()

    public = sftp_server.ensure_host_key(home / "host_key")
    files = InLoop(serve_files)
    target = SftpTarget(port=found[0], host_key=public, users=passwords)
    config = SandboxConfig(
        home=home / "books",
        tokens={name: f"t-{name}" for name in HTTP},
        webhook_secrets=SECRETS,
        inbound_url=inbound_url,
        sftp=target,
    )

    async def serve_partners(ready: Callable[[], None]) -> None:
        sandbox = Sandbox(config)

        def listening(known: dict[str, int]) -> None:
            ports.update(known)
            ready()

        try:
            await sandbox.serve(listening)
        finally:
            sandbox.close()

    running = InLoop(serve_partners)
    try:
        yield ports, target
    finally:
        running.stop()
        files.stop()


class MonthPlayer:
    def __init__(self, settings: Settings, control: httpx.Client) -> None:
        self.settings, self.control = settings, control
        self._numbers = itertools.count(1)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.blocked: set[str] = set()
        """Checks that kept the month open when it was compared first."""

    def run_id(self, what: str) -> str:
        return f"{what} {next(self._numbers)}"

    # -- partners -----------------------------------------------------------------------------------------------------

    def tell(self, path: str, document: Mapping[str, Any]) -> Any:
        answer = self.control.post(f"/_sandbox/{path}", json=document)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        answer = self.control.get(f"/api/v1/{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def partners_act(self, found: Round) -> None:
        began = time.monotonic()
        self.tell("act", {"actions": found.actions})
        deadline = time.monotonic() + WAITS
        while any((shown := self.control.get("/_sandbox/day").json())["waiting"].values()):
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        self.seconds["partners"] += time.monotonic() - began

    # -- ours ---------------------------------------------------------------------------------------------------------

    def run(self, step: Step, *consumers: str) -> None:
        for consumer in consumers:
            began = time.monotonic()
            whole.run_stages(consumer, self.run_id(consumer), at(step), self.settings)
            self.seconds[consumer] += time.monotonic() - began

    def deliver(self, *, once: bool = False) -> None:
        """`once`: time stands still, so that nothing is sent again."""
        began = time.monotonic()
        now = datetime.now(UTC)
        clock = (lambda: now) if once else (lambda: datetime.now(UTC))
        delivering.deliver_effects(self.run_id("deliver"), self.settings, clock=clock)
        self.seconds["deliver"] += time.monotonic() - began

    def deliver_all(self) -> None:
        for _ in range(20):
            self.deliver()
            if not self.waiting():
                return
            time.sleep(0.5)
        raise AssertionError("something is not delivered")

    def reconcile(self, step: Step) -> reconciling.Reconciled:
        began = time.monotonic()
        done = reconciling.reconcile(self.run_id("reconcile"), self.settings, as_of=at(step))
        self.seconds["reconcile"] += time.monotonic() - began
        return done

    # -- step by step -------------------------------------------------------------------------------------------------

    def play(self, month: Month) -> None:
        for step in month.steps:
            for found in step.rounds:
                getattr(self, f"do_{found.kind}")(step, found)

    def do_masters(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        self.run(step, "sync_master_data")

    def do_orders(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        self.run(step, "release_orders")
        self.deliver_all()

    def do_moves(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        began = time.monotonic()
        with connect(self.settings.dsn("app")) as conn:
            landing.collect(conn, self.settings, ["carrier.status_x12"], self.run_id("collect"))
        self.seconds["status files"] += time.monotonic() - began
        self.run(step, "ingest_shipment_events", "invoice_on_pod", "post_accruals")
        self.deliver_all()

    def do_bills(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        self.run(step, "ingest_carrier_invoices", "settle_freight")
        if found.more.get("refused"):
            self.deliver()
            assert "dead" in self.waiting(), "nothing that it was sent is refused by the ERP"
        else:
            self.deliver_all()

    def do_claims(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        self.run(step, "apply_payments")
        self.deliver_all()

    def do_locks(self, step: Step, found: Round) -> None:
        """A bill's journal waits behind its invoice: it is refused when that was taken, and moves then."""
        for _ in range(3):
            refused = self.waiting().count("dead")
            assert self.reconcile(step).moved == refused > 0
            assert self.our_period(found.more["period"]) == "closed"
            self.deliver()
            if not self.waiting():
                return
        raise AssertionError("something is still refused")

    def waiting(self) -> list[str]:
        """States of what is to be sent."""
        with connect(self.settings.dsn("app")) as conn:
            return [status for (status,) in conn.execute("select status from ops.outbox_pending").fetchall()]

    def our_period(self, period: str) -> str:
        with connect(self.settings.dsn("app")) as conn:
            row = conn.execute("select status from effects.period where period = %s", (period,)).fetchone()
        return "open" if row is None else str(row[0])

    def do_bank(self, step: Step, found: Round) -> None:
        self.partners_act(found)
        self.run(step, "apply_payments")
        if fault := found.more.get("fault"):
            self.tell("faults", {"kind": fault, "path_prefix": "/api/v1/journal-entries", "count": 1})
        self.deliver(once=True)

    def do_people(self, step: Step, found: Round) -> None:
        for action in found.actions:
            given = dict(action)
            if shipment := given.pop("accrual_of", None):
                [given["number"]] = [
                    entry["number"]
                    for entry in self.get("journal-entries", limit=1000)["items"]
                    if any(
                        line["shipment_id"] == shipment and str(line["cause"]).startswith("delivery|")
                        for line in entry["lines"]
                    )
                ]
            self.tell("ledger", given)

    def do_talks(self, step: Step, found: Round) -> None:
        with psycopg.connect(self.settings.dsn("app"), autocommit=True) as conn:
            [bill] = [
                case.carrier_invoice_id
                for case in disputes.cases(conn)
                if (case.scac, case.invoice_number) == (found.more["scac"], found.more["invoice_number"])
            ]
            owed = disputes.owed(disputes.lines(conn, bill))
            said = disputes.propose(conn, bill, "us", owed, disputes.Saying(by="anna", channel="cli", at=at(step)))
            agrees = disputes.Saying(by=found.more["scac"], channel="api", at=at(step))
            disputes.answer(conn, said, "carrier", agrees, accept=True)
        self.run(step, "settle_freight")
        self.deliver_all()

    def do_settles(self, step: Step, found: Round) -> None:
        saying = disputes.Saying(by="anna", channel="cli", at=at(step), approved_by="finance")
        with psycopg.connect(self.settings.dsn("app"), autocommit=True) as conn:
            bills = {(case.scac, case.invoice_number): case.carrier_invoice_id for case in disputes.cases(conn)}
            for said in found.more["said"]:
                given_up = {"write_off": True, "reason_code": "overcharge"} if said["give_up"] else {}
                amounts = {(f"tms:{said['shipment_id']}", "LINEHAUL"): Decimal(said["amount"])}
                disputes.settle_claim(conn, bills["HNSA", said["invoice_number"]], amounts, saying, **given_up)
        self.run(step, "settle_freight")
        self.deliver_all()

    def do_drift(self, step: Step, found: Round) -> None:
        if found.more["found"]:
            self.everybody_looks(step)
        self.reconcile(step)
        expected = sorted((one["reason"], one["amount"], one["period"]) for one in found.more["found"])
        assert sorted((d.reason, str(d.amount), d.period) for d in self.drift("open")) == expected
        if not expected:
            return
        with connect(self.settings.dsn("report")) as conn:
            period = expected[0][2]
            self.blocked = {check.check_name for check in closing.checks(conn, period) if check.state == "blocked"}
        with does_not_tie():
            closing.tie_out(period, self.settings)
        for answer in found.more["decide"]:
            [one] = [d for d in self.drift("open") if (d.reason, str(d.amount)) == (answer["reason"], answer["amount"])]
            assert one.words
            assert one.what_to_do
            with connect(self.settings.dsn("app")) as conn:
                number = drift.propose(conn, one.document, answer["decision"], by="olga", note="as agreed")
                drift.approve(conn, number, by="finance", at=at(step))
                conn.commit()
        # what was decided is posted and sent; so is what had lost its answer
        self.reconcile(step)
        self.deliver_all()
        self.reconcile(step)
        left = sorted((one["reason"], one["state"]) for one in found.more["left"])
        assert sorted((d.reason, d.state) for d in self.drift()) == left

    def everybody_looks(self, step: Step) -> None:
        """Before a period is closed everybody must have looked after its cut-offs."""
        self.run(step, *(name for name in PIPELINES if name not in ("reconcile_ledger", "revalue_open_items")))

    def drift(self, *states: str) -> list[drift.Drift]:
        with connect(self.settings.dsn("report")) as conn:
            known = drift.listed(conn, settled=True)
        return [one for one in known if not states or one.state in states]

    def do_close(self, step: Step, found: Round) -> None:
        period, by, signer = (found.more[name] for name in ("period", "asked_by", "signed_by"))
        if found.more.get("locked_there"):
            # what is open in foreign currency can't be valued in it any more
            self.everybody_looks(step)
            assert self.our_period(period) == "closed"
        else:
            revaluing.revalue(period, self.run_id("revalue"), self.settings, by=by).check()
        self.deliver_all()
        began = time.monotonic()
        if found.more.get("interrupted"):
            self.close_in_two(step, period, by, signer)
        else:
            closing.close(period, self.run_id("close"), self.settings, by=by, approved_by=signer, as_of=at(step))
        self.seconds["close"] += time.monotonic() - began

    def close_in_two(self, step: Step, period: str, by: str, signer: str) -> None:
        """The ERP is away when it is to lock what we have closed; the same signature closes it afterwards."""
        run_id = self.run_id("close")
        closing.check_readiness(period, run_id, self.settings, by=by, as_of=at(step))
        closing.roll_forward(period, self.settings)
        digest = closing.tie_out(period, self.settings)["sha256"]
        signed = closing.sign(period, run_id, self.settings, requested_by=by, approved_by=signer, figures_sha256=digest)
        self.tell("faults", {"kind": "503", "path_prefix": "/api/v1/period-changes", "count": 1, "method": "POST"})
        with contextlib.suppress(TransientError):
            closing.lock(signed, self.settings)
            raise AssertionError("the ERP was not away")
        assert self.our_period(period) == "closed"
        assert self.get("periods")["items"] == []
        closing.lock(signed, self.settings)
        closing.report(signed, self.settings, as_of=at(step))
        closing.finish(run_id, self.settings)

    def do_release(self, step: Step, found: Round) -> None:
        self.reconcile(step)
        assert self.leftovers() == {item: (amount, "due") for item, amount in found.more["due"].items()}
        with connect(self.settings.dsn("app")) as conn:
            assert releases.propose(conn, by="olga", run_id=self.run_id("releases")) == len(found.more["due"])
            conn.commit()
        self.reconcile(step)
        assert self.leftovers() == {item: (amount, "proposed") for item, amount in found.more["due"].items()}
        with connect(self.settings.dsn("app")) as conn:
            proposed = {named(one): one.proposal_id for one in releases.listed(conn)}
            refused = proposed.pop(found.more["refused"])
            said = {"by": "controller", "at": at(step)}
            releases.approve(conn, [number for number in proposed.values() if number is not None], **said)
            assert refused is not None
            releases.approve(conn, [refused], refuse=True, note="it was promised to them", **said)
            conn.commit()
        self.reconcile(step)
        self.deliver_all()
        self.reconcile(step)
        assert self.leftovers() == {found.more["refused"]: (found.more["due"][found.more["refused"]], "refused")}

    def leftovers(self) -> dict[str, tuple[str, str]]:
        with connect(self.settings.dsn("report")) as conn:
            return {named(one): (books.money(one.open_amount), one.state) for one in releases.listed(conn)}

    # -- what the books say at the end --------------------------------------------------------------------------------

    def outcome(self, periods: tuple[str, ...]) -> dict[str, Any]:
        with books.open_books(self.settings, "erp") as erp:
            customers = {row["customer_id"]: row for row in erp.entries("customers")}
            documents: dict[str, Any] = {
                "erp.customer_invoice": books.customer_invoices(erp.entries("customer-invoices"), customers),
                "erp.supplier_invoice": books.supplier_invoices(erp.entries("supplier-invoices")),
                "ledger in USD": {
                    f"{row['account']}/{row['currency']}": sides(row["functional_debit"], row["functional_credit"])
                    for row in erp.get("/api/v1/trial-balance")
                    if Decimal(row["functional_debit"]) or Decimal(row["functional_credit"])
                },
            }
            documents["erp.landed"] = landed([*erp.entries("journal-entries"), *erp.entries("supplier-invoices")])
            documents["erp.period"] = {
                row["period"]: {"status": row["status"]} for row in erp.get("/api/v1/periods")["items"]
            }
            for period in periods:
                found = {
                    f"{row['account']}/{row['currency']}": sides(row["debit"], row["credit"])
                    for row in erp.get("/api/v1/ledger-balances", period=period)["items"]
                    if Decimal(row["debit"]) or Decimal(row["credit"])
                }
                if found:
                    documents[f"ledger {period}"] = found
        with connect(self.settings.dsn("report")) as conn:
            documents["ours.verdict"] = ours.our_documents(conn)["ours.verdict"]
            with conn.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute
                documents["ours.payment"] = {
                    row["payment_id"]: {"verdict": row["verdict"]}
                    for row in rows("select payment_id, verdict from decisions.payment_verdict")
                }
                documents["ours.receivable"] = {
                    row["customer_invoice_id"].removeprefix("erp:").replace("/tms:", "/"): {
                        "status": row["status"],
                        "open": books.money(row["open_amount"]),
                    }
                    for row in rows("select * from decisions.customer_invoice_status where invoice_on is not null")
                }
                documents["ours.dispute"] = {
                    f"{row['scac']}/{row['invoice_number']}": {"state": row["state"]}
                    for row in rows("select scac, invoice_number, state from decisions.dispute")
                }
                documents["ours.accrued"] = {
                    row["item"]: {
                        name: books.money(row[name]) for name in ("accrued", "reversed", "open", "open_in_usd")
                    }
                    for row in rows(_ACCRUED).fetchall()
                }
        return {"documents": documents}

    def our_ledger(self) -> dict[str, Any]:
        """The same accounts, from our log alone."""
        found: dict[str, Any] = defaultdict(dict)
        with connect(self.settings.dsn("report")) as conn, conn.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(_OURS):
                name = f"{row['account']}/{row['currency']}"
                if row["debit"] or row["credit"]:
                    found[f"ledger {row['period']}"][name] = sides(row["debit"], row["credit"])
            for row in cursor.execute(_OURS_IN_USD):
                if row["debit"] or row["credit"]:
                    found["ledger in USD"][f"{row['account']}/{row['currency']}"] = sides(row["debit"], row["credit"])
        return dict(found)


@contextlib.contextmanager
def does_not_tie() -> Iterator[None]:
    try:
        yield
    except NotReady:
        return
    raise AssertionError("the books were said to tie, although they drift")


def at(step: Step) -> datetime:
    """When we work on that day."""
    return datetime.combine(step.day, datetime.min.time(), UTC).replace(hour=23, minute=30)


def named(one: releases.Leftover) -> str:
    return f"{one.shipment_id.removeprefix('tms:')}/{one.charge_code}"


def landed(documents: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Order line of goods bought → what their freight is in stock and in the cost of goods sold."""
    found: defaultdict[str, dict[str, Decimal]] = defaultdict(lambda: {"stock": Decimal(0), "sold": Decimal(0)})
    for line in (line for document in documents for line in document["lines"]):
        if line.get("order_number") is None:
            continue
        at_line = found[f"{line['order_number']}/{line['order_line']}"]
        for name, account in (("stock", "1400"), ("sold", "5100")):
            sign = (line["debit_account"] == account) - (line["credit_account"] == account)
            at_line[name] += sign * Decimal(line["amount"])
    return {key: {name: books.money(amount) for name, amount in line.items()} for key, line in found.items()}


def sides(debit: Any, credit: Any) -> dict[str, str]:
    return {"debit": books.money(debit), "credit": books.money(credit)}


_ACCRUED = """
select (attributes ->> 'shipment_id') || '/' || (attributes ->> 'charge_code') as item,
  coalesce(sum(owed) filter (where relation = 'movement__accruals'), 0) as accrued,
  coalesce(-sum(owed) filter (where relation = 'movement__settlement'), 0) as reversed,
  sum(owed) as open, sum(owed_in_usd) as open_in_usd
from (
  select attributes, relation, case when credit_account = '2150' then amount else -amount end as owed,
    case when credit_account = '2150' then functional_amount else -functional_amount end as owed_in_usd
  from effects.movement where '2150' in (debit_account, credit_account)
    and attributes ->> 'shipment_id' is not null) as entries
group by 1
"""

_SIDES = """
with moved as (
  select distinct on (journal_id) journal_id, period from effects.document_move order by journal_id, move_id desc
), sides as (
  select m.journal_id, m.period, m.debit_account as account, m.currency, m.amount as debit, 0 as credit,
    m.functional_amount as f_debit, 0 as f_credit from effects.movement m
  union all
  select m.journal_id, m.period, m.credit_account, m.currency, 0, m.amount, 0, m.functional_amount
  from effects.movement m
)
"""
_OURS = (
    _SIDES
    + """select coalesce(moved.period, sides.period) as period, account, currency, sum(debit) as debit,
           sum(credit) as credit from sides left join moved using (journal_id) group by 1, 2, 3"""
)
_OURS_IN_USD = (
    _SIDES + """select account, currency, sum(f_debit) as debit, sum(f_credit) as credit from sides group by 1, 2"""
)


def _record(conn: psycopg.Connection[Any], table: str, rule: Mapping[str, Any]) -> None:
    """Finance's rule, known and in force before the month."""
    always = {"rule_version": 1, "valid_from": "2020-01-01", "recorded_at": "2020-01-02T00:00:00Z"}
    values = {**always, "recorded_by": "finance", "note": f"{rule['rule_id']} of this company", **rule}
    conn.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("rules", table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        ),
        list(values.values()),
    )


@contextlib.contextmanager
def month_player(home: Path, dsns: Mapping[str, Any], owner_dsn: str) -> Iterator[MonthPlayer]:
    """Partners, our address, and a company that books its customers' payments here."""
    place: dict[str, Settings] = {}
    with (
        receiving(lambda: place["settings"]) as url,
        partners(home, url) as (ports, target),
        httpx.Client(
            base_url=f"http://127.0.0.1:{ports['erp']}",
            headers={"Authorization": "Bearer t-erp"},
            timeout=30,
            trust_env=False,
        ) as control,
    ):
        known: dict[str, dict[str, str]] = {
            name: {"base_url": f"http://127.0.0.1:{ports[name]}", "token": f"t-{name}"} for name in HTTP
        }
        for name, secret in SECRETS.items():
            known.setdefault(name, {})["webhook_secret"] = secret
        place["settings"] = Settings.load(
            **dsns,
            partners=known,
            carrier_folder=DEPLOYMENT,
            sftp={
                "host": "127.0.0.1",
                "port": target.port,
                "user": "freightsync",
                "password": "p-ours",
                "host_key": target.host_key,
            },
        )
        with psycopg.connect(owner_dsn, autocommit=True) as conn:
            for table, rule in RULES:
                _record(conn, table, rule)
        yield MonthPlayer(place["settings"], control)
