"""Asks partners for what is new and lands it: deltas over HTTP, files over SFTP.

A cursor moves in the transaction that lands what it stands for, and a file leaves the inbound directory only after its
landing was committed; so a crash repeats work and never loses or doubles a record. One collector at a time reads a
source. A failed read raises; it is never an empty one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from paramiko import SFTPClient

from freightsync.domain.errors import TransientError, UnreadableDocument
from freightsync.formats.edifact import looks_like as looks_like_edifact
from freightsync.landing import helpers
from freightsync.landing.feeds import AUDIT_FEED, MASTER_FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.landing.store import Landed, land
from freightsync.settings import Settings
from freightsync.systems import sftp
from freightsync.systems.audit import parse as audit
from freightsync.systems.bank import parse as bank
from freightsync.systems.carrier_api import invoices as carrier_api
from freightsync.systems.carrier_edi import parse as carrier_edi
from freightsync.systems.erp import parse as erp
from freightsync.systems.erp.client import Erp
from freightsync.systems.http import Page
from freightsync.systems.parsed import UNREADABLE_FILE, Parsed
from freightsync.systems.partners import EDI, FileKind, Sender, senders
from freightsync.systems.rates import parse as rates
from freightsync.systems.remittance import parse as remittance
from freightsync.systems.tms import parse as tms
from freightsync.systems.tms.client import Tms
from freightsync.systems.wms import parse as wms
from freightsync.systems.wms.client import Wms

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

PAGES = 200
"""Most pages of one delta in one call; the next call goes on."""

TMS_EVENTS = "tms.events"
TMS_MISSING = "tms.events.missing"
GRACE_SECONDS = 120.0
"""How long an event that the TMS lists may still come by webhook before polling takes it."""

STABLE_SECONDS = 1.0
"""A file is taken when two looks so far apart find the same size and time."""

INCOMPLETE_SECONDS = 8.0
"""The same, for a file whose end is missing: it may still be being written; after this it is taken as cut off."""

APART_BYTES = 8_000_000
"""Files of so many bytes together are read and landed by processes beside each other."""


def collect(
    conn: Connection,
    settings: Settings,
    feeds: Sequence[str],
    run_id: str,
    *,
    file_patience: float = 2 * STABLE_SECONDS,
) -> list[Landed]:
    """Lands what is new for these feeds, and gives what was landed. Feeds that only come by webhook are passed over.

    conn: without a transaction open; committed step by step. Sales orders are read before the master data that is asked
    for with them and landed after it, so that no order is judged by master data older than itself.
    file_patience: seconds to wait for files that were not seen before; 0: they are taken by a later call.
    """
    names = [feed_named(name).name for name in feeds]
    landed: list[Landed] = []
    masters = [name for name in names if name in MASTER_FEEDS]
    if erp.ORDER_FEED in names:
        with _alone(conn, erp.ORDER_FEED), Erp.connect(settings) as client:
            pages = list(_pages(conn, erp.ORDER_FEED, lambda cursor: client.page(erp.ORDER_FEED, cursor)))
            landed += _masters(conn, settings, masters, run_id)
            for page, before in pages:
                landed += _land_page(conn, erp.ORDER_FEED, "erp", page, before, run_id)
    else:
        landed += _masters(conn, settings, masters, run_id)
    if erp.ENTRY_FEED in names:
        with Erp.connect(settings) as client:
            landed += _delta(conn, erp.ENTRY_FEED, "erp", partial(client.page, erp.ENTRY_FEED), run_id)
    if wms.FEED in names:
        with Wms.connect(settings) as warehouse:
            landed += _delta(conn, wms.FEED, "wms", warehouse.confirmations, run_id)
    receivable = [name for name in (erp.PAYMENT_FEED, erp.DISPUTE_FEED) if name in names]
    if receivable:
        with Erp.connect(settings) as client:
            for name in receivable:
                landed += _delta(conn, name, "erp", partial(client.page, name), run_id)
    if tms.PLAN_FEED in names or tms.EVENT_FEED in names:
        landed += recover_events(conn, settings, run_id)
    known = senders(folder=settings.carrier_folder)
    wanted = [sender for sender in known if any(kind.feed in names for kind in sender.files)]
    if wanted:
        landed += collect_files(conn, settings, wanted, set(names), run_id, patience=file_patience)
    return landed


# ---------------------------------------------------------------------------------------------------- deltas


def _masters(conn: Connection, settings: Settings, feeds: Sequence[str], run_id: str) -> list[Landed]:
    landed: list[Landed] = []
    from_erp = [name for name in feeds if name != tms.LANE_FEED]
    if from_erp:
        with Erp.connect(settings) as client:
            for name in from_erp:
                landed += _delta(conn, name, "erp", partial(client.page, name), run_id)
    if tms.LANE_FEED in feeds:
        with Tms.connect(settings) as planner:
            landed += _delta(conn, tms.LANE_FEED, "tms", planner.lanes, run_id)
    return landed


def _delta(conn: Connection, feed: str, partner: str, read: Callable[[str], Page], run_id: str) -> list[Landed]:
    """Everything after our cursor, page by page, each committed with the cursor behind it."""
    landed: list[Landed] = []
    with _alone(conn, feed):
        for page, before in _pages(conn, feed, read):
            landed += _land_page(conn, feed, partner, page, before, run_id)
    return landed


def collect_ledger(conn: Connection, settings: Settings, periods: Sequence[str], run_id: str) -> list[Landed]:
    """The ERP's books: every document that is new in its ledger, and the trial balance of each of these periods.

    The documents are read last, so that all that a trial balance contains is there to be compared with it; what came
    after it has a later sequence. conn: without a transaction open; committed step by step.
    """
    landed: list[Landed] = []
    with Erp.connect(settings) as client:
        for period in periods:
            content = client.balances(period)
            with _alone(conn, erp.BALANCE_FEED):
                landed.append(
                    land(
                        conn,
                        feed=erp.BALANCE_FEED,
                        partner="erp",
                        channel="api",
                        name=f"trial balance of {period}",
                        content=content,
                        parsed=erp.parse_balances(content),
                        run_id=run_id,
                    )
                )
        while True:
            found = _delta(conn, erp.ENTRY_FEED, "erp", partial(client.page, erp.ENTRY_FEED), run_id)
            landed += found
            if len(found) < PAGES:
                return landed


def _pages(conn: Connection, feed: str, read: Callable[[str], Page]) -> Iterator[tuple[Page, str]]:
    """Pages after our cursor, each with the cursor that it was read from."""
    cursor = _position(conn, feed)
    for _ in range(PAGES):
        page = read(cursor)
        yield page, cursor
        if not page.more:
            return
        cursor = page.next_cursor


def _parse_page(feed: str, content: bytes) -> Parsed:
    if feed == tms.LANE_FEED:
        return tms.parse_lanes(content)
    if feed == wms.FEED:
        return wms.parse_confirmations(content)
    return erp.parse_page(feed, content)


def _land_page(conn: Connection, feed: str, partner: str, page: Page, before: str, run_id: str) -> list[Landed]:
    if not page.items and page.next_cursor == before:
        return []
    with conn.transaction():
        _move(conn, feed, page.next_cursor, run_id)
        if not page.items:
            return []
        landed = land(
            conn,
            feed=feed,
            partner=partner,
            channel="api",
            name=f"{feed} after {before or 'the beginning'}",
            content=page.content,
            parsed=_parse_page(feed, page.content),
            run_id=run_id,
        )
    return [landed]


def _position(conn: Connection, source: str) -> str:
    with conn.transaction():
        row = conn.execute(
            "select position from landing.cursor where source = %s order by recorded_at desc limit 1", (source,)
        ).fetchone()
    return str(row[0]) if row else ""


def _move(conn: Connection, source: str, position: str, run_id: str) -> None:
    conn.execute(
        "insert into landing.cursor (source, position, run_id) values (%s, %s, %s)", (source, position, run_id)
    )


@contextmanager
def _alone(conn: Connection, source: str) -> Iterator[None]:
    """One collector a source. The lock is the session's: it ends with a killed task's connection."""
    lock = ("freightsync collect " + source,)
    with conn.transaction():
        conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", lock)
    try:
        yield
    finally:
        if not conn.closed and not conn.broken:
            if conn.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                conn.rollback()
            with conn.transaction():
                conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", lock)


# ---------------------------------------------------------------------------------------------------- missed webhooks


def recover_events(
    conn: Connection, settings: Settings, run_id: str, *, grace_seconds: float = GRACE_SECONDS
) -> list[Landed]:
    """Lands events that the TMS lists and no webhook brought: those that were missing at a look at least
    `grace_seconds` ago and still are. Events that came are passed over, so that nothing is counted twice."""
    landed: list[Landed] = []
    with _alone(conn, TMS_EVENTS), Tms.connect(settings) as client:
        for _ in range(PAGES):
            cursor = _position(conn, TMS_EVENTS)
            page = client.events(cursor)
            if not page.items:
                break
            found = {_event_id(item): item for item in page.items}
            with conn.transaction():
                known = _known_events(conn, list(found))
                missing = [event_id for event_id in found if event_id not in known]
                overdue = _overdue(conn, missing, cursor, grace_seconds)
                take = [found[event_id] for event_id in missing if event_id in overdue]
                if take:
                    content = json.dumps({"events": take}, default=str, separators=(",", ":")).encode()
                    for feed, parsed in tms.read_events(take).items():
                        landed.append(
                            land(
                                conn,
                                feed=feed,
                                partner="tms",
                                channel="api",
                                name=f"events after {cursor or 'the beginning'}",
                                content=content,
                                parsed=parsed,
                                run_id=run_id,
                            )
                        )
                still = [event_id for event_id in missing if event_id not in overdue]
                if not still:
                    _move(conn, TMS_EVENTS, page.next_cursor, run_id)
                elif not _looked(conn, cursor):
                    _move(conn, TMS_MISSING, json.dumps({"cursor": cursor, "events": still}), run_id)
            if still or not page.more:
                break
    return landed


def _event_id(item: Any) -> str:
    return str(item.get("event_id")) if isinstance(item, dict) else json.dumps(item, default=str)


def _known_events(conn: Connection, event_ids: Sequence[str]) -> set[str]:
    rows = conn.execute(
        """
        select source_event_id from landing.status_event
        where source_event_id = any(%(ids)s) and source = 'tms.shipment_event'
        union all select event_id from landing.shipment_plan where event_id = any(%(ids)s)
        union all
        select natural_key from quality.quarantine
        where feed in ('tms.shipment_event', 'tms.shipment_plan') and record_id is null and natural_key = any(%(ids)s)
        """,
        {"ids": list(event_ids)},
    )
    return {row[0] for row in rows}


def _looks(conn: Connection, cursor: str) -> list[tuple[dt.datetime, list[str]]]:
    rows = conn.execute(
        "select recorded_at, position from landing.cursor where source = %s order by recorded_at desc limit 50",
        (TMS_MISSING,),
    ).fetchall()
    looks = [(at, json.loads(position)) for at, position in rows]
    return [(at, look["events"]) for at, look in looks if look["cursor"] == cursor]


def _looked(conn: Connection, cursor: str) -> bool:
    """Whether a look at this cursor is remembered that is younger than the grace: it will do for the next one."""
    return any(at > _now(conn) - dt.timedelta(seconds=GRACE_SECONDS / 4) for at, _ in _looks(conn, cursor))


def _overdue(conn: Connection, missing: Sequence[str], cursor: str, grace_seconds: float) -> set[str]:
    if not missing:
        return set()
    due = _now(conn) - dt.timedelta(seconds=grace_seconds)
    return {event_id for at, events in _looks(conn, cursor) if at <= due for event_id in events} & set(missing)


def _now(conn: Connection) -> dt.datetime:
    row = conn.execute("select clock_timestamp()").fetchone()
    assert row is not None
    now: dt.datetime = row[0]
    return now


# ---------------------------------------------------------------------------------------------------- files


def collect_files(
    conn: Connection,
    settings: Settings,
    given: Sequence[Sender],
    feeds: set[str],
    run_id: str,
    *,
    patience: float = 2 * STABLE_SECONDS,
    incomplete_seconds: float = INCOMPLETE_SECONDS,
) -> list[Landed]:
    """Lands these senders' files that are for these feeds and are whole, and archives them.

    patience: seconds to wait, for all senders together, for files that were seen for the first time or just changed;
    what is not stable by then is left to the next call. Files that no pattern of the sender knows are left and logged.
    """
    landed: list[Landed] = []
    with ExitStack() as stack:
        looked_at = sorted(given, key=lambda sender: sender.partner)
        for sender in looked_at:
            mine = feeds & {kind.feed for kind in sender.files}
            stack.enter_context(_alone(conn, f"sftp {sender.partner} {' '.join(sorted(mine))}"))
        session = stack.enter_context(sftp.connect(settings))
        give_up = time.monotonic() + patience
        while True:
            ready, waiting = _look(conn, session, looked_at, feeds)
            taken = _take_all(conn, settings, session, ready, run_id, incomplete_seconds)
            landed += [one for found in taken for one in found or ()]
            waiting = waiting or None in taken
            if not waiting or time.monotonic() + STABLE_SECONDS > give_up:
                return landed
            time.sleep(STABLE_SECONDS + 0.05)


@dataclass(frozen=True)
class _File:
    """A file that lies there unchanged. quiet_seconds: for how long. landed_sha256: what of it was landed before a
    crash, so that it only has to be archived."""

    sender: Sender
    kind: FileKind
    entry: sftp.Entry
    quiet_seconds: float
    landed_sha256: bytes | None

    def directory(self, session: SFTPClient) -> sftp.Directory:
        return _directory(session, self.sender)


def _directory(session: SFTPClient, sender: Sender) -> sftp.Directory:
    return sftp.Directory(session, sender.partner, f"/{sender.directory}/inbound", f"/{sender.directory}/archive")


def _look(conn: Connection, session: SFTPClient, given: Sequence[Sender], feeds: set[str]) -> tuple[list[_File], bool]:
    """One look at the senders' directories: what can be taken, and whether a file has to be looked at again."""
    ready: list[_File] = []
    waiting = False
    for sender in given:
        entries = _directory(session, sender).list()
        for entry in entries:
            kind = sender.kind_of(entry.name)
            if kind is None:
                log.warning("%s: %s fits no pattern of this sender and is left where it is", sender.partner, entry.name)
                continue
            if kind.feed not in feeds:
                continue
            with conn.transaction():
                row = conn.execute(_SEEN, (sender.partner, entry.name, entry.size, entry.mtime)).fetchone()
            assert row is not None
            if row[0] < STABLE_SECONDS:
                waiting = True
            else:
                ready.append(_File(sender, kind, entry, *row))
        _forget(conn, sender, feeds, {entry.name for entry in entries})
    return ready, waiting


