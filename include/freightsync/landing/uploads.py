"""Spreadsheets of bills that people upload, for carriers without a channel of their own: by a documented template, with
the name of who uploaded it.

The same reader as for carriers' files; the same content is landed once, whoever uploads it again.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal, get_args

import psycopg

from freightsync.domain.errors import PermanentError
from freightsync.formats.tabular import MAX_HEADER_ROW, neutralise
from freightsync.landing.store import announce, land
from freightsync.systems.carrier_api import invoices

FEED = "carrier.invoice_portal"
Kind = Literal["invoices", "accessorials"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LARGEST_UPLOAD = 16 * 1024 * 1024
"""Bytes; a bill a row, some hundred thousand rows."""

_SCAC = re.compile(r"[A-Z]{2,4}\Z")


class UploadRefused(PermanentError):
    """An upload that is not taken in at all; the message says why."""


@dataclass(frozen=True)
class Uploaded:
    """What an upload did. first_by, first_at: who uploaded the same file before, and when; nothing was landed then.

    problems: (where, what) of bills that can't be read; they are kept in quarantine.
    """

    correlation_id: str
    document_id: int
    invoices: int
    duplicates: int
    problems: tuple[tuple[str, str], ...]
    first_by: str | None = None
    first_at: dt.datetime | None = None


def upload(
    conn: psycopg.Connection[Any], content: bytes, *, name: str, scac: str, by: str, kind: Kind = "invoices"
) -> Uploaded:
    """Lands an uploaded table and tells who gates it. conn: without a transaction open; committed here.

    Raises UploadRefused for what is no upload: nobody's name, no carrier code, nothing in it, too much of it.
    """
    if not by.strip():
        raise UploadRefused("an upload needs the name of who uploads it")
    if kind not in KINDS:
        raise UploadRefused(f"{kind!r} can't be uploaded", what_to_do=f"choose {' or '.join(KINDS)}")
    if not _SCAC.match(scac):
        raise UploadRefused(
            f"{scac[:20]!r} is no carrier code", what_to_do="give the carrier's SCAC, two to four letters"
        )
    if not content.strip():
        raise UploadRefused("the file is empty")
    if len(content) > LARGEST_UPLOAD:
        raise UploadRefused(
            f"the file has {len(content)} bytes, more than {LARGEST_UPLOAD}", what_to_do="split it, or use SFTP"
        )
    parsed = invoices.parse_invoices(content, mapping=invoices.mapping(f"portal_{kind}.yaml"), scac=scac, feed=FEED)
    with conn.transaction():
        landed = land(
            conn,
            feed=FEED,
            partner=scac.lower(),
            channel="portal",
            name=plain_name(name),
            content=content,
            parsed=parsed,
            run_id="upload",
            sent_by=by.strip(),
        )
        announce(conn, [landed])
        row = conn.execute(
            "select correlation_id, sent_by, received_at from landing.document where document_id = %s",
            (landed.document_id,),
        ).fetchone()
        assert row is not None
    problems = [(reject.position, "; ".join(reject.messages)) for reject in parsed.rejects]
    if parsed.unreadable is not None:
        problems.append(("the file", parsed.unreadable.message))
    return Uploaded(
        row[0],
        landed.document_id,
        landed.records,
        landed.duplicates,
        tuple(problems),
        row[1] if landed.duplicate_document else None,
        row[2] if landed.duplicate_document else None,
    )


def plain_name(name: str) -> str:
    """A file's own name, whatever path or control characters a client sent around it."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    return "".join(c if c.isprintable() else "_" for c in last).strip(". ")[:200] or "upload"


# ---------------------------------------------------------------------------------------------------- the template

_WORDS = {
    "invoice_number": "as the carrier writes it",
    "correction": "empty or First bill, Balance due, Supplemental, Correction, Adjustment, Credit, Rebill, Cancelled",
    "corrects_number": "number of the bill that this one speaks of",
    "biller": "who is to be paid, where that is not the carrier",
    "shipment_reference": "our shipment number; this, PRO, bill of lading or order is needed",
    "partner_code": "the carrier's own code",
    "line_amount": "without tax; negative for a credit",
    "net_amount": "the sum of the bill's charges, the same on each of its rows",
    "currency": "three letters; empty: that of the carrier's contract",
    "tax_amount": "of the whole bill",
    "gross_amount": "total without tax, and tax",
}


def template(kind: Kind = "invoices") -> bytes:
    """An empty workbook to fill in: the header on the first sheet, on the second what each column means."""
    import xlsxwriter

    columns = [c for c in invoices.mapping(f"portal_{kind}.yaml").rows.columns if c.columns]
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True})
    bold, date, amount = (
        book.add_format({"bold": True}),
        book.add_format({"num_format": "yyyy-mm-dd"}),
        book.add_format({"num_format": "#,##0.00"}),
    )
    page = book.add_worksheet("Bills")
    page.freeze_panes(1, 0)
    notes = book.add_worksheet("Columns")
    notes.write_row(0, 0, ["Column", "Needed", "Kind", "Meaning"], bold)
    for at, column in enumerate(columns):
        form = {"date": date, "decimal": amount}.get(column.kind)
        page.set_column(at, at, max(12, len(column.columns[0]) + 2), form)
        page.write_string(0, at, neutralise(column.columns[0]), bold)
        words = _WORDS.get(column.field, "")
        notes.write_row(at + 1, 0, [column.columns[0], "yes" if column.required else "", column.kind, words])
    notes.set_column(0, 0, 28)
    notes.set_column(3, 3, 90)
    page.data_validation(
        1,
        0,
        MAX_HEADER_ROW,
        0,
        {"validate": "any", "input_title": "One row a charge", "input_message": "The rows of a bill stand together."},
    )
    book.close()
    return stream.getvalue()
