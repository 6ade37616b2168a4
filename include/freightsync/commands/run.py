"""`freightsync run CONSUMER`: one pipeline from landing to applied effects, without Airflow."""

from __future__ import annotations

import argparse
import logging
import sys
import uuid
from datetime import UTC, datetime

from freightsync.domain.errors import FreightsyncError, TransientError
from freightsync.settings import Settings, SettingsError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run one pipeline now, without Airflow",
        description="Runs one pipeline once: fetch, gate, build, plan, apply. Safe beside the scheduled runs: one "
        "run of a pipeline is at work at a time. Exit code 1 for a failure that a person must look at, 75 for one "
        "that may pass.",
    )
    parser.add_argument("consumer", metavar="PIPELINE", help="name of its DAG, or `list`")
    parser.add_argument("--run-id", help="default: a new one; the id of a run that died continues it")
    parser.add_argument("--as-of", type=_moment, help="decide as of this time (ISO 8601 with offset); default: now")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the pipeline and says in words what it did."""
    from freightsync.pipelines import whole
    from freightsync.pipelines.table import PIPELINES

    if arguments.consumer == "list":
        for name in whole.CONSUMERS:
            pipeline = PIPELINES.get(name)
            print(f"{name:26} {pipeline.summary if pipeline else ''}".rstrip())
        return 0
    if arguments.consumer not in whole.CONSUMERS:
        print(f"no pipeline {arguments.consumer!r}; known: {', '.join(whole.CONSUMERS)}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    run_id = arguments.run_id or f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:6]}"
    try:
        ran = whole.run_pipeline(arguments.consumer, run_id, arguments.as_of, Settings.load())
    except (FreightsyncError, SettingsError) as error:
        print(f"{arguments.consumer}: {error}", file=sys.stderr)
        return 75 if isinstance(error, TransientError) else 1
    print(f"{arguments.consumer} {run_id}")
    for line in ran.words:
        print(f"  {line}")
    return 0


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("give an offset, as in 2026-03-02T18:00:00+00:00")
    return moment
