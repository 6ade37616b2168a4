"""`freightsync revalue PERIOD`: items open in foreign currency at a period's closing rate."""

from __future__ import annotations

import argparse
import getpass
import sys
import uuid
from datetime import UTC, datetime

from freightsync.domain.errors import FreightsyncError, TransientError
from freightsync.settings import Settings, SettingsError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "revalue",
        help="value a period's items open in foreign currency",
        description="Values what is open in foreign currency at the end of a period at its closing rate, and takes "
        "that back on the first day of the next one. Safe to repeat: only what differs is posted. Exit code 1 where an "
        "item waits for a rate or a person must look, 75 for a failure that may pass.",
    )
    parser.add_argument("period", metavar="PERIOD", help="a month that is not closed, as 2026-03")
    parser.add_argument("--by", default=None, metavar="NAME", help="who asks (default: the user logged in)")
    parser.add_argument("--note", default="", metavar="TEXT", help="why, kept with the request")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Says what was posted and which items wait, with their reasons."""
    from freightsync.pipelines import revaluing

    run_id = f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:6]}"
    by = arguments.by or getpass.getuser()
    try:
        done = revaluing.revalue(arguments.period, run_id, Settings.load(), by=by, note=arguments.note)
    except (FreightsyncError, SettingsError) as error:
        print(f"revalue: {error}", file=sys.stderr)
        return 75 if isinstance(error, TransientError) else 1
    print(done.words())
    for item in done.waiting:
        print(f"  {item.item}: {item.reason}", file=sys.stderr)
    return 1 if done.waiting else 0
