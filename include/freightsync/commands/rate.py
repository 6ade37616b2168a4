"""`freightsync rate explain SHIPMENT`: what contracts say that a shipment costs, line by line, with the arithmetic."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rate = commands.add_parser(
        "rate", help="what contracts say that a shipment costs", description="Rating by contract."
    )
    actions = rate.add_subparsers(title="actions", metavar="ACTION", required=True)
    explaining = actions.add_parser(
        "explain",
        help="the charges of a shipment, with rules and arithmetic",
        description="Each charge with the rows that decided it and the calculation, to be followed with a calculator; "
        "or why the shipment can't be rated. Exit code 0 if it is rated on some side, 1 if not.",
    )
    explaining.add_argument("shipment", metavar="SHIPMENT", help="the TMS's number, with or without tms:")
    explaining.add_argument("--side", choices=("buy", "sell"), help="what the carrier may ask, or the customer owes")
    explaining.add_argument("--json", action="store_true", help="as JSON")
    explaining.set_defaults(run=run_explain)


def run_explain(arguments: argparse.Namespace) -> int:
    from psycopg.rows import dict_row

    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    shipment_id = "tms:" + str(arguments.shipment).removeprefix("tms:")
    with (
        connect(Settings.load().dsn("report"), application_name="freightsync rate") as conn,
        conn.cursor(row_factory=dict_row) as cursor,
    ):
        sides = cursor.execute(_SIDES, {"shipment": shipment_id, "side": arguments.side}).fetchall()
    if arguments.json:
        print(json.dumps(sides, default=str, indent=1))
    else:
        for side in sides:
            print("\n".join(_lines(side)))
    if not sides:
        print(
            f"freightsync: {shipment_id} was not rated: there is no such plan, or it has charges and neither its "
            "carrier nor its customer has a contract",
            file=sys.stderr,
        )
    return 0 if any(side["reason"] is None for side in sides) else 1


_SIDES = """
    select rating.shipment_id, rating.side, rating.party, rating.contract_id, rating.contract_version, rating.currency,
        rating.ship_on, rating.known_at, rating.plan_version, rating.is_needed, rating.reason, rating.words,
        (select coalesce(sum(charge.amount), 0) from decisions.rated_charge as charge
         where charge.shipment_id = rating.shipment_id and charge.side = rating.side) as total,
        (select coalesce(jsonb_agg(
            jsonb_build_object('charge_code', charge.charge_code, 'amount', charge.amount::text,
                'arithmetic', charge.arithmetic, 'rules', charge.rules, 'inputs', charge.inputs)
            order by charge.sequence), '[]')
         from decisions.rated_charge as charge
         where charge.shipment_id = rating.shipment_id and charge.side = rating.side) as charges
    from decisions.rating
    where rating.shipment_id = %(shipment)s and (%(side)s::text is null or rating.side = %(side)s)
    order by rating.side
"""


def _lines(side: dict[str, Any]) -> list[str]:
    who = "carrier" if side["side"] == "buy" else "customer"
    head = f"{side['shipment_id']}, {side['side']} side, {who} {side['party']}"
    if side["reason"] is not None:
        return [f"{head}: not rated ({side['reason']})", f"  {side['words']}"]
    out = [
        f"{head}: {side['total']} {side['currency']}",
        f"  plan version {side['plan_version']}, rates of {side['ship_on']} as known on "
        f"{side['known_at']:%Y-%m-%d %H:%M} UTC",
    ]
    for charge in side["charges"]:
        out += [
            f"  {charge['charge_code']:<12} {charge['amount']:>12}  {charge['arithmetic']}",
            f"  {'':<12} {'':>12}  by {', '.join(charge['rules'])}",
        ]
    if side["is_needed"]:
        out.append("  The plan has no charges of its own: these stand in for accrual and matching.")
    return out
