"""How fast, and in how much memory, freight bills are read into typed records: X12 210 and EDIFACT INVOIC.

    python bench/edi_read.py [--megabytes 15] [--repeat 5] [--out var/bench/edi_read.json]

Two files of each are written, of a quarter of the size and of the size itself, and each is read in a process of its
own, from disk and through `read_stream`, every bill's charges being summed so that nothing is left lazy. Reported: the
best and the median rate over the repetitions, and the peak resident memory beyond that of the process before reading.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from freightsync.formats import edifact
from freightsync.formats.x12 import (
    ChargeLine,
    Envelope,
    Interchange,
    Invoice210,
    LineGroup,
    Party,
    QualifiedDate,
    Quantity,
    Reference,
    Transaction,
    read_stream,
    write,
)

PER_INTERCHANGE = 400


def invoices(seed: int) -> Iterator[Invoice210]:
    """Freight bills as carriers send them: three parties, references, one to six charged parts."""
    draw = random.Random(seed)
    day = dt.date(2026, 11, 1)
    number = 0
    while True:
        number += 1
        groups = []
        for at in range(1, draw.choice((2, 3, 4)) if draw.random() < 0.9 else 7):
            charges = [ChargeLine("400", Decimal(draw.randint(5_000, 250_000)).scaleb(-2), item=str(at))]
            charges.append(
                ChargeLine("405", Decimal(draw.randint(500, 40_000)).scaleb(-2), "FUEL SURCHARGE", item=str(at))
            )
            if draw.random() < 0.3:
                charges.append(ChargeLine("DSC", -Decimal(draw.randint(100, 4_000)).scaleb(-2), item=str(at)))
            groups.append(
                LineGroup(
                    str(at),
                    charges,
                    [Reference("SI", f"SH{draw.randint(100_000, 999_999)}"), Reference("PO", f"SO{number:06d}")],
                    [
                        Quantity(
                            str(at), Decimal(draw.randint(200, 20_000)), "G", Decimal(draw.randint(1, 26)), "PLT", "L"
                        )
                    ],
                )
            )
        total = sum((c.amount for g in groups for c in g.lines if c.amount is not None), Decimal(0))
        yield Invoice210(
            f"INV{seed}{number:07d}",
            total,
            day + dt.timedelta(days=draw.randint(0, 27)),
            "NRDF",
            f"SH{draw.randint(100_000, 999_999)}",
            "USD",
            payment_method="PP",
            delivery_date=day,
            delivery_qualifier="035",
            pickup_date=day,
            references=[Reference("BM", f"BOL{number:08d}"), Reference("CN", f"PRO{number:08d}")],
            dates=[QualifiedDate("86", day)],
            parties=[
                Party(
                    "SH", "NORTHERN MILLS INC", address=["1 DUMP ROAD"], city="RUMFORD", state="ME", postal_code="04276"
                ),
                Party(
                    "CN", "CONSIGNEE & SONS", address=["555 S 108TH ST"], city="TULSA", state="OK", postal_code="74101"
                ),
                Party("BT", "FREIGHT AUDIT DEPT", address=["PO BOX 12"], city="RENO", state="NV", postal_code="89501"),
            ],
            groups=groups,
            total_weight=Decimal(draw.randint(200, 40_000)),
            weight_qualifier="G",
            total_charge=total,
        )


def as_invoic(bill: Invoice210) -> edifact.Invoic:
    """The same bill as a carrier sends it in EDIFACT: a line item a charge, 20 % of tax on the whole."""
    day, net = bill.invoice_date, bill.net_amount
    tax = (net / 5).quantize(Decimal("0.01"))
    lines = [
        edifact.LineItem(
            str(number),
            line.charge_code,
            "SRV",
            description=line.description,
            quantities=[("47", Decimal(1), "PCE")],
            amounts=[edifact.Amount("203", line.amount or Decimal(0))],
            references=[edifact.Reference("SRN", reference.value) for reference in line.references[:1]],
        )
        for number, line in enumerate(bill.lines, 1)
    ]
    return edifact.Invoic(
        "380",
        bill.invoice_number,
        day,
        "9",
        "EUR",
        references=[edifact.Reference(one.qualifier, one.value) for one in bill.references],
        dates=[edifact.Moment("137", day), edifact.Moment("13", day + dt.timedelta(days=30), None, "pat")],
        parties=[
            edifact.Party(
                {"SH": "CZ", "BT": "IV"}.get(party.role, party.role),
                names=[party.name or ""],
                street=party.address,
                city=party.city,
                postal_code=party.postal_code,
                country="US",
            )
            for party in bill.parties
        ],
        lines=lines,
        amounts=[edifact.Amount("77", net + tax), edifact.Amount("125", net), edifact.Amount("176", tax)],
        taxes=[edifact.Tax("VAT", Decimal(20), "S", [edifact.Amount("124", tax)])],
    )


def write_file(path: Path, size: int, kind: str) -> None:
    """Interchanges of several hundred bills until the file has this size."""
    source = invoices(7)
    with path.open("wb") as out:
        number = 0
        while out.tell() < size:
            number += 1
            batch = [next(source) for _ in range(PER_INTERCHANGE)]
            if kind == "invoic":
                at = dt.datetime(2026, 11, 22, 8)  # noqa: DTZ001
                envelope = edifact.Envelope("NRDF", "SHIPPER", str(number), at, after="\n")
                out.write(edifact.write(envelope, [as_invoic(bill) for bill in batch]))
                continue
            out.write(write(Envelope("NRDF", "SHIPPER", number, dt.datetime(2026, 11, 22, 8), "02"), batch))  # noqa: DTZ001


def peak_memory() -> int:
    """Bytes. On Linux from /proc: ru_maxrss would count what the parent had before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def bills(path: Path) -> Iterator[tuple[int, Decimal]]:
    """Of each bill in the file: how many segments it has, and the sum of its charges."""
    with path.open("rb") as stream:
        if path.suffix == ".invoic":
            for found in edifact.read_stream(stream):
                if isinstance(found, edifact.Message):
                    bill = found.document
                    if not isinstance(bill, edifact.Invoic) or found.findings:
                        raise SystemExit(f"not a clean INVOIC: {found.control_number} {found.findings}")
                    yield found.segment_count, bill.lines_total
                elif found.findings if isinstance(found, edifact.Interchange) else True:
                    raise SystemExit(str(found))
            return
        for item in read_stream(stream):
            if isinstance(item, Transaction):
                invoice = item.document
                if not isinstance(invoice, Invoice210) or item.findings:
                    raise SystemExit(f"not a clean 210: {item.control_number} {item.findings}")
                yield item.segment_count, invoice.lines_total
            elif isinstance(item, Interchange) and item.findings:
                raise SystemExit(str(item.findings))


