"""up, down, status, and a fresh day: the other end of the supervisor.

They start it, read the state that it writes and signal it. Each is safe to repeat, also after anything was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO
from urllib.parse import quote

import psutil

from freightsync.settings import Settings
from freightsync.stack import databases
from freightsync.stack.environment import base_environment
from freightsync.stack.home import Home, read_json
from freightsync.stack.processes import Identity, end, everything_of, spawn, tail
from freightsync.stack.supervisor import code_identity, empty, take_lock
from freightsync.warehouse.connection import connect

SUPERVISOR = (sys.executable, "-m", "freightsync.stack")
UP_SECONDS = 300.0
DOWN_SECONDS = 40.0

Progress = Callable[[dict[str, Any]], None]
"""Called with a step `{"title", "state": "running"|"done"|"failed", "seconds", "detail"?}` whenever one changes."""


class StackError(Exception):
    """The stack could not be started, stopped or refreshed; the message says why and where to look."""


@dataclass(frozen=True)
class ServiceStatus:
    name: str
    title: str
    state: str
    pid: int | None
    restarts: int
    memory_mib: float
    """Of the service and everything it forked: proportional set size where the system tells it, else resident."""


@dataclass(frozen=True)
class StackStatus:
    phase: str
    """stopped, starting, ready, stopping or failed"""
    error: str | None
    ready_seconds: float | None
    services: tuple[ServiceStatus, ...]

    @property
    def memory_mib(self) -> float:
        return sum(service.memory_mib for service in self.services)


def up(settings: Settings | None = None, *, fresh: bool = False, progress: Progress | None = None) -> Settings:
    """Starts the stack, or does nothing where it runs; returns the settings that reach it.

    `fresh`: with an empty warehouse, new books of the sandbox partners and empty SFTP directories, whatever there was
    before. Raises StackError.
    """
    settings = settings or Settings.load()
    home = Home.of(settings)
    try:
        home.make()
    except PermissionError as error:
        raise StackError(f"{error.filename} cannot be written by this user; give another FREIGHTSYNC_HOME") from None
    lock = _free_lock(home)
    if lock is None and read_json(home.state).get("code") != code_identity(home.project):
        with _shown(progress, "Stopping the stack: it runs older code"):
            down(settings)
        lock = take_lock(home)
    if lock is not None:
        # nobody is supervising: whatever the state file says is of the past
        home.state.unlink(missing_ok=True)
        lock.close()
        _start_supervisor(home, fresh=fresh)
        _follow(home, progress)
        return Settings.load(home=home.path, project=home.project)
    _follow(home, progress)
    settings = Settings.load(home=home.path, project=home.project)
    if fresh:
        reset_day(settings, progress=progress)
    else:
        free_full_dags(settings.dsn("airflow"))
    return settings


def down(settings: Settings | None = None) -> bool:
    """Stops everything that belongs to this home and waits for it; true if there was anything. Raises StackError."""
    settings = settings or Settings.load()
    home = Home.of(settings)
    if not home.run.is_dir():
        return False
    found = False
    deadline = time.monotonic() + DOWN_SECONDS
    while (lock := take_lock(home)) is None:
        found = True
        state = read_json(home.state)
        supervisor = Identity(state.get("pid", 0), state.get("started") or 0.0)
        if supervisor.pid and supervisor.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor.pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        if time.monotonic() > deadline + 10:
            raise StackError(
                f"the supervisor ({supervisor.pid}) does not end; its log is {home.log / 'supervisor.log'}"
            )
        time.sleep(0.1)
    with lock:
        cluster = databases.embedded(home)
        of_the_database = cluster.process_ids()
        left = everything_of(home.register, home.path, but=of_the_database)
        end(left, grace=3)
        if of_the_database:
            cluster.stop()
        home.register.unlink(missing_ok=True)
    return found or bool(left) or bool(of_the_database)


def destroy_database(settings: Settings) -> None:
    """Removes the embedded PostgreSQL with all it holds; as root it may lie outside the home."""
    databases.embedded(Home.of(settings)).destroy()


def status(settings: Settings | None = None) -> StackStatus:
    """What runs, with memory by service."""
    home = Home.of(settings or Settings.load())
    state = read_json(home.state)
    supervisor = Identity(state.get("pid") or 0, state.get("started") or 0.0)
    if not supervisor.pid or not supervisor.alive():
        phase = "failed" if state.get("phase") == "failed" else "stopped"
        return StackStatus(phase, state.get("error") if phase == "failed" else None, None, ())
    services = [ServiceStatus("supervisor", "Supervisor", "running", supervisor.pid, 0, _memory(supervisor.pid, False))]
    for name, service in state.get("services", {}).items():
        pid = service["pid"]
        alive = bool(pid) and Identity(pid, service["started"] or 0.0).alive()
        services.append(
            ServiceStatus(
                name,
                service["title"],
                service["state"] if alive else "restarting",
                pid if alive else None,
                service["restarts"],
                _memory(pid, True) if alive else 0.0,
            )
        )
    return StackStatus(state["phase"], state.get("error"), state.get("ready_seconds"), tuple(services))


def reset_day(settings: Settings, *, progress: Progress | None = None) -> None:
    """A fresh day in a running stack: DAGs paused and idle, then an empty warehouse, new partner books, empty SFTP
    directories, and DAGs as they were. Raises StackError."""
    if settings.admin_dsn is None:
        raise StackError("a fresh warehouse needs a database that can be made anew (FREIGHTSYNC_ADMIN_DSN)")
    home = Home.of(settings)
    admin = settings.admin_dsn.get_secret_value()
    with contextlib.ExitStack() as until_done:
        with _shown(progress, "Waiting for running tasks"):
            until_done.enter_context(Airflow(settings, home).paused())
        with _shown(progress, "A fresh warehouse, new partner books"):
            # partners first: an empty warehouse beside their old books looks like work, and wakes DAGs that are paused
            token = settings.partner("erp").token.get_secret_value()
            _call("POST", f"{settings.sandbox_url}/_sandbox/reset", {}, token)
            for account in home.sftp.iterdir():
                for directory in account.iterdir():
                    empty(directory)
            # a stack that was started on an older warehouse brought that up to date, and made no template
            databases.prepare_warehouse(settings, admin, fresh=True)


class Airflow:
    """The few calls to Airflow's REST API that a stack needs of itself."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self._url = settings.airflow_url
        self._metadata = settings.dsn("airflow")
        admin = read_json(home.secrets / "users.json")["admin"]
        answer = _call("POST", f"{self._url}/auth/token", {"username": "admin", "password": admin["password"]})
        self._token = str(answer["access_token"])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return _call(method, f"{self._url}/api/v2{path}", body, self._token)

    @contextlib.contextmanager
    def paused(self, timeout: float = 60.0) -> Iterator[None]:
        """All DAGs paused and no run going; those that were not paused go on afterwards."""
        found = self.call("GET", "/dags?limit=500&paused=false")["dags"]
        try:
            for dag in found:
                self._pause(dag["dag_id"], True)
            deadline = time.monotonic() + timeout
            busy = "/dags/~/dagRuns/~/taskInstances?state=running&state=queued&limit=1"
            while self.call("GET", busy)["total_entries"]:
                if time.monotonic() > deadline:
                    raise StackError(f"Airflow is still running tasks after {timeout:.0f} s: {self._url}")
                time.sleep(0.3)
            # a paused DAG's runs stand still: on the fresh day they would go on with a day that is gone
            for run in self.call("GET", "/dags/~/dagRuns?state=running&state=queued&limit=100")["dag_runs"]:
                path = f"/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}"
                self.call("PATCH", f"{path}?update_mask=state", {"state": "queued"})  # a running one is not deleted
                self.call("DELETE", path)
            yield
        finally:
            for dag in found:
                self._pause(dag["dag_id"], False)
            free_full_dags(self._metadata)

    def _pause(self, dag_id: str, paused: bool) -> None:
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": paused})


