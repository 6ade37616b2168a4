"""Carriers with signed webhooks and invoice files in CSV, one mapping file each."""
