"""The pipelines of freightsync as data: who gates what, builds what, plans what, and who must look again afterwards.

A *consumer* is a pipeline's name; it is the name of its DAG, of its rows in `ops.touched` and of its runs in `ops.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from freightsync.landing.feeds import (
    ANSWER_FEEDS,
    AUDIT_FEED,
    EVENT_FEEDS,
    INVOICE_FEEDS,
    LEDGER_FEEDS,
    MASTER_FEEDS,
    PAYMENT_FEEDS,
    RATE_FEEDS,
)


@dataclass(frozen=True)
class Pipeline:
    """One row of the table.

    name          consumer and DAG id
    summary       one line, for people
    feeds         feeds that are fetched, where they are polled, and whose ungated batches this pipeline gates, in order
    claims        whether touched rows wait for this pipeline
    selector      what dbt builds, None where the relations are views made at deployment
    relations     desired relations that the planner reads
    scope         relation that lists the aggregates to plan (run_id, aggregate_type, aggregate_id)
    finds         relation (aggregate_type, aggregate_id) of what has to be looked at again though nothing touched it:
                  what it waits for came to be outside of landing and models
    tells_made    whether others look again at what its plans made (`decisions.propagation_made`)
    channels      PostgreSQL channels whose notifications mean that there may be work
    file_patience seconds to wait for files that were not seen before; 0: the next run takes them
    suites        whether the gate runs the Great Expectations suites (else the same rules as SQL alone)
    """

    name: str
    summary: str
    feeds: tuple[str, ...] = ()
    claims: bool = True
    selector: str | None = None
    relations: tuple[str, ...] = ()
    scope: str | None = None
    finds: str | None = None
    tells_made: bool = False
    channels: tuple[str, ...] = ()
    suites: bool = True
    file_patience: float = 2.0


POD_CHANNEL = "freightsync_pod"
EVENTS_CHANNEL = "freightsync_events"
INVOICES_CHANNEL = "freightsync_invoices"
OUTBOX_CHANNEL = "freightsync_outbox"
WORK_CHANNEL = "freightsync_work"
"""Its payload is a consumer's name: there is something for it, in the warehouse or at a partner."""
CHANNELS = (POD_CHANNEL, EVENTS_CHANNEL, INVOICES_CHANNEL, OUTBOX_CHANNEL, WORK_CHANNEL)

_ALL = (
    Pipeline(
        name="sync_master_data",
        summary="customers, ship-tos, items, carriers, charge codes and lanes into tables that keep their history",
        feeds=MASTER_FEEDS,
        selector="tag:master",
    ),
    Pipeline(
        name="release_orders",
        summary="approved sales orders from the ERP to the TMS, once each",
        # an order must not be judged by older master data than itself
        feeds=(*MASTER_FEEDS, "erp.sales_order"),
        selector="tag:orders",
        relations=("desired.state__tms_orders",),
        scope="decisions.scope_release_orders",
    ),
    Pipeline(
        name="ingest_shipment_events",
        summary="plans and events of every channel into one forward-only status; the ERP is told",
        feeds=("tms.shipment_plan", *EVENT_FEEDS),
        selector="tag:shipments",
        relations=("desired.state__erp_shipments", "desired.state__erp_orders"),
        scope="decisions.scope_ingest_shipment_events",
        channels=(EVENTS_CHANNEL, POD_CHANNEL),
        # webhooks don't wait for a file: its watcher wakes the run that takes it
        file_patience=0.0,
    ),
    Pipeline(
        name="rate_shipments",
        summary="rate cards and fuel prices from SFTP; what contracts say that shipments cost, charge by charge",
        feeds=RATE_FEEDS,
        selector="tag:rating",
        channels=(EVENTS_CHANNEL,),
    ),
    Pipeline(
        name="post_accruals",
        summary="freight accrued from the milestone that its policy names, one posting a planned charge",
        selector="tag:accruals",
        relations=("desired.movement__accruals",),
        scope="decisions.scope_post_accruals",
    ),
    Pipeline(
        name="revalue_open_items",
        summary="items open in foreign currency valued at a period's closing rate, and back on the next day",
        relations=("desired.movement__revaluation",),
        scope="decisions.scope_revalue_open_items",
    ),
    Pipeline(
        name="ingest_carrier_invoices",
        summary="carrier invoices from every channel, audit results on them and carriers' answers, through the gate",
        feeds=("erp.carrier", "erp.charge_code", *INVOICE_FEEDS, AUDIT_FEED, *ANSWER_FEEDS),
        claims=False,
        channels=(INVOICES_CHANNEL,),
    ),
    Pipeline(
        name="answer_carriers",
        summary="carriers' EDI answered: 997 or CONTRL for each file, 824 for a bill whose content keeps it waiting; "
        "and told what we billed for their moves ourselves",
        relations=("desired.once__edi_answers", "desired.once__self_bills"),
        scope="decisions.scope_answer_carriers",
        finds="decisions.carrier_untold",
    ),
    Pipeline(
        name="settle_freight",
        summary="carrier invoices matched line by line; payables posted, accruals reversed, exceptions kept",
        selector="tag:settlement",
        relations=("desired.movement__settlement", "desired.movement__input_tax", "desired.movement__claims"),
        scope="decisions.scope_settle_freight",
    ),
    Pipeline(
        name="reconcile_ledger",
        summary="the ERP's books read back and compared; approved adjustments and releases posted",
        feeds=LEDGER_FEEDS,
        selector="tag:ledger",
        relations=("desired.movement__ledger_adjustments", "desired.movement__accrual_releases"),
        scope="decisions.scope_reconcile_ledger",
    ),
    Pipeline(
        name="invoice_on_pod",
        summary="a good proof of delivery becomes a customer invoice in the ERP within seconds",
        feeds=("driver.pod",),
        relations=("desired.movement__customer_invoices",),
        scope="decisions.scope_invoice_on_pod",
        tells_made=True,
        channels=(POD_CHANNEL,),
        suites=False,
    ),
    Pipeline(
        name="apply_payments",
        summary="bank statements, payment statuses and disputes applied to customer invoices; credits where agreed",
        feeds=PAYMENT_FEEDS,
        selector="tag:payments",
        # a credit before the cash that takes it into account
        relations=("desired.movement__customer_credits", "desired.movement__payments"),
        scope="decisions.scope_plan_payments",
        finds="decisions.waiting_payments",
        tells_made=True,
    ),
    Pipeline(
        name="send_einvoices",
        summary="customer invoices and credits as e-invoices, where the customer wants them, checked and delivered",
        relations=("desired.once__einvoices",),
        scope="decisions.scope_send_einvoices",
    ),
)

PIPELINES: Mapping[str, Pipeline] = MappingProxyType({pipeline.name: pipeline for pipeline in _ALL})
