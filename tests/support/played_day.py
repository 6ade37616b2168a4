"""A whole day against a real stack of its own: the demo command as anybody types it, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freightsync.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PlayedDay:
    """What the demo left: exit code, what it printed, summary and truth; the stack still runs in `home`."""

    home: Path
    code: int
    output: str

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "demo" / "summary.json").read_text(encoding="utf-8"))
        return found

    @property
    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "demo" / "truth.json").read_text(encoding="utf-8"))
        return found

    @property
    def settings(self) -> Settings:
        return Settings.load(home=self.home)


def environment(home: Path, **more: str) -> dict[str, str]:
    """A new process's environment: this home, nothing of the test's own Airflow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "FREIGHTSYNC_"))}
    return {**kept, "FREIGHTSYNC_HOME": str(home), "NO_COLOR": "1", **more}


def start_demo(
    home: Path,
    *,
    seed: int,
    orders: int,
    seconds: float | None = None,
    patience: float = 300,
    more: Mapping[str, str] | None = None,
    project: Path = PROJECT,
) -> subprocess.Popen[str]:
    """The demo as a process; its output is a pipe. Without `seconds` the day takes as long as for anybody."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "freightsync.cli",
            "demo",
            f"--seed={seed}",
            f"--orders={orders}",
            f"--patience={patience}",
            *([] if seconds is None else [f"--seconds={seconds}"]),
        ],
        cwd=project,
        env=environment(home, **(more or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def play(home: Path, *, timeout: float = 560, **given: Any) -> PlayedDay:
    process = start_demo(home, **given)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        output += f"\n(killed by the test after {timeout:.0f} s)"
    return PlayedDay(home=home, code=process.returncode, output=output)


def command(home: Path, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Any command of freightsync in that home."""
    return subprocess.run(
        [sys.executable, "-m", "freightsync.cli", *words],
        cwd=PROJECT,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
