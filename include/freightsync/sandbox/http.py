"""The thin HTTP layer that every partner system stands on: bearer tokens, problem+json, faults, dropped connections.

Handlers are plain functions `Request -> Reply`; they never await, so one call's reading, checking and writing of the
books is not interleaved with another's.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from freightsync.sandbox.books import Books

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DROP = "freightsync.drop"


class DroppingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with a way for the application to cut the connection without any answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        transport = self.transport
        self.scope["extensions"] = {_DROP: {"abort": transport.abort}}


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    parts: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises Problem(400)."""
        try:
            found = json.loads(self.body)
        except ValueError as error:
            raise Problem(400, "not JSON", f"the body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise Problem(400, "not an object", "the body must be a JSON object")
        return found


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def reply(document: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document, separators=(",", ":")).encode())


@dataclass(slots=True)
class Problem(Exception):
    """An RFC 9457 answer. `field` names the offending field as a path, e.g. `lines[2].amount`."""

    status: int
    title: str
    detail: str
    field: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def reply(self) -> Reply:
        slug = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        document: dict[str, Any] = {
            "type": f"urn:freightsync:sandbox:{slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            document["field"] = self.field
        return Reply(self.status, json.dumps(document).encode(), self.headers, "application/problem+json")


def refuse(field: str, detail: str, status: int = 422) -> Problem:
    return Problem(status, "validation failed", f"{field}: {detail}", field)


@dataclass(slots=True)
class Fault:
    """A fault waiting for calls: `count` more calls of this method under this path meet it."""

    kind: str
    path_prefix: str
    count: int
    retry_after: float = 0.5
    method: str = "*"

    KINDS = ("429", "503", "commit_then_drop", "answer_then_lose")


Handler = Callable[[Request], Reply]


class _Forget(Exception):
    """Rolls back what a partner just said it did."""


@dataclass
class App:
    """One partner's ASGI application.

    `faults` are kept in the partner's books, so a fault that was ordered happens after a restart too.
    """

    name: str
    token: str
    books: Books
    routes: list[tuple[str, re.Pattern[str], Handler, bool]] = field(default_factory=list)

    def route(self, method: str, pattern: str, handler: Handler, *, public: bool = False) -> None:
        """`pattern` is a path in which `{}` stands for one segment, given to the handler in `request.parts`."""
        matcher = re.compile("^" + re.escape(pattern).replace(r"\{\}", "([^/]+)") + "$")
        self.routes.append((method, matcher, handler, public))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        request = Request(
            method=scope["method"],
            path=unquote(scope["path"]),
            query={k: v[-1] for k, v in parse_qs(scope["query_string"].decode("latin-1"), True).items()},
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            body=b"".join(chunks),
        )
        answer, drop = self.answer(request)
        if drop:
            scope["extensions"][_DROP]["abort"]()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [
                    (b"content-type", answer.content_type.encode()),
                    (b"content-length", str(len(answer.body)).encode()),
                    *((k.lower().encode(), v.encode()) for k, v in answer.headers),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    def answer(self, request: Request) -> tuple[Reply, bool]:
        """The answer, and whether the connection is to be cut instead of giving it."""
        try:
            handler, public = self._find(request)
            if not public:
                self._authorise(request)
                fault = self._fault(request)
                if fault is not None and fault.kind == "answer_then_lose":
                    return self._lose(handler, request), False
                if fault is not None and fault.kind != "commit_then_drop":
                    pause = f"{fault.retry_after:g}"
                    status = int(fault.kind)
                    title = "too many requests" if status == 429 else "not available"
                    raise Problem(status, title, f"try again in {pause} s", None, (("Retry-After", pause),))
                if fault is not None:
                    return handler(request), True
            return handler(request), False
        except Problem as problem:
            return problem.reply(), False

    def _lose(self, handler: Handler, request: Request) -> Reply:
        """Answers as if it were done, and keeps nothing of it."""
        answer: Reply | None = None
        try:
            with self.books.together():
                answer = handler(request)
                raise _Forget
        except _Forget:
            assert answer is not None
            return answer

    def _find(self, request: Request) -> tuple[Handler, bool]:
        known = False
        for method, matcher, handler, public in self.routes:
            found = matcher.match(request.path)
            if found:
                known = True
                if method == request.method:
                    request.parts = found.groups()
                    return handler, public
        if known:
            raise Problem(405, "method not allowed", f"{request.method} is not offered at {request.path}")
        raise Problem(404, "not found", f"there is nothing at {request.path}")

    def _authorise(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not self.token or not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise Problem(401, "unauthorised", f"a bearer token of {self.name} is needed")

    def _fault(self, request: Request) -> Fault | None:
        if request.path.startswith("/_sandbox"):
            return None
        row = self.books.one(
            "select seq, kind, path_prefix, count, retry_after, method from fault"
            " where count > 0 and substr(?, 1, length(path_prefix)) = path_prefix and method in ('*', ?)"
            " order by seq limit 1",
            (request.path, request.method),
        )
        if row is None:
            return None
        seq, kind, prefix, count, retry_after, method = row
        self.books.run("update fault set count = count - 1 where seq = ?", (seq,))
        self.books.log("fault", {"partner": self.name, "kind": kind, "method": request.method, "path": request.path})
        return Fault(kind, prefix, count, retry_after, method)


def add_fault(books: Books, fault: Fault) -> None:
    """Orders a fault. Raises Problem(422) for a kind that there is not."""
    if fault.kind not in Fault.KINDS:
        raise refuse("kind", f"one of {', '.join(Fault.KINDS)}")
    if fault.count < 1:
        raise refuse("count", "at least 1")
    books.run(
        "insert into fault (kind, path_prefix, count, retry_after, method) values (?, ?, ?, ?, ?)",
        (fault.kind, fault.path_prefix, fault.count, fault.retry_after, fault.method),
    )


def delta(books: Books, collection: str) -> Handler:
    """The handler of a delta read: `?cursor=&limit=` or, for a look-up, `?reference=`."""

    def read(request: Request) -> Reply:
        reference = request.query.get("reference")
        if reference is not None:
            found = books.by_reference(collection, reference)
            return _page(found, "", False)
        try:
            limit = int(request.query.get("limit", "500"))
        except ValueError:
            raise refuse("limit", "a whole number", 400) from None
        if not 1 <= limit <= 1000:
            raise refuse("limit", "between 1 and 1000", 400)
        page = books.page(collection, request.query.get("cursor", ""), limit)
        if page is None:
            raise refuse("cursor", "not a cursor of this collection", 400)
        if not page.more and books.on_read_up is not None:
            books.on_read_up(collection)
        return _page(page.items, page.next_cursor, page.more)

    return read


def _page(items: Iterable[str], cursor: str, more: bool) -> Reply:
    body = f'{{"items":[{",".join(items)}],"next_cursor":{json.dumps(cursor)},"more":{"true" if more else "false"}}}'
    return Reply(200, body.encode())
