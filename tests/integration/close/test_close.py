"""A period from readiness to lock, on real books: what blocks it, who may sign, and what comes too late."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from openpyxl import load_workbook
from small_world import bill

from freightsync import delivery
from freightsync.domain.errors import NotEntitled, NotReady, PermanentError, TransientError
from freightsync.pipelines import build, closing, reconciling, releases
from freightsync.warehouse.connection import connect

from .conftest import APRIL, NEXT, PERIOD, TRUTH, Books
from .test_drift import explained, lines

pytestmark = pytest.mark.timeout(600)


def status(books: Books, period: str = PERIOD) -> tuple[str, str]:
    """Ours and the ERP's."""
    row = books.shaped.rows("select status from effects.period where period = %s", period)
    theirs = {one["period"]: one["status"] for one in books.erp.get("periods")["items"]}
    return (row[0]["status"] if row else "open", theirs.get(period, "open"))


def test_a_period_is_closed_signed_and_reopened(books: Books) -> None:
    # before the cut-offs, and before everybody looked after them, it can't be
    early = datetime(2026, 3, 31, 20, tzinfo=UTC)
    with pytest.raises(NotReady) as refusal:
        books.close(as_of=early)
    assert "carrier.invoice_x12 until 2026-04-03 00:00 UTC" in str(refusal.value)
    assert "feeds_not_received" in books.blocked()
    books.everybody_looked()
    books.reconcile()
    assert books.blocked() == {}

    with pytest.raises(NotEntitled, match="asked for 2026-03 to be closed and may not approve it too"):
        books.close(by="finance", approved_by="Finance")
    with pytest.raises(NotEntitled, match="steward may approve no period close"):
        books.close(approved_by="steward")
    assert status(books) == ("open", "open")

    closed = books.close()
    assert status(books) == ("closed", "locked")
    (signed,) = books.shaped.rows("select * from effects.period_sign_off")
    assert (signed["requested_by"], signed["approved_by"], signed["role"]) == ("olga", "finance", "finance_approver")
    figures = {row["account"]: (row["debit"], row["credit"]) for row in signed["figures"]["ours"]}
    assert figures == {row["account"]: (row["debit"], row["credit"]) for row in signed["figures"]["erp"]} == TRUTH
    (kept,) = books.shaped.rows("select * from effects.closing_report")
    assert kept["report_id"] == closed.report_id
    workbook = load_workbook(io.BytesIO(bytes(kept["content"])))
    assert workbook.sheetnames == ["Sign-off", "Tie-out", "Accruals", "Drift", "Checks"]
    shown = {tuple(cell.value for cell in row[:2]) for row in workbook["Tie-out"].iter_rows(min_row=1)}
    assert ("2150", "USD") in shown
    with pytest.raises(PermanentError, match="was closed by finance"):
        books.close()

    # what comes too late is of the next period, here and there
    books.late("S8", "55.00", datetime(2026, 3, 31, 22, tzinfo=UTC))
    books.deliver()
    books.reconcile()
    assert books.our_books() == books.erp_books() == TRUTH
    assert books.our_books(NEXT) == books.erp_books(NEXT) == {"2150": ("0.00", "55.00"), "6100": ("55.00", "0.00")}
    answer = books.erp.call(
        "POST",
        "/_sandbox/ledger",
        json={"do": "manual", "posted_on": "2026-03-30", "currency": "USD", "lines": lines("1.00")},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "posted_on")
    rolled = books.shaped.rows(
        "select scac, opening, accrued, closing from marts.fct_accrual_period where period = %s order by scac", NEXT
    )
    assert [tuple(row.values()) for row in rolled] == [("BLUW", D("300.00"), D("55.00"), D("355.00"))]

    # opened again by somebody with the right to that, and by nobody else
    with pytest.raises(NotEntitled, match="finance may approve no period reopen"):
        closing.reopen(PERIOD, "r", books.settings, by="olga", approved_by="finance", note="a bill was forgotten")
    closing.reopen(PERIOD, "r", books.settings, by="olga", approved_by="controller", note="a bill was forgotten")
    assert status(books) == ("open", "open")
    books.late("S9", "5.00", datetime(2026, 3, 31, 23, tzinfo=UTC))
    books.deliver()
    books.everybody_looked()
    again = books.close()
    assert again.sign_off_id > closed.sign_off_id
    assert status(books) == ("closed", "locked")
    assert books.our_books()["6100"] == books.erp_books()["6100"] == ("508.00", "100.00")
    history = books.shaped.rows("select action, requested_by, approved_by from effects.period_sign_off order by 1, 2")
    assert [row["action"] for row in history] == ["close", "close", "reopen"]


