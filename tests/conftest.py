"""Fixtures that every test may use: a real PostgreSQL, a migrated warehouse, settings that touch nothing of the user's.

One embedded cluster serves the whole run, all pytest-xdist workers included: the first test that asks starts it, the
controlling process stops it. `FREIGHTSYNC_TEST_DATABASE=postgresql://…` (an admin URL) uses another server instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from played_day import PlayedDay, play

from freightsync.settings import Settings
from freightsync.warehouse import provision
from freightsync.warehouse.embedded import (
    FAST_AND_LOOSE,
    EmbeddedPostgres,
    create_database,
    drop_database,
    replace_database,
)

REPOSITORY = Path(__file__).resolve().parents[1]
CLUSTER = "PYTEST_FREIGHTSYNC_CLUSTER"
PREFIX = "freightsync-pytest-"
MEMORY = Path("/dev/shm")
GIB = 1 << 30
TEMPLATE = "warehouse_template"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    _sweep_abandoned()
    # not pytest's own temporary directory: as root the server's user could not enter it
    base = Path(tempfile.mkdtemp(prefix=PREFIX))
    base.chmod(0o711)
    me = psutil.Process()
    (base / "owner.json").write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
    os.environ[CLUSTER] = str(base)
    for name in list(os.environ):
        if name.startswith("FREIGHTSYNC_") and not name.startswith("FREIGHTSYNC_TEST_"):
            del os.environ[name]
    os.environ["FREIGHTSYNC_HOME"] = str(base / "home")
    os.environ["AIRFLOW_HOME"] = str(base / "airflow")
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    config.stash[_BASE] = base


_BASE = pytest.StashKey[Path]()


def pytest_unconfigure(config: pytest.Config) -> None:
    base = config.stash.get(_BASE, None)
    if base is not None:
        _remove(base)


def _cluster(base: Path) -> Path:
    """Where the server's files are. Nearly each test has a database of its own, of 1,400 files: a disk's file system
    may take a second for them where others were deleted just before, memory takes a tenth."""
    in_memory = MEMORY / base.name
    if in_memory.exists() or (base / "postgresql").exists():
        return in_memory if in_memory.exists() else base / "postgresql"
    roomy = (
        MEMORY.is_dir()
        and os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free > 4 * GIB
        and psutil.virtual_memory().available > 8 * GIB
    )
    return in_memory if roomy else base / "postgresql"


def _remove(base: Path) -> None:
    for home in base.glob("stack-*"):
        from freightsync import stack

        stack.down(Settings.load(home=home))
        stack.destroy_database(Settings.load(home=home))
    cluster = _cluster(base)
    if cluster.exists():
        EmbeddedPostgres(cluster).destroy()
    shutil.rmtree(base, ignore_errors=True)


def _sweep_abandoned() -> None:
    """Ends the clusters of test runs that were killed before they could."""
    for base in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            owner = json.loads((base / "owner.json").read_text())
            try:
                alive = abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1
            except psutil.NoSuchProcess:
                alive = False
            if not alive:
                _remove(base)


@contextlib.contextmanager
def _once_per_run(name: str) -> Iterator[Path]:
    """A lock over all workers of this run, and the file in which the first one leaves what it made."""
    base = Path(os.environ[CLUSTER])
    with (base / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield base / f"{name}.json"


@dataclass(frozen=True)
class Server:
    """The PostgreSQL of this test run."""

    admin_dsn: str
    passwords: dict[str, str]

    def dsn(self, role: str, database: str) -> str:
        return provision.role_dsn(self.admin_dsn, role, self.passwords[role], database)


@dataclass(frozen=True)
class Warehouse:
    """A migrated warehouse of one test, and its URLs by role."""

    name: str
    admin: str
    owner: str
    app: str
    dbt: str
    report: str

    def settings(self, **given: object) -> Settings:
        return Settings.load(owner_dsn=self.owner, app_dsn=self.app, dbt_dsn=self.dbt, report_dsn=self.report, **given)


@pytest.fixture(scope="session")
def postgres_server() -> Server:
    """A real PostgreSQL 18 with the project's roles. Everything in it belongs to this test run."""
    with _once_per_run("server") as made:
        if not made.exists():
            passwords = {role: secrets.token_urlsafe(12) for role in provision.ROLES}
            admin_dsn = os.environ.get("FREIGHTSYNC_TEST_DATABASE")
            if not admin_dsn:
                cluster = EmbeddedPostgres(_cluster(made.parent), parameters=FAST_AND_LOOSE)
                cluster.start()
                admin_dsn = cluster.dsn()
            provision.ensure_roles(admin_dsn, passwords)
            made.write_text(json.dumps({"admin_dsn": admin_dsn, "passwords": passwords}))
        return Server(**json.loads(made.read_text()))


