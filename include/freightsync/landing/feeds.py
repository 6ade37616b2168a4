"""The feeds: one row of data each. What lands where, what a record is called, and who must look at it again.

SQL fragments here speak of the feed's table by the alias `r`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from freightsync.domain.names import CHANNEL_EVENTS, CHANNEL_INVOICES, CHANNEL_POD


@dataclass(frozen=True)
class Column:
    """A column of a feed's table besides the common ones. type: as in the migrations."""

    name: str
    type: str = "text"


@dataclass(frozen=True)
class Touch:
    """Who looks again when a record is admitted: consumer, aggregate type, and SQL for the aggregate's id over `r`.

    source: further FROM items that `r` is joined with, for an aggregate that is found by reference.
    batch_type: the aggregate type under which a gated batch is touched as a whole, by its id; the consumer's scope
    then widens it to its records. Empty: each aggregate is touched by itself.
    """

    consumer: str
    aggregate_type: str
    aggregate_id: str
    source: str = ""
    batch_type: str = ""


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
    """Channels told when a record of this feed has come by itself (a call, an upload)."""

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
    lines_total numeric(18,2); line_count integer; corrects_number; biller; service_level; tax_amount numeric(18,2);
    gross_amount numeric(18,2); due_on date"""
)

_CARRIER_INVOICE_LINE = _columns(
    """line integer; partner_code; description; line_amount numeric(18,2); shipment_reference; pro_number; bol_number;
    order_number; tax_code; tax_rate numeric(7,4); tax_amount numeric(18,2)"""
)

_AUDIT_RESULT = _columns(
    """source; platform_reference; revision integer; audited_on date; scac; invoice_number; correction; invoice_on date;
    shipment_reference; pro_number; action; reason_code; reason; payee; pay_on date; billed_amount numeric(18,2);
    audited_amount numeric(18,2); lines_total numeric(18,2); line_count integer"""
)

_AUDIT_RESULT_LINE = _columns(
    """line integer; partner_code; description; billed_amount numeric(18,2); audited_amount numeric(18,2); reason_code;
    reason"""
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


def _rates(name: str, table: str, key: str, columns: str, *touches: Touch, lines: str = "") -> Feed:
    """A feed of rate cards. key: SQL over `r`; every record is a version of what it names."""
    return Feed(
        name=name,
        table=table,
        columns=_columns(columns),
        natural_key=key,
        touches=touches,
        lines=_columns(lines),
    )


_CONTRACT = Touch("rate_shipments", "contract", "r.contract_id")


def _invoices(name: str) -> Feed:
    return Feed(
        name=name,
        table="carrier_invoice",
        columns=_CARRIER_INVOICE,
        natural_key="r.invoice_number",
        touches=(
            Touch(
                "settle_freight", "carrier_invoice", "r.scac || ':' || r.record_id", batch_type="carrier_invoice_batch"
            ),
        ),
        lines=_CARRIER_INVOICE_LINE,
        money=True,
        notify=(CHANNEL_INVOICES,),
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
        "erp.exchange_rate",
        "exchange_rate",
        "exchange_rate_id",
        "from_currency; to_currency; rate numeric(20,10); source; rate_on date",
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
        "erp.purchase_order",
        "purchase_order",
        "order_number",
        "status; supplier_id; billing_entity; lines jsonb",
    ),
    _master(
        "erp.stock_position",
        "stock_position",
        "stock_id",
        """order_number; order_line integer; item_id; received_quantity numeric(14,3); on_hand_quantity numeric(14,3);
        sold_quantity numeric(14,3)""",
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
            legs jsonb; stops jsonb; charges jsonb; mode; miles numeric(12,3); pallets integer;
            freight_class numeric(6,2); handling_units jsonb; accessorials jsonb; direction"""
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
            # rated where the plan has no charges, and where a contract can say what they should be
            Touch(
                "rate_shipments",
                "shipment",
                "'tms:' || r.shipment_id",
                "where jsonb_array_length(r.charges) = 0"
                " or exists (select from landing.rate_contract c where c.side = 'sell' or c.scac = r.scac)",
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
    # the ERP's own books, read back
    Feed(
        name="erp.journal_entry",
        table="journal_entry",
        columns=_columns(
            """entry_number; version integer; sequence integer; changed_at timestamptz; document_type; origin;
            reference; reverses; posted_on date; period; entered_by; note; line_count integer;
            debit_total numeric(18,2); credit_total numeric(18,2)"""
        ),
        natural_key="r.entry_number || '/v' || r.version",
        touches=(Touch("reconcile_ledger", "erp_document", "'erp:' || r.entry_number"),),
        lines=_columns("line integer; account; debit numeric(18,2); credit numeric(18,2)"),
        money=True,
    ),
    Feed(
        name="erp.trial_balance",
        table="trial_balance",
        columns=_columns(
            """period; as_of timestamptz; through_sequence integer; account; debit numeric(18,2);
            credit numeric(18,2)"""
        ),
        natural_key="concat_ws('/', r.period, r.account, r.currency)",
        touches=(Touch("reconcile_ledger", "period", "r.period"),),
        money=True,
    ),
    _invoices("carrier.invoice_x12"),
    _invoices("carrier.invoice_csv"),
    _invoices("carrier.invoice_edifact"),
    _invoices("carrier.invoice_api"),
    _invoices("carrier.invoice_portal"),
    Feed(
        name="audit.invoice_result",
        table="audit_result",
        columns=_AUDIT_RESULT,
        natural_key="concat_ws('/', r.scac, r.invoice_number, r.platform_reference)",
        touches=(
            # the bills that it is about, if they are here; one that comes later is looked at because it came
            Touch(
                "settle_freight",
                "carrier_invoice",
                "i.scac || ':' || i.record_id",
                "join landing.carrier_invoice i on i.scac = r.scac and i.invoice_number = r.invoice_number"
                " join quality.admission a on a.feed = i.source and a.record_id = i.record_id",
            ),
        ),
        lines=_AUDIT_RESULT_LINE,
        money=True,
        notify=(CHANNEL_INVOICES,),
    ),
    Feed(
        name="carrier.edi_answer",
        table="edi_answer",
        columns=_columns(
            """source; kind; scac; functional_id; group_control_number; set_id; control_number; reference_qualifier;
            reference; advice_reference; answered_on date; code; errors jsonb"""
        ),
        natural_key="concat_ws('/', r.kind, r.group_control_number, r.control_number, r.reference)",
        # nothing is posted because of it: what is unanswered is asked of what was sent
        touches=(),
    ),
    Feed(
        name="carrier.tender_response",
        table="tender_response",
        columns=_columns(
            "source; scac; shipment_id; responded_on date; action_code; decision; pro_number; note",
        ),
        natural_key="concat_ws('/', r.shipment_id, r.action_code)",
        touches=(),
    ),
    _rates(
        "rates.contract",
        "rate_contract",
        "r.contract_id || '/v' || r.version",
        """contract_id; version integer; side; scac; customer_id; mode; rate_currency; class_table;
        fak_class numeric(4,1); fak_from_class numeric(4,1); fak_to_class numeric(4,1); minimum_charge numeric(18,2);
        discount_percent numeric(6,3); discount_as_line boolean; deficit_weight boolean; dim_divisor numeric(8,2);
        dim_per; weight_increment_lb numeric(8,3); fuel_table; fuel_index; fuel_region; fuel_weekday integer;
        fuel_lag_weeks integer; fuel_on; rounding; valid_from date; valid_to date""",
        _CONTRACT,
        # shipments that nobody asked about while their carrier or customer had no contract
        Touch(
            "rate_shipments",
            "contract_party",
            "r.side || ':' || case r.side when 'buy' then r.scac else r.customer_id end",
            "where r.side is not null and case r.side when 'buy' then r.scac else r.customer_id end is not null",
        ),
    ),
    _rates(
        "rates.lane_rate",
        "rate_lane",
        "r.rate_id || '/v' || r.version",
        """rate_id; version integer; contract_id; origin_kind; origin_country; origin; destination_kind;
        destination_country; destination; equipment; freight_class numeric(4,1); basis; minimum_charge numeric(18,2);
        discount_percent numeric(6,3); valid_from date; valid_to date; break_count integer""",
        _CONTRACT,
        lines="line integer; from_quantity numeric(14,3); rate numeric(14,4)",
    ),
    _rates(
        "rates.accessorial",
        "rate_accessorial",
        "r.accessorial_id || '/v' || r.version",
        """accessorial_id; version integer; contract_id; charge_code; basis; rate numeric(14,4);
        minimum_charge numeric(18,2); maximum_charge numeric(18,2); free_units numeric(10,2); automatic boolean;
        valid_from date; valid_to date""",
        _CONTRACT,
    ),
    _rates(
        "rates.zone",
        "rate_zone",
        "r.zone_id || '/v' || r.version",
        "zone_id; version integer; contract_id; zone; country; postal_prefix; valid_from date; valid_to date",
        _CONTRACT,
    ),
    _rates(
        "rates.band_table",
        "rate_band_table",
        "r.table_id || '/v' || r.version",
        "table_id; version integer; kind; valid_from date; valid_to date; band_count integer",
        Touch("rate_shipments", "band_table", "r.table_id"),
        lines="line integer; from_value numeric(14,4); value numeric(14,4)",
    ),
    _rates(
        "rates.fuel_price",
        "fuel_price",
        "concat_ws('/', r.fuel_index, r.region, r.week_on, r.published_at)",
        "fuel_index; region; week_on date; price numeric(10,4); published_at timestamptz",
        Touch("rate_shipments", "fuel_index", "r.fuel_index || '/' || r.region"),
    ),
    Feed(
        name="bank.statement_entry",
        table="bank_entry",
        columns=_columns(
            """entry_key; statement_id; account; statement_on date; statement_difference numeric(18,2); entry integer;
            entry_reference; entry_amount numeric(18,2); details_total numeric(18,2); detail integer; direction;
            is_reversal boolean; status; booked_on date; value_on date; end_to_end_id; bank_reference; return_reason;
            counterparty_name; counterparty_account; documents jsonb; remittance_text"""
        ),
        natural_key="r.entry_key",
        touches=(Touch("apply_payments", "customer_payment", "'bank:' || r.entry_key"),),
        money=True,
    ),
    Feed(
        name="customer.remittance",
        table="remittance_advice",
        columns=_columns(
            "advice_key; end_to_end_id; payer_name; paid_on date; documents jsonb; remittance_text",
        ),
        natural_key="r.advice_key",
        touches=(Touch("apply_payments", "remittance_advice", "r.record_id"),),
        money=True,
    ),
    Feed(
        name="erp.payment_status",
        table="payment_status",
        columns=_columns(
            """payment_id; version integer; changed_at timestamptz; party_kind; party_id; paid_on date; bank_reference;
            is_reversed boolean; short_reason; documents jsonb"""
        ),
        natural_key="r.payment_id || '/v' || r.version",
        touches=(
            Touch("apply_payments", "customer_payment", "'erp:' || r.payment_id", "where r.party_kind = 'customer'"),
        ),
        money=True,
    ),
    Feed(
        name="erp.dispute",
        table="customer_dispute",
        columns=_columns(
            """dispute_id; version integer; changed_at timestamptz; customer_id; invoice_number; line_kind;
            order_line integer; reason_code; status; opened_on date; resolved_on date; credited_amount numeric(18,2);
            credit_memo_number; note"""
        ),
        natural_key="r.dispute_id || '/v' || r.version",
        touches=(Touch("apply_payments", "customer_dispute", "r.dispute_id"),),
        money=True,
    ),
)

