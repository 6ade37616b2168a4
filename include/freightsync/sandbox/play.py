"""Plays a day with the running partners: loads a scenario, starts its clock, follows it to the end.

The partners do everything by themselves (`day`); this process only says when to begin, shows progress as JSON lines on
its output, and tells by its exit code how it went. Killing it does not stop the day; starting it again follows on.

Exit codes: 0 every action happened and nothing waits to be sent; 3 nothing moved for `patience` seconds (the last line
says what the day waits for); 4 the partners could not be reached.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from freightsync.sandbox.config import SandboxConfig

DONE, STUCK, UNREACHABLE = 0, 3, 4


def play(
    config: SandboxConfig,
    scenario: Path,
    *,
    seconds: float = 50,
    patience: float = 180,
    show: Callable[[str], Any] = print,
    pause: float = 1.0,
) -> int:
    """Plays `scenario` (a scenario.json) in about this many seconds; slower where our side is slow."""
    headers = {"Authorization": f"Bearer {config.tokens.get('erp', '')}"}
    base = f"http://127.0.0.1:{config.ports['erp']}/_sandbox"
    with httpx.Client(base_url=base, headers=headers, timeout=60, trust_env=False) as client:
        try:
            return _follow(client, scenario.resolve(), seconds, patience, show, pause)
        except httpx.TransportError as error:
            show(json.dumps({"state": "unreachable", "problem": f"{base}: {error}"}))
            return UNREACHABLE


def _follow(
    client: httpx.Client, scenario: Path, seconds: float, patience: float, show: Callable[[str], Any], pause: float
) -> int:
    day = client.get("/day").raise_for_status().json()
    if day["state"] == "empty":
        client.post("/scenario", json={"path": str(scenario)}).raise_for_status()
    client.post("/start", json={"seconds": seconds}).raise_for_status()
    last, moved_at = -1, time.monotonic()
    while True:
        day = client.get("/day").raise_for_status().json()
        show(json.dumps(day))
        if day["quiet"]:
            return DONE
        if day["done"] != last:
            last, moved_at = day["done"], time.monotonic()
        elif time.monotonic() - moved_at > patience:
            show(json.dumps({**day, "state": "stuck"}))
            return STUCK
        time.sleep(pause)
