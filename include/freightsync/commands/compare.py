"""`freightsync compare`: the outcome, as it is now, against a truth that was written down before."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser(
        "compare",
        help="compare the outcome with the truth",
        description="Read the partners' books and ours and compare them with a truth, both ways, field by field. "
        "Changes nothing. Exit code 0 if nothing differs, 1 if something does.",
    )
    compare.add_argument("--truth", type=Path, help="truth.json; that of the last demo if not given")
    compare.add_argument("--json", action="store_true", help="print all differences as JSON")
    compare.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import dataclasses

    from freightsync.proof.books import BooksError
    from freightsync.proof.outcome import prove
    from freightsync.settings import Settings, SettingsError

    try:
        settings = Settings.load()
        path = arguments.truth or settings.home / "demo" / "truth.json"
        result = prove(settings, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, BooksError, SettingsError) as error:
        print(f"freightsync compare: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps([dataclasses.asdict(mismatch) for mismatch in result.mismatches], indent=2))
    else:
        for mismatch in result.mismatches:
            print(mismatch)
        compared = sum(result.compared.values())
        print(f"{compared:,} documents compared, {len(result.mismatches):,} differences")
    return 0 if result.clean else 1
