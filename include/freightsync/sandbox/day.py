"""Lets a scenario happen.

A scenario is a list of actions, each with a business time (`at`, minutes from the day's start; negative: before the
day), a kind (`do`), the facts that must have come true before it may happen (`after`), and the business minutes that
lie at least between its last fact and itself where it had to wait (`gap`: a truck that leaves late arrives late).
Business time is compressed to the seconds given to `start`. What is due and whose facts are true goes to the partner
that does it; an action whose cause is late (an order that was not released yet) waits, and everything that does not
depend on it goes on.

Facts:
    done:<action>                       an action happened and, where it is a call or an upload, was acknowledged
    tms:<order>/<version>               the TMS took that version of an order
    erp_plan:<shipment>/<version>       the ERP holds that version of a shipment's freight plan
    erp_freight:<shipment>/<amount>     the ERP holds a freight plan of that amount
    erp_supplier_invoice:<scac>/<no>    the ERP holds a payable for that carrier invoice
    erp_customer_invoice:<name>         the ERP has billed a customer under that name (order/shipment, or order)
    read:<collection>                   that collection of the ERP (or `lanes` of the TMS) was read to its end

Everything survives the process: what was done is kept, what the books show is looked up again.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freightsync.sandbox.books import Books, iso, wall_clock

log = logging.getLogger(__name__)

Action = dict[str, Any]
Perform = Callable[[Action], bool]
"""Does an action; True if it is done at once, False if `Day.done` will be told."""


class Day:
    def __init__(self, books: Books, perform: Perform) -> None:
        self.books, self.perform = books, perform
        self.actions: dict[str, Action] = {}
        self.facts: set[str] = set()
        self.taken: set[str] = set()
        self.finished = 0
        self.started_at: float | None = None
        self.seconds = 0.0
        self.span = 1.0
        self._due: list[tuple[float, int, str]] = []
        self._missing: dict[str, set[str]] = {}
        self._waiting_for: dict[str, set[str]] = defaultdict(set)
        self._wake = asyncio.Event()

    # -- loading, starting, starting again ------------------------------------------------------------

    def load(self, path: Path) -> dict[str, Any]:
        """Takes the scenario in this file; actions before the day happen now. Gives the scenario's head."""
        scenario = self._read(path)
        self.books.keep("scenario", str(path))
        for action in sorted((a for a in self.actions.values() if a["at"] < 0), key=lambda a: (a["at"], a["id"])):
            self._take(action)
        return {k: v for k, v in scenario.items() if k not in ("actions", "expected_orders")}

    def _read(self, path: Path) -> dict[str, Any]:
        scenario: dict[str, Any] = json.loads(path.read_bytes())
        self.clear()
        self.span = float(scenario["minutes"])
        self.actions = {a["id"]: a for a in scenario["actions"]}
        return scenario

    def start(self, seconds: float) -> None:
        """Starts the clock, or leaves a running one alone."""
        if self.started_at is not None:
            return
        self.started_at, self.seconds = wall_clock(), max(seconds, 0.001)
        self.books.keep("start", {"at": self.started_at, "seconds": self.seconds})
        self._schedule()

    def restore(self, known: Callable[[], set[str]], in_hand: set[str]) -> None:
        """After a restart: the scenario that was playing goes on. `in_hand` are actions that are on their way."""
        path = self.books.kept("scenario")
        if path is None or not Path(path).is_file():
            return
        self._read(Path(path))
        self.facts = {name for (name,) in self.books.all("select name from fact")} | known()
        done = {name[5:] for name in self.facts if name.startswith("done:")}
        self.finished = len(done & self.actions.keys())
        self.taken = done | in_hand
        for action in self.actions.values():
            if action["at"] < 0 and action["id"] not in self.taken:
                self._take(action)
        start = self.books.kept("start")
        if start is not None:
            self.started_at, self.seconds = start["at"], start["seconds"]
            self._schedule()

    def clear(self) -> None:
        self.actions, self.facts, self.taken, self.finished = {}, set(), set(), 0
        self.started_at = None
        self._due, self._missing = [], {}
        self._waiting_for = defaultdict(set)

    def _schedule(self) -> None:
        assert self.started_at is not None
        for ordinal, action in enumerate(self.actions.values()):
            if action["id"] not in self.taken:
                due = self.started_at + max(action["at"], 0) / self.span * self.seconds
                heapq.heappush(self._due, (due, ordinal, action["id"]))
        self._wake.set()

    # -- what comes true ------------------------------------------------------------

    def fact(self, name: str, *, keep: bool = False) -> None:
        """Something came true. `keep`: no partner's book shows it, so it is written down."""
        if name in self.facts:
            return
        self.facts.add(name)
        if keep:
            self.books.run("insert or ignore into fact (name, at) values (?, ?)", (name, wall_clock()))
        for action_id in sorted(self._waiting_for.pop(name, ())):
            missing = self._missing[action_id]
            missing.discard(name)
            if not missing:
                del self._missing[action_id]
                self._released(self.actions[action_id])

    def _released(self, action: Action) -> None:
        """What an action waited for is there: it happens, after its own `gap` of business minutes if it has one."""
        if not action.get("gap") or self.started_at is None:
            self._take(action)
            return
        pause = action["gap"] / self.span * self.seconds
        heapq.heappush(self._due, (wall_clock() + pause, len(self.actions), action["id"]))
        self._wake.set()

    def done(self, actions: list[str]) -> None:
        """These actions happened and were acknowledged."""
        with self.books.together():
            for action_id in actions:
                if f"done:{action_id}" not in self.facts:
                    self.finished += 1
                    self.fact(f"done:{action_id}", keep=True)

    def _take(self, action: Action) -> None:
        if action["id"] in self.taken:
            return
        self.taken.add(action["id"])
        if self.perform(action):
            self.done([action["id"]])

    # -- the clock ------------------------------------------------------------

    async def run(self) -> None:
        """Hands out what is due, for ever; cancel to stop."""
        while True:
            now = wall_clock()
            for _ in range(200):
                if not self._due or self._due[0][0] > now:
                    break
                _, _, action_id = heapq.heappop(self._due)
                action = self.actions[action_id]
                missing = {f for f in action.get("after", ()) if f not in self.facts}
                if missing:
                    self._missing[action_id] = missing
                    for name in missing:
                        self._waiting_for[name].add(action_id)
                else:
                    self._take(action)
            pause = None if not self._due else min(max(self._due[0][0] - wall_clock(), 0.02), 1.0)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    # -- what to show ------------------------------------------------------------

    def progress(self) -> dict[str, Any]:
        """How far the day is. state: empty, loaded, running, finished."""
        total = len(self.actions)
        blocking: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for fact, waiting in self._waiting_for.items():
            kind = fact.split(":", 1)[0]
            blocking[kind] += len(waiting)
            examples.setdefault(kind, fact)
        state = "empty"
        if total:
            state = "loaded" if self.started_at is None else "finished" if self.finished == total else "running"
        minutes = None
        if self.started_at is not None:
            minutes = round(min((wall_clock() - self.started_at) / self.seconds, 1.0) * self.span, 1)
        return {
            "state": state,
            "started_at": None if self.started_at is None else iso(self.started_at),
            "business_minutes": minutes,
            "actions": total,
            "done": self.finished,
            "in_hand": len(self.taken) - self.finished,
            "waiting_for": dict(sorted(blocking.items())),
            "waiting_example": dict(sorted(examples.items())),
        }
