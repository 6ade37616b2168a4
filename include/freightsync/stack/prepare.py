"""Makes a warehouse ready for the code that is there: roles, databases, migrations, rules, models.

The local stack and a deployment (`freightsync prepare`) call the same functions. Safe to repeat.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote, urlsplit

from freightsync.settings import Role, Settings, SettingsError
from freightsync.warehouse import provision

log = logging.getLogger(__name__)

ROLES: tuple[Role, ...] = ("owner", "app", "dbt", "report", "airflow")


def provision_server(settings: Settings, *, warehouse: bool = True) -> None:
    """Makes the roles and both databases (the metadata's alone without `warehouse`) on the server of the admin URL,
    with the passwords that the roles' own URLs hold. Raises SettingsError where a URL names another user than its
    role's."""
    passwords: dict[str, str] = {}
    names: dict[str, str] = {}
    for role in ROLES:
        parts = urlsplit(settings.dsn(role))
        expected = "airflow" if role == "airflow" else f"freightsync_{role}"
        user = unquote(parts.username or "")
        if user != expected:
            raise SettingsError(f"FREIGHTSYNC_{role.upper()}_DSN names the user {user!r}; its role is {expected!r}")
        passwords[expected] = unquote(parts.password or "")
        names["metadata" if role == "airflow" else "warehouse"] = parts.path.lstrip("/")
    admin = settings.dsn("admin")
    provision.ensure_roles(admin, passwords)
    provision.ensure_database(admin, names["metadata"], "airflow")
    if warehouse:
        provision.ensure_warehouse(admin, names["warehouse"])


def build_warehouse(settings: Settings) -> None:
    """Migrations, rules and models in a warehouse that exists."""
    # Alembic and dbt: the supervisor, which imports this module, has no use for them
    from freightsync import pipelines, rules
    from freightsync.warehouse import migrate

    log.info("migrations")
    migrate.upgrade(settings.dsn("owner"))
    log.info("rules")
    rules.load(settings.dsn("owner"), settings.local_directory)
    log.info("models")
    pipelines.deploy(settings)


def prepare_warehouse(settings: Settings) -> None:
    """Everything, for the URLs of the settings; roles and databases are made where an admin URL is given."""
    if settings.admin_dsn is not None:
        log.info("roles and databases")
        provision_server(settings)
    build_warehouse(settings)
