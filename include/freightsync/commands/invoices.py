"""`freightsync invoices upload | template`: carriers' bills that people bring in as a spreadsheet."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "carriers' bills that people upload"
    invoices = commands.add_parser("invoices", help=about, description=f"Bills: {about}.")
    actions = invoices.add_subparsers(title="actions", metavar="ACTION", required=True)
    kinds = ("invoices", "accessorials")
    uploading = actions.add_parser("upload", help="take in a spreadsheet (XLSX, CSV) made from the template")
    uploading.add_argument("file", metavar="FILE", type=Path)
    uploading.add_argument("--carrier", required=True, metavar="SCAC", help="whose bills they are")
    uploading.add_argument("--by", default=None, metavar="NAME", help="who uploads them (default: the user logged in)")
    uploading.add_argument("--kind", choices=kinds, default=kinds[0], help="which template it was made from")
    uploading.set_defaults(run=run_upload)
    empty = actions.add_parser("template", help="write the empty workbook to fill in")
    empty.add_argument("file", metavar="FILE", type=Path)
    empty.add_argument("--kind", choices=kinds, default=kinds[0])
    empty.set_defaults(run=run_template)


def run_upload(arguments: argparse.Namespace) -> int:
    """0: every bill was taken in (or was here before); 1: some can't be read; 2: nothing was taken in."""
    from freightsync.landing import uploads
    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    try:
        if arguments.file.stat().st_size > uploads.LARGEST_UPLOAD:
            return _fail(f"{arguments.file} is larger than {uploads.LARGEST_UPLOAD} bytes: split it")
        content = arguments.file.read_bytes()
    except OSError as error:
        return _fail(f"{arguments.file}: {error.strerror}")
    with connect(Settings.load().dsn("app"), application_name="freightsync invoices") as conn:
        try:
            done = uploads.upload(
                conn,
                content,
                name=arguments.file.name,
                scac=arguments.carrier.upper(),
                by=arguments.by or getpass.getuser(),
                kind=arguments.kind,
            )
        except uploads.UploadRefused as error:
            return _fail(str(error))
    if done.first_at is not None:
        print(f"this file is here already: {done.first_by} uploaded it on {done.first_at:%Y-%m-%d %H:%M}")
        return 0
    print(f"{done.invoices} bills taken in, {done.duplicates} were here already ({done.correlation_id})")
    for where, what in done.problems:
        print(f"{where}: {what}", file=sys.stderr)
    return 1 if done.problems else 0


def run_template(arguments: argparse.Namespace) -> int:
    from freightsync.landing import uploads

    try:
        with arguments.file.open("xb") as out:
            out.write(uploads.template(arguments.kind))
    except FileExistsError:
        return _fail(f"{arguments.file} is there already; it is not overwritten")
    except OSError as error:
        return _fail(f"{arguments.file}: {error.strerror}")
    print(f"{arguments.file} written: fill it in and upload it")
    return 0


def _fail(message: str) -> int:
    print(f"freightsync invoices: {message}", file=sys.stderr)
    return 2
