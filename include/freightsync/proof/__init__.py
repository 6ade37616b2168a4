"""Proof: does the outcome, read from the partners' own books and from ours, equal a truth written down before?

Read-only. `compare` is pure; `books` speaks to the partners' APIs with a plain HTTP client, not with the connectors
under proof; `ours` reads the warehouse with the reporting role.
"""
