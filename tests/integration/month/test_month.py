"""A business month from the first order to the lock, and what comes after it: the ERP's trial balance over its API, our
log and the truth say the same, period by period and cent by cent; what its own people do comes out as drift."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployed import shaped, shaped_template
from played_month import month_player
from shaped import ShapedWarehouse

from freightsync.proof.compare import compare
from freightsync.sandbox.scenario.month import month

__all__ = ["shaped", "shaped_template"]

PERIODS = tuple(f"2026-{number:02d}" for number in range(1, 13))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("seed", "orders", "weeks"),
    [(6, 36, 1), *(pytest.param(seed, 48, 4, marks=pytest.mark.long) for seed in range(1, 6))],
)
def test_a_month_with_its_close_ends_as_it_must(
    shaped: ShapedWarehouse, tmp_path: Path, seed: int, orders: int, weeks: int
) -> None:
    dsns = {name: getattr(shaped.settings, name) for name in ("owner_dsn", "app_dsn", "dbt_dsn", "report_dsn")}
    made = month(seed, orders, weeks)
    with month_player(tmp_path, dsns, shaped.settings.dsn("owner")) as player:
        player.play(made)
        assert {"undecided_drift"} <= player.blocked
        outcome = player.outcome(PERIODS)
        compared = compare(made.truth, outcome)
        assert "\n".join(map(str, compared.mismatches)) == ""
        assert compared.clean
        # our own log says the same, account by account
        truth = made.truth["documents"]
        assert player.our_ledger() == {name: found for name, found in truth.items() if name.startswith("ledger ")}
        # both ways, document by document: whatever came through the interface is ours, and all of ours is there
        journals = {
            row["id"]
            for row in shaped.rows(
                """select o.journal_id::text as id from effects.outbox o
                   where o.target = 'erp' and o.kind = 'movement'
                     and not exists (select from effects.document_move m where m.journal_id = o.journal_id
                       and m.new_journal_id is not null)
                   union select new_journal_id::text from effects.document_move where new_journal_id is not null"""
            )
        }
        entries = player.get("ledger-entries", limit=1000)["items"]
        assert {entry["reference"] for entry in entries if entry["origin"] == "interface"} == journals
        # looked at once more, nothing is made
        before = shaped.rows("select count(*) from effects.movement")
        player.run(made.steps[-1], *("post_accruals", "settle_freight", "apply_payments", "invoice_on_pod"))
        assert shaped.rows("select count(*) from effects.movement") == before
