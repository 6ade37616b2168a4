"""`freightsync period status | close | reopen | report`: posting periods, without Airflow."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "posting periods: what stands between one and its closing"
    period = commands.add_parser("period", help=about, description=f"The close: {about}.")
    actions = period.add_subparsers(title="actions", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what is open, as of the last comparison")
    status.add_argument("period", nargs="?", metavar="YYYY-MM", help="one period only")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=run_status)
    closing = actions.add_parser("close", help="check, roll forward, tie out, sign, lock")
    opening = actions.add_parser("reopen", help="open a closed period again, here and in the ERP")
    for each in (closing, opening):
        each.add_argument("period", metavar="YYYY-MM", help="the month")
        each.add_argument("--by", default=None, metavar="NAME", help="who asks (default: the user logged in)")
        each.add_argument("--approved-by", required=True, metavar="NAME", help="another person, with the right to it")
        each.add_argument("--run-id", default=None, help="default: a new one")
    closing.add_argument(
        "--as-of", type=datetime.fromisoformat, help="look as of this time (ISO 8601 with offset); default: now"
    )
    closing.add_argument("--note", default="", metavar="TEXT", help="kept with the signature")
    opening.add_argument("--note", required=True, metavar="TEXT", help="why, kept with the signature")
    closing.set_defaults(run=run_close)
    opening.set_defaults(run=run_reopen)
    report = actions.add_parser("report", help="the workbook of a closed period")
    report.add_argument("period", metavar="YYYY-MM", help="the month")
    report.add_argument("--to", type=Path, metavar="FILE", help="where to (default: its own name, here)")
    report.set_defaults(run=run_report)


def run_status(arguments: argparse.Namespace) -> int:
    from freightsync.pipelines import closing
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("report"), application_name="freightsync period") as conn:
        periods = conn.execute(
            """select period, status, changed_by, changed_at, note from effects.period
               where %(p)s::text is null or period = %(p)s order by period""",
            {"p": arguments.period},
        ).fetchall()
        found = closing.checks(conn, arguments.period)
    if arguments.json:
        keys = ("period", "status", "changed_by", "changed_at", "note")
        document = {
            "periods": [dict(zip(keys, row, strict=True)) for row in periods],
            "checks": [asdict(check) for check in found],
        }
        print(json.dumps(document, default=str, indent=1))
        return 0
    for name, status, by, at, note in periods:
        print(f"{name}  {status} by {by} at {at:%Y-%m-%d %H:%M} UTC  {note}".rstrip())
    for check in found:
        if check.state != "ok":
            print(f"{check.period}  {check.words()}")
    blocked = {check.period for check in found if check.state == "blocked"}
    for name in sorted({check.period for check in found} - blocked):
        print(f"{name}  nothing blocks")
    return 0


def run_close(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError, TransientError
    from freightsync.pipelines import closing
    from freightsync.settings import Settings

    try:
        closed = closing.close(
            arguments.period,
            arguments.run_id or _run_id(),
            Settings.load(),
            by=arguments.by or getpass.getuser(),
            approved_by=arguments.approved_by,
            note=arguments.note,
            as_of=arguments.as_of,
        )
    except (FreightsyncError, ValueError) as error:
        print(f"freightsync period: {error}", file=sys.stderr)
        return 75 if isinstance(error, TransientError) else 1
    print(f"{closed.period} closed, sign-off {closed.sign_off_id}, report {closed.report_name}")
    return 0


def run_reopen(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError, TransientError
    from freightsync.pipelines import closing
    from freightsync.settings import Settings

    try:
        signed = closing.reopen(
            arguments.period,
            arguments.run_id or _run_id(),
            Settings.load(),
            by=arguments.by or getpass.getuser(),
            approved_by=arguments.approved_by,
            note=arguments.note,
        )
    except FreightsyncError as error:
        print(f"freightsync period: {error}", file=sys.stderr)
        return 75 if isinstance(error, TransientError) else 1
    print(f"{signed.period} open again, sign-off {signed.sign_off_id}")
    return 0


def run_report(arguments: argparse.Namespace) -> int:
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("report"), application_name="freightsync period") as conn:
        row = conn.execute(
            "select name, content from effects.closing_report where period = %s order by report_id desc limit 1",
            (arguments.period,),
        ).fetchone()
    if row is None:
        print(f"freightsync period: {arguments.period} has no closing report", file=sys.stderr)
        return 1
    path = arguments.to or Path(row[0])
    path.write_bytes(row[1])
    print(path)
    return 0


def _run_id() -> str:
    return f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:6]}"
