"""The databases of a stack: which server, which roles, migrated, and a fresh warehouse in a moment.

Three ways, by what the settings give:
* nothing: the embedded PostgreSQL, prepared from here;
* `FREIGHTSYNC_ADMIN_DSN`: databases and roles are made on that server;
* all of `FREIGHTSYNC_{OWNER,APP,DBT,REPORT,AIRFLOW}_DSN`: nothing is made, the warehouse is migrated.

Where databases can be made, a newly built warehouse is copied to a template, and a fresh one is a copy of that: it
takes a fraction of a second.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from freightsync.sandbox.config import COMPANY
from freightsync.settings import Settings, SettingsError
from freightsync.stack.home import Home, Keys
from freightsync.stack.prepare import build_warehouse, provision_server
from freightsync.warehouse import provision
from freightsync.warehouse.embedded import EmbeddedPostgres, create_database, drop_database

TEMPLATE = "freightsync_template"
URLS = ("owner_dsn", "app_dsn", "dbt_dsn", "report_dsn", "airflow_dsn")


@dataclass(frozen=True)
class Databases:
    """URLs by settings name. `admin` is None where databases cannot be made from here."""

    urls: Mapping[str, str]
    admin: str | None


def embedded(home: Home) -> EmbeddedPostgres:
    return EmbeddedPostgres(home.postgres)


def external(given: Settings) -> bool:
    """Whether the environment names a server; raises SettingsError where it names half of one."""
    if given.admin_dsn is not None:
        return True
    named = [name for name in URLS if getattr(given, name) is not None]
    if named and len(named) < len(URLS):
        missing = ", ".join(f"FREIGHTSYNC_{name.upper()}" for name in URLS if name not in named)
        raise SettingsError(
            f"some database URLs are given, but not {missing}; give all of them, or FREIGHTSYNC_ADMIN_DSN alone, or "
            "none for the embedded PostgreSQL"
        )
    return bool(named)


def connect_server(given: Settings, home: Home, keys: Keys) -> Databases:
    """The databases of this installation, their roles and databases made where that is ours to do."""
    if given.admin_dsn is None and external(given):
        return Databases({name: getattr(given, name).get_secret_value() for name in URLS}, admin=None)
    admin = given.admin_dsn.get_secret_value() if given.admin_dsn else embedded(home).dsn()
    urls: dict[str, Any] = {}
    for role in provision.ROLES:
        name = f"{role.removeprefix('freightsync_')}_dsn"
        database = provision.METADATA if role == "airflow" else provision.WAREHOUSE
        wanted = getattr(given, name)
        urls[name] = (
            wanted.get_secret_value()
            if wanted is not None
            else provision.role_dsn(admin, role, keys.database[role], database)
        )
    told = Settings.load(home=home.path, project=home.project, admin_dsn=admin, **urls)
    provision_server(told, warehouse=False)
    return Databases(urls, admin)


def fingerprint(project: Path) -> str:
    """Of everything that makes the empty warehouse what it is."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    parts = (
        *(package / name for name in ("warehouse", "rules", "local", "pipelines")),
        # the rules of the company that the local stack plays
        COMPANY,
        project / "dbt",
    )
    for part in parts:
        files = [part] if part.is_file() else sorted(part.rglob("*")) if part.is_dir() else []
        for path in files:
            inside = path.relative_to(part.parent).parts
            if path.is_file() and path.suffix != ".pyc" and not {"target", "logs", "__pycache__"} & set(inside):
                digest.update("/".join(inside).encode() + b"\0" + path.read_bytes() + b"\0")
    for distribution in ("dbt-core", "dbt-postgres"):
        digest.update(importlib.metadata.version(distribution).encode())
    return digest.hexdigest()[:32]


def warehouse_is_ready(admin: str | None, project: Path, *, fresh: bool) -> bool:
    """Whether the warehouse is as the code wants it, or becomes so by copying the template. Cheap: nothing that is
    slow to import is needed to find out."""
    if admin is None:
        return False
    wanted = fingerprint(project)
    if not fresh and _exists(admin, provision.WAREHOUSE):
        return _comment(admin, provision.WAREHOUSE) == wanted
    if _comment(admin, TEMPLATE) != wanted:
        return False
    clone_warehouse(admin)
    return True


def prepare_warehouse(settings: Settings, admin: str | None, *, fresh: bool) -> None:
    """Makes the warehouse ready for the code that is there now. `fresh` throws away what it holds.

    A warehouse that is built from nothing is copied to the template at once, under its own name first: what dbt
    remembers of a build names the database.
    """
    if admin is None:
        if fresh:
            raise SettingsError(
                "a fresh warehouse needs FREIGHTSYNC_ADMIN_DSN (or no database URL: the embedded PostgreSQL)"
            )
        build_warehouse(settings)
        return
    if warehouse_is_ready(admin, settings.project, fresh=fresh):
        return
    wanted = fingerprint(settings.project)
    from_nothing = fresh or not _exists(admin, provision.WAREHOUSE)
    if from_nothing:
        _drop_warehouse(admin)
        provision.ensure_warehouse(admin)
        _set_comment(admin, provision.WAREHOUSE, "being made")
    else:
        provision.grant_warehouse(admin)
    build_warehouse(settings)
    if from_nothing:
        drop_database(admin, TEMPLATE)
        _disconnect(admin, provision.WAREHOUSE)
        create_database(admin, TEMPLATE, owner="freightsync_owner", template=provision.WAREHOUSE)
        _set_comment(admin, TEMPLATE, wanted)
    _set_comment(admin, provision.WAREHOUSE, wanted)


def clone_warehouse(admin: str) -> None:
    """Replaces the warehouse by a copy of the template. Whoever is connected is disconnected."""
    staging = f"{provision.WAREHOUSE}_new"
    drop_database(admin, staging)
    create_database(admin, staging, owner="freightsync_owner", template=TEMPLATE)
    provision.ensure_database(admin, staging, "freightsync_owner")
    provision.grant_warehouse(admin, staging)
    _set_comment(admin, staging, _comment(admin, TEMPLATE) or "")
    _drop_warehouse(admin)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(staging), sql.Identifier(provision.WAREHOUSE)
            )
        )


def _drop_warehouse(admin: str) -> None:
    """Only one that a local stack made: such a one carries its fingerprint, a deployment's does not."""
    if _exists(admin, provision.WAREHOUSE) and _comment(admin, provision.WAREHOUSE) is None:
        raise SettingsError(
            f"the database {provision.WAREHOUSE} on this server was not made by a local stack; it will not be thrown "
            "away for a fresh day. Use another server, or drop it yourself"
        )
    drop_database(admin, provision.WAREHOUSE)


def _disconnect(admin: str, name: str) -> None:
    """A database can be copied only while nobody is connected to it."""
    with psycopg.connect(admin) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))


def _exists(admin: str, name: str) -> bool:
    with psycopg.connect(admin) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _comment(admin: str, name: str) -> str | None:
    with psycopg.connect(admin) as connection:
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
    return row[0] if row else None


def _set_comment(admin: str, name: str, text: str) -> None:
    with psycopg.connect(admin) as connection:
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))
