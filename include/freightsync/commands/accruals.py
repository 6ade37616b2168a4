"""`freightsync accruals list | propose | approve | refuse`: accruals that nobody billed, and their release."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import uuid
from dataclasses import asdict
from datetime import UTC, datetime


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "accruals that nobody billed within the policy's time, and their release"
    accruals = commands.add_parser("accruals", help=about, description=f"Leftovers: {about}. It needs two people.")
    actions = accruals.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="as of the last comparison, oldest first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    proposing = actions.add_parser("propose", help="propose all that are due for release")
    proposing.add_argument("--by", default=None, metavar="NAME", help="who proposes (default: the user logged in)")
    proposing.set_defaults(run=run_propose)
    for name, words in (("approve", "release"), ("refuse", "keep")):
        action = actions.add_parser(name, help=words)
        action.add_argument("proposal", nargs="+", type=int, metavar="N", help="numbers of proposals, all or none")
        action.add_argument("--note", default="", metavar="TEXT", help="kept with the answer")
        action.add_argument("--by", default=None, metavar="NAME", help="who answers (default: the user logged in)")
        action.set_defaults(run=run_answer, refuse=name == "refuse")


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync.pipelines import releases
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("report"), application_name="freightsync accruals") as conn:
        found = releases.listed(conn)
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], default=str, indent=1))
        return 0
    for one in found:
        number = f"{one.proposal_id}" if one.proposal_id else "-"
        print(f"{number:>8}  {one.state:<8}  {one.open_amount} {one.currency}  {one.account} to {one.release_account}")
        print(f"          {one.reason}")
    if not found:
        print("No accrual is older than its policy waits.")
    return 0


def run_propose(arguments: argparse.Namespace) -> int:
    from freightsync.pipelines import releases
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    run_id = f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}_{uuid.uuid4().hex[:6]}"
    with connect(Settings.load().dsn("app"), application_name="freightsync accruals") as conn:
        count = releases.propose(conn, by=arguments.by or getpass.getuser(), run_id=run_id)
    print(f"{count} proposed")
    return 0


def run_answer(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.pipelines import releases
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    try:
        with connect(Settings.load().dsn("app"), application_name="freightsync accruals") as conn:
            count = releases.approve(
                conn,
                arguments.proposal,
                by=arguments.by or getpass.getuser(),
                at=datetime.now(UTC),
                note=arguments.note,
                refuse=arguments.refuse,
            )
    except FreightsyncError as error:
        print(f"freightsync accruals: {error}", file=sys.stderr)
        return 1
    print(f"{count} {'refused' if arguments.refuse else 'approved; the next run of reconcile_ledger posts them'}")
    return 0
