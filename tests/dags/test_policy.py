"""What every DAG promises: it is listed here, explains itself, has an owner, retries, pools, and one run at a time."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from freightsync.pipelines.table import PIPELINES

REPOSITORY = Path(__file__).resolve().parents[2]
DAGS = REPOSITORY / "dags"

LISTED = {
    "close_period": "finance",
    "answer_carriers": "data_engineering",
    "apply_payments": "finance",
    "deliver_effects": "data_engineering",
    "ingest_carrier_invoices": "data_engineering",
    "ingest_shipment_events": "data_engineering",
    "invoice_on_pod": "finance",
    "post_accruals": "finance",
    "rate_shipments": "finance",
    "release_orders": "data_engineering",
    "reconcile_ledger": "finance",
    "report_reconciliation": "finance",
    "revalue_open_items": "finance",
    "send_einvoices": "finance",
    "settle_freight": "finance",
    "sync_master_data": "stewards",
    "work_disputes": "finance",
}
"""Every DAG and who is asked when it fails."""

PROMISES = ("**Starts**", "**If it fails**", "**Running it again is always safe**")


@lru_cache(maxsize=1)
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(DAGS)


def dag(name: str) -> Any:
    return bag().dags[name]


def test_every_file_is_read_without_error() -> None:
    assert bag().import_errors == {}


def test_the_listed_dags_are_there_and_no_others() -> None:
    assert set(bag().dags) == set(LISTED)


def test_one_file_a_dag_named_like_it() -> None:
    files = {path.stem for path in DAGS.glob("*.py")}
    assert files == set(LISTED)
    for name in LISTED:
        assert Path(dag(name).fileloc).stem == name


def test_every_pipeline_has_its_dag() -> None:
    assert set(PIPELINES) <= set(LISTED)


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_dag_file_is_wiring(name: str) -> None:
    source = (DAGS / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    lowered = source.split('"""', 2)[2].lower()
    for word in ("select ", "insert ", "update ", "delete ", "httpx", "open(", "psycopg", "datetime.now"):
        assert word not in lowered


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_dag_explains_itself(name: str) -> None:
    found = dag(name)
    assert found.doc_md
    assert found.doc_md.strip().startswith("# ")
    assert len(found.doc_md) > 500
    for promise in PROMISES:
        assert promise in found.doc_md
    assert found.description
    assert len(found.description) < 100
    for task in found.tasks:
        assert task.doc_md or task.doc or task.python_callable.__doc__, f"{task.task_id} says nothing"


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_dag_has_owner_tags_and_one_run_at_a_time(name: str) -> None:
    found = dag(name)
    assert found.owner == LISTED[name]
    assert "freightsync" in found.tags
    assert len(found.tags) >= 2
    assert found.max_active_runs == 1
    assert found.catchup is False
    assert found.start_date is None  # a clock's first run would come at once, all of them together
    assert found.dagrun_timeout is not None


@pytest.mark.parametrize("name", sorted(LISTED))
def test_every_task_is_retried_by_the_kind_of_error_in_a_pool_that_exists(name: str) -> None:
    pools = {pool["name"] for pool in json.loads((REPOSITORY / "plugins/freightsync_airflow/pools.json").read_text())}
    for task in dag(name).tasks:
        assert task.retries >= 2
        assert task.retry_policy is not None
        assert task.retry_exponential_backoff
        assert task.execution_timeout is not None
        assert task.pool in pools, f"{task.task_id} asks for the pool {task.pool}"


def test_the_hot_path_shares_no_pool_with_bulk_work() -> None:
    hot = {task.pool for task in dag("invoice_on_pod").tasks}
    others = {task.pool for name in LISTED if name != "invoice_on_pod" for task in dag(name).tasks}
    assert hot.isdisjoint(others)
    assert len(dag("invoice_on_pod").tasks) == 1


def test_whoever_posts_to_the_ledger_does_so_one_at_a_time() -> None:
    pools = {p["name"]: p for p in json.loads((REPOSITORY / "plugins/freightsync_airflow/pools.json").read_text())}
    for name, pool in (
        ("post_accruals", "accruals"),
        ("settle_freight", "settlement"),
        ("apply_payments", "receivables"),
    ):
        assert pools[pool]["slots"] == 1
        assert {task.pool for task in dag(name).tasks} == {pool}


def test_assets_connect_the_dags_into_the_process_map() -> None:
    """Upstream to downstream, as the trade has it."""
    edges = set()
    makers: dict[str, set[str]] = {}
    for name in LISTED:
        for task in dag(name).tasks:
            for outlet in task.outlets:
                makers.setdefault(outlet.name, set()).add(name)
    for name in LISTED:
        for asset in wakers(name):
            edges |= {(maker, name) for maker in makers.get(asset.name, ())}
    assert {
        ("rate_shipments", "ingest_shipment_events"),
        ("ingest_shipment_events", "post_accruals"),
        ("ingest_shipment_events", "settle_freight"),
        ("post_accruals", "settle_freight"),
        ("ingest_carrier_invoices", "settle_freight"),
        ("ingest_carrier_invoices", "answer_carriers"),
        ("answer_carriers", "deliver_effects"),
        ("send_einvoices", "deliver_effects"),
        ("release_orders", "deliver_effects"),
        ("settle_freight", "deliver_effects"),
        ("apply_payments", "deliver_effects"),
        ("post_accruals", "deliver_effects"),
    } <= edges
    assert acyclic(edges)


def wakers(name: str) -> list[Any]:
    """The assets that wake a DAG."""

    def leaves(condition: Any) -> list[Any]:
        return (
            [leaf for part in condition.objects for leaf in leaves(part)]
            if hasattr(condition, "objects")
            else [condition]
        )

    condition = getattr(dag(name).timetable, "asset_condition", None)
    return leaves(condition) if condition is not None else []


def acyclic(edges: set[tuple[str, str]]) -> bool:
    left = set(edges)
    while left:
        free = {edge for edge in left if edge[0] not in {to for _, to in left}}
        if not free:
            return False
        left -= free
    return True


def test_every_outside_asset_is_watched() -> None:
    for name in LISTED:
        for asset in wakers(name):
            if asset.name.startswith("inbox/"):
                assert asset.watchers, f"{asset.name} would never wake {name}"


def test_parsing_twice_gives_the_same_dags() -> None:
    """What varies at parse time would multiply the versions of a DAG."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    again = DagBag(DAGS)
    for name in LISTED:
        assert DagSerialization.to_dict(again.dags[name]) == DagSerialization.to_dict(dag(name))
