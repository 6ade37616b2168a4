"""Airflow for the tests of this directory: a home and a metadata database of their own, made before it is imported.

The metadata database is SQLite: `dag.test()` runs one task at a time in this process. What needs the real thing (pools,
assets that wake DAGs, the executor's processes) runs on the whole stack in tests/e2e.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"
DAGS = REPOSITORY / "dags"

if str(PLUGINS) not in sys.path:
    sys.path.insert(0, str(PLUGINS))


def pytest_configure() -> None:
    prepare_environment()


def prepare_environment() -> None:
    fallback = str(Path(tempfile.gettempdir()) / "freightsync-airflow-tests")
    home = Path(os.environ.setdefault("AIRFLOW_HOME", fallback))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow-{worker}.db",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
    )


prepare_environment()


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """An empty metadata database of the installed version."""
    from airflow.utils import db

    db.initdb()
