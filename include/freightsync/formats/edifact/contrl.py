"""CONTRL: an answer to the syntax of an interchange, syntax version 3 or 4. It says nothing about the business content,
and is itself never answered.

Action (0083): 4 rejected with all below it, 7 accepted (what below is not rejected by name is accepted), 8 received.
Errors (0085), the usual: 12 invalid value, 13 missing, 18 unspecified, 21 invalid character, 26 duplicate,
28 references don't match, 29 count differs, 2 version not supported, 15 not supported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from freightsync.formats.edifact.common import Body, designator, optional, text

MESSAGE_TYPE = "CONTRL"
ACTIONS = ("4", "7", "8")


@dataclass(slots=True)
class ElementError:
    """A UCD: error, element and component by number (component None: the whole element)."""

    error: str
    element: str
    component: str | None = None


@dataclass(slots=True)
class SegmentError:
    """A UCS: position of the segment in its message (the UNH is 1), error, its elements."""

    position: str
    error: str | None = None
    elements: list[ElementError] = field(default_factory=list)


@dataclass(slots=True)
class MessageResponse:
    """A UCM: which message, by reference, type and version, and the verdict on it. segment: the service segment that an
    error is about (UNH, UNT)."""

    control_number: str
    message_type: str
    version: str
    action: str
    error: str | None = None
    segment: str | None = None
    segments: list[SegmentError] = field(default_factory=list)


@dataclass(slots=True)
class Control:
    """Which interchange (by its reference, sender and receiver) is answered, and how. sender, receiver: of the
    interchange that is answered, so the other way round than this one's."""

    control_number: str
    sender: str
    receiver: str
    action: str
    error: str | None = None
    segment: str | None = None
    sender_qualifier: str | None = None
    receiver_qualifier: str | None = None
    messages: list[MessageResponse] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """The interchange and all of its messages."""
        return self.action != "4" and all(message.action != "4" for message in self.messages)


def parse(body: Body) -> Control:
    """Findings go to the body; whoever calls uses the answer only if there is no error among them."""
    found: Control | None = None
    message: MessageResponse | None = None
    segment_error: SegmentError | None = None
    for at, segment in enumerate(body.segments):
        tag = segment[0][0]
        if tag == "UCI":
            if found is not None:
                body.report("error", "repeated_segment", at, None, "a second UCI: two answers run together")
                continue
            found = Control(
                text(segment, 1),
                text(segment, 2),
                text(segment, 3),
                text(segment, 4),
                optional(segment, 5),
                optional(segment, 6),
                optional(segment, 2, 2),
                optional(segment, 3, 2),
            )
            _check(body, at, found.control_number, found.action)
        elif tag == "UCM" and found is not None:
            version = f"{text(segment, 2, 2)}.{text(segment, 2, 3)}".strip(".")
            message = MessageResponse(
                text(segment, 1),
                text(segment, 2, 1),
                version,
                text(segment, 3),
                optional(segment, 4),
                optional(segment, 5),
            )
            segment_error = None
            found.messages.append(message)
            _check(body, at, message.control_number, message.action, 3)
        elif tag == "UCS" and message is not None:
            segment_error = SegmentError(text(segment, 1), optional(segment, 2))
            message.segments.append(segment_error)
        elif tag == "UCD" and segment_error is not None:
            segment_error.elements.append(ElementError(text(segment, 1), text(segment, 2, 1), optional(segment, 2, 2)))
        elif tag not in ("UNH", "UNT"):
            body.stray(at)
    if found is None:
        body.report("error", "missing_segment", 0, "UCI", "a CONTRL without UCI answers nothing")
        return Control("", "", "", "")
    return found


def _check(body: Body, at: int, number: str, action: str, action_at: int = 4) -> None:
    tag = body.segments[at][0][0]
    if not number:
        body.report("error", "missing_value", at, designator(tag, 1), "it does not say what it answers")
    if action not in ACTIONS:
        words = f"{action[:10]!r} is no verdict; known are {', '.join(ACTIONS)}"
        body.report("error", "unreadable_value", at, designator(tag, action_at), words)


def as_json(control: Control) -> dict[str, object]:
    return {
        "control_number": control.control_number,
        "sender": control.sender,
        "receiver": control.receiver,
        "action": control.action,
        "error": control.error,
        "segment": control.segment,
        "accepted": control.accepted,
        "messages": [
            {
                "control_number": m.control_number,
                "set": m.message_type,
                "version": m.version,
                "action": m.action,
                "error": m.error,
                "segment": m.segment,
                "segments": [
                    {
                        "position": s.position,
                        "error": s.error,
                        "elements": [
                            {"error": e.error, "element": e.element, "component": e.component} for e in s.elements
                        ],
                    }
                    for s in m.segments
                ],
            }
            for m in control.messages
        ],
    }
