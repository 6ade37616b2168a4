"""Finding an ISA and sensing its delimiters.

A whole ISA has fixed widths: element separator at byte 4, component separator at 105, terminator from 106 on (counted
from 1). Where an ISA is short, padded wrongly or wrapped at 80 columns, sixteen separators are counted instead and
what stands between the sixteenth and the next segment is taken apart. All text here is Latin-1, a character a byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_SEPARATORS_AT = tuple(3 + sum(WIDTHS[:n]) + n for n in range(16))
_AFTER_ISA = ("GS", "ST", "TA1", "IEA")
_BLANKS = " \t\r\n\x00"
_NEVER = " \r\n\x00"  # what can't separate elements (a tab can)
# How far past its start an ISA may reach, the next segment's name included, to be recognised at all.
LOOKAHEAD = 1024


@dataclass(frozen=True, slots=True)
class Sensed:
    """elements: ISA01 to ISA16, trimmed, as many as there are. end: first character after the terminator."""

    element: str
    component: str
    terminator: str
    elements: tuple[str, ...]
    end: int
    widths_right: bool

    @property
    def whole(self) -> bool:
        return len(self.elements) == 16


def sense(text: str, at: int) -> Sensed | None:
    """The ISA that starts at this place, or None if what stands there can't be taken for one."""
    if not text.startswith("ISA", at) or at + 4 > len(text):
        return None
    separator = _character(text, at + 3)
    if _letter(separator) or separator in _NEVER:
        return None
    if len(separator) == 1 and all(text[at + p : at + p + 1] == separator for p in _SEPARATORS_AT):
        return _fixed(text, at, separator) or _counted(text, at, separator)
    return _wrapped(text, at, separator) or _counted(text, at, separator)


def has_fixed_widths(text: str, at: int) -> bool:
    """Whether an ISA of exact shape stands here: proof enough even in the middle of a segment."""
    separator = text[at + 3 : at + 4]
    if not separator or _letter(separator) or separator in _NEVER:
        return False
    return all(text[at + p : at + p + 1] == separator for p in _SEPARATORS_AT) and len(text) > at + 105


def _letter(mark: str) -> bool:
    """A letter or digit of ASCII: never a delimiter. (Bytes above are: they may be a multi-byte one.)"""
    return mark[:1].isascii() and mark[:1].isalnum()


def _character(text: str, at: int) -> str:
    """The (perhaps multi-byte) UTF-8 character that stands here, as its Latin-1 characters."""
    lead = ord(text[at])
    size = 1 if lead < 0xC2 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    piece = text[at : at + size]
    if size > 1:
        try:
            piece.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return text[at]
    return piece


def _fixed(text: str, at: int, separator: str) -> Sensed | None:
    if at + 105 >= len(text):
        return None
    component = text[at + 104]
    terminator = _character(text, at + 105)
    end = at + 105 + len(terminator)
    if terminator in "\r\n" and _line_ends_with(text, end, component):
        # the component separator is missing: what stands in its place ends every line
        terminator = component
        component = ""
        end = at + 105
    elif terminator == "\r" and text.startswith("\n", end):
        terminator = "\n"
        end += 1
    if not _usable(separator, component, terminator):
        return None
    elements = text[at + 4 : at + 104].split(separator)
    return Sensed(separator, component, terminator, tuple(e.strip() for e in [*elements[:15], component]), end, True)


def _wrapped(text: str, at: int, separator: str) -> Sensed | None:
    """An ISA broken by line ends (records of 80 characters): whole once they are taken out."""
    places: list[int] = []
    for place in range(at, min(at + 130, len(text))):
        if text[place] not in "\r\n":
            places.append(place)
    flat = "".join(text[p] for p in places)
    if len(separator) != 1 or len(flat) < 108 or not all(flat[p] == separator for p in _SEPARATORS_AT):
        return None
    rest = "".join(text[places[104] : places[104] + LOOKAHEAD].split("\n")).replace("\r", "")
    if not any(rest[2:].lstrip(" ").startswith(tag + separator) for tag in _AFTER_ISA):
        return None
    component, terminator = flat[104], flat[105]
    if not _usable(separator, component, terminator):
        return None
    elements = flat[4:104].split(separator)
    return Sensed(
        separator, component, terminator, tuple(e.strip() for e in [*elements[:15], component]), places[105] + 1, True
    )


def _counted(text: str, at: int, separator: str) -> Sensed | None:
    mark = re.escape(separator)
    # a segment's name at the start of a segment: not one that stands in an element of its own
    following = re.compile(rf"(?<![A-Za-z0-9])(?<!{mark})(?:GS|ST|TA1|IEA){mark}")
    found = following.search(text, at + 4, at + LOOKAHEAD)
    if found is None:
        return None
    another = text.find("ISA", at + 3, found.start())
    if another >= 0 and has_fixed_widths(text, another):
        return None  # this one is cut off; the next is whole
    head = text[at : found.start()]
    tail_blanks = len(head) - len(head.rstrip(_BLANKS.replace(separator, "")))
    body = head[: len(head) - tail_blanks]
    blanks = head[len(head) - tail_blanks :]
    count = body.count(separator)
    if count < 5:
        return None
    # body ends in the terminator, unless the terminator is the line end that was just taken off
    pieces = body.split(separator)
    last = separator.join(pieces[16:]) if count >= 16 else pieces[-1]
    line_end = "\n" if "\n" in blanks else "\r" if "\r" in blanks else ""
    stop = _last_character(body)
    if line_end and not _line_ends_with(text, found.start(), stop):
        terminator = line_end
        component = last if count >= 16 else ""
    elif stop and not _letter(stop) and stop != separator:
        terminator = stop
        component = last[: len(last) - len(stop)]
        last = component
    else:
        return None
    if count < 16:
        pieces = [*pieces[:-1], last]
    component = component.strip()
    if len(component) != 1 or _letter(component):
        component = ""
    if not _usable(separator, component, terminator):
        return None
    elements = [e.strip() for e in pieces[1:17]]
    if count >= 16:
        elements = [*elements[:15], component]
    end = found.start() - len(blanks) if terminator not in "\r\n" else at + len(body) + blanks.index(terminator) + 1
    return Sensed(separator, component, terminator, tuple(elements), end, False)


def _last_character(text: str) -> str:
    """The last (perhaps multi-byte UTF-8) character."""
    for size in (4, 3, 2):
        piece = text[-size:]
        if len(piece) == size and ord(piece[0]) >= 0xC2 and _character(piece, 0) == piece:
            return piece
    return text[-1:]


def _line_ends_with(text: str, start: int, mark: str) -> bool:
    """Whether the next line with something on it ends with this character."""
    if not mark or _letter(mark):
        return False
    for line in re.split(r"[\r\n]+", text[start : start + LOOKAHEAD]):
        if line.strip():
            return line.rstrip().endswith(mark)
    return False


def _usable(separator: str, component: str, terminator: str) -> bool:
    marks = [separator, terminator] + ([component] if component else [])
    return len(set(marks)) == len(marks) and not _letter(terminator) and terminator != " "
