"""Rules files: what is understood, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from freightsync.landing.feeds import FEEDS
from freightsync.quality.rules import RuleError, load, words_sql
from freightsync.settings import find_project

GOOD = {"name": "late", "severity": "warning", "words": "{lane_id} is wrong", "unexpected": "r.version > 1"}


def write(directory: Path, *rules: dict[str, object], **head: object) -> Path:
    (directory / "_every_feed.yaml").write_text("batch: []\n")
    (directory / "tms.lane.yaml").write_text(yaml.safe_dump({"feed": "tms.lane", "rules": list(rules), **head}))
    return directory


def test_every_feed_has_a_file_and_every_file_a_feed() -> None:
    directory = find_project() / "expectations"
    for feed in FEEDS:
        assert load(directory, feed).batch_rules
    assert {path.stem for path in directory.glob("*.yaml")} == {*FEEDS, "_every_feed", "_carrier_invoice"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severity": "fatal"}, "severity is 'fatal'"),
        ({"words": ""}, "no words"),
        ({"words": "{nothing} is wrong"}, "which is no column"),
        ({"name": "Late!"}, "a name is lower case"),
        ({"unexpected": "r.version > :most"}, "parameters used"),
        ({"params": {"most": 1}}, "parameters used"),
        ({"not_null": "scac"}, "exactly one of"),
        ({"colour": "red"}, "unknown key colour"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(RuleError, match=message):
        load(write(tmp_path, {**GOOD, **change}), "tms.lane")


@pytest.mark.parametrize(
    ("rules", "head", "message"),
    [
        ([GOOD], {"feed": "erp.item"}, "feed is 'erp.item'"),
        ([GOOD], {"needs": ["x.y"]}, "unknown feed"),
        ([GOOD, GOOD], {}, "occurs twice"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, rules: list[dict[str, object]], head: dict[str, object], message: str
) -> None:
    with pytest.raises(RuleError, match=message):
        load(write(tmp_path, *rules, **head), "tms.lane")


def test_a_feed_without_a_file_is_not_admitted_by_default(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no rules file"):
        load(tmp_path, "tms.lane")


def test_parameters_are_written_in_exactly_and_casts_left_alone(tmp_path: Path) -> None:
    rule = {**GOOD, "unexpected": "r.transit_days::text > :text and r.version > :share", "params": {}}
    rule["params"] = {"text": "it's", "share": 0.5}
    (found,) = load(write(tmp_path, rule), "tms.lane").rules
    assert found.predicates("") == ("r.transit_days::text > 'it''s' and r.version > 0.5",)


def test_a_rule_may_ask_about_all_rows_at_once_and_have_several_predicates(tmp_path: Path) -> None:
    rule = {
        **GOOD,
        "unexpected": ["r.version > :most", "r.record_id in (select record_id from :rows as c)"],
        "params": {"most": 3},
    }
    (found,) = load(write(tmp_path, rule), "tms.lane").rules
    assert found.predicates("(select 1)") == ("r.version > 3", "r.record_id in (select record_id from (select 1) as c)")
    assert found.predicate("x") == "(r.version > 3) or (r.record_id in (select record_id from x as c))"


def test_words_become_an_expression_that_survives_quotes_and_percent_signs() -> None:
    assert words_sql("it's 5 % of {scac}", "r") == "format('it''s 5 %% of %s', coalesce((r.scac)::text, '(none)'))"
