"""What the ERP calls things."""

from __future__ import annotations

COLLECTIONS = {
    "erp.customer": "customers",
    "erp.ship_to": "ship-tos",
    "erp.item": "items",
    "erp.carrier": "carriers",
    "erp.charge_code": "charge-codes",
    "erp.sales_order": "sales-orders",
    "erp.payment_status": "payments",
    "erp.dispute": "disputes",
}
"""feed -> collection of the API."""
