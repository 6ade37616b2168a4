"""The ERP contract (openapi.yaml): master data and sales orders in; statuses, plans, invoices and journals out."""
