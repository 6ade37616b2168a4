"""The ERP contract (openapi.yaml): master data and sales orders in; statuses, plans, invoices and journals out."""

from freightsync.systems.erp.outbound import ErpSender, sender

__all__ = ["ErpSender", "sender"]
