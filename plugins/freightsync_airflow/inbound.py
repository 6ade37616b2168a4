"""The web application that partners call: /freightsync/inbound/webhooks/{partner} for events and
/freightsync/inbound/invoices/{partner} for bills and audit results, on Airflow's API server.

No Airflow user calls it: the signature of each call is the credential, checked by `freightsync.landing.inbound` before
anything is parsed, and what its headers say before its body is read; nothing here reads Airflow's data. A call is
landed and announced in one transaction before it is answered with 202, so a partner that got an answer never needs to
send again; one that got none sends again, and the same content lands once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import psycopg
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from freightsync.landing.inbound import BillsReceipt, Receipt

log = logging.getLogger(__name__)

LARGEST_BODY = 8 * 1024 * 1024
"""Bytes. The largest call that a partner has reason to make: a photographed proof of delivery, base64-encoded."""

AT_ONCE = 8
"""Calls landed at the same moment; more wait for their turn."""


BODY_SECONDS = 30.0
"""How long a call may take to send its body."""


class Connections:
    """Database connections that calls borrow; opened when first needed, dropped when broken. Thread-safe."""

    def __init__(self, size: int = AT_ONCE) -> None:
        self._idle: queue.LifoQueue[psycopg.Connection[Any]] = queue.LifoQueue(size)

    @contextlib.contextmanager
    def borrow(self) -> Iterator[psycopg.Connection[Any]]:
        connection = self._taken()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _taken(self) -> psycopg.Connection[Any]:
        from freightsync.settings import settings
        from freightsync.warehouse.connection import connect

        with contextlib.suppress(queue.Empty):
            while True:
                idle = self._idle.get_nowait()
                if _alive(idle):
                    return idle
                idle.close()
        return connect(settings().dsn("app"), application_name="inbound")

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        try:
            if not connection.closed:
                connection.rollback()
            if not connection.closed:
                self._idle.put_nowait(connection)
                return
        except (psycopg.Error, queue.Full):
            log.debug("a connection is not kept", exc_info=True)
        connection.close()


def _alive(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server still answers (0.1 ms): it may have been restarted since the last call."""
    try:
        connection.execute("select 1")
        connection.rollback()
    except psycopg.Error:
        return False
    return True


class BodyTooLarge(Exception):
    """The call is larger than any that we expect."""


def problem(status: int, title: str, detail: str, **more: str) -> JSONResponse:
    """An answer in the form of RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def application(connections: Connections | None = None) -> FastAPI:
    """The application, with a pool of its own."""
    app = FastAPI(title="freightsync inbound", docs_url=None, redoc_url=None, openapi_url=None)
    pool = connections or Connections()
    limiter: list[anyio.CapacityLimiter] = []

    async def events(request: Request) -> JSONResponse:
        from freightsync.landing import inbound

        return await receive(request, inbound.parser, _land)

    async def bills(request: Request) -> JSONResponse:
        from freightsync.landing import inbound

        return await receive(request, inbound.bill_parser, _land_bills)

    async def receive(
        request: Request, known: Callable[[str], Any], take: Callable[[Connections, str, bytes, dict[str, str]], Any]
    ) -> JSONResponse:
        from freightsync.domain.errors import PermanentError
        from freightsync.landing import inbound

        partner = str(request.path_params["partner"])
        headers = dict(request.headers)
        if not limiter:  # belongs to the event loop that serves us, which does not run yet when the app is made
            limiter.append(anyio.CapacityLimiter(AT_ONCE))
        try:
            known(partner)
            fault = inbound.refusal_unread(inbound.shared_secret(partner), headers, datetime.now(UTC))
            if fault is not None:
                return await anyio.to_thread.run_sync(_refuse, pool, partner, fault, limiter=limiter[0])
            with anyio.fail_after(BODY_SECONDS):
                body = await _body(request)
        except PermanentError as error:
            return problem(404, "Nobody here takes this call", error.message, what_to_do=error.what_to_do)
        except BodyTooLarge:
            return problem(413, "Too large", f"a call may have {LARGEST_BODY} bytes")
        except TimeoutError:
            return problem(408, "Too slow", f"a body must be here within {BODY_SECONDS:.0f} s: send it again")
        return await anyio.to_thread.run_sync(take, pool, partner, body, headers, limiter=limiter[0])

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    app.router.add_route("/webhooks/{partner}", events, methods=["POST"])
    app.router.add_route("/invoices/{partner}", bills, methods=["POST"])
    app.router.add_route("/health", health, methods=["GET"])
    return app


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise BodyTooLarge
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_BODY:
            raise BodyTooLarge
    return bytes(parts)


def _refuse(pool: Connections, partner: str, fault: str) -> JSONResponse:
    from freightsync.landing import inbound

    return _answer(pool, partner, lambda connection: inbound.refuse(connection, partner, fault))


def _land(pool: Connections, partner: str, body: bytes, headers: dict[str, str]) -> JSONResponse:
    from freightsync.landing import inbound

    return _answer(pool, partner, lambda connection: inbound.receive(connection, partner, body, headers))


def _land_bills(pool: Connections, partner: str, body: bytes, headers: dict[str, str]) -> JSONResponse:
    from freightsync.landing import inbound

    return _answer(pool, partner, lambda connection: inbound.receive_bills(connection, partner, body, headers))


def _answer(
    pool: Connections, partner: str, take: Callable[[psycopg.Connection[Any]], Receipt | BillsReceipt]
) -> JSONResponse:
    from freightsync.landing.inbound import BillsReceipt

    answer = _taken(pool, partner, take)
    if isinstance(answer, JSONResponse):
        return answer
    counts: dict[str, Any] = {
        "document_id": answer.document_id,
        "records": answer.records,
        "duplicates": answer.duplicates,
    }
    if not isinstance(answer, BillsReceipt):
        return JSONResponse(counts, status_code=202)
    counts["correlation_id"] = answer.correlation_id
    if not answer.errors:
        return JSONResponse(counts, status_code=202)
    errors = [{"at": where, "message": what} for where, what in answer.errors]
    body = {
        "type": "about:blank",
        "title": "Not all of it can be taken in",
        "status": 422,
        "detail": "what is not named here was taken in; correct what is and send that again",
        **counts,
        "errors": errors,
    }
    return JSONResponse(body, status_code=422, media_type="application/problem+json")


def _taken(
    pool: Connections, partner: str, take: Callable[[psycopg.Connection[Any]], Receipt | BillsReceipt]
) -> Receipt | BillsReceipt | JSONResponse:
    from freightsync.domain.errors import BadSignature

    try:
        with pool.borrow() as connection:
            return take(connection)
    except BadSignature as error:
        return problem(401, "Not signed by a partner", error.message, what_to_do=error.what_to_do)
    except psycopg.OperationalError:
        log.exception("a call of %s could not be landed", partner)
        answer = problem(503, "Not now", "the call was not kept: send it again")
        answer.headers["Retry-After"] = "2"
        return answer
