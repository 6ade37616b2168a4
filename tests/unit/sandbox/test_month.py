"""The month before anything runs: the same each time, whole, and with every case in it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from decimal import Decimal as D

import pytest

from freightsync.sandbox.scenario.month import DAYS, NEXT, PERIOD, SPECIAL, Month, actions, month
from freightsync.sandbox.scenario.sums import NoRoomError
from freightsync.sandbox.server import bundle


@pytest.mark.parametrize("weeks", [1, 2, 4])
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_month_twice_is_the_same(seed: int, weeks: int) -> None:
    def text(made: Month) -> str:
        return json.dumps([asdict(step) for step in made.steps], default=str) + json.dumps(made.truth)

    made = month(seed, 36, weeks)
    assert text(made) == text(month(seed, 36, weeks)) != text(month(seed + 1, 36, weeks))
    days = [step.day for step in made.steps]
    assert days == sorted(set(days))
    assert [day for day in days if f"{day:%Y-%m}" == PERIOD] == list(DAYS[weeks])
    # what comes late comes in the next period, and what nobody ever billed is given up after half a year
    assert f"{days[-1]:%Y-%m}" > NEXT
    assert (days[-1] - days[0]).days > 180
    ids = [action["id"] for action in actions(made) if "id" in action]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_truth_balances_and_has_every_case(seed: int) -> None:
    truth = month(seed).truth["documents"]
    ledgers = [name for name in truth if name.startswith("ledger ")]
    assert set(ledgers) > {f"ledger {PERIOD}", f"ledger {NEXT}", "ledger in USD"}
    for name in ledgers:
        assert sum(D(row["debit"]) - D(row["credit"]) for row in truth[name].values()) == 0, name
    march, april = truth[f"ledger {PERIOD}"], truth[f"ledger {NEXT}"]
    # something is open in both currencies when the month closes, and April has late postings in both
    for currency in ("USD", "EUR"):
        assert D(march[f"2150/{currency}"]["credit"]) > D(march[f"2150/{currency}"]["debit"])
        assert D(april[f"2100/{currency}"]["credit"]) > 0
        assert D(april[f"2100/{currency}"]["debit"]) > 0
    assert {row.split("/")[0] for row in truth["ledger in USD"]} >= {"2159", "7100", "7150", "6900", "2200", "1000"}
    # what was valued at the end of March is back in April
    assert truth["ledger in USD"]["2159/EUR"]["debit"] == truth["ledger in USD"]["2159/EUR"]["credit"]
    verdicts = {row["verdict"] for row in truth["ours.verdict"].values()}
    assert verdicts == {
        *("exact", "in_tolerance", "out_of_tolerance", "agreed", "audited", "duplicate_number", "no_candidate"),
        *("self_billed", "duplicate_self_bill"),
    }
    assert all(truth[name] for name in ("erp.landed", "ours.receivable", "ours.dispute", "ours.accrued"))
    (close,) = [r for step in month(seed).steps for r in step.rounds if r.kind == "drift" and r.more["found"]]
    assert {one["reason"] for one in close.more["found"]} == {
        *("manual_journal", "reversed_in_erp", "amount_differs", "missing_there", "lost_answer"),
    }


def test_what_carriers_write_in_a_month_can_be_written() -> None:
    at = dt.datetime(2026, 3, 6, 20, tzinfo=dt.UTC)
    for action in actions(month(1)):
        if action["do"] in ("214", "210", "invoic", "csv", "xlsx"):
            _, content = bundle(action["do"], [action], 1, at, sender=action.get("partner", "nrdf").upper())
            assert content


def test_a_month_needs_room_for_its_cases() -> None:
    with pytest.raises(NoRoomError):
        month(1, len(SPECIAL))
