"""What NRDF makes of our messages beyond reading them: 824s of its own.

Some say that an advice of ours is wrong; others speak of a load that the carrier was tendered, of a bill of its own, or
of something that we have never heard of. All but the first kind name a document, and are tied to it by that.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from freightsync.sandbox.scenario.bills import Billing
from freightsync.sandbox.scenario.clock import START

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

FEED = "carrier.edi_answer"
CONTESTED = "it is as agreed"
"""What the carrier says of our advices that it does not share."""


def advise(day: Generator, billing: Billing) -> None:
    """Three of each kind. The advices that are contested exist only once we wrote them: see `contest`."""
    loads = [s for s in day.shipments if s.scac == "NRDF" and s.delivered and not s.declined]
    for shipment in day.sample(loads, 3, "loads that a carrier speaks of"):
        waits = [f"done:{shipment.actions['plan']}"]
        say(day, shipment.id, "SI", "TE", "no dock hours given", "shipment", waits)
    digits = Counter(_digits(bill.number) for bill in billing.bills if bill.scac == "NRDF")
    bills = [
        bill
        for bill in billing.bills
        if bill.scac == "NRDF" and bill.verdict == "exact" and not bill.correction and digits[_digits(bill.number)] == 1
    ]
    for bill in day.sample(bills, 3, "bills that a carrier speaks of"):
        say(day, bill.number, "IK", "TA", "", "carrier_invoice", [])
    for n in range(3):
        say(day, f"Q{day.seed:03d}{n}77", "IK", "TR", "not ours", "nothing_of_ours", [])


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)


def say(day: Generator, about: str, qualifier: str, code: str, words: str, kind: str, waits: list[str]) -> None:
    """One 824 about a document, and how it must be understood."""
    at = day.rng.uniform(500, 900)
    day.act(
        "824",
        at,
        partner="nrdf",
        transaction={
            **{"code": code, "qualifier": qualifier, "reference": about, "words": words},
            "on": START.date().isoformat(),
        },
        written_at=day.clock.written(at),
        units={FEED: 1},
        after=waits,
    )
    day.truth.record(FEED)
    verdict = {"TA": "accepted", "TE": "accepted_with_errors", "TR": "rejected"}[code]
    name = f"{qualifier} {about}" if kind == "nothing_of_ours" else about
    day.truth.documents["ours.carrier_advice"][f"nrdf/{name}"] = {
        "answers": kind,
        "verdict": verdict,
        "needs_a_look": "yes" if verdict == "rejected" else "no",
    }
    day.truth.trouble["advised_by_824"] += 1


def contest(day: Generator) -> dict[str, str]:
    """Which of our advices NRDF says are wrong: bill, and what it says."""
    advised = sorted(key.split("/", 1)[1] for key in day.truth.documents["carrier.advice"] if key.startswith("nrdf/"))
    chosen = day.sample(advised, 3, "advices that a carrier contests")
    for number in chosen:
        day.truth.documents["ours.advice"][f"nrdf/{number}"]["state"] = "contested"
        day.truth.documents["ours.carrier_advice"][f"nrdf/{number}"] = {
            "answers": "advice",
            "verdict": "rejected",
            "needs_a_look": "yes",
        }
        # each comes in a file of its own, which we acknowledge
        day.truth.documents["carrier.answered"]["nrdf/997"]["accepted"] += 1
        day.truth.record(FEED)
        day.truth.trouble["advice_contested"] += 1
    return dict.fromkeys(chosen, CONTESTED)
