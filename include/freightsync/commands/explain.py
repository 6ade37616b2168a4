"""`freightsync explain`: why a carrier's bill was judged as it was, line by line, on a page to print or to send."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    explain = commands.add_parser(
        "explain",
        help="a carrier's bill explained line by line",
        description="Write a page that explains carriers' bills line by line: references tried, what was expected, the "
        "rule and its sum, where every cent goes, what was booked, exchange rates. Everything can be checked with a "
        "calculator.",
    )
    explain.add_argument(
        "bill", nargs="*", help="a bill's number, however spelt, or its id (NRDF:17); all of that number"
    )
    explain.add_argument("--carrier", metavar="SCAC", help="of this carrier only")
    explain.add_argument(
        "--examples",
        nargs="?",
        const=10,
        type=int,
        metavar="COUNT",
        help="instead: so many bills (10) that together show as many kinds of verdicts as can be",
    )
    explain.add_argument("--out", type=Path, help="where to; <home>/reports/ if not given")
    explain.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.reports.explain import explain_bills, explain_examples
    from freightsync.settings import Settings, SettingsError

    if bool(arguments.bill) == (arguments.examples is not None):
        print("freightsync explain: name bills, or ask for --examples", file=sys.stderr)
        return 2
    try:
        settings, now = Settings.load(), datetime.now(UTC)
        if arguments.examples is not None:
            path = explain_examples(settings, as_of=now, count=arguments.examples, path=arguments.out)
        else:
            path = explain_bills(settings, arguments.bill, as_of=now, scac=arguments.carrier, path=arguments.out)
    except (FreightsyncError, SettingsError, OSError) as error:
        print(f"freightsync explain: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0
