"""`freightsync drift list | adopt | repost | approve | refuse`: documents on which the two books disagree."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from datetime import UTC, datetime


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "documents on which the ERP's books and ours disagree"
    drift = commands.add_parser("drift", help=about, description=f"Drift: {about}. A decision needs two people.")
    actions = drift.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="as of the last comparison, with what to do")
    listing.add_argument("--period", metavar="YYYY-MM", help="one period only")
    listing.add_argument("--all", action="store_true", help="settled ones too")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    for name, words in (
        ("adopt", "propose that the ERP's document stands: it is entered in our books"),
        ("repost", "propose that our document stands: it is posted again under a new key"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("document", metavar="DOCUMENT", help="as `list` shows it, or the ERP's number")
        action.add_argument("--note", required=True, metavar="TEXT", help="why, kept with the decision")
        action.add_argument("--by", default=None, metavar="NAME", help="who proposes (default: the user logged in)")
        action.add_argument("--approved-by", default=None, metavar="NAME", help="another person who approves at once")
        action.set_defaults(run=run_propose, decision=name)
    for name, words in (("approve", "say yes to proposals"), ("refuse", "say no")):
        action = actions.add_parser(name, help=words)
        action.add_argument("decision", nargs="+", type=int, metavar="N", help="numbers of proposals")
        action.add_argument("--note", default="", metavar="TEXT", help="kept with the answer")
        action.add_argument("--by", default=None, metavar="NAME", help="who answers (default: the user logged in)")
        action.set_defaults(run=run_answer, refuse=name == "refuse")


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync.pipelines import drift
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("report"), application_name="freightsync drift") as conn:
        found = drift.listed(conn, period=arguments.period, settled=arguments.all)
    if arguments.json:
        print(json.dumps([drift.as_json(one) for one in found], default=str, indent=1))
        return 0
    for one in found:
        number = f" ({one.entry_number})" if one.entry_number and one.entry_number not in one.document else ""
        print(f"{one.period}  {one.document}{number}  {one.amount} {one.currency}  {one.reason}, {one.state}")
        print(f"         {one.words}")
        proposal = f" (proposal {one.decision_id})" if one.state == "proposed" else ""
        print(f"         what to do: {one.what_to_do}{proposal}")
    if not found:
        print("The books agree, document by document.")
    return 0


def run_propose(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.pipelines import drift
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    by = arguments.by or getpass.getuser()
    try:
        with connect(Settings.load().dsn("app"), application_name="freightsync drift") as conn, conn.transaction():
            number = drift.propose(conn, arguments.document, arguments.decision, by=by, note=arguments.note)
            if arguments.approved_by:
                drift.approve(conn, number, by=arguments.approved_by, at=datetime.now(UTC))
    except FreightsyncError as error:
        print(f"freightsync drift: {error}", file=sys.stderr)
        return 1
    if arguments.approved_by:
        print(f"{number} approved; `freightsync run reconcile_ledger` posts it, or its next run does")
    else:
        print(f"{number} proposed; another person says `freightsync drift approve {number}`")
    return 0


def run_answer(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.pipelines import drift
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    by = arguments.by or getpass.getuser()
    try:
        with connect(Settings.load().dsn("app"), application_name="freightsync drift") as conn, conn.transaction():
            for number in arguments.decision:
                drift.approve(conn, number, by=by, at=datetime.now(UTC), note=arguments.note, refuse=arguments.refuse)
    except FreightsyncError as error:
        print(f"freightsync drift: {error}", file=sys.stderr)
        return 1
    print(f"{len(arguments.decision)} {'refused' if arguments.refuse else 'approved'}")
    return 0