def test_one_cent_blocks_and_names_its_document(books: Books) -> None:
    books.everybody_looked()
    entry = books.accrual_entry("S2")
    books.user("amend", number=entry["number"], lines=lines("300.01"))
    with pytest.raises(NotReady) as refusal:
        books.close()
    assert entry["number"] in str(refusal.value)
    assert "has other amounts than ours, by 0.01 USD" in str(refusal.value)
    assert status(books) == ("open", "open")
    books.decide(entry["number"], "adopt")
    books.close()
    assert status(books) == ("closed", "locked")


@pytest.mark.long
def test_figures_that_moved_after_the_signature_are_not_locked(books: Books) -> None:
    books.everybody_looked()
    books.reconcile()
    shown = closing.tie_out(PERIOD, books.settings)

    def sign(run: str) -> closing.Signed:
        return closing.sign(
            PERIOD,
            run,
            books.settings,
            requested_by="olga",
            approved_by="finance",
            figures_sha256=shown["sha256"],
        )

    # a posting of ours that came in between
    signed = sign("one")
    books.late("S8", "55.00", datetime(2026, 3, 31, 22, tzinfo=UTC))
    with pytest.raises(
        NotReady,
        match=r"our books of 2026-03 have moved .* 2150 USD: 120.00 Dr 420.00 Cr signed, 120.00 Dr 475.00 Cr now",
    ):
        closing.lock(signed, books.settings)
    assert status(books) == ("open", "open")
    with pytest.raises(NotReady, match="have changed since they were shown"):
        sign("two")

    # and one of the ERP's people
    books.deliver()
    books.reconcile()
    shown = closing.tie_out(PERIOD, books.settings)
    signed = sign("three")
    books.user("manual", posted_on="2026-03-31", currency="USD", lines=lines("9.00"))
    with pytest.raises(NotReady, match="the ERP's books of 2026-03 have moved"):
        closing.lock(signed, books.settings)
    assert status(books) == ("open", "open")
    (last,) = books.shaped.rows("select note from effects.period where period = %s", PERIOD)
    assert last["note"].startswith("closing undone: the ERP's books")


@pytest.mark.long
def test_an_erp_that_is_away_while_it_is_locked_is_asked_again(books: Books) -> None:
    books.everybody_looked()
    books.reconcile()
    shown = closing.tie_out(PERIOD, books.settings)
    signed = closing.sign(
        PERIOD, "one", books.settings, requested_by="olga", approved_by="finance", figures_sha256=shown["sha256"]
    )
    books.erp.control("faults", kind="commit_then_drop", path_prefix="/api/v1/period-changes", count=1)
    with pytest.raises(TransientError):
        closing.lock(signed, books.settings)
    closing.lock(signed, books.settings)
    assert status(books) == ("closed", "locked")
    assert closing.report(signed, books.settings) == closing.report(signed, books.settings)


