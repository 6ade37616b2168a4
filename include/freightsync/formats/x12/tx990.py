"""990: a carrier's answer to a load tender.

B1-04 is kept as sent. What it means is the partner's `tender_responses`, else by release: A accepted, B conditional,
C counter-proposal; D is a decline before release 4040 and a cancellation from there on, where E declines.
An unmapped code has no decision (None) and a finding: silence is not consent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body, QualifiedDate, Reference
from freightsync.formats.x12.profile import Decision

SET_ID = "990"
GROUP_IDS = ("GF",)

_BEFORE_4040: dict[str, Decision] = {"A": "accepted", "B": "conditional", "C": "countered", "D": "declined"}
_FROM_4040: dict[str, Decision] = {
    "A": "accepted",
    "B": "conditional",
    "C": "countered",
    "D": "cancelled",
    "E": "declined",
}


def decisions(version: str) -> Mapping[str, Decision]:
    """Meaning of B1-04 by release (GS08, such as 004010); an unreadable release counts as older."""
    release = version[:6]
    return _FROM_4040 if release.isascii() and release.isdigit() and int(release) >= 4040 else _BEFORE_4040


@dataclass(slots=True)
class TenderResponse990:
    """scac B1-01, shipment_id B1-02 (the load as in the 204's B2-04), responded_on B1-03, action_code B1-04 as sent."""

    scac: str | None
    shipment_id: str
    action_code: str
    decision: Decision | None = None
    responded_on: dt.date | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[QualifiedDate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse(body: Body) -> TenderResponse990:
    response = TenderResponse990(None, "", "")
    header_seen = False
    for at, segment in enumerate(body.segments):
        tag = segment[0]
        if tag == "B1":
            if header_seen:
                body.report("error", "repeated_segment", at, None, "a second B1: two answers run together")
                continue
            header_seen = True
            response.scac = common.optional(segment, 1)
            response.shipment_id = common.element(segment, 2)
            response.responded_on = common.date_or_report(body, at, 3)
            response.action_code = common.element(segment, 4)
            for number, what in ((2, "shipment id"), (4, "answer")):
                if not common.element(segment, number):
                    body.report("error", "missing_value", at, common.designator("B1", number), f"no {what}")
            codes = body.profile.tender_responses or decisions(body.version)
            response.decision = codes.get(response.action_code)
            if response.action_code and response.decision is None:
                body.report(
                    "warning", "unknown_code", at, "B104", f"answer {response.action_code[:20]!r} has no meaning here"
                )
        elif tag == "L11" or tag == "N9":
            reference = common.read_reference(segment, *((1, 2) if tag == "L11" else (2, 1)))
            if reference is not None:
                response.references.append(reference)
        elif tag == "G62":
            response.dates.append(common.read_g62(body, at))
        elif tag == "K1" or tag == "NTE":
            text = " ".join(filter(None, (common.element(segment, n) for n in ((1, 2) if tag == "K1" else (2,)))))
            if text:
                response.notes.append(text)
        else:
            body.stray(at)
    if not header_seen:
        body.report("error", "missing_segment", 0, "B1", "a 990 without B1 answers nothing")
    return response


def as_json(response: TenderResponse990) -> dict[str, object]:
    return {
        "scac": response.scac,
        "shipment_id": response.shipment_id,
        "responded_on": common.iso(response.responded_on),
        "action_code": response.action_code,
        "decision": response.decision,
        "references": common.references_json(response.references),
        "notes": response.notes,
    }
