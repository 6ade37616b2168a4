"""What carriers find in their own directories: answers to their EDI, taken apart as plain segments, and what we billed
for their moves ourselves."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from freightsync.proof.books import money

Documents = dict[str, dict[str, object]]
CARRIERS = ("nrdf", "hnsa")


def answers(home: Path) -> dict[str, Documents]:
    """`carrier.answered`: by carrier and standard, how many transactions were accepted and rejected. `carrier.advice`:
    by carrier and bill, what an 824 says of it; a second one of the same bill shows as another answer."""
    answered: Documents = {}
    advice: Documents = {}
    for carrier in CARRIERS:
        for file in sorted((home / "sftp" / carrier / "outbound").glob("*.edi")):
            kind = file.name.split("_")[0]
            if kind == "824":
                for number, said in _advices(file):
                    key = f"{carrier}/{number}"
                    if key in advice:
                        said = {"answer": f"{advice[key]['answer']},{said['answer']}", "because": said["because"]}
                    advice[key] = said
                continue
            row = answered.setdefault(f"{carrier}/{kind}", {"accepted": 0, "rejected": 0})
            for name in _verdicts(file, kind):
                row[name] = int(str(row[name])) + 1
    return {"carrier.answered": answered, "carrier.advice": advice, "carrier.self_bill": self_bills(home)}


def self_bills(home: Path) -> Documents:
    """`scac/number` → what our documents under that number say, summed over them."""
    lines: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    currencies: defaultdict[str, set[str]] = defaultdict(set)
    documents: defaultdict[str, set[str]] = defaultdict(set)
    for file in sorted((home / "sftp").glob("*/outbound/self_bill_*.csv")):
        scac = file.parts[-3].upper()
        with file.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                key = f"{scac}/{row['Document']}"
                lines[key][f"{row['Shipment']}/{row['Charge']}"] += Decimal(row["Amount"])
                currencies[key].add(row["Currency"])
                documents[key].add(file.name)
    return {
        key: {
            "total": money(sum(found.values())),
            "lines": {name: money(amount) for name, amount in sorted(found.items())},
            "currency": ",".join(sorted(currencies[key])),
            "documents": len(documents[key]),
        }
        for key, found in lines.items()
    }


def _segments(file: Path, end: str) -> Iterator[list[str]]:
    separator = "*" if end == "~" else "+"
    for segment in file.read_text(encoding="latin-1").split(end):
        yield segment.strip().split(separator)


def _verdicts(file: Path, kind: str) -> Iterator[str]:
    """Of each transaction: AK5 of a 997 (A, E: accepted), the action of a CONTRL's UCM (7, 8: taken)."""
    for segment in _segments(file, "~" if kind == "997" else "'"):
        if segment[0] == "AK5":
            yield "accepted" if segment[1] in ("A", "E") else "rejected"
        elif segment[0] == "UCM":
            yield "accepted" if segment[3] in ("7", "8") else "rejected"


def _advices(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    number, answer, because = "", "", list[str]()
    for segment in _segments(file, "~"):
        if segment[0] == "OTI":
            if number:
                yield number, {"answer": answer, "because": sorted(because)}
            number, answer, because = segment[3], {"TR": "rejected"}.get(segment[1], segment[1]), []
        elif segment[0] == "TED":
            because.append(re.sub(r"\s+", " ", segment[2]))
    if number:
        yield number, {"answer": answer, "because": sorted(because)}