_SEEN = """
insert into ops.file_look as l (partner, name, size, mtime, seen_at)
values (%s, %s, %s, %s, clock_timestamp())
on conflict (partner, name) do update set
    seen_at = case when (l.size, l.mtime) = (excluded.size, excluded.mtime) then l.seen_at else excluded.seen_at end,
    landed_sha256 = case when (l.size, l.mtime) = (excluded.size, excluded.mtime) then l.landed_sha256 end,
    size = excluded.size, mtime = excluded.mtime
returning extract(epoch from clock_timestamp() - seen_at)::float8, landed_sha256
"""


def _take_all(
    conn: Connection,
    settings: Settings,
    session: SFTPClient,
    files: Sequence[_File],
    run_id: str,
    incomplete_seconds: float,
) -> list[list[Landed] | None]:
    """Lands and archives these files, each as `take` does; many large ones by processes beside each other."""
    if len(files) > 1 and sum(file.entry.size for file in files) >= APART_BYTES:
        # processes of their own would be no gain for less: they start in half a second
        return helpers.run(settings, run_id, incomplete_seconds, files)
    return [take(conn, settings, session, file, run_id, incomplete_seconds) for file in files]


def take(
    conn: Connection,
    settings: Settings,
    session: SFTPClient,
    file: _File,
    run_id: str,
    incomplete_seconds: float,
) -> list[Landed] | None:
    """Lands and archives a file; None for one that is still being written and has to be looked at again."""
    sender, kind, entry = file.sender, file.kind, file.entry
    place = file.directory(session)
    content = place.read(entry.name)
    sha = hashlib.sha256(content).digest()
    landed: list[Landed] = []
    if file.landed_sha256 != sha:  # else it was landed before a crash, and only has to be archived
        if len(content) != entry.size:
            return None
        if not is_whole(content, kind) and file.quiet_seconds < incomplete_seconds:
            return None
        try:
            found = _parse_file(content, sender, kind, entry.name, settings.carrier_folder)
            landed = _land_file(conn, sender, entry.name, content, found, run_id)
        except Exception as error:
            if not _blames_the_file(error):
                raise
            log.exception("%s: %s can't be landed; it is kept as unreadable", sender.partner, entry.name)
            found = {kind.feed: _unreadable(error, sender, entry.name)}
            landed = _land_file(conn, sender, entry.name, content, found, run_id)
    place.archive(entry.name, f"{sha.hex()[:8]}_{entry.name}")
    with conn.transaction():
        conn.execute("delete from ops.file_look where partner = %s and name = %s", (sender.partner, entry.name))
    return landed


