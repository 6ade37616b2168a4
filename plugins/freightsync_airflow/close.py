"""The tasks of a period's closing. The signature is asked of a person by Airflow; whether that person may give it is
decided here, by the rules in the warehouse: what the UI lets somebody click is not yet a right."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from freightsync.domain.errors import NotEntitled, TransientError
from freightsync.settings import settings
from freightsync_airflow.stages import stage

log = logging.getLogger(__name__)

CONSUMER = "close_period"
WAIT_FOR_SIGNATURE = timedelta(days=10)


class SignOff(ApprovalOperator):
    """Asks for a signature under the figures of a period. An answer by whoever asked for the closing, or by somebody
    without the right to it, is refused and asked again."""

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Gives {approved_by, note}. Raises TransientError for a yes that does not count: it is asked again; a no,
        whosever, ends the run."""
        who = (event.get("responded_by_user") or {}).get("name") or ""
        if self.REJECT in (event.get("chosen_options") or ()):
            raise AirflowFailException(f"{who or 'nobody'} did not sign the figures of {period_of(context)}")
        super().execute_complete(context, event)
        check_signer(period_of(context), requested_by(context), who)
        note = (event.get("params_input") or {}).get("note") or ""
        return {"approved_by": who, "note": str(note)}


def check_signer(period: str, asked: str, answered: str) -> None:
    """Raises TransientError, which asks again, where this person's answer does not count."""
    from freightsync.pipelines import closing

    try:
        closing.may_sign(settings(), period, requested_by=asked, approved_by=answered or "nobody")
    except NotEntitled as error:
        raise TransientError(
            f"the answer of {answered or 'nobody'} does not count: {error.message}",
            document=period,
            what_to_do="nothing: it is asked again, and somebody with the right to it answers",
        ) from error


def period_of(context: Any) -> str:
    return str(context["params"]["period"])


def requested_by(context: Any) -> str:
    """Who started the run."""
    return str(getattr(context["dag_run"], "triggering_user_name", None) or "airflow")


def readiness() -> Any:
    @task(task_id="readiness")
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Reads the ERP's books, compares, and fails naming all that stands between the period and its closing."""
        from freightsync.pipelines import closing

        context = get_current_context()
        found = closing.check_readiness(
            period_of(context), str(context["run_id"]), settings(), by=requested_by(context)
        )
        for check in found:
            log.warning("open, does not block: %s", check.words())
        return {"open": [check.words() for check in found]}

    return run()


def roll_forward() -> Any:
    @task(task_id="roll_forward")
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Opening + accrued - reversed - released + adjusted = closing, by account, carrier and currency; the account
        says the same."""
        from freightsync.pipelines import closing

        rows = closing.roll_forward(period_of(get_current_context()), settings())
        for row in rows:
            log.info("%s", row)
        return {"rows": len(rows)}

    return run()


def tie_out() -> Any:
    @task(task_id="tie_out")
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Our ledger against the ERP's trial balance; fails naming the documents, down to a cent. Gives the figures to
        be signed."""
        from freightsync.pipelines import closing

        shown = closing.tie_out(period_of(get_current_context()), settings())
        return {"sha256": shown["sha256"], "summary": summary(shown)}

    return run()


def summary(shown: dict[str, Any]) -> str:
    """What the signer is shown, as Markdown."""
    lines = ["| account | currency | debit | credit |", "|---|---|---:|---:|"]
    lines += [f"| {row['account']} | {row['currency']} | {row['debit']} | {row['credit']} |" for row in shown["ours"]]
    lines += [
        "",
        "The ERP's trial balance says the same.",
        "",
        "| accruals of | opening | closing |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {row['account']} {row['scac']} {row['currency']} | {row['opening']} | {row['closing']} |"
        for row in shown["accruals"]
    ]
    return "\n".join([*lines, "", f"SHA-256 of all figures: `{shown['sha256']}`"])


def sign_off() -> SignOff:
    return SignOff(
        task_id="sign_off",
        subject="Sign the figures of {{ params.period }}",
        body="{{ ti.xcom_pull(task_ids='tie_out')['summary'] }}",
        params={"note": Param("", type="string", title="Note", description="Kept with the signature")},
        response_timeout=WAIT_FOR_SIGNATURE,
        execution_timeout=timedelta(minutes=5),
        doc_md="Asks a person with the right to it, and not the one who started the run, to sign the figures.",
    )


def sign_and_lock(*, outlets: list[Asset]) -> Any:
    @task(task_id="lock", outlets=outlets)
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Records the signature, closes the period here, locks it in the ERP, and undoes both where either book has
        moved meanwhile."""
        from freightsync.pipelines import closing
        from freightsync.warehouse.connection import connect

        context = get_current_context()
        instance = context["ti"]
        answer, shown = instance.xcom_pull(task_ids="sign_off"), instance.xcom_pull(task_ids="tie_out")
        period, run_id = period_of(context), str(context["run_id"])
        with connect(settings().dsn("report"), application_name=CONSUMER) as conn:
            signed = closing.signed_in_run(conn, period, run_id, shown["sha256"])
        if signed is None:
            signed = closing.sign(
                period,
                run_id,
                settings(),
                requested_by=requested_by(context),
                approved_by=answer["approved_by"],
                figures_sha256=shown["sha256"],
                note=answer["note"],
            )
        closing.lock(signed, settings())
        return {"sign_off_id": signed.sign_off_id}

    return run()


def keep_report() -> Any:
    @task(task_id="report")
    @stage(CONSUMER)
    def run() -> dict[str, Any]:
        """Keeps the closing workbook with the signature."""
        from freightsync.pipelines import closing
        from freightsync.warehouse.connection import connect

        context = get_current_context()
        number = context["ti"].xcom_pull(task_ids="lock")["sign_off_id"]
        with connect(settings().dsn("report"), application_name=CONSUMER) as conn:
            signed = closing.find_signed(conn, int(number))
        closed = closing.report(signed, settings())
        closing.finish(str(context["run_id"]), settings())
        return {"report": closed.report_name}

    return run()
