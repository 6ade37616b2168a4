"""Finding an ISA and sensing its delimiters.

A whole ISA has fixed widths: element separator at byte 4, component separator at 105, terminator from 106 on (counted
from 1). Where an ISA is short, padded wrongly or wrapped at 80 columns, sixteen separators are counted instead and
what stands between the sixteenth and the next segment is taken apart. All text here is Latin-1, a character a byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_SEPARATORS_AT = tuple(3 + sum(WIDTHS[:n]) + n for n in range(16))
_AFTER_ISA = ("GS", "ST", "TA1", "IEA")
_BLANKS = " \t\r\n\x00"
_NEVER = " \r\n\x00"  # what can't separate elements (a tab can)
# How far past its start an ISA may reach, the next segment's name included, to be recognised at all.
LOOKAHEAD = 1024


@dataclass(frozen=True, slots=True)
class Sensed:
    """elements: ISA01 to ISA16, trimmed, as many as there are. end: first character after the terminator.

    component: "" where ISA16 can't be one. terminated: False if the ISA lacks the terminator that all others have.
    """

    element: str
    component: str
    terminator: str
    elements: tuple[str, ...]
    end: int
    widths_right: bool
    terminated: bool = True
    component_clashes: bool = False

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
    limit = at + LOOKAHEAD
    if terminator in "\r\n" and component != separator and _line_ends_with(text, end, limit, component):
        # the component separator is missing: what stands in its place ends every line
        terminator = component
        component = ""
        end = at + 105
    elif own := _of_the_others(text, at + 105, limit, separator, component):
        return _of_widths(text[at : at + 104], separator, component, own, at + 105, terminated=False)
    elif terminator == "\r" and text.startswith("\n", end):
        terminator = "\n"
        end += 1
    return _of_widths(text[at : at + 104], separator, component, terminator, end)


_STARTS = tuple(accumulate(WIDTHS[:15], lambda at, width: at + width + 1, initial=4))


def _of_widths(
    isa: str, separator: str, component: str, terminator: str, end: int, *, terminated: bool = True
) -> Sensed | None:
    """isa: its first 104 characters. Cut by widths, since an element may hold the separator (ISA11, in older files)."""
    if not _usable(separator, terminator):
        return None
    clashes = component in (separator, terminator)
    component = "" if clashes else component
    elements = [isa[start : start + width].strip(_BLANKS) for start, width in zip(_STARTS, WIDTHS[:15], strict=False)]
    return Sensed(separator, component, terminator, (*elements, component), end, True, terminated, clashes)


def _of_the_others(text: str, start: int, limit: int, separator: str, component: str) -> str:
    """The terminator of the segments after an ISA that has none of its own; '' if this one isn't like that.

    start: where the ISA's terminator should be: a line end stands there although the lines after it all end in another
    character, or the next segment's name does.
    """
    if text[start] in "\r\n":
        lines = re.split(r"[\r\n]+", text[start:limit])
        if len(text) > limit:
            lines.pop()  # it may be cut
        ends = {_last_character(line) for text_ in lines if (line := text_.rstrip(_BLANKS))}
        found = ends.pop() if len(ends) == 1 and sum(map(bool, lines)) > 1 else ""
    elif any(text.startswith(name + separator, start) for name in _AFTER_ISA):
        following = _segment_name(separator).search(text, start + 3, limit)
        found = _last_character(text[start : following.start()].rstrip(_BLANKS)) if following else ""
    else:
        return ""
    return found if found and not _letter(found) and found not in (separator, component) else ""


def _segment_name(separator: str) -> re.Pattern[str]:
    """A segment's name at the start of a segment: not one that stands in an element of its own."""
    mark = re.escape(separator)
    return re.compile(rf"(?<![A-Za-z0-9])(?<!{mark})(?:GS|ST|TA1|IEA){mark}")


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
    return _of_widths(flat[:104], separator, flat[104], flat[105], places[105] + 1)


def _counted(text: str, at: int, separator: str) -> Sensed | None:
    following = _segment_name(separator)
    found = following.search(text, at + 4, at + LOOKAHEAD)
    while found is not None and _ends_a_value(text, found.start(), separator):
        found = following.search(text, found.end() - len(separator), at + LOOKAHEAD)
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
    terminated = True
    if line_end and not _line_ends_with(text, found.start(), at + LOOKAHEAD, stop):
        component = last if count >= 16 else ""
        own = _of_the_others(text, at + len(body), at + LOOKAHEAD, separator, component)
        terminated = not own
        terminator = own or line_end
    elif stop and not _letter(stop) and stop != separator:
        terminator = stop
        component = last[: len(last) - len(stop)]
        last = component
    else:
        return None
    if count < 16:
        pieces = [*pieces[:-1], last]
    component = component.strip(_BLANKS)
    clashes = component in (separator, terminator)
    if len(component) != 1 or _letter(component) or clashes:
        component = ""
    if not _usable(separator, terminator):
        return None
    elements = [e.strip(_BLANKS) for e in pieces[1:17]]
    if count >= 16:
        elements = [*elements[:15], component]
    end = found.start() - len(blanks) if terminator not in "\r\n" else at + len(body) + blanks.index(terminator) + 1
    return Sensed(separator, component, terminator, tuple(elements), end, False, terminated, clashes)


def _ends_a_value(text: str, at: int, separator: str) -> bool:
    """Whether what looks like a segment's name here is the last word of a value, such as 'WALL ST'."""
    before = text[max(0, at - 64) : at]
    words = before.rstrip(" \t".replace(separator, ""))
    return words != before and words[-1:].isalnum()


def _last_character(text: str) -> str:
    """The last (perhaps multi-byte UTF-8) character."""
    for size in (4, 3, 2):
        piece = text[-size:]
        if len(piece) == size and ord(piece[0]) >= 0xC2 and _character(piece, 0) == piece:
            return piece
    return text[-1:]


def _line_ends_with(text: str, start: int, limit: int, mark: str) -> bool:
    """Whether the next line with something on it, before `limit`, ends with this character."""
    if not mark or _letter(mark):
        return False
    blanks = _BLANKS.replace(mark, "")
    for line in re.split(r"[\r\n]+", text[start:limit]):
        if line.strip(blanks):
            return line.rstrip(blanks).endswith(mark)
    return False


def _usable(separator: str, terminator: str) -> bool:
    return separator != terminator and not _letter(terminator) and terminator != " "
