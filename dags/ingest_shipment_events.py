"""
# Plans and events of every channel into one forward-only status

Shipment plans and tender events from the TMS (webhooks; missed ones by polling), X12 214 files from SFTP, carrier
webhooks, the driver app, ship confirmations of the WMS: one canonical event each, whatever the channel. Milestones only
move forward within a leg; a late or repeated event is logged and changes nothing. The ERP is told the status of
shipments and orders and the freight plan.

**Starts** when events have landed, when whole 214 files lie on the SFTP server, when the WMS confirmed a shipment, when
a plan without charges was rated, and by a timed sweep. Bursts of events start one run.

**If it fails**: events that can't be read or name a status that we don't know are in quarantine with their reasons and
fail no task. A failing `land_and_gate` names the partner; a failing `build` names the model; until it is mended nothing
is planned from half-built tables.

**Running it again is always safe**: files and events land once, the status is computed from all events of a shipment,
and only what differs from what the ERP was told is sent.
"""

from airflow.sdk import DAG

from freightsync_airflow import assets, policy
from freightsync_airflow.stages import build, keep_up, land_and_gate, plan_and_apply

with DAG(
    "ingest_shipment_events",
    description="Status events of every channel into one forward-only status; the ERP is told",
    doc_md=__doc__,
    schedule=policy.woken_by(
        assets.LANDED_EVENTS
        | assets.CARRIER_STATUS_FILES
        | assets.SHIP_CONFIRMATIONS
        | assets.ORDERS
        | assets.RATED_CHARGES,
        minute=2,
    ),
    **policy.dag(
        owner="data_engineering", pool=policy.INTAKE, open_to="steward", tags=["execution", "carriers", "edi"]
    ),
):
    tells = {"post_accruals": assets.SHIPMENTS, "settle_freight": assets.SHIPMENTS}
    (
        land_and_gate("ingest_shipment_events")
        >> build("ingest_shipment_events", tells=tells)
        >> plan_and_apply("ingest_shipment_events", outlets=[assets.OUTBOX])
        >> keep_up("ingest_shipment_events", tells=tells, outlets=[assets.OUTBOX])
    )
