"""An X12 file -> interchanges, transactions, typed documents, findings. See the package docstring for how to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from freightsync.domain.errors import UnreadableDocument
from freightsync.formats.x12 import tx204, tx210, tx214, tx824, tx990, tx997
from freightsync.formats.x12.common import Body, Money, money_reader
from freightsync.formats.x12.envelope import (
    BLOCK,
    MAX_TRANSACTION,
    Closed,
    Envelope,
    Group,
    Opened,
    RawTransaction,
    Unread,
    events,
)
from freightsync.formats.x12.findings import Finding, has_error
from freightsync.formats.x12.profile import DEFAULT_PROFILE, PartnerProfile
from freightsync.formats.x12.tx204 import LoadTender204
from freightsync.formats.x12.tx210 import Invoice210, Partial210
from freightsync.formats.x12.tx214 import Status214
from freightsync.formats.x12.tx824 import ApplicationAdvice824
from freightsync.formats.x12.tx990 import TenderResponse990
from freightsync.formats.x12.tx997 import Acknowledgment997

Document = Invoice210 | Status214 | LoadTender204 | TenderResponse990 | Acknowledgment997 | ApplicationAdvice824
Partial = Document | Partial210


class NotX12Error(UnreadableDocument):
    """No interchange in the file. findings: places that look like a damaged ISA, if there are any."""

    def __init__(self, message: str, findings: list[Finding], what_to_do: str) -> None:
        super().__init__(message, position=f"byte {findings[0].byte_offset}" if findings else "", what_to_do=what_to_do)
        self.findings = findings


@dataclass(slots=True)
class Interchange:
    """envelope: what ISA says; its findings. transactions: filled by `read` only, not while streaming."""

    envelope: Envelope
    transactions: list[Transaction] = field(default_factory=list)

    @property
    def sender(self) -> str:
        return self.envelope.sender

    @property
    def receiver(self) -> str:
        return self.envelope.receiver

    @property
    def control_number(self) -> str:
        return self.envelope.control_number

    @property
    def findings(self) -> list[Finding]:
        return self.envelope.findings

    @property
    def rejected(self) -> bool:
        """The interchange as a whole can't be trusted (a broken ISA): use none of its transactions."""
        return has_error(self.envelope.findings)


@dataclass(slots=True)
class Transaction:
    """ST to SE. document is None if the transaction is rejected; partial then holds what could be read, for showing.

    A 214 of which only some events can't be read is not rejected: see `Status214.unreadable`.

    byte_offset and byte_length cut the raw transaction, ST to SE without the last terminator, out of the file.
    """

    set_id: str
    control_number: str
    document: Document | None
    partial: Partial | None
    findings: list[Finding]
    segment_index: int
    byte_offset: int
    byte_length: int
    segment_count: int
    group: Group | None
    interchange: Interchange

    @property
    def rejected(self) -> bool:
        return self.document is None


@dataclass(slots=True)
class ReadResult:
    """A whole file. findings: those that belong to no interchange."""

    interchanges: list[Interchange] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


Parser = Callable[[Body, Money], Partial]

PARSERS: dict[str, Parser] = {
    tx204.SET_ID: tx204.parse,
    tx210.SET_ID: tx210.parse,
    tx214.SET_ID: lambda body, _: tx214.parse(body),
    tx990.SET_ID: lambda body, _: tx990.parse(body),
    tx997.SET_ID: lambda body, _: tx997.parse(body),
    tx824.SET_ID: lambda body, _: tx824.parse(body),
}
GROUPS: dict[str, tuple[str, ...]] = {
    module.SET_ID: module.GROUP_IDS for module in (tx204, tx210, tx214, tx824, tx990, tx997)
}


def read_stream(
    source: bytes | bytearray | memoryview | IO[bytes],
    profile: PartnerProfile = DEFAULT_PROFILE,
    *,
    block: int = BLOCK,
    max_transaction: int = MAX_TRANSACTION,
) -> Iterator[Interchange | Transaction | Finding]:
    """The file piece by piece, in memory that does not grow with it.

    For each interchange: its `Interchange` (header only), its transactions in order, the same `Interchange` object
    again once its findings are complete. A bare Finding belongs to no interchange.
    Raises NotX12Error at the end if there was no interchange.
    """
    money = money_reader(profile)
    current: Interchange | None = None
    unread: list[Finding] = []
    for event in events(source, profile, block=block, max_transaction=max_transaction):
        if isinstance(event, RawTransaction):
            if current is None:
                raise AssertionError("a transaction outside any interchange")
            yield _transaction(event, current, profile, money)
        elif isinstance(event, Closed):
            if current is not None:
                yield current
        elif isinstance(event, Opened):
            current = Interchange(event.envelope)
            yield current
        elif isinstance(event, Unread):
            unread.append(event.finding)
            yield event.finding
    if current is None:
        raise not_x12(source, unread)


