"""
# Freight accrued when its policy says so

A shipment that was dispatched, picked up, delivered or proven (by carrier, charge and business unit, as rows of
`rules.accrual_policy` say) and whose invoice has not come owes its planned freight: one posting a planned charge,
expense against accrued freight, in foreign currency at the rate of that day. A changed plan posts the difference, a
cancelled shipment takes it back. What is not posted says why (`decisions.accrual`): below the minimum, no ledger
account yet, no exchange rate yet. The carrier's invoice reverses just what it matches (`settle_freight`). Each charge
is shared among the order lines that it carried (`decisions.freight_allocation`).

**Starts** when shipments came further or their plan changed, and by a timed sweep.

**If it fails**: a failing `build` names the model; nothing is posted from a half-built one.

**Running it again is always safe**: the log knows what was accrued; a repetition posts nothing.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, plan_and_apply

with DAG(
    "post_accruals",
    description="Planned freight accrued from the milestone of its policy, one posting a charge",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.SHIPMENTS | assets.MASTER_DATA, minute=6),
    **policy.dag(owner="finance", pool=policy.ACCRUALS, open_to="finance", tags=["accruals", "ledger"]),
):
    (
        build("post_accruals", tells={"settle_freight": assets.ACCRUALS})
        >> plan_and_apply("post_accruals", outlets=[assets.OUTBOX])
        >> keep_up("post_accruals", tells={"settle_freight": assets.ACCRUALS}, outlets=[assets.OUTBOX])
    )
