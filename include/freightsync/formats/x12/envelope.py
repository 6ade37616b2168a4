"""Interchanges, groups and transactions out of a byte stream, in memory that does not grow with the file.

The stream is read in blocks. Envelope segments (ISA, GS, ST, SE, GE, IEA) are found by a search for them right after
a terminator; what stands between ST and SE is handed on whole and split once. Only the transaction at hand is kept.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from freightsync.formats.x12.common import BLANKS, Segment, blanks_for, designator, split_with_offsets
from freightsync.formats.x12.delimiters import LOOKAHEAD, Sensed, has_fixed_widths, sense
from freightsync.formats.x12.findings import MAX_FINDINGS, Finding, Severity
from freightsync.formats.x12.profile import PartnerProfile

BLOCK = 256 * 1024
MAX_TRANSACTION = 8 * 1024 * 1024  # the standard's 9,999 LX loops, twenty segments each, fit
_MAX_SUSPECTS = 200  # places that might be an ISA of wrong width; beyond, only exact ones are looked at
_MAX_ENVELOPE_SEGMENT = 4096
_END_MARK = "\x1a"  # of old systems, after the last segment
# What may stand between interchanges: blanks, end marks, and byte order marks (of files that were joined).
_IDLE = BLANKS + _END_MARK + "\xef\xbb\xbf"


@dataclass(slots=True)
class Group:
    """A GS loop. functional_id GS01, version GS08; offsets and indexes are those of the GS.

    stated_count: GE01, None if it can't be read or the GE is missing. findings: those of the interchange that are about
    this group's own GS and GE.
    """

    functional_id: str
    sender: str
    receiver: str
    control_number: str
    version: str
    segment_index: int
    byte_offset: int
    transaction_count: int = 0
    stated_count: int | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Envelope:
    """What an ISA says, and what is wrong with the interchange as a whole. Values as sent, trimmed."""

    sender: str
    sender_qualifier: str
    receiver: str
    receiver_qualifier: str
    control_number: str
    date: str
    time: str
    version: str
    usage: str
    element: str
    component: str
    terminator: str
    byte_offset: int
    group_count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def report(self, severity: Severity, code: str, index: int, offset: int, element: str | None, message: str) -> None:
        self.add(Finding(severity, code, index, offset, element, message))

    def add(self, finding: Finding) -> None:
        index, offset = finding.segment_index, finding.byte_offset
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        elif len(self.findings) == MAX_FINDINGS:
            self.findings.append(
                Finding("info", "more", index, offset, None, f"more than {MAX_FINDINGS} findings: the rest is left out")
            )


@dataclass(slots=True)
class RawTransaction:
    """ST to SE as found. raw: Latin-1 text; segments: split and decoded; complete: its SE was there."""

    envelope: Envelope
    group: Group | None
    segments: list[Segment]
    raw: str
    byte_offset: int
    segment_index: int
    complete: bool
    terminator: str
    too_large: bool = False
    findings: list[Finding] = field(default_factory=list)


class Opened:
    """An interchange begins."""

    __slots__ = ("envelope",)

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope


class Closed(Opened):
    """An interchange ended: its findings are complete."""

    __slots__ = ()


class Unread:
    """Something that starts like an ISA but can't be taken for one: `finding` says where."""

    __slots__ = ("finding",)

    def __init__(self, finding: Finding) -> None:
        self.finding = finding


Event = Opened | Closed | RawTransaction | Unread


# Bytes that are no control characters, and those that end lines.
_ORDINARY = bytes(code for code in range(256) if (code >= 0x20 and code != 0x7F) or code in b"\r\n")