FEEDS: dict[str, Feed] = {feed.name: feed for feed in _ALL}

MASTER_FEEDS = (
    "erp.customer",
    "erp.ship_to",
    "erp.item",
    "erp.carrier",
    "erp.charge_code",
    "erp.exchange_rate",
    "erp.tax_profile",
    "erp.tax_rate",
    "erp.purchase_order",
    "erp.stock_position",
    "tms.lane",
)
EVENT_FEEDS = (
    "tms.shipment_event",
    "carrier.status_x12",
    "carrier.status_webhook",
    "driver.event",
    "wms.ship_confirmation",
)
LEDGER_FEEDS = ("erp.journal_entry", "erp.trial_balance")
INVOICE_FEEDS = (
    "carrier.invoice_x12",
    "carrier.invoice_csv",
    "carrier.invoice_edifact",
    "carrier.invoice_api",
    "carrier.invoice_portal",
)
AUDIT_FEED = "audit.invoice_result"
ANSWER_FEEDS = ("carrier.edi_answer", "carrier.tender_response")
"""What carriers say to what we sent them."""
RATE_FEEDS = (
    "rates.contract",
    "rates.lane_rate",
    "rates.accessorial",
    "rates.zone",
    "rates.band_table",
    "rates.fuel_price",
)
PAYMENT_FEEDS = ("bank.statement_entry", "customer.remittance", "erp.payment_status", "erp.dispute")

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
