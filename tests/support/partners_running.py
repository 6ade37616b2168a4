"""The sandbox's partners, running for real in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from freightsync.sandbox.config import SandboxConfig
from freightsync.sandbox.server import Sandbox

NAMES = ("erp", "tms", "wms", "bluw", "driver")


class Partners:
    """`call` speaks to the ERP with its token."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self.client = httpx.Client(timeout=20, trust_env=False)

    def settings(self) -> dict[str, dict[str, str]]:
        return {name: {"base_url": f"http://127.0.0.1:{self.ports[name]}", "token": f"t-{name}"} for name in NAMES}

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"Authorization": "Bearer t-erp", **given.pop("headers", {})}
        return self.client.request(method, f"http://127.0.0.1:{self.ports['erp']}{path}", headers=headers, **given)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.call("GET", f"/api/v1/{path}", params=params)
        assert answer.is_success, answer.text
        return answer.json()

    def control(self, path: str, **document: Any) -> Any:
        answer = self.call("POST", f"/_sandbox/{path}", json=document)
        assert answer.is_success, answer.text
        return answer.json()


@contextmanager
def running(home: Path) -> Iterator[Partners]:
    config = SandboxConfig(home=home, tokens={name: f"t-{name}" for name in NAMES}, webhook_secrets={})
    ready, ports = threading.Event(), dict[str, int]()
    place: dict[str, Any] = {}

    async def serve() -> None:
        place["loop"], place["task"] = asyncio.get_running_loop(), asyncio.current_task()
        sandbox = Sandbox(config)

        def listening(found: dict[str, int]) -> None:
            ports.update(found)
            ready.set()

        try:
            await sandbox.serve(listening)
        finally:
            sandbox.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except asyncio.CancelledError:
            return
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    partners = Partners(ports)
    try:
        yield partners
    finally:
        partners.client.close()
        place["loop"].call_soon_threadsafe(place["task"].cancel)
        thread.join(20)
