"""`freightsync demo`: plays one seeded day of business through the running stack and proves the outcome."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

MEMORY_EVERY = 10.0
"""Seconds between two looks at how much memory the stack takes."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="play a day and prove its outcome",
        description="Start the stack with an empty warehouse, play one day of business through the sandbox partners' "
        "own protocols, let the DAGs do the work, and compare the outcome with a truth written down before anything "
        "ran. Exit code 0 only if every control total holds and nothing differs.",
    )
    demo.add_argument("--seed", type=int, help="which day; the same seed is the same day (setting: demo.seed)")
    demo.add_argument("--orders", type=int, help="how many sales orders (setting: demo.orders)")
    demo.add_argument("--seconds", type=float, help="how long the day takes; by the number of orders if not given")
    demo.add_argument("--patience", type=float, help="seconds after which a day that is not quiet has failed")
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from freightsync.proof.books import BooksError
    from freightsync.proof.control import ControlError
    from freightsync.settings import Settings, SettingsError
    from freightsync.stack import StackError

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    try:
        settings = Settings.load()
        summary = play(
            settings,
            seed=settings.demo.seed if arguments.seed is None else arguments.seed,
            orders=settings.demo.orders if arguments.orders is None else arguments.orders,
            seconds=arguments.seconds,
            patience=arguments.patience,
            console=console,
        )
    except (StackError, SettingsError, ControlError, BooksError) as error:
        print(f"freightsync demo: {error}", file=sys.stderr)
        return 1
    return 0 if summary["ok"] else 1


def play(settings: Any, *, seed: int, orders: int, seconds: float | None, patience: float | None, console: Any) -> Any:
    """The whole demo; returns the summary, which is also in <home>/demo/summary.json."""
    from freightsync import stack
    from freightsync.proof.control import ControlError, controls
    from freightsync.proof.day import LiveView, Look
    from freightsync.proof.day import play as play_day
    from freightsync.proof.proving import finish, generate
    from freightsync.proof.show import show
    from freightsync.proof.watching import watching
    from freightsync.stack.display import progress

    began = time.monotonic()
    stages: dict[str, float] = {}
    console.print(f"freightsync demo · seed {seed} · {orders:,} orders")
    directory = settings.home / "demo"
    try:
        scenario = generate(seed, orders, directory)
    except ValueError as error:
        raise ControlError(str(error)) from None
    stages["truth_written"] = time.monotonic() - began
    console.print(f"  the truth is written down: {directory / 'truth.json'}")

    started = time.monotonic()
    with progress() as report:
        settings = stack.up(settings, fresh=True, progress=report)
    stages["stack_started"] = time.monotonic() - started

    seconds = seconds or max(20.0, min(120.0, orders / 7.5))
    memory: list[tuple[float, float]] = []
    with controls(settings) as (sandbox, airflow):
        with watching() as shown:

            def watch(look: Look) -> None:
                shown(look)
                if not memory or look.elapsed - memory[-1][0] >= MEMORY_EVERY:
                    memory.append((look.elapsed, stack.status(settings).memory_mib))

            with contextlib.closing(LiveView(settings, sandbox)) as view:
                played = play_day(
                    sandbox, view, scenario, seconds=seconds, patience=patience or 180 + orders / 4, watch=watch
                )
        stages["day_played"], stages["settled"] = played.play_seconds, played.settle_seconds
        summary = finish(
            settings,
            airflow,
            sandbox,
            truth=json.loads((directory / "truth.json").read_text(encoding="utf-8")),
            played=played,
            stages=stages,
            began=began,
            memory_mib=max((mib for _, mib in memory), default=None),
            path=directory / "summary.json",
        )
    show(summary, console)
    console.print(f"  the same as JSON: {Path(directory / 'summary.json')}")
    console.print("  the stack stays up; `make down` stops it")
    return summary
