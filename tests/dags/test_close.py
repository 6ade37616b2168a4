"""A period's closing as a DAG on real books: parked until a person signs, an answer that does not count asked again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from deployed import copied, shaped_template, take_parsed
from partners_running import Partners, running

__all__ = ["shaped_template"]

pytestmark = [pytest.mark.timeout(900)]

DAGS = Path(__file__).resolve().parents[2] / "dags"
NOW = datetime.now(UTC)
PERIOD = f"{NOW.year - 1}-03"
"""Long past its cut-offs."""


class World:
    def __init__(self, erp: Partners, dsn: str) -> None:
        self.erp = erp
        self.dsn = dsn

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def look_everywhere(self) -> None:
        from freightsync.pipelines import stages
        from freightsync.pipelines.table import PIPELINES
        from freightsync.warehouse.connection import connect

        with connect(self.dsn) as conn:
            for consumer in PIPELINES:
                stages.begin(conn, consumer, f"look {time.monotonic()}", NOW)
                conn.execute("update ops.run set finished_at = now() where finished_at is null")
            conn.commit()

    def run(self, name: str, *answers: tuple[str, str], **conf: str) -> dict[str, str]:
        """Runs a DAG; whoever is asked gives these (person, answer) one after the other. States by task."""
        from airflow.dag_processing.dagbag import DagBag

        dag = DagBag(DAGS / f"{name}.py").dags[name]
        ended = threading.Event()
        with ThreadPoolExecutor(1) as other:
            answering = other.submit(answer, dag.dag_id, list(answers), ended)
            try:
                ran = dag.test(run_after=datetime.now(UTC), run_conf=conf or None)
            finally:
                ended.set()
            answering.result(30)
        return {instance.task_id: str(instance.state) for instance in ran.get_task_instances()}


def answer(dag_id: str, answers: list[tuple[str, str]], ended: threading.Event) -> None:
    """As the REST API does it: the answer is written down, and the parked task goes on with it."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    while answers and not ended.is_set():
        time.sleep(0.2)
        with create_session() as session:
            parked = (
                session.query(TaskInstance)
                .filter_by(dag_id=dag_id, state=TaskInstanceState.AWAITING_INPUT)
                .one_or_none()
            )
            if parked is None:
                continue
            detail = session.get(HITLDetail, parked.id)
            if detail is None or detail.responded_at is not None:
                continue
            person, option = answers.pop(0)
            detail.responded_by = {"id": person, "name": person}
            detail.responded_at = datetime.now(UTC)
            detail.chosen_options = [option]
            detail.params_input = {"note": "looks right"}
            session.add(detail)
            handle_event_submit(TriggerEvent(detail.as_resume_event_payload()), task_instance=parked, session=session)


@pytest.fixture(scope="module")
def world(
    postgres_server: Any, shaped_template: str, tmp_path_factory: pytest.TempPathFactory, airflow_database: None
) -> Iterator[World]:
    from freightsync import settings as module

    place = tmp_path_factory.mktemp("closing")
    take_parsed(place / "home")
    patch = pytest.MonkeyPatch()
    with running(place / "books") as erp, copied(postgres_server, shaped_template) as deployed:
        for role in ("owner", "app", "dbt", "report"):
            patch.setenv(f"FREIGHTSYNC_{role.upper()}_DSN", deployed.settings.dsn(role))
        patch.setenv("FREIGHTSYNC_HOME", str(place / "home"))
        patch.setenv("FREIGHTSYNC_PARTNERS", json.dumps(erp.settings()))
        module.settings.cache_clear()
        yield World(erp, deployed.settings.dsn("app"))
    patch.undo()
    module.settings.cache_clear()


LINES = [
    {"account": "6100", "debit": "12.00", "credit": "0.00"},
    {"account": "2150", "debit": "0.00", "credit": "12.00"},
]


def test_a_period_is_closed_by_a_run_and_a_person(world: World) -> None:
    # nobody has looked at the feeds since their cut-offs
    assert world.run("close_period", period=PERIOD)["readiness"] == "failed"
    world.look_everywhere()

    # a journal of the ERP's people blocks the tie-out and is named
    number = world.erp.control("ledger", do="manual", posted_on=f"{PERIOD}-30", currency="USD", lines=LINES)["number"]
    states = world.run("close_period", period=PERIOD)
    assert (states["readiness"], states["roll_forward"], states["tie_out"]) == ("success", "success", "failed")
    from freightsync.pipelines import drift
    from freightsync.warehouse.connection import connect

    with connect(world.dsn) as conn:
        proposal = drift.propose(conn, number, "adopt", by="olga", note="pallet fees")
        drift.approve(conn, proposal, by="controller", at=NOW)
        conn.commit()
    assert set(world.run("reconcile_ledger").values()) == {"success"}
    world.look_everywhere()

    # who started the run may not sign, nor whoever has no right to it; both are asked again
    states = world.run(
        "close_period", ("dag_test", "Approve"), ("steward", "Approve"), ("finance", "Approve"), period=PERIOD
    )
    assert set(states.values()) == {"success"}, states
    signed = "select requested_by, approved_by, role, note from effects.period_sign_off"
    assert world.query(signed) == [("dag_test", "finance", "finance_approver", "looks right")]
    assert world.query(f"select status from effects.period where period = '{PERIOD}'") == [("closed",)]
    assert {one["period"]: one["status"] for one in world.erp.get("periods")["items"]} == {PERIOD: "locked"}
    ((name, size),) = world.query("select name, length(content) from effects.closing_report")
    assert name.startswith(f"closing-{PERIOD}")
    assert size > 5000
    # closed is closed
    assert world.run("close_period", period=PERIOD)["readiness"] == "failed"


@pytest.mark.long
def test_a_no_leaves_the_period_open(world: World) -> None:
    period = f"{NOW.year - 1}-04"
    world.look_everywhere()
    states = world.run("close_period", ("finance", "Reject"), period=period)
    assert states["sign_off"] == "failed"
    assert states["lock"] == "upstream_failed"
    assert world.query(f"select count(*) from effects.period_sign_off where period = '{period}'") == [(0,)]
