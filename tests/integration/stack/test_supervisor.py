"""The supervisor with small processes in Airflow's place, and a real PostgreSQL, SFTP server and file system.

Whole stacks are started by the tests of a day; here it is about what is started, healed and ended.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from freightsync.settings import Settings
from freightsync.stack import StackError, control, databases, services
from freightsync.stack.home import Home, read_json
from freightsync.stack.processes import Identity

SMALL = Path(__file__).parent / "small_stack.py"


@contextlib.contextmanager
def home_of_a_small_stack():
    """A home whose supervisor runs `small_stack.py`; whatever happens, nothing of it is left."""
    base = Path(tempfile.mkdtemp(prefix="freightsync-stack-"))
    base.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FREIGHTSYNC_HOME", str(base / "home"))
        patch.setattr(control, "SUPERVISOR", (sys.executable, str(SMALL)))
        settings = Settings.load()
        yield settings
        control.down(settings)
        control.destroy_database(settings)
    shutil.rmtree(base)


@pytest.fixture
def stack():
    with home_of_a_small_stack() as settings:
        yield settings


@pytest.fixture(scope="module")
def running():
    """One that is up, shared by the tests that leave it as it was."""
    with home_of_a_small_stack() as settings:
        yield control.up(settings)


def pids(settings):
    return {service.name: service.pid for service in control.status(settings).services}


def still_alive(pids_by_name):
    return [name for name, pid in pids_by_name.items() if Identity.of(pid)]


def answer(settings):
    return services.get(f"{settings.airflow_url}/")


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def rows(settings):
    with psycopg.connect(settings.dsn("owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.kept (x int)")
        connection.execute("INSERT INTO public.kept VALUES (1)")
        return connection.execute("SELECT count(*) FROM public.kept").fetchone()[0]


def test_down_while_it_starts(stack, monkeypatch):
    monkeypatch.setenv("SMALL_STACK_SLOW", "60")
    home = Home.of(stack)
    home.make()
    starting = subprocess.Popen([sys.executable, str(SMALL), "supervise"], cwd=home.project)
    wait_for(lambda: read_json(home.state).get("services", {}).get("web", {}).get("pid"))
    web = read_json(home.state)["services"]["web"]["pid"]
    assert control.down(stack)
    assert starting.wait(10) == 0
    assert Identity.of(web) is None


def test_what_cannot_start_is_told_with_its_log_and_nothing_is_left(stack, monkeypatch):
    monkeypatch.setenv("SMALL_STACK_BROKEN", "the disk is on fire")
    with pytest.raises(StackError, match="the disk is on fire"):
        control.up(stack)
    assert control.status(stack).phase == "failed"
    assert databases.embedded(Home.of(stack)).pid() is None
    monkeypatch.delenv("SMALL_STACK_BROKEN")
    assert control.up(stack)


def test_a_second_up_changes_nothing_and_is_quick(running):
    before = pids(running)
    assert None not in before.values()
    began = time.monotonic()
    assert control.up(running) == running
    assert time.monotonic() - began < 5
    assert pids(running) == before


def test_what_is_killed_comes_back(running):
    settings = running
    kept = rows(settings)
    before = pids(settings)
    for name in ("web", "sftp", "postgresql"):
        os.kill(before[name], signal.SIGKILL)
    wait_for(lambda: all(service.state == "running" and service.pid for service in control.status(settings).services))
    after = pids(settings)
    assert {name for name in before if before[name] != after[name]} == {"web", "sftp", "postgresql"}
    wait_for(lambda: answer(settings) is not None)
    assert rows(settings) == kept + 1


def test_secrets_are_for_the_owner_alone(running):
    home = Home.of(running)
    assert home.secrets.stat().st_mode & 0o777 == 0o700
    private = [*home.secrets.iterdir(), home.run / "sandbox.json", home.run / "sftp.json"]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    users = json.loads((home.secrets / "users.json").read_text())
    assert len({user["password"] for user in users.values()}) == len(users) == 5


def test_the_running_stacks_own_role_cannot_change_the_books(running):
    with psycopg.connect(running.dsn("app"), autocommit=True) as connection:
        books = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('effects', 'landing')"
        ).fetchall()
        assert len(books) > 5
        for (table,) in books:
            column = connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attidentity = ''",
                (table,),
            ).fetchone()[0]
            for statement in (
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} ADD extra int",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_nothing_listens_beyond_loopback(running):
    mine = {pid for pid in pids(running).values() if pid}
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in mine]
    assert listening
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert urllib.request.urlopen(running.airflow_url, timeout=5).status == 200


def test_a_life(stack):
    shown = []
    with ThreadPoolExecutor(2) as pool:  # two at once start one stack
        first = pool.submit(control.up, stack, progress=shown.append)
        second = pool.submit(control.up, stack)
        settings = first.result()
        assert second.result() == settings
    assert {step["state"] for step in shown if step["seconds"] is not None} == {"done"}
    rows(settings)
    before = pids(settings)

    assert control.down(stack)
    assert control.status(stack).phase == "stopped"
    assert still_alive(before) == []
    assert control.down(stack) is False

    again = control.up(stack)  # the same secrets, ports and rows
    assert again == settings
    assert rows(again) == 2
    home = Home.of(stack)
    (home.sftp / "nrdf" / "inbound" / "old.edi").write_text("old")
    (home.sandbox / "books.sqlite").write_text("old")

    control.down(stack)
    settings = control.up(stack, fresh=True)
    assert rows(settings) == 1
    assert not (home.sftp / "nrdf" / "inbound" / "old.edi").exists()
    assert not (home.sandbox / "books.sqlite").exists()

    # killed: up heals, with the rows and without an orphan
    before = pids(settings)
    worker = psutil.Process(before["web"]).children()[0]
    os.kill(before["supervisor"], signal.SIGKILL)
    again = control.up(stack)
    assert again == settings
    assert still_alive(before) == []
    assert Identity.of(worker.pid) is None
    assert rows(again) == 2

    # killed: down ends what is left
    before = pids(again)
    os.kill(before["supervisor"], signal.SIGKILL)
    assert control.down(stack)
    assert still_alive(before) == []
