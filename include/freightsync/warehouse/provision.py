"""Databases and roles, each with the least that it needs.

| role | may |
|---|---|
| freightsync_owner | owns the warehouse database; migrations run as it |
| freightsync_app | the running stack: what the migrations grant (append to landing and effects, never change them) |
| freightsync_dbt | reads what the migrations grant, makes and owns the schemas that can be rebuilt |
| freightsync_report | reads |
| airflow | owns Airflow's metadata database, cannot enter the warehouse |

Works on any PostgreSQL ≥ 15 given a connection that may create roles and databases; safe to repeat.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from freightsync.warehouse.embedded import replace_database

WAREHOUSE = "freightsync"
METADATA = "airflow"
WAREHOUSE_ROLES = ("freightsync_owner", "freightsync_app", "freightsync_dbt", "freightsync_report")
ROLES = (*WAREHOUSE_ROLES, "airflow")


def ensure_roles(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Makes the roles that are missing and sets every password. `passwords` holds one for each of ROLES."""
    with psycopg.connect(admin_dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('freightsync roles'))")
        there = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            verb = "ALTER" if role in there else "CREATE"
            connection.execute(
                sql.SQL(
                    "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
                ).format(sql.SQL(verb), sql.Identifier(role), sql.Literal(passwords[role]))
            )
        connection.execute("ALTER ROLE freightsync_report SET default_transaction_read_only = on")


def ensure_database(admin_dsn: str, name: str, owner: str) -> bool:
    """Makes the database if it is missing; true if it was. Only its owner and whom `grant_warehouse` names may
    connect."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        made = False
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
            )
            made = True
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        connection.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'UTC'").format(sql.Identifier(name)))
    return made


def grant_warehouse(admin_dsn: str, name: str = WAREHOUSE) -> None:
    """Who may enter the warehouse, and who may read the schemas that dbt will make. Run before the migrations."""
    database = sql.Identifier(name)
    with psycopg.connect(replace_database(admin_dsn, name)) as connection:
        for role in WAREHOUSE_ROLES:
            connection.execute(
                sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, sql.Identifier(role))
            )
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO freightsync_dbt").format(database))
        readers = sql.SQL("freightsync_owner, freightsync_app, freightsync_report")
        for what, on in (("USAGE", "SCHEMAS"), ("SELECT", "TABLES"), ("EXECUTE", "FUNCTIONS")):
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE freightsync_dbt GRANT {} ON {} TO {}").format(
                    sql.SQL(what), sql.SQL(on), readers
                )
            )
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def ensure_warehouse(admin_dsn: str, name: str = WAREHOUSE) -> bool:
    """The empty warehouse database with its grants; true if it was made now. Migrations come after."""
    made = ensure_database(admin_dsn, name, "freightsync_owner")
    grant_warehouse(admin_dsn, name)
    return made


def role_dsn(admin_dsn: str, role: str, password: str, database: str) -> str:
    """The URL of a role on the server of `admin_dsn`. Passwords made here are URL-safe."""
    server = admin_dsn.split("@", 1)[1].split("/", 1)[0]
    return f"postgresql://{role}:{password}@{server}/{database}"