@pytest.fixture
def fresh_database(postgres_server: Server) -> Iterator[str]:
    """The admin URL of a new, empty database; dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield create_database(postgres_server.admin_dsn, name)
    drop_database(postgres_server.admin_dsn, name)


@pytest.fixture(scope="session")
def warehouse_template(postgres_server: Server) -> str:
    """The name of a migrated warehouse that others are copied from. Don't connect to it."""
    from freightsync.warehouse import migrate

    with _once_per_run("template") as made:
        if not made.exists():
            drop_database(postgres_server.admin_dsn, TEMPLATE)
            provision.ensure_warehouse(postgres_server.admin_dsn, TEMPLATE)
            migrate.upgrade(postgres_server.dsn("freightsync_owner", TEMPLATE))
            made.write_text("{}")
    return TEMPLATE


def new_warehouse(server: Server, template: str) -> Warehouse:
    """A copy of the template with its grants (a copied database keeps its schemas' grants, not its own)."""
    name = f"warehouse_{uuid.uuid4().hex[:12]}"
    create_database(server.admin_dsn, name, owner="freightsync_owner", template=template)
    provision.grant_warehouse(server.admin_dsn, name)
    urls = {role.removeprefix("freightsync_"): server.dsn(role, name) for role in provision.WAREHOUSE_ROLES}
    return Warehouse(name=name, admin=replace_database(server.admin_dsn, name), **urls)


@pytest.fixture
def warehouse(postgres_server: Server, warehouse_template: str) -> Iterator[Warehouse]:
    """A migrated warehouse of this test's own, with one URL for each role; dropped after the test."""
    made = new_warehouse(postgres_server, warehouse_template)
    yield made
    drop_database(postgres_server.admin_dsn, made.name)


@pytest.fixture(scope="module")
def module_warehouse(postgres_server: Server, warehouse_template: str) -> Iterator[Warehouse]:
    """Like `warehouse`, shared by the tests of one module."""
    made = new_warehouse(postgres_server, warehouse_template)
    yield made
    drop_database(postgres_server.admin_dsn, made.name)


def mandatory(what: str) -> bool:
    """Whether this run insists on an optional part (`browser`, `samples`, …): CI does, a person's machine skips."""
    asked = os.environ.get("FREIGHTSYNC_TEST_MANDATORY", "").split(",")
    return "all" in asked or what in asked


def skip_without(what: str, present: bool, how: str) -> None:
    """Skips loudly where an optional part is missing, fails where this run insists on it."""
    if present:
        return
    if mandatory(what):
        pytest.fail(f"{what} is missing and this run insists on it: {how}")
    pytest.skip(f"{what} is missing: {how}")


@pytest.fixture(scope="session")
def played_day() -> PlayedDay:
    """A small day, played once per run by the demo command on a real stack of its own, which stays up until the run
    ends. Whoever changes its books must leave its summary and truth alone.

    `FREIGHTSYNC_TEST_PLAYED=<home>` takes the day that a demo played there instead; its stack must be up.
    """
    if already := os.environ.get("FREIGHTSYNC_TEST_PLAYED"):
        return PlayedDay(home=Path(already).resolve(), code=0, output=f"played before in {already}")
    with _once_per_run("day") as made:
        home = made.parent / "stack-day"
        if not made.exists():
            day = play(home, seed=11, orders=50, seconds=25)
            made.write_text(json.dumps({"code": day.code, "output": day.output}))
        return PlayedDay(home=home, **json.loads(made.read_text()))


@pytest.fixture(scope="module")
def stack_home() -> Iterator[Path]:
    """An empty home for a stack of one module's own; stopped and removed afterwards."""
    from freightsync import stack

    home = Path(os.environ[CLUSTER]) / f"stack-{uuid.uuid4().hex[:8]}"
    yield home
    if home.exists():
        stack.down(Settings.load(home=home))
        stack.destroy_database(Settings.load(home=home))
        shutil.rmtree(home, ignore_errors=True)
