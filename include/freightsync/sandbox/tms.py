"""The TMS: takes orders, plans them as the day's scenario says, and lists every event that it ever sent.

With a scenario loaded it checks that what it is sent is what it should be sent, field by field, and refuses the rest:
an order that nobody should release is as wrong as one with other dimensions. Without a scenario it takes any order.

An order: `{"order_number", "version", "customer_id", "ship_to_id", "requested_from", "requested_to",
"shipping_conditions", "service_requirements", "lines": [{"line", "item_id", "quantity", "pallets",
"pallet_length_in", "pallet_width_in", "pallet_height_in", "weight_lb", "hazmat", "un_number"}]}`; more fields are
kept, not judged.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from freightsync.sandbox import checks
from freightsync.sandbox.books import Books
from freightsync.sandbox.http import App, Problem, Reply, Request, delta, refuse

SIZES = ("pallet_length_in", "pallet_width_in", "pallet_height_in")
MEASURES = frozenset({*SIZES, "weight_lb"})
MOMENTS = frozenset({"requested_from", "requested_to"})


def make(token: str, books: Books) -> App:
    tms = Tms(books)
    app = App("tms", token, books)
    base = "/api/v1/"
    for name in ("lanes", "orders", "events"):
        app.route("GET", base + name, delta(books, name))
    app.route("POST", base + "orders", tms.release)
    app.route("PUT", base + "orders/{}", tms.change)
    app.route("POST", base + "orders/{}/cancel", tms.cancel)
    return app


def put_lane(books: Books, lane: dict[str, Any]) -> None:
    """A new version of a lane, as the TMS's own people write it."""
    books.add("lanes", checks.text(lane, "lane_id"), lane)


class Tms:
    def __init__(self, books: Books) -> None:
        self.books = books

    def release(self, request: Request) -> Reply:
        def write() -> tuple[int, dict[str, Any]]:
            order = request.json()
            number = checks.text(order, "order_number")
            if self.books.holds("orders", number):
                raise Problem(409, "order exists", f"order {number} is released; change it by PUT", "order_number")
            return self._keep(number, order, "released", 201)

        return checks.once(self.books, request, write)

    def change(self, request: Request) -> Reply:
        def write() -> tuple[int, dict[str, Any]]:
            order = request.json()
            number = request.parts[0]
            if order.get("order_number", number) != number:
                raise refuse("order_number", f"the address says {number}")
            self._newer(number, order)
            return self._keep(number, {**order, "order_number": number}, "released", 200)

        return checks.once(self.books, request, write)

    def cancel(self, request: Request) -> Reply:
        def write() -> tuple[int, dict[str, Any]]:
            given = request.json()
            number = request.parts[0]
            before = self._newer(number, given)
            return self._keep(number, {**before, "version": given["version"]}, "cancelled", 200)

        return checks.once(self.books, request, write)

    def _newer(self, number: str, given: dict[str, Any]) -> dict[str, Any]:
        before = self.books.latest("orders", number)
        if before is None:
            raise Problem(404, "no such order", f"order {number} was never released", "order_number")
        version = checks.whole(given, "version")
        if before["status"] == "cancelled":
            raise Problem(409, "order cancelled", f"order {number} is cancelled", "order_number")
        if version <= before["version"]:
            raise Problem(409, "stale version", f"order {number} is at version {before['version']}", "version")
        return before

    def _keep(self, number: str, order: dict[str, Any], status: str, code: int) -> tuple[int, dict[str, Any]]:
        version = checks.whole(order, "version")
        lines = checks.objects(order, "lines")
        shown = [_line(line, f"lines[{n}].") for n, line in enumerate(lines)]
        if status == "released":
            checks.text(order, "ship_to_id")
        self._must_be_expected(number, version, status, order, shown)
        tms_order = f"TO{self.books.size('orders') + 1:07d}"
        self.books.add(
            "orders",
            number,
            {
                **order,
                "order_number": number,
                "version": version,
                "status": status,
                "lines": shown,
                "tms_order_id": tms_order,
            },
            number,
        )
        return code, {"tms_order_id": tms_order, "order_number": number, "version": version, "status": status}

    def _must_be_expected(
        self, number: str, version: int, status: str, order: dict[str, Any], lines: list[dict[str, Any]]
    ) -> None:
        expected = self.books.kept("expected_orders")
        if expected is None:
            return
        found = expected.get(f"{number}/{version}")
        if found is None:
            raise refuse("order_number", f"version {version} of order {number} is not to be released")
        if found["status"] != status:
            raise refuse("status", f"version {version} of order {number} is to be {found['status']}")
        if status == "cancelled":
            return
        for name in found.keys() - {"status", "lines"}:
            if _same(name, order.get(name)) != _same(name, found[name]):
                raise refuse(name, f"order {number}: {found[name]} is due, not {order.get(name)}")
        wanted = {line["line"]: line for line in found["lines"]}
        if sorted(wanted) != sorted(line["line"] for line in lines):
            raise refuse("lines", f"order {number} has the lines {sorted(wanted)}")
        for n, line in enumerate(lines):
            for name, due in wanted[line["line"]].items():
                if _same(name, due) != _same(name, line.get(name)):
                    raise refuse(
                        f"lines[{n}].{name}", f"order {number} line {line['line']}: {due} is due, not {line.get(name)}"
                    )


def _same(name: str, value: Any) -> Any:
    """A value as it is compared: times as moments, measures as numbers, however they are written."""
    if value is None or value == "":
        return None
    if name in MOMENTS:
        return dt.datetime.fromisoformat(str(value))
    return Decimal(str(value)) if name in MEASURES else value


def _line(line: dict[str, Any], at: str) -> dict[str, Any]:
    quantity = checks.whole(line, "quantity", at)
    if quantity <= 0:
        raise refuse(at + "quantity", "more than 0 is needed")
    shown: dict[str, Any] = {
        **line,
        "line": checks.whole(line, "line", at),
        "item_id": checks.text(line, "item_id", at),
    }
    for name in SIZES:
        size = checks.decimal(line, name, at)
        if size is not None and size <= 0:
            raise refuse(at + name, "more than 0 is needed")
        shown[name] = None if size is None else f"{size:.2f}"
    return shown
