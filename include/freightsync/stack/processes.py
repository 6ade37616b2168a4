"""Starting, recognising and ending processes.

A process is recognised by its id together with its start time, never by its name. Each child leads a session of its
own, is entered in a register before anything else happens, and what it forks stays in its session (Airflow gives each
task a process group of its own, and overwrites the environment that a marker could stand in): so everything of an
installation is found again, also when nobody is left who started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARKER = "STACK_OF_FREIGHTSYNC"
"""Environment variable that every process of a stack is started with; its value is the installation's home."""


@dataclass(frozen=True)
class Identity:
    """Which process, for good: a process id alone is used again by the system."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a live process; None for one that is gone or a zombie."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, process.create_time())
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        found = Identity.of(self.pid)
        return found is not None and abs(found.started - self.started) < 1.0


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own, its output appended to a log that is moved aside at 10 MB."""
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )


def rotate(log: Path, limit: int = 10_000_000, kept: int = 2) -> None:
    """Copies a log aside and empties it once it is larger than `limit` bytes. Writers have it open for appending and
    go on at its new end."""
    try:
        if log.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    for number in range(kept - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            log.with_name(f"{log.name}.{number}").replace(log.with_name(f"{log.name}.{number + 1}"))
    with log.open("rb") as source, log.with_name(f"{log.name}.1").open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    os.truncate(log, 0)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 200 * lines))
            return "\n".join(handle.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def register(path: Path, pid: int) -> None:
    """Enters a session leader that we started."""
    identity = Identity.of(pid)
    if identity is not None:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps([identity.pid, identity.started]) + "\n")


def registered(path: Path) -> list[Identity]:
    """Every session leader that was started since the register was cleared, living or not."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # cut off by a crash
                pid, started = json.loads(line)
                found.append(Identity(int(pid), float(started)))
    return found


def members(leaders: Iterable[Identity], home: Path | None = None) -> list[psutil.Process]:
    """Every live process in the sessions of these leaders, and those that still carry the marker of `home`, but for
    ourselves and who started us."""
    sessions = {leader.pid: leader for leader in leaders}
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            leader = sessions.get(os.getsid(process.pid))
            ours = leader is not None and _in_session_of(process, leader)
            if not ours and home is not None:
                ours = process.environ().get(MARKER) == str(home)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _in_session_of(process: psutil.Process, leader: Identity) -> bool:
    """Whether the session is that of this leader, and not of a later process with the same id."""
    if process.pid == leader.pid:
        return abs(process.create_time() - leader.started) < 1.0
    with contextlib.suppress(psutil.NoSuchProcess):
        if abs(psutil.Process(leader.pid).create_time() - leader.started) >= 1.0:
            return False
    return process.create_time() >= leader.started - 1.0


def everything_of(register_path: Path, home: Path, *, but: set[int]) -> list[psutil.Process]:
    """All that was started for a home and lives, but for the processes named."""
    return [process for process in members(registered(register_path), home) if process.pid not in but]


def kill_session(leader: Identity) -> None:
    """Kills a leader and all it forked, until nothing is left that could fork."""
    for _ in range(5):
        found = members([leader])
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _wait(found, 2)


def end(processes: Iterable[psutil.Process], grace: float) -> list[int]:
    """Asks processes to end and kills those that have not after `grace` seconds. Returns the ids of those that were
    ended. Zombies count as ended: who should reap them is not always there to do it."""
    known = list(processes)
    for process in known:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    for process in _wait(known, grace):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait(known, 5)
    return [process.pid for process in known]


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after so many seconds."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if not _over(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return alive


def _over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
