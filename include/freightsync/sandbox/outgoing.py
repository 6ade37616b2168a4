"""What a partner has still to send us: kept in its books, so that a restart goes on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from freightsync.sandbox.books import Books, dumps, wall_clock


class Outgoing:
    """A partner's deliveries that we have not acknowledged. `sent(actions)` is told of each that we have.

    A delivery that is on its way while the books are cleared belongs to nothing any more: who sends one compares the
    `era` in which it began with the one in which it ended.
    """

    def __init__(self, partner: str, channel: str, books: Books, sent: Callable[[list[str]], None]) -> None:
        self.partner, self.channel, self.books, self._sent = partner, channel, books, sent
        self.era = 0
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.waiting = 0
        """Deliveries that are not acknowledged yet."""
        for (seq,) in books.all(
            "select seq from delivery where partner = ? and done_at is null order by seq", (partner,)
        ):
            self.queue.put_nowait(seq)
            self.waiting += 1

    def add(self, body: bytes, actions: list[str], note: dict[str, Any]) -> None:
        """Writes a delivery to the books; it waits for its turn."""
        seq = self.books.run(
            "insert into delivery (partner, channel, body, actions, note) values (?, ?, ?, ?, ?)",
            (self.partner, self.channel, body, dumps(actions), dumps(note)),
        )
        self.waiting += 1
        self.queue.put_nowait(seq)

    def acknowledged(self, seq: int, actions: list[str], also: Callable[[], None] | None = None) -> None:
        """A delivery is done; for good, also over a restart. `also`: what the books note together with that."""
        with self.books.together():
            if also is not None:
                also()
            self.books.run("update delivery set done_at = ? where seq = ?", (wall_clock(), seq))
        self.waiting -= 1
        self._sent(actions)

    def forget(self) -> None:
        """Drops what waits (the books were cleared)."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.waiting = 0
        self.era += 1
