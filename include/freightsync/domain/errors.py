"""Typed errors, by what a rerun can change.

`PermanentError`: the same input fails again; somebody must change something. `TransientError`: later it may work.
Each carries whom and what it is about and what to do next; one place of the Airflow plugins maps them to fail or retry.
"""

from __future__ import annotations


class FreightsyncError(Exception):
    """`message` says what is wrong; the fields say where and what to do next (empty: not applicable)."""

    def __init__(
        self, message: str, *, partner: str = "", document: str = "", position: str = "", what_to_do: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.partner = partner
        self.document = document
        self.position = position
        self.what_to_do = what_to_do

    def __str__(self) -> str:
        where = ", ".join(
            f"{name} {value}"
            for name, value in (("partner", self.partner), ("document", self.document), ("at", self.position))
            if value
        )
        return "".join(
            (
                self.message,
                f" ({where})" if where else "",
                f". What to do: {self.what_to_do}" if self.what_to_do else "",
            )
        )


class PermanentError(FreightsyncError):
    """A rerun with the same input fails the same way."""


class TransientError(FreightsyncError):
    """A rerun may succeed. `retry_after`: seconds that the other side asked for, None where it did not say."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        partner: str = "",
        document: str = "",
        position: str = "",
        what_to_do: str = "",
    ) -> None:
        super().__init__(message, partner=partner, document=document, position=position, what_to_do=what_to_do)
        self.retry_after = retry_after


class UnknownOutcome(TransientError):
    """Sent, but whether it took effect is not known (the connection broke before the answer)."""


class StalePlan(TransientError):
    """The log has moved on since the plan was made: plan again."""


class ModelNotBuilt(PermanentError):
    """A relation that a plan would read is absent, empty where it can't be, or not built for this run."""


class ModelInvalid(PermanentError):
    """A desired effect breaks the contract of its relation (a missing key, a negative amount, one key twice)."""


class ApprovalNeeded(PermanentError):
    """A plan retracts more than the limit; a person looks at it first. `fingerprint` is what is to be approved."""

    def __init__(self, message: str, *, fingerprint: str, document: str = "", what_to_do: str = "") -> None:
        super().__init__(message, document=document, what_to_do=what_to_do)
        self.fingerprint = fingerprint


class NotEntitled(PermanentError):
    """Who said yes may not: it is their own proposal, or more than their role may approve."""


class NotReady(PermanentError):
    """A period that can't be closed yet; the message names what is open."""


class PeriodClosed(PermanentError):
    """No open period to post into."""


class BadSignature(PermanentError):
    """A call to us whose signature is absent, wrong or too old."""


class UnreadableDocument(PermanentError):
    """Bytes that can't be read as what they should be."""


class PartnerRefused(PermanentError):
    """The partner understood the request and refused it."""


class PartnerUnavailable(TransientError):
    """The partner can't be reached or asks us to come later; nothing took effect."""
