"""`freightsync down`: stops the local stack and whatever a killed one left."""

from __future__ import annotations

import argparse
import sys


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    down = commands.add_parser(
        "down", help="stop the local stack", description="Stop everything that belongs to this installation, and wait."
    )
    down.add_argument("--destroy", action="store_true", help="remove the embedded database too, wherever it lies")
    down.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from freightsync import stack
    from freightsync.settings import Settings, SettingsError

    try:
        settings = Settings.load()
        found = stack.down(settings)
        if arguments.destroy:
            stack.destroy_database(settings)
    except (stack.StackError, SettingsError) as error:
        print(f"freightsync down: {error}", file=sys.stderr)
        return 1
    print("The stack is down." if found else "Nothing was running.")
    return 0
