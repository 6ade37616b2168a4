"""
# From the outbox to the partners

Every effect that was made waits in the outbox with its payload frozen. This run sends what is due: first in first out
for each shipment, order or invoice; status updates many in one call; with our key, so that a partner that took it
already says so. A partner that is away or asks us to wait is called again later, ever less often. A refusal blocks
that one aggregate and is shown with what to do (a dead letter); everything else goes on.

**Starts** when a plan was applied, and by a timed sweep for what is due again. Invoices on POD are sent by their own
run; what that run could not send is sent from here.

**If it fails**: a partner that refuses or is away is no failure of this task. It fails when it can't write down what a
partner answered; the message is then sent again under the same key.

**Running it again is always safe**: at least once sent, once in effect.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import deliver

with DAG(
    "deliver_effects",
    description="Outbox to partners: in order, with our key, backing off, dead letters shown",
    doc_md=__doc__,
    schedule=policy.woken_by(assets.OUTBOX, minute=7),
    **policy.dag(owner="data_engineering", pool=policy.DELIVERY, tags=["delivery", "erp", "tms"]),
):
    deliver()