def _land_file(
    conn: Connection, sender: Sender, name: str, content: bytes, found: Mapping[str, Parsed], run_id: str
) -> list[Landed]:
    """Lands what a file holds for each feed, and remembers that it did, in one transaction."""
    sha = hashlib.sha256(content).digest()
    with conn.transaction():
        # a helper whose collector was killed may still be landing it: the next collector waits for that here
        look = conn.execute(
            "select landed_sha256 from ops.file_look where partner = %s and name = %s for update",
            (sender.partner, name),
        ).fetchone()
        if look is not None and look[0] == sha:
            return []
        landed = [
            land(
                conn,
                feed=feed,
                partner=sender.partner,
                channel="sftp",
                name=name,
                content=content,
                parsed=parsed,
                run_id=run_id,
            )
            for feed, parsed in found.items()
        ]
        conn.execute(
            "update ops.file_look set landed_sha256 = %s where partner = %s and name = %s", (sha, sender.partner, name)
        )
    return landed


def _blames_the_file(error: Exception) -> bool:
    """Whether what was raised while a file was read and landed is due to what stands in it.

    Of the database only a value that it refuses is; anything else of it, a partner that is away or a machine without
    memory would befall the next file as well.
    """
    if isinstance(error, psycopg.Error):
        return isinstance(error, psycopg.DataError | psycopg.IntegrityError)
    return not isinstance(error, TransientError | OSError | MemoryError)


