"""A carrier's 210 over SFTP and what it finds in its directory afterwards: real server, gate, planner and outbox."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from deployed import shaped, shaped_template
from shaped import Fact, ShapedWarehouse
from small_world import MASTERS, master, order, plan, tender

from freightsync import quality
from freightsync.cli import main
from freightsync.landing import collect
from freightsync.pipelines import build, delivering, whole
from freightsync.reports.figures import gather
from freightsync.sandbox import sftp_server
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

__all__ = ["shaped", "shaped_template"]

ISA = "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261122*0800*U*00401*000000042*0*P*:"
FILE = "".join(
    segment + "~\n"
    for segment in (
        ISA,
        "GS*IM*NRDF*SHIPPER*20261122*0800*7*X*004010",
        "ST*210*0001",
        # 200.00 in all, 150.00 in its line
        "B3**N1*SH1*PP**20261121*20000****NRDF",
        "C3*USD",
        "LX*1",
        "L1*1***15000****400",
        "SE*6*0001",
        "GE*1*7",
        "IEA*1*000000042",
    )
)


@pytest.fixture
def served(shaped: ShapedWarehouse, tmp_path: Path) -> Iterator[tuple[Settings, Path]]:
    root, key = tmp_path / "files", tmp_path / "host_key"
    public = sftp_server.ensure_host_key(key)
    users = {"freightsync": sftp_server.Account("p", ""), "nrdf": sftp_server.Account("p", "nrdf")}
    ready, place = threading.Event(), dict[str, Any]()

    async def serve() -> None:
        place["loop"], place["task"] = asyncio.get_running_loop(), asyncio.current_task()
        acceptor = await sftp_server.serve(sftp_server.ServerConfig("127.0.0.1", 0, root, key, users))
        place["port"] = acceptor.get_port()
        ready.set()
        await asyncio.Event().wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except asyncio.CancelledError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    dsns = {f"{role}_dsn": shaped.settings.dsn(role) for role in ("owner", "app", "dbt", "report")}  # type: ignore[arg-type]
    ours = {"port": place["port"], "user": "freightsync", "password": "p", "host_key": public}
    # nobody asks these two: nothing is for them
    others = {name: {"base_url": "http://127.0.0.1:9", "token": "t"} for name in ("erp", "tms")}
    yield Settings.load(**dsns, sftp=ours, partners=others), root / "nrdf"
    place["loop"].call_soon_threadsafe(place["task"].cancel)
    thread.join(20)


@pytest.mark.timeout(300)
def test_a_210_is_answered_once_by_a_997_and_by_an_824(shaped: ShapedWarehouse, served: tuple[Settings, Path]) -> None:
    settings, theirs = served
    carrier = {"carrier_id": "K1", "scac": "NRDF", "name": "Northern Road", "carrier_currency": "USD"}
    shaped.admit([*MASTERS, master("erp.carrier", "carrier_id", **carrier)])
    shaped.settle_down()
    (theirs / "inbound" / "210_1.edi").write_text(FILE)
    with connect(settings.dsn("app")) as conn:
        (landed,) = collect(conn, settings, ["carrier.invoice_x12"], "r1", file_patience=5.0)
        assert landed.records == 1
        (gated,) = quality.gate(conn, ["carrier.invoice_x12"], "r1", great_expectations=False)
        assert gated.quarantined == 1
    for round_ in ("one", "two"):
        made = whole.run_pipeline("answer_carriers", round_, None, settings).made
        sent = delivering.deliver_effects(f"deliver {round_}", settings)
        assert (made.messages, sent.accepted) == ((2, 2) if round_ == "one" else (0, 0))
    found = {path.name: path.read_text() for path in (theirs / "outbound").iterdir()}
    # in the order of their aggregates; one sequence for both
    kinds = {name.split("_")[0] for name in found}
    numbers = sorted(name.split("_")[1] for name in found)
    assert (kinds, numbers) == ({"997", "824"}, ["000000001.edi", "000000002.edi"])
    read = next(text for name, text in found.items() if name.startswith("997"))
    assert "AK2*210*0001~" in read
    assert "AK5*A~" in read, "it could be read: what is wrong with it is its content"
    advice = next(text for name, text in found.items() if name.startswith("824"))
    assert "OTI*TR*IK*N1*****7*0001*210~" in advice
    assert "TED*010*lines do not sum~" in advice
    rows = shaped.rows("select partner, first_number, numbers from effects.control_number order by 2")
    assert [tuple(row.values()) for row in rows] == [("nrdf", 1, 1), ("nrdf", 2, 1)]


def interchange(functional_id: str, *segments: str) -> str:
    """A file of NRDF's with one group of one transaction; the first segment is its ST."""
    set_id = segments[0].split("*")[1]
    body = [*segments, f"SE*{len(segments) + 1}*0001"]
    head = [ISA, f"GS*{functional_id}*NRDF*SHIPPER*20261122*0900*{set_id}1*X*004010"]
    return "".join(segment + "~\n" for segment in (*head, *body, f"GE*1*{set_id}1", "IEA*1*000000042"))


