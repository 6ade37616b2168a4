"""WMS: ship confirmations."""