class _Stream:
    """The file as Latin-1 text by absolute offset; what lies before `release()` is forgotten at the next read.

    controls: whether control characters were met so far; most files have none, and need not be searched for them.
    """

    __slots__ = ("_block", "_keep", "_read", "base", "controls", "eof", "text")

    def __init__(self, source: bytes | bytearray | memoryview | IO[bytes], block: int) -> None:
        self.base = 0
        self.eof = False
        self.controls = False
        self._keep = 0
        self._block = block
        file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        self._read = file.read
        self.text = ""
        self.more()

    @property
    def end(self) -> int:
        return self.base + len(self.text)

    def release(self, offset: int) -> None:
        self._keep = offset

    def more(self) -> bool:
        """Read another block, at least as large as what is kept (so that growing stays linear)."""
        if self.eof:
            return False
        if self._keep > self.base:
            self.text = self.text[self._keep - self.base :]
            self.base = self._keep
        block = self._read(max(self._block, len(self.text)))
        if not block:
            self.eof = True
            return False
        self.controls = self.controls or bool(block.translate(None, _ORDINARY))
        self.text += block.decode("latin-1")
        return True

    def ensure(self, offset: int) -> None:
        while self.end < offset and self.more():
            pass

    def find(self, what: str, start: int, stop: int) -> int:
        at = self.text.find(what, start - self.base, stop - self.base)
        return at if at < 0 else at + self.base

    def slice(self, start: int, stop: int) -> str:
        return self.text[start - self.base : stop - self.base]


class _Numbers:
    """Control numbers seen, as ranges: numbers in a row cost no memory."""

    __slots__ = ("_others", "_starts", "_stops")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._others: set[str] = set()

    def add(self, number: str) -> bool:
        """False if it was there already."""
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            if number in self._others:
                return False
            if len(self._others) < 100_000:
                self._others.add(number)
            return True
        value = int(number)
        at = bisect_right(self._starts, value) - 1
        if at >= 0 and value < self._stops[at]:
            return False
        if at >= 0 and value == self._stops[at]:
            self._stops[at] += 1
            if at + 1 < len(self._starts) and self._starts[at + 1] == value + 1:
                self._stops[at] = self._stops.pop(at + 1)
                self._starts.pop(at + 1)
        elif at + 1 < len(self._starts) and self._starts[at + 1] == value + 1:
            self._starts[at + 1] = value
        elif len(self._starts) < 100_000:
            self._starts.insert(at + 1, value)
            self._stops.insert(at + 1, value + 1)
        return True


def same_number(one: str, other: str) -> bool:
    """Control numbers: as numbers where both are (they may be zero-padded), otherwise exactly."""
    if one.isascii() and other.isascii() and one.isdigit() and other.isdigit():
        return one.lstrip("0") == other.lstrip("0")
    return one == other


def events(
    source: bytes | bytearray | memoryview | IO[bytes],
    profile: PartnerProfile,
    *,
    block: int = BLOCK,
    max_transaction: int = MAX_TRANSACTION,
) -> Iterator[Event]:
    """The stream's interchanges: for each `Opened`, its transactions as they are complete, `Closed`."""
    stream = _Stream(source, block)
    place = 3 if stream.text.startswith("\xef\xbb\xbf") else 0
    previous: _Interchange | None = None
    seen: dict[tuple[str, str], _Numbers] = {}  # interchange control numbers, by sender and receiver
    while True:
        found = _next_isa(stream, place, _IDLE + (previous.sensed.terminator if previous is not None else ""))
        if previous is not None:
            if found.junk_at is not None:
                previous.envelope.report(
                    "warning",
                    "junk",
                    previous.index + 1,
                    found.junk_at,
                    None,
                    "bytes after the interchange that belong to none",
                )
            yield Closed(previous.envelope)
        for finding in found.broken:
            yield Unread(finding)
        if found.sensed is None:
            return
        current = _Interchange(stream, found.at, found.sensed, profile, max_transaction)
        if previous is None and found.junk_at is not None:
            current.envelope.report("warning", "junk", 0, found.junk_at, None, "bytes before the first interchange")
        if found.sensed.whole and not _first_of_its_number(current.envelope, seen):
            number = current.envelope.control_number[:20]
            message = f"another interchange of this file, of the same sender and receiver, has number {number}"
            current.envelope.report("warning", "duplicate_control_number", 1, found.at, "ISA13", message)
        yield Opened(current.envelope)
        yield from current.transactions()
        place = current.end
        previous = current


def _first_of_its_number(envelope: Envelope, seen: dict[tuple[str, str], _Numbers]) -> bool:
    partners = (envelope.sender, envelope.receiver)
    if partners not in seen and len(seen) >= 1000:
        return True
    return seen.setdefault(partners, _Numbers()).add(envelope.control_number)


@dataclass(slots=True)
class _Found:
    at: int = 0
    sensed: Sensed | None = None
    junk_at: int | None = None
    broken: list[Finding] = field(default_factory=list)


_HEADLESS = re.compile(r"(?<![A-Za-z0-9])(?:(GS)([^\w\s])[A-Z]{2}\2|IEA[^\w\s]\d)")


