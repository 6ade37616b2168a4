"""Brings the operational tables of a warehouse to the newest revision. dbt owns everything else."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent / "migrations"


def _config(dsn: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["dsn"] = dsn
    return config


def upgrade(owner_dsn: str, revision: str = "head") -> None:
    """Applies the missing revisions, each in a transaction, as the owner of the warehouse. Safe to repeat and to call
    from two processes at once: the second one waits, then finds nothing to do."""
    with psycopg.connect(owner_dsn, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(hashtext('freightsync migrations'))")
        command.upgrade(_config(owner_dsn), revision)


def current(dsn: str) -> str | None:
    """The revision that the warehouse is at; None where it was never migrated."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if row is None or row[0] is None:
            return None
        version = conn.execute("SELECT version_num FROM public.alembic_version").fetchone()
        return None if version is None else str(version[0])


def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config("")).get_current_head()
