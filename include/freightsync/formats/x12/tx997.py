"""997: whether a functional group was readable. It answers syntax only and is itself never acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body

SET_ID = "997"
GROUP_IDS = ("FA",)


@dataclass(slots=True)
class ElementNote:
    """An AK4: position of the element in its segment, syntax error code, and the bad value where it was sent."""

    position: int
    code: str
    value: str | None = None


@dataclass(slots=True)
class SegmentNote:
    """An AK3: segment id, its position in the transaction (ST = 1), syntax error code."""

    segment_id: str
    position: int
    code: str | None = None
    elements: list[ElementNote] = field(default_factory=list)


@dataclass(slots=True)
class TransactionResponse:
    """AK2 to AK5: code A accepted, E accepted with errors, R (M, W, X) rejected."""

    set_id: str
    control_number: str
    code: str
    errors: list[str] = field(default_factory=list)
    notes: list[SegmentNote] = field(default_factory=list)


@dataclass(slots=True)
class Acknowledgment997:
    """AK1 and AK9 of the group that it answers; code as in AK9-01: A, E, P (partly), R."""

    functional_id: str
    group_control_number: str
    code: str
    included: int
    received: int
    accepted: int
    responses: list[TransactionResponse] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def _count(body: Body, at: int, number: int) -> int:
    value = common.number_or_report(body, at, number)
    return int(value) if value is not None else 0


def parse(body: Body) -> Acknowledgment997:
    ack = Acknowledgment997("", "", "", 0, 0, 0)
    seen: set[str] = set()
    response: TransactionResponse | None = None
    note: SegmentNote | None = None
    for at, segment in enumerate(body.segments):
        tag = segment[0]
        if tag in ("AK1", "AK9") and tag in seen:
            body.report("error", "repeated_segment", at, None, f"a second {tag}: two acknowledgments run together")
            continue
        if tag == "AK1":
            ack.functional_id = common.element(segment, 1)
            ack.group_control_number = common.element(segment, 2)
            if not ack.group_control_number:
                body.report("error", "missing_value", at, "AK102", "no control number of the group it answers")
        elif tag == "AK2":
            response = TransactionResponse(common.element(segment, 1), common.element(segment, 2), "")
            ack.responses.append(response)
            note = None
        elif tag == "AK3":
            note = SegmentNote(common.element(segment, 1), _count(body, at, 2), common.optional(segment, 4))
            if response is not None:
                response.notes.append(note)
        elif tag == "AK4":
            if note is not None:
                # AK4-01 may be a composite: element position first, component after
                place = common.element(segment, 1)
                digits = "".join(iter_leading_digits(place))
                note.elements.append(
                    ElementNote(int(digits or 0), common.element(segment, 3), common.optional(segment, 4))
                )
        elif tag == "AK5":
            if response is not None:
                response.code = common.element(segment, 1)
                response.errors = [e for e in (common.element(segment, n) for n in range(2, 7)) if e]
            if not common.element(segment, 1):
                body.report("error", "missing_value", at, "AK501", "no verdict on the transaction")
        elif tag == "AK9":
            ack.code = common.element(segment, 1)
            ack.included, ack.received, ack.accepted = (_count(body, at, n) for n in (2, 3, 4))
            ack.errors = [e for e in (common.element(segment, n) for n in range(5, 10)) if e]
            if not ack.code:
                body.report("error", "missing_value", at, "AK901", "no verdict on the group")
        else:
            body.stray(at)
        seen.add(tag)
    for tag in ("AK1", "AK9"):
        if tag not in seen:
            body.report("error", "missing_segment", 0, tag, f"a 997 without {tag} acknowledges nothing")
    return ack


def iter_leading_digits(text: str) -> list[str]:
    out: list[str] = []
    for character in text:
        if not ("0" <= character <= "9") or len(out) == 4:
            break
        out.append(character)
    return out


def as_json(ack: Acknowledgment997) -> dict[str, object]:
    return {
        "functional_id": ack.functional_id,
        "group_control_number": ack.group_control_number,
        "code": ack.code,
        "included": ack.included,
        "received": ack.received,
        "accepted": ack.accepted,
        "errors": ack.errors,
        "responses": [
            {
                "set": r.set_id,
                "control_number": r.control_number,
                "code": r.code,
                "errors": r.errors,
                "notes": [
                    {
                        "segment": n.segment_id,
                        "position": n.position,
                        "code": n.code,
                        "elements": [{"position": e.position, "code": e.code, "value": e.value} for e in n.elements],
                    }
                    for n in r.notes
                ],
            }
            for r in ack.responses
        ],
    }