def _next_isa(stream: _Stream, place: int, idle: str) -> _Found:
    """The next readable ISA, and what was passed over on the way: junk, damaged ISAs, groups whose ISA is gone.

    idle: characters that are no junk; a terminator that was doubled is none.
    """
    out = _Found()
    suspects = 0
    scanned = place  # everything before is known to be idle, or junk that was noted
    claimed = False  # a damaged ISA was reported, to which a group that follows belongs

    def broken(at: int, message: str) -> None:
        nonlocal claimed
        if not claimed and len(out.broken) < 20:
            out.broken.append(Finding("error", "broken_isa", 1, at, None, message))

    def pass_over(stop: int) -> None:
        nonlocal claimed, scanned
        between = stream.slice(scanned, stop)
        rest = between.lstrip(idle)
        if rest and out.junk_at is None:
            out.junk_at = scanned + len(between) - len(rest)
        if rest:
            limit = stop - stream.base
            found = _HEADLESS.search(stream.text, scanned - stream.base, limit + 8)
            while found is not None and found.start() < limit:
                if found.group(1):
                    broken(
                        found.start() + stream.base, "a functional group starts here, but its ISA is missing or damaged"
                    )
                claimed = found.group(1) is not None
                found = _HEADLESS.search(stream.text, found.end(), limit + 8)
        scanned = max(scanned, stop)

    while True:
        at = stream.find("ISA", place, stream.end)
        if at < 0:
            place = max(place, stream.end - 8)  # a name may be cut by the end of the block
            pass_over(place)
            stream.release(place - 1)  # the character before a name is looked at, too
            if not stream.more():
                pass_over(stream.end)
                return out
            continue
        inside_word = at > stream.base and stream.slice(at - 1, at).isalnum()
        stream.ensure(at + LOOKAHEAD + 8)
        here = at - stream.base
        fixed = has_fixed_widths(stream.text, here)
        suspects += not fixed
        sensed = sense(stream.text, here) if fixed or suspects < _MAX_SUSPECTS else None
        if sensed is not None and (fixed or not inside_word):
            pass_over(at)
            out.at, out.sensed = at, sensed
            return out
        after = stream.slice(at + 3, at + 4)
        if not inside_word and after and not after.isalnum() and after not in idle:
            pass_over(at)
            claimed = False
            broken(at, "an ISA starts here, but it is cut short or damaged: its delimiters can't be told")
            claimed = True
        place = at + 3


_CONTROLS = "".join(map(chr, [*range(0x09), 0x0B, 0x0C, *range(0x0D, 0x20), 0x7F]))
"""What no value holds: all control characters but a tab, which is a blank, and a newline, which is layout."""


def _delimiters(sensed: Sensed) -> str:
    return sensed.element + sensed.component + sensed.terminator + ("\r" if sensed.terminator not in "\r\n" else "")


