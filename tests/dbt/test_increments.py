"""What a run of some bills reads of the thousands that are stored: by index what is its own, nothing whole.

The ids of a scope that is too large to be written into statements are an array that PostgreSQL makes first; as a join
it would expect much and read tables to their end. Plans of the real statements are looked at, with what each step read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from billed_world import Settled
from deployed import copied
from psycopg import sql
from shaped import AS_OF, ShapedWarehouse
from small_world import bill

from freightsync.effects import planner
from freightsync.pipelines import build
from freightsync.pipelines.table import PIPELINES

TOUCHED = 40


@pytest.fixture
def increment(
    postgres_server: Any, settled_world: Settled, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ShapedWarehouse, str]]:
    """A settled world, and a built run of some bills of it."""
    monkeypatch.setitem(build.SIZES, "few_in_scope", 0)
    monkeypatch.setattr(planner, "SMALL_SCOPE", 0)
    with copied(postgres_server, settled_world.database) as warehouse:
        warehouse.conn.execute("analyze")
        some = "select carrier_invoice_id from canonical.carrier_invoice order by md5(carrier_invoice_id) limit %s"
        for row in warehouse.rows(some, TOUCHED):
            warehouse.touch("settle_freight", "carrier_invoice", row["carrier_invoice_id"])
        yield warehouse, warehouse.run("settle_freight", apply=False)


def compiled(warehouse: ShapedWarehouse, run_id: str, model: str) -> str:
    """The query of a model for a run; in a directory of its own, as others build the same models meanwhile."""
    directory = f"compiled for {warehouse.conn.info.dbname}"
    build.run_dbt("compile", [model], warehouse.settings, run_id=run_id, as_of=AS_OF, directory=directory)
    (path,) = warehouse.settings.home.glob(f"dbt/{directory}/compiled/*/models/*/{model}.sql")
    return path.read_text(encoding="utf-8")


def read_by_table(node: dict[str, Any], found: Counter[str] | None = None) -> Counter[str]:
    """The most rows that any one step read of each table."""
    found = Counter() if found is None else found
    if table := node.get("Relation Name"):
        rows = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        found[table] = max(found[table], round(rows))
    for child in node.get("Plans", []):
        read_by_table(child, found)
    return found


def stored(warehouse: ShapedWarehouse, table: str) -> int:
    place = "select schemaname from pg_tables where tablename = %s and schemaname <> 'landing'"
    (found,) = warehouse.rows(place, table)
    (row,) = warehouse.rows(f"select count(*) as rows from {found['schemaname']}.{table}")
    return int(row["rows"])


@pytest.mark.parametrize(
    ("model", "tables"),
    [
        (
            "invoice_charge",
            ("carrier_invoice_line", "carrier_invoice", "shipment", "shipment_unit", "planned_charge", "accrual"),
        ),
        ("invoice_line_verdict", ("invoice_charge", "invoice_standing")),
    ],
)
def test_a_build_asks_large_tables_for_its_scope_by_index(
    increment: tuple[ShapedWarehouse, str], model: str, tables: tuple[str, ...]
) -> None:
    warehouse, run_id = increment
    query = compiled(warehouse, run_id, model)
    warehouse.conn.execute("set work_mem = '64MB'")
    warehouse.conn.execute("set enable_mergejoin = off")
    (row,) = warehouse.rows(f"explain (analyze, format json) {query}")
    read = read_by_table(row["QUERY PLAN"][0]["Plan"])
    for table in tables:
        assert 0 < read[table] < stored(warehouse, table) / 4, (table, read)


class Explaining(psycopg.Connection[Any]):
    """Keeps what the statement that reads a desired relation is about to read, by table."""

    read: Counter[str]

    def execute(self, query: Any, *more: Any, **options: Any) -> Any:
        text = query.as_string(self) if isinstance(query, sql.Composable) else str(query)
        head, _, asked = text.partition(" as\n")
        if head.startswith("create temp table fs_desired "):
            row = super().execute(f"explain (analyze, format json) {asked}").fetchone()
            self.read = read_by_table(row[0][0]["Plan"])
        return super().execute(query, *more, **options)


def test_planning_asks_what_is_desired_of_its_scope_by_index(increment: tuple[ShapedWarehouse, str]) -> None:
    warehouse, run_id = increment
    relation = planner.Relation.parse("desired.movement__settlement")
    with Explaining.connect(warehouse.settings.dsn("app")) as conn:
        _, scope = planner.open_scope(conn, run_id, [relation], PIPELINES["settle_freight"].scope)
        assert planner.read_desired(conn, relation, scope) > TOUCHED
    assert 0 < conn.read["invoice_line_verdict"] < stored(warehouse, "invoice_line_verdict") / 4, conn.read


def most_paired(node: dict[str, Any]) -> float:
    """The most pairs that any join compared, those included that did not fit."""
    gave = node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0)
    here = gave * node["Actual Loops"] if node["Node Type"] in ("Nested Loop", "Hash Join", "Merge Join") else 0
    return max([here, *map(most_paired, node.get("Plans", []))])


def test_the_first_bills_among_many_admissions_are_not_compared_with_one_another(shaped: ShapedWarehouse) -> None:
    """Statistics that were taken before know nothing of a feed; by them one bill is expected, and one pair."""
    number = 300
    (batch,) = shaped.rows("insert into landing.batch (feed, run_id) values ('driver.pod', 'test') returning batch_id")
    shaped.conn.execute(
        """insert into quality.admission (feed, record_id, batch_id, origin)
           select 'driver.pod', 1000000 + n, %s, 'gate' from generate_series(1, 20000) as n""",
        (batch["batch_id"],),
    )
    shaped.conn.execute("analyze quality.admission")
    shaped.admit(
        bill("NRDF", f"F{n}", "10", [("LINEHAUL", "10.00"), ("FUEL", "1.00")], shipment_reference=f"Z{n}")
        for n in range(number)
    )
    shaped.conn.execute("analyze landing.carrier_invoice, landing.carrier_invoice_line, landing.document")
    run_id = shaped.run("settle_freight", apply=False)
    assert stored(shaped, "invoice_verdict") == number
    for model in ("carrier_invoice", "carrier_invoice_line"):
        (row,) = shaped.rows(f"explain (analyze, format json) {compiled(shaped, run_id, model)}")
        root = row["QUERY PLAN"][0]["Plan"]
        assert root["Actual Rows"] >= number
        assert most_paired(root) <= 10 * number, model


def test_scopes_of_a_large_run_are_not_read_by_the_next(
    increment: tuple[ShapedWarehouse, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of scopes that grew large is emptied, with all that was deleted from it; but not under a run's feet."""
    monkeypatch.setitem(build.SIZES, "outworn_scope_bytes", 0)
    warehouse, under_way = increment

    def run_one_more() -> str:
        (row,) = warehouse.rows("select min(carrier_invoice_id) as one from canonical.carrier_invoice")
        warehouse.touch("settle_freight", "carrier_invoice", row["one"])
        return warehouse.run("settle_freight")

    def runs() -> set[str]:
        return {row["run_id"] for row in warehouse.rows("select distinct run_id from decisions.scope_settle_freight")}

    def file() -> int:
        (row,) = warehouse.rows("select pg_relation_filenode('decisions.scope_settle_freight') as file")
        return int(row["file"])

    before = file()
    second = run_one_more()
    assert (runs(), file()) == ({under_way, second}, before)
    warehouse.conn.execute("update ops.run set finished_at = now() where run_id = %s", [under_way])
    third = run_one_more()
    assert runs() == {third}
    assert file() != before
