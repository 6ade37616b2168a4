"""`freightsync outbox list | retry | accept`: what partners have not accepted, and the ways out for dead letters."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freightsync.delivery import Letter


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "messages that partners have not accepted"
    outbox = commands.add_parser("outbox", help=about, description=f"The outbox: {about}.")
    actions = outbox.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what waits, and what is dead and why")
    listing.add_argument("--dead", action="store_true", help="dead letters only")
    listing.add_argument("--target", metavar="SYSTEM", help="one target only (erp, tms, …)")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most N, oldest first (default 100)")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    again = actions.add_parser("retry", help="send dead letters again, under the same key")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="*", type=int, default=[], metavar="ID", help="outbox ids as `list` shows them")
    which.add_argument("--all", action="store_true", help="every dead letter")
    taken = actions.add_parser("accept", help="record that a dead letter took effect, or was done by hand")
    taken.add_argument("id", type=int, metavar="ID", help="outbox id as `list` shows it")
    taken.add_argument("--reference", required=True, metavar="TEXT", help="the partner's own id of the document")
    for each in (again, taken):
        each.add_argument("--by", default=None, metavar="NAME", help="who decides (default: the user logged in)")
        each.add_argument("--note", default="", metavar="TEXT", help="why, kept with the decision")
    again.set_defaults(run=run_retry)
    taken.set_defaults(run=run_accept)


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync import delivery
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync outbox") as conn:
        found = delivery.letters(
            conn, status="dead" if arguments.dead else None, target=arguments.target, limit=arguments.limit
        )
        counted = delivery.counts(conn)
    if arguments.json:
        print(json.dumps({"counts": counted, "letters": [asdict(letter) for letter in found]}, default=str, indent=1))
        return 0
    print(", ".join(f"{count} {status}" for status, count in counted.items()))
    for letter in found:
        print("\n".join(_lines(letter)))
    return 0


def _lines(letter: Letter) -> list[str]:
    about = f"{letter.aggregate_type} {letter.aggregate_id}"
    lines = [f"{letter.outbox_id:>8}  {letter.status:<6} {letter.target} {letter.operation}  {about}  key {letter.key}"]
    if letter.waits_for is not None:
        lines.append(f"          waits for {letter.waits_for}")
    elif letter.status == "ready" and letter.attempts and letter.next_attempt_at is not None:
        lines.append(f"          attempt {letter.attempts + 1} at {letter.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC")
    if letter.message:
        lines.append(f"          {letter.outcome}: {letter.message}")
    if letter.status == "dead" and letter.what_to_do:
        lines.append(f"          what to do: {letter.what_to_do}")
    return lines


def run_retry(arguments: argparse.Namespace) -> int:
    from freightsync import delivery
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync outbox") as conn:
        count = delivery.retry(
            conn, None if arguments.all else arguments.id, by=arguments.by or getpass.getuser(), note=arguments.note
        )
    print(f"{count} sent again")
    missing = 0 if arguments.all else len(set(arguments.id)) - count
    if missing:
        print(f"freightsync outbox: {missing} of these are no dead letters", file=sys.stderr)
    return 1 if missing else 0


def run_accept(arguments: argparse.Namespace) -> int:
    from freightsync import delivery
    from freightsync.domain.errors import PermanentError
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync outbox") as conn:
        try:
            delivery.accept(
                conn,
                arguments.id,
                reference=arguments.reference,
                by=arguments.by or getpass.getuser(),
                note=arguments.note,
            )
        except PermanentError as error:
            print(f"freightsync outbox: {error}", file=sys.stderr)
            return 1
    print(f"{arguments.id} recorded as accepted under {arguments.reference}")
    return 0