@pytest.mark.long
def test_a_period_that_the_erp_locked_first(books: Books) -> None:
    """What it refuses goes to the next open period under a new key; the books of both tie."""
    books.user("lock", period=PERIOD)
    books.late("S8", "55.00", datetime(2026, 3, 31, 22, tzinfo=UTC))  # nobody has told us yet
    books.deliver()
    assert books.shaped.rows("select status from ops.outbox_pending") == [{"status": "dead"}]
    assert books.reconcile().moved == 1
    assert status(books) == ("closed", "locked")
    # after a restore of the log alone, the message that was superseded does not come back
    with connect(books.settings.dsn("app")) as conn:
        assert delivery.restore(conn) == 0
    books.deliver()
    books.reconcile()
    assert books.drift() == {}
    assert books.our_books() == books.erp_books() == TRUTH
    assert books.our_books(NEXT) == books.erp_books(NEXT) == {"2150": ("0.00", "55.00"), "6100": ("55.00", "0.00")}
    # and what comes now, too
    books.late("S9", "5.00", datetime(2026, 3, 31, 23, tzinfo=UTC))
    books.deliver()
    books.reconcile()
    explained(books, NEXT)
    assert books.our_books(NEXT)["6100"] == ("60.00", "0.00")
    # it is still to be signed
    books.everybody_looked()
    books.close()
    # opened again there without a word to us: a signature is not undone by that
    books.user("unlock", period=PERIOD)
    books.reconcile()
    assert status(books) == ("closed", "open")


def test_leftover_accruals_are_released_by_two_people_once(books: Books) -> None:
    old = APRIL + timedelta(days=200)

    def leftovers() -> dict[str, tuple[D, str]]:
        return {
            row["shipment_id"]: (row["open_amount"], row["state"])
            for row in books.shaped.rows("select shipment_id, open_amount, state from decisions.accrual_leftover")
        }

    books.reconcile(as_of=APRIL)
    assert leftovers() == {}
    books.reconcile(as_of=old)
    assert leftovers() == {"tms:S2": (D("300.00"), "due")}
    with connect(books.settings.dsn("app")) as conn:
        assert releases.propose(conn, by="Controller", run_id="r") == 1
        assert releases.propose(conn, by="olga", run_id="r") == 0
        (number,) = conn.execute("select proposal_id from effects.accrual_release_proposal").fetchone() or (0,)
        with pytest.raises(NotEntitled, match="may not approve it too"):
            releases.approve(conn, [number], by="controller", at=old)
        with pytest.raises(NotEntitled):
            releases.approve(conn, [number], by="steward", at=old)
        assert releases.approve(conn, [number], by="finance", at=old) == 1
        with pytest.raises(PermanentError, match="decided before"):
            releases.approve(conn, [number], by="controller", at=old)
        conn.commit()
    assert books.reconcile(as_of=old).made.effects == 1
    assert books.reconcile(as_of=old).made.effects == 0
    assert leftovers() == {}
    books.deliver()
    books.reconcile(as_of=old)
    released = f"{old:%Y-%m}"
    assert (
        books.our_books(released)
        == books.erp_books(released)
        == {"2150": ("300.00", "0.00"), "4900": ("0.00", "300.00")}
    )
    (row,) = books.shaped.rows(
        "select opening, released, closing from marts.fct_accrual_period where period = %s and scac = 'BLUW'", released
    )
    assert tuple(row.values()) == (D("300.00"), D("300.00"), D("0.00"))
    # what settlement must know of it
    (row,) = books.shaped.rows("select shipment_id, charge_code, released_amount from decisions.released_accrual")
    assert tuple(row.values()) == ("tms:S2", "LINEHAUL", D("300.00"))


@pytest.mark.long
def test_a_release_is_of_what_was_looked_at(books: Books) -> None:
    old = APRIL + timedelta(days=200)
    books.reconcile(as_of=old)
    with connect(books.settings.dsn("app")) as conn:
        releases.propose(conn, by="olga", run_id="r")
        conn.commit()
        # the bill comes while the proposal waits
        books.shaped.admit([bill("BLUW", "B1", "28", [("LINEHAUL", "100.00")], shipment_reference="S2")])
        books.shaped.settle_down()
        with pytest.raises(
            PermanentError, match=r"300.00 USD of LINEHAUL on tms:S2 were to be released, 200.00 are open"
        ):
            releases.approve(conn, [1], by="finance", at=old)
        releases.approve(conn, [1], by="finance", at=old, refuse=True)
        conn.commit()
    books.reconcile(as_of=old)
    rows = books.shaped.rows("select open_amount, state from decisions.accrual_leftover")
    assert [tuple(row.values()) for row in rows] == [(D("200.00"), "due")]  # asked anew


