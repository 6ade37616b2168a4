"""A carrier's 210 over SFTP and what it finds in its directory afterwards: real server, gate, planner and outbox."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed import shaped, shaped_template
from shaped import ShapedWarehouse
from small_world import MASTERS, master

from freightsync import quality
from freightsync.landing import collect
from freightsync.pipelines import delivering, whole
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
