"""Delivery against a partner on loopback that says 429 and 503, refuses, and commits before it drops the line."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from freightsync import delivery
from freightsync.delivery import Backoff, Outcome, Pace
from freightsync.domain.errors import PermanentError, UnknownOutcome
from freightsync.pipelines import locks

from .partner import HttpSender, Partner

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def by_key(partner: Partner, **given) -> HttpSender:
    return HttpSender(partner.url, {"document": "key"}, **given)


def test_delivers_in_order_within_an_aggregate_and_records_the_partners_number(outbox, partner):
    keys = outbox.put("S1", "planned", "tendered", "in_transit") + outbox.put("S2", "planned")
    done = outbox.deliver(by_key(partner))
    assert (done.accepted, done.refused, done.again) == (4, 0, 0)
    assert [item["payload"]["state"] for item in partner.committed if item["key"] in keys[:3]] == [
        "planned",
        "tendered",
        "in_transit",
    ]
    assert outbox.outcomes(keys[0]) == ["sending", "accepted"]
    assert outbox.counts() == {}
    with outbox.connect() as conn:
        (reference,) = conn.execute(
            """select e.reference from effects.outcome e join effects.outbox using (outbox_id)
               where journal_id = %s and outcome = 'accepted'""",
            (keys[0],),
        ).fetchone()
    assert reference == partner.number(keys[0])


def test_lanes_are_apart(outbox, partner):
    outbox.put("S1", "planned", lane="bulk")
    outbox.put("S2", "planned", lane="hot")
    assert outbox.deliver(by_key(partner), lane="hot").accepted == 1
    assert outbox.counts() == {"ready": 1}


def test_retry_after_is_honoured_and_the_whole_target_waits(outbox, partner):
    partner.faults.append(("status", 429, {"Retry-After": "0.4"}))
    outbox.put("S1", "planned")
    outbox.put("S2", "planned")
    began = time.monotonic()
    done = outbox.deliver(by_key(partner, pace=Pace(concurrency=1, per_second=1000, burst=10)))
    assert (done.accepted, done.again) == (2, 1)
    first, *later = [at for at, _ in partner.posts]
    assert all(at - first >= 0.39 for at in later)
    assert time.monotonic() - began < 3


def test_a_wait_longer_than_patience_is_left_to_a_later_call(outbox, partner):
    partner.faults.append(("status", 429, {"Retry-After": "120"}))
    (key,) = outbox.put("S1", "planned")
    assert outbox.deliver(by_key(partner), now=NOW, patience=0.2).again == 1
    assert outbox.deliver(by_key(partner), now=NOW + timedelta(seconds=100), patience=0.2).attempted == 0
    assert outbox.deliver(by_key(partner), now=NOW + timedelta(seconds=130), patience=0.2).accepted == 1
    assert outbox.outcomes(key) == ["sending", "retry", "sending", "accepted"]


def test_a_wait_holds_for_every_deliverer_and_every_later_message(outbox, partner):
    partner.faults.append(("status", 429, {"Retry-After": "120"}))
    outbox.put("S1", "planned")
    outbox.deliver(by_key(partner), now=NOW, patience=0.2)
    outbox.put("S2", "planned")
    outbox.put("S3", "planned", lane="bulk")
    later = {"now": NOW + timedelta(seconds=100), "patience": 0.2}
    assert outbox.deliver(by_key(partner), **later).attempted == 0
    assert outbox.deliver(by_key(partner), lane="bulk", **later).attempted == 0
    assert len(partner.posts) == 1
    assert outbox.deliver(by_key(partner), now=NOW + timedelta(seconds=130)).accepted == 2


def test_while_a_partner_asks_to_wait_its_messages_wake_nobody(outbox, partner):
    outbox.put("S1", "planned", lane="bulk")
    with outbox.connect() as conn:
        assert locks.waiting(conn, "deliver_effects")
    partner.faults.append(("status", 429, {"Retry-After": "120"}))
    outbox.deliver(by_key(partner), lane="bulk", patience=0)
    outbox.put("S2", "planned", lane="bulk")
    with outbox.connect() as conn:
        assert not locks.waiting(conn, "deliver_effects")


def test_after_a_pause_one_call_asks_whether_it_is_over(outbox, partner):
    for number in range(12):
        outbox.put(f"S{number}", "planned")
    partner.faults.extend([("status", 429, {"Retry-After": "60"})] * 2)
    one_by_one = Pace(concurrency=1, per_second=1000, burst=10)
    outbox.deliver(by_key(partner, pace=one_by_one), now=NOW, patience=0.2)
    assert len(partner.posts) == 1
    four = Pace(concurrency=4, per_second=1000, burst=10)
    outbox.deliver(by_key(partner, pace=four), now=NOW + timedelta(seconds=70), patience=0.2)
    assert len(partner.posts) == 2, "it still said no, to one and not to four"
    assert outbox.deliver(by_key(partner, pace=four), now=NOW + timedelta(seconds=140)).accepted == 12


def test_what_was_held_back_has_used_up_no_attempt(outbox, partner):
    asked, held = (outbox.put(name, "planned")[0] for name in ("S1", "S2"))
    partner.faults.append(("status", 429, {"Retry-After": "60"}))
    pace = Pace(concurrency=1, per_second=1000, burst=10)
    assert outbox.deliver(by_key(partner, pace=pace), now=NOW, patience=0.2).again == 1
    first, second = outbox.letters()
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.next_attempt_at is None
    assert outbox.outcomes(asked) == outbox.outcomes(held) == ["sending", "retry"]
    assert "not sent" in second.message


def test_one_sender_keeps_its_pace_from_call_to_call(outbox, partner):
    sender = by_key(partner, pace=Pace(concurrency=1, per_second=5, burst=1))
    began = time.monotonic()
    for number in range(3):
        outbox.put(f"S{number}", "planned")
        assert outbox.deliver(sender).accepted == 1
    assert time.monotonic() - began >= 2 / 5 * 0.95


def test_being_asked_to_wait_fifty_times_gives_nothing_up(outbox, partner):
    (key,) = outbox.put("S1", "planned")
    start = datetime.now(UTC)
    partner.faults.extend([("status", 429, {"Retry-After": "60"})] * 50)
    for hour in range(50):
        outbox.deliver(by_key(partner), now=start + timedelta(hours=hour), patience=0)
    assert outbox.outcomes(key) == ["sending", "retry"] * 50
    assert outbox.deliver(by_key(partner), now=start + timedelta(hours=51)).accepted == 1


def test_three_days_after_it_was_made_or_put_back_a_message_is_given_up(outbox, partner):
    partner.faults.extend([("status", 503)] * 2)
    (key,) = outbox.put("S1", "planned", days_old=4)
    assert outbox.deliver(by_key(partner), patience=0, backoff=Backoff()).refused == 1
    assert outbox.outcomes(key) == ["sending", "gave_up"]
    with outbox.connect() as conn:
        delivery.retry(conn, None, by="operator")
    assert outbox.deliver(by_key(partner), patience=0, backoff=Backoff()).again == 1


def test_a_message_that_keeps_its_batch_from_an_answer_goes_alone(outbox, partner):
    class Choking(HttpSender):
        def send(self, batch):
            if any(message.payload["state"] == "odd" for message in batch):
                raise UnknownOutcome("no answer")
            return super().send(batch)

    for number in range(4):
        outbox.put(f"S{number}", "planned")
    outbox.put("S9", "odd")
    sender = Choking(partner.url, {"document": "key"}, Pace(per_second=1000, batch={"document": 200}))
    start = datetime.now(UTC)
    done = [outbox.deliver(sender, now=start + timedelta(hours=hour), patience=0) for hour in range(4)]
    assert [each.unknown for each in done] == [5, 5, 5, 1]
    assert done[-1].accepted == 4


def test_backoff_grows_and_ends_in_a_dead_letter(outbox, partner):
    partner.faults.extend([("status", 503)] * 20)
    (key,) = outbox.put("S1", "planned")
    backoff = Backoff(0.2, 2.0, 10.0, 0.0, give_up_after=timedelta(seconds=1))
    done = outbox.deliver(by_key(partner), patience=5.0, backoff=backoff)
    assert (done.again, done.refused) == (3, 1)
    at = [moment for moment, _ in partner.posts]
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(at) == 4
    assert [gap >= least for gap, least in zip(gaps, (0.199, 0.399, 0.799), strict=True)] == [True] * 3
    assert outbox.outcomes(key)[-1] == "gave_up"
    (letter,) = outbox.letters(status="dead")
    assert f"outbox retry {letter.outbox_id}" in letter.what_to_do


def test_a_refusal_blocks_its_aggregate_only_and_goes_on_after_a_retry(outbox, partner):
    keys = outbox.put("S1", "wrong", "tendered")
    outbox.put("S2", "planned", "tendered")
    partner.refuse_states = {"wrong"}
    done = outbox.deliver(by_key(partner))
    assert (done.accepted, done.refused) == (2, 1)
    assert outbox.counts() == {"dead": 1, "blocked": 1}
    dead, blocked = outbox.letters()
    assert (dead.status, dead.message, blocked.waits_for) == ("dead", "no such state here", dead.outbox_id)
    assert outbox.deliver(by_key(partner)).attempted == 0, "a dead letter is not tried again by itself"
    partner.refuse_states = set()
    with outbox.connect() as conn:
        assert delivery.retry(conn, [dead.outbox_id], by="operator", note="mended at the ERP") == 1
    assert outbox.deliver(by_key(partner)).accepted == 2
    assert [key for key in partner.committed_keys() if key in keys] == keys
    assert outbox.outcomes(keys[0]) == ["sending", "refused", "requeued", "sending", "accepted"]


def test_all_dead_letters_can_be_retried_at_once(outbox, partner):
    partner.refuse_states = {"wrong"}
    for number in range(3):
        outbox.put(f"S{number}", "wrong")
    outbox.deliver(by_key(partner))
    partner.refuse_states = set()
    with outbox.connect() as conn:
        assert delivery.retry(conn, None, by="operator") == 3
    assert outbox.deliver(by_key(partner)).accepted == 3


def test_one_bad_message_does_not_refuse_its_batch(outbox, partner):
    partner.refuse_states = {"wrong"}
    for number in range(5):
        outbox.put(f"S{number}", "wrong" if number == 2 else "planned")
    done = outbox.deliver(by_key(partner, pace=Pace(per_second=1000, batch={"document": 200})))
    assert (done.accepted, done.refused) == (4, 1)
    assert len(partner.posts) == 1 + 5, "the batch, then each alone"


def test_a_batch_is_one_call(outbox, partner):
    for number in range(30):
        outbox.put(f"S{number}", "planned")
    sender = by_key(partner, pace=Pace(concurrency=2, per_second=1000, batch={"document": 10}))
    assert outbox.deliver(sender).accepted == 30
    assert len(partner.posts) == 3


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop"])
@pytest.mark.parametrize("how", ["key", "lookup", "name"])
def test_an_unknown_outcome_takes_effect_once(outbox, how, fault):
    """`lookup`: against a partner that ignores keys, so that only looking first prevents a second document."""
    partner = Partner(honours_key=how != "lookup")
    try:
        partner.faults.append((fault,))
        (key,) = outbox.put("S1", "planned")
        done = outbox.deliver(HttpSender(partner.url, {"document": how}))
        assert (done.accepted, done.unknown) == (1, 1)
        assert partner.committed_keys() == [key]
        sent_again = not (how == "lookup" and fault == "commit_then_drop")
        assert len(partner.posts) == (2 if sent_again else 1)
        assert outbox.outcomes(key) == ["sending", "unknown", "sending", "accepted"]
    finally:
        partner.close()


def test_where_it_cannot_be_known_a_person_decides(outbox, partner):
    sender = HttpSender(partner.url, {"document": "person"})
    partner.faults.extend([("commit_then_drop",), ("drop",)])
    keys = outbox.put("S1", "planned", "tendered")
    assert outbox.deliver(sender).refused == 1
    (dead,) = outbox.letters(status="dead")
    assert dead.unknown
    assert "outbox accept" in dead.what_to_do
    assert len(partner.posts) == 1, "never sent again by itself"
    with outbox.connect() as conn:
        delivery.accept(conn, dead.outbox_id, reference="N1", by="operator", note="seen in their books")
        with pytest.raises(PermanentError, match="no dead letter"):
            delivery.accept(conn, dead.outbox_id, reference="N1", by="operator")
    outbox.deliver(sender)
    (dead,) = outbox.letters(status="dead")
    with outbox.connect() as conn:
        delivery.retry(conn, [dead.outbox_id], by="operator", note="not in their books")
    assert outbox.deliver(sender).accepted == 1
    assert partner.committed_keys() == keys


def test_an_operation_that_no_channel_declares_is_never_sent(outbox, partner):
    outbox.put("S1", "planned", operation="surprise")
    assert outbox.deliver(by_key(partner)).refused == 1
    assert partner.posts == []
    assert "declares no operation surprise" in outbox.letters()[0].message


def test_a_sender_that_breaks_or_forgets_an_answer_leaves_unknown_outcomes(outbox, partner):
    class Broken(HttpSender):
        def send(self, batch):
            raise KeyError("a defect of ours")

    class Forgetful(HttpSender):
        def send(self, batch):
            return list(super().send(batch))[:-1]

    (key,) = outbox.put("S1", "planned")
    assert outbox.deliver(Broken(partner.url, {"document": "key"}), patience=0).unknown == 1
    assert outbox.outcomes(key) == ["sending", "unknown"]
    later = datetime.now(UTC) + timedelta(hours=1)
    assert outbox.deliver(Forgetful(partner.url, {"document": "key"}), patience=0, now=later).unknown == 1
    assert outbox.deliver(by_key(partner), now=later + timedelta(hours=1)).accepted == 1
    assert partner.committed_keys() == [key]


def test_many_deliverers_never_send_one_message_at_the_same_time(outbox, partner):
    keys = [key for number in range(40) for key in outbox.put(f"S{number}", "planned", "tendered", "delivered")]
    partner.faults.extend([("slow", 0.01)] * 60)
    barrier = threading.Barrier(4)
    accepted = []

    def work():
        barrier.wait()
        accepted.append(outbox.deliver(by_key(partner)).accepted)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(accepted) == 120
    assert sorted(key for _, key in partner.posts) == sorted(keys), "each sent once"
    assert not partner.same_key_at_once
    order = {item["key"]: position for position, item in enumerate(partner.committed)}
    assert all(order[keys[n]] < order[keys[n + 1]] for n in range(120) if n % 3 != 2)


def test_a_dead_deliverers_messages_are_taken_over_as_unknown(outbox, partner):
    """Its connection is cut between the partner's commit and the written answer."""
    (key,) = outbox.put("S1", "planned")

    class Cut(HttpSender):
        def send(self, batch):
            answers = super().send(batch)
            with outbox.connect() as conn:
                conn.execute(
                    """select pg_terminate_backend(pid) from pg_locks
                       where locktype = 'advisory' and classid = %s and database =
                         (select oid from pg_database where datname = current_database())""",
                    (delivery.engine.LOCK_CLASS,),
                )
            return answers

    with pytest.raises(psycopg.OperationalError):
        outbox.deliver(Cut(partner.url, {"document": "key"}))
    assert outbox.counts() == {"leased": 1}
    assert outbox.deliver(by_key(partner)).accepted == 1
    assert partner.committed_keys() == [key]
    assert outbox.outcomes(key) == ["sending", "unknown", "sending", "accepted"]


