"""The feeds: one row of data each. What lands where, what a record is called, and who must look at it again.

SQL fragments here speak of the feed's table by the alias `r`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from freightsync.domain.names import CHANNEL_EVENTS, CHANNEL_POD


@dataclass(frozen=True)
class Column:
    """A column of a feed's table besides the common ones. type: as in the migrations."""

    name: str
    type: str = "text"


@dataclass(frozen=True)
class Touch:
    """Who looks again when a record is admitted: consumer, aggregate type, and SQL for the aggregate's id over `r`.

    source: further FROM items that `r` is joined with, for an aggregate that is found by reference.
    """

    consumer: str
    aggregate_type: str
    aggregate_id: str
    source: str = ""


@dataclass(frozen=True)
class Feed:
    """One kind of record from one kind of source.

    natural_key: SQL for the name under which people know the record.
    lines: columns of `<table>_line`, for a feed whose records have lines of their own.
    partner: the partner that it is asked of, where it is polled; carriers' feeds have several.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    natural_key: str
    touches: tuple[Touch, ...]
    lines: tuple[Column, ...] = ()
    money: bool = False
    notify: tuple[str, ...] = ()
    """Channels told when a record of this feed has come by itself (a webhook)."""

    @property
    def relation(self) -> sql.Identifier:
        return sql.Identifier("landing", self.table)

    @property
    def line_relation(self) -> sql.Identifier:
        return sql.Identifier("landing", f"{self.table}_line")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _columns(text: str) -> tuple[Column, ...]:
    """`name type; name; …` (text is the default type)."""
    out = []
    for part in text.replace("\n", " ").split(";"):
        name, _, type_ = part.strip().partition(" ")
        if name:
            out.append(Column(name, type_.strip() or "text"))
    return tuple(out)


_VERSIONED = "version integer; changed_at timestamptz; "


def _master(name: str, table: str, key: str, columns: str) -> Feed:
    return Feed(
        name=name,
        table=table,
        columns=_columns(f"{key}; {_VERSIONED}{columns}"),
        natural_key=f"r.{key}",
        touches=(Touch("sync_master_data", "master", f"'{name}:' || r.{key}"),),
    )


_SHIPMENT_BY_ID = Touch(
    "ingest_shipment_events", "shipment", "'tms:' || r.reference", "where r.reference_kind = 'shipment_id'"
)
# Any version of any plan that carried the reference: looking again once too often costs nothing.
_SHIPMENT_BY_PRO = Touch(
    "ingest_shipment_events",
    "shipment",
    "'tms:' || p.shipment_id",
    "join landing.shipment_plan p on p.pro_number = r.reference and p.scac = r.scac where r.reference_kind = 'pro'",
)
_SHIPMENT_BY_BOL = Touch(
    "ingest_shipment_events",
    "shipment",
    "'tms:' || p.shipment_id",
    "join landing.shipment_plan p on p.bol_number = r.reference and p.scac = r.scac where r.reference_kind = 'bol'",
)
# Nobody's shipment yet: kept under its reference, found again when the shipment's plan comes.
_BY_REFERENCE = Touch(
    "ingest_shipment_events",
    "reference",
    "r.reference_kind || ':' || r.reference",
    "where r.reference_kind in ('pro', 'bol') and r.reference is not null and not exists ("
    " select from landing.shipment_plan p where p.scac = r.scac"
    " and r.reference = case r.reference_kind when 'pro' then p.pro_number else p.bol_number end)",
)

_STATUS_EVENT = _columns(
    """source; source_event_id; reference_kind; reference; scac; stop_sequence integer; code_set; status_code;
    reason_code; appointment boolean; occurred_local timestamp; occurred_at timestamptz; time_code; city; state;
    country; pieces integer; weight_lb numeric(12,3); details jsonb"""
)

_CARRIER_INVOICE = _columns(
    """source; scac; invoice_number; correction; invoice_on date; ship_on date; shipment_reference; bol_number;
    pro_number; po_number; origin_postal; destination_postal; weight_lb numeric(12,3); net_amount numeric(18,2);
    lines_total numeric(18,2); line_count integer"""
)

_CARRIER_INVOICE_LINE = _columns(
    "line integer; partner_code; description; line_amount numeric(18,2); shipment_reference; pro_number"
)


def _events(name: str) -> Feed:
    return Feed(
        name=name,
        table="status_event",
        columns=_STATUS_EVENT,
        natural_key="coalesce(r.source_event_id, concat_ws('/', r.reference, r.status_code, "
        "to_char(r.occurred_local, 'YYYY-MM-DD\"T\"HH24:MI:SS')))",
        touches=(_SHIPMENT_BY_ID, _SHIPMENT_BY_PRO, _SHIPMENT_BY_BOL, _BY_REFERENCE),
        notify=(CHANNEL_EVENTS,),
    )


def _invoices(name: str) -> Feed:
    return Feed(
        name=name,
        table="carrier_invoice",
        columns=_CARRIER_INVOICE,
        natural_key="r.invoice_number",
        touches=(Touch("settle_freight", "carrier_invoice", "r.scac || ':' || r.record_id"),),
        lines=_CARRIER_INVOICE_LINE,
        money=True,
    )


_ALL = (
    _master(
        "erp.customer",
        "customer",
        "customer_id",
        """name; billing_entity; payment_terms; billing_currency; freight_billing; invoice_per;
        markup_percent numeric(6,2)""",
    ),
    _master("erp.ship_to", "ship_to", "ship_to_id", "customer_id; name; city; state; postal_code; country; time_zone"),
    _master(
        "erp.item",
        "item",
        "item_id",
        """description; unit_weight_lb numeric(12,3); pallet_length_in numeric(8,2); pallet_width_in numeric(8,2);
        pallet_height_in numeric(8,2); hazmat boolean; un_number""",
    ),
    _master("erp.carrier", "carrier", "carrier_id", "scac; name; channel; carrier_currency"),
    _master(
        "erp.charge_code",
        "charge_code",
        "charge_code_id",
        "scac; partner_code; charge_code; description; ledger_account; valid_from date; valid_to date",
    ),
    _master(
        "erp.tax_profile",
        "tax_profile",
        "profile_id",
        """country; region; postal_code; city; street; legal_name; status; tax_id; tax_class; certificates jsonb;
        attributes jsonb; endpoint; endpoint_scheme; buyer_reference""",
    ),
    _master(
        "erp.tax_rate",
        "tax_rate",
        "rate_id",
        """country; region; postal_code; jurisdiction; rate_class; rate_percent numeric(7,4); valid_from date;
        valid_to date""",
    ),
    _master(
        "tms.lane",
        "lane",
        "lane_id",
        "origin_postal; destination_postal; scac; equipment; transit_days integer",
    ),
    Feed(
        name="erp.sales_order",
        table="sales_order",
        columns=_columns(
            """order_number; version integer; changed_at timestamptz; status; customer_id; ship_to_id;
            requested_from timestamptz; requested_to timestamptz; shipping_conditions; service_requirements;
            lines jsonb"""
        ),
        natural_key="r.order_number || '/v' || r.version",
        touches=(Touch("release_orders", "order", "'erp:' || r.order_number"),),
        money=True,
    ),
    Feed(
        name="tms.shipment_plan",
        table="shipment_plan",
        columns=_columns(
            """shipment_id; plan_version integer; event_id; occurred_at timestamptz; scac; pro_number; bol_number;
            booking_reference; equipment; ship_on date; weight_lb numeric(12,3); pieces integer; order_lines jsonb;
            legs jsonb; stops jsonb; charges jsonb"""
        ),
        natural_key="r.shipment_id || '/v' || r.plan_version",
        touches=(
            Touch("ingest_shipment_events", "shipment", "'tms:' || r.shipment_id"),
            # a version that comes late may be the one by which a proof is judged, though it is not the newest
            Touch(
                "invoice_on_pod",
                "shipment",
                "'tms:' || r.shipment_id",
                "join landing.proof_of_delivery p on p.shipment_id = r.shipment_id",
            ),
        ),
        money=True,
        notify=(CHANNEL_EVENTS,),
    ),
    _events("tms.shipment_event"),
    _events("carrier.status_x12"),
    _events("carrier.status_webhook"),
    _events("driver.event"),
    _events("wms.ship_confirmation"),
    Feed(
        name="driver.pod",
        table="proof_of_delivery",
        columns=_columns(
            """source_event_id; shipment_id; stop_sequence integer; signed_by; captured_at timestamptz;
            pieces_delivered integer; osd jsonb; document_name; document_sha256"""
        ),
        natural_key="r.source_event_id",
        touches=(
            Touch("invoice_on_pod", "shipment", "'tms:' || r.shipment_id", "where r.shipment_id is not null"),
            Touch("ingest_shipment_events", "shipment", "'tms:' || r.shipment_id", "where r.shipment_id is not null"),
        ),
        notify=(CHANNEL_POD, CHANNEL_EVENTS),
    ),
    _invoices("carrier.invoice_x12"),
    _invoices("carrier.invoice_csv"),
)

FEEDS: dict[str, Feed] = {feed.name: feed for feed in _ALL}

MASTER_FEEDS = (
    "erp.customer",
    "erp.ship_to",
    "erp.item",
    "erp.carrier",
    "erp.charge_code",
    "erp.tax_profile",
    "erp.tax_rate",
    "tms.lane",
)
EVENT_FEEDS = (
    "tms.shipment_event",
    "carrier.status_x12",
    "carrier.status_webhook",
    "driver.event",
    "wms.ship_confirmation",
)
INVOICE_FEEDS = ("carrier.invoice_x12", "carrier.invoice_csv")

Channel = Literal["sftp", "api", "webhook", "portal"]


class UnknownFeed(ValueError):
    """A feed that this project does not have: a mistake in the caller."""


def feed(name: str) -> Feed:
    """Raises UnknownFeed, naming those that there are."""
    try:
        return FEEDS[name]
    except KeyError:
        raise UnknownFeed(f"no feed {name!r}; there are: {', '.join(FEEDS)}") from None


def feeds_of(names: Iterable[str]) -> list[Feed]:
    return [feed(name) for name in names]