def free_full_dags(metadata: str) -> None:
    """Lets the scheduler make runs again for DAGs that it takes to be full and that have no run.

    Airflow keeps with a DAG whether it has as many runs as it may, and corrects that when a run ends or its file is
    parsed. Where the last run was deleted, or the scheduler was killed between the end of a run and the correction, no
    asset event starts the DAG before the next parse, five minutes later.
    """
    with connect(metadata, application_name="freightsync stack") as conn:
        there = conn.execute("select to_regclass('dag')").fetchone()
        if there is None or there[0] is None:
            return  # Airflow has not made its tables yet
        conn.execute(
            """
            update dag set exceeds_max_non_backfill = false
            where exceeds_max_non_backfill and not exists (
                select from dag_run where dag_run.dag_id = dag.dag_id and dag_run.state in ('running', 'queued')
            )
            """
        )


def _free_lock(home: Home, patience: float = 0.3) -> TextIO | None:
    """The supervisor's lock where nobody holds it. One that is just being killed holds it for a moment longer."""
    deadline = time.monotonic() + patience
    while (lock := take_lock(home)) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return lock


def _start_supervisor(home: Home, *, fresh: bool) -> None:
    process = spawn(
        (*SUPERVISOR, "supervise", *(["--fresh"] if fresh else [])),
        environment=base_environment(home),
        directory=home.project,
        log=home.log / "supervisor.log",
    )
    deadline = time.monotonic() + 20
    while not home.state.exists():
        ended = process.poll() is not None
        lock = take_lock(home) if ended else None  # held: another supervisor was a moment earlier
        if lock is not None:
            lock.close()
        if (lock is not None and not home.state.exists()) or time.monotonic() > deadline:
            raise StackError(f"the supervisor did not start:\n{tail(home.log / 'supervisor.log')}")
        time.sleep(0.02)


