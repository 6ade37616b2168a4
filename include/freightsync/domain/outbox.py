"""Messages for partners: what the delivery hands to a system's sender, and what the sender answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

OnceBy = Literal["key", "lookup", "name", "person"]
"""How a channel makes a message that was perhaps sent already take effect once.

key: the partner honours our idempotency key, so send it again under the same key.
lookup: ask the partner for our reference first, send again only where it is absent.
name: the same file name and control number overwrites or is ignored, so send it again.
person: it can't be known; a person looks and decides.
"""

Verdict = Literal["accepted", "refused", "retry", "unknown", "absent"]


@dataclass(frozen=True)
class OutboxMessage:
    """A frozen document for a partner. `key` is our reference and idempotency key, the same at every attempt; `attempt`
    counts from 1."""

    outbox_id: int
    key: str
    target: str
    operation: str
    aggregate_type: str
    aggregate_id: str
    lane: str
    correlation_id: str | None
    payload: Mapping[str, Any]
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """What became of one message of a call. `reference`: the partner's own id. `retry_after`: seconds it asked for."""

    outbox_id: int
    verdict: Verdict
    reference: str = ""
    message: str = ""
    what_to_do: str = ""
    retry_after: float | None = None

    @classmethod
    def accepted(cls, message: OutboxMessage, reference: str = "") -> Outcome:
        return cls(message.outbox_id, "accepted", reference=reference)

    @classmethod
    def refused(cls, message: OutboxMessage, why: str, what_to_do: str = "") -> Outcome:
        """The partner understood and says no: the same message will be refused again."""
        return cls(message.outbox_id, "refused", message=why, what_to_do=what_to_do)

    @classmethod
    def again(cls, message: OutboxMessage, why: str, retry_after: float | None = None) -> Outcome:
        """Certainly without effect; later it may work."""
        return cls(message.outbox_id, "retry", message=why, retry_after=retry_after)

    @classmethod
    def unknown(cls, message: OutboxMessage, why: str) -> Outcome:
        """Sent, and no answer came."""
        return cls(message.outbox_id, "unknown", message=why)

    @classmethod
    def absent(cls, message: OutboxMessage) -> Outcome:
        """Answer of a look-up only: the partner has nothing under our reference."""
        return cls(message.outbox_id, "absent")


@dataclass(frozen=True)
class Pace:
    """How hard a partner may be driven. `batch`: messages a call, by operation (1 where not named)."""

    concurrency: int = 4
    per_second: float = 50.0
    burst: int = 10
    batch: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class Sender(Protocol):
    """A partner as the engine sees it. It may also have an attribute `pace: Pace`.

    `operations` declares every operation it sends and how each is once in effect; an operation not declared is never
    sent. `send` gets messages of one operation, at most one of an aggregate, and answers each; it is called from
    several threads. It may raise instead, for all of them: PermanentError (refused), UnknownOutcome, any other
    TransientError (no effect, later again); any other exception counts as unknown.
    """

    @property
    def operations(self) -> Mapping[str, OnceBy]: ...

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]: ...


@runtime_checkable
class LookingSender(Sender, Protocol):
    """A sender with operations that are once in effect by `lookup`."""

    def look_up(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        """accepted where the partner has our reference, absent where it has not; anything else: ask again later."""
        ...
