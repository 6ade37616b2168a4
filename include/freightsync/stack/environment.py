"""What the processes of a stack are told. Airflow is configured by its environment alone, derived from the settings, so
that the local stack and a deployment differ in values only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from freightsync.settings import Settings
from freightsync.stack.home import Home, Keys
from freightsync.stack.processes import MARKER

OUR_EXECUTOR = "freightsync_airflow.executor.PreloadingLocalExecutor"


def base_environment(home: Home) -> dict[str, str]:
    """For every process: ours, with this environment's programs first and loopback never through a proxy."""
    environment = dict(os.environ)
    binaries = str(Path(sys.executable).parent)
    no_proxy = ",".join(
        filter(None, (environment.get("NO_PROXY") or environment.get("no_proxy"), "127.0.0.1,localhost"))
    )
    return {
        **environment,
        "PATH": os.pathsep.join((binaries, environment.get("PATH", os.defpath))),
        "FREIGHTSYNC_HOME": str(home.path),
        "FREIGHTSYNC_PROJECT": str(home.project),
        MARKER: str(home.path),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        "GX_ANALYTICS_ENABLED": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def airflow_configuration(
    *, project: Path, home: Path, metadata_url: str, api_port: int, api_url: str, fernet: str, jwt: str, session: str
) -> dict[str, str]:
    """Airflow's own settings, the same for the local stack and for a deployment but for these arguments."""
    return {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": os.environ.get("AIRFLOW__CORE__EXECUTOR") or _executor(project),
        "AIRFLOW__CORE__PARALLELISM": "12",
        "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__FERNET_KEY": fernet,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api_url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _with_driver(metadata_url),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__API__BASE_URL": api_url,
        "AIRFLOW__API__SECRET_KEY": session,
        "AIRFLOW__API__INSTANCE_NAME": "freightsync",
        "AIRFLOW__API_AUTH__JWT_SECRET": jwt,
        "AIRFLOW__API_AUTH__JWT_ISSUER": "freightsync",
        # the bootstrap syncs roles; the API server need not do it again at each start
        "AIRFLOW__FAB__UPDATE_FAB_PERMS": "False",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.75",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "log" / "airflow"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "log" / "airflow" / "dag_processor"),
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": (
            "airflow.models.dag=WARNING http.access=WARNING airflow.serialization.definitions.dag=WARNING"
        ),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def airflow_environment(settings: Settings, home: Home, keys: Keys, ports: Mapping[str, int]) -> dict[str, str]:
    """The whole environment of an Airflow process of the local stack."""
    return {
        **base_environment(home),
        **airflow_configuration(
            project=home.project,
            home=home.path,
            metadata_url=settings.dsn("airflow"),
            api_port=ports["airflow"],
            api_url=settings.airflow_url,
            fernet=keys.fernet,
            jwt=keys.jwt,
            session=keys.session,
        ),
        **airflow_connections(settings),
    }


def airflow_connections(settings: Settings) -> dict[str, str]:
    """Connections as `AIRFLOW_CONN_*`: Airflow's UI and hooks use them; the project's own code reads its settings."""
    connections: dict[str, dict[str, object]] = {}
    for role in ("app", "dbt", "report"):
        parts = urlsplit(settings.dsn(role))
        connections[f"freightsync_{role}"] = {
            "conn_type": "postgres",
            "host": parts.hostname,
            "port": parts.port or 5432,
            "login": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "schema": parts.path.lstrip("/"),
        }
    sftp = settings.sftp
    connections["freightsync_sftp"] = {
        "conn_type": "sftp",
        "host": sftp.host,
        "port": sftp.port,
        "login": sftp.user,
        "password": sftp.password.get_secret_value(),
        "extra": {"host_key": sftp.host_key, "no_host_key_check": False},
    }
    for name, partner in settings.partners.items():
        if partner.base_url:
            parts = urlsplit(partner.base_url)
            connections[f"freightsync_{name}"] = {
                "conn_type": "http",
                "schema": parts.scheme,
                "host": parts.hostname,
                "port": parts.port,
                "password": partner.token.get_secret_value(),
            }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}


def _executor(project: Path) -> str:
    ours = project / "plugins" / "freightsync_airflow" / "executor.py"
    return OUR_EXECUTOR if ours.is_file() else "LocalExecutor"


def _with_driver(url: str) -> str:
    """Airflow's metadata engine is synchronous psycopg2; it derives its asyncpg twin by itself."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
