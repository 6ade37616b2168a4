"""`freightsync tax show | countries | retry`: how an invoice is taxed and why, by which countries' rules."""

from __future__ import annotations

import argparse
import sys


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "how customer invoices are taxed, and why"
    tax = commands.add_parser("tax", help=about, description=f"Tax: {about}.")
    actions = tax.add_subparsers(title="actions", metavar="ACTION", required=True)
    showing = actions.add_parser("show", help="each line of a customer invoice with its tax, or what is missing")
    showing.add_argument("invoice", metavar="INVOICE", help="our id: erp:<order> or erp:<order>/tms:<shipment>")
    showing.set_defaults(run=run_show)
    countries = actions.add_parser("countries", help="the country adapters and whose sellers they judge")
    countries.set_defaults(run=run_countries)
    again = actions.add_parser("retry", help="look again at every proof that waits because its tax was not decided")
    again.set_defaults(run=run_retry)


def run_show(arguments: argparse.Namespace) -> int:
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync tax") as conn:
        rows = conn.execute(
            """select line_id, taxable_base, category, tax_name, rate_percent, tax_amount, currency, rule_id,
                 rule_version, reason, refusal
               from decisions.billing_tax where document_id = %s order by line_id, part, tax_name""",
            (arguments.invoice,),
        ).fetchall()
    if not rows:
        print(f"freightsync: no tax is charged on {arguments.invoice}, or it is not proven yet", file=sys.stderr)
        return 1
    refused = False
    for line, base, category, name, rate, amount, currency, rule, version, reason, refusal in rows:
        if refusal is not None:
            refused = True
            print(f"{line}: NOT DECIDED ({refusal}): {reason}")
        else:
            what = f"{name} {rate.normalize():f} % = {amount}" if name else "no tax"
            print(f"{line}: {base} {currency} {category}, {what}: {reason} [{rule} v{version}]")
    return 1 if refused else 0


def run_countries(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.local import adapters
    from freightsync.settings import Settings

    directory = Settings.load().local_directory
    try:
        found = adapters([directory] if directory else [])
    except FreightsyncError as error:
        print(f"freightsync: {error}", file=sys.stderr)
        return 2
    for adapter in found:
        profiles = ", ".join(adapter.einvoice.get("profiles", {})) or "none"
        print(
            f"{adapter.name}: {' '.join(sorted(adapter.countries))}; {len(adapter.tables.get('tax_rule', ()))} rules,"
            f" {len(adapter.tables.get('tax_rate', ()))} rates, e-invoice profiles: {profiles}"
        )
    return 0


def run_retry(arguments: argparse.Namespace) -> int:
    from freightsync.local.retry import retry
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("app"), application_name="freightsync tax") as conn:
        count = retry(conn)
        conn.commit()
    print(f"{count} shipments are looked at again")
    return 0
