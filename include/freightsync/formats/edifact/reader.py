"""An EDIFACT file -> interchanges, messages, typed documents, findings. See the package docstring for how to use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from freightsync.domain.errors import UnreadableDocument
from freightsync.formats.edifact import contrl, invoic
from freightsync.formats.edifact.common import Body, text
from freightsync.formats.edifact.contrl import Control
from freightsync.formats.edifact.findings import MAX_FINDINGS, Finding, Severity, has_error
from freightsync.formats.edifact.invoic import Invoic, PartialInvoic
from freightsync.formats.edifact.profile import DEFAULT_PROFILE, EdifactProfile
from freightsync.formats.edifact.syntax import BLOCK, IDLE, STANDARD, Delimiters, Segment, Source, sense_una, split

MAX_MESSAGE = 16 * 1024 * 1024
MAX_SEGMENTS = 400_000

Document = Invoic | Control
Partial = Document | PartialInvoic
Parser = Callable[[Body], Partial]

PARSERS: dict[str, Parser] = {invoic.MESSAGE_TYPE: invoic.parse, contrl.MESSAGE_TYPE: contrl.parse}

CHARSETS = {
    "UNOA": "ascii",
    "UNOB": "ascii",
    "UNOC": "iso8859-1",
    "UNOD": "iso8859-2",
    "UNOE": "iso8859-5",
    "UNOF": "iso8859-7",
    "UNOG": "iso8859-3",
    "UNOH": "iso8859-4",
    "UNOI": "iso8859-6",
    "UNOJ": "iso8859-8",
    "UNOK": "iso8859-9",
    "UNOW": "utf-8",
    "UNOX": "iso2022_jp",
    "UNOY": "utf-8",
}


class NotEdifactError(UnreadableDocument):
    """No interchange in the file. findings: places that look like a damaged UNA or UNB, if there are any."""

    def __init__(self, message: str, findings: list[Finding], what_to_do: str) -> None:
        super().__init__(message, position=f"byte {findings[0].byte_offset}" if findings else "", what_to_do=what_to_do)
        self.findings = findings


@dataclass(slots=True)
class Group:
    """A UNG loop."""

    message_type: str
    sender: str
    receiver: str
    control_number: str
    segment_index: int
    byte_offset: int
    message_count: int = 0


@dataclass(slots=True)
class Interchange:
    """What a UNB says, and what is wrong with the interchange as a whole. date and time as sent (6 or 8 digits, 4).

    messages: filled by `read` only, not while streaming.
    """

    sender: str
    sender_qualifier: str
    receiver: str
    receiver_qualifier: str
    control_number: str
    date: str
    time: str
    syntax: str
    version: str
    test: bool
    application_reference: str
    wants_acknowledgement: bool
    marks: Delimiters
    byte_offset: int
    findings: list[Finding] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @property
    def rejected(self) -> bool:
        """The interchange as a whole can't be trusted: use none of its messages."""
        return has_error(self.findings)

    def report(self, severity: Severity, code: str, index: int, offset: int, element: str | None, message: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(severity, code, index, offset, element, message))
        elif len(self.findings) == MAX_FINDINGS:
            words = f"more than {MAX_FINDINGS} findings: the rest is left out"
            self.findings.append(Finding("info", "more", index, offset, None, words))


@dataclass(slots=True)
class Message:
    """UNH to UNT. document is None if the message is rejected; partial then holds what could be read, for showing.

    byte_offset and byte_length cut the raw message, UNH to UNT without the last terminator, out of the file.
    """

    message_type: str
    version: str
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


def read_stream(
    source: bytes | bytearray | memoryview | IO[bytes],
    profile: EdifactProfile = DEFAULT_PROFILE,
    *,
    block: int = BLOCK,
    max_message: int = MAX_MESSAGE,
) -> Iterator[Interchange | Message | Finding]:
    """The file piece by piece, in memory that does not grow with it.

    For each interchange: its `Interchange` (header only), its messages in order, the same `Interchange` object again
    once its findings are complete. A bare Finding belongs to no interchange.
    Raises NotEdifactError at the end if there was no interchange.
    """
    stream = Source(source, block)
    head = stream.text[:512]
    seen: set[tuple[str, str, str]] = set()
    loose: list[Finding] = []
    previous: Interchange | None = None
    while True:
        junk_at, opened, broken = _next_interchange(stream)
        if previous is not None:
            if junk_at is not None:
                words = "bytes after the interchange that belong to none"
                previous.report("warning", "junk", 0, junk_at, None, words)
            yield previous
        for finding in broken:
            loose.append(finding)
            yield finding
        if opened is None:
            if previous is None:
                raise _not_edifact(head, loose)
            return
        if previous is None and junk_at is not None:
            opened.report("warning", "junk", 0, junk_at, None, "bytes before the first interchange")
        key = (opened.sender, opened.receiver, opened.control_number)
        if key in seen:
            words = f"another interchange of this file, of the same sender and receiver, has number {key[2][:20]}"
            opened.report("warning", "duplicate_control_number", 1, opened.byte_offset, "UNB05.1", words)
        if len(seen) < 100_000:
            seen.add(key)
        yield opened
        yield from _Reading(stream, opened, profile, max_message).messages()
        previous = opened


