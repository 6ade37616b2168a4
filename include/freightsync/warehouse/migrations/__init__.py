"""Alembic revisions of the operational tables, as plain SQL. Run by `freightsync.warehouse.migrate`."""
