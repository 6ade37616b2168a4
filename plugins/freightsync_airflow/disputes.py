"""The tasks by which people work on disputes and approvals, a batch at a time: what waits is shown in one table, one
answer is asked for all of it, and what may not be done under that answer is said case by case."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from freightsync.settings import settings
from freightsync_airflow.stages import report_only, stage

log = logging.getLogger(__name__)

CONSUMER = "work_disputes"
WAIT_FOR_ANSWER = timedelta(days=10)

PROPOSE = "Propose to pay what is owed, where nothing was said yet"
ACCEPT = "Accept what carriers proposed"
REFUSE = "Refuse what carriers proposed"
APPROVE = "Approve the bills that fit and wait for a person"
LATER = "Nothing now"


class Ask(HITLOperator):
    """Asks what to do with the batch. Gives {chosen, by, note}."""

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        answered = super().execute_complete(context, event)
        who = (event.get("responded_by_user") or {}).get("name") or "nobody"
        note = (answered["params_input"] or {}).get("note") or ""
        return {"chosen": list(answered["chosen_options"]), "by": str(who), "note": str(note)}


def gather() -> Any:
    @task(task_id="gather")
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Lists the disputes and approvals that wait for us, the nearest deadline first; skips where none does."""
        from freightsync.pipelines import disputes

        with _connect() as conn:
            batch = disputes.gather(conn)
        if not batch.cases and not batch.approvals:
            raise AirflowSkipException("nothing is contested, and no bill waits for a person")
        log.info("%s", batch.table())
        return {"batch": batch.as_json(), "table": batch.table()}

    return run()


def ask() -> Ask:
    return Ask(
        task_id="ask",
        subject="Disputed carrier bills, and bills that wait for a person",
        body="{{ ti.xcom_pull(task_ids='gather')['table'] }}",
        options=[PROPOSE, ACCEPT, REFUSE, APPROVE, LATER],
        multiple=True,
        params={"note": Param("", type="string", title="Note", description="Kept with what is said")},
        response_timeout=WAIT_FOR_ANSWER,
        execution_timeout=timedelta(minutes=5),
        doc_md="Asks a person once for the whole batch. Single cases: `freightsync disputes`.",
    )


def carry_out(*, outlets: list[Asset]) -> Any:
    @task(task_id="carry_out", outlets=outlets)
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Says in each case what was answered for the batch. A case in which more was said meanwhile, or that goes
        beyond what the person may decide, is left and named."""
        from freightsync.pipelines import disputes

        context = get_current_context()
        instance = context["ti"]
        gathered, answer = instance.xcom_pull(task_ids="gather"), instance.xcom_pull(task_ids="ask")
        chosen = set(answer["chosen"])
        with _connect() as conn:
            done = disputes.carry_out(
                conn,
                disputes.Batch.from_json(gathered["batch"]),
                disputes.Answer(
                    propose=PROPOSE in chosen,
                    accept=ACCEPT in chosen,
                    refuse=REFUSE in chosen,
                    approve=APPROVE in chosen,
                    by=answer["by"],
                    asked_by=str(getattr(context["dag_run"], "triggering_user_name", None) or "airflow"),
                    note=answer["note"],
                    at=datetime.now(UTC),
                ),
            )
        for name, why in done.left.items():
            log.warning("%s: %s", name, why)
        report_only(outlets if done.said else ())
        return {"said": done.said, "left": done.left}

    return run()


def _connect() -> Any:
    from freightsync.warehouse.connection import connect

    return connect(settings().dsn("app"), application_name=CONSUMER)
