"""What carriers find in their own directories: answers to their EDI, taken apart as plain segments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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
    return {"carrier.answered": answered, "carrier.advice": advice}


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