def read(source: bytes | bytearray | memoryview | IO[bytes], profile: PartnerProfile = DEFAULT_PROFILE) -> ReadResult:
    """The whole file at once. Raises NotX12Error if there is no interchange."""
    result = ReadResult()
    for item in read_stream(source, profile):
        if isinstance(item, Transaction):
            item.interchange.transactions.append(item)
        elif isinstance(item, Finding):
            result.findings.append(item)
        elif not result.interchanges or result.interchanges[-1] is not item:
            result.interchanges.append(item)
    return result


def _transaction(raw: RawTransaction, interchange: Interchange, profile: PartnerProfile, money: Money) -> Transaction:
    segments = raw.segments
    st = segments[0] if segments else ["ST"]
    set_id = st[1] if len(st) > 1 else ""
    group = raw.group
    out = Transaction(
        set_id=set_id,
        control_number=st[2] if len(st) > 2 else "",
        document=None,
        partial=None,
        findings=raw.findings,
        segment_index=raw.segment_index,
        byte_offset=raw.byte_offset,
        byte_length=len(raw.raw),
        segment_count=len(segments),
        group=group,
        interchange=interchange,
    )
    parser = PARSERS.get(set_id)
    if parser is None and len(segments) < 2 and not raw.complete:
        return out  # the file ends within the ST: whatever it names was perhaps cut
    if parser is None:
        message = f"transaction set {set_id[:20]!r} is not read here" if set_id else "ST names no transaction set"
        out.findings.append(Finding("error", "unsupported_set", raw.segment_index, raw.byte_offset, "ST01", message))
        return out
    if raw.too_large:
        return out
    if group is not None and group.functional_id not in GROUPS[set_id]:
        out.findings.append(
            Finding(
                "warning",
                "functional_group",
                group.segment_index,
                group.byte_offset,
                "GS01",
                f"a {set_id} in a group {group.functional_id[:20]!r}, not {' or '.join(GROUPS[set_id])}",
            )
        )
    body = Body(
        segments,
        raw.raw,
        raw.byte_offset,
        raw.segment_index,
        raw.terminator,
        group.version if group is not None else raw.envelope.version,
        profile,
    )
    record = parser(body, money)
    if raw.complete:
        out.findings.extend(body.findings)
        if not isinstance(record, Partial210) and not _withheld(record, body.findings):
            out.document = record
    # of an incomplete transaction only the cut is reported: what else is missing was perhaps sent
    if out.document is None:
        out.partial = record
    return out


def _withheld(record: Document, findings: list[Finding]) -> bool:
    """Whether an error forbids to use the document. An event that can't be read is left out of a 214, and no more."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if isinstance(record, Status214) and record.events and record.unreadable:
        apart = {finding for event in record.unreadable for finding in event.findings}
        errors = [finding for finding in errors if finding not in apart]
    return bool(errors)


def not_x12(source: object, unread: list[Finding]) -> NotX12Error:
    """Say what the file is instead, as far as its first bytes show."""
    if unread:
        return NotX12Error(
            f"no readable X12 interchange: {unread[0].message}",
            unread,
            "ask the partner to send the interchange again",
        )
    head = b""
    if isinstance(source, bytes | bytearray | memoryview):
        head = bytes(memoryview(source)[:512])
    elif hasattr(source, "seek") and hasattr(source, "read"):
        try:
            source.seek(0)
            head = source.read(512)
        except (OSError, ValueError):  # a pipe: its beginning is gone
            head = b""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.strip():
        kind = "the file is empty" if not head else "the file holds only blanks"
    elif text.startswith((b"UNA", b"UNB")):
        kind = "the file is EDIFACT (it starts with UNA or UNB)"
    elif head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"I\x00S\x00A" in head:
        kind = "the file is UTF-16 text; X12 is sent in single bytes or UTF-8"
    elif text.startswith(b"\xc9\xe2\xc1"):
        kind = "the file is EBCDIC; it was transferred without conversion"
    elif text.startswith((b"ST*", b"ST|")):
        kind = "the file starts with a transaction: its ISA is missing"
    elif head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        kind = "the file is a compressed archive"
    else:
        kind = "nothing in the file starts an interchange (ISA)"
    return NotX12Error(f"no X12 interchange: {kind}", unread, "check what the partner sent, and over which channel")
