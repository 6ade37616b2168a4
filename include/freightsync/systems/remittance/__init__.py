"""Remittance advices of customers: what a payment is for, sent apart from it, as remt.001 or as a table."""
