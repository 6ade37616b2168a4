"""What the ERP calls things."""

from __future__ import annotations

COLLECTIONS = {
    "erp.customer": "customers",
    "erp.ship_to": "ship-tos",
    "erp.item": "items",
    "erp.carrier": "carriers",
    "erp.charge_code": "charge-codes",
    "erp.sales_order": "sales-orders",
}
"""feed -> collection of the API."""

STATUS_OPERATIONS = {"shipment.status": "shipment", "sales_order.status": "sales_order"}
"""Operation of the outbox -> object type of a status update."""

PLAN_OPERATION = "shipment.plan"

DOCUMENTS = {
    "customer_invoice": "customer-invoices",
    "supplier_invoice": "supplier-invoices",
    "journal": "journal-entries",
}
"""Document type of the outbox -> collection of the API."""

BATCH = 200
"""Most updates or plans that one call may carry."""
