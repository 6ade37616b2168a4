"""`freightsync report`: writes the reconciliation workbook, as the DAG does every morning."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser(
        "report",
        help="write the reconciliation workbook",
        description="Write the reconciliation workbook from the marts as they are and the ERP's trial balance. "
        "Exit code 0 if every line ties out, 1 if one does not.",
    )
    report.add_argument("--day", type=date.fromisoformat, help="the business day, YYYY-MM-DD; today if not given")
    report.add_argument("--out", type=Path, help="where to; <home>/reports/ if not given")
    report.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.reports import make_report
    from freightsync.settings import Settings, SettingsError

    try:
        written = make_report(Settings.load(), datetime.now(UTC), arguments.day, arguments.out)
    except (FreightsyncError, SettingsError, OSError) as error:
        print(f"freightsync report: {error}", file=sys.stderr)
        return 2
    print(written.path)
    for what, difference in written.tie_outs.items():
        if difference:
            print(f"DIFFERENCE {difference}: {what}")
    return 1 if written.differences else 0
