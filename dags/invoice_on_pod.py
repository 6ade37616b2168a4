"""
# Proof of delivery to customer invoice, within seconds

The driver app sends a proof of delivery; this run gates it, decides whether it makes the shipment (or the whole order)
billable, and posts the customer invoice in the ERP. A POD without signature, with another piece count or with damage
holds the invoice, with the reason; an order that is billed as a whole waits for its other shipments.

**Starts** from the event itself: the landing of the POD notifies the watcher. No clock, no polling, no dbt: the
decision is a view over what landed. A run takes every POD that waits, then listens a few seconds for more, so in a
busy hour one run serves many.

**If it fails**: the PODs stay where they are and the next run takes them; nothing is lost and nothing posted twice. A
`permanent` error in the log names the shipment and what to do. The ERP being away is no failure: the messages wait in
the outbox and `deliver_effects` sends them.

**Running it again is always safe**: an invoice is posted under a key of ours which the ERP honours.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import drain_pods

with DAG(
    "invoice_on_pod",
    description="A good proof of delivery becomes an invoice in the ERP within seconds",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.LANDED_PODS, minute=3),
    **policy.dag(owner="finance", pool=policy.HOT, open_to="finance", tags=["billing", "near real time"]),
):
    drain_pods(outlets=[assets.CUSTOMER_INVOICES])
