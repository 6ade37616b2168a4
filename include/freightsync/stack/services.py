"""What runs in a stack, and how each service is known to be ready."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from freightsync.settings import Settings
from freightsync.stack.home import Home


@dataclass(frozen=True)
class Service:
    """A process that is kept running. `ready` is asked with the moment (seconds since the epoch) of its start."""

    name: str
    title: str
    command: tuple[str, ...]
    ready: Callable[[float], bool]
    stop_seconds: float = 2.0
    needs_warehouse: bool = False


def partners(home: Home, settings: Settings) -> list[Service]:
    """The SFTP server and the sandbox partners; they need no database."""
    return [
        Service(
            "sftp",
            "SFTP server",
            (sys.executable, "-m", "freightsync.sandbox.sftp_server", "--config", str(home.run / "sftp.json")),
            lambda started: _says(settings.sftp.host, settings.sftp.port, b"SSH-2.0"),
        ),
        Service(
            "sandbox",
            "Sandbox partners",
            (sys.executable, "-m", "freightsync.sandbox", "serve", "--config", str(home.run / "sandbox.json")),
            lambda started: get(f"{settings.sandbox_url}/_sandbox/health") is not None,
        ),
    ]


def airflow(settings: Settings) -> list[Service]:
    """Airflow's four components, each on its own: what dies is started again without the others."""
    url = settings.airflow_url

    def beats(component: str) -> Callable[[float], bool]:
        def ready(started: float) -> bool:
            health = get(f"{url}/api/v2/monitor/health") or {}
            beat = (health.get(component) or {}).get(f"latest_{component}_heartbeat")
            # the heartbeat of the one before it still looks healthy for a while
            return beat is not None and datetime.fromisoformat(beat).timestamp() >= started

        return ready

    program = (sys.executable, "-m", "airflow")
    return [
        Service(
            "api-server",
            "Airflow API server and UI",
            (*program, "api-server"),
            lambda started: (
                (get(f"{url}/api/v2/monitor/health") or {}).get("metadatabase", {}).get("status") == "healthy"
            ),
        ),
        Service(
            "dag-processor",
            "Airflow DAG processor",
            (*program, "dag-processor"),
            beats("dag_processor"),
        ),
        Service(
            "scheduler",
            "Airflow scheduler",
            (*program, "scheduler", "--skip-serve-logs"),
            beats("scheduler"),
            stop_seconds=8.0,
            needs_warehouse=True,
        ),
        Service(
            "triggerer",
            "Airflow triggerer",
            (*program, "triggerer", "--skip-serve-logs"),
            beats("triggerer"),
            needs_warehouse=True,
        ),
    ]


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> dict[str, Any] | None:
    """A JSON object from a loopback address, never through a proxy; None where nobody answers well."""
    try:
        with _direct.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=timeout) as answer:
            body = answer.read()
    except (OSError, urllib.error.URLError):
        return None
    try:
        found = json.loads(body or b"{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _says(host: str, port: int, greeting: bytes) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.settimeout(2)
            return connection.recv(len(greeting)) == greeting
    except OSError:
        return False
