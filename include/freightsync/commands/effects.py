"""`freightsync effects waiting | show | approve`: plans that a person must look at before they are applied."""

from __future__ import annotations

import argparse
import getpass
import sys
import uuid

_WAITING = """
    select distinct on (p.approval_fingerprint) p.plan_id, p.consumer, p.run_id, p.planned_at, p.retracted_keys,
      p.made_keys, p.retracted_amount, p.approval_fingerprint
    from effects.plan p
    where p.approval_fingerprint is not null
      and not exists (select from effects.approval a where a.fingerprint = p.approval_fingerprint)
      and not exists (select from effects.plan later join effects.applied using (plan_id)
        where later.consumer = p.consumer and later.planned_at > p.planned_at and later.relations = p.relations)
    order by p.approval_fingerprint, p.planned_at desc
"""
_LINES = """
    select line, kind, aggregate_id, effect_key, coalesce(cause, ''), target, operation, debit_account, credit_account,
      currency, amount, reverses, state, reason
    from effects.planned where plan_id = %s order by reverses desc nulls last, line limit %s
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "plans that wait for a person's approval"
    effects = commands.add_parser("effects", help=about, description=f"The effects core: {about}.")
    actions = effects.add_subparsers(title="actions", metavar="ACTION", required=True)
    actions.add_parser("waiting", help=about).set_defaults(run=run_waiting)
    show = actions.add_parser("show", help="what a plan would do, what it takes back first")
    show.add_argument("plan", type=uuid.UUID, metavar="PLAN", help="the plan's id")
    show.add_argument("--lines", type=int, default=50, metavar="N", help="at most N lines (default 50)")
    show.set_defaults(run=run_show)
    approve = actions.add_parser("approve", help="say yes to what carries a fingerprint")
    approve.add_argument("fingerprint", metavar="FINGERPRINT", help="as `waiting` or the failed task shows it")
    approve.add_argument("--note", required=True, metavar="TEXT", help="why, kept with the approval")
    approve.add_argument("--by", default=None, metavar="NAME", help="who decides (default: the user logged in)")
    approve.set_defaults(run=run_approve)


def run_waiting(arguments: argparse.Namespace) -> int:
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync effects") as conn:
        rows = conn.execute(_WAITING).fetchall()
    for plan_id, consumer, run_id, planned_at, keys, made, amount, fingerprint in rows:
        print(f"{plan_id}  {consumer}, run {run_id}, planned {planned_at:%Y-%m-%d %H:%M} UTC")
        print(f"    takes back {amount:,.2f} on {keys} of {made} keys; approve {fingerprint}")
    if not rows:
        print("No plan waits for approval.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync effects") as conn:
        rows = conn.execute(_LINES, (arguments.plan, arguments.lines)).fetchall()
    if not rows:
        print(f"freightsync effects: no plan {arguments.plan}, or it has no lines", file=sys.stderr)
        return 1
    for line, kind, aggregate, key, cause, target, operation, debit, credit, currency, amount, back, state, why in rows:
        what = f"{debit} ← {credit} {amount:,.2f} {currency}" if kind == "movement" else (state or "")
        sign = "takes back " if back else ""
        print(f"{line:>6}  {target} {operation}  {aggregate}  {key}  {cause}  {sign}{what}  {why or ''}".rstrip())
    return 0


def run_approve(arguments: argparse.Namespace) -> int:
    from freightsync import effects
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync effects") as conn:
        effects.approve(conn, arguments.fingerprint, by=arguments.by or getpass.getuser(), note=arguments.note)
    print("Approved. The next run of its pipeline goes on.")
    return 0
