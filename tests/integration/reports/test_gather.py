"""The workbook's figures come out of a real warehouse, in one snapshot, with the reporting role and nothing more."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import psycopg
import pytest

from freightsync.reports import figures
from freightsync.reports.figures import TrialBalanceLine, gather
from freightsync.warehouse.connection import connect

AT = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
MARTS = [kind for kind in vars(figures).values() if isinstance(kind, type) and hasattr(kind, "relation")]
TYPES = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    Decimal: "numeric(18,2)",
    datetime: "timestamptz",
    date: "date",
}


def column_type(hint: Any) -> str:
    inner = next((part for part in get_args(hint) if part is not type(None)), hint)
    return TYPES[inner]


@pytest.fixture
def marts(warehouse: Any) -> Any:
    """Empty marts with the columns that the workbook reads, made by the role that makes them."""
    with psycopg.connect(warehouse.dbt) as connection:
        for schema in sorted({kind.relation[0] for kind in MARTS}):
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(f"grant usage on schema {schema} to freightsync_report")
        for kind in MARTS:
            hints = get_type_hints(kind)
            columns = ", ".join(f"{field.name} {column_type(hints[field.name])}" for field in dataclasses.fields(kind))
            connection.execute(f"create table {'.'.join(kind.relation)} ({columns})")
            connection.execute(f"grant select on {'.'.join(kind.relation)} to freightsync_report")
    return warehouse


def test_rows_come_back_typed_and_in_order(marts: Any) -> None:
    with psycopg.connect(marts.dbt) as connection:
        connection.execute(
            "insert into marts.fct_ledger_balance values ('2150', 'USD', 100, 150.5), ('1200', 'USD', 300, 0)"
        )
        connection.execute(
            "insert into marts.fct_accrual_roll_forward values ('2150', 'FUEL', 'NRDF', 'USD', 0, 8, 1, 0.5, 7.5)"
        )
    balance = [
        TrialBalanceLine("2150", "USD", Decimal("1.00"), Decimal("2.00")),
        TrialBalanceLine("1200", "USD", Decimal("3.00"), Decimal("0.00")),
    ]
    with connect(marts.report) as connection:
        found = gather(connection, as_of=AT, business_on=AT.date(), trial_balance=balance)
    assert [(row.account, row.credit) for row in found.ledger] == [
        ("1200", Decimal("0.00")),
        ("2150", Decimal("150.50")),
    ]
    assert found.roll_forward[0].adjusted == Decimal("0.50")
    assert [line.account for line in found.trial_balance] == ["1200", "2150"]


def test_control_totals_and_quarantine_are_the_gates_own(marts: Any) -> None:
    with psycopg.connect(marts.app) as connection:
        batch = connection.execute(
            "insert into landing.batch (feed, run_id) values ('carrier.invoice_x12', 'r1') returning batch_id"
        ).fetchone()
        assert batch is not None
        document = connection.execute(
            """insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256,
                 correlation_id, received_at, readable)
               values (%s, 'carrier.invoice_x12', 'nrdf', 'sftp', '210_1.edi', 'x', 'y', 'c', now(), true)
               returning document_id""",
            batch,
        ).fetchone()
        assert document is not None
        connection.execute(
            "insert into landing.control_total (batch_id, document_id, feed, currency, records, amount)"
            " values (%s, %s, 'carrier.invoice_x12', 'USD', 3, 300.10)",
            (*batch, *document),
        )
        connection.execute(
            "insert into landing.duplicate (batch_id, feed, kind, partner, name, currency, records, amount)"
            " values (%s, 'carrier.invoice_x12', 'record', 'nrdf', '210_1.edi', 'USD', 2, 200.10)",
            batch,
        )
        connection.execute(
            """insert into quality.quarantine (feed, batch_id, document_id, partner, natural_key, reasons, messages,
                 amount, currency)
               values ('carrier.invoice_x12', %s, %s, 'nrdf', 'INV9', '{unknown_charge_code}', '{Add the code.}',
                 100.00, 'USD')""",
            (*batch, *document),
        )
    with connect(marts.report) as connection:
        found = gather(connection, as_of=AT, business_on=AT.date(), trial_balance=[])
    [total] = found.control_totals
    assert (total.received, total.accepted, total.quarantined, total.duplicate) == (3, 0, 1, 2)
    assert (total.received_amount, total.quarantined_amount) == (Decimal("300.10"), Decimal("100.00"))
    assert total.unbalanced_batches == 0
    [row] = found.quarantine
    assert (row.document_name, row.reasons, row.released_at) == ("210_1.edi", ["unknown_charge_code"], None)


def test_a_mart_without_a_column_fails_by_name(marts: Any) -> None:
    with psycopg.connect(marts.dbt) as connection:
        connection.execute("alter table marts.fct_posting drop column rule_version")
    with (
        connect(marts.report) as connection,
        pytest.raises(psycopg.errors.UndefinedColumn, match="rule_version"),
    ):
        gather(connection, as_of=AT, business_on=AT.date(), trial_balance=[])


def test_the_reporting_role_can_change_nothing(marts: Any) -> None:
    with connect(marts.report) as connection:
        connection.execute("set transaction read write")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "insert into ops.touched (consumer, aggregate_type, aggregate_id) values ('x', 'y', 'z')"
            )