class _Interchange:
    """Reads one interchange from its ISA to its IEA, to another ISA, or to the end of the file."""

    def __init__(self, stream: _Stream, at: int, sensed: Sensed, profile: PartnerProfile, max_transaction: int) -> None:
        self.stream = stream
        self.profile = profile
        self.max_transaction = max_transaction
        self.sensed = sensed
        self.blanks = blanks_for(sensed.terminator, sensed.element)
        self.after_last = self.blanks + ("" if _END_MARK in _delimiters(sensed) else _END_MARK)
        isa = [*sensed.elements, *[""] * 16]
        self.envelope = Envelope(
            sender=_decoded(isa[5], profile),
            sender_qualifier=isa[4],
            receiver=_decoded(isa[7], profile),
            receiver_qualifier=isa[6],
            control_number=isa[12],
            date=isa[8],
            time=isa[9],
            version=isa[11],
            usage=isa[14],
            element=_decoded(sensed.element, profile),
            component=sensed.component,
            terminator=_decoded(sensed.terminator, profile),
            byte_offset=at,
        )
        self.index = 1  # of the segment read last
        self.last_offset = at
        self.cursor = sensed.end + stream.base  # all before is accounted for; an open ST stands here
        self.suspects = 0
        self.opened = False
        self.skipping = False  # the open transaction is too large to keep
        self.end = self.cursor
        self.group: Group | None = None
        self.group_numbers = _Numbers()
        self.transaction_numbers = _Numbers()
        if not sensed.whole:
            self._report(
                "error",
                "broken_isa",
                None,
                f"the ISA has {len(sensed.elements)} of 16 elements: who sent this, and under which number, is unsure",
            )
        elif not sensed.widths_right:
            self._report("warning", "isa_width", None, "elements of the ISA are not of their fixed width")
        self.control = re.compile("[" + re.escape("".join(c for c in _CONTROLS if c not in _delimiters(sensed))) + "]")
        if sensed.component_clashes:
            message = "ISA16 repeats the element separator or the terminator: parts of an element can't be told apart"
            self._report("warning", "component_separator", "ISA16", message)
        if not sensed.terminated:
            message = "the ISA has no terminator; that of the segments after it is taken"
            self._report("warning", "unterminated_segment", None, message)
        self.lines_are_layout = sensed.terminator not in "\r\n"
        gap = re.escape(self.blanks)  # no terminator in it, or a run of empty lines is gone through from each of them
        mark, stop = re.escape(sensed.element), re.escape(sensed.terminator)
        # in a file wrapped at a fixed width a line end may fall inside a segment's name
        wrap = r"[\r\n]*" if self.lines_are_layout else ""
        names = "|".join(wrap.join(name) for name in ("SE", "ST", "GE", "GS", "IEA", "ISA"))
        self.envelope_segment = re.compile(f"{stop}[{gap}]*({names}){wrap}{mark}")
        self.first_segment = re.compile(f"[{gap}]*({names}){wrap}{mark}")

    # -------------------------------------------------------------- the walk

    def transactions(self) -> Iterator[RawTransaction]:
        """Transactions in their order; afterwards `end` is where reading goes on."""
        stream, stop = self.stream, self.sensed.terminator
        search = self.cursor - len(stop)
        isa_from = self.cursor
        unread = None if self.sensed.terminated else self.cursor  # where the ISA's terminator would have to be
        while True:
            stream.release(min(self.cursor, search))
            found = self.envelope_segment.search(stream.text, search - stream.base)
            if unread is not None and self.cursor == unread:
                found = self.first_segment.match(stream.text, unread - stream.base) or found
            if found is None:
                upto = stream.end
                other = self._another_isa(isa_from, upto)
                if other is not None:
                    yield from self._early_end(other, "another interchange begins")
                    return
                isa_from = max(isa_from, upto - 2)
                if stream.end > upto:
                    continue  # looking ahead has read more
                if stream.eof:
                    yield from self._early_end(upto, "the file ends", within_segment=self._breaks_off())
                    return
                # nothing before the last terminator can begin an envelope segment any more
                last = stream.text.rfind(stop, search - stream.base)
                search = max(search, last + stream.base if last >= 0 else upto - len(stop) + 1)
                if stream.end - self.cursor > self.max_transaction:
                    yield from self._give_up(search)
                    search = max(search, self.cursor - len(stop))
                stream.more()
                continue
            start, reach = found.start(1) + stream.base, found.end() + stream.base + _MAX_ENVELOPE_SEGMENT
            if reach > stream.end and not stream.eof:
                stream.ensure(reach)
                continue
            name = found.group(1).replace("\r", "").replace("\n", "")
            stopped = stream.find(stop, start, start + _MAX_ENVELOPE_SEGMENT)
            after = stopped + len(stop) if stopped >= 0 else min(stream.end, start + _MAX_ENVELOPE_SEGMENT)
            other = self._another_isa(isa_from, start if name == "ISA" else after)
            if other is None and name == "ISA":
                other = start
            if other is not None and other > start:
                # the segment that another interchange runs into, for want of a terminator
                raw = self._step(name, start, other, terminated=False)
                if raw is not None:
                    yield raw
                if name == "IEA":
                    self.end = other
                    return
            if other is not None:
                yield from self._early_end(other, "another interchange begins")
                return
            raw = self._step(name, start, after, terminated=stopped >= 0)
            if raw is not None:
                yield raw
            if name == "IEA":
                self.end = after
                return
            search = after - len(stop) if stopped >= 0 else after
            isa_from = after

    def _another_isa(self, start: int, limit: int) -> int | None:
        """Offset of an ISA that begins before `limit` although this interchange has not ended."""
        stream = self.stream
        at = start
        while True:
            at = stream.find("ISA", at, limit + 2)
            if at < 0:
                return None
            stream.ensure(at + LOOKAHEAD)
            here = at - stream.base
            if has_fixed_widths(stream.text, here):
                return at
            before = stream.slice(max(self.cursor, at - 64), at).rstrip(" \t\x00")
            if not before or before.endswith((self.sensed.terminator, "\n", "\r")):
                self.suspects += 1
                if self.suspects < _MAX_SUSPECTS and sense(stream.text, here) is not None:
                    return at
            at += 3

    # -------------------------------------------------------------- parts

    def _report(self, severity: Severity, code: str, element: str | None, message: str) -> None:
        self.envelope.report(severity, code, self.index, self.last_offset, element, message)

    def _report_group(self, group: Group, code: str, element: str | None, message: str) -> None:
        finding = Finding("warning", code, self.index, self.last_offset, element, message)
        group.findings.append(finding)
        self.envelope.add(finding)

    def split(self, raw: str) -> list[Segment]:
        """Non-blank segments of ST…SE, split into trimmed, decoded elements."""
        sensed = self.sensed
        stop, mark = sensed.terminator, sensed.element
        lines = raw.count("\n") if self.lines_are_layout else 0
        line_end = stop + ("\r\n" if lines and "\r" in raw else "\n")
        if (
            lines
            and raw.count(line_end) == lines == raw.count(stop)
            and "\n " not in raw
            and not self._odd(raw, line_end)
        ):
            pieces = raw.split(line_end)
            untidy = False
        elif not lines and not self._odd(raw, "\n"):
            pieces = raw.split(stop)
            untidy = False
        else:
            pieces = [piece.strip(self.blanks) for piece in raw.split(stop)]
            untidy = True
            if self.lines_are_layout:  # or the file is wrapped at a fixed width
                pieces = [piece.replace("\r", "").replace("\n", "") for piece in pieces]
        segments = [piece.split(mark) for piece in pieces]
        if not raw.isascii():
            segments = [[_decoded(element, self.profile) for element in segment] for segment in segments]
        if untidy or " " + mark in raw or mark + " " in raw or " " + stop in raw or stop + " " in raw or raw[-1] == " ":
            segments = [[element.strip(self.blanks) for element in segment] for segment in segments]
        if [""] in segments:
            segments = [segment for segment in segments if segment != [""]]
        return segments

    def _odd(self, raw: str, line_end: str) -> bool:
        """Whether blanks other than those of an orderly line end occur."""
        if self.stream.controls and ("\t" in raw or "\x00" in raw):
            return True
        return "\r" in raw and raw.count("\r") != raw.count(line_end) * line_end.count("\r")

    def _without_controls(self, segments: list[Segment], raw: str, start: int, first: int) -> list[Finding]:
        """Reports control characters inside values, and takes out NUL, which is text nowhere."""
        findings: list[Finding] = []
        offsets: list[int] = []
        for position, segment in enumerate(segments):
            for number, value in enumerate(segment):
                met = self.control.search(value)
                if met is None:
                    continue
                segment[number] = value.replace("\x00", "")
                if len(findings) < MAX_FINDINGS:
                    offsets = offsets or [at for at, _ in split_with_offsets(raw, self.sensed.terminator, start)]
                    findings.append(
                        Finding(
                            "warning",
                            "control_character",
                            first + position,
                            offsets[position] if position < len(offsets) else start,
                            designator(segment[0], number) if number else None,
                            f"the control character {met.group()!r} inside a value"
                            + (" was taken out" if met.group() == "\x00" else ""),
                            segment[0],
                        )
                    )
        return findings

    def _step(self, name: str, start: int, after: int, *, terminated: bool) -> RawTransaction | None:
        """An envelope segment stands at start..after: settle what is before it, then what it says.

        Returns the transaction that this ends, if it ends one.
        """
        text = self.stream.slice(start, after - len(self.sensed.terminator) if terminated else after)
        if not terminated:
            text = text.rstrip(self.after_last)
        if name == "SE" and self.opened:
            whole = None
            if self.skipping:
                self.index += self.stream.slice(self.cursor, after).count(self.sensed.terminator)
                self.last_offset = start
            else:
                whole = self._transaction(start, text, terminated)
            self.opened = self.skipping = False
            self.cursor = after
            return whole
        cut = self._settle(start, f"{name} where its SE should be")
        if name == "ST":
            self.opened = True
            return cut
        self.cursor = after
        self._next(start)
        segment = (self.split(text) or [[name]])[0]
        values = [*segment[1:], *[""] * 8]
        if name == "SE":
            self._report("warning", "unexpected_segment", None, "an SE without its ST")
        elif name == "GS":
            self._open_group(values, start)
        elif name == "GE":
            self._close_group(values)
        elif name == "IEA":
            self._close_missing_group("IEA where its GE should be")
            if wrong := _count_differs("IEA01", values[0], self.envelope.group_count, "groups"):
                self._report("warning", "group_count", "IEA01", wrong)
            if wrong := _number_differs("IEA02", values[1], "ISA13", self.envelope.control_number):
                self._report("warning", "control_number", "IEA02", wrong)
        if not terminated and name != "IEA":
            self._report("warning", "unterminated_segment", None, f"the interchange breaks off within its {name}")
        return cut

    def _next(self, offset: int) -> None:
        self.index += 1
        self.last_offset = offset

    def _transaction(self, se_start: int, se_text: str, terminated: bool) -> RawTransaction:
        start = self.cursor
        raw = self.stream.slice(start, se_start + len(se_text))
        segments = self.split(raw)
        first = self.index + 1
        self.index += len(segments)
        self.last_offset = se_start
        out = self._raw(segments, raw, start, first, complete=True)
        trailer = segments[-1]
        stated = trailer[1] if len(trailer) > 1 else ""
        number = trailer[2] if len(trailer) > 2 else ""
        control = segments[0][2] if len(segments[0]) > 2 else ""
        if not terminated and not same_number(number, control):
            out.complete = False
            out.findings.append(self._truncated("the file ends within its SE"))
            return out
        if not terminated:
            self._report("warning", "unterminated_segment", None, "the file ends right after an SE")
        if not same_number(number, control):
            out.findings.append(
                Finding(
                    "warning",
                    "control_number",
                    self.index,
                    se_start,
                    "SE02",
                    f"SE02 is {number[:20]!r}, ST02 is {control[:20]!r}",
                )
            )
        if not (stated.isascii() and stated.isdigit() and stated.lstrip("0") == str(len(segments))):
            out.findings.append(
                Finding(
                    "warning",
                    "segment_count",
                    self.index,
                    se_start,
                    "SE01",
                    f"SE01 says {stated[:20]!r} segments, there are {len(segments)}",
                )
            )
        return out

    def _raw(self, segments: list[Segment], raw: str, start: int, first: int, *, complete: bool) -> RawTransaction:
        out = RawTransaction(self.envelope, self.group, segments, raw, start, first, complete, self.sensed.terminator)
        if self.stream.controls and self.control.search(raw):
            out.findings.extend(self._without_controls(segments, raw, start, first))
        st = segments[0] if segments else ["ST"]
        control = st[2] if len(st) > 2 else ""
        group = self.group
        if group is None:
            out.findings.append(Finding("warning", "missing_gs", first, start, None, "an ST outside any group"))
        else:
            group.transaction_count += 1
        if not control:
            out.findings.append(Finding("warning", "missing_value", first, start, "ST02", "no control number"))
        elif not self.transaction_numbers.add(control):
            out.findings.append(
                Finding(
                    "warning",
                    "duplicate_control_number",
                    first,
                    start,
                    "ST02",
                    f"another transaction of this group has number {control[:20]}",
                )
            )
        return out

    def _truncated(self, why: str) -> Finding:
        return Finding(
            "error",
            "truncated_transaction",
            self.index,
            self.last_offset,
            None,
            f"{why}: the transaction is incomplete",
        )

    def _settle(self, stop: int, why: str) -> RawTransaction | None:
        """Account for what stands between `cursor` and `stop`: an ST without SE, or segments outside any."""
        start, self.cursor = self.cursor, stop
        out = None
        if not self.opened:
            self._outside(start, stop)
        elif self.skipping:
            self.index += self.stream.slice(start, stop).count(self.sensed.terminator)
        else:
            raw = self.stream.slice(start, stop)
            places = split_with_offsets(raw, self.sensed.terminator, start)
            segments = self.split(raw)
            first = self.index + 1
            self.index += len(segments)
            self.last_offset = places[-1][0] if places else start
            out = self._raw(segments, raw, start, first, complete=False)
            out.findings.append(self._truncated(why))
        self.opened = self.skipping = False
        return out

    def _early_end(self, stop: int, why: str, *, within_segment: bool = False) -> Iterator[RawTransaction]:
        """The interchange ends without its IEA."""
        cut = self._settle(stop, why)
        if cut is not None:
            yield cut
        if within_segment:
            self._report("warning", "unterminated_segment", None, "the file ends within a segment")
        self._close_missing_group(f"{why} before the group's GE")
        self._report("warning", "missing_iea", None, f"{why} before the interchange's IEA")
        self.end = stop

    def _give_up(self, upto: int) -> Iterator[RawTransaction]:
        """More is pending than may be kept: pass over it, up to where an envelope segment may still begin."""
        if self.opened and not self.skipping:
            yield self._too_large(self.cursor)
        elif not self.opened:
            self._report("error", "too_large", None, "too much outside any transaction; passed over")
        self.skipping = self.opened
        self.index += self.stream.slice(self.cursor, upto).count(self.sensed.terminator)
        self.cursor = max(self.cursor, upto)

    def _too_large(self, start: int) -> RawTransaction:
        head = self.split(self.stream.slice(start, start + 200))[:1]
        out = self._raw(head, "", start, self.index + 1, complete=False)
        out.too_large = True
        out.findings.append(
            Finding(
                "error",
                "too_large",
                self.index + 1,
                start,
                None,
                f"a transaction of more than {self.max_transaction} bytes; it was passed over",
            )
        )
        return out

    def _outside(self, start: int, stop: int) -> None:
        """Segments that belong to no transaction."""
        between = self.stream.slice(start, stop)
        if not between.strip(self.blanks):
            return
        for offset, text in split_with_offsets(between, self.sensed.terminator, start):
            self._next(offset)
            if text.startswith("TA1" + self.sensed.element):
                continue
            shown = _decoded(text[:20].rstrip(self.blanks), self.profile)
            self._report("warning", "unexpected_segment", None, f"{shown!r} stands outside any transaction")

    def _breaks_off(self) -> bool:
        """At the end of the file, before its IEA came: does the last segment lack its terminator?"""
        rest = self.stream.slice(self.cursor, self.stream.end).rstrip(self.after_last)
        return bool(rest) and not rest.endswith(self.sensed.terminator)

    def _open_group(self, values: list[str], start: int) -> None:
        self._close_missing_group("a GS where a GE should be")
        self.group = Group(values[0], values[1], values[2], values[5], values[7], self.index, start)
        self.envelope.group_count += 1
        self.transaction_numbers = _Numbers()
        if not self.group_numbers.add(values[5]):
            message = f"another group has number {values[5][:20]}"
            self._report_group(self.group, "duplicate_control_number", "GS06", message)

    def _close_group(self, values: list[str]) -> None:
        if self.group is None:
            self._report("warning", "unexpected_segment", None, "a GE without its GS")
            return
        group, stated = self.group, values[0]
        if stated.isascii() and stated.isdigit() and len(stated) <= 9:
            group.stated_count = int(stated)
        if wrong := _count_differs("GE01", stated, group.transaction_count, "transactions"):
            self._report_group(group, "transaction_count", "GE01", wrong)
        if wrong := _number_differs("GE02", values[1], "GS06", group.control_number):
            self._report_group(group, "control_number", "GE02", wrong)
        self.group = None

    def _close_missing_group(self, why: str) -> None:
        if self.group is not None:
            self._report_group(self.group, "missing_ge", None, why)
            self.group = None


def _count_differs(where: str, stated: str, counted: int, what: str) -> str:
    """What is wrong with a trailer's count, '' if nothing is."""
    if stated.isascii() and stated.isdigit() and (stated.lstrip("0") or "0") == str(counted):
        return ""
    return f"{where} says {stated[:20]!r} {what}, there are {counted}"


def _number_differs(where: str, value: str, header: str, expected: str) -> str:
    return "" if same_number(value, expected) else f"{where} is {value[:20]!r}, {header} is {expected[:20]!r}"


def _decoded(text: str, profile: PartnerProfile) -> str:
    """Latin-1 characters -> what the bytes mean."""
    if text.isascii():
        return text
    data = text.encode("latin-1")
    if profile.encoding in ("auto", "utf-8"):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
    if profile.encoding == "latin-1":
        return text
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return text
