"""`freightsync prepare`: makes a deployment's databases ready for the code that is installed."""

from __future__ import annotations

import argparse
import logging
import sys


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    prepare = commands.add_parser(
        "prepare",
        help="make a deployment's databases ready",
        description="Roles and databases (where FREIGHTSYNC_ADMIN_DSN is set), migrations, rules, models. Safe to "
        "repeat; run it at every start of a deployment. The local stack does the same by itself in `freightsync up`.",
    )
    prepare.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    from freightsync.settings import Settings, SettingsError
    from freightsync.stack.prepare import prepare_warehouse

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        prepare_warehouse(Settings.load())
    except SettingsError as error:
        print(f"freightsync prepare: {error}", file=sys.stderr)
        return 1
    return 0
