"""Typed errors become Airflow's fail or retry here and nowhere else.

`PermanentError`: the same input fails again, so the task fails now and its log says what to do. `TransientError` and a
database that went away: retried, after the time the partner asked for where it named one. Anything else is a defect of
ours: it keeps the task's own retries, because a crash in the middle is cured by running again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar

from airflow.sdk import Context, ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule
from airflow.sdk.exceptions import AirflowFailException

from freightsync.domain.errors import FreightsyncError, PermanentError

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

RETRIES = 4
RETRY_DELAY = timedelta(seconds=5)
LONGEST_RETRY_DELAY = timedelta(minutes=5)


class AsAsked(ExceptionRetryPolicy):
    """Retries when the other side asked to be called again, where it said when; else by the rules."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        decision = super().evaluate(exception, try_number, max_tries, context)
        asked = getattr(exception, "retry_after", None)
        if decision.action is RetryAction.RETRY and asked is not None:
            delay = min(timedelta(seconds=max(float(asked), 1.0)), LONGEST_RETRY_DELAY)
            return RetryDecision.retry(delay=delay, reason=f"asked to come back after {asked} s")
        return decision


RETRY_POLICY = AsAsked(
    rules=[
        RetryRule(
            exception="freightsync.domain.errors.PermanentError",
            action=RetryAction.FAIL,
            reason="the same input would fail the same way",
        ),
        RetryRule(
            exception="freightsync.settings.SettingsError",
            action=RetryAction.FAIL,
            reason="the settings don't fit together; a retry reads the same ones",
        ),
        RetryRule(
            exception="freightsync.domain.errors.StalePlan",
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=2),
            reason="the log has moved on: planned again",
        ),
        RetryRule(
            exception="freightsync.domain.errors.TransientError",
            action=RetryAction.RETRY,
            retry_delay=RETRY_DELAY,
            reason="may work later",
        ),
        RetryRule(
            exception="psycopg.OperationalError",
            action=RetryAction.RETRY,
            retry_delay=RETRY_DELAY,
            reason="the database could not be reached",
        ),
    ]
)


def typed(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a task's callable; a permanent error fails the task with its fields in the log, whatever retries are
    left."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except PermanentError as error:
            _explain(error)
            raise AirflowFailException(str(error)) from error
        except FreightsyncError as error:
            _explain(error)
            raise

    return run


def _explain(error: FreightsyncError) -> None:
    for name, value in (
        ("what is wrong", error.message),
        ("partner", error.partner),
        ("document", error.document),
        ("position", error.position),
        ("what to do", error.what_to_do),
    ):
        if value:
            log.error("%s: %s", name, value)