@pytest.mark.long
def test_a_bill_after_a_release_that_takes_back_more_than_is_open_is_seen(books: Books) -> None:

    old = APRIL + timedelta(days=200)
    books.reconcile(as_of=old)
    with connect(books.settings.dsn("app")) as conn:
        releases.propose(conn, by="olga", run_id="r")
        releases.approve(conn, [1], by="finance", at=old)
        conn.commit()
    books.reconcile(as_of=old)

    def holds() -> bool:
        try:
            build.run_dbt("test", ["released_accruals_are_not_reversed_too"], books.settings, exclude_types=())
        except PermanentError:
            return False
        return True

    assert holds()
    # as settlement would post a bill without a look at what was released
    with connect(books.settings.dsn("owner")) as conn:
        conn.execute(
            """insert into effects.movement (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key,
                 cause, debit_account, credit_account, currency, amount, functional_currency, functional_amount,
                 reverses, posted_on, period, target, document_type, lane, attributes)
               select plan_id, uuidv7(), 'movement__settlement', 'carrier_invoice', 'BLUW:1', effect_key,
                 'invoice|1', credit_account, debit_account, currency, 0.01, functional_currency, 0.01, false,
                 posted_on, period, target, document_type, lane, attributes
               from effects.movement where aggregate_id = 'tms:S2' and relation = 'movement__accruals'"""
        )
        conn.commit()
    assert not holds()


def test_readiness_names_each_thing_that_is_open(books: Books) -> None:
    """One of each, and each is gone when it is mended."""
    books.everybody_looked()
    books.reconcile()
    assert books.blocked() == {}
    shaped = books.shaped
    shaped.touch("settle_freight", "carrier_invoice", "NRDF:1")
    shaped.conn.execute("insert into ops.run (consumer, run_id, as_of) values ('post_accruals', 'flies', %s)", (APRIL,))
    batch = shaped.conn.execute(
        "insert into landing.batch (feed, run_id) values ('carrier.invoice_csv', 'x') returning batch_id"
    ).fetchone()
    assert batch
    shaped.conn.execute(
        """insert into quality.quarantine (feed, batch_id, partner, natural_key, reasons, messages, payload, amount,
             currency) values ('carrier.invoice_csv', %s, 'bluw', 'B7', '{x}', '{y}',
             '{"invoice_on": "2026-03-30"}', 77.00, 'USD')""",
        (batch["batch_id"],),
    )
    shaped.conn.execute(
        "insert into ops.ungated_batch (batch_id, feed, held_at) values (%s, 'carrier.invoice_csv', now())",
        (batch["batch_id"],),
    )
    reconciling.compare(books.settings, as_of=APRIL)
    assert books.blocked() == {"work_waiting": 1, "runs_in_flight": 1, "held_batches": 1}
    shown = {
        row["check_name"]: (row["state"], row["found_count"], row["amount"])
        for row in shaped.rows("select * from marts.fct_close_readiness where period = %s", PERIOD)
    }
    assert shown["quarantined_records"] == ("open", 1, D("77.00"))
    # whether it blocks is a rule: finance wants it so from now on
    shaped.conn.execute(
        """insert into rules.close_check (rule_id, rule_version, check_name, effect, valid_from, recorded_at,
             recorded_by, note)
           values ('close.quarantined_records', 2, 'quarantined_records', 'block', '2026-01-01', '2026-04-01',
             'finance', 'no bill may wait')"""
    )
    reconciling.compare(books.settings, as_of=APRIL)
    assert books.blocked()["quarantined_records"] == 1
    # an older period that is open blocks this one
    shaped.conn.execute(
        "insert into effects.period_change (period, status, changed_by) values ('2026-02', 'open', 'x')"
    )
    reconciling.compare(books.settings, as_of=APRIL)
    assert books.blocked()["earlier_period_open"] == 1
