"""The day as people see it while it runs: a live table on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from freightsync.proof.day import Look, Watcher

LINE_EVERY = 10.0


@contextlib.contextmanager
def watching(stream: TextIO | None = None) -> Iterator[Watcher]:
    """Gives the function to call with each look at the day."""
    stream = stream or sys.stdout
    if stream.isatty():
        with Live(console=Console(file=stream), refresh_per_second=4) as live:
            yield lambda look: live.update(_table(look))
    else:
        shown = _Lines(stream)
        yield shown


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = 0.0
        self._phase = ""

    def __call__(self, look: Look) -> None:
        if look.phase == self._phase and look.elapsed < self._next:
            return
        self._phase, self._next = look.phase, look.elapsed + LINE_EVERY
        counts = ", ".join(f"{name} {count:,}" for name, count in look.counts.items() if count)
        left = f"; left: {'; '.join(look.left[:4])}" if look.left and look.phase.startswith("what") else ""
        self._stream.write(f"  {look.elapsed:6.1f} s  {look.phase}: {_done(look)}{counts}{left}\n")
        self._stream.flush()


def _done(look: Look) -> str:
    actions = look.day.get("actions")
    return f"{look.day.get('done', 0):,} of {actions:,} actions, " if actions else ""


def _table(look: Look) -> Table:
    table = Table(title=f"{look.phase} · {look.elapsed:.0f} s", title_justify="left", show_header=False, min_width=56)
    table.add_column()
    table.add_column(justify="right")
    if look.day.get("actions"):
        share = look.day["done"] / look.day["actions"]
        table.add_row("partners' actions", f"{look.day['done']:,} of {look.day['actions']:,} ({share:.0%})")
    minutes = look.day.get("business_minutes")
    if minutes is not None:
        table.add_row("business time", f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d} since the day's start")
    for name, count in look.counts.items():
        table.add_row(name, f"{count:,}")
    for line in look.left[:6]:
        table.add_row(f"[dim]{line}", "")
    return table
