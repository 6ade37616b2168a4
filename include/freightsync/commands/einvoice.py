"""`freightsync einvoice write | check`: customer invoices as EN 16931 e-invoices."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "customer invoices as EN 16931 e-invoices"
    einvoice = commands.add_parser("einvoice", help=about, description=f"E-invoices: {about} (UBL 2.1).")
    actions = einvoice.add_subparsers(title="actions", metavar="ACTION", required=True)
    writing = actions.add_parser("write", help="write the e-invoice of a posted customer invoice, if it breaks no rule")
    writing.add_argument("invoice", metavar="INVOICE", help="the ERP's number, e.g. CI0000001")
    writing.add_argument("--profile", default="", metavar="NAME", help="else the one of the seller's country")
    writing.add_argument("--freight", choices=("line", "charge"), default="line", help="how freight is shown")
    writing.add_argument("--out", type=Path, metavar="DIR", help="also as a file here; `-` prints it")
    writing.set_defaults(run=run_write)
    checking = actions.add_parser("check", help="check a UBL invoice or credit note by the rules of EN 16931")
    checking.add_argument("file", type=Path, metavar="FILE")
    checking.set_defaults(run=run_check)


def run_write(arguments: argparse.Namespace) -> int:
    from freightsync.domain.errors import FreightsyncError
    from freightsync.einvoice import EInvoiceRefused, make
    from freightsync.local import adapters
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    settings = Settings.load()
    countries = adapters([settings.local_directory] if settings.local_directory else [])
    try:
        with connect(settings.dsn("app"), application_name="freightsync einvoice") as conn:
            made = make(conn, arguments.invoice, countries, profile=arguments.profile, freight_as=arguments.freight)
            conn.commit()
    except EInvoiceRefused as error:
        print(f"freightsync: {error}", file=sys.stderr)
        for finding in error.findings:
            print(f"  {finding.rule:<12} {finding.where}: {finding.words}", file=sys.stderr)
        return 1
    except FreightsyncError as error:
        print(f"freightsync: {error}", file=sys.stderr)
        return 1
    if str(arguments.out) == "-":
        sys.stdout.write(made.content.decode())
        return 0
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / made.name).write_bytes(made.content)
    totals = made.invoice.totals
    print(
        f"{made.name}: {'credit note' if made.invoice.is_credit_note else 'invoice'} of {totals.gross}"
        f" {made.invoice.currency} ({totals.net} + {totals.tax} VAT), sha256 {made.sha256[:12]}…,"
        f" {'kept' if made.is_new else 'kept already'}"
    )
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    from freightsync.formats import ubl

    try:
        invoice, structure = ubl.read(arguments.file.read_bytes())
    except (OSError, ubl.Unreadable) as error:
        print(f"freightsync: {arguments.file}: {error}", file=sys.stderr)
        return 2
    findings = [*structure, *ubl.check(invoice)]
    for finding in findings:
        print(f"{finding.rule:<12} {finding.where}: {finding.words}")
    if not findings:
        print(f"{invoice.number}: {len(ubl.RULES)} rules of EN 16931 hold")
    return 1 if findings else 0
