"""
# Carrier invoices matched, settled, or kept as exceptions with their reasons

Each carrier invoice is matched to shipments by a cascade of references, compared line by line with what was planned,
and judged: exact, in tolerance, or an exception (no candidate, several candidates, out of tolerance, unplanned charge,
duplicate, not delivered yet). Approved lines post a payable and reverse just the accrual that they match. Every
verdict names the rule that made it.

**Starts** when invoices were accepted, when accruals were posted or a shipment changed that an invoice waits for, and
by a timed sweep. An invoice that came before its delivery settles by itself once the shipment is delivered.

**If it fails**: an exception of an invoice is a verdict, not a failure. A failing `build` names the model, and nothing
is posted from it. `plan_and_apply` fails when a plan would take back more than the limit: the log shows the plan and
asks for a person.

**Running it again is always safe**: what was posted is in the log, and only the difference is posted.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, plan_and_apply

with DAG(
    "settle_freight",
    description="Carrier invoices matched line by line; payables posted, accruals reversed",
    doc_md=__doc__,
    schedule=policy.woken_by(
        assets.LANDED_CARRIER_INVOICES | assets.ACCRUALS | assets.SHIPMENTS | assets.DISPUTES, minute=5
    ),
    **policy.dag(owner="finance", pool=policy.SETTLEMENT, open_to="finance", tags=["settlement", "ledger"]),
):
    (
        build("settle_freight")
        >> plan_and_apply("settle_freight", outlets=[assets.PAYABLES, assets.OUTBOX])
        >> keep_up("settle_freight", outlets=[assets.PAYABLES, assets.OUTBOX])
    )
