"""Carriers that send X12 files over SFTP: 214 statuses, 210 invoices."""
