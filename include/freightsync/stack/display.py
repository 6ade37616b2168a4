"""The progress of a start as people see it: a live table on a terminal, one plain line a step elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

Step = dict[str, Any]


@contextlib.contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callable[[Step], None]]:
    """Gives the function to call with each step that changes."""
    stream = stream or sys.stdout
    if stream.isatty():
        with _live(stream) as report:
            yield report
    else:
        yield lambda step: _plain(step, stream)


def _plain(step: Step, stream: TextIO) -> None:
    if step["state"] == "running":
        return
    detail = f"  ({step['detail']})" if step.get("detail") else ""
    stream.write(f"  {step['title']:<36} {step['state']:<7} {step['seconds']:>6.1f} s{detail}\n")
    stream.flush()


@contextlib.contextmanager
def _live(stream: TextIO) -> Iterator[Callable[[Step], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=stream)
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as display:
        tasks: dict[str, Any] = {}

        def report(step: Step) -> None:
            title = step["title"]
            if title not in tasks:
                tasks[title] = display.add_task(title, total=1)
            text = f"{title} [dim]{step['detail']}" if step.get("detail") else title
            if step["state"] == "failed":
                text = f"[red]{title} failed"
            display.update(tasks[title], description=text, completed=1 if step["state"] == "done" else 0)
            if step["state"] == "failed":
                display.stop_task(tasks[title])

        yield report
