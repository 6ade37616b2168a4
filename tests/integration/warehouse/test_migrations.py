"""The operational tables as the roles meet them: what each may do, and what nobody may."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from freightsync.domain.names import FEED_TABLES
from freightsync.warehouse import migrate
from freightsync.warehouse.connection import connect, copy_rows

APPEND_ONLY = ("landing", "quality", "effects")


def tables(conn: psycopg.Connection, *schemas: str) -> list[tuple[str, str]]:
    return conn.execute(
        "select schemaname, tablename from pg_tables where schemaname = any(%s) order by 1, 2", (list(schemas),)
    ).fetchall()


def test_upgrade_is_repeatable_and_reaches_the_newest_revision(warehouse):
    migrate.upgrade(warehouse.owner)
    assert migrate.current(warehouse.owner) == migrate.head()


def test_every_feed_has_its_table_and_is_counted_in_the_record_view(module_warehouse):
    with connect(module_warehouse.owner) as conn:
        there = {name for _, name in tables(conn, "landing")}
        assert set(FEED_TABLES.values()) <= there
        view = conn.execute("select pg_get_viewdef('landing.record')").fetchone()[0]
        assert all(f"landing.{name}" in view for name in FEED_TABLES.values())


@pytest.mark.parametrize("role", ["app", "dbt", "report", "owner"])
def test_append_only_tables_refuse_every_change(module_warehouse, role):
    """Every table of the three schemas, tried one by one, each statement as a client would send it."""
    with connect(getattr(module_warehouse, role)) as conn:
        found = tables(conn, *APPEND_ONLY)
        assert len(found) > 30
        for name in found:
            table = sql.Identifier(*name)
            column = conn.execute(
                """select column_name from information_schema.columns
                   where table_schema = %s and table_name = %s and is_identity = 'NO'""",
                name,
            ).fetchone()
            conn.rollback()
            statements = [
                sql.SQL("delete from {}").format(table),
                sql.SQL("truncate {} cascade").format(table),
                sql.SQL("update {} set {c} = {c}").format(table, c=sql.Identifier(column[0])),
            ]
            if role != "owner":
                statements += [
                    sql.SQL("alter table {} disable trigger all").format(table),
                    sql.SQL("alter table {} add column sneaked int").format(table),
                    sql.SQL("drop table {} cascade").format(table),
                    sql.SQL("drop trigger append_only on {}").format(table),
                ]
            for statement in statements:
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                    conn.execute(statement)
                conn.rollback()


def test_the_app_can_not_switch_triggers_off_by_session(module_warehouse):
    with connect(module_warehouse.app) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("set session_replication_role = replica")


@pytest.mark.parametrize("role", ["dbt", "report"])
def test_readers_write_nothing(module_warehouse, role):
    with connect(getattr(module_warehouse, role)) as conn:
        for schema in (*APPEND_ONLY, "ops"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                conn.execute(
                    {
                        "landing": "insert into landing.batch (feed, run_id) values ('x', 'x')",
                        "quality": "insert into quality.gated_batch values (1, 1)",
                        "effects": "insert into effects.approval values ('x', 'x', 'x')",
                        "ops": "insert into ops.touched (consumer, aggregate_type, aggregate_id) values ('x','x','x')",
                    }[schema]
                )
            conn.rollback()


def test_control_totals_balance_only_when_every_unit_is_somewhere(warehouse):
    """Three orders and an unreadable file received; one admitted, one quarantined, one duplicate."""
    with connect(warehouse.app) as conn:
        (batch,) = conn.execute(
            "insert into landing.batch (feed, run_id) values ('erp.sales_order', 'r') returning batch_id"
        ).fetchone()
        documents = [
            conn.execute(
                """insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256,
                     correlation_id, received_at, readable)
                   values (%s, 'erp.sales_order', 'erp', 'api', %s, '', sha256(%s), 'c', now(), %s)
                   returning document_id""",
                (batch, name, name.encode(), readable),
            ).fetchone()[0]
            for name, readable in (("page", True), ("broken", False))
        ]
        copy_rows(
            conn,
            "landing.control_total",
            ["batch_id", "document_id", "feed", "currency", "records", "amount", "is_document"],
            [
                (batch, documents[0], "erp.sales_order", "USD", 3, "60.00", False),
                (batch, documents[1], "erp.sales_order", None, 1, None, True),
            ],
        )
        copy_rows(
            conn,
            "landing.sales_order",
            [
                *("batch_id", "document_id", "ordinal", "record_sha256", "correlation_id", "partner"),
                *("amount", "currency", "order_number", "version"),
            ],
            [
                (batch, documents[0], 1, b"1", "c", "erp", "10.00", "USD", "SO1", 1),
                (batch, documents[0], 2, b"2", "c", "erp", "20.00", "USD", "SO2", 1),
            ],
        )
        records = [r for (r,) in conn.execute("select record_id from landing.sales_order order by 1")]
        conn.execute(
            """insert into landing.duplicate (batch_id, feed, kind, partner, name, currency, records, amount)
               values (%s, 'erp.sales_order', 'record', 'erp', 'page', 'USD', 1, 30.00)""",
            (batch,),
        )
        conn.execute(
            """insert into quality.admission (feed, record_id, batch_id, origin)
               values ('erp.sales_order', %s, %s, 'gate')""",
            (records[0], batch),
        )

        def check() -> dict[str | None, tuple[int, int, int, int, bool]]:
            rows = conn.execute(
                """select currency, received, accepted, quarantined, duplicate, balanced from ops.control_total_check
                   where batch_id = %s""",
                (batch,),
            )
            return {row[0]: row[1:] for row in rows}

        assert check() == {"USD": (3, 1, 0, 1, False), None: (1, 0, 0, 0, False)}
        quarantine = """insert into quality.quarantine (feed, batch_id, document_id, record_id, is_document, partner,
             reasons, messages, amount, currency) values ('erp.sales_order', %s, %s, %s, %s, 'erp',
             '{x}', '{x}', %s, %s)"""
        with conn.transaction(force_rollback=True):
            conn.execute(quarantine, (batch, documents[0], records[1], False, "20.00", "USD"))
            assert check()["USD"] == (3, 1, 1, 1, True)
        conn.execute(quarantine, (batch, documents[0], records[1], False, "20.01", "USD"))
        assert check()["USD"] == (3, 1, 1, 1, False), "one cent lost must show"
        conn.rollback()


def test_control_totals_balance(warehouse):
    with connect(warehouse.app) as conn:
        (batch,) = conn.execute(
            "insert into landing.batch (feed, run_id) values ('driver.pod', 'r') returning batch_id"
        ).fetchone()
        conn.execute("insert into landing.control_total values (%s, null, 'driver.pod', null, 1, null, true)", (batch,))
        conn.execute(
            """insert into quality.quarantine (feed, batch_id, is_document, partner, reasons, messages)
               values ('driver.pod', %s, true, 'driver', '{unreadable_file}', '{x}')""",
            (batch,),
        )
        (balanced,) = conn.execute("select balanced from ops.control_total_check").fetchone()
        assert balanced
