"""Partner systems to try freightsync against: run them, make a day of business, play it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """0, or what `play` says; a configuration that can't be read raises."""
    parser = argparse.ArgumentParser(prog="python -m freightsync.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the partner systems until SIGTERM")
    serve.add_argument("--config", type=Path, required=True)
    generate = commands.add_parser("generate", help="write scenario.json and truth.json of a day")
    generate.add_argument("--out", type=Path, required=True)
    play = commands.add_parser("play", help="play a day with the running partners; JSON lines of progress")
    play.add_argument("--config", type=Path, required=True)
    play.add_argument("--scenario", type=Path, help="directory with scenario.json; without it, --seed and --orders")
    play.add_argument("--seconds", type=float, default=50, help="how long the day's 16 hours take")
    play.add_argument("--patience", type=float, default=180, help="give up when nothing moved for so many seconds")
    for command in (generate, play):
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--orders", type=int, default=500)
    given = parser.parse_args(arguments)
    if given.command == "generate":
        from freightsync.sandbox.scenario import generate as make

        make(given.seed, given.orders).write(given.out)
        return 0
    from freightsync.sandbox.config import SandboxConfig

    config = SandboxConfig.read(given.config)
    if given.command == "serve":
        from freightsync.sandbox.server import main as run

        run(config)
        return 0
    from freightsync.sandbox.play import play as follow

    directory = given.scenario
    if directory is None:
        from freightsync.sandbox.scenario import generate as make

        directory = Path(tempfile.mkdtemp(prefix="day-", dir=config.home))
        make(given.seed, given.orders).write(directory)
    return follow(
        config,
        directory / "scenario.json",
        seconds=given.seconds,
        patience=given.patience,
        show=lambda line: print(line, flush=True),  # noqa: T201 - its output is what it is for
    )


if __name__ == "__main__":
    sys.exit(main())
