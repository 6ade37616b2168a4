"""Reading from a partner over HTTP, and how failures are typed. Nothing here turns a failed read into an empty one.

Writing is `writing`: there it matters whether a call may have taken effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from freightsync.domain.errors import (
    PartnerRefused,
    PartnerUnavailable,
    TransientError,
    UnreadableDocument,
)
from freightsync.systems.parsed import load_json
from freightsync.systems.writing import retry_after

LATER = frozenset({408, 425, 429, 503})
"""Certainly without effect: come again."""

ATTEMPTS = 4
LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Address:
    """Where a partner is, and the token that we show. name: the partner's, as in the settings."""

    name: str
    base_url: str
    token: str


@dataclass(frozen=True)
class Page:
    """One page of a delta: the bytes as received, the items in them, and where to go on."""

    content: bytes
    items: list[Any]
    next_cursor: str
    more: bool


class Api:
    """A partner's JSON API. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not address.base_url:
            raise PartnerRefused(
                "no address known",
                partner=address.name,
                what_to_do=f"start the local stack or set FREIGHTSYNC_PARTNERS__{address.name.upper()}__BASE_URL",
            )
        self.name = address.name
        self._pause = pause
        self._http = httpx.Client(
            base_url=address.base_url.rstrip("/") + "/api/v1/",
            headers={"Authorization": f"Bearer {address.token}", "Accept": "application/json"},
            timeout=httpx.Timeout(timeout, connect=5.0),
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> bytes:
        """The body of a 200. A partner that is busy or away is asked again a few times; then, as for any other answer,
        a typed error: PartnerUnavailable or PartnerRefused."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._read(path, params)
            except TransientError as error:
                wait = error.retry_after if error.retry_after is not None else 0.2 * 2**attempt
                if attempt == ATTEMPTS or wait > LONGEST_PAUSE:
                    raise
                self._pause(wait)
        raise AssertionError("not reached")

    def _read(self, path: str, params: Mapping[str, str | int] | None) -> bytes:
        try:
            answer = self._http.get(path, params=dict(params or {}))
        except httpx.TransportError as error:
            raise PartnerUnavailable(
                f"no answer to GET {path} ({type(error).__name__}: {error})",
                partner=self.name,
                what_to_do="nothing: it is asked again; if it stays away, tell the partner",
            ) from error
        if answer.status_code != 200:
            if answer.status_code >= 500 or answer.status_code in LATER:
                raise PartnerUnavailable(
                    f"GET {path} answered {answer.status_code}", retry_after=retry_after(answer), partner=self.name
                )
            raise _refused(self.name, answer, f"GET {path}")
        return answer.content

    def page(self, collection: str, cursor: str, limit: int = 500) -> Page:
        """A page of a delta read. Raises UnreadableDocument for a 200 that is none: it is not an empty page."""
        content = self.get(collection, {"cursor": cursor, "limit": limit})
        try:
            document = load_json(content)
            items, next_cursor, more = document["items"], document["next_cursor"], document["more"]
        except (ValueError, KeyError, TypeError) as error:
            raise _no_page(self.name, collection, f"{type(error).__name__}: {error}") from error
        if not isinstance(items, list) or not isinstance(next_cursor, str) or not isinstance(more, bool):
            raise _no_page(self.name, collection, "items, next_cursor and more are not a list, a text and a boolean")
        return Page(content, items, next_cursor, more)


def _refused(partner: str, answer: httpx.Response, what: str, document: str = "") -> PartnerRefused:
    """A 4xx as an error, with the field that a problem+json names."""
    detail, field = "", ""
    try:
        problem = load_json(answer.content)
        if isinstance(problem, dict):
            detail = str(problem.get("detail") or problem.get("title") or "")
            field = str(problem.get("field") or "")
    except ValueError:
        detail = answer.text[:200]
    what_to_do = "correct what the partner names, then send it again"
    if answer.status_code in (401, 403):
        what_to_do = f"check the token in the settings of partner {partner}"
    return PartnerRefused(
        f"{what} answered {answer.status_code}" + (f": {detail}" if detail else ""),
        partner=partner,
        document=document,
        position=field,
        what_to_do=what_to_do,
    )


def _no_page(partner: str, collection: str, why: str) -> UnreadableDocument:
    return UnreadableDocument(
        f"the answer for {collection} is no page ({why})",
        partner=partner,
        document=collection,
        what_to_do="tell the partner that its answer breaks the contract; nothing was taken from it",
    )
