"""LocalExecutor as this project needs it.

Set `AIRFLOW__CORE__EXECUTOR=freightsync_airflow.executor.PreloadingLocalExecutor` (the plugins folder is on the path of
every component).
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
import time
from typing import TYPE_CHECKING

from airflow.executors.local_executor import LocalExecutor
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

log = logging.getLogger(__name__)

PRELOADED = (
    # what every task's process imports before it reaches our code
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.python",
    # what our tasks import
    "psycopg",
    "psycopg.types.json",
    "httpx",
    "pandas",
    "freightsync_airflow.stages",
    "freightsync.pipelines.whole",
    "freightsync.landing.collecting",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "dbt.task.build",
    "dbt.task.test",
    "great_expectations",
)

BULK_NICENESS = 12


class PreloadingLocalExecutor(LocalExecutor):
    """LocalExecutor whose workers are forked with the heavy imports done, and without the deferral race.

    *Preload.* Every task runs in a fresh fork of a worker: what the worker has not imported, each task imports again
    (dbt 2 s, Great Expectations 4 s, Airflow's own task runner 1 s on two cores). Workers are forks of the scheduler,
    so importing once there serves all of them, at copy-on-write cost. dbt builds most of its machinery when first used:
    one harmless use before the fork halves what each build costs (1.5 to 0.8 s of CPU). What lives then is put out of
    the garbage collector's sight, so that no fork walks or copies it. Only where processes are forked (Linux).

    *Deferral race.* A task that was deferred and is resumed has the same key and try number as before. The scheduler
    may read the parking worker's late "success" only then, and fails the resumed task as "finished, but its state says
    scheduled". A task instance that carries `next_method` is a resumed one: it is ours, not lost.
    """

    def start(self) -> None:
        if self.is_mp_using_fork:
            preload()
            from freightsync_airflow import stages

            stages.niceness = BULK_NICENESS
        super().start()

    def has_task(self, task_instance: TaskInstance) -> bool:
        if super().has_task(task_instance):
            return True
        return task_instance.next_method is not None and task_instance.state in (
            TaskInstanceState.SCHEDULED,
            TaskInstanceState.QUEUED,
            TaskInstanceState.RUNNING,
        )


def preload() -> dict[str, float]:
    """Imports what tasks import; returns seconds by module. What is missing is left for the task to complain about."""
    took: dict[str, float] = {}
    for name in PRELOADED:
        started = time.perf_counter()
        try:
            importlib.import_module(name)
        except ImportError:
            log.warning("could not preload %s: its tasks will import it themselves", name)
        took[name] = time.perf_counter() - started
    took["dbt, used once"] = _use_dbt()
    gc.collect()
    gc.freeze()
    log.info("preloaded %d modules in %.1f s", len(sys.modules), sum(took.values()))
    return took


def _use_dbt() -> float:
    """Lists the project once, without touching the database; returns its seconds."""
    started = time.perf_counter()
    try:
        from freightsync.pipelines import build
        from freightsync.settings import settings

        build.warm(settings())
    except Exception:  # whatever it is, the first build says it better, with a task to its name
        log.warning("dbt could not be warmed up: each build will do it for itself", exc_info=True)
    return time.perf_counter() - started
