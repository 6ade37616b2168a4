"""A CONTRL for what was read: one for an interchange, a verdict for each of its messages.

It answers syntax: an invoice whose lines do not sum is accepted here. A message is accepted (7) or rejected (4) with
the segments and elements that are wrong; an interchange of nothing but CONTRLs is never answered.
"""

from __future__ import annotations

import re

from freightsync.formats.edifact import contrl
from freightsync.formats.edifact.contrl import Control, ElementError, MessageResponse, SegmentError
from freightsync.formats.edifact.findings import Finding
from freightsync.formats.edifact.reader import Interchange, Message

# finding code -> error (0085)
_ERRORS = {
    "missing_segment": "13",
    "missing_value": "13",
    "unreadable_value": "12",
    "repeated_segment": "35",
    "conflicting_values": "12",
    "unsupported_message": "2",
    "truncated_message": "13",
    "too_large": "18",
    "segment_count": "29",
    "message_count": "29",
    "control_number": "28",
    "duplicate_control_number": "26",
    "control_count": "29",
}
_ELEMENT = re.compile(r"([A-Z][A-Z0-9]{2})(\d{2})\.(\d+)\Z")


def acknowledge(interchange: Interchange) -> Control | None:
    """The answer to an interchange that was read as a whole (`read`); None where there is nothing to answer."""
    answered = [m for m in interchange.messages if m.message_type != contrl.MESSAGE_TYPE]
    if interchange.messages and not answered:
        return None
    responses = [_respond(message) for message in answered]
    errors = [f for f in interchange.findings if f.severity == "error"]
    whole = errors or (bool(responses) and all(r.action == "4" for r in responses))
    first = next((f for f in interchange.findings if f.code in _ERRORS), None)
    return Control(
        control_number=interchange.control_number,
        sender=interchange.sender,
        receiver=interchange.receiver,
        action="4" if errors else "7",
        error=_ERRORS.get(errors[0].code, "18") if errors else _ERRORS[first.code] if first and not whole else None,
        segment=(first.element or "")[:3] or None if first is not None and not whole else None,
        sender_qualifier=interchange.sender_qualifier or None,
        receiver_qualifier=interchange.receiver_qualifier or None,
        messages=[] if errors else responses,
    )


def _respond(message: Message) -> MessageResponse:
    out = MessageResponse(
        message.control_number,
        message.message_type,
        message.version,
        "4" if message.rejected else "7",
    )
    by_position: dict[int, SegmentError] = {}
    for finding in message.findings:
        error = _ERRORS.get(finding.code)
        if error is None or (not message.rejected and finding.severity != "error"):
            continue
        _add(out, by_position, finding, error, message)
    if message.rejected and not out.segments and out.error is None:
        out.error = "18"
    return out


def _add(
    out: MessageResponse, by_position: dict[int, SegmentError], finding: Finding, error: str, message: Message
) -> None:
    position = finding.segment_index - message.segment_index + 1
    if position <= 1 or finding.code in ("segment_count", "control_number"):
        if out.error is None:
            out.error = error
            if finding.code in ("segment_count", "control_number", "truncated_message"):
                out.segment = "UNT"
        return
    one = by_position.get(position)
    if one is None:
        one = by_position[position] = SegmentError(str(position))
        out.segments.append(one)
    matched = _ELEMENT.match(finding.element or "")
    if matched is None:
        one.error = one.error or error
    else:
        # elements of a segment are counted with its tag as the first
        one.elements.append(ElementError(error, str(int(matched.group(2)) + 1), matched.group(3)))
