"""824: what an application made of a transaction's content. Sent by whoever received the document.

A 997 says that a transaction could be read; an 824 that it was accepted (TA), accepted with errors (TE) or rejected
(TR), and for which reasons: a code (TED-01) and words. It is acknowledged by a 997 and answered by nothing else.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body, Party, Reference

SET_ID = "824"
GROUP_IDS = ("AG",)

ACCEPTED, WITH_ERRORS, REJECTED = "TA", "TE", "TR"
MISSING_DATA, OUT_OF_RANGE, OUT_OF_BALANCE, NOT_MATCHING = "007", "008", "010", "011"
OTHER, MISSING_REFERENCE, INCORRECT = "024", "812", "848"
"""TED-01, the usual ones: missing data, out of range, total out of balance, not matching; an unlisted reason, no
reference to the transaction, incorrect data."""

LONGEST_WORDS = 60
LONGEST_NOTE = 80


@dataclass(slots=True)
class ApplicationError:
    """A TED: code, words of 60 characters at most, and where and what was wrong, as far as it was said."""

    code: str
    words: str | None = None
    segment_id: str | None = None
    position: int | None = None
    bad_value: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AnsweredTransaction:
    """An OTI: the verdict (IA, IE, IR are those of single items), the reference of the document that is answered, and
    the set, group and transaction that it came in."""

    code: str
    reference_qualifier: str
    reference: str
    set_id: str | None = None
    group_control_number: str | None = None
    control_number: str | None = None
    references: list[Reference] = field(default_factory=list)
    errors: list[ApplicationError] = field(default_factory=list)


@dataclass(slots=True)
class ApplicationAdvice824:
    """reference: the sender's own number of this advice (BGN-02). purpose: 00 original, 11 response."""

    reference: str
    on: dt.date | None = None
    at: dt.time | None = None
    purpose: str = "00"
    parties: list[Party] = field(default_factory=list)
    answers: list[AnsweredTransaction] = field(default_factory=list)


def parse(body: Body) -> ApplicationAdvice824:
    advice = ApplicationAdvice824("")
    seen = False
    answer: AnsweredTransaction | None = None
    error: ApplicationError | None = None
    for at, segment in enumerate(body.segments):
        tag = segment[0]
        if tag == "BGN":
            if seen:
                body.report("error", "repeated_segment", at, None, "a second BGN: two advices run together")
                continue
            seen = True
            advice.purpose = common.element(segment, 1)
            advice.reference = common.element(segment, 2)
            advice.on = common.date_or_report(body, at, 3)
            advice.at = common.time_or_report(body, at, 4)
        elif tag == "N1":
            advice.parties.append(common.read_n1(segment))
        elif tag in ("N2", "N3", "N4") and advice.parties and answer is None:
            common.add_to_party(advice.parties[-1], segment)
        elif tag == "OTI":
            answer = AnsweredTransaction(
                common.element(segment, 1),
                common.element(segment, 2),
                common.element(segment, 3),
                common.optional(segment, 10),
                common.optional(segment, 8),
                common.optional(segment, 9),
            )
            error = None
            advice.answers.append(answer)
            for number, what in ((1, "verdict"), (3, "reference")):
                if not common.element(segment, number):
                    body.report("error", "missing_value", at, common.designator("OTI", number), f"no {what}")
        elif tag == "REF" and answer is not None:
            reference = common.read_reference(segment, 2, 1)
            if reference is not None:
                answer.references.append(reference)
        elif tag == "TED" and answer is not None:
            digits = common.element(segment, 4)
            error = ApplicationError(
                common.element(segment, 1),
                common.optional(segment, 2),
                common.optional(segment, 3),
                int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 7 else None,
                common.optional(segment, 7),
            )
            answer.errors.append(error)
        elif tag == "NTE":
            words = common.element(segment, 2)
            if words and error is not None:
                error.notes.append(words)
        elif tag not in ("DTM", "AMT", "QTY", "PER"):
            body.stray(at)
    if not seen:
        body.report("error", "missing_segment", 0, "BGN", "an 824 without BGN advises nothing")
    elif not advice.answers:
        body.report("error", "missing_segment", 0, "OTI", "an 824 without OTI answers nothing")
    return advice


def as_json(advice: ApplicationAdvice824) -> dict[str, object]:
    return {
        "reference": advice.reference,
        "on": common.iso(advice.on),
        "purpose": advice.purpose,
        "answers": [
            {
                "code": answer.code,
                "reference_qualifier": answer.reference_qualifier,
                "reference": answer.reference,
                "set": answer.set_id,
                "group_control_number": answer.group_control_number,
                "control_number": answer.control_number,
                "references": common.references_json(answer.references),
                "errors": [
                    {
                        "code": error.code,
                        "words": error.words,
                        "segment": error.segment_id,
                        "position": error.position,
                        "bad_value": error.bad_value,
                        "notes": error.notes,
                    }
                    for error in answer.errors
                ],
            }
            for answer in advice.answers
        ],
    }
