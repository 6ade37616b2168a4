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

from freightsync.landing.feeds import ANSWER_FEEDS, AUDIT_FEED, EVENT_FEEDS, INVOICE_FEEDS, PAYMENT_FEEDS, RATE_FEEDS
from freightsync.pipelines.table import EVENTS_CHANNEL, INVOICES_CHANNEL, OUTBOX_CHANNEL, POD_CHANNEL, WORK_CHANNEL
from freightsync.settings import Settings
from freightsync.systems.partners import senders
from freightsync_airflow.triggers.delta import DeltaTrigger
from freightsync_airflow.triggers.notify import NotifyTrigger
from freightsync_airflow.triggers.sftp import SftpFilesTrigger


def _inboxes(*feeds: str) -> list[str]:
    """The directories of everybody who leaves files of these feeds."""
    known = senders(folder=Settings.load().carrier_folder)
    theirs = [one.directory for one in known if any(kind.feed in feeds for kind in one.files)]
    return [f"/{directory}/inbound" for directory in dict.fromkeys(theirs)]


# one list for both, so that one connection looks for both
CARRIER_DIRECTORIES = _inboxes(*EVENT_FEEDS, *INVOICE_FEEDS, AUDIT_FEED, *ANSWER_FEEDS)
RATE_DIRECTORIES = _inboxes(*RATE_FEEDS)
BANK_DIRECTORIES = _inboxes(*PAYMENT_FEEDS)

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
            # every file but the 214s: 210s, INVOICs, tables, results of audits
            pattern="!214_*",
            interval=BULK_SECONDS,
        ),
    ),
)
RATE_FILES = _asset(
    "inbox/rate_files",
    AssetWatcher(
        name="rate_files_arrived",
        trigger=SftpFilesTrigger(
            consumer="rate_shipments", directories=RATE_DIRECTORIES, pattern="*", interval=BULK_SECONDS
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
BANK_STATEMENT_FILES = _asset(
    "inbox/bank_statements",
    AssetWatcher(
        name="bank_statements_arrived",
        trigger=SftpFilesTrigger(
            consumer="apply_payments", directories=BANK_DIRECTORIES, pattern="*", interval=BULK_SECONDS
        ),
    ),
)
RECEIVABLE_CHANGES = _asset(
    "inbox/payments_and_disputes",
    AssetWatcher(
        name="payments_or_disputes_changed",
        trigger=DeltaTrigger(consumer="apply_payments", interval=BULK_SECONDS, look_every=6.0),
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
PLANS_TO_RATE = _asset(
    "landed/plans_to_rate",
    AssetWatcher(
        name="plans_to_rate_landed",
        trigger=NotifyTrigger(
            consumer="rate_shipments", channels=[EVENTS_CHANNEL, WORK_CHANNEL], interval=BULK_SECONDS
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
BILLS_TO_GATE = _asset(
    "landed/bills_to_gate",
    AssetWatcher(
        name="bills_landed",
        trigger=NotifyTrigger(consumer="ingest_carrier_invoices", channels=[INVOICES_CHANNEL], interval=BULK_SECONDS),
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

RATED_CHARGES = _asset("canonical/rated_charges")

ACCRUALS = _asset(
    "ledger/accruals",
    AssetWatcher(
        name="accruals_changed",
        trigger=NotifyTrigger(consumer="settle_freight", channels=[WORK_CHANNEL], interval=BULK_SECONDS),
    ),
)
PAYABLES = _asset("ledger/payables")
CUSTOMER_INVOICES = _asset("ledger/customer_invoices")
RECEIVABLES = _asset("ledger/receivables")
EINVOICES_TO_WRITE = _asset(
    "ledger/einvoices_to_write",
    AssetWatcher(
        name="einvoices_asked_for",
        trigger=NotifyTrigger(consumer="send_einvoices", channels=[WORK_CHANNEL], interval=BULK_SECONDS),
    ),
)

OUTBOX = _asset(
    "outbox/messages",
    AssetWatcher(
        name="messages_waiting",
        trigger=NotifyTrigger(consumer="deliver_effects", channels=[OUTBOX_CHANNEL], interval=3.0),
    ),
)

TIE_OUT = _asset("ledger/tie_out")
CLOSED_PERIODS = _asset("ledger/closed_periods")
DISPUTES = _asset("ledger/disputes")
REPORT = _asset("report/reconciliation")
