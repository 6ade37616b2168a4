"""`freightsync approvals list | approve | reject`: bills that fit and wait for a person's yes."""

from __future__ import annotations

import argparse
import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "carriers' bills that fit and wait for a person"
    approvals = commands.add_parser("approvals", help=about, description=f"Approvals: {about}.")
    actions = approvals.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="those that wait, the largest first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    for name, verdict in (("approve", "approved"), ("reject", "rejected")):
        action = actions.add_parser(name, help=f"say {'yes' if name == 'approve' else 'no'} to them, all or none")
        action.add_argument("bill", nargs="+", metavar="BILL", help="as `list` shows them")
        action.add_argument("--note", default="", metavar="TEXT", help="why, kept with it")
        action.add_argument("--by", default=None, metavar="NAME", help="who decides (default: the user logged in)")
        action.set_defaults(run=run_decide, verdict=verdict)


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync.cases import approvals
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync approvals") as conn:
        found = approvals.waiting(conn)
    if arguments.json:
        print(json.dumps([asdict(bill) for bill in found], default=str, indent=1))
        return 0
    for bill in found:
        print(
            f"{bill.carrier_invoice_id}  {bill.scac} {bill.invoice_number}: {bill.net_amount:,.2f} {bill.currency}, "
            f"more than {bill.limit:,.2f}"
        )
    if not found:
        print("No bill waits for approval.")
    return 0


def run_decide(arguments: argparse.Namespace) -> int:
    from freightsync.cases import approvals
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync approvals") as conn:
        count = approvals.decide(
            conn,
            arguments.bill,
            arguments.verdict,
            by=arguments.by or getpass.getuser(),
            at=datetime.now(UTC),
            channel="cli",
            note=arguments.note,
        )
    print(f"{count} {arguments.verdict}. The next run of settle_freight goes on.")
    return 0