def test_a_living_deliverers_lease_is_respected(outbox, partner):
    outbox.put("S1", "planned")
    inside, go_on = threading.Event(), threading.Event()

    class Waiting(HttpSender):
        def send(self, batch):
            inside.set()
            assert go_on.wait(10)
            return super().send(batch)

    thread = threading.Thread(target=outbox.deliver, args=(Waiting(partner.url, {"document": "key"}),))
    thread.start()
    assert inside.wait(10)
    assert outbox.deliver(by_key(partner), patience=0.1).attempted == 0
    go_on.set()
    thread.join()
    assert len(partner.posts) == 1


def test_concurrency_and_rate_stay_within_the_pace(outbox, partner):
    for number in range(24):
        outbox.put(f"S{number}", "planned")
    partner.faults.extend([("slow", 0.03)] * 24)
    pace = Pace(concurrency=3, per_second=40, burst=4)
    began = time.monotonic()
    assert outbox.deliver(by_key(partner, pace=pace)).accepted == 24
    assert partner.most_at_once <= 3
    assert time.monotonic() - began >= (24 - 4) / 40 * 0.95


def test_limit_bounds_a_call(outbox, partner):
    for number in range(5):
        outbox.put(f"S{number}", "planned")
    assert outbox.deliver(by_key(partner), limit=2).attempted == 2
    assert outbox.counts() == {"ready": 3}


