"""Rules that finance records in a test."""

from __future__ import annotations

from typing import Any

from psycopg import sql
from shaped import ShapedWarehouse


def record_rule(warehouse: ShapedWarehouse, table: str, rule: str, version: int = 1, **columns: Any) -> None:
    """Finance records a rule; by default it was always known and valid."""
    values = {
        "rule_id": rule,
        "rule_version": version,
        "valid_from": "2020-01-01",
        "recorded_at": "2020-01-01T00:00:00Z",
        "recorded_by": "finance",
        "note": rule,
        **columns,
    }
    warehouse.conn.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier("rules", table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        ),
        list(values.values()),
    )


def accrual_policy(warehouse: ShapedWarehouse, rule: str, version: int = 1, **columns: Any) -> None:
    """Finance records an accrual policy; by default it was always known."""
    values = {
        "rule_id": rule,
        "rule_version": version,
        "from_milestone": "delivered",
        "accrued_account": "2150",
        "valid_from": "2020-01-01",
        "recorded_at": "2020-01-01T00:00:00Z",
        "recorded_by": "finance",
        "note": rule,
        **columns,
    }
    warehouse.conn.execute(
        f"insert into rules.accrual_policy ({', '.join(values)}) values ({', '.join(['%s'] * len(values))})".encode(),
        list(values.values()),
    )
