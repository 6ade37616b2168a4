"""`freightsync up`: starts the local stack, or does nothing where it runs."""

from __future__ import annotations

import argparse
import json
import sys
import time


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser(
        "up",
        help="start the local stack",
        description="Start PostgreSQL, SFTP, the sandbox partners and Airflow on free loopback ports, and wait until "
        "they are ready. Safe to repeat; heals what was killed.",
    )
    up.add_argument("--fresh", action="store_true", help="with an empty warehouse and new partner books")
    up.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from freightsync import stack
    from freightsync.settings import Settings, SettingsError
    from freightsync.stack.display import progress

    began = time.monotonic()
    try:
        with progress() as report:
            settings = stack.up(Settings.load(), fresh=arguments.fresh, progress=report)
    except (stack.StackError, SettingsError) as error:
        print(f"freightsync up: {error}", file=sys.stderr)
        return 1
    users = json.loads((settings.secrets_directory / "users.json").read_text(encoding="utf-8"))
    print(f"\nThe stack is up ({time.monotonic() - began:.1f} s). Airflow: {settings.airflow_url}")
    width = max(map(len, users))
    for name, user in users.items():
        print(f"  {name:<{width}}  {user['password']}")
    print("`make down` stops it.")
    return 0
