"""`python -m freightsync.sandbox serve|play|generate`: see `--help` of each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m freightsync.sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the partner systems until SIGTERM")
    serve.add_argument("--config", type=Path, required=True)
    given = parser.parse_args(arguments)
    from freightsync.sandbox.config import SandboxConfig
    from freightsync.sandbox.server import main as run

    run(SandboxConfig.read(given.config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
