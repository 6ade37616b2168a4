"""Driver app: stop events and proof of delivery, by signed webhook."""
