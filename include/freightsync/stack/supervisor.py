"""The daemon of a stack: starts everything in order and in parallel where it can, starts again what dies, stops all.

It holds `run/supervisor.lock` for as long as it lives and writes `run/state.json` at every change; `up`, `down` and
`status` read that file and send nothing but signals. Whatever a predecessor left running (it may have been killed with
`kill -9`) is ended first.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil
import psycopg

from freightsync.settings import Settings, SettingsError
from freightsync.stack import databases, services
from freightsync.stack.environment import airflow_environment, base_environment
from freightsync.stack.home import Home, Keys, read_json, write_private
from freightsync.stack.processes import Identity, end, everything_of, kill_session, register, rotate, spawn, tail
from freightsync.warehouse.embedded import EmbeddedPostgres, EmbeddedPostgresError

log = logging.getLogger("freightsync.stack")

POLL_SECONDS = 0.25
BOOT_SECONDS = 240.0
STABLE_SECONDS = 60.0
"""A service that ran this long has its backoff forgotten."""
MOST_DEATHS_AT_BOOT = 4


class BootError(Exception):
    """The stack cannot start; the message says which part and shows the end of its log."""


class Stopped(Exception):
    """Somebody asked to stop while the stack was starting."""


@dataclass
class Running:
    """A service and its present process."""

    service: services.Service
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    restarts: int = 0
    again_at: float = 0.0
    state: str = "waiting"

    def as_json(self) -> dict[str, Any]:
        identity = Identity.of(self.process.pid) if self.process else None
        return {
            "title": self.service.title,
            "state": self.state,
            "pid": self.process.pid if self.process else None,
            "started": identity.started if identity else None,
            "restarts": self.restarts,
        }


@dataclass
class Supervisor:
    home: Home
    given: Settings
    fresh: bool
    stopping: threading.Event = field(default_factory=threading.Event)
    phase: str = "starting"
    error: str | None = None
    failure: BootError | None = None
    """Why one part cannot start: the others then need not go on."""
    steps: list[dict[str, Any]] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)
    leaders: dict[int, Identity | None] = field(default_factory=dict)
    postgres: EmbeddedPostgres | None = None
    postgres_process: subprocess.Popen[bytes] | None = None
    postgres_restarts: int = 0
    began: float = field(default_factory=time.time)
    code: str = ""
    ready_seconds: float | None = None
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    # -- life -------------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Boots, watches until asked to stop, stops. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        become_reaper()
        try:
            self.end_leftovers()
            self.boot()
            self.phase = "ready"
            self.ready_seconds = round(time.time() - self.began, 1)
            self.write_state()
            log.info("ready after %s s", self.ready_seconds)
            self.watch()
        except Stopped:
            log.info("asked to stop while starting")
        except (BootError, EmbeddedPostgresError, SettingsError, psycopg.Error, OSError) as error:
            self.error = str(error)
            log.error("cannot start: %s", error)
        finally:
            failed = self.error is not None
            self.phase = "stopping"
            self.write_state()
            self.stop()
            self.phase = "failed" if failed else "stopped"
            self.write_state()
        return 1 if self.error else 0

    def end_leftovers(self) -> None:
        """Ends what a predecessor left; the database by its own shutdown, so that it need not recover."""
        cluster = databases.embedded(self.home)
        of_the_database = cluster.process_ids()
        left = everything_of(self.home.register, self.home.path, but=of_the_database)
        if left:
            log.info("ending %d processes left by a stack before this one", len(left))
            end(left, grace=3)
        if of_the_database:
            cluster.stop()
        self.home.register.unlink(missing_ok=True)

    # -- boot -------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        keys = self.home.keys()
        ports = self.home.ports()
        self.home.write_sandbox_config(keys, ports)
        self.home.write_sftp_config(keys, ports)
        if self.fresh:
            empty(self.home.sandbox)
            empty(self.home.sftp)
        # addresses and secrets first: the partners need no database
        self.home.write_settings(keys, ports, self.known_databases())
        settings = Settings.load(home=self.home.path, project=self.home.project)
        with ThreadPoolExecutor(max_workers=8) as pool:
            try:
                partners = [
                    pool.submit(self.start_and_wait, Running(service, base_environment(self.home)))
                    for service in services.partners(self.home, settings)
                ]
                found = self.start_databases(keys, ports)
                settings = Settings.load(home=self.home.path, project=self.home.project)
                environment = airflow_environment(settings, self.home, keys, ports)
                warehouse = pool.submit(self.prepare_warehouse, settings, found)
                self.prepare_airflow(environment, keys)
                components = [Running(service, environment) for service in services.airflow(settings)]
                early = [running for running in components if not running.service.needs_warehouse]
                late = [running for running in components if running.service.needs_warehouse]
                waiting: list[Future[None]] = [pool.submit(self.start_and_wait, running) for running in early]
                warehouse.result()
                waiting += [pool.submit(self.start_and_wait, running) for running in late]
                for future in (*partners, *waiting):
                    future.result()
                self.wait_for_dags(settings)
                threading.Thread(target=self.warm_up, args=(settings,), daemon=True).start()
            except BaseException:
                self.stopping.set()  # the threads that still wait give up
                raise

    def known_databases(self) -> dict[str, str]:
        kept = read_json(self.home.secrets / "settings.json")
        return {name: kept[name] for name in (*databases.URLS, "admin_dsn") if name in kept}

    def start_databases(self, keys: Keys, ports: dict[str, int]) -> databases.Databases:
        if not databases.external(self.given):
            with self.step("PostgreSQL"):
                self.postgres = databases.embedded(self.home)
                self.postgres_process = self.postgres.start()
        with self.step("Databases and roles"):
            found = databases.connect_server(self.given, self.home, keys)
            admin = {"admin_dsn": found.admin} if found.admin else {}
            self.home.write_settings(keys, ports, {**found.urls, **admin})
        return found

    def prepare_warehouse(self, settings: Settings, found: databases.Databases) -> None:
        with self.step("Warehouse"):
            if databases.warehouse_is_ready(found.admin, self.home.project, fresh=self.fresh):
                return
            arguments = ["prepare-warehouse", *(["--fresh"] if self.fresh else [])]
            self.run_to_end("warehouse", (sys.executable, "-m", "freightsync.stack", *arguments))

    def prepare_airflow(self, environment: dict[str, str], keys: Keys) -> None:
        """Schema, roles, users and pools; left out where nothing of it changed since the last time."""
        with self.step("Airflow database, roles and users"):
            script = self.home.project / "plugins" / "freightsync_airflow" / "bootstrap.py"
            stamp = self.home.run / "bootstrap.json"
            url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
            wanted = bootstrap_fingerprint(script.parent, keys)
            if read_json(stamp).get("done") == [wanted, metadata_identity(url)]:
                return
            users = self.home.secrets / "users.json"
            self.run_to_end(
                "airflow-bootstrap", (sys.executable, str(script), "--users", str(users)), environment=environment
            )
            write_private(stamp, json.dumps({"done": [wanted, metadata_identity(url)]}))

    def wait_for_dags(self, settings: Settings) -> None:
        """Until every file in dags/ was read; one that cannot be imported is shown, not waited for."""
        files = {path.name for path in (self.home.project / "dags").glob("*.py") if not path.name.startswith("_")}
        if not files:
            return
        with self.step("DAGs") as step, psycopg.connect(settings.dsn("airflow"), autocommit=True) as connection:
            while True:
                self.check_boot()
                seen = {row[0] for row in connection.execute("SELECT relative_fileloc FROM dag WHERE NOT is_stale")}
                broken = {row[0] for row in connection.execute("SELECT filename FROM import_error")}
                if files <= seen | {Path(name).name for name in broken}:
                    break
                self.stopping.wait(POLL_SECONDS)
            if broken:
                step["detail"] = f"cannot be imported: {', '.join(sorted(broken))}"

    def warm_up(self, settings: Settings) -> None:
        """The first requests build what later ones use; nobody need wait for it."""
        for path in ("/api/v2/version", "/execution/health", "/auth/login/"):
            services.get(settings.airflow_url + path)

    # -- steps ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[dict[str, Any]]:
        """A line in the progress display, with its state and seconds."""
        self.check_boot()
        began = time.monotonic()
        entry: dict[str, Any] = {"title": title, "state": "running", "seconds": None}
        with self._mutex:
            self.steps.append(entry)
        self.write_state()
        try:
            yield entry
        except BaseException:
            entry["state"] = "failed"
            raise
        else:
            entry["state"] = "done"
        finally:
            entry["seconds"] = round(time.monotonic() - began, 1)
            self.write_state()

    def check_boot(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.stopping.is_set():
            raise Stopped
        if time.time() - self.began > BOOT_SECONDS:
            raise BootError(f"not ready after {BOOT_SECONDS:.0f} s; the logs are in {self.home.log}")

    def run_to_end(self, name: str, command: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
        path = self.home.log / f"{name}.log"
        process = self.spawn(command, environment or base_environment(self.home), path)
        while process.poll() is None:
            try:
                self.check_boot()
            except (Stopped, BootError):
                self.kill(process)
                raise
            time.sleep(0.05)
        if process.returncode:
            raise BootError(f"{name} failed ({process.returncode}). The end of {path}:\n{tail(path)}")

    def start_and_wait(self, running: Running) -> None:
        with self._mutex:
            self.running[running.service.name] = running
        with self.step(running.service.title) as step:
            self.start(running)
            while not running.service.ready(running.started):
                self.check_boot()
                if running.process is not None and running.process.poll() is not None:
                    running.deaths += 1
                    if running.deaths >= MOST_DEATHS_AT_BOOT:
                        path = self.log_of(running)
                        self.failure = BootError(
                            f"{running.service.title} ended {running.deaths} times. The end of {path}:\n{tail(path)}"
                        )
                        raise self.failure
                    step["detail"] = f"started again ({running.deaths})"
                    self.kill(running.process)
                    self.stopping.wait(0.5 * running.deaths)
                    self.start(running)
                self.stopping.wait(0.1)
            running.state = "running"

    def start(self, running: Running) -> None:
        running.started = time.time()
        running.process = self.spawn(running.service.command, running.environment, self.log_of(running))
        running.state = "starting"
        log.info("%s started as %s", running.service.name, running.process.pid)
        self.write_state()

    def spawn(self, command: tuple[str, ...], environment: dict[str, str], path: Path) -> subprocess.Popen[bytes]:
        process = spawn(command, environment=environment, directory=self.home.project, log=path)
        register(self.home.register, process.pid)
        with self._mutex:
            self.leaders[process.pid] = Identity.of(process.pid)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Ends a child's whole session, the child itself dead or alive."""
        with self._mutex:
            leader = self.leaders.pop(process.pid, None)
        if leader is not None:
            kill_session(leader)
        elif process.poll() is None:
            process.kill()
        process.wait()

    def log_of(self, running: Running) -> Path:
        return self.home.log / f"{running.service.name}.log"

    # -- watching ---------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Starts again whatever ends, later each time it ends soon."""
        rotated = time.monotonic()
        while not self.stopping.wait(POLL_SECONDS):
            self.watch_postgres()
            for running in list(self.running.values()):
                self.watch_one(running)
            if time.monotonic() - rotated > 60:
                rotated = time.monotonic()
                self.reap()
                for path in self.home.log.glob("*.log"):
                    rotate(path)

    def watch_one(self, running: Running) -> None:
        now = time.time()
        process = running.process
        if process is not None and process.poll() is not None:
            log.warning("%s ended with %s", running.service.name, process.returncode)
            # what it had forked must not work on beside its successor
            self.kill(process)
            running.deaths = 1 if now - running.started > STABLE_SECONDS else running.deaths + 1
            running.again_at = now + min(30.0, 0.25 * 2 ** min(running.deaths, 8))
            running.process = None
            running.state = "restarting"
            self.write_state()
        if running.process is None and now >= running.again_at:
            running.restarts += 1
            self.start(running)
        elif running.state == "starting" and running.service.ready(running.started):
            running.state = "running"
            self.write_state()

    def watch_postgres(self) -> None:
        if self.postgres is None or self.postgres_process is None or self.postgres_process.poll() is None:
            return
        log.warning("PostgreSQL ended with %s", self.postgres_process.returncode)
        try:
            self.postgres_process = self.postgres.start()
        except EmbeddedPostgresError as error:
            log.error("%s", error)
            self.stopping.wait(2)
            return
        self.postgres_restarts += 1
        log.info("PostgreSQL is back")
        self.write_state()

    def reap(self) -> None:
        """Collects adopted orphans that ended; our own children are collected where they are watched."""
        own = {running.process.pid for running in self.running.values() if running.process}
        if self.postgres_process:
            own.add(self.postgres_process.pid)
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, os.WNOHANG)

    # -- end --------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Airflow first, the database last; whoever does not end in time is killed, with all it forked."""
        order = ["scheduler", "triggerer", "dag-processor", "api-server", "sandbox", "sftp"]
        live = [self.running[name] for name in order if name in self.running and self.running[name].process]
        for running in live:
            assert running.process is not None
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        waiting = list(live)
        while waiting:
            time.sleep(0.05)
            for running in list(waiting):
                assert running.process is not None
                late = time.monotonic() - asked > running.service.stop_seconds
                if late or running.process.poll() is not None:
                    waiting.remove(running)
                    self.kill(running.process)  # also what it forked and left
                    running.state = "stopped"
        cluster = self.postgres
        of_the_database = cluster.process_ids() if cluster else set()
        end(everything_of(self.home.register, self.home.path, but=of_the_database), grace=1)
        if cluster is not None:
            cluster.stop()
        self.home.register.unlink(missing_ok=True)

    def write_state(self) -> None:
        with self._mutex:
            me = Identity.of(os.getpid())
            found: dict[str, Any] = {
                "pid": os.getpid(),
                "started": me.started if me else None,
                "began": self.began,
                "code": self.code,
                "phase": self.phase,
                "error": self.error,
                "ready_seconds": self.ready_seconds,
                "steps": self.steps,
                "services": {name: running.as_json() for name, running in self.running.items()},
            }
            if self.postgres is not None:
                pid = self.postgres_process.pid if self.postgres_process else None
                identity = Identity.of(pid) if pid else None
                found["services"] = {
                    "postgresql": {
                        "title": "PostgreSQL",
                        "state": "running" if identity else "stopped",
                        "pid": pid,
                        "started": identity.started if identity else None,
                        "restarts": self.postgres_restarts,
                    },
                    **found["services"],
                }
            write_private(self.home.state, json.dumps(found))