def test_a_target_that_is_away_is_left_soon_and_nothing_is_lost(outbox, partner):
    for number in range(50):
        outbox.put(f"S{number}", "planned")
    away = HttpSender("http://127.0.0.1:1", {"document": "key"})
    done = outbox.deliver(away, patience=0.0, backoff=Backoff(base=60.0))
    assert (done.accepted, done.refused) == (0, 0)
    assert done.again <= 2 * away.pace.concurrency, "not every message has to run into the same wall"
    later = datetime.now(UTC) + timedelta(hours=1)
    assert outbox.deliver(by_key(partner), now=later).accepted == 50


def test_the_partner_never_sees_the_outcomes_of_another(outbox, partner):
    """Outcomes that a sender gives for messages outside the call are not written down."""
    keys = outbox.put("S1", "planned", "tendered")

    class Confused(HttpSender):
        def send(self, batch):
            return [*super().send(batch), Outcome(batch[0].outbox_id + 1, "accepted")]

    assert outbox.deliver(Confused(partner.url, {"document": "key"}), limit=1).accepted == 1
    assert outbox.outcomes(keys[1]) == []


def test_the_work_table_can_be_restored_from_the_log(outbox, partner):
    """Accepted, dead, waiting behind it, unknown to a person, waiting for its next attempt, never tried."""
    partner.refuse_states = {"wrong"}
    outbox.put("S1", "planned")
    outbox.put("S2", "wrong", "tendered")
    outbox.deliver(by_key(partner))
    partner.faults.extend([("drop",)])
    outbox.put("S3", "planned", operation="other")
    outbox.deliver(HttpSender(partner.url, {"other": "person"}), patience=0)
    partner.faults.extend([("status", 429, {"Retry-After": "600"})])
    outbox.put("S4", "planned")
    outbox.deliver(by_key(partner), patience=0)
    outbox.put("S5", "planned")

    def seen():
        return [(each.outbox_id, each.status, each.attempts, each.next_attempt_at) for each in outbox.letters()]

    before = seen()
    assert [status for _, status, _, _ in before] == ["dead", "ready", "dead", "ready", "ready"]
    with outbox.connect() as conn:
        conn.execute("delete from ops.outbox_pending")
        assert delivery.restore(conn) == 5
        assert delivery.restore(conn) == 0
    assert seen() == before
