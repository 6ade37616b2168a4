"""Customer invoices as e-invoices: rendered from the log of effects and master data, checked, kept with their hash.

May import: formats, local, warehouse, domain. The number is the ERP's, the amounts are those that were posted: nothing
is computed here that was decided before.
"""

from freightsync.einvoice.making import EInvoiceRefused, Made, make
from freightsync.einvoice.rendering import Document, Master, render

__all__ = ["Document", "EInvoiceRefused", "Made", "Master", "make", "render"]
