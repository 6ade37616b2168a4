"""Truth against outcome: field by field, both ways, cent by cent. Pure.

Values are compared as they are: strings, integers, lists and None. A float is refused on either side: it could hide
the cent that the comparison is there to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Fields = Mapping[str, object]
Documents = Mapping[str, Mapping[str, Fields]]

CONTROL_TOTALS = "control_totals"
"""The name under which mismatches of control totals are listed; they are not documents and not counted as such."""

MISSING = "(missing)"


@dataclass(frozen=True, order=True)
class Mismatch:
    """One difference. missing: the truth knows the document, the outcome does not; unexpected: the other way round."""

    type: str
    key: str
    kind: Literal["missing", "unexpected", "differs"]
    field: str = ""
    expected: str = ""
    actual: str = ""

    def __str__(self) -> str:
        at = f"{self.type} {self.key}"
        if self.kind == "missing":
            return f"{at}: missing; expected {self.expected}"
        if self.kind == "unexpected":
            return f"{at}: nobody expected it; it says {self.actual}"
        return f"{at} {self.field}: expected {self.expected}, found {self.actual}"


@dataclass(frozen=True)
class Comparison:
    """What was compared and what differed.

    compared counts, for each document type, the keys that were found on both sides and compared field by field: equal
    to `expected` where nothing is missing.
    """

    compared: Mapping[str, int]
    expected: Mapping[str, int]
    control_totals_compared: int
    mismatches: Sequence[Mismatch]

    @property
    def clean(self) -> bool:
        """Nothing differs, and something was there to differ."""
        return not self.mismatches and sum(self.compared.values()) > 0 and dict(self.compared) == dict(self.expected)


def compare(truth: Mapping[str, object], actual: Mapping[str, object]) -> Comparison:
    """Compares truth["documents"] and truth["control_totals"] with the same of actual.

    Raises TypeError for a float anywhere in either, KeyError where a side has no documents at all.
    """
    expected, found = _documents(truth), _documents(actual)
    mismatches: list[Mismatch] = []
    compared: dict[str, int] = {}
    for kind in sorted(expected.keys() | found.keys()):
        ours, theirs = expected.get(kind, {}), found.get(kind, {})
        mismatches += _compare_keys(kind, ours, theirs)
        if kind in expected:
            compared[kind] = len(ours.keys() & theirs.keys())
    totals, totals_found = _totals(truth), _totals(actual)
    mismatches += _compare_keys(CONTROL_TOTALS, totals, totals_found)
    return Comparison(
        compared=compared,
        expected={kind: len(documents) for kind, documents in sorted(expected.items())},
        control_totals_compared=len(totals.keys() & totals_found.keys()),
        mismatches=sorted(mismatches),
    )


def _compare_keys(kind: str, expected: Mapping[str, Fields], found: Mapping[str, Fields]) -> list[Mismatch]:
    mismatches = []
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            mismatches.append(Mismatch(kind, key, "missing", expected=_show(expected[key])))
        elif key not in expected:
            mismatches.append(Mismatch(kind, key, "unexpected", actual=_show(found[key])))
        else:
            mismatches += _compare_values(kind, key, "", expected[key], found[key])
    return mismatches


def _compare_values(kind: str, key: str, path: str, expected: object, found: object) -> list[Mismatch]:
    """Descends into mappings, so that a mismatch names the field; lists are compared whole, order included."""
    _refuse_floats(expected, f"{kind} {key} {path} of the truth")
    _refuse_floats(found, f"{kind} {key} {path} of the outcome")
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        mismatches = []
        for name in sorted(expected.keys() | found.keys()):
            inner = f"{path}.{name}" if path else str(name)
            mismatches += _compare_values(kind, key, inner, expected.get(name, MISSING), found.get(name, MISSING))
        return mismatches
    if type(expected) is type(found) and expected == found:
        return []
    return [Mismatch(kind, key, "differs", path, _show(expected), _show(found))]


def _refuse_floats(value: object, where: str) -> None:
    if isinstance(value, float):
        raise TypeError(f"{where}: {value!r} is a float; amounts and measures are compared as text")
    if isinstance(value, list | tuple):
        for inner in value:
            _refuse_floats(inner, where)


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_show(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_show(inner) for inner in value) + "]"
    return MISSING if value == MISSING else repr(value)


def _documents(side: Mapping[str, object]) -> Documents:
    documents = side["documents"]
    if not isinstance(documents, Mapping):
        raise TypeError("`documents` must be a mapping of type → key → fields")
    return documents


def _totals(side: Mapping[str, object]) -> Mapping[str, Fields]:
    totals = side.get(CONTROL_TOTALS, {})
    if not isinstance(totals, Mapping):
        raise TypeError("`control_totals` must be a mapping of feed → fields")
    return totals
