"""The embedded server heals from what kills it, and its roles hold."""

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from freightsync.warehouse import provision
from freightsync.warehouse.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    drop_database,
    server_account,
)

# as the stack runs it, but for fsync: what is committed survives a killed process
PARAMETERS = {"fsync": "off"}


@pytest.fixture
def cluster():
    base = Path(tempfile.mkdtemp(prefix="freightsync-cluster-"))
    base.chmod(0o711)
    made = EmbeddedPostgres(base / "postgresql", parameters=PARAMETERS)
    yield made
    made.destroy()
    base.rmdir()


def rows(cluster):
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        return connection.execute("SELECT count(*) FROM kept").fetchone()[0]


def put_row(cluster):
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (x int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def test_stop_and_start_keep_port_and_rows(cluster):
    cluster.start()
    put_row(cluster)
    port = cluster.port
    cluster.stop()
    assert not cluster.alive()
    again = EmbeddedPostgres(cluster.directory, parameters=PARAMETERS)
    again.start()
    assert (again.port, rows(again)) == (port, 1)


def test_a_second_start_adopts_the_running_server(cluster):
    cluster.start()
    pid = cluster.pid()
    again = EmbeddedPostgres(cluster.directory, parameters=PARAMETERS)
    assert again.start() is None
    assert again.pid() == pid


def test_kill_9_while_a_statement_runs_is_healed_with_all_rows(cluster):
    process = cluster.start()
    put_row(cluster)
    busy = psycopg.connect(cluster.dsn(), autocommit=True)

    def work():  # a backend in the middle of a long statement outlives its postmaster
        with contextlib.suppress(psycopg.Error):
            busy.execute("SELECT count(*) FROM generate_series(1, 1000000000)")

    worker = threading.Thread(target=work)
    worker.start()
    with psycopg.connect(cluster.dsn(), autocommit=True) as watch:
        while not watch.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%1000000000)'").fetchone():
            pass
    backend = psutil.Process(busy.info.backend_pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert backend.is_running()
    again = EmbeddedPostgres(cluster.directory, parameters=PARAMETERS)
    again.start()
    assert rows(again) == 1
    worker.join(10)
    assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE


def test_a_pid_file_that_names_somebody_else_is_no_server(cluster):
    cluster.start()
    cluster.stop()
    pid_file = cluster.data_directory / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{cluster.data_directory}\n")
    again = EmbeddedPostgres(cluster.directory, parameters=PARAMETERS)
    assert again.pid() is None
    again.start()
    assert again.alive()


def test_a_half_made_cluster_is_made_again(cluster):
    cluster.start()
    put_row(cluster)
    cluster.stop()
    # as if initdb had been killed: everything is there but under the name it has while it is being made
    cluster.data_directory.rename(cluster.data_directory.with_name("data.making"))
    EmbeddedPostgres(cluster.directory, parameters=PARAMETERS).start()
    with psycopg.connect(cluster.dsn()) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


def test_a_port_taken_meanwhile_is_replaced(cluster):
    cluster.start()
    cluster.stop()
    taken = cluster.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        again = EmbeddedPostgres(cluster.directory, parameters=PARAMETERS)
        again.start()
        assert again.port != taken


def test_a_server_that_will_not_start_shows_its_log(cluster):
    broken = EmbeddedPostgres(cluster.directory, parameters={**PARAMETERS, "shared_buffers": "lots"})
    started = time.monotonic()
    with pytest.raises(EmbeddedPostgresError, match="shared_buffers"):
        broken.start()
    assert time.monotonic() - started < 30


def test_a_user_without_a_name_is_told_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    with pytest.raises(EmbeddedPostgresError, match=r"987654 has no name.*FREIGHTSYNC_OWNER_DSN"):
        server_account()


def test_only_passwords_open_the_server(cluster):
    cluster.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{cluster.port}/postgres")


def test_airflows_role_cannot_enter_the_warehouse(postgres_server):
    name = "test_grants"
    drop_database(postgres_server.admin_dsn, name)
    provision.ensure_warehouse(postgres_server.admin_dsn, name)
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(postgres_server.dsn("airflow", name))
        with psycopg.connect(postgres_server.dsn("freightsync_dbt", name), autocommit=True) as dbt:
            dbt.execute("CREATE SCHEMA marts")
            dbt.execute("CREATE TABLE marts.figure AS SELECT 1 AS x")
        with psycopg.connect(postgres_server.dsn("freightsync_report", name), autocommit=True) as report:
            assert report.execute("SELECT x FROM marts.figure").fetchone() == (1,)
            with pytest.raises(psycopg.errors.Error, match="read-only transaction"):
                report.execute("DELETE FROM marts.figure")
            report.execute("SET default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                report.execute("DELETE FROM marts.figure")
        with (
            psycopg.connect(postgres_server.dsn("freightsync_app", name), autocommit=True) as app,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            app.execute("CREATE SCHEMA of_its_own")
    finally:
        drop_database(postgres_server.admin_dsn, name)
