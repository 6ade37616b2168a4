"""
# The workbook that finance opens first thing in the morning

Builds the marts from everything that is stored, tests them, checks that every control total holds (received = accepted
+ quarantined + duplicate, in records and in money), reads the ERP's own trial balance, and writes the workbook:
summary, accrual roll-forward, matches and variances, exceptions, delivered-not-billed, control totals. Formulas are
live.

**Starts** every morning at six UTC, and whenever somebody starts it.

**If it fails**: `check_and_write` fails loudly where a control total is out of balance or a data test finds one row;
the log names the feed and batch, or the test. No workbook is written then: figures that don't hold must not look as if
they did.

**Running it again is always safe**: it changes nothing but its own tables and file.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build_marts, check_and_write

with DAG(
    "report_reconciliation",
    description="Marts, control totals, the reconciliation workbook",
    doc_md=__doc__,
    schedule=policy.daily(6),
    **policy.dag(owner="finance", pool=policy.REPORTS, open_to="finance", tags=["reports", "ledger"]),
):
    build_marts(inlets=[assets.ACCRUALS, assets.PAYABLES, assets.CUSTOMER_INVOICES]) >> check_and_write(
        outlets=[assets.REPORT]
    )
