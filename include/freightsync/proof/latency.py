"""From the moment a partner first sent a POD to the ERP's commit of the invoice, by both partners' clocks. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Latency:
    """Seconds over PODs. unbilled: billable PODs whose invoice never came, by key."""

    count: int
    p50: float | None
    p95: float | None
    max: float | None
    unbilled: Sequence[str]

    def as_dict(self) -> dict[str, object]:
        return {"count": self.count, "p50": self.p50, "p95": self.p95, "max": self.max, "unbilled": len(self.unbilled)}


def pod_to_invoice(
    keys: Iterable[str], sent: Iterable[Mapping[str, Any]], committed: Iterable[Mapping[str, Any]]
) -> Latency:
    """keys: customer invoices by key, as the truth lists them. sent: the sandbox's log `pod_sent` (`at`, `invoices`:
    the keys that this POD makes billable). committed: its log `committed` (`at`, `document_type`, `key`).

    A key that several PODs name is ready with the last of them; what counts is the first commit.
    """
    ready: dict[str, datetime] = {}
    for entry in sent:
        at = datetime.fromisoformat(entry["at"])
        for key in entry["invoices"]:
            ready[key] = max(ready.get(key, at), at)
    billed: dict[str, datetime] = {}
    for entry in committed:
        if entry["document_type"] == "customer-invoices":
            at = datetime.fromisoformat(entry["at"])
            billed[entry["key"]] = min(billed.get(entry["key"], at), at)
    wanted = sorted(set(keys))
    seconds = sorted(
        round((billed[key] - ready[key]).total_seconds(), 3) for key in wanted if key in ready.keys() & billed
    )
    return Latency(
        count=len(seconds),
        p50=percentile(seconds, 50),
        p95=percentile(seconds, 95),
        max=seconds[-1] if seconds else None,
        unbilled=[key for key in wanted if key not in ready or key not in billed],
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Nearest rank: a value that really occurred; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
