"""Writes pages that explain carriers' bills: of some bills, or of examples that show what can come of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from freightsync.reports.explain_page import page
from freightsync.reports.explained import examples, explained, find
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

EXAMPLES = 10
NUMBERS = {1: "One carrier invoice", 10: "Ten carrier invoices"}


def explain_bills(
    settings: Settings, names: Sequence[str], *, as_of: datetime, scac: str | None = None, path: Path | None = None
) -> Path:
    """The page of these bills, by id or number (all of that number). Raises PermanentError where one is not known."""
    with connect(settings.dsn("report"), application_name="freightsync explain") as conn, conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        ids = list(dict.fromkeys(bill for name in names for bill in find(conn, name, scac)))
        bills = [explained(conn, bill) for bill in ids]
    title = f"{NUMBERS.get(len(bills), f'{len(bills)} carrier invoices')}, explained line by line"
    name = "-".join(part if part.isalnum() else "_" for part in names[0].split(":"))
    path = path or settings.home / "reports" / f"explained-{name}.html"
    return _write(page(bills, as_of=as_of, title=title), path)


def beside(workbook: Path) -> Path:
    """Where the examples of a workbook's bills are."""
    return workbook.with_name(f"{workbook.stem.replace('reconciliation', 'explained')}.html")


def explain_examples(settings: Settings, *, as_of: datetime, count: int = EXAMPLES, path: Path | None = None) -> Path:
    """The page of examples (see `explained.examples`); says so where no bill was judged yet."""
    with connect(settings.dsn("report"), application_name="freightsync explain") as conn, conn.transaction():
        conn.execute("set transaction isolation level repeatable read, read only")
        chosen = examples(conn, count)
        bills = [explained(conn, bill) for bill, _ in chosen]
    title = f"{NUMBERS.get(len(bills), f'{len(bills)} carrier invoices')}, explained line by line"
    path = path or settings.home / "reports" / f"explained-invoices-{as_of.date().isoformat()}.html"
    return _write(page(bills, as_of=as_of, title=title, shows=[shows for _, shows in chosen]), path)


def _write(text: str, path: Path) -> Path:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".html", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o640)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
