"""A deployed warehouse: migrated, with the bootstrap rules and every model built once, empty; copied for each test.

Fixtures: import them where they are used (`from deployed import shaped, shaped_template`)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shaped import ShapedWarehouse

from freightsync import rules
from freightsync.pipelines import build
from freightsync.settings import Settings
from freightsync.warehouse import migrate, provision
from freightsync.warehouse.embedded import create_database, drop_database

TEMPLATE = "shaped_template"


def _settings(server: Any, database: str) -> Settings:
    roles = {role.removeprefix("freightsync_"): server.dsn(role, database) for role in provision.WAREHOUSE_ROLES}
    return Settings.load(**{f"{role}_dsn": dsn for role, dsn in roles.items()})


@pytest.fixture(scope="session")
def shaped_template(postgres_server: Any) -> str:
    base = Path(os.environ["PYTEST_FREIGHTSYNC_CLUSTER"])
    made = base / "shaped.made"
    with (base / "shaped.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            drop_database(postgres_server.admin_dsn, TEMPLATE)
            provision.ensure_warehouse(postgres_server.admin_dsn, TEMPLATE)
            owner = postgres_server.dsn("freightsync_owner", TEMPLATE)
            migrate.upgrade(owner)
            rules.load(owner)
            build.prepare(_settings(postgres_server, TEMPLATE))
            made.touch()
    return TEMPLATE


def take_parsed(home: Path) -> None:
    """Gives an installation of its own the project as the template's parsed it, instead of parsing it once more."""
    there = home / "dbt"
    there.mkdir(parents=True)
    for parsed in (Path(os.environ["PYTEST_FREIGHTSYNC_CLUSTER"]) / "home" / "dbt").glob("*.msgpack"):
        shutil.copy2(parsed, there)


@contextlib.contextmanager
def copied(server: Any, template: str, name: str = "", *, keep: bool = False) -> Iterator[ShapedWarehouse]:
    """A copy of a deployed warehouse; dropped afterwards unless it is to be a template itself."""
    name = name or f"shaped_{uuid.uuid4().hex[:12]}"
    create_database(server.admin_dsn, name, owner="freightsync_owner", template=template)
    provision.grant_warehouse(server.admin_dsn, name)
    warehouse = ShapedWarehouse(server.dsn("freightsync_owner", name), _settings(server, name))
    yield warehouse
    warehouse.close()
    if not keep:
        drop_database(server.admin_dsn, name)


@pytest.fixture
def shaped(postgres_server: Any, shaped_template: str) -> Iterator[ShapedWarehouse]:
    """An empty deployed warehouse of this test's own."""
    with copied(postgres_server, shaped_template) as warehouse:
        yield warehouse
