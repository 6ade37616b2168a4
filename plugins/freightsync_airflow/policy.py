"""How a DAG of this project looks: what every DAG file passes to `DAG(...)`.

Values come from the settings, which do not change while a stack runs: what varies at parse time would multiply the
versions of a DAG.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.definitions.asset import BaseAsset

from freightsync.settings import settings
from freightsync_airflow.errors import LONGEST_RETRY_DELAY, RETRIES, RETRY_DELAY, RETRY_POLICY

# pools, made at boot from pools.json
HOT = "hot"
INTAKE = "intake"
ACCRUALS = "accruals"
SETTLEMENT = "settlement"
RECEIVABLES = "receivables"
DELIVERY = "delivery"
REPORTS = "reports"


def dag(
    *,
    owner: str,
    pool: str,
    tags: list[str],
    open_to: str | None = None,
    timeout: timedelta = timedelta(minutes=30),
    waits: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of a DAG: one run at a time, no catching up (a run takes whatever waits), retries by the kind
    of error, a pool.

    owner    who is asked when it fails: data_engineering, finance or stewards
    waits    whether a run waits for a person: for as long as two weeks
    open_to  the role, besides those that run every DAG, that may do here what `roles.json` lets it do: FAB asks for
             can_edit on the DAG, too, before it lets anyone start it or answer an approval of it
    """
    return {
        # one action: several would stand in another order at each parse, and each order is another version of the DAG
        "access_control": {open_to: {"DAGs": {"can_edit"}}} if open_to else {},
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["freightsync", *tags],
        "dagrun_timeout": timedelta(days=14) if waits else timeout,
        "default_args": {
            "owner": owner,
            "pool": pool,
            "retries": RETRIES,
            "retry_delay": RETRY_DELAY,
            "retry_exponential_backoff": True,
            "max_retry_delay": LONGEST_RETRY_DELAY,
            "retry_policy": RETRY_POLICY,
            "execution_timeout": timeout,
        },
    }


def daily(hour: int) -> CronTriggerTimetable:
    """Every day at this hour, UTC; not at once for an hour that has passed when the stack starts."""
    return CronTriggerTimetable(f"0 {hour} * * *", timezone="UTC", run_immediately=False)


def hourly(minute: int) -> CronTriggerTimetable:
    """Every hour at this minute."""
    return CronTriggerTimetable(f"{minute} * * * *", timezone="UTC", run_immediately=False)


def woken_by(assets: BaseAsset, *, minute: int) -> AssetOrTimeSchedule:
    """Runs when one of the assets changes, and every `sweep_seconds` (whole minutes) for what no event told of.

    minute  where in the sweep's interval: sweeps of all DAGs at the same moment would only stand in each other's way
    """
    every = min(max(round(settings().sweep_seconds / 60), 1), 30)
    sweep = CronTriggerTimetable(f"{minute % every}-59/{every} * * * *", timezone="UTC", run_immediately=False)
    return AssetOrTimeSchedule(assets=assets, timetable=sweep)
