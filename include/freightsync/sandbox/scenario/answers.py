"""What carriers' EDI is answered with: each transaction once, by whether it could be read; and a 210 that is kept back
for its content by an advice that says why. The same bytes again are answered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

REASONS = {
    "unknown_charge_code": "unknown charge code",
    "lines_do_not_sum": "lines do not sum",
    "unknown_carrier": "unknown carrier",
}


def write_answers(day: Generator) -> None:
    """Into the truth: transactions accepted and rejected by carrier and standard, and each advice by its bill."""
    counted = day.truth.documents["carrier.answered"]
    kept = day.truth.documents["ours.quarantine"]
    seen: set[str] = set()

    def count(partner: str, kind: str, accepted: int, rejected: int = 0) -> None:
        row = counted.setdefault(f"{partner}/{kind}", {"accepted": 0, "rejected": 0})
        row["accepted"] += accepted
        row["rejected"] += rejected

    for action in day.actions:
        partner = action.get("partner", "nrdf")
        if action["do"] in ("214", "210", "990", "824"):
            count(partner, "997", 1)
        elif action["do"] == "invoic":
            count(partner, "contrl", 1)
        elif action["do"] == "file" and action["name"].endswith(".edi") and action["content"] not in seen:
            seen.add(action["content"])
            if action["broken"] == "envelope":
                continue
            sets = action["content"].count("\nST*")
            bad = int(action["broken"] == "transaction")
            count(partner, "997", sets - bad, bad)
    for key, fields in kept.items():
        feed, number = key.split("/", 1)
        known = sorted(REASONS[reason] for reason in fields["reasons"] if reason in REASONS)
        if feed == "carrier.invoice_x12" and known:
            day.truth.documents["carrier.advice"][f"nrdf/{number}"] = {"answer": "rejected", "because": known}
            # NRDF reads it and says so
            day.truth.documents["ours.advice"][f"nrdf/{number}"] = {"state": "acknowledged"}
            day.truth.record("carrier.edi_answer")
