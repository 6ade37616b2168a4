"""What one installation keeps under its home (`var/`): secrets, ports, configuration of its processes.

    var/secrets/   0700; passwords, keys, users.json, settings.json (each 0600)
    var/run/       supervisor.lock, state.json, ports.json, configuration files of the processes
    var/log/       one log a process, Airflow's task logs in var/log/airflow
    var/airflow/   AIRFLOW_HOME
    var/postgres/  the embedded PostgreSQL
    var/sftp/      what partners see over SFTP
    var/sandbox/   the sandbox partners' books

Secrets are made once and kept: a second `up` finds the same keys, passwords and ports.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freightsync.sandbox.config import COMPANY, DEPLOYMENT
from freightsync.sandbox.sftp_server import ensure_host_key
from freightsync.settings import Settings
from freightsync.warehouse import provision
from freightsync.warehouse.embedded import free_port

PARTNERS = ("erp", "tms", "wms", "nrdf", "bluw", "hnsa", "bank", "clearbill", "driver")
SANDBOX_BY_SFTP = ("nrdf", "bluw", "hnsa", "bank", "clearbill", "pricing")
SENDERS_BY_SFTP = (*SANDBOX_BY_SFTP, "kesl", "access_point")
"""Accounts that leave files or fetch them: the sandbox's carriers, bank and audit platform, whoever is responsible for
rate cards, and the access point that passes e-invoices on."""
PORTS = ("sftp", "erp", "tms", "wms", "bluw", "driver", "airflow")
USERS: Mapping[str, str] = {
    "admin": "Admin",
    "data_engineer": "data_engineer",
    "steward": "steward",
    "finance": "finance",
    "operator": "operator",
}
"""User name → role; the roles are in plugins/freightsync_airflow/roles.json."""
UPLOADING = ("finance", "steward")
"""Of them those whom the sandbox plays: they upload what carriers sent them by mail."""


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    staging.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no such file or it was cut off by a crash."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Keys:
    """Everything random that an installation keeps."""

    fernet: str
    jwt: str
    session: str
    database: Mapping[str, str]
    users: Mapping[str, str]
    tokens: Mapping[str, str]
    webhooks: Mapping[str, str]
    sftp: Mapping[str, str]
    sftp_host_key: str


@dataclass(frozen=True)
class Home:
    """One installation."""

    path: Path
    project: Path

    @classmethod
    def of(cls, settings: Settings) -> Home:
        return cls(settings.home, settings.project)

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def airflow(self) -> Path:
        return self.path / "airflow"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def sftp(self) -> Path:
        return self.path / "sftp"

    @property
    def sandbox(self) -> Path:
        return self.path / "sandbox"

    @property
    def state(self) -> Path:
        """What the supervisor says about itself and its services; written whole each time."""
        return self.run / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.run / "supervisor.lock"

    @property
    def register(self) -> Path:
        """Every process that was started for this home since it last stopped in order."""
        return self.run / "processes.jsonl"

    def make(self) -> None:
        for directory in (self.path, self.run, self.log, self.airflow, self.sftp, self.sandbox):
            directory.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.secrets.chmod(0o700)

    def keys(self) -> Keys:
        """The installation's secrets; made where they are missing, also those that a newer version adds."""
        path = self.secrets / "keys.json"
        kept = read_json(path)

        def named(group: str, names: tuple[str, ...]) -> dict[str, str]:
            found = dict(kept.get(group, {}))
            for name in names:
                found.setdefault(name, secrets.token_urlsafe(15))
            return found

        wanted: dict[str, Any] = {
            "fernet": kept.get("fernet") or base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
            "jwt": kept.get("jwt") or secrets.token_urlsafe(48),
            "session": kept.get("session") or secrets.token_urlsafe(32),
            "database": named("database", provision.ROLES),
            "users": named("users", tuple(USERS)),
            "tokens": named("tokens", PARTNERS),
            "webhooks": named("webhooks", ("tms", "bluw", "driver")),
            "sftp": named("sftp", ("freightsync", *SENDERS_BY_SFTP)),
        }
        if wanted != kept:
            write_private(path, json.dumps(wanted, indent=1))
        users = {name: {"password": wanted["users"][name], "role": role} for name, role in USERS.items()}
        if read_json(self.secrets / "users.json") != users:
            write_private(self.secrets / "users.json", json.dumps(users, indent=1))
        return Keys(**wanted, sftp_host_key=ensure_host_key(self.secrets / "sftp_host_key"))

    def ports(self) -> dict[str, int]:
        """The installation's ports: those remembered, but for one that somebody else has taken meanwhile."""
        path = self.run / "ports.json"
        kept = read_json(path)
        chosen: dict[str, int] = {}
        for name in PORTS:
            chosen[name] = free_port(kept.get(name), avoid=frozenset(chosen.values()))
        if chosen != kept:
            write_private(path, json.dumps(chosen))
        return chosen

    def write_sandbox_config(self, keys: Keys, ports: Mapping[str, int]) -> Path:
        """What the sandbox partners are told: their ports, our addresses, the secrets that they share with us."""
        path = self.run / "sandbox.json"
        text = json.dumps(
            {
                "home": str(self.sandbox),
                "ports": {name: ports[name] for name in ("erp", "tms", "wms", "bluw", "driver")},
                "tokens": {name: token for name, token in keys.tokens.items() if name in ports},
                "webhook_secrets": dict(keys.webhooks),
                "inbound_url": inbound_url(ports),
                "sftp": {
                    "host": "127.0.0.1",
                    "port": ports["sftp"],
                    "host_key": keys.sftp_host_key,
                    "users": {name: keys.sftp[name] for name in SANDBOX_BY_SFTP},
                },
                "portal": {
                    "url": f"http://127.0.0.1:{ports['airflow']}",
                    "people": {name: keys.users[name] for name in UPLOADING},
                },
            },
            indent=1,
        )
        write_private(path, text)
        return path

    def write_sftp_config(self, keys: Keys, ports: Mapping[str, int]) -> Path:
        path = self.run / "sftp.json"
        users = {name: {"password": keys.sftp[name], "root": name} for name in SENDERS_BY_SFTP}
        text = json.dumps(
            {
                "host": "127.0.0.1",
                "port": ports["sftp"],
                "root": str(self.sftp),
                "host_key": str(self.secrets / "sftp_host_key"),
                "users": {"freightsync": {"password": keys.sftp["freightsync"], "root": ""}, **users},
            },
            indent=1,
        )
        write_private(path, text)
        return path

    def write_settings(self, keys: Keys, ports: Mapping[str, int], databases: Mapping[str, str]) -> None:
        """`secrets/settings.json`: with it every process beside a running stack finds its way. `databases` holds the
        URLs by settings name (`app_dsn`, …)."""
        partners: dict[str, dict[str, str]] = {}
        for name in PARTNERS:
            partner: dict[str, str] = {}
            if name in ports:
                partner |= {"base_url": f"http://127.0.0.1:{ports[name]}", "token": keys.tokens[name]}
            if name in keys.webhooks:
                partner["webhook_secret"] = keys.webhooks[name]
            if name in SANDBOX_BY_SFTP:
                partner |= {"sftp_user": name, "sftp_password": keys.sftp[name]}
            partners[name] = partner
        found = {
            **databases,
            "sftp": {
                "host": "127.0.0.1",
                "port": ports["sftp"],
                "user": "freightsync",
                "password": keys.sftp["freightsync"],
                "host_key": keys.sftp_host_key,
            },
            "partners": partners,
            "carrier_folder": str(DEPLOYMENT),
            "local_directory": str(COMPANY),
            "einvoice_directory": "/access_point/outbound",
            "sandbox_url": f"http://127.0.0.1:{ports['erp']}",
            "airflow_url": f"http://127.0.0.1:{ports['airflow']}",
            "inbound_url": inbound_url(ports),
            "sweep_seconds": 300,
        }
        write_private(self.secrets / "settings.json", json.dumps(found, indent=1))


def inbound_url(ports: Mapping[str, int]) -> str:
    """Where partners' webhooks reach us: a FastAPI application of an Airflow plugin."""
    return f"http://127.0.0.1:{ports['airflow']}/freightsync/inbound"
