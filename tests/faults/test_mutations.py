"""The project's own code broken on purpose, in a copy: each break must turn a whole day red, and for its own reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from played_day import PROJECT, PlayedDay, play

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Mutation:
    """One change of one file. sign: document types, or words among what is not quiet, that must show it."""

    name: str
    file: str
    old: str
    new: str
    sign: str

    def __str__(self) -> str:
        return self.name


MUTATIONS = [
    Mutation(
        "an event is dropped while it lands",
        "include/freightsync/landing/store.py",
        "_insert_records(conn, spec, partner, parsed.records, given)",
        "_insert_records(conn, spec, partner, parsed.records[1:] if feed == 'driver.event' else parsed.records, given)",
        "control_totals",
    ),
    Mutation(
        "an invoice is posted twice",
        "include/freightsync/systems/erp/outbound.py",
        '            answer = self._writer.write("POST", path, body(message), key=message.key)\n',
        '            answer = self._writer.write("POST", path, body(message), key=message.key)\n'
        '            if message.operation == "customer_invoice":\n'
        '                self._writer.write("POST", path, body(message), key=message.key + "-again")\n',
        "erp.customer_invoice",
    ),
    Mutation(
        "a payable's line is a cent off",
        "dbt/models/desired/movement__settlement.sql",
        "abs(signed_amount)::numeric(18, 2) as amount,",
        "(abs(signed_amount) + case when document_type = 'supplier_invoice' and charge_code = 'LINEHAUL'"
        " and shipment_id like '%1' then 0.01 else 0 end)::numeric(18, 2) as amount,",
        "erp.supplier_invoice",
    ),
    Mutation(
        "a row that belongs in quarantine is let through",
        "expectations/_carrier_invoice.yaml",
        "unexpected: r.net_amount is null or r.net_amount is distinct from r.lines_total",
        "unexpected: r.net_amount is null",
        "ours.quarantine",
    ),
]


@pytest.fixture
def copy(stack_home: Path) -> Iterator[Path]:
    """A copy of the project that may be broken."""
    made = stack_home.parent / f"{stack_home.name}-project"
    shutil.copytree(PROJECT, made, ignore=shutil.ignore_patterns(".git", ".venv*", "var", "*_cache", "__pycache__"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def play_broken(copy: Path, home: Path) -> PlayedDay:
    return play(
        home, seed=14, orders=40, seconds=25, patience=150, more={"PYTHONPATH": str(copy / "include")}, project=copy
    )


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_broken_project_does_not_agree(copy: Path, stack_home: Path, mutation: Mutation) -> None:
    target = copy / mutation.file
    text = target.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.file} changed: mutate it anew"
    target.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    day = play_broken(copy, stack_home)
    assert day.code == 1, day.output
    assert not day.summary["ok"]
    assert mutation.sign in day.summary["mismatches_by_type"], day.output
