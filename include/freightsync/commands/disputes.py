"""`freightsync disputes list | show | propose | accept | refuse | acknowledge | recover | write-off`."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from psycopg import Connection

if TYPE_CHECKING:
    from freightsync.cases import disputes as core


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "carriers' bills that are contested, and claims"
    disputes = commands.add_parser("disputes", help=about, description=f"Disputes: {about}.")
    actions = disputes.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="those that are not settled, the nearest deadline first")
    listing.add_argument("--state", action="append", default=[], metavar="STATE", help="open, proposed, countered, …")
    listing.add_argument("--carrier", metavar="SCAC", help="one carrier only")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(run=run_list)

    showing = actions.add_parser("show", help="one of them: its charges, and what was said")
    showing.add_argument("bill", metavar="BILL", help="as `list` shows it")
    showing.add_argument("--json", action="store_true", help="as JSON")
    showing.set_defaults(run=run_show)

    def saying(name: str, what: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=what)
        action.add_argument("--by", default=None, metavar="NAME", help="who says it (default: the user logged in)")
        action.add_argument("--note", default="", metavar="TEXT", help="why, kept with it")
        action.add_argument("--reference", default=None, metavar="TEXT", help="of a letter, a case, a payment")
        action.add_argument(
            "--as-carrier",
            dest="party",
            action="store_const",
            const="carrier",
            default="us",
            help="the carrier says it",
        )
        action.add_argument("--approved-by", default=None, metavar="NAME", help="who else agrees, where it needs two")
        action.set_defaults(run=run)
        return action

    proposing = saying("propose", "what is to be paid in all for contested charges", run_propose)
    proposing.add_argument("bill", metavar="BILL")
    proposing.add_argument(
        "charges", nargs="*", metavar="SHIPMENT/CHARGE=AMOUNT", help="none: what is owed for each that is undecided"
    )
    proposing.add_argument("--reason", default=None, metavar="CODE", help="a reason code of rules.dispute_reason")
    for name, what in (("accept", "the other side's last proposal"), ("refuse", "the other side's last proposal")):
        action = saying(name, what, run_answer)
        action.add_argument("proposal", type=int, metavar="PROPOSAL", help="its number, as `show` shows it")
        action.set_defaults(accept=name == "accept")
    saying("acknowledge", "the carrier has received our claim", run_acknowledge).add_argument("bill", metavar="BILL")
    for name, what in (("recover", "money that came for a claim"), ("write-off", "give a claim up")):
        action = saying(name, what, run_settle)
        action.add_argument("bill", metavar="BILL")
        action.add_argument("charges", nargs="+", metavar="SHIPMENT/CHARGE=AMOUNT")
        action.add_argument("--reason", default=None, metavar="CODE", help="where it ends: of rules.dispute_reason")
        action.set_defaults(write_off=name == "write-off")


def _connect() -> AbstractContextManager[Connection[Any]]:
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    return connect(Settings.load().dsn("app"), application_name="freightsync disputes")


def charges_of(texts: list[str]) -> dict[tuple[str, str], Decimal]:
    """`SH100/LINEHAUL=95.00` as ((tms:SH100, LINEHAUL), 95.00). Raises PermanentError for anything else."""
    from freightsync.domain.errors import PermanentError

    found = {}
    for text in texts:
        name, _, amount = text.rpartition("=")
        shipment, _, charge = name.rpartition("/")
        try:
            if not shipment or not charge:
                raise InvalidOperation
            found[f"tms:{shipment.removeprefix('tms:')}", charge] = Decimal(amount).quantize(Decimal("0.01"))
        except InvalidOperation:
            raise PermanentError(f"{text!r} is not SHIPMENT/CHARGE=AMOUNT, e.g. SH100/LINEHAUL=95.00") from None
    return found


def _saying(arguments: argparse.Namespace) -> core.Saying:
    from freightsync.cases import disputes

    return disputes.Saying(
        by=arguments.by or getpass.getuser(),
        channel="cli",
        at=datetime.now(UTC),
        approved_by=arguments.approved_by,
        note=arguments.note,
        reference=arguments.reference,
    )


def run_list(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        found = disputes.cases(conn, states=arguments.state, scac=arguments.carrier)
    if arguments.json:
        print(json.dumps([asdict(case) for case in found], default=str, indent=1))
        return 0
    for case in found:
        until = f", contest until {case.contest_until:%Y-%m-%d}" if case.contest_until and not case.contested_at else ""
        print(f"{case.carrier_invoice_id}  {case.scac} {case.invoice_number}  {case.state}, {case.dispute_mode}{until}")
        print(
            f"    disputed {case.disputed_amount:,.2f}, claim open {case.claim_open_amount:,.2f} {case.currency}: "
            f"{case.reason}"
        )
    if not found:
        print("Nothing is contested.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        case = disputes.case(conn, arguments.bill)
        lines = disputes.lines(conn, arguments.bill)
        said = disputes.events(conn, arguments.bill)
    if arguments.json:
        document = {**asdict(case), "lines": [asdict(x) for x in lines], "events": [asdict(x) for x in said]}
        print(json.dumps(document, default=str, indent=1))
        return 0
    print(f"{case.scac} {case.invoice_number} ({case.carrier_invoice_id}): {case.state}, {case.dispute_mode}")
    for line in lines:
        agreed = "" if line.agreed_amount is None else f", agreed {line.agreed_amount:,.2f}"
        claim = f", claim open {line.claim_open_amount:,.2f}" if line.claimed_amount else ""
        print(
            f"  {line.shipment_id.removeprefix('tms:')}/{line.charge_code}: billed {line.invoiced_amount:,.2f}, owed "
            f"{line.owed_amount:,.2f} {line.currency}{agreed}{claim}: {line.reason}"
        )
    for event in said:
        amounts = ", ".join(f"{s.removeprefix('tms:')}/{c} {a:,.2f}" for s, c, a in event.lines)
        answers = f" of {event.answers_event_id}" if event.answers_event_id else ""
        second = f", approved by {event.approved_by}" if event.approved_by else ""
        print(
            f"  [{event.event_id}] {event.said_at:%Y-%m-%d %H:%M} {event.party} {event.kind}{answers} by "
            f"{event.said_by}{second}: {amounts} {event.note}".rstrip()
        )
    return 0


def run_propose(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        amounts = charges_of(arguments.charges) or disputes.owed(disputes.lines(conn, arguments.bill))
        event_id = disputes.propose(
            conn, arguments.bill, arguments.party, amounts, _saying(arguments), reason_code=arguments.reason
        )
    print(f"Proposal {event_id}.")
    return 0


def run_answer(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        disputes.answer(conn, arguments.proposal, arguments.party, _saying(arguments), accept=arguments.accept)
    print("Accepted. The next run of settle_freight pays what was agreed." if arguments.accept else "Refused.")
    return 0


def run_acknowledge(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        disputes.acknowledge(conn, arguments.bill, _saying(arguments))
    print("Noted.")
    return 0


def run_settle(arguments: argparse.Namespace) -> int:
    from freightsync.cases import disputes

    with _connect() as conn:
        disputes.settle_claim(
            conn,
            arguments.bill,
            charges_of(arguments.charges),
            _saying(arguments),
            write_off=arguments.write_off,
            reason_code=arguments.reason,
        )
    print("Noted. The next run of settle_freight posts it.")
    return 0
