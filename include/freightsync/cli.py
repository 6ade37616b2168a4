"""`freightsync`: thin commands for people and CI. Each lives in `freightsync.commands`."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

# command modules, each with register(commands: argparse._SubParsersAction)
COMMANDS = (
    "up",
    "down",
    "status",
    "demo",
    "compare",
    "report",
    "explain",
    "run",
    "edi",
    "invoices",
    "effects",
    "outbox",
    "disputes",
    "approvals",
    "quarantine",
    "revalue",
    "period",
    "drift",
    "accruals",
    "rate",
    "tax",
    "einvoice",
    "prepare",
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="freightsync", description="Keeps ERP, TMS, WMS, carriers and billing in step, from order release to cash."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"freightsync.commands.{name}").register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the command. 2 for wrong usage, as argparse does; a reader that went away ends us quietly."""
    arguments = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 in whatever locale
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the interpreter flushes stdout once more at exit: give it somewhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
