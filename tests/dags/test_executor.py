"""The executor: heavy imports before workers fork; a resumed task is not taken for a lost one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

from freightsync_airflow.executor import PreloadingLocalExecutor

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def instance(state: TaskInstanceState, next_method: str | None) -> SimpleNamespace:
    key = ("a_dag", "a_task", "a_run", 1)
    return SimpleNamespace(id="1", key=key, state=state, next_method=next_method)


@pytest.mark.parametrize("state", [TaskInstanceState.SCHEDULED, TaskInstanceState.QUEUED, TaskInstanceState.RUNNING])
def test_a_resumed_task_is_ours_whatever_its_late_parking_says(state: TaskInstanceState) -> None:
    executor = PreloadingLocalExecutor(parallelism=1)
    resumed = instance(state, "resume")
    assert not LocalExecutor.has_task(executor, resumed)  # the race of the stock executor
    assert executor.has_task(resumed)


def test_a_task_that_nobody_parked_is_judged_as_ever() -> None:
    executor = PreloadingLocalExecutor(parallelism=1)
    assert not executor.has_task(instance(TaskInstanceState.RUNNING, None))
    assert not executor.has_task(instance(TaskInstanceState.FAILED, "resume"))


def test_everything_heavy_is_there_before_workers_fork() -> None:
    """In a process of its own: this one has imported it all."""
    code = (
        "import sys\n"
        "from freightsync_airflow.executor import preload\n"
        "preload()\n"
        "wanted = ['dbt.cli.main', 'dbt.adapters.postgres', 'great_expectations', 'psycopg', 'pandas',\n"
        "          'airflow.sdk.execution_time.task_runner', 'freightsync.pipelines.stages']\n"
        "print([name for name in wanted if name not in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PLUGINS, capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.strip().splitlines()[-1] == "[]", ran.stderr[-2000:]
