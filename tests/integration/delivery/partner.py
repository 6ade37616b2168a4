"""A partner on loopback that misbehaves on demand, and a sender that speaks to it as the real ones do."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from freightsync.delivery import OnceBy, OutboxMessage, Outcome, Pace
from freightsync.domain.errors import PartnerRefused, PartnerUnavailable, UnknownOutcome


class Partner:
    """Keeps what it committed in order. `faults`: one is taken for each POST: ("status", code, headers), ("drop",)
    closes without a commit, ("commit_then_drop",) after it, ("slow", seconds)."""

    def __init__(self, *, honours_key: bool = True) -> None:
        self.honours_key = honours_key
        self.committed: list[dict[str, Any]] = []
        self.posts: list[tuple[float, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.same_key_at_once = False
        self.faults: deque[tuple[Any, ...]] = deque()
        self.refuse_states: set[str] = set()
        self._flying: set[str] = set()
        self._lock = threading.Lock()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Idempotency-Key"]
                with partner._lock:
                    partner.posts.append((time.monotonic(), key))
                    partner.same_key_at_once |= key in partner._flying
                    partner._flying.add(key)
                    partner.at_once += 1
                    partner.most_at_once = max(partner.most_at_once, partner.at_once)
                    fault = partner.faults.popleft() if partner.faults else ("none",)
                try:
                    self.answer(body, key, fault)
                finally:
                    with partner._lock:
                        partner._flying.discard(key)
                        partner.at_once -= 1

            def answer(self, body: Any, key: str, fault: tuple[Any, ...]) -> None:
                if fault[0] == "status":
                    return self.reply(fault[1], {"detail": "not now"}, fault[2] if len(fault) > 2 else {})
                if fault[0] == "drop":
                    return self.drop()
                if fault[0] == "slow":
                    time.sleep(fault[1])
                items = body if isinstance(body, list) else [body]
                if any(item["payload"].get("state") in partner.refuse_states for item in items):
                    return self.reply(422, {"detail": "no such state here"}, {})
                for item in items:
                    partner.commit(item)
                if fault[0] == "commit_then_drop":
                    return self.drop()
                self.reply(201, {"numbers": [partner.number(item["key"]) for item in items]}, {})

            def do_GET(self) -> None:
                key = self.path.rsplit("=", 1)[1]
                self.reply(200, {"numbers": [partner.number(key)] if partner.holds(key) else []}, {})

            def drop(self) -> None:
                self.close_connection = True
                self.connection.close()

            def reply(self, code: int, body: Any, headers: Mapping[str, str]) -> None:
                content = json.dumps(body).encode()
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def commit(self, item: dict[str, Any]) -> None:
        with self._lock:
            if not (self.honours_key and any(each["key"] == item["key"] for each in self.committed)):
                self.committed.append(item)

    def holds(self, key: str) -> bool:
        return any(each["key"] == key for each in self.committed)

    def number(self, key: str) -> str:
        return f"N{[each['key'] for each in self.committed].index(key) + 1}"

    def committed_keys(self) -> list[str]:
        return [item["key"] for item in self.committed]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class HttpSender:
    """Maps a partner's answers to outcomes and typed errors, as a system's client does."""

    def __init__(self, url: str, operations: Mapping[str, OnceBy], pace: Pace | None = None) -> None:
        self.operations = operations
        self.pace = pace or Pace(per_second=10_000, burst=100)
        self.client = httpx.Client(base_url=url, timeout=5, limits=httpx.Limits(max_keepalive_connections=0))

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        items = [{"key": message.key, "payload": message.payload} for message in batch]
        key = batch[0].key if len(batch) == 1 else "batch-" + batch[0].key
        try:
            answer = self.client.post("/documents", json=items, headers={"Idempotency-Key": key})
        except httpx.ConnectError as error:
            raise PartnerUnavailable(f"can't be reached: {error}") from error
        except httpx.TransportError as error:
            raise UnknownOutcome(f"no answer: {error}") from error
        if answer.status_code in (429, 503):
            after = answer.headers.get("Retry-After")
            raise PartnerUnavailable(f"status {answer.status_code}", retry_after=float(after) if after else None)
        if answer.status_code >= 400:
            raise PartnerRefused(answer.json()["detail"])
        return [
            Outcome.accepted(message, number) for message, number in zip(batch, answer.json()["numbers"], strict=True)
        ]

    def look_up(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        found = []
        for message in batch:
            numbers = self.client.get(f"/documents?reference={message.key}").json()["numbers"]
            found.append(Outcome.accepted(message, numbers[0]) if numbers else Outcome.absent(message))
        return found
