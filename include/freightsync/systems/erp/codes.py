"""What the ERP calls things."""

from __future__ import annotations

COLLECTIONS = {
    "erp.customer": "customers",
    "erp.ship_to": "ship-tos",
    "erp.item": "items",
    "erp.carrier": "carriers",
    "erp.charge_code": "charge-codes",
    "erp.tax_profile": "tax-profiles",
    "erp.tax_rate": "tax-rates",
    "erp.sales_order": "sales-orders",
}
"""feed -> collection of the API."""
