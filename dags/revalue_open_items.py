"""
# Items open in foreign currency, at a period's closing rate

Accruals and payables in another currency than the books' stand there at the rate of their own day. At a period's end
each is valued at the closing rate; the difference, not realised yet, goes to an account of its own and is taken back on
the first day of the next period, so that what is settled then is compared with its original rate alone.

**Starts** when somebody starts it for a period, as 2026-03, before that period is closed: once the closing rates are
there, and once more before the close.

**If it fails**: the log says what to do. A closed period is refused: its revaluation would stand in another one. An
item for which no rate was published fails the task after everything else was posted; publish the rate in the ERP and
start it again.

**Running it again is always safe**: only what differs from what was posted is posted.
"""

from airflow.sdk import DAG, Param

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import revalue

with DAG(
    "revalue_open_items",
    description="Open items in foreign currency at a period's closing rate, and back on the next day",
    doc_md=__doc__,
    schedule=None,
    params={
        "period": Param(
            type="string", pattern=r"^\d{4}-(0[1-9]|1[0-2])$", title="Period", description="a month, as 2026-03"
        ),
    },
    **policy.dag(owner="finance", pool=policy.ACCRUALS, open_to="finance", tags=["close", "ledger"]),
):
    revalue(outlets=[assets.OUTBOX])
