"""Typed errors become fail or retry in one place."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowFailException

from freightsync.domain.errors import (
    ApprovalNeeded,
    ModelNotBuilt,
    PartnerRefused,
    PartnerUnavailable,
    PermanentError,
    StalePlan,
    TransientError,
)
from freightsync.settings import SettingsError
from freightsync_airflow.errors import RETRY_POLICY, typed


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("broken"),
        ModelNotBuilt("broken"),
        PartnerRefused("no such customer"),
        ApprovalNeeded("too much", fingerprint="f"),
        SettingsError("no database"),
    ],
)
def test_what_a_rerun_can_not_change_fails_at_once(error: Exception) -> None:
    assert RETRY_POLICY.evaluate(error, 1, 4).action is RetryAction.FAIL


@pytest.mark.parametrize(
    "error", [TransientError("later"), PartnerUnavailable("503"), StalePlan("moved"), psycopg.OperationalError("gone")]
)
def test_what_may_pass_is_retried_soon(error: Exception) -> None:
    decision = RETRY_POLICY.evaluate(error, 1, 4)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is not None
    assert decision.retry_delay <= timedelta(seconds=10)


def test_a_partner_that_names_a_time_is_obeyed() -> None:
    decision = RETRY_POLICY.evaluate(PartnerUnavailable("429", retry_after=37.5), 1, 4)
    assert decision.retry_delay == timedelta(seconds=37.5)


def test_a_defect_of_ours_keeps_the_tasks_own_retries() -> None:
    assert RETRY_POLICY.evaluate(ZeroDivisionError(), 1, 4).action is RetryAction.DEFAULT


def test_a_permanent_error_fails_the_task_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    @typed
    def task() -> None:
        raise PermanentError(
            "charge code 999 is not known", partner="NRDF", document="210_7.edi", what_to_do="map it, then release"
        )

    with pytest.raises(AirflowFailException, match="map it, then release"):
        task()
    assert "what to do: map it, then release" in caplog.text
    assert "document: 210_7.edi" in caplog.text


def test_a_transient_error_stays_what_it_is() -> None:
    @typed
    def task() -> None:
        raise PartnerUnavailable("503")

    with pytest.raises(PartnerUnavailable):
        task()
