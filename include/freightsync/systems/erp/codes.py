"""What the ERP calls things."""

from __future__ import annotations

COLLECTIONS = {
    "erp.customer": "customers",
    "erp.ship_to": "ship-tos",
    "erp.item": "items",
    "erp.carrier": "carriers",
    "erp.charge_code": "charge-codes",
    "erp.exchange_rate": "exchange-rates",
    "erp.tax_profile": "tax-profiles",
    "erp.tax_rate": "tax-rates",
    "erp.purchase_order": "purchase-orders",
    "erp.stock_position": "stock-positions",
    "erp.sales_order": "sales-orders",
    "erp.journal_entry": "ledger-entries",
    "erp.payment_status": "payments",
    "erp.dispute": "disputes",
}
"""feed -> collection of the API."""
