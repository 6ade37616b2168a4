"""XML by parts: of a large document, one subtree at a time, names without their namespaces.

Hostile input: a document type declaration is refused (no entities, nothing fetched), and depth, elements and texts are
bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

CHUNK = 1 << 16
MAX_DEPTH = 64
MAX_TEXT = 1 << 20
"""Characters of one element."""
MAX_ELEMENTS = 200_000
"""Elements of one part."""


class UnreadableXml(ValueError):
    """Not well-formed, or beyond the limits: says where."""


@dataclass(slots=True)
class Node:
    """An element: local name, attributes by local name, its own text without white space at the ends, children."""

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def child(self, name: str) -> Node | None:
        return next((child for child in self.children if child.name == name), None)

    def every(self, name: str) -> list[Node]:
        return [child for child in self.children if child.name == name]

    def at(self, path: str) -> Node | None:
        """The first element at a path of local names, `Tp/CdOrPrtry/Cd`."""
        found: Node | None = self
        for name in path.split("/"):
            if found is None:
                return None
            found = found.child(name)
        return found

    def value(self, *paths: str) -> str | None:
        """The text at the first of these paths that has any."""
        for path in paths:
            found = self.at(path)
            if found is not None and found.text:
                return found.text
        return None


def parts(content: bytes, names: Sequence[str], under: str) -> Iterator[Node]:
    """Every element of one of these names whose parent is `under`, in order, each with its subtree; and `under` itself
    at its end, without children. Raises UnreadableXml."""
    wanted = frozenset(names)
    path: list[str] = []
    stack: list[Node] = []
    ready: list[Node] = []
    texts: list[list[str]] = []
    size = elements = 0

    def refuse(*_: object) -> None:
        raise UnreadableXml("it declares a document type, which no bank's message does")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements, size
        local = _local(name)
        if len(path) >= MAX_DEPTH:
            raise UnreadableXml(f"line {parser.CurrentLineNumber}: nested deeper than {MAX_DEPTH} elements")
        if stack or (local in wanted and path and path[-1] == under):
            elements += 1
            if elements > MAX_ELEMENTS:
                raise UnreadableXml(f"line {parser.CurrentLineNumber}: {path[-1]} has too many elements")
            node = Node(local, {_local(key): value for key, value in attributes.items()}, parser.CurrentLineNumber)
            if stack:
                stack[-1].children.append(node)
            stack.append(node)
            texts.append([])
            size = 0
        path.append(local)

    def text(data: str) -> None:
        nonlocal size
        if stack:
            size += len(data)
            if size > MAX_TEXT:
                raise UnreadableXml(f"line {parser.CurrentLineNumber}: a text of more than {MAX_TEXT} characters")
            texts[-1].append(data)

    def end(_: str) -> None:
        nonlocal elements
        local = path.pop()
        if stack:
            node = stack.pop()
            node.text = "".join(texts.pop()).strip()
            if not stack:
                ready.append(node)
                elements = 0
        elif local == under:
            ready.append(Node(local, {}, parser.CurrentLineNumber))

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    view = memoryview(content)
    for offset in range(0, len(content), CHUNK):
        _feed(parser, bytes(view[offset : offset + CHUNK]), final=False)
        yield from ready
        ready.clear()
    _feed(parser, b"", final=True)
    yield from ready


def _feed(parser: expat.XMLParserType, data: bytes, *, final: bool) -> None:
    try:
        parser.Parse(data, final)
    except expat.ExpatError as error:
        raise UnreadableXml(f"line {error.lineno}: {expat.ErrorString(error.code)}") from None
    except (LookupError, UnicodeError) as error:  # an encoding that Python does not know
        raise UnreadableXml(f"its encoding can't be read: {error}") from None


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
