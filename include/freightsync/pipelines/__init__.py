"""Pipelines: which stages run for which consumer, in what order, over what; called by tasks, the command line and
tests.

May import every stage, `systems` and `warehouse`, as the command line may; never Airflow. Heavy libraries (dbt, Great
Expectations) are imported only when a stage needs them: the hot path needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freightsync.settings import Settings


def deploy(settings: Settings) -> None:
    """Parses the dbt project and builds every model once, so that every relation exists. Safe to repeat."""
    from freightsync.pipelines import build

    build.prepare(settings)
