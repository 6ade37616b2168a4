"""A build of ours leaves out much of what dbt does around a model: what is rendered and run must be what plain dbt
renders and runs, in a process of its own with the whole project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shaped import AS_OF, ShapedWarehouse
from small_world import FACTS, MASTERS

from freightsync import rules
from freightsync.domain.errors import PermanentError
from freightsync.effects import runs
from freightsync.pipelines import build
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

SELECTED = ("tag:shipments", "tag:settlement")
PLAIN = """
import json, shutil, sys
from dbt.cli.main import dbtRunner

target, *commands = json.loads(sys.argv[1])
for command in commands:
    for kind in ("compiled", "run"):
        shutil.rmtree(f"{target}/{kind}", ignore_errors=True)
    if not dbtRunner().invoke(command).success:
        sys.exit(1)
"""


@pytest.fixture
def claimed(shaped: ShapedWarehouse) -> tuple[ShapedWarehouse, str]:
    """A world of which a part has come again, and the run that is to look at it."""
    shaped.admit([*MASTERS, *FACTS])
    shaped.settle_down()
    claim(shaped, "again", "tms:S1", "tms:S6")
    return shaped, "again"


def claim(shaped: ShapedWarehouse, run_id: str, *shipments: str) -> None:
    with connect(shaped.settings.dsn("app"), application_name="test") as conn:
        for consumer in ("ingest_shipment_events", "settle_freight"):
            for shipment in shipments:
                shaped.touch(consumer, "shipment", shipment)
            runs.claim(conn, consumer, run_id, AS_OF)
        conn.commit()


def written(target: Path) -> dict[str, str]:
    """What dbt left of each model: the query, and the statements that it ran. Ids have no order."""

    def in_order(ids: re.Match[str]) -> str:
        return f"any(array[{', '.join(sorted(ids[1].split(', ')))}]::text[])"

    found = {
        str(path.relative_to(target)): path.read_text()
        for kind in ("compiled", "run")
        for path in sorted((target / kind / "freightsync" / "models").rglob("*.sql"))
    }
    return {
        name: re.sub(r"any\(array\[(.*?)\]::text\[\]\)", in_order, re.sub(r"\s+", " ", text)).strip()
        for name, text in found.items()
    }


def plainly(shaped: ShapedWarehouse, target: Path, *commands: list[str]) -> dict[str, str]:
    """What dbt as it comes leaves of the last of these commands."""
    settings = shaped.settings
    places = {"project": settings.dbt_project, "profiles": settings.dbt_project}
    common = [f"--{name}-dir={place}" for name, place in places.items()]
    common += [f"--target-path={target}", f"--log-path={target}"]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, json.dumps([str(target), *(["--quiet", *one, *common] for one in commands)])],
        env={**os.environ, **settings.dbt_environment()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return written(target)


@pytest.fixture
def plain(warehouse: Any, tmp_path: Path) -> Iterator[tuple[ShapedWarehouse, str, dict[str, str]]]:
    """A world that only plain dbt has built, the run that is to look at a part of it, and what plain dbt made of that:
    no build of ours may hide from the comparison by having made what it is compared with."""
    shaped, run_id = ShapedWarehouse(warehouse.owner, warehouse.settings()), "again"
    rules.load(warehouse.owner)
    shaped.admit([*MASTERS, *FACTS])
    claim(shaped, "before", "tms:S2")
    claim(shaped, run_id, "tms:S1", "tms:S6")  # which takes over what that one did not finish
    variables = json.dumps({"run_id": run_id, "as_of": AS_OF.isoformat()})
    scoped = ["run", "--vars", variables, "--select", *SELECTED]
    # what is stored is written otherwise than what is new: the second time all of it is stored
    yield (
        shaped,
        run_id,
        plainly(shaped, tmp_path, ["seed"], ["run", "--select", *(f"+{tag}" for tag in SELECTED)], scoped, scoped),
    )
    shaped.close()


@pytest.mark.timeout(600)
def test_builds_render_and_run_what_plain_dbt_does(plain: tuple[ShapedWarehouse, str, dict[str, str]]) -> None:
    shaped, run_id, expected = plain
    assert len(expected) > 30
    assert all(f"'{run_id}'" in text for name, text in expected.items() if "/scope_" in name)
    assert any(
        "= any(array['tms:S1', 'tms:S2', " in text for text in expected.values()
    )  # ids are asked for and written in
    # parsed for another database, and nothing that a process remembers of an earlier run may show in the next one
    database = shaped.conn.info.dbname
    build.load_manifest(Settings.load(dbt_dsn=shaped.settings.dsn("dbt").replace(database, "another_one")))
    for each in ("before", run_id):
        failed = None
        try:
            build.run_dbt("run", SELECTED, shaped.settings, run_id=each, as_of=AS_OF, directory=f"quick {each}")
        except PermanentError as error:
            failed = error  # by what it wrote wrongly, to begin with
        found = written(shaped.settings.home / "dbt" / f"quick {each}")
        if each == run_id or failed:
            assert {name: text for name, text in found.items() if text != expected.get(name)} == {}
        assert failed is None
    assert found.keys() == expected.keys()


def test_a_build_opens_a_connection_a_thread_and_leaves_none(claimed: tuple[ShapedWarehouse, str]) -> None:
    shaped, run_id = claimed

    def sessions() -> int:
        shaped.conn.execute("select pg_stat_force_next_flush()")
        (row,) = shaped.rows("select sessions from pg_stat_database where datname = current_database()")
        return int(row["sessions"])

    before = sessions()
    built = build.run_dbt("run", SELECTED, shaped.settings, run_id=run_id, as_of=AS_OF, directory="quick", threads=2)
    assert len(built.nodes) > 15
    # two threads, the one that asks what is there, one that looks for schemas, and our own for statistics
    assert sessions() - before <= 6
    left = "select pid from pg_stat_activity where usename = 'freightsync_dbt' and datname = current_database()"
    # the server ends a backend a moment after its client left
    ends = time.monotonic() + 20
    while shaped.rows(left) and time.monotonic() < ends:
        time.sleep(0.05)
    assert shaped.rows(left) == []


def test_of_events_only_those_that_somebody_hears_are_made(
    claimed: tuple[ShapedWarehouse, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt_common.events import event_manager

    shaped, run_id = claimed
    made: Counter[str] = Counter()
    make = event_manager.msg_from_base_event

    def counted(event: Any, level: Any = None) -> Any:
        made[type(event).__name__] += 1
        return make(event, level)

    monkeypatch.setattr(event_manager, "msg_from_base_event", counted)
    built = build.run_dbt("run", SELECTED, shaped.settings, run_id=run_id, as_of=AS_OF, directory="quick heard")
    assert made["LogModelResult"] == len(built.nodes)
    assert not {"SQLQuery", "SQLQueryStatus", "ConnectionUsed", "CacheAction"} & made.keys()
    (log,) = (shaped.settings.log_directory / "dbt" / "quick heard").glob("*.log")
    assert log.read_text().count("OK created") == len(built.nodes)


def test_after_a_model_that_failed_its_connection_is_as_new(claimed: tuple[ShapedWarehouse, str]) -> None:
    shaped, run_id = claimed
    with connect(shaped.settings.dsn("dbt"), application_name="test") as conn:
        conn.execute("delete from canonical.leg")
        conn.execute("alter table canonical.leg add constraint none_at_all check (leg < 0)")
        conn.commit()
        with pytest.raises(PermanentError, match="none_at_all"):
            build.run_dbt("run", SELECTED, shaped.settings, run_id=run_id, as_of=AS_OF, directory="quick", threads=1)
        conn.execute("alter table canonical.leg drop constraint none_at_all")
        conn.commit()
    built = build.run_dbt("run", SELECTED, shaped.settings, run_id=run_id, as_of=AS_OF, directory="quick", threads=1)
    assert {node.status for node in built.nodes} == {"success"}
    # S7 has a reference in common with S6
    legs = shaped.rows("select distinct shipment_id from canonical.leg order by 1")
    assert [row["shipment_id"] for row in legs] == ["tms:S1", "tms:S6", "tms:S7"]
