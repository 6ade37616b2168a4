"""The close from the command line: for CI, for operations, and for whoever has no browser at hand."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from freightsync import cli

from .conftest import APRIL, NEXT, PERIOD, Books
from .test_drift import lines

pytestmark = pytest.mark.timeout(600)


def test_a_period_by_commands(
    books: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for role in ("owner", "app", "dbt", "report"):
        monkeypatch.setenv(f"FREIGHTSYNC_{role.upper()}_DSN", books.settings.dsn(role))
    monkeypatch.setenv("FREIGHTSYNC_PARTNERS", json.dumps(books.erp.settings()))

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    number = books.user("manual", posted_on="2026-03-30", currency="USD", lines=lines("12.34"), note="pallet fees")
    close = ("period", "close", PERIOD, "--by", "olga", "--approved-by", "finance", "--as-of", APRIL.isoformat())
    code, _, complaint = run(*close)  # nobody has looked since the cut-offs
    assert (code, "feeds_not_received blocked" in complaint) == (1, True)
    books.everybody_looked()
    code, _, complaint = run(*close)
    assert (code, f"erp:{number} ({number}) 12.34 USD: entered in the ERP by ann" in complaint) == (1, True)

    code, out, _ = run("drift", "list", "--period", PERIOD)
    assert (code, "12.34 USD  manual_journal, open" in out) == (0, True)
    (shown,) = json.loads(run("drift", "list", "--json")[1])
    assert (shown["document"], shown["amount"]) == (f"erp:{number}", "12.34")
    assert run("drift", "adopt", number, "--note", "ours", "--by", "finance", "--approved-by", "finance")[0] == 1
    code, out, _ = run("drift", "adopt", number, "--note", "ours", "--by", "olga")
    proposal = out.split()[0]
    code, out, _ = run("drift", "approve", proposal, "--by", "finance")
    assert (code, out) == (0, "1 approved\n")
    assert run("run", "reconcile_ledger", "--as-of", APRIL.isoformat())[0] == 0
    assert "12.34" not in run("drift", "list")[1]
    assert f"erp:{number}" in run("drift", "list", "--all")[1]

    books.everybody_looked()
    assert f"{PERIOD}  nothing blocks" in run("period", "status", PERIOD)[1]
    code, out, _ = run(*close, "--note", "first close")
    assert (code, out.startswith(f"{PERIOD} closed, sign-off ")) == (0, True)
    target = tmp_path / "march.xlsx"
    assert run("period", "report", PERIOD, "--to", str(target))[0] == 0
    assert load_workbook(io.BytesIO(target.read_bytes())).sheetnames[0] == "Sign-off"
    assert run("period", "report", NEXT)[0] == 1
    status: dict[str, Any] = json.loads(run("period", "status", PERIOD, "--json")[1])
    assert status["periods"][0]["status"] == "closed"

    reopen = ("period", "reopen", PERIOD, "--by", "olga", "--note", "forgotten", "--approved-by")
    assert run(*reopen, "finance")[0] == 1
    assert run(*reopen, "controller")[0] == 0

    # half a year later nobody has billed S2
    assert run("accruals", "list")[:2] == (0, "No accrual is older than its policy waits.\n")
    later = APRIL + timedelta(days=200)
    assert run("run", "reconcile_ledger", "--as-of", later.isoformat())[0] == 0
    code, out, _ = run("accruals", "list")
    assert (code, "due " in out) == (0, True)
    run("accruals", "propose", "--by", "olga")
    (leftover,) = json.loads(run("accruals", "list", "--json")[1])
    assert leftover["shipment_id"] == "tms:S2"
    assert run("accruals", "approve", "1", "--by", "olga")[0] == 1
    assert run("accruals", "refuse", "1", "--by", "finance")[1] == "1 refused\n"
