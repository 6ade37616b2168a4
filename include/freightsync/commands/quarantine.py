"""`freightsync quarantine list | show | release`: records that were not let in, why, and the steward's way out."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freightsync.quality.queue import Quarantined


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "records that were not let in"
    quarantine = commands.add_parser("quarantine", help=about, description=f"The quarantine: {about}.")
    actions = quarantine.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what waits for a steward, and the batches that are held")
    listing.add_argument("--feed", metavar="FEED", help="one feed only, e.g. erp.sales_order")
    listing.add_argument("--reason", metavar="CODE", help="one reason only, e.g. unknown_ship_to")
    listing.add_argument("--all", action="store_true", help="released ones too")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most N, newest first (default 100)")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)
    showing = actions.add_parser("show", help="one of them, with what came")
    showing.add_argument("id", type=int, metavar="ID", help="as `list` shows it")
    showing.add_argument("--json", action="store_true", help="as JSON")
    showing.set_defaults(run=run_show)
    releasing = actions.add_parser("release", help="let records in; what waited behind them goes on by itself")
    releasing.add_argument("id", nargs="+", type=int, metavar="ID", help="as `list` shows them")
    releasing.add_argument("--note", required=True, metavar="TEXT", help="why, kept with the release")
    releasing.add_argument("--by", default=None, metavar="NAME", help="who decides (default: the user logged in)")
    releasing.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="let in a copy with this column corrected (lists as JSON); the record as received stays",
    )
    releasing.add_argument("--insist", action="store_true", help="even if it still breaks a rule")
    releasing.set_defaults(run=run_release)


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync.quality import queue
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync quarantine") as conn:
        found = queue.waiting(
            conn, feed=arguments.feed, reason=arguments.reason, released=arguments.all, limit=arguments.limit
        )
        counted = queue.counts(conn)
        held = queue.held(conn)
    if arguments.json:
        document = {"counts": counted, "held": [asdict(b) for b in held], "records": [asdict(q) for q in found]}
        print(json.dumps(document, default=str, indent=1))
        return 0
    print(", ".join(f"{count} {reason}" for reason, count in counted.items()) or "nothing waits")
    for batch in held:
        print(f"held: batch {batch.batch_id} of {batch.feed} since {batch.held_at:%Y-%m-%d %H:%M:%S} UTC")
        for message in batch.messages:
            print(f"          {message}")
    for record in found:
        print("\n".join(_lines(record)))
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    from freightsync.quality import queue
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync quarantine") as conn:
        found = queue.one(conn, arguments.id)
    if found is None:
        print(f"freightsync: no quarantined record {arguments.id}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(asdict(found), default=str, indent=1))
        return 0
    print("\n".join(_lines(found)))
    print(
        f"          from {found.document or '-'}, {found.position or '-'}, at {found.quarantined_at:%Y-%m-%d %H:%M} UTC"
    )
    payload = dict(found.payload or {})
    print(payload["raw"] if set(payload) == {"raw"} else json.dumps(payload, indent=1, default=str))
    return 0


def _lines(record: Quarantined) -> list[str]:
    money = f"  {record.amount} {record.currency}" if record.amount is not None else ""
    what = "document" if record.is_document else "record"
    lines = [
        f"{record.quarantine_id:>8}  {record.feed}  {what} {record.natural_key or '(no number)'}"
        f" from {record.partner}{money}"
    ]
    lines += [f"          {reason}: {message}" for reason, message in zip(record.reasons, record.messages, strict=True)]
    if record.released_at is not None:
        lines.append(
            f"          released by {record.released_by} at {record.released_at:%Y-%m-%d %H:%M} UTC: {record.note}"
        )
    return lines


def run_release(arguments: argparse.Namespace) -> int:
    from freightsync import quality
    from freightsync.quality.release import ReleaseRefused
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    try:
        corrected = _corrections(arguments.set)
    except ValueError as error:
        print(f"freightsync: {error}", file=sys.stderr)
        return 2
    refused = 0
    with connect(Settings.load().dsn("app"), application_name="freightsync quarantine") as conn:
        for quarantine_id in arguments.id:
            try:
                released = quality.release(
                    conn,
                    quarantine_id,
                    arguments.by or getpass.getuser(),
                    arguments.note,
                    corrected or None,
                    insist=arguments.insist,
                )
            except ReleaseRefused as error:
                print(f"freightsync: {quarantine_id} not released: {error}", file=sys.stderr)
                refused += 1
            else:
                print(f"{quarantine_id} released as record {released.record_id} of {released.feed}")
    return 1 if refused else 0


def _corrections(given: Sequence[str]) -> dict[str, Any]:
    """COLUMN=VALUE, a value that starts as a JSON list or object read as one. Raises ValueError."""
    out: dict[str, Any] = {}
    for one in given:
        column, equals, value = one.partition("=")
        if not equals or not column.strip():
            raise ValueError(f"--set wants COLUMN=VALUE, not {one!r}")
        out[column.strip()] = json.loads(value) if value[:1] in ("[", "{") else value
    return out