def _follow(home: Home, progress: Progress | None) -> None:
    """Reports the supervisor's steps until the stack is ready. Raises StackError where it fails or ends."""
    if read_json(home.state).get("phase") == "ready":
        progress = None  # that start is of the past
    shown: dict[str, str] = {}
    deadline = time.monotonic() + UP_SECONDS
    while True:
        state = read_json(home.state)
        for step in state.get("steps", []):
            now = json.dumps(step)
            if progress is not None and shown.get(step["title"]) != now:
                progress(step)
            shown[step["title"]] = now
        if state.get("phase") == "ready":
            if all(service["state"] == "running" for service in state["services"].values()):
                return
        elif state.get("phase") in ("failed", "stopped"):
            raise StackError(state.get("error") or "the stack was stopped while it started")
        if not Identity(state.get("pid") or 0, state.get("started") or 0.0).alive():
            raise StackError(f"the supervisor died:\n{tail(home.log / 'supervisor.log')}")
        if time.monotonic() > deadline:
            raise StackError(f"not ready after {UP_SECONDS:.0f} s; the logs are in {home.log}")
        time.sleep(0.1)


@contextlib.contextmanager
def _shown(progress: Progress | None, title: str) -> Iterator[None]:
    began = time.monotonic()
    step: dict[str, Any] = {"title": title, "state": "running", "seconds": None}
    if progress is not None:
        progress(dict(step))
    try:
        yield
    except BaseException:
        step["state"] = "failed"
        raise
    else:
        step["state"] = "done"
    finally:
        step["seconds"] = round(time.monotonic() - began, 1)
        if progress is not None:
            progress(step)


def _memory(pid: int, with_children: bool) -> float:
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *(process.children(recursive=True) if with_children else [])]:
            with contextlib.suppress(psutil.Error):
                try:
                    total += one.memory_full_info().pss
                except (AttributeError, psutil.AccessDenied):
                    total += one.memory_info().rss
    return total / (1 << 20)


def _call(method: str, url: str, body: dict[str, Any] | None = None, token: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
            found = json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise StackError(
            f"{method} {url} answered {error.code}: {error.read()[:500].decode('utf-8', 'replace')}"
        ) from None
    except OSError as error:
        raise StackError(f"{method} {url}: {error}") from None
    return dict(found) if isinstance(found, dict) else {}