def read(source: bytes | bytearray | memoryview | IO[bytes], profile: EdifactProfile = DEFAULT_PROFILE) -> ReadResult:
    """The whole file at once. Raises NotEdifactError if there is no interchange."""
    result = ReadResult()
    for item in read_stream(source, profile):
        if isinstance(item, Message):
            item.interchange.messages.append(item)
        elif isinstance(item, Finding):
            result.findings.append(item)
        elif not result.interchanges or result.interchanges[-1] is not item:
            result.interchanges.append(item)
    return result


def looks_like(content: bytes) -> bool:
    """Whether a file is EDIFACT by its beginning."""
    return content[:512].lstrip(b"\xef\xbb\xbf \t\r\n\x00\x1a").startswith((b"UNA", b"UNB+"))


_START = re.compile(r"(?<![A-Za-z0-9])UN(?:A|B(?=[^A-Za-z0-9\s]))")


def _next_interchange(stream: Source) -> tuple[int | None, Interchange | None, list[Finding]]:
    """The next readable UNB: where junk before it begins, the interchange, and damaged beginnings passed over."""
    junk_at: int | None = None
    broken: list[Finding] = []

    def pass_over(stop: int) -> None:
        nonlocal junk_at
        between = stream.text[stream.at : stop]
        rest = between.lstrip(IDLE)
        if rest and junk_at is None:
            junk_at = stream.base + stop - len(rest)
        stream.at = stop

    while True:
        found = _START.search(stream.text, stream.at)
        if found is None or found.end() + 16 > len(stream.text):
            if found is None:
                pass_over(max(stream.at, len(stream.text) - 8))
            if stream.more():
                continue
            if found is None:
                pass_over(len(stream.text))
                return junk_at, None, broken
            found = _START.search(stream.text, stream.at)
            if found is None:
                pass_over(len(stream.text))
                return junk_at, None, broken
        pass_over(found.start())
        offset = stream.offset
        opened = _open(stream)
        if opened is not None:
            return junk_at, opened, broken
        if len(broken) < 20:
            words = "an interchange starts here, but its UNA or UNB can't be read: its delimiters can't be told"
            broken.append(Finding("error", "broken_unb", 1, offset, None, words))
        stream.at = max(stream.at, offset - stream.base + 3)


def _open(stream: Source) -> Interchange | None:
    """The interchange whose UNA or UNB begins here; the stream then stands after the UNB."""
    began = stream.offset
    marks = STANDARD
    stream.ensure(16)
    if stream.text.startswith("UNA", stream.at):
        sensed = sense_una(stream.text[stream.at : stream.at + 9])
        if sensed is None:
            return None
        marks = sensed
        stream.at += 9
    found = stream.segment(marks)
    # the source forgets nothing before `at` but in `more`: come back only within what is kept
    if found is None or not found[2] or not found[1].startswith("UNB" + marks.element):
        stream.at = max(began - stream.base, 0)
        return None
    offset, raw, _ = found
    unb = split(raw, marks)
    if not text(unb, 1) or not text(unb, 5):
        stream.at = max(began - stream.base, 0)
        return None
    return Interchange(
        sender=text(unb, 2),
        sender_qualifier=text(unb, 2, 2),
        receiver=text(unb, 3),
        receiver_qualifier=text(unb, 3, 2),
        control_number=text(unb, 5),
        date=text(unb, 4),
        time=text(unb, 4, 2),
        syntax=text(unb, 1),
        version=text(unb, 1, 2),
        test=text(unb, 11) == "1",
        application_reference=text(unb, 7),
        wants_acknowledgement=text(unb, 9) == "1",
        marks=marks,
        byte_offset=offset,
    )


def same_number(one: str, other: str) -> bool:
    """References: as numbers where both are (they may be zero-padded), otherwise exactly."""
    if one.isascii() and other.isascii() and one.isdigit() and other.isdigit():
        return one.lstrip("0") == other.lstrip("0")
    return one == other


_ENVELOPE = ("UNA", "UNB", "UNG", "UNH", "UNT", "UNE", "UNZ")


