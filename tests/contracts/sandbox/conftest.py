"""Partner systems running for real, an SFTP server to upload to, and a receiver of webhooks that checks signatures."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from freightsync.sandbox import sftp_server
from freightsync.sandbox.config import Portal, SandboxConfig, SftpTarget
from freightsync.sandbox.server import Sandbox

SECRETS = {"tms": "s-tms", "bluw": "s-bluw", "driver": "s-driver"}
PASSWORDS = {
    **{"nrdf": "p-nrdf", "bluw": "p-bluw", "hnsa": "p-hnsa", "bank": "p-bank", "clearbill": "p-clear"},
    "pricing": "p-pricing",
}
OURS = "p-ours"


class InLoop:
    """Runs a coroutine function in a thread's event loop until stopped."""

    def __init__(self, start: Callable[[threading.Event], Any]) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._thread = threading.Thread(target=self._run, args=(start,), daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "it did not start"

    def _run(self, start: Callable[[threading.Event], Any]) -> None:
        async def main() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await start(self._ready)

        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            return
        finally:
            self._ready.set()

    def stop(self) -> None:
        if self._loop and self._task and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)
        assert not self._thread.is_alive()


@dataclass
class Partners:
    """The running sandbox: `call` speaks to a partner with its token."""

    config: SandboxConfig
    ports: dict[str, int]
    thread: InLoop
    client: httpx.Client

    def call(self, partner: str, method: str, path: str, *, key: str | None = None, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer t-{partner}"} | ({"Idempotency-Key": key} if key else {})
        return self.client.request(method, f"http://127.0.0.1:{self.ports[partner]}{path}", headers=headers, **given)

    def control(self, path: str, document: Any = None) -> Any:
        """Posts `document` to the control interface, or reads from it if there is none."""
        answer = self.call("erp", "GET" if document is None else "POST", f"/_sandbox/{path}", json=document)
        assert answer.is_success, answer.text
        return answer.json()

    def wait(self, condition: Callable[[], Any], seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.control("day")
            time.sleep(0.05)
        return found


@dataclass
class Receiver:
    """Where webhooks arrive. `answers` are the next statuses to give (then 202); calls with a bad signature get 401."""

    url: str = ""
    calls: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            partner = self.path.rsplit("/", 1)[-1]
            stamp = self.headers["X-Freightsync-Timestamp"]
            expected = hmac.new(SECRETS[partner].encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            given = self.headers.get("X-Freightsync-Signature", "")
            if abs(time.time() - int(stamp)) > 300 or given != f"v1={expected}":
                found.refused.append(partner)
                status = 401
            else:
                status = found.answers.pop(0) if found.answers else 202
                found.bodies.append(body)
                if status == 202:
                    found.calls.append((partner, json.loads(body), time.time()))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}/inbound"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Office:
    """The web applications that people have. `listed`: bills that wait for a person, from the second look on; the first
    upload is answered 503, and the first token is good for one call only."""

    portal: Portal = field(default_factory=Portal)
    uploads: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    said: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    listed: list[dict[str, str]] = field(default_factory=list)
    looks: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    logins: int = 0


@pytest.fixture
def office() -> Iterator[Office]:
    found = Office()
    people = {"finance": "p-finance", "steward": "p-steward"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def who(self) -> str:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            person = found.tokens.get(token, "")
            if token == "t1":
                found.tokens.pop("t1", None)
            return person

        def do_GET(self) -> None:
            found.looks += 1
            self.answer(200, found.listed if found.looks > 1 else []) if self.who() else self.answer(401, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            where = urlsplit(self.path)
            if where.path == "/auth/token":
                given = json.loads(body)
                if people.get(given["username"]) != given["password"]:
                    return self.answer(401, {})
                found.logins += 1
                token = f"t{found.logins}"
                found.tokens[token] = given["username"]
                return self.answer(201, {"access_token": token})
            person = self.who()
            if not person:
                return self.answer(401, {})
            if where.path == "/freightsync/invoices/upload":
                found.answered += 1
                if found.answered == 1:
                    return self.answer(503, {})
                found.uploads.append((person, dict(parse_qsl(where.query)), body))
                return self.answer(422 if b"see mail" in body else 202, {"document_id": 1})
            found.said.append((person, where.path.removeprefix("/freightsync/api/v1/"), json.loads(body)))
            return self.answer(201, {"proposal": 7})

        def answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.portal = Portal(url=f"http://127.0.0.1:{server.server_port}", people=people)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[tuple[SftpTarget, Path]]:
    """A running SFTP server, and the directory that its accounts' directories lie in."""
    root, key = tmp_path / "sftp", tmp_path / "host_key"
    public = sftp_server.ensure_host_key(key)
    users = {name: sftp_server.Account(password, name) for name, password in PASSWORDS.items()}
    users["freightsync"] = sftp_server.Account(OURS, "")
    port: list[int] = []

    async def start(ready: threading.Event) -> None:
        config = sftp_server.ServerConfig("127.0.0.1", 0, root, key, users)
        acceptor = await sftp_server.serve(config)
        port.append(acceptor.get_port())
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            acceptor.close()

    thread = InLoop(start)
    yield SftpTarget(port=port[0], host_key=public, users=PASSWORDS), root
    thread.stop()


def run_partners(config: SandboxConfig) -> Partners:
    ports: dict[str, int] = {}

    async def start(ready: threading.Event) -> None:
        sandbox = Sandbox(config)

        def listening(found: dict[str, int]) -> None:
            ports.update(found)
            ready.set()

        try:
            await sandbox.serve(listening)
        finally:
            sandbox.close()

    thread = InLoop(start)
    client = httpx.Client(timeout=10, trust_env=False)
    for _ in range(200):
        try:
            client.get(f"http://127.0.0.1:{ports['erp']}/_sandbox/health")
            break
        except httpx.ConnectError:
            time.sleep(0.02)
    return Partners(config, ports, thread, client)


@pytest.fixture
def start_partners(tmp_path: Path) -> Iterator[Callable[..., Partners]]:
    """Starts the partners with the given configuration; what runs at the end is stopped."""
    running: list[Partners] = []

    def start(**given: Any) -> Partners:
        tokens = {name: f"t-{name}" for name in ("erp", "tms", "wms", "bluw", "driver")}
        config = SandboxConfig(home=tmp_path / "books", tokens=tokens, webhook_secrets=SECRETS, **given)  # type: ignore[arg-type]
        running.append(run_partners(config))
        return running[-1]

    yield start
    for partners in running:
        partners.client.close()
        partners.thread.stop()


@pytest.fixture
def partners(start_partners: Callable[..., Partners]) -> Partners:
    return start_partners()
