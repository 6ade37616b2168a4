"""Prepares Airflow's metadata database: schema, roles, users, pools. Safe to repeat.

    python bootstrap.py --users FILE

One process does it all, because each `airflow` command costs seconds of imports. `FILE` is JSON:
`{"<user>": {"password": "…", "role": "…"}}`. Roles and pools are in `roles.json` and `pools.json` beside this file; a
role is set to exactly what it says there, so a permission taken out of the file is taken from the role. Airflow is
imported when it runs, not when it is imported: Airflow itself imports every module under plugins/.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def migrate() -> None:
    """Makes or upgrades Airflow's tables, FAB's among them."""
    from airflow.utils import db

    db.upgradedb()


def wanted_permissions(role: Mapping[str, Any], built_in: Mapping[str, list[tuple[str, str]]]) -> set[tuple[str, str]]:
    """A role of `roles.json` as the permissions it means. Raises KeyError for a built-in role that does not exist."""
    like = {tuple(pair) for pair in built_in[role["like"]]}
    plus = {tuple(pair) for pair in role.get("plus", [])}
    minus = {tuple(pair) for pair in role.get("minus", [])}
    unknown = minus - like
    if unknown:
        raise ValueError(f"takes away what {role['like']} does not have: {sorted(unknown)}")
    return (like | plus) - minus


def sync_roles(manager: Any) -> None:
    manager.sync_roles()
    built_in = {config["role"]: config["perms"] for config in manager.ROLE_CONFIGS}
    for name, role in json.loads((HERE / "roles.json").read_text(encoding="utf-8")).items():
        wanted = wanted_permissions(role, built_in)
        manager.bulk_sync_roles([{"role": name, "perms": sorted(wanted)}])
        found = manager.find_role(name)
        for permission in list(found.permissions):
            pair = (permission.action.name, permission.resource.name)
            # permissions on single DAGs come from the DAGs' own access_control
            if pair not in wanted and not pair[1].startswith("DAG:"):
                manager.remove_permission_from_role(found, permission)


def sync_users(manager: Any, users: Mapping[str, Mapping[str, str]]) -> None:
    """Makes missing users; sets role and password of the others to what is given."""
    from werkzeug.security import check_password_hash

    for name, user in users.items():
        role = manager.find_role(user["role"])
        if role is None:
            raise SystemExit(f"user {name}: no role {user['role']}")
        found = manager.find_user(username=name)
        if found is None:
            title = name.replace("_", " ").title()
            if not manager.add_user(name, title, "freightsync", f"{name}@freightsync.invalid", role, user["password"]):
                raise SystemExit(f"user {name} could not be made; the log above says why")
            continue
        if not check_password_hash(found.password, user["password"]):
            manager.reset_password(found.id, user["password"])
        if [held.name for held in found.roles] != [role.name]:
            found.roles = [role]
            manager.update_user(found)


def sync_pools() -> None:
    from airflow.models.pool import Pool

    for pool in json.loads((HERE / "pools.json").read_text(encoding="utf-8")):
        Pool.create_or_update_pool(
            name=pool["name"],
            slots=pool["slots"],
            description=pool["description"],
            include_deferred=pool["include_deferred"],
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=Path, required=True)
    given = parser.parse_args()
    users = json.loads(given.users.read_text(encoding="utf-8"))
    migrate()
    sync_pools()
    logging.getLogger("airflow.providers.fab").setLevel(logging.WARNING)
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        sync_roles(builder.sm)
        sync_users(builder.sm, users)


if __name__ == "__main__":
    main()
