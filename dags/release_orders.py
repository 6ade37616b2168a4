"""
# Sales orders from the ERP to the TMS, once each

An approved order is fetched, gated (customer, ship-to, items known; pallet dimensions taken from the item master where
the order has none), and released to the TMS. A change sends the new version, a cancellation cancels. The TMS answers
with shipment plans, which `ingest_shipment_events` takes in.

**Starts** when the ERP has an order that we have not read, and by a timed sweep.

**If it fails**: `land_and_gate` names the partner that can't be reached or the contract that was broken. An order that
fails the gate fails no task: it is in quarantine with its reasons, and the steward's fix releases it. `plan_and_apply`
fails only when the models ask for something impossible; the log says which order.

**Running it again is always safe**: the plan is the difference between what should be in the TMS and what was sent; a
repetition plans nothing.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, land_and_gate, plan_and_apply

with DAG(
    "release_orders",
    description="Approved orders to the TMS, changes and cancellations after them",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.SALES_ORDER_CHANGES, minute=1),
    **policy.dag(owner="data_engineering", pool=policy.INTAKE, open_to="steward", tags=["orders", "erp", "tms"]),
):
    tells = {"ingest_shipment_events": assets.ORDERS}
    (
        land_and_gate("release_orders")
        >> build("release_orders", tells=tells)
        >> plan_and_apply("release_orders", outlets=[assets.OUTBOX])
        >> keep_up("release_orders", tells=tells, outlets=[assets.OUTBOX])
    )
