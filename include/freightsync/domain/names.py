"""The names that users and tables share: feeds, consumers, aggregates, and how ids are written.

A canonical id carries its system (`erp:SO100001`); landing keeps ids as received.
"""

from __future__ import annotations

from typing import Final

FEED_TABLES: Final[dict[str, str]] = {
    "erp.customer": "customer",
    "erp.ship_to": "ship_to",
    "erp.item": "item",
    "erp.carrier": "carrier",
    "erp.charge_code": "charge_code",
    "erp.exchange_rate": "exchange_rate",
    "erp.tax_profile": "tax_profile",
    "erp.tax_rate": "tax_rate",
    "erp.purchase_order": "purchase_order",
    "erp.stock_position": "stock_position",
    "tms.lane": "lane",
    "erp.journal_entry": "journal_entry",
    "erp.trial_balance": "trial_balance",
    "erp.sales_order": "sales_order",
    "tms.shipment_plan": "shipment_plan",
    "tms.shipment_event": "status_event",
    "carrier.status_x12": "status_event",
    "carrier.status_webhook": "status_event",
    "driver.event": "status_event",
    "wms.ship_confirmation": "status_event",
    "driver.pod": "proof_of_delivery",
    "carrier.invoice_x12": "carrier_invoice",
    "carrier.invoice_csv": "carrier_invoice",
    "carrier.invoice_edifact": "carrier_invoice",
    "carrier.invoice_api": "carrier_invoice",
    "carrier.invoice_portal": "carrier_invoice",
    "audit.invoice_result": "audit_result",
    "carrier.edi_answer": "edi_answer",
    "carrier.tender_response": "tender_response",
    "rates.contract": "rate_contract",
    "rates.lane_rate": "rate_lane",
    "rates.accessorial": "rate_accessorial",
    "rates.zone": "rate_zone",
    "rates.band_table": "rate_band_table",
    "rates.fuel_price": "fuel_price",
}
"""feed → its table in schema landing."""

MASTER_FEEDS: Final = (
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

ORDER: Final = "order"
SHIPMENT: Final = "shipment"
CARRIER_INVOICE: Final = "carrier_invoice"
CUSTOMER_INVOICE: Final = "customer_invoice"
MASTER: Final = "master"
REFERENCE: Final = "reference"
ERP_DOCUMENT: Final = "erp_document"
PERIOD: Final = "period"
AGGREGATES: Final = (ORDER, SHIPMENT, CARRIER_INVOICE, CUSTOMER_INVOICE, MASTER, REFERENCE, ERP_DOCUMENT, PERIOD)

HOT: Final = "hot"
BULK: Final = "bulk"
LANES: Final = (HOT, BULK)

CHANNEL_POD: Final = "freightsync_pod"
CHANNEL_EVENTS: Final = "freightsync_events"
CHANNEL_INVOICES: Final = "freightsync_invoices"
CHANNEL_OUTBOX: Final = "freightsync_outbox"


def order_id(order_number: str) -> str:
    return f"erp:{order_number}"


def shipment_id(shipment: str) -> str:
    return f"tms:{shipment}"


def carrier_invoice_id(scac: str, record_id: int) -> str:
    """A record is the unit: two bills with one number are two aggregates."""
    return f"{scac}:{record_id}"


def customer_invoice_id(order_number: str, shipment: str | None) -> str:
    """Per shipment, or per order where the customer is invoiced so."""
    return order_id(order_number) + (f"/{shipment_id(shipment)}" if shipment is not None else "")
