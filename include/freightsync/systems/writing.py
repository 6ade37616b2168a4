"""Writes over HTTP under our own key, and what an answer says about the effect of the call.

2xx                         accepted; the same key with the same body is answered with the first document
429, 503                    no effect; later, after Retry-After where it says so
other 4xx                   refused: the same call will be refused again
connection refused          no effect
anything else, or nothing   the effect is not known; sending again under the same key is safe
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from freightsync.domain.errors import PartnerRefused, PartnerUnavailable, UnknownOutcome
from freightsync.settings import Settings

CALL_SECONDS = 20.0


class Writer:
    """A partner's API for writes. Thread-safe."""

    def __init__(self, partner: str, settings: Settings) -> None:
        found = settings.partner(partner)
        self.partner = partner
        self._client = httpx.Client(
            base_url=f"{found.base_url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {found.token.get_secret_value()}"},
            timeout=CALL_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=8),
        )

    def close(self) -> None:
        self._client.close()

    def write(self, method: str, path: str, body: Mapping[str, Any], *, key: str = "") -> Any:
        """The partner's answer. Raises PartnerRefused (`document` is the path, `position` the field it named),
        PartnerUnavailable or UnknownOutcome, as above."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise PartnerUnavailable(f"{self.partner} can't be reached: {error}", partner=self.partner) from error
        except httpx.TransportError as error:
            raise UnknownOutcome(
                f"{self.partner} gave no answer: {type(error).__name__} {error}".rstrip(),
                partner=self.partner,
                document=path,
                what_to_do="nothing: sent again under the same key",
            ) from error
        if answer.is_success:
            return _json(answer)
        problem = _problem(answer)
        if answer.status_code in (429, 503):
            raise PartnerUnavailable(
                f"{self.partner} asks us to come later: {problem['detail']}",
                partner=self.partner,
                retry_after=retry_after(answer),
            )
        if 400 <= answer.status_code < 500:
            raise Refused(
                f"{answer.status_code} {problem['detail']}",
                partner=self.partner,
                document=path,
                position=problem["field"],
                what_to_do="mend what it names, then send the message again",
                status=answer.status_code,
            )
        raise UnknownOutcome(
            f"{self.partner} answered {answer.status_code}: {problem['detail']}", partner=self.partner, document=path
        )


class Refused(PartnerRefused):
    """The partner's refusal with its HTTP status."""

    def __init__(self, message: str, *, status: int, **fields: str) -> None:
        super().__init__(message, **fields)
        self.status = status


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the partner asks us to wait; None where it doesn't say so in seconds."""
    try:
        return max(float(answer.headers["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None


def _problem(answer: httpx.Response) -> dict[str, str]:
    """`detail` and `field` of an RFC 9457 problem; of another body its beginning."""
    try:
        found = answer.json()
        detail, name = found.get("detail") or found.get("title") or "", found.get("field") or ""
    except (ValueError, AttributeError):
        detail, name = answer.text[:200], ""
    return {"detail": str(detail), "field": str(name)}


def _json(answer: httpx.Response) -> Any:
    """The body of an answer that says it worked. Raises UnknownOutcome where it can't be read: it may have taken
    effect."""
    try:
        return answer.json()
    except ValueError as error:
        raise UnknownOutcome(f"the answer {answer.status_code} can't be read: {error}") from error
