"""`freightsync status`: what of the local stack runs. Exit code 0 if it is ready, 3 if not."""

from __future__ import annotations

import argparse
import sys


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser(
        "status",
        help="show what of the local stack runs",
        description="Show each service with its state, process id, restarts and memory. Exit code 3 if not all run.",
    )
    status.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from freightsync import stack
    from freightsync.settings import Settings, SettingsError

    try:
        settings = Settings.load()
    except SettingsError as error:
        print(f"freightsync status: {error}", file=sys.stderr)
        return 1
    found = stack.status(settings)
    print(found.phase + (f": {found.error}" if found.error else ""))
    for service in found.services:
        pid = service.pid or ""
        print(
            f"  {service.title:<28} {service.state:<11} {pid:>8} {service.memory_mib:>7.0f} MiB"
            + (f"  restarted {service.restarts}×" if service.restarts else "")
        )
    if found.services:
        print(f"  {'all':<28} {'':<11} {'':>8} {found.memory_mib:>7.0f} MiB    Airflow: {settings.airflow_url}")
    ready = found.phase == "ready" and all(service.state == "running" for service in found.services)
    return 0 if ready else 3
