"""Delivery: outbox → partner. At least once sent, once in effect where the channel allows it.

First in, first out for each (target, aggregate): a message goes when all earlier ones of its aggregate are accepted.
What a partner refuses becomes a dead letter, which blocks its aggregate only and says what to do. Every step is
appended to `effects.outcome`, the attempt itself before the call, so that a deliverer's death leaves an unknown
outcome and not a forgotten one. May import: warehouse, domain, settings; the systems' senders are handed in.
"""

from freightsync.delivery.engine import DEFAULT_BACKOFF, Backoff, Delivered, deliver
from freightsync.delivery.letters import Letter, accept, counts, letters, redeliver, restore, retry
from freightsync.domain.outbox import LookingSender, OnceBy, OutboxMessage, Outcome, Pace, Sender, Verdict

__all__ = [
    "DEFAULT_BACKOFF",
    "Backoff",
    "Delivered",
    "Letter",
    "LookingSender",
    "OnceBy",
    "OutboxMessage",
    "Outcome",
    "Pace",
    "Sender",
    "Verdict",
    "accept",
    "counts",
    "deliver",
    "letters",
    "redeliver",
    "restore",
    "retry",
]
