"""Systems that only show what they did: the WMS's ship confirmations, and every event of carrier BLUW and of the
driver app for those who missed a webhook."""

from __future__ import annotations

from freightsync.sandbox.books import Books
from freightsync.sandbox.http import App, delta


def make_wms(token: str, books: Books) -> App:
    app = App("wms", token, books)
    app.route("GET", "/api/v1/ship-confirmations", delta(books, "ship-confirmations"))
    return app


def make_events(name: str, token: str, books: Books) -> App:
    """`GET /api/v1/events`: everything that `name` sent or tried to send by webhook."""
    app = App(name, token, books)
    app.route("GET", "/api/v1/events", delta(books, "events"))
    return app
