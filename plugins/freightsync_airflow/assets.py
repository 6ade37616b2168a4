"""The assets: what the DAGs hand to each other, and so the process map in the UI.

    inbox/…      lies at a partner or on our SFTP server, not fetched yet: watched from outside
    landed/…     ours, as received
    canonical/…  shaped: one object, whoever spoke of it
    ledger/…     effects made
    outbox/…     on the way to a partner

An outlet is reported only when its content changed (`stages`), or every run would wake everything downstream. Watchers
look at what is waiting, so an event that was lost or came while a DAG was paused is found at the next look.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from freightsync.pipelines.table import EVENTS_CHANNEL, OUTBOX_CHANNEL, POD_CHANNEL, WORK_CHANNEL
from freightsync.settings import Settings
from freightsync.systems.partners import carriers
from freightsync_airflow.triggers.delta import DeltaTrigger
from freightsync_airflow.triggers.notify import NotifyTrigger
from freightsync_airflow.triggers.sftp import SftpFilesTrigger

CARRIER_DIRECTORIES = [
    f"/{carrier.directory}/inbound" for carrier in carriers(folder=Settings.load().carrier_folder) if carrier.files
]
BULK_SECONDS = 4.0
"""Bulk pipelines are woken at most this often: a start costs two cores more than what a few seconds of waiting save."""


def _asset(name: str, *watchers: AssetWatcher) -> Asset:
    return Asset(name=name, uri=f"freightsync://{name}", group="freightsync", watchers=list(watchers))


MASTER_DATA_CHANGES = _asset(
    "inbox/master_data",
    AssetWatcher(
        name="master_data_changed",
        trigger=DeltaTrigger(consumer="sync_master_data", interval=BULK_SECONDS, look_every=4.0),
    ),
)
SALES_ORDER_CHANGES = _asset(
    "inbox/sales_orders",
    AssetWatcher(
        name="sales_orders_changed",
        trigger=DeltaTrigger(consumer="release_orders", interval=BULK_SECONDS, look_every=3.0),
    ),
)
CARRIER_STATUS_FILES = _asset(
    "inbox/carrier_status_files",
    AssetWatcher(
        name="status_files_arrived",
        trigger=SftpFilesTrigger(
            consumer="ingest_shipment_events", directories=CARRIER_DIRECTORIES, pattern="214_*", interval=BULK_SECONDS
        ),
    ),
)
CARRIER_INVOICE_FILES = _asset(
    "inbox/carrier_invoice_files",
    AssetWatcher(
        name="invoice_files_arrived",
        trigger=SftpFilesTrigger(
            consumer="ingest_carrier_invoices",
            directories=CARRIER_DIRECTORIES,
            # every file but the 214s: 210s and what carriers without EDI send
            pattern="!214_*",
            interval=BULK_SECONDS,
        ),
    ),
)
SHIP_CONFIRMATIONS = _asset(
    "inbox/ship_confirmations",
    AssetWatcher(
        name="ship_confirmations_written",
        trigger=DeltaTrigger(consumer="ingest_shipment_events", interval=BULK_SECONDS, look_every=5.0),
    ),
)

LANDED_EVENTS = _asset(
    "landed/shipment_events",
    AssetWatcher(
        name="shipment_events_landed",
        trigger=NotifyTrigger(
            consumer="ingest_shipment_events", channels=[EVENTS_CHANNEL, POD_CHANNEL], interval=BULK_SECONDS
        ),
    ),
)
LANDED_PODS = _asset(
    "landed/proofs_of_delivery",
    AssetWatcher(
        name="proof_of_delivery_landed",
        trigger=NotifyTrigger(consumer="invoice_on_pod", channels=[POD_CHANNEL]),
    ),
)
LANDED_CARRIER_INVOICES = _asset("landed/carrier_invoices")

MASTER_DATA = _asset("canonical/master_data")
ORDERS = _asset("canonical/orders")
SHIPMENTS = _asset(
    "canonical/shipments",
    AssetWatcher(
        name="shipments_changed",
        trigger=NotifyTrigger(consumer="post_accruals", channels=[WORK_CHANNEL], interval=BULK_SECONDS),
    ),
)

ACCRUALS = _asset(
    "ledger/accruals",
    AssetWatcher(
        name="accruals_changed",
        trigger=NotifyTrigger(consumer="settle_freight", channels=[WORK_CHANNEL], interval=BULK_SECONDS),
    ),
)
PAYABLES = _asset("ledger/payables")
CUSTOMER_INVOICES = _asset("ledger/customer_invoices")

OUTBOX = _asset(
    "outbox/messages",
    AssetWatcher(
        name="messages_waiting",
        trigger=NotifyTrigger(consumer="deliver_effects", channels=[OUTBOX_CHANNEL], interval=3.0),
    ),
)

REPORT = _asset("report/reconciliation")