class _Reading:
    """Reads one interchange from after its UNB to its UNZ, to another UNB, or to the end of the file."""

    def __init__(self, stream: Source, into: Interchange, profile: EdifactProfile, max_message: int) -> None:
        self.stream = stream
        self.into = into
        self.profile = profile
        self.max_message = max_message
        self.index = 1
        self.count = 0
        self.groups = 0
        self.group: Group | None = None
        self.numbers: set[str] = set()
        self.charset = CHARSETS.get(into.syntax.upper(), "utf-8")
        self.warned = False

    def messages(self) -> Iterator[Message]:
        stream, into, marks = self.stream, self.into, self.into.marks
        unh = "UNH" + marks.element
        unt = "UNT"
        raws: list[str] = []
        offsets: list[int] = []
        size = 0
        inside = False
        began = 0
        while True:
            found = stream.segment(marks)
            if found is None:
                break
            offset, raw, terminated = found
            self.index += 1
            if not raw.startswith(_ENVELOPE):
                if not inside:
                    self._unexpected(offset, raw)
                elif len(raws) < MAX_SEGMENTS and size < self.max_message:
                    raws.append(raw)
                    offsets.append(offset)
                size += len(raw)
            elif raw.startswith(unh):
                if inside:
                    yield self._message(raws, offsets, began, size, complete=False)
                raws, offsets, size, inside, began = [raw], [offset], len(raw), True, self.index
            elif raw.startswith(unt) and inside:
                raws.append(raw)
                offsets.append(offset)
                yield self._message(raws, offsets, began, size, complete=True)
                inside = False
            else:
                if inside:
                    yield self._message(raws, offsets, began, size, complete=False)
                    inside = False
                if raw.startswith(("UNA", "UNB")):
                    stream.at = offset - stream.base  # not ours: the next one begins without our UNZ
                    self.index -= 1
                    break
                if self._envelope(offset, raw):
                    return
            if not terminated:
                into.report(
                    "warning", "unterminated_segment", self.index, offset, None, "the last segment has no terminator"
                )
                if stream.at < len(stream.text):  # a segment beyond the limit: nothing after it can be trusted
                    into.report("error", "too_large", self.index, offset, None, "a segment without an end")
                    stream.at += len(raw)
                    break
        if inside:
            yield self._message(raws, offsets, began, size, complete=False)
        into.report("warning", "missing_unz", self.index, stream.offset, "UNZ", "the interchange has no UNZ")

    def _unexpected(self, offset: int, raw: str) -> None:
        words = f"{raw[:20]!r} stands where no such segment may"
        self.into.report("warning", "unexpected_segment", self.index, offset, None, words)

    def _envelope(self, offset: int, raw: str) -> bool:
        """UNG, UNE, UNZ or rubbish; True at the end of the interchange."""
        into, segment = self.into, split(raw, self.into.marks)
        tag = segment[0][0]
        if tag == "UNG":
            self._close_group(offset)
            self.groups += 1
            self.group = Group(
                text(segment, 1), text(segment, 2), text(segment, 3), text(segment, 5), self.index, offset
            )
        elif tag == "UNE":
            group = self.group
            if group is None:
                self._unexpected(offset, raw)
                return False
            self._compare("message_count", "UNE01.1", offset, text(segment, 1), group.message_count, "messages")
            if not same_number(text(segment, 2), group.control_number):
                words = f"the UNE says {text(segment, 2)[:20]!r}, its UNG {group.control_number[:20]!r}"
                into.report("warning", "control_number", self.index, offset, "UNE02.1", words)
            self.group = None
        elif tag == "UNZ":
            self._close_group(offset)
            counted = self.groups or self.count
            what = "groups" if self.groups else "messages"
            self._compare("message_count", "UNZ01.1", offset, text(segment, 1), counted, what)
            if not same_number(text(segment, 2), into.control_number):
                words = f"the UNZ says {text(segment, 2)[:20]!r}, its UNB {into.control_number[:20]!r}"
                into.report("warning", "control_number", self.index, offset, "UNZ02.1", words)
            return True
        else:
            self._unexpected(offset, raw)
        return False

    def _close_group(self, offset: int) -> None:
        if self.group is not None:
            self.into.report("warning", "missing_une", self.index, offset, "UNE", "a functional group has no UNE")
            self.group = None

    def _compare(self, code: str, element: str, offset: int, stated: str, counted: int, what: str) -> None:
        if not (stated.isascii() and stated.isdigit() and int(stated[:18]) == counted):
            words = f"{stated[:20] or 'no number of'} {what} stated, {counted} counted"
            self.into.report("warning", code, self.index, offset, element, words)

    def _decoded(self, raw: str, offset: int) -> str:
        if raw.isascii():
            return raw
        content = raw.encode("latin-1")
        for charset in dict.fromkeys((self.charset, "utf-8")):
            try:
                return content.decode(charset)
            except UnicodeDecodeError:
                continue
        if not self.warned:
            self.warned = True
            words = f"text that is not in the character set of {self.into.syntax[:8]}; read as Windows-1252"
            self.into.report("warning", "undecodable", self.index, offset, None, words)
        return content.decode("cp1252", "replace")

    def _message(self, raws: list[str], offsets: list[int], began: int, size: int, *, complete: bool) -> Message:
        marks = self.into.marks
        segments: list[Segment] = []
        for raw, offset in zip(raws, offsets, strict=True):
            one = raw if raw.isascii() else self._decoded(raw, offset)
            if "\n" in one:  # files wrapped at a fixed width
                one = one.replace("\r", "").replace("\n", "")
            segments.append(split(one, marks))
        unh = segments[0]
        self.count += 1
        if self.group is not None:
            self.group.message_count += 1
        end = offsets[-1] + len(raws[-1])
        out = Message(
            message_type=text(unh, 2, 1),
            version=f"{text(unh, 2, 2)}.{text(unh, 2, 3)}".strip("."),
            control_number=text(unh, 1),
            document=None,
            partial=None,
            findings=[],
            segment_index=began,
            byte_offset=offsets[0],
            byte_length=end - offsets[0],
            segment_count=len(segments),
            group=self.group,
            interchange=self.into,
        )
        found = out.findings

        def report(severity: Severity, code: str, at: int, element: str | None, words: str) -> None:
            found.append(Finding(severity, code, began + at, offsets[at], element, words, segments[at][0][0]))

        if out.control_number in self.numbers:
            words = f"another message of this interchange has reference {out.control_number[:20]}"
            report("warning", "duplicate_control_number", 0, "UNH01.1", words)
        elif len(self.numbers) < 200_000:
            self.numbers.add(out.control_number)
        if size >= self.max_message or len(raws) >= MAX_SEGMENTS:
            report(
                "error",
                "too_large",
                0,
                None,
                f"a message of more than {self.max_message} bytes or {MAX_SEGMENTS} segments",
            )
            return out
        if complete:
            unt = segments[-1]
            stated = text(unt, 1)
            if not (stated.isascii() and stated.isdigit() and int(stated[:18]) == len(segments)):
                words = f"UNT says {stated[:20] or 'nothing of'} segments, {len(segments)} counted"
                report("warning", "segment_count", len(segments) - 1, "UNT01.1", words)
            if not same_number(text(unt, 2), out.control_number):
                words = f"the UNT says {text(unt, 2)[:20]!r}, its UNH {out.control_number[:20]!r}"
                report("warning", "control_number", len(segments) - 1, "UNT02.1", words)
        else:
            report("error", "truncated_message", 0, None, "a message without its UNT")
        parser = PARSERS.get(out.message_type)
        if parser is None:
            if complete:
                words = (
                    f"message type {out.message_type[:20]!r} is not read here"
                    if out.message_type
                    else "UNH names no message type"
                )
                report("error", "unsupported_message", 0, "UNH02.1", words)
            return out
        body = Body(segments, offsets, began, marks, self.profile)
        record = parser(body)
        if complete:
            found.extend(body.findings)
            if not isinstance(record, PartialInvoic) and not has_error(body.findings):
                out.document = record
        # of an incomplete message only the cut is reported: what else is missing was perhaps sent
        if out.document is None:
            out.partial = record
        return out


def _not_edifact(head: str, loose: list[Finding]) -> NotEdifactError:
    if loose:
        return NotEdifactError(
            f"no readable EDIFACT interchange: {loose[0].message}",
            loose,
            "ask the partner to send the interchange again",
        )
    begin = head.lstrip(IDLE)
    if not head:
        kind = "the file is empty"
    elif not begin:
        kind = "the file holds only blanks"
    elif begin.startswith("ISA"):
        kind = "the file is X12 (it starts with ISA)"
    elif begin.startswith("UNH"):
        kind = "the file starts with a message: its UNB is missing"
    elif head.startswith(("\xff\xfe", "\xfe\xff")):
        kind = "the file is UTF-16 text; EDIFACT is sent in single bytes or UTF-8"
    elif head.startswith(("PK\x03\x04", "\x1f\x8b")):
        kind = "the file is a compressed archive"
    else:
        kind = "nothing in the file starts an interchange (UNA, UNB)"
    return NotEdifactError(
        f"no EDIFACT interchange: {kind}", loose, "check what the partner sent, and by which channel"
    )
