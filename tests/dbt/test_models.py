"""The dbt project itself: its unit tests, what each model says about itself, and that a run costs what it touches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from shaped import BUILT, ShapedWarehouse
from small_world import FACTS, MASTERS, bill, order, plan, pod

from freightsync import rules
from freightsync.domain.errors import TransientError
from freightsync.pipelines import build, locks
from freightsync.pipelines.table import PIPELINES

PROJECT = Path(__file__).parents[2] / "dbt"
MODELS = sorted((PROJECT / "models").rglob("*.sql"))
TAGS = {"master", "orders", "rating", "shipments", "accruals", "settlement", "payments", "ledger"}


def test_there_are_models() -> None:
    assert len(MODELS) > 50


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_each_model_says_its_grain_and_every_column(model: Path) -> None:
    described = yaml.safe_load(model.with_suffix(".yml").read_text(encoding="utf-8"))["models"]
    assert [entry["name"] for entry in described] == [model.stem]
    assert described[0]["description"].startswith("Grain:")
    assert all(column["description"] and column["data_type"] for column in described[0]["columns"])


def test_every_table_has_one_writer(shaped: ShapedWarehouse) -> None:
    manifest = build.load_manifest(shaped.settings)
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    for node in models:
        kept = node.config.materialized == "incremental"
        assert len(TAGS & set(node.tags)) == (1 if kept else 0), node.name
        assert node.config.contract.enforced, node.name
    for consumer in BUILT:
        tag = str(PIPELINES[consumer].selector).removeprefix("tag:")
        mine = [node for node in models if tag in node.tags]
        assert mine
        assert {node.config.meta["consumer"] for node in mine} == {consumer}


@pytest.mark.timeout(600)
def test_unit_tests_of_the_models(shaped: ShapedWarehouse) -> None:
    ran = build.run_dbt("test", ["test_type:unit"], shaped.settings, exclude_types=())
    assert len(ran.nodes) >= 18


@pytest.mark.timeout(900)
def test_a_run_writes_only_what_changed_and_tells_of_nothing_else(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, *FACTS])
    shaped.settle_down()
    versions = "select shipment_id, xmin::text, changed_in_run from canonical.shipment order by 1"
    before = shaped.rows(versions)

    # a report that changes nothing, and one that does
    shaped.touch("ingest_shipment_events", "shipment", "tms:S1")
    shaped.admit([pod("S6", 2, "10T10")])
    run_id = shaped.run("ingest_shipment_events", apply=False)
    after = shaped.rows(versions)
    changed = {row["shipment_id"] for row, old in zip(after, before, strict=True) if row != old}
    assert changed == {"tms:S6"}
    told = "select distinct consumer, aggregate_id from decisions.propagation where run_id = %s order by 1"
    expected = [(consumer, "tms:S6") for consumer in ("invoice_on_pod", "post_accruals", "settle_freight")]
    assert [(row["consumer"], row["aggregate_id"]) for row in shaped.rows(told, run_id)] == expected

    # the run died before it told anyone: the next one of the same aggregates does
    next_run = shaped.run("ingest_shipment_events")
    assert {row["consumer"] for row in shaped.rows(told, next_run)} >= {"invoice_on_pod", "settle_freight"}
    shaped.settle_down()
    # one that finished is left alone
    last = shaped.rows("select changed_in_run from canonical.shipment where shipment_id = 'tms:S6'")
    shaped.touch("ingest_shipment_events", "shipment", "tms:S6")
    shaped.run("ingest_shipment_events")
    assert shaped.rows("select changed_in_run from canonical.shipment where shipment_id = 'tms:S6'") == last

    data_tests = build.run_dbt("build", ["tag:marts"], shaped.settings, exclude_types=("unit_test",))
    assert any("unique" in node.name or "test" in node.name for node in data_tests.nodes)
    build.run_dbt("test", ["test_type:data"], shaped.settings, exclude_types=())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_a_deployment_built_before_a_run_is_told_by_that_run(shaped: ShapedWarehouse) -> None:
    """The run had claimed when everything was built without a run: it finds its rows as they should be, and nobody was
    told of them."""
    shaped.admit([*MASTERS, *FACTS])
    shaped.settle_down()
    shaped.admit([pod("S6", 2, "10T10")])
    shaped.rebuild()
    run_id = shaped.run("ingest_shipment_events")
    told = shaped.rows("select consumer from ops.touched where aggregate_id = 'tms:S6' and cause like %s", f"%{run_id}")
    assert {row["consumer"] for row in told} == {"invoice_on_pod", "post_accruals", "settle_freight"}


@pytest.mark.timeout(900)
def test_a_deployment_makes_tables_anew_that_an_earlier_version_left(shaped: ShapedWarehouse) -> None:
    shaped.admit([*MASTERS, *FACTS, bill("NRDF", "FR-1", "20", [("LINEHAUL", "100.00")], shipment_reference="S1")])
    shaped.settle_down()
    kept = ("canonical.leg", "decisions.invoice_verdict", "canonical.shipment")
    before = {
        table: shaped.rows(f"select to_jsonb(kept) - 'changed_in_run' as row from {table} as kept") for table in kept
    }
    assert all(before.values())
    assert build.outgrown_models(shaped.settings) == []
    with psycopg.connect(shaped.settings.dsn("dbt")) as conn:
        conn.execute("alter table canonical.leg drop column to_stop")
        conn.execute("alter table decisions.invoice_verdict add column of_old text")
        conn.execute("alter table canonical.shipment alter column weight_lb type numeric(30, 1)")
    assert build.outgrown_models(shaped.settings) == ["invoice_verdict", "leg", "shipment"]
    build.prepare(shaped.settings)
    assert build.outgrown_models(shaped.settings) == []
    for table, rows in before.items():
        after = shaped.rows(f"select to_jsonb(kept) - 'changed_in_run' as row from {table} as kept")
        assert sorted(map(str, after)) == sorted(map(str, rows)), table
    # what was settled stays so
    assert shaped.rows("select 1 from effects.movement where reverses") == []
    made = shaped.rows("select count(*) as count from effects.movement")
    shaped.settle_down()
    assert shaped.rows("select count(*) as count from effects.movement") == made


@pytest.mark.timeout(900)
def test_a_deployment_waits_for_runs_and_keeps_others_out(
    shaped: ShapedWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def building(*_: Any, **__: Any) -> build.Built:
        for consumer in PIPELINES:
            with pytest.raises(TransientError), locks.held(consumer, shaped.settings, patience=0):
                taken.append(consumer)
        return build.Built(selector="everything", seconds=0)

    monkeypatch.setattr(build, "run_dbt", building)
    build.prepare(shaped.settings)
    assert taken == []
    for consumer in PIPELINES:  # and gives the locks back
        with locks.held(consumer, shaped.settings, patience=5):
            taken.append(consumer)
    assert taken == list(PIPELINES)


def test_the_hot_path_reads_only_its_own_invoices(shaped: ShapedWarehouse) -> None:
    """With thousands of proven shipments stored, the plan for one invoice goes by index from one delivery."""
    numbers = range(2000)
    shaped.admit(MASTERS)
    shaped.admit(order(f"Z{n}", "C2" if n > 1500 else "C1", [(1, "5.00")]) for n in numbers)
    shaped.admit(plan(f"Z{n}", "NRDF", [(f"Z{n}", 1, 1, "5")], {"LINEHAUL": "10.00"}) for n in numbers)
    shaped.admit(pod(f"Z{n}", 1, "09T12") for n in numbers)
    for consumer in ("sync_master_data", "release_orders", "ingest_shipment_events"):
        shaped.run(consumer, apply=False)
    shaped.conn.execute("analyze")
    found = shaped.rows(
        """explain (analyze, format json) select * from desired.movement__customer_invoices d
           where d.aggregate_type = any('{customer_invoice}')
             and d.aggregate_id = any('{erp:Z7/tms:Z7,erp:Z9/tms:Z9,erp:Z1501}')"""
    )
    root = found[0]["QUERY PLAN"][0]["Plan"]
    assert root["Actual Rows"] == 5
    assert most_rows(root) < 40, json.dumps(root, indent=1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_consolidated_invoice_costs_what_it_has_lines(shaped: ShapedWarehouse) -> None:
    """No step of judging 200 shipments on one invoice makes pairs of them."""
    numbers = [f"Z{n}" for n in range(200)]
    shaped.admit(MASTERS)
    shaped.admit(plan(number, "NRDF", [(number, 1, 1, "5")], {"LINEHAUL": "10.00"}) for number in numbers)
    shaped.admit([bill("NRDF", "N1", "10", [("LINEHAUL", "10.00", number) for number in numbers])])
    shaped.settle_down()
    shaped.rebuild()
    (compiled,) = shaped.settings.home.glob(f"dbt/{build.FULL}/compiled/*/models/decisions/invoice_line_verdict.sql")
    found = shaped.rows(f"explain (analyze, format json) {compiled.read_text(encoding='utf-8')}")
    root = found[0]["QUERY PLAN"][0]["Plan"]
    assert root["Actual Rows"] == len(numbers)
    assert widest_step(root) <= 10 * len(numbers), json.dumps(root, indent=1)


def widest_step(node: dict[str, Any]) -> float:
    """The most rows that any step gave on."""
    return max([node["Actual Rows"] * node["Actual Loops"], *map(widest_step, node.get("Plans", []))])


def most_rows(node: dict[str, Any]) -> float:
    """The most rows that any step read of a table that grows."""
    here = 0.0
    if "Relation Name" in node and not node["Relation Name"].endswith("policy"):
        here = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return max([here, *(most_rows(child) for child in node.get("Plans", []))])


def test_rules_are_appended_once_and_never_rewritten(warehouse: Any, tmp_path: Path, monkeypatch: Any) -> None:
    assert rules.load(warehouse.owner) >= 7
    assert rules.load(warehouse.owner) == 0
    with psycopg.connect(warehouse.owner) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("update rules.tolerance set over_percent = 50")

    for source in rules.BOOTSTRAP.glob("*.csv"):
        text = source.read_text(encoding="utf-8")
        (tmp_path / source.name).write_text(text.replace(",3.00,", ",4.00,"), encoding="utf-8")
    monkeypatch.setattr(rules, "BOOTSTRAP", tmp_path)
    with pytest.raises(rules.RuleChanged, match=r"tolerance\.nrdf_linehaul version 1"):
        rules.load(warehouse.owner)


@pytest.mark.timeout(900)
def test_a_new_rule_does_not_rewrite_what_was_decided(shaped: ShapedWarehouse) -> None:
    """A stricter tolerance, recorded after an invoice was admitted, holds for the next one only."""
    shaped.admit([*MASTERS, *FACTS])
    shaped.settle_down()
    shaped.conn.execute(
        """insert into rules.tolerance (rule_id, rule_version, scac, charge_code, over_mode, over_percent, valid_from,
             recorded_by, note)
           values ('tolerance.nrdf_linehaul', 2, 'NRDF', 'LINEHAUL', 'either', 0, '2020-01-01', 'finance',
             'stricter')"""
    )
    shaped.admit([bill("NRDF", "N900", "18", [("LINEHAUL", "300.01")], shipment_reference="S5")])
    shaped.settle_down()
    shaped.rebuild()
    lines = shaped.rows(
        """select invoice_number, verdict, rule_version from decisions.invoice_line_verdict
           where invoice_number in ('N100', 'N900') and charge_code = 'LINEHAUL' order by 1"""
    )
    assert [tuple(row.values()) for row in lines] == [("N100", "in_tolerance", "1"), ("N900", "out_of_tolerance", "2")]