def empty(directory: Path) -> None:
    """Removes what a directory holds."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def code_identity(project: Path) -> str:
    """Of the code that the processes of a stack load once, at their start (DAG files are read again by Airflow)."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for root in (package, project / "plugins"):
        for path in sorted(root.rglob("*")):
            if path.suffix in {".py", ".json", ".yaml"}:
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def bootstrap_fingerprint(directory: Path, keys: Keys) -> str:
    digest = hashlib.sha256(json.dumps(dict(keys.users), sort_keys=True).encode())
    for name in ("bootstrap.py", "roles.json", "pools.json"):
        digest.update((directory / name).read_bytes())
    for distribution in ("apache-airflow-core", "apache-airflow-providers-fab"):
        digest.update(importlib.metadata.version(distribution).encode())
    return digest.hexdigest()


def metadata_identity(url: str) -> str:
    """Which database on which cluster: a stamp about another one says nothing."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT oid, (SELECT system_identifier FROM pg_control_system()) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
    return repr(row)


def become_reaper() -> None:
    """On Linux, adopt orphans of our children, so that they are reaped also where process 1 does not do it."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def take_lock(home: Home) -> TextIO | None:
    """The supervisor's lock, or None where another supervisor of this home lives."""
    handle = home.lock.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def main(supervisor: type[Supervisor] = Supervisor) -> None:
    parser = argparse.ArgumentParser(prog="freightsync.stack", description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=["supervise", "prepare-warehouse"])
    parser.add_argument("--fresh", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    if given.what == "prepare-warehouse":
        settings = Settings.load()
        admin = settings.admin_dsn.get_secret_value() if settings.admin_dsn else None
        databases.prepare_warehouse(settings, admin, fresh=given.fresh)
        return
    wanted = Settings.given()
    home = Home.of(wanted)
    home.make()
    lock = take_lock(home)
    if lock is None:
        log.info("another supervisor of %s is running", home.path)
        return
    with lock:
        sys.exit(supervisor(home, wanted, fresh=given.fresh, code=code_identity(home.project)).run())
