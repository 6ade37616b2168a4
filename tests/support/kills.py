"""Killing processes of a stack at chosen points, by lock and not by luck.

A table is locked so that the next process to reach the point waits there, seen in pg_stat_activity; then the victim is
killed with SIGKILL and the lock is let go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Literal

import psutil
import psycopg

from freightsync import stack
from freightsync.settings import Settings
from freightsync.warehouse.embedded import replace_database

Point = Literal["committed_not_acknowledged", "inside_apply", "during_dbt"]
Victim = Literal["task", "scheduler", "postgresql"]

_DBT_TABLES = """
select format('%I.%I', schemaname, tablename) from pg_tables
 where schemaname in ('canonical', 'decisions', 'desired') order by 1
"""

_WAITING = """
select pid, client_port, usename, query from pg_stat_activity
 where pg_backend_pid() = any(pg_blocking_pids(pid)) and client_port > 0
 order by query_start
"""

_SENT_UNANSWERED = """
select count(*) from ops.outbox_pending p
 where (select o.outcome from effects.outcome o where o.outbox_id = p.outbox_id
         order by o.outcome_id desc limit 1) = 'sending'
"""


class NotReached(Exception):
    """Nobody came to the point in time: the day was over, or the point is not where it is thought to be."""


def kill_at(settings: Settings, point: Point, victim: Victim, *, seconds: float = 240) -> str:
    """Waits until a process of the stack is at the point, kills the victim, and says what was hit.

    Raises NotReached where nobody came in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # the warehouse may be coming back from the kill before
        with contextlib.suppress(psycopg.OperationalError):
            said = _try(settings, point, victim)
            if said:
                return said
        time.sleep(0.3)
    raise NotReached(f"{point} for {victim} in {seconds:.0f} s")


def _try(settings: Settings, point: Point, victim: Victim) -> str:
    assert settings.admin_dsn is not None
    database = psycopg.conninfo.conninfo_to_dict(settings.dsn("owner"))["dbname"]
    admin = replace_database(settings.admin_dsn.get_secret_value(), str(database))
    with psycopg.connect(admin) as locker, psycopg.connect(admin, autocommit=True) as seer:
        if point == "during_dbt":
            tables = [name for (name,) in seer.execute(_DBT_TABLES)]
        else:
            tables = ["effects.movement", "effects.state"] if point == "inside_apply" else ["effects.outcome"]
        if not tables:
            return ""
        locker.execute(f"lock table {', '.join(tables)} in share mode")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            waiting = _first(seer, locker.info.backend_pid)
            if waiting is not None:
                port, role, query = waiting
                if point == "during_dbt" and role != "freightsync_dbt":
                    return ""
                if point == "committed_not_acknowledged" and not _one(seer, _SENT_UNANSWERED):
                    # it waits to write that it is about to send: not there yet
                    return ""
                return f"{victim} killed {point}: {_kill(settings, victim, port)} while: {query[:120]}"
            time.sleep(0.02)
    return ""


def _first(seer: psycopg.Connection[Any], locker: int) -> tuple[int, str, str] | None:
    rows = seer.execute(_WAITING.replace("pg_backend_pid()", str(int(locker)))).fetchall()
    return None if not rows else (rows[0][1], rows[0][2], rows[0][3])


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _kill(settings: Settings, victim: Victim, client_port: int) -> str:
    find: dict[Victim, Callable[[], int]] = {
        "task": lambda: _holder_of(client_port),
        "scheduler": lambda: _service(settings, "scheduler"),
        "postgresql": lambda: _service(settings, "postgresql"),
    }
    pid = find[victim]()
    os.kill(pid, signal.SIGKILL)
    return f"pid {pid}"


def _holder_of(port: int) -> int:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections(kind="tcp"):
                if connection.laddr.port == port and connection.status == psutil.CONN_ESTABLISHED:
                    assert process.pid != os.getpid()
                    return int(process.pid)
    raise NotReached(f"nobody holds port {port}")


def _service(settings: Settings, name: str) -> int:
    [pid] = [service.pid for service in stack.status(settings).services if service.name == name]
    assert pid is not None
    return pid
