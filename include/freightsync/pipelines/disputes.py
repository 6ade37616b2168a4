"""Disputes and approvals a batch at a time: one answer of a person, carried out case by case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from psycopg import Connection

from freightsync.cases import approvals, disputes
from freightsync.domain.errors import PermanentError

MOST = 200
"""Cases a batch: what a person can look over. The rest comes with the next one."""


@dataclass(frozen=True)
class Item:
    """A case of the batch as it stood: `last_event_id` tells whether more was said since."""

    carrier_invoice_id: str
    invoice: str
    state: str
    last_event_id: int | None
    amount: str
    words: str


@dataclass(frozen=True)
class Batch:
    cases: tuple[Item, ...]
    approvals: tuple[Item, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "cases": [vars(item).copy() for item in self.cases],
            "approvals": [vars(item).copy() for item in self.approvals],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Batch:
        return cls(
            tuple(Item(**item) for item in document["cases"]), tuple(Item(**item) for item in document["approvals"])
        )

    def table(self) -> str:
        """Markdown."""
        lines = ["| bill | state | amount | why |", "|---|---|---:|---|"]
        lines += [
            f"| {_cell(item.invoice)} | {item.state} | {item.amount} | {_cell(item.words)} |"
            for item in (*self.cases, *self.approvals)
        ]
        return "\n".join(lines)


def _cell(text: str) -> str:
    """What partners write must not become Markdown of ours."""
    return "".join(f"\\{c}" if c in "|`*_[]<>#!\\" else c for c in " ".join(text.split()))[:400]


def gather(conn: Connection[Any]) -> Batch:
    """What waits for us: nothing said yet, or the carrier's proposal; and bills that wait for approval."""
    waiting = disputes.cases(conn, states=["open", "countered", "refused"], limit=MOST)
    return Batch(
        tuple(
            Item(
                case.carrier_invoice_id,
                f"{case.scac} {case.invoice_number}",
                case.state,
                case.last_event_id,
                f"{case.disputed_amount + case.claim_open_amount:,.2f} {case.currency}",
                _said(conn, case) + case.reason,
            )
            for case in waiting
        ),
        tuple(
            Item(
                bill.carrier_invoice_id,
                f"{bill.scac} {bill.invoice_number}",
                "needs approval",
                None,
                f"{bill.net_amount:,.2f} {bill.currency}",
                bill.reason,
            )
            for bill in approvals.waiting(conn)[:MOST]
        ),
    )


def _said(conn: Connection[Any], case: disputes.Case) -> str:
    if case.state != "countered":
        return ""
    last = disputes.events(conn, case.carrier_invoice_id)[-1]
    return f"the carrier asks for {sum((amount for *_, amount in last.lines), Decimal(0)):,.2f}; "


@dataclass(frozen=True)
class Answer:
    """What a person answered for a batch. Where agreeing needs two, they are `asked_by` and `by`."""

    by: str
    asked_by: str
    at: datetime
    propose: bool = False
    accept: bool = False
    refuse: bool = False
    approve: bool = False
    note: str = ""


@dataclass
class Done:
    """How many were carried out, and why others were left, by bill."""

    said: int = 0
    left: dict[str, str] = field(default_factory=dict)


def carry_out(conn: Connection[Any], batch: Batch, answer: Answer) -> Done:
    """Each case in a transaction of its own. Carrying a batch out again says nothing twice."""
    done = Done()
    saying = disputes.Saying(
        by=answer.asked_by, approved_by=answer.by, channel="airflow", at=answer.at, note=answer.note
    )
    alone = disputes.Saying(by=answer.by, channel="airflow", at=answer.at, note=answer.note)

    def attempt(item: Item, act: Callable[[], object]) -> None:
        try:
            with conn.transaction():
                act()
        except PermanentError as error:
            done.left[item.invoice] = str(error)
        else:
            done.said += 1

    for item in batch.cases:
        bill = item.carrier_invoice_id
        now = disputes.case(conn, bill)
        if (now.state, now.last_event_id) != (item.state, item.last_event_id):
            done.left[item.invoice] = f"it is {now.state} by now: more was said since the batch was made"
        elif item.state == "countered" and item.last_event_id is not None:
            if answer.accept and answer.refuse:
                done.left[item.invoice] = "accepted and refused at once: answer one of them"
            elif answer.accept:
                attempt(item, partial(disputes.answer, conn, item.last_event_id, "us", saying, accept=True))
            elif answer.refuse:
                attempt(item, partial(disputes.answer, conn, item.last_event_id, "us", alone, accept=False))
        elif answer.propose:
            owed = disputes.owed(disputes.lines(conn, bill))
            attempt(item, partial(disputes.propose, conn, bill, "us", owed, alone, reason_code=now.reason_code))
    if answer.approve:
        approve = partial(
            approvals.decide, conn, verdict="approved", by=answer.by, at=answer.at, channel="airflow", note=answer.note
        )
        for item in batch.approvals:
            attempt(item, partial(approve, [item.carrier_invoice_id]))
    return done