@pytest.mark.timeout(300)
def test_what_a_carrier_says_to_our_answers_is_tied_to_them(
    shaped: ShapedWarehouse,
    served: tuple[Settings, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two bills are kept back and advised; of the two 824s one is acknowledged. A 990 belongs to its tender, one that
    means nothing here waits, and 997s are answered by nothing."""
    settings, theirs = served
    carrier = {"carrier_id": "K1", "scac": "NRDF", "name": "Northern Road", "carrier_currency": "USD"}
    shaped.admit([*MASTERS, master("erp.carrier", "carrier_id", **carrier)])
    shaped.admit([order("A", "C1", [(10, "5.00")]), plan("SH1", "NRDF", [("A", 1, 5, "10")], {"LINEHAUL": "150.00"})])
    shaped.admit([replaced(tender("SH1", kind, at), scac="NRDF") for kind, at in TENDERED])
    shaped.settle_down()
    (theirs / "inbound" / "210_1.edi").write_text(FILE)
    (theirs / "inbound" / "210_2.edi").write_text(FILE.replace("N1", "N2"))
    take(settings, "carrier.invoice_x12", 2)
    whole.run_pipeline("answer_carriers", "one", None, settings)
    delivering.deliver_effects("deliver one", settings)
    assert states(shaped) == {"N1": "unacknowledged", "N2": "unacknowledged"}
    advice = next(path.read_text() for path in (theirs / "outbound").glob("824*") if "*N2*" in path.read_text())
    number = next(line for line in advice.split("~") if line.strip().startswith("GS*")).split("*")[6]

    acknowledged = (f"AK1*AG*{number}", "AK2*824*0001", "AK5*A", "AK9*A*1*1*1")
    ours = {
        "997_1.edi": interchange("FA", "ST*997*0001", *acknowledged),
        "824_1.edi": interchange("AG", "ST*824*0001", "BGN*00*9*20261122", "OTI*TA*IK*N1*****7*0001*210"),
        "990_1.edi": interchange("GF", "ST*990*0001", "B1*NRDF*SH1*20260305*D", "N9*CN*P77"),
        "990_2.edi": interchange("GF", "ST*990*0001", "B1*NRDF*SH1*20260305*Q"),
    }
    for name, content in ours.items():
        (theirs / "inbound" / name).write_text(content)
    take(settings, "carrier.edi_answer", 2)
    take(settings, "carrier.tender_response", 2, quarantined=1)
    assert states(shaped) == {"N1": "unacknowledged", "N2": "acknowledged"}
    assert on_the_sheet(settings) == unanswered(theirs) == {number_of(theirs, "N1")}
    links = shaped.rows("select kind, answers, needs_a_look from decisions.edi_answer_link order by kind")
    # N1 is in quarantine: it is no bill yet that the 824 could be about
    assert [tuple(row.values()) for row in links] == [("824", "nothing_of_ours", True), ("997", "advice", False)]
    monkeypatch.setenv("FREIGHTSYNC_REPORT_DSN", shaped.settings.dsn("report"))
    assert main(["edi", "answers", "--json"]) == 0
    shown = [(one["answers"], one["verdict"]) for one in json.loads(capsys.readouterr().out)]
    assert sorted(shown) == [("nothing", "unacknowledged"), ("nothing_of_ours", "accepted")]
    assert main(["edi", "answers", "--all"]) == 0
    assert sorted(line.split("  ")[1] for line in capsys.readouterr().out.splitlines()) == ["824", "824", "997"]
    (answer,) = shaped.rows("select decision, tender_round, tms_status, state from decisions.tender_answer")
    assert tuple(answer.values()) == ("declined", 1, "tender_accepted", "tms_differs")
    (kept,) = shaped.rows("select feed, reasons from quality.quarantine where feed like 'carrier.t%'")
    assert kept["reasons"] == ["unknown_answer_code"]
    # the 824 and the 990s could be read, and are told so; of the 997 nothing is said
    whole.run_pipeline("answer_carriers", "two", None, settings)
    before = set((theirs / "outbound").iterdir())
    delivering.deliver_effects("deliver two", settings)
    told = [path.read_text() for path in set((theirs / "outbound").iterdir()) - before]
    assert sorted(line for text in told for line in text.splitlines() if line.startswith("AK1")) == [
        "AK1*AG*8241~",
        "AK1*GF*9901~",
        "AK1*GF*9901~",
    ]


TENDERED = (("tender_sent", "05T10"), ("tender_accepted", "05T11"))


def replaced(fact: Fact, **columns: Any) -> Fact:
    return replace(fact, columns={**fact.columns, **columns})


def take(settings: Settings, feed: str, records: int, quarantined: int | None = None) -> None:
    with connect(settings.dsn("app")) as conn:
        landed = collect(conn, settings, [feed], f"take {feed}", file_patience=5.0)
        assert sum(one.records for one in landed) == records
        gated = quality.gate(conn, [feed], f"gate {feed}", great_expectations=False)
        if quarantined is not None:
            assert sum(one.quarantined for one in gated) == quarantined


def states(shaped: ShapedWarehouse) -> dict[str, str]:
    return {row["invoice_number"]: row["state"] for row in shaped.rows("select * from decisions.edi_sent")}


def number_of(theirs: Path, invoice: str) -> int:
    """The group of our advice on a bill."""
    (advice,) = [text for path in (theirs / "outbound").glob("824*") if f"*{invoice}*" in (text := path.read_text())]
    return int(next(line for line in advice.split("~") if line.strip().startswith("GS*")).split("*")[6])


def unanswered(theirs: Path) -> set[int]:
    """The groups of our advices that no 997 among the files which the carrier left speaks of."""
    ours = {
        int(line.split("*")[6])
        for path in (theirs / "outbound").glob("824*")
        for line in path.read_text().split("~")
        if line.strip().startswith("GS*")
    }
    left = [path for folder in ("inbound", "archive") for path in (theirs / folder).iterdir()]
    told = {
        int(line.split("*")[2])
        for path in left
        for line in path.read_text().split("~")
        if line.strip().startswith("AK1*AG*")
    }
    return ours - told


def on_the_sheet(settings: Settings) -> set[int]:
    build.run_dbt("run", ["fct_open_advice"], settings, as_of=datetime.now(UTC))
    with connect(settings.dsn("report")) as conn:
        found = gather(conn, as_of=datetime.now(UTC), business_on=date(2026, 11, 22), trial_balance=[])
    assert {row.state for row in found.advices} == {"unacknowledged"}
    return {row.control_number for row in found.advices}
