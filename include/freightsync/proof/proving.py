"""What stands before and after a played day: the truth written down first, the proof and the summary last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from freightsync.proof.compare import compare
from freightsync.proof.control import Airflow, ControlError, Sandbox
from freightsync.proof.day import Played
from freightsync.proof.latency import pod_to_invoice
from freightsync.proof.outcome import actual, complete, without_resent
from freightsync.proof.summary import Facts, summarise, write_summary
from freightsync.reports.explain import beside
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

REPORT_SECONDS = 300.0

_TASKS = """
select dag_id || '.' || task_id as task, count(*) as runs, round(sum(duration)::numeric, 1)::text as seconds
  from task_instance
 where start_date >= %s and duration is not null
 group by 1
 order by sum(duration) desc
"""


def generate(seed: int, orders: int, directory: Path) -> Path:
    """Writes scenario.json and truth.json; the truth is there before anything runs. Returns the scenario's path.
    Raises ValueError where a day can't be of that size; then what an earlier day left stays."""
    from freightsync.sandbox import scenario

    made = scenario.generate(seed, orders)
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "scenario.json", "truth.json"):
        # what an earlier day left must not pass for this one's
        (directory / name).unlink(missing_ok=True)
    made.write(directory)
    return directory / "scenario.json"


def finish(
    settings: Settings,
    airflow: Airflow,
    sandbox: Sandbox,
    *,
    truth: Mapping[str, Any],
    played: Played,
    stages: dict[str, float],
    began: float,
    memory_mib: float | None,
    path: Path,
) -> dict[str, Any]:
    """Report, comparison, summary (written to path)."""
    started = time.monotonic()
    report, complaint = make_workbook(settings, airflow)
    stages["workbook"] = time.monotonic() - started
    started = time.monotonic()
    outcome = without_resent(truth, actual(settings), sandbox.log("resent"))
    comparison = compare(complete(truth), outcome)
    sent, committed = sandbox.log("pod_sent"), sandbox.log("committed")
    latency = pod_to_invoice(truth["pod"]["billable"], sent, committed)
    waiting = pod_to_invoice(truth["pod"].get("waiting", ()), sent, committed)
    stages["compared"] = time.monotonic() - started
    stages["total"] = time.monotonic() - began
    facts = Facts(
        seed=truth["seed"],
        orders=truth["orders"],
        stage_seconds={name: round(seconds, 1) for name, seconds in stages.items()},
        task_seconds=task_seconds(settings, played),
        urls={
            "Airflow": settings.airflow_url,
            "asset graph": f"{settings.airflow_url}/assets",
            "Data Docs": data_docs(settings),
            "invoices explained": explained_page(report),
        },
        report=report,
        memory_mib=None if memory_mib is None else round(memory_mib),
        not_quiet=[*played.not_quiet, *complaint],
        trouble=truth.get("trouble", {}),
        faults_met=Counter(f"{entry['partner']}_{entry['kind']}" for entry in sandbox.log("fault")),
    )
    with connect(settings.dsn("report"), application_name="freightsync proof") as connection:
        summary = summarise(
            connection, facts=facts, comparison=comparison, outcome=outcome, latency=latency, waiting=waiting
        )
    write_summary(summary, path)
    return summary


def make_workbook(settings: Settings, airflow: Airflow) -> tuple[str, list[str]]:
    """Has Airflow make the workbook, as finance would; its path, and what went wrong."""
    before = set((settings.home / "reports").glob("*.xlsx"))
    marks = {file: file.stat().st_mtime_ns for file in before}
    try:
        run = airflow.trigger("report_reconciliation")
        state = airflow.wait("report_reconciliation", run, REPORT_SECONDS)
    except ControlError as error:
        return "", [str(error)]
    made = [
        file
        for file in (settings.home / "reports").glob("*.xlsx")
        if file not in before or file.stat().st_mtime_ns != marks[file]
    ]
    newest = max(made, key=lambda file: file.stat().st_mtime_ns, default=None)
    complaint = [] if state == "success" and newest else [f"report_reconciliation ended {state}: no workbook to trust"]
    return ("" if newest is None else str(newest)), complaint


def explained_page(workbook: str) -> str:
    """Where the page that explains bills of this workbook is; empty where none was written."""
    page = beside(Path(workbook)) if workbook else None
    return page.as_uri() if page is not None and page.is_file() else ""


def task_seconds(settings: Settings, played: Played) -> dict[str, dict[str, object]]:
    """Runs and seconds of work by Airflow task since the day's start; empty where the metadata can't be read."""
    if settings.airflow_dsn is None:
        return {}
    # hundreds of runs: one query instead of a page of the REST API each
    with psycopg.connect(settings.dsn("airflow")) as connection:
        rows = connection.execute(_TASKS, (played.started_at,)).fetchall()
    return {task: {"runs": runs, "seconds": seconds} for task, runs, seconds in rows}


def data_docs(settings: Settings) -> str:
    """Where the Data Docs are; empty where none were written."""
    index = settings.home / "data_docs" / "index.html"
    return index.as_uri() if index.is_file() else ""