def _unreadable(error: Exception, sender: Sender, name: str) -> Parsed:
    """A file on which reading or landing fails: one document, so that the files after it go on."""
    first_line = (str(error).splitlines() or [""])[0][:300]
    shown = UnreadableDocument(
        f"the file can't be taken in: {type(error).__name__}: {first_line}",
        partner=sender.partner,
        document=name,
        what_to_do="look at the file (it is kept as it came), and ask the sender to correct and send it again; "
        "where nothing is wrong with it, report this message: the reader has to learn it",
    )
    return Parsed.nothing(UNREADABLE_FILE, str(shown))


def is_whole(content: bytes, kind: FileKind) -> bool:
    """Whether the file ends as such a file does: X12 with an IEA, EDIFACT with a UNZ, a message of ISO 20022 with its
    last tag, a workbook with its directory, a table with the end of a line."""
    if kind.format in EDI:
        return (b"UNZ" if looks_like_edifact(content) else b"IEA") in content[-200:]
    if kind.format in ("camt053", "remt001"):
        return content.rstrip().endswith(b"Document>")
    if content.startswith(b"PK\x03\x04"):
        return b"PK\x05\x06" in content[-65_557:]
    return content.endswith((b"\n", b"\r"))


def _parse_file(
    content: bytes, sender: Sender, kind: FileKind, name: str, folder: Path | None = None
) -> dict[str, Parsed]:
    """What a file holds, by feed. folder: the deployment's own mappings."""
    if kind.format in EDI:
        return carrier_edi.parse_file(
            content,
            profile=sender.x12,
            scac=sender.scac,
            name=name,
            expected=kind.feed,
            edifact=sender.edifact,
        )
    if kind.format == "camt053":
        return {kind.feed: bank.parse_statements(content)}
    if kind.format == "remt001":
        return {kind.feed: remittance.parse_advices(content)}
    assert kind.mapping is not None  # checked when partners.yaml was read
    if kind.feed in rates.FEEDS:
        layout = rates.mapping(kind.feed, kind.mapping, folder)
        return {kind.feed: rates.parse_rates(content, feed=kind.feed, mapping=layout)}
    if kind.feed == remittance.FEED:
        return {kind.feed: remittance.parse_table(content, mapping=remittance.mapping(kind.mapping, folder))}
    if kind.feed == AUDIT_FEED:
        return {kind.feed: audit.parse_table(content, mapping=audit.mapping(kind.mapping, folder))}
    mapping = carrier_api.mapping(kind.mapping, folder)
    return {kind.feed: carrier_api.parse_invoices(content, mapping=mapping, scac=sender.scac, feed=kind.feed)}


def _forget(conn: Connection, sender: Sender, feeds: set[str], lying: set[str]) -> None:
    """Drops the looks at files of these feeds that are gone; those of other feeds are another collector's."""
    with conn.transaction():
        looks = conn.execute("select name from ops.file_look where partner = %s", (sender.partner,)).fetchall()
        gone = [
            name
            for (name,) in looks
            if name not in lying and ((kind := sender.kind_of(name)) is None or kind.feed in feeds)
        ]
        if gone:
            conn.execute("delete from ops.file_look where partner = %s and name = any(%s)", (sender.partner, gone))
