"""Transport milestones, lowest first. Those below DISPATCHED belong to a tender round; later ones never regress."""

from __future__ import annotations

from enum import IntEnum


class Milestone(IntEnum):
    """Value = rank. Side states (exception, delayed, cancelled) are flags beside it, not ranks."""

    UNPLANNED = 0
    PLANNED = 10
    TENDERED = 20
    ACCEPTED = 30
    DISPATCHED = 40
    PICKED_UP = 50
    IN_TRANSIT = 60
    DELIVERED = 70
    POD_RECEIVED = 80

    @property
    def label(self) -> str:
        return self.name.lower()
