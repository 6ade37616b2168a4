"""The compose file, as far as it can be checked without a container engine: it is valid, every variable is documented
and known, no service holds more secrets than it needs, and the commands of `prepare` do their work on a real server."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tests.conftest import REPOSITORY, skip_without

from freightsync.settings import Settings
from freightsync.warehouse import migrate
from freightsync.warehouse.embedded import FAST_AND_LOOSE, EmbeddedPostgres

COMPOSE = REPOSITORY / "docker-compose.yaml"
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")


def example(name: str) -> dict[str, str]:
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """What compose makes of a value: `${NAME}`, `${NAME:-default}`, `${NAME:?}` and `$$`."""
    if isinstance(value, dict):
        return {key: interpolate(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        name, how, default = found.groups()
        if variables.get(name):
            return variables[name]
        assert how == "-", f"compose would stop: {name} is not set"
        return default

    return VARIABLE.sub(put, value).replace("$$", "$")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


def test_every_variable_is_documented_and_every_documented_one_is_used() -> None:
    used = {found[1] for found in VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8"))}
    assert used == set(example(".env.example"))


def test_services_are_given_settings_that_exist(services: dict[str, Any]) -> None:
    known = {f"FREIGHTSYNC_{name.upper()}" for name in Settings.model_fields}
    given = {name for service in services.values() for name in service.get("environment", {})}
    ours = {name.split("__")[0] for name in given | set(example("partners.env.example")) if name[:11] == "FREIGHTSYNC"}
    assert ours <= known


def test_only_prepare_may_administer_and_own(services: dict[str, Any]) -> None:
    for name, service in services.items():
        text = str(service.get("environment", {}))
        assert ("freightsync_owner:" in text) == (name == "prepare")
        assert ("DB_ADMIN_PASSWORD" in text) == (name in ("prepare", "postgres"))


def test_everything_that_stays_up_says_whether_it_is_healthy(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"prepare"}


def test_no_secret_has_a_default() -> None:
    for found in VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8")):
        name, how, default = found.groups()
        if re.search(r"PASSWORD|SECRET|_KEY$|USERS", name) and "FILE" not in name:
            assert (how, default) == ("?", ""), name


def test_compose_reads_it(tmp_path: Path) -> None:
    compose = [shutil.which("docker-compose") or ""]
    if not compose[0]:
        compose = ["docker", "compose"]
    present = (
        shutil.which(compose[0]) is not None
        and not subprocess.run([*compose, "version"], capture_output=True).returncode
    )
    skip_without("compose", present, "install Debian's docker-compose; `config` needs no engine")
    shutil.copy(COMPOSE, tmp_path)
    shutil.copy(REPOSITORY / "partners.env.example", tmp_path / "partners.env")
    filled = {name: value or "x" for name, value in example(".env.example").items()}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in filled.items()))
    done = subprocess.run([*compose, "config"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) >= {"postgres", "redis", "sftp", "airflow-worker-hot"}


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    # not the server of the other tests: `prepare` sets the passwords of the roles, which belong to a whole server
    base = Path(tempfile.mkdtemp(prefix="freightsync-compose-"))
    base.chmod(0o711)
    cluster = EmbeddedPostgres(base / "postgresql", parameters=FAST_AND_LOOSE)
    cluster.start()
    yield cluster
    cluster.destroy()
    shutil.rmtree(base, ignore_errors=True)


def test_prepare_as_written_makes_databases_users_and_roles(
    services: dict[str, Any], server: EmbeddedPostgres, tmp_path: Path
) -> None:
    admin = psycopg.conninfo.conninfo_to_dict(server.dsn())
    password = secrets.token_urlsafe(12)
    with psycopg.connect(server.dsn()) as connection:
        connection.execute(f"create role freightsync_admin superuser login password '{password}'")  # ours, URL-safe
    filled = {name: value or secrets.token_urlsafe(12) for name, value in example(".env.example").items()} | {
        "DB_HOST": str(admin["host"]),
        "DB_PORT": str(admin["port"]),
        "DB_ADMIN_PASSWORD": password,
        "AIRFLOW_FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "AIRFLOW_USERS": '{"admin": {"password": "a-long-one", "role": "Admin"}, '
        '"fiona": {"password": "another-long-one", "role": "finance"}}',
    }
    prepare = interpolate(services["prepare"], filled)
    places = {"/opt/freightsync": str(REPOSITORY), "/var/lib/freightsync": str(tmp_path)}
    environment = {name: str(value) for name, value in prepare["environment"].items()}
    for inside, here in places.items():
        environment = {name: value.replace(inside, here) for name, value in environment.items()}
    environment |= example("partners.env.example") | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "FREIGHTSYNC_HOME": str(tmp_path),
        "FREIGHTSYNC_PROJECT": str(REPOSITORY),
    }
    for _ in range(2):  # safe to repeat, as every start of a deployment does
        done = subprocess.run(
            prepare["command"], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-4000:]
    with psycopg.connect(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as connection:
        held = connection.execute(
            "select u.username, r.name from ab_user u join ab_user_role ur on ur.user_id = u.id "
            "join ab_role r on r.id = ur.role_id order by 1"
        ).fetchall()
        pools = {row[0] for row in connection.execute("select pool from slot_pool")}
    assert held == [("admin", "Admin"), ("fiona", "finance")]
    assert "hot" in pools
    assert migrate.current(environment["FREIGHTSYNC_OWNER_DSN"]) == migrate.head()
    with psycopg.connect(environment["FREIGHTSYNC_APP_DSN"]) as connection:
        assert connection.execute("select count(*) from effects.movement").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("truncate effects.movement")
