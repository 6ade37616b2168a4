"""All partner systems in one process, one HTTP port each, with a control interface on the ERP's port.

Control (`/_sandbox/…`, the ERP's bearer token; `health` needs none):
    GET  health                       {"ports": {…}, "pid"}
    POST faults                       {"kind": "429"|"503"|"commit_then_drop"|"answer_then_lose", "path_prefix",
                                       "count", "retry_after"?, "method"?, "partner"? (erp)}
    POST reset                        empties every book, drops what waits
    GET  log?kind=pod_sent|committed|resent|fault|replayed|wrongly_accepted
    POST books                        {"erp": {"customers": […], "sales-orders": […] …}, "tms": {"lanes": […]},
                                       "wms": {"ship-confirmations": […]}}: entries as the partner's people write them
    POST ledger                       {"do": "manual"|"reverse"|"copy"|"amend"|"lose"|"lock"|"unlock", …}: what the
                                       ERP's people do to its books, see `erp.as_its_user`; gives {"number"}
    POST scenario                     {"path": "…/scenario.json"}: loads it; what was there before the day is there now
    POST start                        {"seconds": 50}: the day's clock starts
    GET  day                          how far it is, and what waits at each partner
    POST act                          {"actions": […]}: does single actions now; `after` is not looked at
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from freightsync.formats.iso20022 import write_statement
from freightsync.sandbox import carriers, edi, erp, tms
from freightsync.sandbox.books import Books, wall_clock
from freightsync.sandbox.checks import text
from freightsync.sandbox.config import PARTNERS, SandboxConfig
from freightsync.sandbox.day import Action, Day
from freightsync.sandbox.http import App, DroppingProtocol, Fault, Reply, Request, add_fault, refuse, reply
from freightsync.sandbox.outbound import WebhookSender
from freightsync.sandbox.portal import People
from freightsync.sandbox.receipts import Receipts
from freightsync.sandbox.uploads import Uploader

log = logging.getLogger(__name__)

UPLOADERS = ("nrdf", "bluw", "hnsa", "bank", "clearbill", "pricing")
BOOKS = (*PARTNERS, "nrdf", "hnsa", "bluw_bills", "bank", "clearbill", "clearbill_calls", "pricing", "portal", "day")
CALL_EVERY = 0.25
"""Seconds over which a TMS or a carrier gathers events for one call."""
FILE_EVERY = 1.5
"""Seconds over which a carrier gathers transactions for one file."""
EVENTS_A_CALL = 40
TRANSACTIONS_A_FILE = 40


class Sandbox:
    """The partners. `serve` runs them until it is cancelled."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.books = {name: Books(config.home / f"{name}.sqlite") for name in BOOKS}
        self.day = Day(self.books["day"], self.perform)
        self.apps = {
            "erp": erp.make(config.tokens.get("erp", ""), self.books["erp"]),
            "tms": tms.make(config.tokens.get("tms", ""), self.books["tms"]),
            "wms": carriers.make_wms(config.tokens.get("wms", ""), self.books["wms"]),
            "bluw": carriers.make_events("bluw", config.tokens.get("bluw", ""), self.books["bluw"]),
            "driver": carriers.make_events("driver", config.tokens.get("driver", ""), self.books["driver"]),
        }
        inbound = config.inbound_url.rstrip("/")
        self.webhooks = {
            name: WebhookSender(
                name,
                self.books[name],
                f"{inbound}/webhooks/{name}" if inbound else "",
                config.webhook_secrets.get(name, ""),
                self.day.done,
                concurrency=8 if name == "driver" else 1,
            )
            for name in ("tms", "bluw", "driver")
        }
        self.bills = WebhookSender(
            "bluw",
            self.books["bluw_bills"],
            f"{inbound}/invoices/bluw" if inbound else "",
            config.webhook_secrets.get("bluw", ""),
            self.day.done,
        )
        self.audits = WebhookSender(
            "clearbill",
            self.books["clearbill_calls"],
            f"{inbound}/invoices/clearbill" if inbound else "",
            config.webhook_secrets.get("clearbill", ""),
            self.day.done,
        )
        self.uploads = {name: Uploader(name, self.books[name], config.sftp, self.day.done) for name in UPLOADERS}
        self.portal = People(self.books["portal"], config.portal, self.day.done)
        self._gathered: dict[tuple[str, str], list[Action]] = {}
        self.ports: dict[str, int] = {}
        self._watch_books()
        self._control(self.apps["erp"])
        self.day.restore(self._facts_in_books, self._in_hand())

    def close(self) -> None:
        for books in self.books.values():
            books.close()

    # -- facts that partners' books show ------------------------------------------------------------------------------

    def _watch_books(self) -> None:
        def erp_entry(collection: str, id: str, document: dict[str, Any]) -> None:
            if collection == "freight-plans":
                self.day.fact(f"erp_plan:{id}/{document['plan_version']}")
                self.day.fact(f"erp_freight:{id}/{document['estimated_freight']}")
            elif collection == "supplier-invoices":
                self.day.fact(f"erp_supplier_invoice:{document['scac']}/{document['invoice_number']}")
            elif collection == "customer-invoices":
                self.day.fact(f"erp_customer_invoice:{document['invoice_id']}")

        def tms_entry(collection: str, id: str, document: dict[str, Any]) -> None:
            if collection == "orders":
                self.day.fact(f"tms:{id}/{document['version']}")

        def read_up(collection: str) -> None:
            self.day.fact(f"read:{collection}", keep=True)

        self.books["erp"].on_entry = erp_entry
        self.books["tms"].on_entry = tms_entry
        self.books["erp"].on_read_up = self.books["tms"].on_read_up = read_up

    def _facts_in_books(self) -> set[str]:
        facts = set()
        for body, collection in self.books["erp"].all(
            "select body, collection from entry where collection in"
            " ('freight-plans', 'supplier-invoices', 'customer-invoices')"
        ):
            document = json.loads(body)
            if collection == "freight-plans":
                facts.add(f"erp_plan:{document['shipment_id']}/{document['plan_version']}")
                facts.add(f"erp_freight:{document['shipment_id']}/{document['estimated_freight']}")
            elif collection == "customer-invoices":
                facts.add(f"erp_customer_invoice:{document['invoice_id']}")
            else:
                facts.add(f"erp_supplier_invoice:{document['scac']}/{document['invoice_number']}")
        for id, version in self.books["tms"].all(
            "select id, json_extract(body, '$.version') from entry where collection = 'orders'"
        ):
            facts.add(f"tms:{id}/{version}")
        return facts

    def _in_hand(self) -> set[str]:
        """Actions that are in a call or a file already, sent or not."""
        found: set[str] = set()
        for books in self.books.values():
            for (actions,) in books.all("select actions from delivery"):
                found.update(json.loads(actions))
        return found

    # -- doing what a scenario says ------------------------------------------------------------

    def perform(self, action: Action) -> bool:
        """Does an action, or gathers it for the next call or file. True: it is done."""
        match action["do"]:
            case "erp_put":
                if not self.books["erp"].by_reference(action["collection"], action["id"]):
                    document = action["document"]
                    self.books["erp"].add(
                        action["collection"], document[erp.IDS[action["collection"]]], document, action["id"]
                    )
            case "tms_lane":
                if not self.books["tms"].by_reference("lanes", action["id"]):
                    self.books["tms"].add("lanes", action["document"]["lane_id"], action["document"], action["id"])
            case "wms_confirmation":
                document = action["document"]
                if not self.books["wms"].holds("ship-confirmations", document["confirmation_id"]):
                    self.books["wms"].add("ship-confirmations", document["confirmation_id"], document)
            case "fault":
                add_fault(
                    self.books[action.get("partner", "erp")],
                    Fault(
                        action["kind"], action["path_prefix"], action["count"], action.get("retry_after", 0.5), "POST"
                    ),
                )
            case "event":
                partner = action["partner"]
                if partner == "driver":
                    self._call(partner, [action])
                else:
                    self._gather(partner, "event", action)
                return False
            case "call":
                # a call of its own: the very same body again, or one that must be refused
                note = {"bad": action["bad"]} if action.get("bad") else {"units": action["units"]}
                self.webhooks[action["partner"]].add(action["body"], [action["id"]], note)
                return False
            case "214" | "210" | "990" | "824" | "invoic":
                self._gather(action.get("partner", "nrdf"), action["do"], action)
                return False
            case "csv" | "xlsx":
                self._gather("bluw", action["do"], action)
                return False
            case "api":
                self.bills.add({"invoices": [action["bill"]]}, [action["id"]], {"units": action["units"]})
                return False
            case "upload":
                content = edi.upload(action["kind"], action["rows"], workbook=action["name"].endswith(".xlsx"))
                note = {name: action[name] for name in ("by", "carrier", "name", "kind", "units")}
                self.portal.upload(content, [action["id"]], note)
                return False
            case "person":
                note = {name: action[name] for name in ("by", "says", "scac", "number")}
                self.portal.say([action["id"]], note)
                return False
            case "audit_call":
                self.audits.add({"results": [action["result"]]}, [action["id"]], {"units": action["units"]})
                return False
            case "audit":
                self._gather("clearbill", "audit", action)
                return False
            case "rates":
                content = edi.table(action["rows"], workbook=action["name"].endswith(".xlsx"))
                self.uploads["pricing"].add(action["name"], content, [action["id"]], note={"units": action["units"]})
                return False
            case "dispute":
                if not self.books["erp"].by_reference("disputes", action["id"]):
                    document = dict(action["document"])
                    document["invoice_number"] = self.invoice_number(document.pop("invoice"))
                    self.books["erp"].add("disputes", document["dispute_id"], document, action["id"])
            case "statement":
                statement = self._numbered(action["statement"])
                self.uploads["bank"].add(
                    f"camt053_{statement['statement_id']}.xml",
                    write_statement(statement),
                    [action["id"]],
                    action.get("manner", "rename"),
                    {"units": action["units"]},
                )
                return False
            case "file":
                self.uploads[action["partner"]].add(
                    action["name"],
                    action["content"].encode("utf-8"),
                    [action["id"]],
                    action["manner"],
                    {"units": action["units"]},
                )
                return False
            case unknown:
                raise refuse("do", f"nobody knows how to do {unknown!r}")
        return True

    def _numbered(self, statement: dict[str, Any]) -> dict[str, Any]:
        """A statement in which documents that are given as `invoice` (`order/shipment`) have the number under which the
        customer got that invoice."""

        def named(document: dict[str, Any]) -> dict[str, Any]:
            if "invoice" not in document:
                return document
            return {
                "number": self.invoice_number(document["invoice"]),
                "kind": "CINV",
                "amount": document.get("amount"),
            }

        def entry(given: dict[str, Any]) -> dict[str, Any]:
            details = [{**d, "documents": [named(one) for one in d.get("documents", ())]} for d in given["details"]]
            return {**given, "details": details}

        return {**statement, "entries": [entry(given) for given in statement["entries"]]}

    def invoice_number(self, name: str) -> str:
        """The ERP's number of the first document of a customer invoice. Raises Problem(422) where there is none."""
        row = self.books["erp"].one(
            "select id from entry where collection = 'customer-invoices' and json_extract(body, '$.invoice_id') = ?"
            " order by seq limit 1",
            (name,),
        )
        if row is None:
            raise refuse("invoice", f"there is no invoice {name}")
        return str(row[0])

    def _gather(self, partner: str, kind: str, action: Action) -> None:
        self._gathered.setdefault((partner, kind), []).append(action)

    def flush(self) -> None:
        """Makes calls and files of everything gathered."""
        self._flush_calls()
        self._flush_files()

    def _flush_calls(self) -> None:
        for partner in ("tms", "bluw"):
            waiting = self._gathered.pop((partner, "event"), [])
            for start in range(0, len(waiting), EVENTS_A_CALL):
                self._call(partner, waiting[start : start + EVENTS_A_CALL])

    def _call(self, partner: str, actions: list[Action]) -> None:
        pods = [a["pod"] for a in actions if a.get("pod")]
        note: dict[str, Any] = {"units": _units(actions)}
        if pods:
            note["pods"] = pods
        self.webhooks[partner].add({"events": [a["event"] for a in actions]}, [a["id"] for a in actions], note)

    def _flush_files(self) -> None:
        for partner, kind in (
            ("nrdf", "214"),
            ("nrdf", "210"),
            ("nrdf", "invoic"),
            ("nrdf", "990"),
            ("nrdf", "824"),
            ("hnsa", "214"),
            ("hnsa", "invoic"),
            ("bluw", "csv"),
            ("bluw", "xlsx"),
            ("clearbill", "audit"),
        ):
            waiting = self._gathered.pop((partner, kind), [])
            for start in range(0, len(waiting), TRANSACTIONS_A_FILE):
                actions = waiting[start : start + TRANSACTIONS_A_FILE]
                number = self._next_number(partner)
                # the day's own date, so that the same day gives the same names
                at = dt.datetime.fromisoformat(actions[0]["written_at"])
                name, content = bundle(kind, actions, number, at, sender=partner.upper())
                manner = "direct" if number % 3 == 0 else "rename"
                self.uploads[partner].add(name, content, [a["id"] for a in actions], manner, {"units": _units(actions)})

    def _next_number(self, partner: str) -> int:
        row = self.books[partner].one("select coalesce(max(seq), 0) from delivery")
        return int(row[0] if row else 0) + 1

    # -- control ------------------------------------------------------------

    def _control(self, app: App) -> None:
        base = "/_sandbox/"
        app.route("GET", base + "health", lambda _: reply({"ports": self.ports, "pid": os.getpid()}), public=True)
        app.route("POST", base + "faults", self._faults)
        app.route("POST", base + "reset", self._reset)
        app.route("GET", base + "log", self._log)
        app.route("POST", base + "books", self._write_books)
        app.route(
            "POST", base + "ledger", lambda r: reply({"number": erp.as_its_user(self.books["erp"], r.json())}, 201)
        )
        app.route("POST", base + "scenario", self._scenario)
        app.route("POST", base + "start", self._start)
        app.route("GET", base + "day", lambda _: reply(self.progress()))
        app.route("POST", base + "act", self._act)

    def _faults(self, request: Request) -> Reply:
        given = request.json()
        partner = given.get("partner", "erp")
        if partner not in self.apps:
            raise refuse("partner", f"one of {', '.join(self.apps)}")
        fault = Fault(
            str(given.get("kind")),
            text(given, "path_prefix"),
            int(given.get("count", 1)),
            float(given.get("retry_after", 0.5)),
            str(given.get("method", "*")),
        )
        add_fault(self.books[partner], fault)
        return reply({}, 201)

    def _reset(self, _: Request) -> Reply:
        for books in self.books.values():
            books.clear()
        for sender in (*self.webhooks.values(), self.bills, self.audits):
            sender.forget()
        for uploader in self.uploads.values():
            uploader.forget()
        self.portal.forget()
        self._gathered.clear()
        self.day.clear()
        return reply({})

    def _log(self, request: Request) -> Reply:
        kind = request.query.get("kind", "")
        entries = [e for books in self.books.values() for e in books.logged(kind)]
        return reply({"items": sorted(entries, key=lambda e: str(e["at"]))})

    def _write_books(self, request: Request) -> Reply:
        count = 0
        for partner, collections in request.json().items():
            for collection, documents in collections.items():
                for document in documents:
                    count += 1
                    if partner == "erp":
                        erp.put(self.books["erp"], collection, document)
                    elif partner == "tms" and collection == "lanes":
                        tms.put_lane(self.books["tms"], document)
                    elif partner == "wms" and collection == "ship-confirmations":
                        self.books["wms"].add(collection, text(document, "confirmation_id"), document)
                    else:
                        raise refuse("partner", f"{partner} has no {collection}")
        return reply({"written": count}, 201)

    def _scenario(self, request: Request) -> Reply:
        path = Path(text(request.json(), "path"))
        if not path.is_file():
            raise refuse("path", f"there is no file {path}")
        if self.day.actions:
            raise refuse("path", "a day is loaded; reset first", 409)
        scenario = json.loads(path.read_bytes())
        self.books["tms"].keep("expected_orders", scenario["expected_orders"])
        self.books["day"].keep("acknowledges", scenario.get("acknowledges", []))
        self.books["day"].keep("contests", scenario.get("contests", {}))
        return reply(self.day.load(path), 201)

    def _start(self, request: Request) -> Reply:
        if not self.day.actions:
            raise refuse("scenario", "no day is loaded", 409)
        self.day.start(float(request.json().get("seconds", 50)))
        return reply(self.progress())

    def _act(self, request: Request) -> Reply:
        actions = request.json().get("actions", [])
        done = [a["id"] for a in actions if self.perform(a)]
        self.flush()
        return reply({"done": done}, 201)

    def progress(self) -> dict[str, Any]:
        """The day's progress, and what waits at each partner. `quiet`: nothing more will come."""
        waiting = {name: s.waiting for name, s in self.webhooks.items()}
        waiting["bluw_bills"] = self.bills.waiting
        waiting["clearbill_calls"] = self.audits.waiting
        waiting |= {f"{name}_files": u.waiting for name, u in self.uploads.items()}
        waiting["portal"] = self.portal.waiting
        shown = self.day.progress()
        senders = (*self.webhooks.values(), self.bills, self.audits)
        problems = {s.partner: s.last_problem for s in senders if s.last_problem and s.waiting}
        problems |= {
            f"{u.carrier}_files": u.last_problem for u in self.uploads.values() if u.last_problem and u.waiting
        }
        if self.portal.last_problem and self.portal.waiting:
            problems["portal"] = self.portal.last_problem
        quiet = shown["state"] == "finished" and not any(waiting.values()) and not self._gathered
        return {**shown, "waiting": waiting, "problems": problems, "quiet": quiet}

    # -- running ------------------------------------------------------------

    async def serve(self, ready: Callable[[dict[str, int]], None] | None = None) -> None:
        """Serves until SIGTERM or SIGINT, or until cancelled."""
        servers: list[tuple[uvicorn.Server, socket.socket]] = []
        for name, app in self.apps.items():
            listener = _listen(self.config.ports.get(name, 0))  # type: ignore[call-overload]
            self.ports[name] = listener.getsockname()[1]
            settings = uvicorn.Config(
                app,
                http=DroppingProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
            servers.append((_Server(settings), listener))
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(s.serve(sockets=[listener])) for s, listener in servers]
        tasks += [asyncio.create_task(sender.run()) for sender in (*self.webhooks.values(), self.bills, self.audits)]
        tasks += [asyncio.create_task(uploader.run()) for uploader in self.uploads.values()]
        tasks.append(asyncio.create_task(self.portal.run()))
        tasks.append(asyncio.create_task(Receipts(self.books["day"], self.uploads["nrdf"]).run()))
        tasks += [asyncio.create_task(c) for c in (self.day.run(), self._every(CALL_EVERY, self._flush_calls))]
        tasks.append(asyncio.create_task(self._every(FILE_EVERY, self._flush_files)))
        waiter = asyncio.create_task(stop.wait())
        if ready is not None:
            ready(self.ports)
        try:
            running: set[asyncio.Task[Any]] = {waiter, *tasks}
            while not waiter.done():
                finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    task.result()
        finally:
            waiter.cancel()
            for server, _ in servers:
                server.should_exit = True
            for task in tasks[len(servers) :]:
                task.cancel()
            await asyncio.gather(*tasks, waiter, return_exceptions=True)

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            work()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only for sockets that name their protocol; with it an answer takes 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def bundle(kind: str, actions: list[Action], number: int, at: dt.datetime, sender: str = "NRDF") -> tuple[str, bytes]:
    """Name and content of a file that holds these actions' transactions. kind: 214, 210, 990, 824, invoic, csv, xlsx
    or audit; sender: who the envelopes of the first five name."""
    if kind == "invoic":
        return f"invoic_{number:06d}.edi", edi.invoices_edifact([a["transaction"] for a in actions], number, at, sender)
    if kind == "xlsx":
        return f"invoices_{number:05d}.xlsx", edi.invoices_xlsx([a["rows"] for a in actions])
    if kind == "csv":
        return f"invoices_{number:05d}.csv", edi.invoices_csv([a["rows"] for a in actions])
    if kind == "audit":
        rows = [row for a in actions for row in a["rows"]]
        return f"results_{number:05d}.csv", edi.table_csv(edi.AUDIT_COLUMNS, rows)
    content = edi.interchange(kind, [a["transaction"] for a in actions], number, at, sender)
    return f"{kind}_{number:06d}.edi", content


def _units(actions: list[Action]) -> dict[str, int]:
    """Records by feed in a call or file."""
    found: dict[str, int] = {}
    for action in actions:
        for feed, count in action["units"].items():
            found[feed] = found.get(feed, 0) + count
    return found


def main(config: SandboxConfig) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sandbox = Sandbox(config)
    log.info("books in %s, %s actions, clock %s", config.home, len(sandbox.day.actions), wall_clock())
    try:
        asyncio.run(sandbox.serve(lambda ports: log.info("partners listen: %s", ports)))
    finally:
        sandbox.close()
