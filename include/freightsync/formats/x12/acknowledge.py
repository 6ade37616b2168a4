"""997s for what was read: one for each functional group, verdict by transaction.

A 997 answers syntax: an invoice whose lines do not sum is accepted here, and disputed by other means (824).
A group of 997s is itself never acknowledged. Verdicts: A nothing wrong, E readable but with syntax errors, R rejected;
a group is A, E, P (some rejected) or R (all rejected).
"""

from __future__ import annotations

from freightsync.formats.x12 import tx997
from freightsync.formats.x12.findings import Finding
from freightsync.formats.x12.reader import Interchange, Transaction
from freightsync.formats.x12.tx997 import Acknowledgment997, ElementNote, SegmentNote, TransactionResponse

# finding code -> AK5 error code, for what is wrong with the transaction as a whole
_TRANSACTION_ERRORS = {
    "unsupported_set": "1",
    "truncated_transaction": "2",
    "too_large": "2",
    "control_number": "3",
    "segment_count": "4",
    "duplicate_control_number": "23",
}
# finding code -> AK3 error code, for what is wrong with a segment
_SEGMENT_ERRORS = {
    "bad_segment_id": "1",
    "unexpected_segment": "2",
    "missing_segment": "3",
    "repeated_segment": "5",
    "missing_value": "8",
    "unreadable_value": "8",
    "conflicting_values": "8",
    "unknown_code": "8",
    "control_character": "8",
}
_ELEMENT_ERRORS = {"missing_value": "1", "conflicting_values": "10", "unknown_code": "7", "control_character": "6"}
# group findings on the interchange -> AK9 error code
_GROUP_ERRORS = {"missing_ge": "3", "GE02": "4", "GE01": "5", "GS06": "19"}


def acknowledge(interchange: Interchange) -> list[Acknowledgment997]:
    """Answers to an interchange that was read as a whole (`read`), in the order of its groups; [] if all are 997s.

    An interchange that was rejected (broken ISA) gets none: whom to answer is unsure.
    """
    if interchange.rejected:
        return []
    out: list[Acknowledgment997] = []
    by_group: dict[int, list[Transaction]] = {}
    for transaction in interchange.transactions:
        if transaction.group is not None and transaction.group.functional_id not in tx997.GROUP_IDS:
            by_group.setdefault(id(transaction.group), []).append(transaction)
    for transactions in by_group.values():
        group = transactions[0].group
        if group is None:
            continue
        errors = _group_errors(group.findings)
        responses = [_respond(t) for t in transactions]
        rejected = sum(r.code == "R" for r in responses)
        if rejected == len(responses):
            code = "R"
        elif rejected:
            code = "P"
        elif errors or any(r.code == "E" for r in responses):
            code = "E"
        else:
            code = "A"
        out.append(
            Acknowledgment997(
                functional_id=group.functional_id,
                group_control_number=group.control_number,
                code=code,
                included=group.transaction_count if group.stated_count is None else group.stated_count,
                received=len(responses),
                accepted=len(responses) - rejected,
                responses=responses,
                errors=errors,
            )
        )
    return out


def _group_errors(findings: list[Finding]) -> list[str]:
    errors: list[str] = []
    for finding in findings:
        code = _GROUP_ERRORS.get(finding.element or finding.code)
        if code is not None and code not in errors:
            errors.append(code)
    return errors[:5]


def _respond(transaction: Transaction) -> TransactionResponse:
    errors: list[str] = []
    notes: list[SegmentNote] = []
    for finding in transaction.findings:
        whole = _TRANSACTION_ERRORS.get(finding.code)
        if whole is not None:
            if whole not in errors:
                errors.append(whole)
            continue
        code = _SEGMENT_ERRORS.get(finding.code)
        if code is None:
            continue
        if "5" not in errors:
            errors.append("5")
        note = _note(finding, code, transaction)
        same = next(
            (n for n in notes if (n.segment_id, n.position, n.code) == (note.segment_id, note.position, code)), None
        )
        if same is None:
            notes.append(note)
        else:  # a segment is named once, with all of its elements
            same.elements.extend(element for element in note.elements if element not in same.elements)
    code = "R" if transaction.rejected else "E" if errors else "A"
    return TransactionResponse(transaction.set_id, transaction.control_number, code, errors[:5], notes)


def _note(finding: Finding, code: str, transaction: Transaction) -> SegmentNote:
    element = finding.element or ""
    # a missing segment is named by its id alone, an element by its segment's id and two digits
    segment_id, digits = (element, "") if finding.code == "missing_segment" else (element[:-2], element[-2:])
    segment_id = segment_id or _sendable(finding.segment_id)
    note = SegmentNote(segment_id, finding.segment_index - transaction.segment_index + 1, code)
    if code == "8" and digits.isdigit():
        note.elements.append(ElementNote(int(digits), _element_code(finding)))
    return note


def _sendable(segment_id: str | None) -> str:
    """What can stand in AK301, of two or three characters; '?' for what is no name at all."""
    name = (segment_id or "")[:3]
    return name if name.isascii() and name.isalnum() else "?"


def _element_code(finding: Finding) -> str:
    if finding.code == "unreadable_value":
        return (
            "8"
            if finding.message.startswith("not a date")
            else "9"
            if finding.message.startswith("not a time")
            else "6"
        )
    return _ELEMENT_ERRORS.get(finding.code, "7")
