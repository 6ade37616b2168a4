"""
# The ERP's books read back and compared with ours

Reads every document of the ERP's ledger that is new, whoever posted it, and its trial balance of each open period (and
of those closed lately: what was signed should still be so). Compares document by document: a journal entered by hand, a
reversal of one of ours, a document posted twice, with other amounts, in another period, or missing there is *drift*,
with its reason and what to do. `freightsync drift list` shows it; `adopt` and `repost` propose, another person
approves.

What was approved is posted here: adjustments, and releases of leftover accruals. A document of ours whose answer got
lost is recorded as accepted where the ERP's books show it. A period that the ERP locked first is closed here, too, and
what it refused for that goes to the next open one.

**Starts** every hour, and whenever somebody starts it.

**If it fails**: the ERP could not be read, or an adjustment could not be planned; the log names which. Drift itself is
no failure: it blocks the closing of its period.

**Running it again is always safe**: the same books are the same facts, and only the difference is posted.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import compare_ledger, read_ledger

with DAG(
    "reconcile_ledger",
    description="The ERP's books read back, compared document by document; approved adjustments posted",
    doc_md=__doc__,
    schedule=policy.hourly(35),
    **policy.dag(owner="finance", pool=policy.REPORTS, open_to="finance", tags=["ledger", "erp"]),
):
    read_ledger(outlets=[assets.OUTBOX]) >> compare_ledger(outlets=[assets.TIE_OUT])
