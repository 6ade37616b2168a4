"""Makes the day's workbook: figures from the warehouse, the ERP's trial balance from the ERP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import httpx

from freightsync.domain.errors import PermanentError, TransientError
from freightsync.reports.figures import TrialBalanceLine, gather
from freightsync.reports.workbook import Written, write_workbook
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect


def make_report(
    settings: Settings, as_of: datetime, business_on: date | None = None, path: Path | None = None
) -> Written:
    """Writes the reconciliation workbook and says how many of its tie-out lines differ.

    as_of: the moment that the report speaks of, with its zone. business_on: its day, as_of's if none is given. path:
    `<home>/reports/reconciliation-<day>.xlsx` if none is given. Raises TransientError where the ERP doesn't answer,
    PermanentError where it refuses; psycopg.Error where a mart is missing.
    """
    business_on = business_on or as_of.date()
    path = path or settings.home / "reports" / f"reconciliation-{business_on.isoformat()}.xlsx"
    balance = erp_trial_balance(settings)
    with connect(settings.dsn("report"), application_name="freightsync report") as connection:
        figures = gather(connection, as_of=as_of, business_on=business_on, trial_balance=balance)
    return write_workbook(figures, path)


def erp_trial_balance(settings: Settings) -> Sequence[TrialBalanceLine]:
    """The ERP's trial balance as it states it itself, exact to the cent. Raises TransientError, PermanentError."""
    erp = settings.partner("erp")
    try:
        answer = httpx.get(
            f"{erp.base_url}/api/v1/trial-balance",
            headers={"Authorization": f"Bearer {erp.token.get_secret_value()}"},
            timeout=30,
            trust_env=False,
        )
    except httpx.TransportError as error:
        raise TransientError(
            f"the ERP does not answer: {error}", partner="erp", what_to_do="it is tried again by itself"
        ) from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise TransientError(
            f"the ERP answers {answer.status_code} to its trial balance",
            partner="erp",
            what_to_do="it is tried again by itself",
        )
    if answer.status_code != 200:
        raise PermanentError(
            f"the ERP refuses its trial balance: {answer.status_code} {answer.text[:300]}",
            partner="erp",
            what_to_do="check the ERP's address and token in the settings",
        )
    return [
        TrialBalanceLine(
            account=line["account"],
            currency=line["currency"],
            debit=Decimal(str(line["debit"])),
            credit=Decimal(str(line["credit"])),
        )
        for line in json.loads(answer.text, parse_float=Decimal)
    ]
