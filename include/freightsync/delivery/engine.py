"""The engine: leases messages, calls senders, writes down what they answered.

All of a target's database work is done by one thread on one connection; the pool's threads only call the partner. A
lease is a row's `deliverer` number together with the session lock of that number: it ends with the deliverer's
connection, however that ends, and needs no clock. Two transactions a call: lease and `sending` before it, the answer
after it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import Connection

from freightsync.delivery.pacing import TokenBucket
from freightsync.domain.errors import PermanentError, TransientError, UnknownOutcome
from freightsync.domain.outbox import LookingSender, OutboxMessage, Outcome, Pace, Sender

log = logging.getLogger(__name__)

LOCK_CLASS = 0x46534456
"""First key of the deliverers' session locks (the second is the deliverer's number)."""

AHEAD = 2
"""Calls leased for each that may be under way: so many wait in the pool while the database is written to."""

SHORTEST_PAUSE = 0.02
"""Seconds; between looks while another deliverer holds what is due."""

ALONE_AFTER = 3
"""Attempts. A message of a batch that is still without an answer after so many is sent in a call of its own."""

ConnectionFactory = Callable[[], Connection[Any]]


@dataclass(frozen=True)
class Backoff:
    """Seconds before attempt n + 1: `base` · `factor`ⁿ⁻¹, at most `cap`, spread by ± `jitter` of it. A message that is
    older than `give_up_after` becomes a dead letter: by age and not by count, as a partner that asks everybody to wait
    says nothing about one message."""

    base: float = 1.0
    factor: float = 2.0
    cap: float = 600.0
    jitter: float = 0.3
    give_up_after: timedelta = timedelta(days=3)

    def seconds(self, attempt: int, draw: float) -> float:
        """`draw`: in [0, 1)."""
        plain = min(self.cap, self.base * self.factor ** min(attempt - 1, 60))
        return plain * (1 + self.jitter * (2 * draw - 1))


DEFAULT_BACKOFF = Backoff()


@dataclass(frozen=True)
class Delivered:
    """Answers written down: `refused` counts new dead letters, `again` messages that will be tried again, `unknown`
    those of them whose effect is not known."""

    accepted: int = 0
    refused: int = 0
    again: int = 0
    unknown: int = 0

    @property
    def attempted(self) -> int:
        return self.accepted + self.refused + self.again

    def __add__(self, other: Delivered) -> Delivered:
        return Delivered(
            self.accepted + other.accepted,
            self.refused + other.refused,
            self.again + other.again,
            self.unknown + other.unknown,
        )


def deliver(
    conn_factory: ConnectionFactory,
    senders: Mapping[str, Sender],
    *,
    lane: str,
    limit: int = 500,
    now: datetime | Callable[[], datetime] | None = None,
    patience: float = 2.0,
    backoff: Backoff = DEFAULT_BACKOFF,
    draw: Callable[[], float] = random.random,
) -> Delivered:
    """Delivers what is due on a lane: at most `limit` attempts a target, targets side by side. Stays `patience` seconds
    for what falls due again meanwhile (a short Retry-After), then leaves the rest to the next call.

    `now`: the clock by which things are due (a moment is taken as the start). Any number of processes may deliver at
    once: a message is in the hands of one. Raises what the database raises; what partners do becomes outcomes.
    """
    clock = _clock(now)
    results: dict[str, Delivered] = {}
    errors: list[BaseException] = []

    def work(target: str, sender: Sender) -> None:
        try:
            with conn_factory() as conn:
                results[target] = _Target(conn, target, sender, lane, clock, patience, backoff, draw).run(limit)
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(target, senders[target]), name=f"deliver {target}")
        for target in _with_work(conn_factory, senders, lane)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(results.values(), Delivered())


def _clock(now: datetime | Callable[[], datetime] | None) -> Callable[[], datetime]:
    if callable(now):
        return now
    start, began = now or datetime.now(UTC), time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - began)


def _with_work(conn_factory: ConnectionFactory, senders: Mapping[str, Sender], lane: str) -> list[str]:
    with conn_factory() as conn:
        rows = conn.execute(
            """select target from unnest(%s::text[]) as target
               where exists (select from ops.outbox_pending p
                 where p.target = target.target and p.lane = %s and p.status <> 'dead')""",
            (sorted(senders), lane),
        ).fetchall()
    return [target for (target,) in rows]


_BUCKETS: WeakKeyDictionary[Sender, TokenBucket] = WeakKeyDictionary()


def _bucket(sender: Sender, pace: Pace) -> TokenBucket:
    """The pace of a sender, kept for as long as the sender lives: a new one for each call of `deliver` would forget
    what the partner has been asked, and what it said, a moment ago."""
    return _BUCKETS.setdefault(sender, TokenBucket(pace.per_second, pace.burst))


@dataclass(frozen=True)
class _Call:
    """Messages of one operation for one call. `unsure`: each was perhaps sent before, and its effect is not known."""

    operation: str
    unsure: bool
    messages: list[OutboxMessage]


class _Target:
    """One target's share of a `deliver` call."""

    def __init__(
        self,
        conn: Connection[Any],
        target: str,
        sender: Sender,
        lane: str,
        clock: Callable[[], datetime],
        patience: float,
        backoff: Backoff,
        draw: Callable[[], float],
    ) -> None:
        self.conn = conn
        self.target = target
        self.sender = sender
        self.lane = lane
        self.clock = clock
        self.patience = patience
        self.backoff = backoff
        self.draw = draw
        self.pace: Pace = getattr(sender, "pace", None) or Pace()
        self.bucket = _bucket(sender, self.pace)
        self.number = 0
        self.done = Delivered()
        self.paused = False
        """Whether the partner's last word was to wait."""

    def run(self, limit: int) -> Delivered:
        self._register()
        self._reclaim()
        patience = self.patience
        leave_at = time.monotonic() + patience
        leased = 0
        flying: dict[Future[list[Outcome] | None], _Call] = {}
        with ThreadPoolExecutor(self.pace.concurrency, thread_name_prefix=f"send {self.target}") as pool:
            while True:
                free = AHEAD * self.pace.concurrency - len(flying)
                if free >= self.pace.concurrency and leased < limit and not self._closed_for():
                    if self.paused:
                        free = 0 if flying else 1  # it asked to wait: one call finds out whether it is ready again
                    for call in self._lease(min(limit - leased, free * max([1, *self.pace.batch.values()])), free):
                        flying[pool.submit(self._send, call)] = call
                        leased += len(call.messages)
                if flying:
                    finished = wait(flying, return_when=FIRST_COMPLETED).done
                    self._record([(flying.pop(future), future.result()) for future in finished])
                    leave_at = time.monotonic() + patience
                    continue
                pause = self._until_due() if leased < limit else None
                if pause is None or time.monotonic() + pause > leave_at:
                    return self.done
                time.sleep(max(pause, SHORTEST_PAUSE))

    # -- leasing ----------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        with self.conn.transaction():
            row = self.conn.execute("select nextval('ops.deliverer_id')").fetchone()
            assert row is not None
            self.number = int(row[0])
            self.conn.execute("select pg_advisory_lock(%s, %s)", (LOCK_CLASS, self.number))

    def _reclaim(self) -> None:
        """Messages in the hands of deliverers that are gone: sent or not, nobody knows."""
        with self.conn.transaction():
            self.conn.execute(
                """with gone as (
                     update ops.outbox_pending p set status = 'ready', deliverer = null, unknown = true
                     where p.status = 'leased' and p.target = %s and not exists (
                       select from pg_locks l
                       where l.locktype = 'advisory' and l.granted and l.objsubid = 2
                         and l.classid::bigint = %s and l.objid::bigint = p.deliverer
                         and l.database = (select oid from pg_database where datname = current_database()))
                     returning outbox_id, attempts)
                   insert into effects.outcome (outbox_id, attempt, outcome, message)
                   select outbox_id, attempts, 'unknown', 'the deliverer died before it wrote down an answer'
                   from gone""",
                (self.target, LOCK_CLASS),
            )

    def _closed_for(self) -> float:
        """Seconds until the partner may be asked again: what it said to this process or to any other."""
        with self.conn.transaction():
            row = self.conn.execute(
                "select closed_until from ops.target_pause where target = %s", (self.target,)
            ).fetchone()
        self.paused = row is not None
        told = 0.0 if row is None else (row[0] - self.clock()).total_seconds()
        return max(0.0, told, self.bucket.closed_for())

    def _lease(self, rows: int, calls: int) -> list[_Call]:
        """The first message of each aggregate that waits, grouped into at most `calls` calls; what they have no room
        for stays as it is. One that stayed without an answer again and again goes alone: it may be what keeps the
        others of its call from one."""
        if not calls:
            return []
        with self.conn.transaction():
            found = self.conn.execute(
                """select p.outbox_id, p.operation, p.unknown, p.unknown and p.attempts >= %s
                   from ops.outbox_pending p
                   where p.target = %s and p.lane = %s and p.status = 'ready' and p.next_attempt_at <= %s
                     and not exists (select from ops.outbox_pending q
                       where q.target = p.target and q.aggregate_type = p.aggregate_type
                         and q.aggregate_id = p.aggregate_id and q.outbox_id < p.outbox_id)
                   order by p.outbox_id limit %s for update of p skip locked""",
                (ALONE_AFTER, self.target, self.lane, self.clock(), rows),
            ).fetchall()
            if not found:
                return []
            groups: list[tuple[str, bool, list[int]]] = []
            lonely: set[int] = set()
            for outbox_id, operation, unsure, alone in found:
                room = 1 if alone else self.pace.batch.get(operation, 1)
                fitting = (
                    g for g in groups if g[:2] == (operation, unsure) and len(g[2]) < room and g[2][0] not in lonely
                )
                group = next(fitting, None)
                if group is not None:
                    group[2].append(outbox_id)
                elif len(groups) < calls:
                    groups.append((operation, unsure, [outbox_id]))
                    if alone:
                        lonely.add(outbox_id)
            rows_by_id = {
                row[0]: row
                for row in self.conn.execute(
                    """with leased as (
                         update ops.outbox_pending set status = 'leased', deliverer = %s, attempts = attempts + 1
                         where outbox_id = any(%s) returning outbox_id, attempts),
                       noted as (
                         insert into effects.outcome (outbox_id, attempt, outcome)
                         select outbox_id, attempts, 'sending' from leased)
                       select o.outbox_id, o.journal_id::text, o.target, o.operation, o.aggregate_type, o.aggregate_id,
                         o.lane, o.correlation_id, o.payload, l.attempts
                       from leased l join effects.outbox o using (outbox_id)""",
                    (self.number, [outbox_id for _, _, ids in groups for outbox_id in ids]),
                )
            }
        return [_Call(name, unsure, [OutboxMessage(*rows_by_id[i]) for i in ids]) for name, unsure, ids in groups]

    def _until_due(self) -> float | None:
        """Seconds until something may be leased; None where nothing waits."""
        with self.conn.transaction():
            row = self.conn.execute(
                """select min(p.next_attempt_at) from (
                     select greatest(next_attempt_at, %(now)s) as next_attempt_at
                     from ops.outbox_pending p
                     where p.target = %(target)s and p.lane = %(lane)s and p.status = 'ready' and not exists (
                       select from ops.outbox_pending q
                       where q.target = p.target and q.aggregate_type = p.aggregate_type
                         and q.aggregate_id = p.aggregate_id and q.outbox_id < p.outbox_id)) as p""",
                {"now": self.clock(), "target": self.target, "lane": self.lane},
            ).fetchone()
        if row is None or row[0] is None:
            return None
        due: datetime = row[0]
        return max((due - self.clock()).total_seconds(), self._closed_for())

    # -- sending (in the pool's threads; no database here) -------------------------------------------------------------

    def _send(self, call: _Call) -> list[Outcome] | None:
        """What became of each message; None where none was sent, as the partner has asked to wait meanwhile."""
        how = self.sender.operations.get(call.operation)
        if how is None:
            return [
                Outcome.refused(
                    message,
                    f"{self.target} declares no operation {call.operation}",
                    "declare in its sender how the operation is once in effect, then retry",
                )
                for message in call.messages
            ]
        if call.unsure and how == "person":
            return [Outcome.unknown(message, "sent before, without an answer") for message in call.messages]
        if self.bucket.closed_for() > self.patience:
            return None
        if not (call.unsure and how == "lookup"):
            return self._ask(self.sender.send, call.messages)
        if not isinstance(self.sender, LookingSender):
            raise TypeError(f"the sender of {self.target} declares lookup for {call.operation} but has no look_up")
        seen = self._ask(self.sender.look_up, call.messages, looking=True)
        absent = {outcome.outbox_id for outcome in seen if outcome.verdict == "absent"}
        again = [message for message in call.messages if message.outbox_id in absent]
        found = [outcome for outcome in seen if outcome.outbox_id not in absent]
        return found + (self._ask(self.sender.send, again) if again else [])

    def _ask(
        self,
        ask: Callable[[Sequence[OutboxMessage]], Sequence[Outcome]],
        messages: list[OutboxMessage],
        *,
        looking: bool = False,
    ) -> list[Outcome]:
        """One call, and an outcome for each message whatever happens. A look-up that failed leaves the effect
        unknown."""
        self.bucket.take()
        try:
            answered = {outcome.outbox_id: outcome for outcome in ask(messages)}
        except UnknownOutcome as error:
            return [Outcome.unknown(message, str(error)) for message in messages]
        except TransientError as error:
            self._wait_before_the_next(error.retry_after)
            return [Outcome.again(message, str(error), error.retry_after) for message in messages]
        except PermanentError as error:
            if len(messages) > 1:  # one bad message must not refuse the others
                return [outcome for message in messages for outcome in self._ask(ask, [message], looking=looking)]
            if looking:
                return [Outcome.unknown(message, f"look-up refused: {error.message}") for message in messages]
            return [Outcome.refused(message, error.message, error.what_to_do) for message in messages]
        except Exception as error:
            log.exception("sending to %s: %s", self.target, [message.outbox_id for message in messages])
            return [Outcome.unknown(message, f"{type(error).__name__}: {error}") for message in messages]
        for outcome in answered.values():
            if outcome.verdict == "retry":
                self._wait_before_the_next(outcome.retry_after)
        return [
            answered.get(message.outbox_id) or Outcome.unknown(message, "the sender gave no answer for this message")
            for message in messages
        ]

    def _wait_before_the_next(self, retry_after: float | None) -> None:
        """One partner, one state: what it said to this message holds for the next one too."""
        self.bucket.close_for(self.backoff.base if retry_after is None else retry_after)

    # -- writing down -----------------------------------------------------------------------------------------------

    def _record(self, answered: Sequence[tuple[_Call, Sequence[Outcome] | None]]) -> None:
        with self.conn.transaction(), self.conn.pipeline():
            for call, outcomes in answered:
                if outcomes is None:
                    self._release(call)
                    continue
                attempts = {message.outbox_id: message.attempt for message in call.messages}
                for outcome in outcomes:
                    self.done += self._record_one(call.operation, outcome, attempts[outcome.outbox_id])
                self._record_pause(outcomes)

    def _release(self, call: _Call) -> None:
        """Messages that were not sent after all: no attempt is counted, and their `sending` gets its answer."""
        ids = [message.outbox_id for message in call.messages]
        self.conn.execute(
            """with released as (
                 update ops.outbox_pending set status = 'ready', deliverer = null, attempts = attempts - 1
                 where outbox_id = any(%s) returning outbox_id, attempts + 1 as attempt, unknown)
               insert into effects.outcome (outbox_id, attempt, outcome, message)
               select outbox_id, attempt, case when unknown then 'unknown' else 'retry' end, %s from released""",
            (ids, f"not sent: {self.target} asked to wait"),
        )

    def _record_pause(self, outcomes: Sequence[Outcome]) -> None:
        """How long the partner asked everybody to wait, for this process's later calls and for other deliverers; any
        other answer ends it."""
        asked = [outcome.retry_after for outcome in outcomes if outcome.verdict == "retry" and outcome.retry_after]
        if asked:
            self.conn.execute(
                """insert into ops.target_pause as p (target, closed_until) values (%s, %s)
                   on conflict (target) do update set closed_until = greatest(p.closed_until, excluded.closed_until)""",
                (self.target, self.clock() + timedelta(seconds=max(asked))),
            )
        elif self.paused and any(outcome.verdict in ("accepted", "refused") for outcome in outcomes):
            self.conn.execute(
                "delete from ops.target_pause where target = %s and closed_until <= %s", (self.target, self.clock())
            )

    def _too_old(self, outbox_id: int) -> bool:
        """Whether the message has been tried for long enough, since it was made or a person last put it back."""
        row = self.conn.execute(
            """select greatest(o.created_at, (select max(e.at) from effects.outcome e
                 where e.outbox_id = o.outbox_id and e.outcome = 'requeued'))
               from effects.outbox o where o.outbox_id = %s""",
            (outbox_id,),
        ).fetchone()
        assert row is not None
        since: datetime = row[0]
        return self.clock() - since > self.backoff.give_up_after

    def _record_one(self, operation: str, outcome: Outcome, attempt: int) -> Delivered:
        verdict: str = outcome.verdict
        what_to_do = outcome.what_to_do
        unsure = verdict == "unknown"
        next_attempt_at: datetime | None = None
        if verdict == "accepted":
            counted = Delivered(accepted=1)
        elif unsure and self.sender.operations.get(operation) == "person":
            counted = Delivered(refused=1, unknown=1)
            what_to_do = (
                f"look at {self.target} whether it took effect; then `freightsync outbox accept {outcome.outbox_id} "
                f"--reference …` or `freightsync outbox retry {outcome.outbox_id}`"
            )
        elif verdict in ("retry", "unknown", "absent") and not self._too_old(outcome.outbox_id):
            verdict = "unknown" if unsure else "retry"
            counted = Delivered(again=1, unknown=int(unsure))
            pause = self.backoff.seconds(attempt, self.draw())
            if outcome.retry_after is not None:
                pause = max(outcome.retry_after, pause)
            next_attempt_at = self.clock() + timedelta(seconds=pause)
        else:
            verdict = "refused" if verdict == "refused" else "gave_up"
            counted = Delivered(refused=1, unknown=int(unsure))
        if verdict in ("refused", "gave_up"):
            what_to_do = what_to_do or (
                f"mend the cause at {self.target} or in the data, then `freightsync outbox retry {outcome.outbox_id}`"
            )
        self.conn.execute(
            """insert into effects.outcome (outbox_id, attempt, outcome, reference, message, what_to_do,
               next_attempt_at) values (%s, %s, %s, %s, %s, %s, %s)""",
            (
                *(outcome.outbox_id, attempt, verdict, outcome.reference or None, outcome.message or None),
                *(what_to_do or None, next_attempt_at),
            ),
        )
        if verdict == "accepted":
            self.conn.execute("delete from ops.outbox_pending where outbox_id = %s", (outcome.outbox_id,))
        else:
            self.conn.execute(
                """update ops.outbox_pending set status = %s, deliverer = null, unknown = unknown or %s,
                     next_attempt_at = coalesce(%s, next_attempt_at)
                   where outbox_id = %s""",
                ("dead" if next_attempt_at is None else "ready", unsure, next_attempt_at, outcome.outbox_id),
            )
        return counted