def measure(path: Path, repeat: int) -> dict[str, object]:
    """In this process: read the file so many times."""
    before = peak_memory()
    seconds, processor_seconds = [], []
    segments = transactions = 0
    total = Decimal(0)
    for _ in range(repeat):
        segments = transactions = 0
        total = Decimal(0)
        started, processor_started = time.perf_counter(), time.process_time()
        for count, charges in bills(path):
            transactions += 1
            segments += count
            total += charges
        seconds.append(time.perf_counter() - started)
        processor_seconds.append(time.process_time() - processor_started)
    peak = peak_memory()
    return {
        "bytes": path.stat().st_size,
        "transactions": transactions,
        "segments": segments,
        "sum_of_charges": str(total),
        "seconds": [round(s, 4) for s in seconds],
        "processor_seconds": [round(s, 4) for s in processor_seconds],
        "segments_per_second_best": round(segments / min(seconds)),
        "segments_per_second_median": round(segments / statistics.median(seconds)),
        "megabytes_per_second_best": round(path.stat().st_size / min(seconds) / 1e6, 1),
        "peak_memory_beyond_start_bytes": peak - before,
        "peak_memory_bytes": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megabytes", type=float, default=15)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("var/bench/edi_read.json"))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        json.dump(measure(arguments.measure, arguments.repeat), sys.stdout)
        return
    runs: dict[str, list[object]] = {"210": [], "invoic": []}
    with tempfile.TemporaryDirectory() as folder:
        for kind, share in ((kind, share) for kind in runs for share in (0.25, 1.0)):
            path = Path(folder) / f"{share}.{kind}"
            write_file(path, int(arguments.megabytes * share * 1_000_000), kind)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(path), "--repeat", str(arguments.repeat)],
                check=True,
                capture_output=True,
                text=True,
            )
            runs[kind].append(json.loads(done.stdout))
    result = {
        "what": "X12 210 and EDIFACT INVOIC from disk into typed records, one core",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "bar_segments_per_second": 500_000,
        "runs": runs["210"],
        "invoic_runs": runs["invoic"],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
