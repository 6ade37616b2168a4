"""Bytes -> segments, one at a time, in memory that does not grow with the file.

The stream is taken as Latin-1, so that a character is a byte and offsets are exact; text is decoded by the character
set of its UNB once its segments are cut.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO

Segment = list[list[str]]
"""Elements, each a list of components: `segment[0][0]` is the tag."""

BLOCK = 256 * 1024
MAX_SEGMENT = 64 * 1024
BLANKS = " \t\r\n\x00"
_END_MARK = "\x1a"
IDLE = BLANKS + _END_MARK + "\xef\xbb\xbf"
"""What may stand between interchanges: blanks, end marks, byte order marks."""


@dataclass(frozen=True, slots=True)
class Delimiters:
    """As the UNA gives them. decimal: what it says, None where there is no UNA (then comma and point both do).
    release: '' where there is none."""

    component: str = ":"
    element: str = "+"
    decimal: str | None = None
    release: str = "?"
    terminator: str = "'"


STANDARD = Delimiters()


def sense_una(text: str) -> Delimiters | None:
    """Delimiters of a UNA (nine characters); None if they can't be such."""
    if len(text) < 9:
        return None
    component, element, decimal, release, terminator = text[3], text[4], text[5], text[6], text[8]
    marks = (component, element, terminator) + ((release,) if release != " " else ())
    if len(set(marks)) != len(marks) or any(c.isalnum() or c == " " for c in marks):
        return None
    return Delimiters(
        component, element, decimal if decimal in ".," else None, "" if release == " " else release, terminator
    )


def split(raw: str, marks: Delimiters) -> Segment:
    """One segment without its terminator -> elements and components, released characters put in place."""
    component = marks.component
    if not marks.release or marks.release not in raw:
        return [e.split(component) if component in e else [e] for e in raw.split(marks.element)]
    release, element = marks.release, marks.element
    out: Segment = [[]]
    text: list[str] = []
    characters = iter(raw)
    for c in characters:
        if c == release:
            text.append(next(characters, ""))
        elif c in (component, element):
            out[-1].append("".join(text))
            text = []
            if c == element:
                out.append([])
        else:
            text.append(c)
    out[-1].append("".join(text))
    return out


class Source:
    """The file as text by absolute offset. `base + at` is where we are; what lies before is forgotten."""

    __slots__ = ("_block", "_read", "at", "base", "eof", "text")

    def __init__(self, source: bytes | bytearray | memoryview | IO[bytes], block: int = BLOCK) -> None:
        file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        self._read = file.read
        self._block = block
        self.text = ""
        self.base = 0
        self.at = 0
        self.eof = False
        self.more()

    @property
    def offset(self) -> int:
        return self.base + self.at

    def more(self) -> bool:
        """Reads another block; False at the end of the file. `at` moves with what is dropped."""
        if self.eof:
            return False
        block = self._read(max(self._block, len(self.text) - self.at))
        if not block:
            self.eof = True
            return False
        self.text = self.text[self.at :] + block.decode("latin-1")
        self.base += self.at
        self.at = 0
        return True

    def ensure(self, count: int) -> None:
        """So many characters from here, if the file has them."""
        while len(self.text) - self.at < count and self.more():
            pass

    def segment(self, marks: Delimiters) -> tuple[int, str, bool] | None:
        """The next segment: offset, text without its terminator, whether it had one. None at the end; blanks before a
        segment are no part of it. One longer than MAX_SEGMENT is given as far as that, without terminator."""
        terminator, release = marks.terminator, marks.release
        while True:
            text, at = self.text, self.at
            end = len(text)
            while at < end and text[at] in IDLE and text[at] != terminator:
                at += 1
            self.at = at
            if at < end:
                break
            if not self.more():
                return None
        search = at
        while True:
            found = self.text.find(terminator, search)
            if found < 0:
                if len(self.text) - self.at > MAX_SEGMENT:
                    return self.offset, self.text[self.at : self.at + MAX_SEGMENT], False
                search = len(self.text) - self.at
                if not self.more():
                    rest = self.text[self.at :].rstrip(IDLE)
                    offset = self.offset
                    self.at = len(self.text)
                    return offset, rest, False
                continue
            before = found
            if release:
                while before > self.at and self.text[before - 1] == release:
                    before -= 1
            if (found - before) % 2:  # a released terminator is text
                search = found + 1
                continue
            offset, raw = self.base + self.at, self.text[self.at : found]
            self.at = found + 1
            return offset, raw, True
